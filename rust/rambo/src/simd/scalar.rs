//! The twin in plain Rust.

use thrifty_base::hash::reduce52;

use super::{Indices, LANES, Simd};

/// Runs everywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

fn zip(a: [u64; 8], b: [u64; 8], f: impl Fn(u64, u64) -> u64) -> [u64; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Scalar {
    type Mask = [u64; 8];

    #[inline(always)]
    fn zero(self) -> Self::Mask {
        [0; 8]
    }

    #[inline(always)]
    fn low(self, bits: usize) -> Self::Mask {
        std::array::from_fn(|i| match bits.saturating_sub(64 * i) {
            0 => 0,
            n if n < 64 => (1 << n) - 1,
            _ => u64::MAX,
        })
    }

    #[inline(always)]
    fn load<const WIDTH: usize>(self, bytes: &[u8], bit: usize) -> Self::Mask {
        let (at, shift) = (bit / 8, bit % 8);
        let bytes = &bytes[at..at + 72];
        let words = if WIDTH == 64 { 9 } else { WIDTH / 8 };
        let word = |i: usize| {
            if i < words { u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes")) } else { 0 }
        };
        if shift == 0 {
            return std::array::from_fn(|i| if 8 * i < WIDTH { word(i) } else { 0 });
        }
        std::array::from_fn(|i| if 8 * i < WIDTH { word(i) >> shift | word(i + 1) << (64 - shift) } else { 0 })
    }

    #[inline(always)]
    fn load_bytes<const WIDTH: usize>(self, bytes: &[u8], at: usize) -> Self::Mask {
        let bytes = &bytes[at..at + WIDTH];
        let word = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes"));
        std::array::from_fn(|i| if 8 * i < WIDTH { word(i) } else { 0 })
    }

    #[inline(always)]
    fn pack(self, words: &[u64; 8]) -> Self::Mask {
        *words
    }

    #[inline(always)]
    fn words(self, mask: Self::Mask) -> [u64; 8] {
        mask
    }

    #[inline(always)]
    fn splat(self, word: u64) -> Self::Mask {
        [word; 8]
    }

    #[inline(always)]
    fn row(self, hash: Self::Mask, multiplier: Self::Mask, rows: Self::Mask) -> Self::Mask {
        std::array::from_fn(|i| reduce52(hash[i].wrapping_mul(multiplier[i]), rows[i]))
    }

    #[inline(always)]
    fn times(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, u64::wrapping_mul)
    }

    #[inline(always)]
    fn and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a ^ b)
    }

    #[inline(always)]
    fn without(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        zip(a, b, |a, b| a & !b)
    }

    #[inline(always)]
    fn any(self, mask: Self::Mask) -> bool {
        mask.iter().fold(0, |a, b| a | b) != 0
    }

    #[inline(always)]
    fn count(self, mask: Self::Mask) -> u32 {
        mask.iter().map(|w| w.count_ones()).sum()
    }

    #[inline(always)]
    fn indices(self, mask: Self::Mask, words: usize, out: &mut Indices) -> usize {
        let mut n = 0;
        for (i, mut word) in mask.into_iter().take(words).enumerate() {
            while word != 0 {
                out[n] = 64 * i as u16 + word.trailing_zeros() as u16;
                word &= word - 1;
                n += 1;
            }
        }
        n
    }

    #[inline(always)]
    fn test(self, which: u32, masks: &[Self::Mask], ids: &[u16; 32]) -> u32 {
        let mut out = 0;
        for (i, &id) in ids.iter().enumerate() {
            let mask = masks[usize::from(id) / LANES];
            out |= ((mask[usize::from(id) / 64 % 8] >> (id % 64)) as u32 & 1) << i;
        }
        out & which
    }

    #[inline(always)]
    fn test_apart(self, which: u64, mask: Self::Mask, at: &[u8; 64], bits: &[u8; 64]) -> u64 {
        let mut out = 0;
        for (i, (&at, &bits)) in at.iter().zip(bits).enumerate() {
            let byte = (mask[usize::from(at / 8)] >> (8 * (at % 8))) as u8;
            out |= u64::from(byte & bits != 0) << i;
        }
        out & which
    }

    #[inline(always)]
    fn expand(self, first: u32, mut which: u64, out: &mut [u32; 64]) -> usize {
        let mut n = 0;
        while which != 0 {
            out[n] = first + which.trailing_zeros();
            which &= which - 1;
            n += 1;
        }
        n
    }

    #[inline(always)]
    fn prefetch(self, _bytes: &[u8], _at: usize) {}
}
