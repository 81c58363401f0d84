//! Counters of items by bucket, bit-sliced: one addition counts in 512 buckets.

use crate::simd::{Indices, LANES, Simd};

/// Planes that a block of items is added to by whole adders; carries beyond them ripple.
const LOW: usize = 3;
/// Items of a block.
pub(super) const BLOCK: usize = 1 << LOW;

/// Plane p holds bit p of every bucket's count.
pub(super) struct Counter<S: Simd> {
    /// `planes[p * chunks + chunk]`.
    planes: Vec<S::Mask>,
    chunks: usize,
}

/// Sum and carry of three bits.
#[inline(always)]
fn add<S: Simd>(s: S, a: S::Mask, b: S::Mask, c: S::Mask) -> (S::Mask, S::Mask) {
    let half = s.xor(a, b);
    (s.xor(half, c), s.or(s.and(a, b), s.and(half, c)))
}

impl<S: Simd> Default for Counter<S> {
    fn default() -> Self {
        Self { planes: Vec::new(), chunks: 1 }
    }
}

impl<S: Simd> Counter<S> {
    /// Forgets all counts.
    #[inline(always)]
    pub(super) fn restart(&mut self, s: S, chunks: usize) {
        self.planes.clear();
        self.planes.resize(LOW * chunks, s.zero());
        self.chunks = chunks;
    }

    /// Counts [`BLOCK`] items, whose masks follow each other (Harley and Seal's carry-save adder).
    #[inline(always)]
    pub(super) fn add(&mut self, s: S, block: &[S::Mask]) {
        let chunks = self.chunks;
        let block = &block[..BLOCK * chunks];
        for chunk in 0..chunks {
            let (a, b, c, d) =
                (block[chunk], block[chunks + chunk], block[2 * chunks + chunk], block[3 * chunks + chunk]);
            let rest = &block[4 * chunks..];
            let (e, f, g, h) = (rest[chunk], rest[chunks + chunk], rest[2 * chunks + chunk], rest[3 * chunks + chunk]);
            let ones = self.planes[chunk];
            let (ones, two_a) = add(s, ones, a, b);
            let (ones, two_b) = add(s, ones, c, d);
            let (ones, two_c) = add(s, ones, e, f);
            let (ones, two_d) = add(s, ones, g, h);
            let twos = self.planes[chunks + chunk];
            let (twos, four_a) = add(s, twos, two_a, two_b);
            let (twos, four_b) = add(s, twos, two_c, two_d);
            let (fours, mut carry) = add(s, self.planes[2 * chunks + chunk], four_a, four_b);
            self.planes[chunk] = ones;
            self.planes[chunks + chunk] = twos;
            self.planes[2 * chunks + chunk] = fours;
            let mut at = LOW * chunks + chunk;
            while s.any(carry) {
                if at >= self.planes.len() {
                    self.planes.resize(self.planes.len() + chunks, s.zero());
                }
                let plane = self.planes[at];
                self.planes[at] = s.xor(plane, carry);
                carry = s.and(plane, carry);
                at += chunks;
            }
        }
    }

    #[inline(always)]
    pub(super) fn any_at_least(&self, s: S, least: u64) -> bool {
        let mut any = false;
        for chunk in 0..self.chunks {
            any |= s.any(self.at_least(s, chunk, least));
        }
        any
    }

    /// Counts of the buckets of `which`.
    #[inline(always)]
    pub(super) fn counts(&self, s: S, which: &[S::Mask]) -> Vec<u64> {
        let mut out = Vec::new();
        let mut hit: Indices = [0; LANES + 32];
        for (chunk, &mask) in which.iter().enumerate() {
            let buckets = s.indices(mask, LANES / 64, &mut hit);
            let begin = out.len();
            out.resize(begin + buckets, 0);
            for (p, planes) in self.planes.chunks_exact(self.chunks).enumerate() {
                let words = s.words(planes[chunk]);
                for (count, &bucket) in out[begin..].iter_mut().zip(&hit) {
                    *count |= (words[usize::from(bucket) / 64] >> (bucket % 64) & 1) << p;
                }
            }
        }
        out
    }

    /// Buckets of a chunk whose count is at least `least`.
    #[inline(always)]
    pub(super) fn at_least(&self, s: S, chunk: usize, least: u64) -> S::Mask {
        let planes = self.planes.len() / self.chunks;
        if least >> planes != 0 {
            return s.zero();
        }
        let (mut above, mut equal) = (s.zero(), s.low(LANES));
        for p in (0..planes).rev() {
            let plane = self.planes[p * self.chunks + chunk];
            if least >> p & 1 == 1 {
                equal = s.and(equal, plane);
            } else {
                above = s.or(above, s.and(equal, plane));
                equal = s.without(equal, plane);
            }
        }
        s.or(above, equal)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrifty_base::hash::mix64;

    use super::*;
    use crate::simd::{Kernel, dispatch};

    struct Counted<'a>(&'a [[u64; 8]], usize, u64);

    impl Kernel for Counted<'_> {
        type Out = Vec<[u64; 8]>;

        fn run<S: Simd>(self, s: S) -> Self::Out {
            let mut counter = Counter::default();
            counter.restart(s, self.1);
            let masks: Vec<S::Mask> = self.0.iter().map(|m| s.pack(m)).collect();
            masks.chunks(BLOCK * self.1).for_each(|block| counter.add(s, block));
            (0..self.1).map(|chunk| s.words(counter.at_least(s, chunk, self.2))).collect()
        }
    }

    proptest! {
        #[test]
        fn counts_are_counts(seed: u64, blocks in 1usize..20, chunks in 1usize..4, least in 0u64..100, fill in 0u32..3) {
            let word = |i: usize| {
                let h = |j: u64| mix64(seed ^ (i as u64) << 8 ^ j);
                [h(0) & h(1) & h(2), h(0), h(0) | h(1) | h(2)][fill as usize]
            };
            let masks: Vec<[u64; 8]> = (0..blocks * BLOCK * chunks).map(|i| std::array::from_fn(|w| word(8 * i + w))).collect();
            for path in thrifty_base::simd::Path::usable() {
                let got = dispatch(path, Counted(&masks, chunks, least));
                for (chunk, words) in got.iter().enumerate() {
                    for bit in 0..LANES {
                        let count = masks.iter().skip(chunk).step_by(chunks).filter(|m| m[bit / 64] >> (bit % 64) & 1 == 1).count();
                        prop_assert_eq!(words[bit / 64] >> (bit % 64) & 1 == 1, count as u64 >= least);
                    }
                }
            }
        }
    }
}
