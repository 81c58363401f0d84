//! Densified winner-take-all hashes (Chen and Shrivastava, UAI 2018; SLIDE section 2.1).
//!
//! A bin looks at eight coordinates and says which is largest: three bits, the same for every positive multiple of the
//! vector. Zeros are absent coordinates, so that a sparse vector has the codes of its dense form; a bin that sees
//! nothing borrows the code of another bin. K bins make the code of a table.

use pulp::{Simd, WithSimd};
use thrifty_base::hash::{mix64, reduce};
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::philox::Philox;
use thrifty_base::simd::Path;

use crate::stream;

/// Coordinates of a bin.
pub const BIN: usize = 8;
/// Bits of a bin's code.
pub const BITS: usize = 3;
/// Code of a bin that sees no coordinate.
const EMPTY: u32 = 1 << BITS;
/// Bins that an empty one asks before it says 0.
const TRIES: u64 = 100;

/// The bins of all tables.
#[derive(Clone, Debug)]
pub struct Dwta {
    /// Bins a table (K).
    k: usize,
    /// Tables (L).
    tables: usize,
    /// Coordinates of each bin, tables one after the other.
    coordinates: Vec<[u32; BIN]>,
    seed: u64,
}

impl Dwta {
    /// Bins over vectors of `length` coordinates (at least [`BIN`]), from random permutations of them.
    pub fn new(k: usize, tables: usize, length: usize, seed: u64) -> Self {
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
        Self { k, tables, coordinates, seed }
    }

    /// Tables.
    pub fn tables(&self) -> usize {
        self.tables
    }

    /// Bits of a table's code.
    pub fn bits(&self) -> usize {
        BITS * self.k
    }

    /// Codes of [`LANES`] vectors side by side: `x[c * stride + lane]` is coordinate c. `out` has a row of [`LANES`]
    /// codes for each table.
    pub fn codes(&self, path: Path, x: &[f32], stride: usize, scratch: &mut Vec<u32>, out: &mut [u32]) {
        scratch.resize(self.coordinates.len() * LANES, 0);
        let empty = dispatch(path, Winners { coordinates: &self.coordinates, x, stride, out: scratch });
        if empty {
            for lane in 0..LANES {
                self.densify(scratch, lane);
            }
        }
        for (bins, out) in scratch.chunks_exact(self.k * LANES).zip(out.chunks_exact_mut(LANES)) {
            out.fill(0);
            for bin in bins.chunks_exact(LANES) {
                for (out, &code) in out.iter_mut().zip(bin) {
                    *out = *out << BITS | code;
                }
            }
        }
    }

    /// Fills the empty bins of one vector from others that are not.
    fn densify(&self, winners: &mut [u32], lane: usize) {
        let bins = self.coordinates.len();
        let own: Vec<u32> = winners.iter().skip(lane).step_by(LANES).copied().collect();
        for bin in (0..bins).filter(|&b| own[b] == EMPTY) {
            let other = |attempt| reduce(mix64(self.seed ^ mix64((bin as u64) << 8 | attempt)), bins as u64) as usize;
            let found = (0..TRIES).map(|attempt| own[other(attempt)]).find(|&code| code != EMPTY);
            winners[bin * LANES + lane] = found.unwrap_or(0);
        }
    }
}

/// Which coordinate of each bin is largest, [`EMPTY`] where all are zero; whether there is such a bin.
struct Winners<'a> {
    coordinates: &'a [[u32; BIN]],
    x: &'a [f32],
    stride: usize,
    out: &'a mut [u32],
}

impl WithSimd for Winners<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> bool {
        let zero = s.splat_f32s(0.0);
        let nothing = s.splat_f32s(f32::NEG_INFINITY);
        let mut most = s.splat_u32s(0);
        for (bin, out) in self.coordinates.iter().zip(self.out.chunks_exact_mut(LANES)) {
            let out = S::as_mut_simd_u32s(out).0;
            for (v, out) in out.iter_mut().enumerate() {
                let (mut best, mut code) = (nothing, s.splat_u32s(EMPTY));
                for (i, &coordinate) in bin.iter().enumerate() {
                    let at = coordinate as usize * self.stride + v * S::F32_LANES;
                    let x = S::as_simd_f32s(&self.x[at..at + S::F32_LANES]).0[0];
                    let x = s.select_f32s(s.equal_f32s(x, zero), nothing, x);
                    code = s.select_u32s(s.less_than_f32s(best, x), s.splat_u32s(i as u32), code);
                    best = s.max_f32s(best, x);
                }
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

    /// Random vectors side by side: coordinate c of vector v at `c * LANES + v`.
    fn vectors(length: usize, seed: u64) -> Vec<f32> {
        let random = Philox::new(seed, 7);
        (0..(length * LANES) as u64).map(|i| (random.u64_at(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    fn codes(hash: &Dwta, x: &[f32]) -> Vec<u32> {
        let mut first: Option<Vec<u32>> = None;
        for path in Path::usable() {
            let mut out = vec![0; hash.tables() * LANES];
            hash.codes(path, x, LANES, &mut Vec::new(), &mut out);
            assert_eq!(first.get_or_insert_with(|| out.clone()), &out, "{path:?}");
        }
        first.unwrap_or_default()
    }

    /// The definition, one bin at a time.
    #[test]
    fn winners_by_hand() {
        let (k, tables, length) = (3, 7, 24);
        let hash = Dwta::new(k, tables, length, 5);
        let x = vectors(length, 1);
        let got = codes(&hash, &x);
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

    #[test]
    fn scale_does_not_matter() {
        let hash = Dwta::new(4, 50, 128, 1);
        for seed in 0..20 {
            let mut x = vectors(128, seed);
            if seed % 2 == 0 {
                x.iter_mut().for_each(|x| *x = x.max(0.0)); // as after a rectifier
            }
            let tripled: Vec<f32> = x.iter().map(|x| 3.0 * x).collect();
            assert_eq!(codes(&hash, &x), codes(&hash, &tripled));
        }
    }

    /// Bins without a coordinate borrow; a vector of zeros has a code too.
    #[test]
    fn sparse_vectors() {
        let hash = Dwta::new(4, 50, 128, 1);
        let mut x = vec![0.0; 128 * LANES];
        x[70 * LANES + 3] = 1.0; // vector 3 has a single coordinate
        let got = codes(&hash, &x);
        let of = |lane: usize| -> Vec<u32> { got.iter().skip(lane).step_by(LANES).copied().collect() };
        assert!(of(0).iter().all(|&code| code == 0));
        assert!(of(3).iter().any(|&code| code != 0) && of(4) == of(0));
    }

    /// With three bits a bin random vectors reach nearly all buckets; codes that overlap would reach few.
    #[test]
    fn buckets_are_reached() {
        let hash = Dwta::new(4, 1, 128, 3);
        let mut seen = std::collections::HashSet::new();
        for seed in 0..1024 {
            seen.extend(codes(&hash, &vectors(128, seed)));
        }
        assert!(seen.len() > 4096 * 6 / 10, "{}", seen.len());
    }
}
