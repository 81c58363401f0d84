//! Memory of steps: what one lets go, the next takes.
//!
//! A step takes arrays of hundreds of kilobytes from many threads. An allocator that gives such memory back to the system
//! makes every step pay for fresh pages, and all cores wait while mappings change.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

/// Bytes that are kept at most.
const KEPT: usize = 256 << 20;
/// Below this the allocator does as well.
const LEAST: usize = 1 << 14;
/// How often a lock is tried for.
const TRIES: usize = 1_000;

static FREE: Mutex<Free> = Mutex::new(Free { arrays: Vec::new(), bytes: 0 });

struct Free {
    arrays: Vec<Vec<f32>>,
    bytes: usize,
}

/// The list; never waited for without end: a child that was forked while another thread held it would wait for ever.
fn free() -> Option<MutexGuard<'static, Free>> {
    (0..TRIES).find_map(|_| {
        let found = FREE.try_lock().ok();
        if found.is_none() {
            std::hint::spin_loop();
        }
        found
    })
}

/// An array of f32 whose memory is used again when it is dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lent(Vec<f32>);

impl Lent {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        if 4 * length < LEAST {
            return Self(vec![0.0; length]);
        }
        let found = free().and_then(|mut free| {
            let fits = (0..free.arrays.len()).filter(|&i| free.arrays[i].capacity() >= length);
            let best = fits.min_by_key(|&i| free.arrays[i].capacity())?;
            let array = free.arrays.swap_remove(best);
            free.bytes -= 4 * array.capacity();
            Some(array)
        });
        let mut array = found.unwrap_or_default();
        array.clear();
        array.resize(length, 0.0);
        Self(array)
    }
}

impl From<Vec<f32>> for Lent {
    fn from(array: Vec<f32>) -> Self {
        Self(array)
    }
}

impl Deref for Lent {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let bytes = 4 * self.0.capacity();
        if bytes >= LEAST
            && let Some(mut free) = free()
            && free.bytes + bytes <= KEPT
        {
            free.bytes += bytes;
            free.arrays.push(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_whatever_lay_there() {
        for round in 0..3 {
            let mut arrays: Vec<Lent> = (1..40).map(|i| Lent::zeros(i * 1_000)).collect();
            for (i, array) in arrays.iter_mut().enumerate() {
                assert!(array.len() == (i + 1) * 1_000 && array.iter().all(|&x| x == 0.0), "{round}");
                array.fill(f32::NAN);
            }
        }
        assert_eq!(Lent::from(vec![1.0, 2.0])[..], [1.0, 2.0]);
        assert!(Lent::zeros(0).is_empty());
    }

    #[test]
    fn memory_comes_back() {
        // Other tests share the list, so that another array may have been taken meanwhile.
        let again = (0..20).any(|_| {
            let a = Lent::zeros(1_234_567);
            let place = a.as_ptr();
            drop(a);
            Lent::zeros(1_234_567).as_ptr() == place
        });
        assert!(again);
    }
}
