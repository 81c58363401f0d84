//! K values become the code of a table.

use pulp::{Simd, WithSimd};
use thrifty_base::hash::mix64;
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::simd::Path;

/// How values become codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Join {
    /// Values of a code.
    pub(super) k: usize,
    /// Bits of a value, where it is not a whole word.
    pub(super) width: usize,
    /// Bits of a code.
    pub(super) bits: usize,
    /// Of the mixing.
    pub(super) key: u64,
}

impl Join {
    /// Codes of [`LANES`] vectors, whose `k` values for each table follow each other.
    ///
    /// Values that fit side by side stay so; else the word that they make, of at most 64 bits, is mixed.
    pub(super) fn codes(self, path: Path, values: &[u32], out: &mut [u32]) {
        dispatch(path, Codes { join: self, values, out });
    }

    /// The code of `k` whole words.
    #[inline(always)]
    pub(super) fn words(self, words: &[u64]) -> u32 {
        self.fold(words.iter().fold(self.key, |code, &word| mix64(code ^ word)))
    }

    /// The upper bits of a mixed word.
    #[inline(always)]
    fn fold(self, word: u64) -> u32 {
        (word >> (64 - self.bits)) as u32
    }
}

struct Codes<'a> {
    join: Join,
    values: &'a [u32],
    out: &'a mut [u32],
}

impl WithSimd for Codes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Join { k, width, bits, key } = self.join;
        let tables = self.values.as_chunks::<LANES>().0.chunks_exact(k).zip(self.out.as_chunks_mut::<LANES>().0);
        if k * width <= bits {
            for (values, out) in tables {
                let mut code = [0u32; LANES];
                for value in values {
                    for (code, &value) in code.iter_mut().zip(value) {
                        *code = *code << width | value;
                    }
                }
                *out = code;
            }
        } else {
            for (values, out) in tables {
                let mut word = [0u64; LANES];
                for value in values {
                    for (word, &value) in word.iter_mut().zip(value) {
                        *word = *word << width | u64::from(value);
                    }
                }
                for (out, word) in out.iter_mut().zip(word) {
                    *out = self.join.fold(mix64(key ^ word));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All 2^12 words of four values, mixed down to 6 bits: 64 expected in each of 64 codes.
    #[test]
    fn mixing_is_uniform() {
        for key in 0..8 {
            let join = Join { k: 4, width: 3, bits: 6, key };
            let mut counts = [0u32; 64];
            for first in (0..4096u32).step_by(LANES) {
                let values: Vec<u32> =
                    (0..4).flat_map(|i| (0..LANES as u32).map(move |l| (first + l) >> (9 - 3 * i) & 7)).collect();
                let mut out = [0; LANES];
                join.codes(Path::Scalar, &values, &mut out);
                out.iter().for_each(|&code| counts[code as usize] += 1);
            }
            // 63 degrees of freedom: mean 63, sd 11.2; 120 is passed by chance in 2 of 10^5 tries.
            let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 64.0).powi(2) / 64.0).sum();
            assert!(chi < 120.0, "{chi}");
        }
    }

    #[test]
    fn order_and_key_count() {
        let join = Join { k: 2, width: 64, bits: 24, key: 1 };
        assert_ne!(join.words(&[1, 2]), join.words(&[2, 1]));
        assert_ne!(join.words(&[1, 2]), Join { key: 2, ..join }.words(&[1, 2]));
    }
}
