//! Memory for results that come and go by the megabyte.
//!
//! A batch of queries returns millions of ids. Fresh pages for them cost as much time as the queries: the kernel clears
//! each page and takes a fault for it. Blocks that were let go are kept, up to a bound, for the next batch.

use std::path::Path;
use std::sync::Mutex;

use memmap2::MmapMut;

use crate::Result;
use crate::memory::{forget, lengthen, zeroed};

/// Bytes that are kept for reuse at most; the system may have them back at any time.
const KEPT: usize = 512 << 20;
/// Below this the allocator does as well.
const LEAST: usize = 1 << 16;

static FREE: Mutex<Vec<MmapMut>> = Mutex::new(Vec::new());

/// A growing list of numbers in recycled memory.
#[derive(Debug)]
pub struct Numbers {
    memory: Option<MmapMut>,
    used: usize,
}

fn take(bytes: usize) -> Result<MmapMut> {
    let bytes = bytes.max(LEAST);
    // Never waited for: a child that was forked while another thread held the lock would wait for ever.
    if let Ok(mut free) = FREE.try_lock()
        && let Some(i) = (0..free.len()).filter(|&i| free[i].len() >= bytes).max_by_key(|&i| free[i].len())
    {
        return Ok(free.swap_remove(i));
    }
    zeroed(bytes.next_power_of_two(), Path::new("(result)"))
}

fn give_back(mut memory: MmapMut) {
    if let Ok(mut free) = FREE.try_lock() {
        let kept: usize = free.iter().map(|m| m.len()).sum();
        if kept + memory.len() <= KEPT {
            forget(&mut memory);
            free.push(memory);
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

impl Numbers {
    /// No numbers, no memory.
    pub const fn new() -> Self {
        Self { memory: None, used: 0 }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[u32] {
        self.memory.as_ref().map_or(&[], |m| &bytemuck::cast_slice(m)[..self.used])
    }

    /// Room for at least `more` numbers behind those that are there. What stands in it is not specified;
    /// [`advance`](Self::advance) makes a part of it count.
    #[inline(always)]
    pub fn room(&mut self, more: usize) -> Result<&mut [u32]> {
        if self.memory.as_ref().is_none_or(|m| m.len() / 4 < self.used + more) {
            self.grow(self.used + more)?;
        }
        let memory = self.memory.as_mut().expect("grown above");
        Ok(&mut bytemuck::cast_slice_mut::<u8, u32>(memory)[self.used..])
    }

    /// The first `count` numbers of the room count from now on.
    #[inline(always)]
    pub fn advance(&mut self, count: usize) {
        self.used += count;
        debug_assert!(self.memory.as_ref().map_or(0, |m| m.len() / 4) >= self.used);
    }

    /// Appends numbers.
    pub fn extend(&mut self, numbers: &[u32]) -> Result<()> {
        self.room(numbers.len())?[..numbers.len()].copy_from_slice(numbers);
        self.advance(numbers.len());
        Ok(())
    }

    #[cold]
    fn grow(&mut self, numbers: usize) -> Result<()> {
        match &mut self.memory {
            Some(memory) => lengthen(memory, (4 * numbers).max(2 * memory.len()).next_power_of_two()),
            None => {
                self.memory = Some(take(4 * numbers)?);
                Ok(())
            }
        }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            give_back(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_its_numbers() {
        let mut n = Numbers::new();
        assert!(n.is_empty() && n.as_slice().is_empty());
        for i in 0..100_000u32 {
            n.extend(&[i, i + 1]).unwrap();
        }
        assert_eq!(n.len(), 200_000);
        assert!(n.as_slice().chunks(2).enumerate().all(|(i, c)| c == [i as u32, i as u32 + 1]));
        n.room(50).unwrap()[..3].copy_from_slice(&[7, 8, 9]);
        n.advance(2);
        assert_eq!(n.as_slice()[200_000..], [7, 8]);
    }

    #[test]
    fn memory_comes_back() {
        let place = |n: &Numbers| n.as_slice().as_ptr();
        let mut a = Numbers::new();
        a.extend(&vec![1; 3 << 20]).unwrap();
        let before = place(&a);
        drop(a);
        // Other tests share the list, so look among a few.
        let again: Vec<Numbers> = (0..4)
            .map(|_| {
                let mut n = Numbers::new();
                n.extend(&vec![2; 3 << 20]).unwrap();
                n
            })
            .collect();
        assert!(again.iter().any(|n| place(n) == before));
    }
}
