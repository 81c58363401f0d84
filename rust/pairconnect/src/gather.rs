//! Sums of rows, wherever they lie.

use bytemuck::Pod;
use pulp::Simd;
use thrifty_base::math::LANES;

use crate::spec::BLOCK;

/// What a number of a row is.
pub(crate) trait Unit: Pod {
    /// Numbers as f32.
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK];
}

impl Unit for f32 {
    #[inline(always)]
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK] {
        *block
    }
}

/// bf16.
impl Unit for u16 {
    #[inline(always)]
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK] {
        block.map(|x| f32::from_bits(u32::from(x) << 16))
    }
}

impl Unit for i8 {
    #[inline(always)]
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK] {
        block.map(f32::from)
    }
}

/// The most blocks that one pass over the rows holds in registers.
const MOST: usize = 8;

/// `out = scale * sum over i of factors[i] * row i`; rows begin at the bytes `starts` of `data`, and without factors all
/// are 1. A row's values are filled up to whole blocks.
#[inline(always)]
pub(crate) fn sum_rows<S: Simd, R: Unit>(
    s: S,
    data: &[u8],
    starts: &[usize],
    factors: Option<&[f32]>,
    scale: f32,
    out: &mut [f32],
) {
    for (pass, out) in out.chunks_mut(MOST * BLOCK).enumerate() {
        let first = pass * MOST * BLOCK * size_of::<R>();
        let part = Part { data, starts, factors, first, scale };
        match out.len().div_ceil(BLOCK) {
            1 => part.sum::<S, R, 1>(s, out),
            2 => part.sum::<S, R, 2>(s, out),
            3 => part.sum::<S, R, 3>(s, out),
            4 => part.sum::<S, R, 4>(s, out),
            5 => part.sum::<S, R, 5>(s, out),
            6 => part.sum::<S, R, 6>(s, out),
            7 => part.sum::<S, R, 7>(s, out),
            _ => part.sum::<S, R, MOST>(s, out),
        }
    }
}

/// Some blocks of all rows.
#[derive(Clone, Copy)]
struct Part<'a> {
    data: &'a [u8],
    starts: &'a [usize],
    factors: Option<&'a [f32]>,
    first: usize,
    scale: f32,
}

impl Part<'_> {
    #[inline(always)]
    fn sum<S: Simd, R: Unit, const N: usize>(self, s: S, out: &mut [f32]) {
        let mut sums = [[s.splat_f32s(0.0); LANES]; N];
        let row = |start: usize| -> &[[R; BLOCK]] {
            let start = start + self.first;
            bytemuck::cast_slice::<u8, R>(&self.data[start..start + N * BLOCK * size_of::<R>()]).as_chunks().0
        };
        match self.factors {
            None => {
                for &start in self.starts {
                    for (sums, block) in sums.iter_mut().zip(row(start)) {
                        for (sum, &x) in sums.iter_mut().zip(S::as_simd_f32s(&R::widen(block)).0) {
                            *sum = s.add_f32s(*sum, x);
                        }
                    }
                }
            }
            Some(factors) => {
                for (&start, &factor) in self.starts.iter().zip(factors) {
                    let factor = s.splat_f32s(factor);
                    for (sums, block) in sums.iter_mut().zip(row(start)) {
                        for (sum, &x) in sums.iter_mut().zip(S::as_simd_f32s(&R::widen(block)).0) {
                            *sum = s.mul_add_f32s(factor, x, *sum);
                        }
                    }
                }
            }
        }
        let scale = s.splat_f32s(self.scale);
        let (whole, rest) = out.as_chunks_mut::<BLOCK>();
        for (out, sums) in whole.iter_mut().zip(&sums) {
            for (out, &sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
                *out = s.mul_f32s(scale, sum);
            }
        }
        if !rest.is_empty() {
            let mut block = [0.0; BLOCK];
            for (out, &sum) in S::as_mut_simd_f32s(&mut block).0.iter_mut().zip(&sums[whole.len()]) {
                *out = s.mul_f32s(scale, sum);
            }
            rest.copy_from_slice(&block[..rest.len()]);
        }
    }
}
