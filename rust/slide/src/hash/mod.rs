//! Families of locality-sensitive hashes.
//!
//! A table's code is made of K values, each more likely to be equal for vectors that are alike. Sixteen vectors are hashed
//! side by side.
//!
//! | family | a value | P\[equal\] |
//! | --- | --- | --- |
//! | [`Family::Dwta`] | which of eight coordinates is largest | rises with rank correlation |
//! | [`Family::SimHash`] | the sign of a Gaussian projection | 1 - angle / pi |
//! | [`Family::MinHash`] | the least hash of the [`TOP`] largest coordinates | Jaccard similarity of the two sets |
//! | [`Family::Doph`] | the least within a bin of coordinates | nearly that, by one hash function |

mod doph;
mod dwta;
mod gather;
mod join;
mod minhash;
mod probe;
mod simhash;
mod top;

use thrifty_base::math::{LANES, Rows};
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;

use crate::{Error, Result};

pub use dwta::BIN;
pub use top::TOP;

/// A family of hash functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Family {
    /// Densified winner-take-all.
    Dwta,
    /// Signs of Gaussian projections.
    SimHash,
    /// Densified one-permutation hashing of the largest coordinates.
    Doph,
    /// Minima of independent hash functions over the largest coordinates.
    MinHash,
}

impl Family {
    /// All families by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("dwta", Self::Dwta), ("simhash", Self::SimHash), ("doph", Self::Doph), ("minhash", Self::MinHash)];

    /// The family of a name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|&(n, _)| n == name).map(|(_, family)| family);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|(n, _)| n).join(", ");
            Error::argument("family", format!("'{name}' is not possible; one of {names}"))
        })
    }

    /// Bits that K values take side by side; none where a value is a whole word.
    pub fn plain_bits(self, k: usize) -> Option<usize> {
        match self {
            Self::Dwta => Some(dwta::BITS * k),
            Self::SimHash => Some(k),
            Self::Doph | Self::MinHash => None,
        }
    }
}

/// The hash functions of all tables.
#[derive(Clone, Debug)]
pub struct Hash {
    functions: Functions,
    family: Family,
    tables: usize,
    bits: usize,
    length: usize,
}

#[derive(Clone, Debug)]
enum Functions {
    Dwta(dwta::Dwta),
    SimHash(simhash::SimHash),
    Doph(doph::Doph),
    MinHash(minhash::MinHash),
}

/// Memory that one call leaves to the next.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// The vectors, coordinate after coordinate.
    block: Vec<f32>,
    /// Where products go.
    products: Vec<f32>,
    /// Values of [`LANES`] vectors, one after the other.
    values: Vec<u32>,
    /// Values of one vector.
    words: Vec<u64>,
    /// Coordinates of one vector.
    coordinates: Vec<(f32, u32)>,
}

impl Hash {
    /// `k` values for each of `tables` codes below `2^bits`, over vectors of `length` coordinates.
    ///
    /// Where the values fit into `bits` bits side by side they are the code, else they are mixed.
    pub fn new(family: Family, k: usize, tables: usize, bits: usize, length: usize, seed: u64) -> Result<Self> {
        for (argument, value, least, most) in [
            ("k", k, 1, 16),
            ("tables", tables, 1, 1024),
            ("range", bits, 1, 24),
            ("length", length, BIN, u32::MAX as usize),
        ] {
            if value < least || value > most {
                return Err(Error::argument(argument, format!("{value} is not possible; from {least} to {most}")));
            }
        }
        let functions = match family {
            Family::Dwta => Functions::Dwta(dwta::Dwta::new(k, tables, bits, length, seed)),
            Family::SimHash => Functions::SimHash(simhash::SimHash::new(k, tables, bits, length, seed)?),
            Family::Doph => Functions::Doph(doph::Doph::new(k, tables, bits, seed)),
            Family::MinHash => Functions::MinHash(minhash::MinHash::new(k, tables, bits, seed)),
        };
        Ok(Self { functions, family, tables, bits, length })
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Tables.
    pub fn tables(&self) -> usize {
        self.tables
    }

    /// Codes are below 2 to this power.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Coordinates of a vector.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Codes of [`LANES`] vectors side by side: `x[c * stride + lane]` is coordinate c. `out` has a row of [`LANES`]
    /// codes for each table.
    pub fn codes(&self, path: Path, x: &[f32], stride: usize, scratch: &mut Scratch, out: &mut [u32]) {
        let block = gather::aligned(&mut scratch.block, self.length * LANES);
        for (c, to) in block.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            *to = *x[c * stride..].first_chunk().expect("all lanes of a coordinate");
        }
        self.block(path, scratch, out);
    }

    /// Codes of at most [`LANES`] rows of a matrix, as [`Self::codes`] gives them; lanes without a row get codes too.
    pub fn rows(&self, path: Path, rows: Rows<'_>, scratch: &mut Scratch, out: &mut [u32]) {
        assert_eq!(rows.length, self.length);
        gather::side_by_side(path, rows, gather::aligned(&mut scratch.block, self.length * LANES));
        self.block(path, scratch, out);
    }

    /// Codes of all rows of a matrix, `tables` for each row.
    pub fn matrix(&self, path: Path, data: &[f32], progress: &Progress) -> Result<Vec<u32>> {
        if !data.len().is_multiple_of(self.length) {
            let why = format!("{} numbers are no rows of {}", data.len(), self.length);
            return Err(Error::argument("vectors", why));
        }
        let rows = data.len() / self.length;
        progress.start("hash", rows as u64)?;
        let mut codes = vec![0; rows * self.tables];
        let (mut scratch, mut block) = (Scratch::default(), vec![0; self.tables * LANES]);
        for (b, out) in codes.chunks_mut(self.tables * LANES).enumerate() {
            let rows = out.len() / self.tables;
            let starts: Vec<usize> = (0..rows).map(|i| (b * LANES + i) * self.length).collect();
            self.rows(path, Rows { data, starts: &starts, length: self.length }, &mut scratch, &mut block);
            for (lane, out) in out.chunks_exact_mut(self.tables).enumerate() {
                for (out, codes) in out.iter_mut().zip(block.chunks_exact(LANES)) {
                    *out = codes[lane];
                }
            }
            progress.advance(rows as u64)?;
        }
        Ok(codes)
    }

    /// Codes of the vectors in `scratch`.
    fn block(&self, path: Path, scratch: &mut Scratch, out: &mut [u32]) {
        assert_eq!(out.len(), self.tables * LANES);
        let Scratch { block, products, values, words, coordinates } = scratch;
        let block = gather::aligned(block, self.length * LANES);
        match &self.functions {
            Functions::Dwta(f) => f.codes(path, block, values, out),
            Functions::SimHash(f) => f.codes(path, block, products, values, out),
            Functions::Doph(f) => f.codes(block, words, coordinates, out),
            Functions::MinHash(f) => f.codes(path, block, words, coordinates, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use thrifty_base::philox::Philox;

    use super::*;

    /// Random vectors side by side: coordinate c of vector v at `c * LANES + v`.
    fn vectors(length: usize, seed: u64) -> Vec<f32> {
        let random = Philox::new(seed, 7);
        (0..(length * LANES) as u64).map(|i| (random.u64_at(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// On all paths, of vectors in a wider matrix, and of the same ones as rows.
    fn codes(hash: &Hash, x: &[f32]) -> Vec<u32> {
        let length = hash.length();
        let mut wide = vec![9.0; length * (LANES + 5)];
        let mut rows = vec![0.0; length * LANES];
        for (c, x) in x.chunks_exact(LANES).enumerate() {
            wide[c * (LANES + 5)..][..LANES].copy_from_slice(x);
            x.iter().enumerate().for_each(|(lane, &x)| rows[(LANES - 1 - lane) * length + c] = x);
        }
        let starts: Vec<usize> = (0..LANES).rev().map(|lane| lane * length).collect();
        let (mut first, mut scratch) = (None, Scratch::default());
        for path in Path::usable() {
            let mut out = vec![0; hash.tables() * LANES];
            hash.codes(path, &wide, LANES + 5, &mut scratch, &mut out);
            assert_eq!(first.get_or_insert_with(|| out.clone()), &out, "{path:?}");
            out.fill(0);
            hash.rows(path, Rows { data: &rows, starts: &starts, length }, &mut scratch, &mut out);
            assert_eq!(first.as_ref(), Some(&out), "{path:?}");
        }
        let codes = first.unwrap_or_default();
        assert!(codes.iter().all(|&code| code < 1 << hash.bits()));
        codes
    }

    fn of_lane(codes: &[u32], lane: usize) -> Vec<u32> {
        codes.iter().skip(lane).step_by(LANES).copied().collect()
    }

    #[test]
    fn wrong_arguments() {
        for (k, tables, bits, length, named) in [
            (0, 1, 6, 8, "k"),
            (17, 1, 6, 8, "k"),
            (1, 0, 6, 8, "tables"),
            (1, 1025, 6, 8, "tables"),
            (1, 1, 0, 8, "range"),
            (1, 1, 25, 8, "range"),
            (1, 1, 6, 7, "length"),
        ] {
            for (_, family) in Family::ALL {
                let error = Hash::new(family, k, tables, bits, length, 1).unwrap_err();
                assert!(matches!(error, Error::Argument { argument, .. } if argument == named));
            }
        }
        assert!(matches!(Family::named("srp"), Err(Error::Argument { argument: "family", .. })));
        assert!(matches!(Hash::new(Family::SimHash, 16, 1024, 16, u32::MAX as usize, 1), Err(Error::Capacity { .. })));
    }

    /// Plain and mixed codes, lengths with and without a remainder: paths, strides and rows agree (in `codes`), the same
    /// seed gives the same codes, and another one others.
    #[test]
    fn seeds_decide() {
        for (_, family) in Family::ALL {
            for (k, bits, length) in [(1, 3, 8), (4, 12, 37), (6, 14, 128), (16, 24, 130)] {
                let of = |seed| codes(&Hash::new(family, k, 20, bits, length, seed).unwrap(), &vectors(length, 3));
                assert_eq!(of(1), of(1));
                assert_ne!(of(1), of(2));
            }
        }
    }

    #[test]
    fn scale_does_not_matter() {
        for (_, family) in Family::ALL {
            let hash = Hash::new(family, 4, 50, 12, 128, 1).unwrap();
            for seed in 0..20 {
                let mut x = vectors(128, seed);
                if seed % 2 == 0 {
                    x.iter_mut().for_each(|x| *x = x.max(0.0)); // as after a rectifier
                }
                // Projections are rounded, which a power of two leaves alone.
                let by = if family == Family::SimHash { 4.0 } else { 3.0 };
                let scaled: Vec<f32> = x.iter().map(|x| by * x).collect();
                assert_eq!(codes(&hash, &x), codes(&hash, &scaled), "{family:?}");
            }
        }
    }

    /// Zeros of either sign are absent coordinates; vectors without coordinates, and with one, have codes.
    #[test]
    fn zeros_are_absent() {
        for (_, family) in Family::ALL {
            let hash = Hash::new(family, 4, 50, 12, 128, 1).unwrap();
            let mut x = vec![0.0; 128 * LANES];
            x[70 * LANES + 3] = 1.0;
            x[70 * LANES + 4] = -1.0;
            let got = codes(&hash, &x);
            let (none, one) = (of_lane(&got, 0), of_lane(&got, 3));
            assert_eq!(none, of_lane(&got, 15));
            assert_ne!(none, one);
            let negative: Vec<f32> = x.iter().map(|&x| if x == 0.0 { -0.0 } else { x }).collect();
            assert_eq!(got, codes(&hash, &negative));
            match family {
                Family::Dwta => assert!(none.iter().all(|&c| c == 0) && one == of_lane(&got, 4)),
                Family::SimHash => {
                    assert!(none.iter().all(|&c| c == 0));
                    assert!(one.iter().zip(of_lane(&got, 4)).all(|(a, b)| a ^ b == 0xF));
                }
                Family::Doph | Family::MinHash => assert_eq!(one, of_lane(&got, 4)),
            }
        }
    }

    /// What is not a number is absent too, or makes a bit 0: never a panic, the same on all paths.
    #[test]
    fn strange_numbers() {
        for (_, family) in Family::ALL {
            let hash = Hash::new(family, 4, 20, 12, 40, 1).unwrap();
            let mut x = vectors(40, 1);
            for (i, strange) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 8.0].iter().enumerate()
            {
                x[i * LANES + 2] = *strange;
            }
            (0..40).for_each(|c| x[c * LANES + 8] = f32::NAN);
            let got = codes(&hash, &x);
            assert!(family != Family::Dwta || of_lane(&got, 8).iter().all(|&c| c == 0));
        }
    }

    #[test]
    fn matrices() {
        let hash = Hash::new(Family::Dwta, 2, 9, 6, 24, 3).unwrap();
        let data: Vec<f32> = vectors(24, 1).into_iter().chain(vectors(24, 2)).take(24 * 21).collect();
        let codes = hash.matrix(Path::Scalar, &data, &Progress::new()).unwrap();
        let (mut scratch, mut one) = (Scratch::default(), vec![0; 9 * LANES]);
        for (i, codes) in codes.chunks(9).enumerate() {
            hash.rows(Path::Scalar, Rows { data: &data, starts: &[24 * i], length: 24 }, &mut scratch, &mut one);
            assert_eq!(codes, of_lane(&one, 0));
        }
        assert_eq!(codes.len(), 21 * 9);
        assert!(hash.matrix(Path::Scalar, &data[1..], &Progress::new()).is_err());
    }

    /// With three bits a bin random vectors reach nearly all buckets; codes that overlap would reach few.
    #[test]
    fn buckets_are_reached() {
        let hash = Hash::new(Family::Dwta, 4, 1, 12, 128, 3).unwrap();
        let seen: HashSet<u32> = (0..1024).flat_map(|seed| codes(&hash, &vectors(128, seed))).collect();
        assert!(seen.len() > 4096 * 6 / 10, "{}", seen.len());
    }
}
