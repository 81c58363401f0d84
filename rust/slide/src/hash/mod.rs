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
//! | [`Family::Doph`] | the same within a bin of coordinates | nearly that, at the cost of one hash function |

mod doph;
mod dwta;
mod gather;
mod join;
mod minhash;
mod probe;
mod simhash;
mod top;

use thrifty_base::math::{LANES, Rows};
use thrifty_base::simd::Path;

use crate::{Error, Result};

pub use dwta::BIN;
pub use top::TOP;

/// A family of hash functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
