//! Sums of rows, wherever they lie.

use bytemuck::Pod;
use pulp::Simd;
use thrifty_base::prefetch::{prefetch, prefetch_near};

use crate::spec::BLOCK;

/// What a number of a row is.
pub(crate) trait Unit: Pod {
    /// Numbers as f32.
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK];

    /// As many numbers of a row, in whichever order is read fastest: parts 0 to `row.len() - 1` are all numbers, once.
    #[inline(always)]
    fn part(row: &[[Self; BLOCK]], n: usize) -> [f32; BLOCK] {
        Self::widen(&row[n])
    }

    /// Puts the parts of a row, or sums of them, in the order of its numbers.
    #[inline(always)]
    fn order(_parts: &mut [[f32; BLOCK]]) {}
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

    /// Two blocks are read as words, whose lower halves are one part and whose upper halves are the next: half as many
    /// loads, and none that moves numbers to other lanes. A last block alone is read as it lies.
    #[inline(always)]
    fn part(row: &[[Self; BLOCK]], n: usize) -> [f32; BLOCK] {
        let Some(two) = row.as_chunks::<2>().0.get(n / 2) else {
            return Self::widen(&row[n]);
        };
        let words: [u32; BLOCK] = bytemuck::pod_read_unaligned(bytemuck::bytes_of(two));
        if n.is_multiple_of(2) {
            words.map(|word| f32::from_bits(word << 16))
        } else {
            words.map(|word| f32::from_bits(word & 0xFFFF_0000))
        }
    }

    #[inline(always)]
    fn order(parts: &mut [[f32; BLOCK]]) {
        for two in parts.as_chunks_mut::<2>().0 {
            let [lower, upper] = *two;
            let words = two.as_flattened_mut().as_chunks_mut::<2>().0;
            words.iter_mut().zip(lower.into_iter().zip(upper)).for_each(|(word, halves)| *word = halves.into());
        }
    }
}

impl Unit for i8 {
    #[inline(always)]
    fn widen(block: &[Self; BLOCK]) -> [f32; BLOCK] {
        block.map(f32::from)
    }
}

/// The most blocks that one pass over the rows holds in registers: as many as `rows` writes out.
const MOST: usize = 8;

/// Rows to sum, and those that are asked of memory meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Bag<'a, R> {
    /// All numbers of a table.
    pub(crate) data: &'a [R],
    /// Where the rows begin.
    pub(crate) starts: &'a [usize],
    /// Where later rows begin; as many as `starts`, or fewer, or none.
    pub(crate) later: &'a [usize],
    /// The same of rows that come sooner, from the second cache to the first; not looked at with numbers of f32.
    pub(crate) soon: &'a [usize],
    /// What each row is multiplied by; 1 without.
    pub(crate) factors: Option<&'a [f32]>,
    /// Where in a row the bytes of a factor of its own stand.
    pub(crate) own: Option<usize>,
    /// What the sum is multiplied by.
    pub(crate) scale: f32,
}

impl<R: Unit> Bag<'_, R> {
    /// Writes `scale * sum over i of factors[i] * row i`. A row's values are filled up to whole blocks.
    #[inline(always)]
    pub(crate) fn sum<S: Simd>(self, s: S, out: &mut [f32]) {
        for (pass, out) in out.chunks_mut(MOST * BLOCK).enumerate() {
            let first = pass * MOST * BLOCK;
            match out.len().div_ceil(BLOCK) {
                1 => self.pass::<S, 1>(s, first, out),
                2 => self.pass::<S, 2>(s, first, out),
                3 => self.pass::<S, 3>(s, first, out),
                4 => self.pass::<S, 4>(s, first, out),
                5 => self.pass::<S, 5>(s, first, out),
                6 => self.pass::<S, 6>(s, first, out),
                7 => self.pass::<S, 7>(s, first, out),
                _ => self.pass::<S, MOST>(s, first, out),
            }
        }
    }

    /// Some blocks of all rows, by vectors of as many numbers as there are in one.
    #[inline(always)]
    fn pass<S: Simd, const N: usize>(self, s: S, first: usize, out: &mut [f32]) {
        // Of a known number of vectors, which then stay in registers.
        match BLOCK / S::F32_LANES {
            1 => self.vectors::<S, N, 1>(s, first, out),
            2 => self.vectors::<S, N, 2>(s, first, out),
            4 => self.vectors::<S, N, 4>(s, first, out),
            _ => self.vectors::<S, N, BLOCK>(s, first, out),
        }
    }

    #[inline(always)]
    fn vectors<S: Simd, const N: usize, const V: usize>(self, s: S, first: usize, out: &mut [f32]) {
        // Read with the row, whose memory was asked for, and not before.
        let own = |start: usize, at: usize| -> f32 {
            let bytes: &[u8] = bytemuck::cast_slice(&self.data[start + at..][..4 / size_of::<R>()]);
            f32::from_le_bytes(bytes.try_into().expect("four bytes"))
        };
        // Which it is does not change from row to row.
        match (self.factors, self.own) {
            (None, None) => self.rows::<S, N, V>(s, first, out, |_, _| None),
            (Some(factors), None) => self.rows::<S, N, V>(s, first, out, |i, _| Some(factors[i])),
            (None, Some(at)) => self.rows::<S, N, V>(s, first, out, |_, start| Some(own(start, at))),
            (Some(factors), Some(at)) => {
                self.rows::<S, N, V>(s, first, out, |i, start| Some(factors[i] * own(start, at)));
            }
        }
    }

    /// `factor` gives what a row is multiplied by, from its place in `starts` and where it begins.
    #[inline(always)]
    fn rows<S: Simd, const N: usize, const V: usize>(
        self,
        s: S,
        first: usize,
        out: &mut [f32],
        factor: impl Fn(usize, usize) -> Option<f32>,
    ) {
        let mut sums = [[s.splat_f32s(0.0); V]; N];
        let row = |start: usize| -> &[[R; BLOCK]; N] {
            let numbers = &self.data[start + first..][..N * BLOCK];
            numbers.as_chunks().0.try_into().expect("N blocks")
        };
        let own = |start: usize| -> &[R] { self.own.map_or(&[], |at| &self.data[start + at..][..1]) };
        let (mut later, mut soon) = (self.later.iter(), self.soon.iter());
        for (i, &start) in self.starts.iter().enumerate() {
            if let Some(&start) = later.next() {
                prefetch(row(start));
                prefetch(own(start));
            }
            // Of f32 there are none, and to look for them made rows take 3 to 4 % longer.
            if size_of::<R>() < 4
                && let Some(&start) = soon.next()
            {
                prefetch_near(row(start));
                prefetch_near(own(start));
            }
            let factor = factor(i, start).map(|factor| s.splat_f32s(factor));
            let row = row(start);
            // Written out: of loops over eight blocks the compiler leaves some as they are, with the sums in memory.
            macro_rules! add {
                ($($n:literal)*) => {
                    $(if $n < N {
                        let block = R::part(row, $n);
                        let block: &[S::f32s; V] = S::as_simd_f32s(&block).0.try_into().expect("a block has V vectors");
                        for v in 0..V {
                            sums[$n][v] = match factor {
                                None => s.add_f32s(sums[$n][v], block[v]),
                                Some(factor) => s.mul_add_f32s(factor, block[v], sums[$n][v]),
                            };
                        }
                    })*
                };
            }
            add!(0 1 2 3 4 5 6 7);
        }
        let scale = s.splat_f32s(self.scale);
        let mut all = [[0.0; BLOCK]; N];
        for (out, sums) in all.iter_mut().zip(&sums) {
            for (out, &sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
                *out = s.mul_f32s(scale, sum);
            }
        }
        R::order(&mut all);
        out.copy_from_slice(&all.as_flattened()[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_order_are_the_row() {
        for blocks in 1..=MOST {
            let numbers: Vec<u16> = (0..blocks * BLOCK).map(|i| 0x3F80 + i as u16).collect();
            let row = numbers.as_chunks().0;
            let mut parts: Vec<_> = (0..blocks).map(|n| u16::part(row, n)).collect();
            u16::order(&mut parts);
            let whole: Vec<_> = row.iter().map(u16::widen).collect();
            assert_eq!(parts, whole, "{blocks} blocks");
        }
    }
}
