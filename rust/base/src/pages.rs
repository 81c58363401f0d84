//! Large arrays of numbers on huge pages, where random places cost fewer TLB misses.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use bytemuck::Pod;
use memmap2::MmapMut;
use rayon::prelude::*;

use crate::Result;
use crate::memory::{lengthen, zeroed};

/// An array that begins as zeros; memory is taken at first touch.
pub struct Pages<T> {
    memory: MmapMut,
    length: usize,
    numbers: PhantomData<T>,
}

/// Bytes of the smallest page, and of what one task touches.
const PAGE: usize = 4096;
const TOUCHED: usize = 1 << 23;

/// Weights and moments.
pub type Floats = Pages<f32>;

impl<T: Pod> Pages<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Result<Self> {
        let memory = zeroed(size_of::<T>() * length, Path::new("(memory)"))?;
        Ok(Self { memory, length, numbers: PhantomData })
    }

    /// `length` zeros whose memory is taken now, by the threads of the caller's pool, and not in the middle of the work.
    pub fn taken(length: usize) -> Result<Self> {
        let mut pages = Self::zeros(length)?;
        pages.memory.par_chunks_mut(TOUCHED).for_each(|chunk| {
            chunk.iter_mut().step_by(PAGE).for_each(|byte| {
                // A write that stays: the page is there afterwards.
                *std::hint::black_box(byte) = 0;
            });
        });
        Ok(pages)
    }

    /// Makes the array at least `length` long, with zeros, in steps that make many calls cheap.
    pub fn lengthen(&mut self, length: usize) -> Result<()> {
        if size_of::<T>() * length > self.memory.len() {
            let room = size_of::<T>() * length.max(self.length + self.length / 4);
            lengthen(&mut self.memory, room.next_multiple_of(1 << 16))?;
        }
        self.length = self.length.max(length);
        Ok(())
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.memory.len()
    }
}

impl<T: Pod> Deref for Pages<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[..size_of::<T>() * self.length])
    }
}

impl<T: Pod> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory[..size_of::<T>() * self.length])
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pages({})", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_that_hold_what_is_written() {
        let mut x = Floats::zeros(100_000).unwrap();
        assert!(x.len() == 100_000 && x.iter().all(|&x| x == 0.0));
        x[99_999] = 1.5;
        assert_eq!(x.iter().sum::<f32>(), 1.5);
        assert!(Floats::zeros(0).unwrap().is_empty());
        let x = Floats::taken(3_000_000).unwrap();
        assert!(x.len() == 3_000_000 && x.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn grow_and_keep() {
        let mut x = Pages::<u32>::zeros(1).unwrap();
        for i in 0..200_000 {
            x.lengthen(i + 1).unwrap();
            assert_eq!(x[i], 0);
            x[i] = i as u32;
        }
        assert!(x.len() == 200_000 && x.iter().enumerate().all(|(i, &n)| n == i as u32));
        x.lengthen(10).unwrap();
        assert_eq!(x.len(), 200_000);
    }
}
