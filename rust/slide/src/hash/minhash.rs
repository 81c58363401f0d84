//! Minwise hashes (Broder 1997) of the largest coordinates.

use pulp::{Simd, WithSimd};
use thrifty_base::hash::mix64;
use thrifty_base::math::{LANES, dispatch};
use thrifty_base::philox::Philox;
use thrifty_base::simd::Path;

use super::join::Join;
use super::top::{TOP, top};
use crate::stream;

/// A hash function for each value.
#[derive(Clone, Debug)]
pub(super) struct MinHash {
    keys: Vec<u64>,
    join: Join,
}

/// Words of a set; its first one fills it up, which leaves minima as they are.
const WORDS: usize = TOP.next_multiple_of(8);

impl MinHash {
    pub(super) fn new(k: usize, tables: usize, bits: usize, seed: u64) -> Self {
        let random = Philox::new(seed, stream::HASH_KEYS);
        let keys = (1..=(k * tables) as u64).map(|i| random.u64_at(i)).collect();
        Self { keys, join: Join { k, width: 64, bits, key: random.u64_at(0) } }
    }

    pub(super) fn codes(
        &self,
        path: Path,
        block: &[f32],
        words: &mut Vec<u64>,
        found: &mut Vec<(f32, u32)>,
        out: &mut [u32],
    ) {
        words.resize(self.keys.len(), 0);
        for lane in 0..LANES {
            let set = top(block, lane, found);
            if let Some(&(_, first)) = set.first() {
                let mut elements = [mix64(u64::from(first)); WORDS];
                for (element, &(_, c)) in elements.iter_mut().zip(set) {
                    *element = mix64(u64::from(c));
                }
                dispatch(path, Minima { keys: &self.keys, elements: &elements, out: words });
            } else {
                words.fill(u64::MAX);
            }
            for (words, out) in words.chunks_exact(self.join.k).zip(out.chunks_exact_mut(LANES)) {
                out[lane] = self.join.words(words);
            }
        }
    }
}

struct Minima<'a> {
    keys: &'a [u64],
    elements: &'a [u64; WORDS],
    out: &'a mut [u64],
}

impl WithSimd for Minima<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, &key) in self.out.iter_mut().zip(self.keys) {
            *out = self.elements.iter().fold(u64::MAX, |least, &e| least.min(mix64(key ^ e)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition with the keys as they are.
    #[test]
    fn minima_by_hand() {
        let hash = MinHash::new(3, 5, 20, 7);
        let mut block = vec![0.0; 40 * LANES];
        for c in [3, 11, 12, 39] {
            block[c * LANES + 2] = 1.0 + c as f32;
        }
        let minimum = |key: &u64| [3u64, 11, 12, 39].iter().map(|&c| mix64(key ^ mix64(c))).min().unwrap();
        let values: Vec<u64> = hash.keys.iter().map(minimum).collect();
        let exact: Vec<u32> = values.chunks(3).map(|values| hash.join.words(values)).collect();
        for path in Path::usable() {
            let mut out = vec![0; 5 * LANES];
            hash.codes(path, &block, &mut Vec::new(), &mut Vec::new(), &mut out);
            assert_eq!(out.iter().skip(2).step_by(LANES).copied().collect::<Vec<_>>(), exact);
            assert_eq!(out[0], hash.join.words(&[u64::MAX; 3]));
        }
    }
}
