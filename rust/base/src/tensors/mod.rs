//! Learned weights: safetensors files whose tensors lie where arithmetic wants them, with checksums.
//!
//! ```text
//! 0     u64              length of the header
//! 8     header           JSON, filled up with blanks so that the data start at a multiple of 4,096
//! ..    data             tensors in the order in which they were given, each at a multiple of 64
//! ```
//! The format allows no holes between tensors, so what lies between two is a tensor of zeros named `__pad.N`. The
//! header's `__metadata__` begins with `xxh3`, the xxh3-128 of the header without these digits, and has `xxh3.NAME`,
//! the xxh3-128 of the data, for every tensor. Opening checks the header, [`Tensors::verify`] a tensor.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Tensors, View};
pub use write::write;

/// What every file begins with behind the length of its header; the checksum of the header follows.
const PREFIX: &str = r#"{"__metadata__":{"xxh3":""#;
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 32;
/// Metadata with the checksum of a tensor: this and its name.
const CHECKSUM: &str = "xxh3.";
/// Names of the tensors that fill the room between others: this and a number.
const PAD: &str = "__pad.";
/// Data start at a multiple of this.
const PAGE: usize = 4096;
/// Tensors start at a multiple of this.
const LINE: usize = 64;
/// Headers are no longer; other readers have the same limit.
const MOST_HEADER: usize = 100_000_000;
/// Bytes that are hashed, and written, at a time: a huge page.
const BLOCK: usize = 1 << 21;

/// What the numbers of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U64,
        Self::U32,
        Self::U16,
        Self::U8,
    ];

    /// Bytes of a number.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U64 => "U64",
            Self::U32 => "U32",
            Self::U16 => "U16",
            Self::U8 => "U8",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Bytes of a tensor; `None` where no machine has as many.
    fn bytes(self, shape: &[usize]) -> Option<usize> {
        // A zero makes the product 0 wherever it stands.
        if shape.contains(&0) {
            return Some(0);
        }
        shape.iter().try_fold(self.size(), |n, &side| n.checked_mul(side))
    }
}

/// A tensor to write.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Unique, without the prefix `__`.
    pub name: &'a str,
    /// What its numbers are.
    pub dtype: Dtype,
    /// Its sides, the slowest first; none for a single number.
    pub shape: &'a [usize],
    /// Its numbers, little-endian, the last side fastest.
    pub bytes: &'a [u8],
}
