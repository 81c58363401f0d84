//! What positions look up: the rows of their n-grams, side by side.

use bytemuck::Pod;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use thrifty_base::math::dispatch;
use thrifty_base::pool::pool;
use thrifty_base::prefetch::prefetch;
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;

use super::hash::EngramHash;
use crate::Result;
use crate::spec::{BLOCK, Precision};
use crate::stored::Stored;

/// Positions of a task.
const TASK: usize = 128;
/// Positions whose rows are numbered before any is read: their numbers stay in the first cache.
const NUMBERED: usize = 64;
/// Memory is asked for a row so many rows before it is read.
const AHEAD: usize = 64;

/// Sequences of `tokens` ids each, of whose positions those from `start` on are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) tokens: usize,
    pub(crate) start: usize,
}

impl Positions<'_> {
    /// Rows of the positions from number `first` on, `each` a position.
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
    out: &'a mut [T],
}

impl<'a> View<'a> {
    /// Rows of all positions, counted over all heads.
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
        if out.len() <= TASK * width {
            dispatch(path, Part { view: self, positions, first: 0, out });
            return Ok(());
        }
        progress.start("lookup", (out.len() / width) as u64)?;
        let task = |(i, out): (usize, &mut [T])| {
            let done = (out.len() / width) as u64;
            dispatch(path, Part { view: self, positions, first: i * TASK, out });
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

/// Rows of common widths have loops of their own, whose turns the compiler knows: with others in their place, rows of 64
/// numbers took 1.4 times as long. Pairs of numbers and bytes of a row.
macro_rules! by_shape {
    ($part:expr, $give:expr, $(($dim:literal, $stride:literal)),*) => {
        match ($part.view.rows.head_dim, $part.view.rows.layout.stride) {
            $(($dim, $stride) => $part.each_row($dim, $stride, $give),)*
            (dim, stride) => $part.each_row(dim, stride, $give),
        }
    };
}

impl<T> Part<'_, T> {
    /// Numbers the rows of some positions, then gives each row, of `stride` bytes, to `give` with the place of its `dim`
    /// numbers.
    #[inline(always)]
    fn each_row(self, dim: usize, stride: usize, give: impl Fn(&[u8], &mut [T])) {
        let Self { view: View { hash, each, data, .. }, positions, mut first, out } = self;
        let row = |number: u64| &data[number as usize * stride..][..stride];
        let mut numbers = vec![0; each * NUMBERED.min(out.len() / (each * dim))];
        for out in out.chunks_mut(NUMBERED * each * dim) {
            let numbers = &mut numbers[..out.len() / dim];
            positions.rows(first, hash, each, numbers);
            first += NUMBERED;
            numbers.iter().take(AHEAD).for_each(|&number| prefetch(row(number)));
            for (i, out) in out.chunks_exact_mut(dim).enumerate() {
                if let Some(&number) = numbers.get(i + AHEAD) {
                    prefetch(row(number));
                }
                give(row(numbers[i]), out);
            }
        }
    }
}

impl WithSimd for Part<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let scale = self.view.rows.layout.scale;
        match self.view.rows.precision {
            Precision::F32 => {
                by_shape!(self, |row, out| copy::<f32, f32>(row, out, |x| x), (32, 128), (64, 256), (128, 512));
            }
            Precision::Bf16 => {
                let wide = |x| f32::from_bits(u32::from(x) << 16);
                by_shape!(self, |row, out| copy::<u16, f32>(row, out, wide), (32, 64), (64, 128), (128, 256));
            }
            Precision::I8 => {
                let give = |row: &[u8], out: &mut [f32]| {
                    let factor = f32::from_le_bytes(row[scale..scale + 4].try_into().expect("four bytes"));
                    copy::<i8, f32>(row, out, |x| factor * f32::from(x));
                };
                by_shape!(self, give, (32, 36), (64, 68), (128, 132));
            }
        }
    }
}

/// Rows of bf16 as they are.
impl WithSimd for Part<'_, u16> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        debug_assert!(self.view.rows.precision == Precision::Bf16);
        by_shape!(self, |row, out| copy::<u16, u16>(row, out, |x| x), (32, 64), (64, 128), (128, 256));
    }
}

/// Whole blocks first, which the compiler makes vectors of.
#[inline(always)]
fn copy<A: Pod, B: Pod>(row: &[u8], out: &mut [B], of: impl Fn(A) -> B) {
    let row: &[A] = bytemuck::cast_slice(&row[..size_of::<A>() * out.len()]);
    let ((blocks, rest), (out_blocks, out_rest)) = (row.as_chunks::<BLOCK>(), out.as_chunks_mut::<BLOCK>());
    for (out, block) in out_blocks.iter_mut().zip(blocks) {
        *out = block.map(&of);
    }
    for (out, &x) in out_rest.iter_mut().zip(rest) {
        *out = of(x);
    }
}
