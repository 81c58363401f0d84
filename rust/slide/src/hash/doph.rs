//! Densified one-permutation hashes (Shrivastava and Li, UAI 2014; Shrivastava, ICML 2017) of the largest coordinates.

use thrifty_base::hash::{mix64, reduce};
use thrifty_base::math::LANES;
use thrifty_base::philox::Philox;

use super::join::Join;
use super::probe::probes;
use super::top::top;
use crate::stream;

/// One hash function, whose upper bits are the bin of a coordinate.
#[derive(Clone, Debug)]
pub(super) struct Doph {
    bins: usize,
    /// Of coordinates, of bins that are asked, and of sets that no bin was found for.
    keys: [u64; 3],
    join: Join,
}

/// A bin without a coordinate.
const EMPTY: u64 = u64::MAX;

impl Doph {
    pub(super) fn new(k: usize, tables: usize, bits: usize, seed: u64) -> Self {
        let random = Philox::new(seed, stream::HASH_KEYS);
        let keys = std::array::from_fn(|i| random.u64_at(1 + i as u64));
        Self { bins: k * tables, keys, join: Join { k, width: 64, bits, key: random.u64_at(0) } }
    }

    pub(super) fn codes(&self, block: &[f32], words: &mut Vec<u64>, found: &mut Vec<(f32, u32)>, out: &mut [u32]) {
        let bins = self.bins;
        for lane in 0..LANES {
            let set = top(block, lane, found);
            // Minima of the bins, then what each bin has once empty ones have borrowed.
            words.clear();
            words.resize(2 * bins, EMPTY);
            let (own, values) = words.split_at_mut(bins);
            for &(_, c) in set {
                let word = mix64(self.keys[0] ^ mix64(u64::from(c)));
                let least = &mut own[reduce(word, bins as u64) as usize];
                *least = word.min(*least);
            }
            if !set.is_empty() {
                for (bin, value) in values.iter_mut().enumerate() {
                    *value = if own[bin] == EMPTY { self.borrowed(bin, own, set) } else { own[bin] };
                }
            }
            for (values, out) in values.chunks_exact(self.join.k).zip(out.chunks_exact_mut(LANES)) {
                out[lane] = self.join.words(values);
            }
        }
    }

    /// What an empty bin takes: the value of the first bin in an order of its own that has one. Where the set is so small
    /// that few have, the least of a hash function of the bin over the set, which has the same law.
    fn borrowed(&self, bin: usize, own: &[u64], set: &[(f32, u32)]) -> u64 {
        let found = probes(self.keys[1], bin, own.len()).map(|b| own[b]).find(|&value| value != EMPTY);
        let key = mix64(self.keys[2] ^ bin as u64);
        let least = || set.iter().map(|&(_, c)| mix64(key ^ mix64(u64::from(c)))).min();
        found.or_else(least).unwrap_or(EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition: bins by the upper bits of the hash, the least of each, a search for the others.
    #[test]
    fn bins_by_hand() {
        // With 4 bins all are soon full; with 4,096 most searches find none.
        for (k, tables) in [(2, 2), (4, 1024)] {
            let hash = Doph::new(k, tables, 20, 7);
            let bins = (k * tables) as u64;
            let set: Vec<u32> = (0..12).map(|c| 3 * c).collect();
            let mut block = vec![0.0; 40 * LANES];
            set.iter().for_each(|&c| block[c as usize * LANES + 1] = 1.0);
            let mut got = vec![0; tables * LANES];
            hash.codes(&block, &mut Vec::new(), &mut Vec::new(), &mut got);
            let words: Vec<u64> = set.iter().map(|&c| mix64(hash.keys[0] ^ mix64(u64::from(c)))).collect();
            let of = |bin: u64| {
                words.iter().copied().filter(|&w| (u128::from(w) * u128::from(bins)) >> 64 == u128::from(bin)).min()
            };
            let value = |bin: u64| -> u64 {
                of(bin)
                    .or_else(|| probes(hash.keys[1], bin as usize, k * tables).find_map(|b| of(b as u64)))
                    .or_else(|| set.iter().map(|&c| mix64(mix64(hash.keys[2] ^ bin) ^ mix64(u64::from(c)))).min())
                    .unwrap()
            };
            for t in 0..tables {
                let values: Vec<u64> = (0..k).map(|i| value((t * k + i) as u64)).collect();
                assert_eq!(got[t * LANES + 1], hash.join.words(&values));
                assert_eq!(got[t * LANES], hash.join.words(&vec![EMPTY; k]));
            }
        }
    }
}
