//! What positions look up: the rows of their n-grams, side by side.

use bytemuck::Pod;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use thrifty_base::math::dispatch;
use thrifty_base::pool::pool;
use thrifty_base::prefetch::prefetch;
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;
use thrifty_base::streaming;

use super::hash::EngramHash;
use crate::Result;
use crate::spec::{BLOCK, Precision};
use crate::stored::Stored;

/// Positions of a task.
const TASK: usize = 128;
/// Positions whose rows are numbered before any is read: their numbers stay in the first cache.
const NUMBERED: usize = 64;
/// Memory is asked for rows so long before they are read.
const AHEAD: usize = 24;

/// Sequences of `tokens` ids each, of whose positions those from `start` on are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) tokens: usize,
    pub(crate) start: usize,
}

impl Positions<'_> {
    /// Stored of the positions from number `first` on, `each` a position.
    #[inline(always)]
    fn rows(self, first: usize, hash: &EngramHash, each: usize, rows: &mut [u64]) {
        let of_each = self.tokens - self.start;
        let (mut sequence, mut t) = (first / of_each, first % of_each);
        for rows in rows.chunks_exact_mut(each) {
            let begin = sequence * self.tokens;
            hash.rows(&self.ids[begin..=begin + self.start + t], rows);
            t += 1;
            if t == of_each {
                (sequence, t) = (sequence + 1, 0);
            }
        }
    }
}

/// A table as lookups see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) hash: &'a EngramHash,
    pub(crate) rows: Stored,
    pub(crate) each: usize,
    pub(crate) data: &'a [u8],
}

/// Some positions of a lookup, numbers of type `T`.
pub(crate) struct Part<'a, T> {
    view: View<'a>,
    positions: Positions<'a>,
    first: usize,
    /// Whether the result is too large for the caches.
    large: bool,
    out: &'a mut [T],
}

impl<'a> View<'a> {
    /// Stored of all positions, counted over all heads.
    pub(crate) fn numbers(self, positions: Positions<'_>, rows: &mut [u64]) {
        if !rows.is_empty() {
            positions.rows(0, self.hash, self.each, rows);
        }
    }

    /// What all positions look up, by `threads` threads.
    pub(crate) fn lookup<T: Send>(
        self,
        path: Path,
        positions: Positions<'_>,
        threads: usize,
        progress: &Progress,
        out: &mut [T],
    ) -> Result<()>
    where
        for<'b> Part<'b, T>: WithSimd<Output = ()>,
    {
        let width = self.each * self.rows.head_dim;
        let large = size_of_val(out) >= streaming::LARGE;
        if out.len() <= TASK * width {
            dispatch(path, Part { view: self, positions, first: 0, large, out });
            return Ok(());
        }
        progress.start("lookup", (out.len() / width) as u64)?;
        let task = |(i, out): (usize, &mut [T])| {
            let done = (out.len() / width) as u64;
            dispatch(path, Part { view: self, positions, first: i * TASK, large, out });
            progress.advance(done)
        };
        if threads == 1 {
            out.chunks_mut(TASK * width).enumerate().try_for_each(task)?;
        } else {
            pool(threads)?.install(|| out.par_chunks_mut(TASK * width).enumerate().try_for_each(task))?;
        }
        Ok(())
    }
}

impl<T> Part<'_, T> {
    /// Numbers the rows of some positions, then gives each row to `give` with the place of its numbers.
    #[inline(always)]
    fn each_row(self, give: impl Fn(&[u8], &mut [T])) {
        let large = self.large;
        let Self {
            view: View { hash, rows: Stored { layout, head_dim, .. }, each, data },
            positions,
            mut first,
            out,
            ..
        } = self;
        let row = |number: u64| &data[number as usize * layout.stride..][..layout.stride];
        let mut numbers = vec![0; each * NUMBERED.min(out.len() / (each * head_dim))];
        for out in out.chunks_mut(NUMBERED * each * head_dim) {
            let numbers = &mut numbers[..out.len() / head_dim];
            positions.rows(first, hash, each, numbers);
            first += NUMBERED;
            numbers.iter().take(AHEAD).for_each(|&number| prefetch(row(number)));
            for (i, out) in out.chunks_exact_mut(head_dim).enumerate() {
                if let Some(&number) = numbers.get(i + AHEAD) {
                    prefetch(row(number));
                }
                give(row(numbers[i]), out);
            }
        }
        if large {
            streaming::finish();
        }
    }
}

impl WithSimd for Part<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (scale, large) = (self.view.rows.layout.scale, self.large);
        match self.view.rows.precision {
            Precision::F32 => self.each_row(|row, out| copy::<f32, f32>(row, out, large, |x| x)),
            Precision::Bf16 => {
                self.each_row(|row, out| copy::<u16, f32>(row, out, large, |x| f32::from_bits(u32::from(x) << 16)));
            }
            Precision::I8 => self.each_row(|row, out| {
                let factor = f32::from_le_bytes(row[scale..scale + 4].try_into().expect("four bytes"));
                copy::<i8, f32>(row, out, large, |x| factor * f32::from(x));
            }),
        }
    }
}

/// Stored of bf16 as they are.
impl WithSimd for Part<'_, u16> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        debug_assert!(self.view.rows.precision == Precision::Bf16);
        let large = self.large;
        self.each_row(|row, out| copy::<u16, u16>(row, out, large, |x| x));
    }
}

/// Whole blocks first, which the compiler makes vectors of.
#[inline(always)]
fn copy<A: Pod, B: Pod>(row: &[u8], out: &mut [B], large: bool, of: impl Fn(A) -> B) {
    let row: &[A] = bytemuck::cast_slice(&row[..size_of::<A>() * out.len()]);
    let ((blocks, rest), (out_blocks, out_rest)) = (row.as_chunks::<BLOCK>(), out.as_chunks_mut::<BLOCK>());
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        let block = block.map(&of);
        if large {
            streaming::store(&block, out);
        } else {
            *out = block;
        }
    }
    for (out, &x) in out_rest.iter_mut().zip(rest) {
        *out = of(x);
    }
}
