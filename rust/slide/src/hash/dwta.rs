//! Densified winner-take-all hashes (Chen and Shrivastava, UAI 2018; SLIDE section 2.1).
//!
//! A bin looks at eight coordinates and says which is largest: three bits, the same for every positive multiple of the
//! vector. Zeros are absent coordinates, so that a sparse vector has the codes of its dense form; a bin that sees
//! nothing borrows the code of another bin. K bins make the code of a table.

use pulp::{Simd, WithSimd};
use thrifty_base::hash::reduce;
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::philox::Philox;
use thrifty_base::simd::Path;

use super::join::Join;
use super::probe::probes;
use crate::stream;

/// Coordinates of a bin.
pub const BIN: usize = 8;
/// Bits of a bin's code.
pub(super) const BITS: usize = 3;
/// Code of a bin that sees no coordinate.
const EMPTY: u32 = 1 << BITS;

/// The bins of all tables.
#[derive(Clone, Debug)]
pub(super) struct Dwta {
    /// Coordinates of each bin, tables one after the other.
    coordinates: Vec<[u32; BIN]>,
    key: u64,
    join: Join,
}

impl Dwta {
    /// Bins over vectors of `length` coordinates (at least [`BIN`]), from random permutations of them.
    pub(super) fn new(k: usize, tables: usize, bits: usize, length: usize, seed: u64) -> Self {
        let random = Philox::new(seed, stream::PERMUTATIONS);
        let a_permutation = length / BIN;
        let mut coordinates = Vec::with_capacity(k * tables);
        let mut permutation: Vec<u32> = Vec::new();
        for bin in 0..k * tables {
            let (round, at) = (bin / a_permutation, bin % a_permutation);
            if at == 0 {
                permutation = (0..length as u32).collect();
                for i in (1..length).rev() {
                    let draw = random.u64_at((round * length + i) as u64);
                    permutation.swap(i, reduce(draw, i as u64 + 1) as usize);
                }
            }
            coordinates.push(std::array::from_fn(|i| permutation[at * BIN + i]));
        }
        let keys = Philox::new(seed, stream::HASH_KEYS);
        Self { coordinates, key: keys.u64_at(1), join: Join { k, width: BITS, bits, key: keys.u64_at(0) } }
    }

    /// Codes of vectors side by side, which are lost.
    pub(super) fn codes(&self, path: Path, block: &mut [f32], winners: &mut Vec<u32>, out: &mut [u32]) {
        winners.resize(self.coordinates.len() * LANES, 0);
        let present = dispatch(path, Absent { block });
        if dispatch(path, Winners { coordinates: &self.coordinates, block, out: winners }) {
            self.densify(winners, present);
        }
        self.join.codes(path, winners, out);
    }

    /// Fills the empty bins of each vector from others that are not; of a vector without coordinates with zeros.
    fn densify(&self, winners: &mut [u32], present: [bool; LANES]) {
        let mut filled: Vec<(usize, u32)> = Vec::new();
        let (bins, _) = winners.as_chunks::<LANES>();
        for (bin, codes) in bins.iter().enumerate() {
            if codes.iter().fold(0, |all, code| all | code) & EMPTY == 0 {
                continue;
            }
            for lane in (0..LANES).filter(|&lane| codes[lane] == EMPTY) {
                let found = || probes(self.key, bin, bins.len()).map(|b| bins[b][lane]).find(|&code| code != EMPTY);
                filled.push((bin * LANES + lane, present[lane].then(found).flatten().unwrap_or(0)));
            }
        }
        for (at, code) in filled {
            winners[at] = code;
        }
    }
}

/// Makes coordinates that are zero or not a number smaller than all others; says which vectors have others.
struct Absent<'a> {
    block: &'a mut [f32],
}

impl WithSimd for Absent<'_> {
    type Output = [bool; LANES];

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> [bool; LANES] {
        let zero = s.splat_f32s(0.0);
        let nothing = s.splat_f32s(f32::NEG_INFINITY);
        let mut most = [f32::NEG_INFINITY; LANES];
        let largest = S::as_mut_simd_f32s(&mut most).0;
        for x in self.block.as_chunks_mut::<LANES>().0 {
            for (x, largest) in S::as_mut_simd_f32s(x).0.iter_mut().zip(&mut *largest) {
                // Neither above nor below zero.
                let magnitude = s.abs_f32s(*x);
                *x = s.select_f32s(s.less_than_f32s(zero, magnitude), *x, nothing);
                *largest = s.max_f32s(*largest, *x);
            }
        }
        most.map(|x| x > f32::NEG_INFINITY)
    }
}

/// Which coordinate of each bin is largest, the first of equal ones, [`EMPTY`] where all are absent; whether there is such
/// a bin.
struct Winners<'a> {
    coordinates: &'a [[u32; BIN]],
    block: &'a [f32],
    out: &'a mut [u32],
}

impl WithSimd for Winners<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> bool {
        let nothing = s.splat_f32s(f32::NEG_INFINITY);
        let vectors = LANES / S::F32_LANES;
        let block = S::as_simd_f32s(self.block).0;
        let out = S::as_mut_simd_u32s(self.out).0;
        let numbers: [S::u32s; BIN] = std::array::from_fn(|i| s.splat_u32s(i as u32));
        // The larger of two, and its number; a tournament has shorter chains than a walk.
        let larger = |(a, i): (S::f32s, S::u32s), (b, j): (S::f32s, S::u32s)| {
            (s.max_f32s(a, b), s.select_u32s(s.less_than_f32s(a, b), j, i))
        };
        let mut most = s.splat_u32s(0);
        for (bin, out) in self.coordinates.iter().zip(out.chunks_exact_mut(vectors)) {
            for (v, out) in out.iter_mut().enumerate() {
                let x = |i: usize| (block[bin[i] as usize * vectors + v], numbers[i]);
                let left = larger(larger(x(0), x(1)), larger(x(2), x(3)));
                let right = larger(larger(x(4), x(5)), larger(x(6), x(7)));
                let (best, code) = larger(left, right);
                let code = s.select_u32s(s.equal_f32s(best, nothing), s.splat_u32s(EMPTY), code);
                most = s.or_u32s(most, code);
                *out = code;
            }
        }
        let most: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&most));
        most.iter().any(|code| code & EMPTY != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, one bin at a time.
    #[test]
    fn winners_by_hand() {
        let (k, tables, length) = (3, 7, 24);
        let hash = Dwta::new(k, tables, BITS * k, length, 5);
        let random = Philox::new(1, 7);
        let x: Vec<f32> = (0..(length * LANES) as u64).map(|i| (random.u64_at(i) % 16) as f32 - 20.0).collect();
        for path in Path::usable() {
            let mut got = vec![0; tables * LANES];
            hash.codes(path, &mut x.clone(), &mut Vec::new(), &mut got);
            for lane in 0..LANES {
                for t in 0..tables {
                    let bins = &hash.coordinates[t * k..(t + 1) * k];
                    let winner = |bin: &[u32; BIN]| {
                        let at = |i: usize| x[bin[i] as usize * LANES + lane];
                        (0..BIN).fold(0, |best, i| if at(i) > at(best) { i } else { best }) as u32
                    };
                    assert_eq!(got[t * LANES + lane], bins.iter().fold(0, |code, bin| code << BITS | winner(bin)));
                }
            }
        }
    }

    /// Empty bins have the code of the first bin that is not, in their order.
    #[test]
    fn empty_bins_borrow() {
        let (k, tables, length) = (2, 40, 128);
        let hash = Dwta::new(k, tables, BITS * k, length, 5);
        let mut x = vec![0.0; length * LANES];
        for c in [3, 40, 41, 90, 127] {
            x[c * LANES + 9] = -1.0 - c as f32;
        }
        let of = |bin: &[u32; BIN]| {
            let at = |i: usize| x[bin[i] as usize * LANES + 9];
            (0..BIN).filter(|&i| at(i) != 0.0).max_by(|&a, &b| at(a).total_cmp(&at(b)))
        };
        let own: Vec<Option<usize>> = hash.coordinates.iter().map(of).collect();
        assert!(own.iter().filter(|o| o.is_none()).count() > 40);
        let mut got = vec![0; tables * LANES];
        hash.codes(Path::Scalar, &mut x.clone(), &mut Vec::new(), &mut got);
        for bin in 0..k * tables {
            let exact = own[bin].or_else(|| probes(hash.key, bin, k * tables).find_map(|b| own[b]));
            assert_eq!(got[bin / k * LANES + 9] >> (BITS * (k - 1 - bin % k)) & 7, exact.unwrap_or(0) as u32);
            assert_eq!(got[bin / k * LANES], 0);
        }
    }
}
