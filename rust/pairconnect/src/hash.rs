//! Which row a pair has in each head. A part of the file format: a change is a new [`VERSION`].
//!
//! With q and k the ids of the two sides and o their distance (0 where distances do not count):
//!
//! ```text
//! mix64   m = mix64((q << 32 | k) * C1 ^ o * C2 ^ mix64(seed));   row of head h = (m * odd_h >> 32) * K >> 32
//! h32     m = mix32(mix32(q ^ s) + k * A1 ^ o * A2);              row of head h = (m * odd_h mod 2^32) * K >> 32
//! direct  m = ((o - first) * vocab + q) * vocab + k;              row of every head = m, first the nearest distance
//! ```
//! where odd_h = mix64(seed ^ h * C2) | 1, of which h32 takes the lower 32 bits, and s is the lower 32 bits of mix64(seed).
//! An n-gram is one id: [`gram`].

use thrifty_base::hash::mix64;

use crate::spec::{Kind, PairSpec};

/// Version of the functions in this module, stored in every file that depends on them.
pub const VERSION: u32 = 1;

/// 2^64 over the golden ratio, and over the square of the plastic number, made odd.
const C1: u64 = 0x9E37_79B9_7F4A_7C15;
const C2: u64 = 0x91E1_0DA5_C79E_7B1D;
/// The same for 32 bits.
const A1: u32 = 0x9E37_79B1;
const A2: u32 = 0x91E1_0DA5;

/// The hash of a table.
#[derive(Clone, Debug)]
pub struct PairHash {
    kind: Kind,
    key: u64,
    odd: Vec<u64>,
    rows: u64,
    offsets: bool,
    vocab: u64,
    first: usize,
}

impl PairHash {
    /// The hash that `spec` names.
    pub fn new(spec: &PairSpec) -> Self {
        let odd = (0..spec.heads as u64).map(|h| mix64(spec.seed ^ h.wrapping_mul(C2)) | 1).collect();
        let (key, rows) = (mix64(spec.seed), spec.rows as u64);
        let (vocab, first) = (spec.vocab as u64, usize::from(!spec.include_self));
        Self { kind: spec.hash, key, odd, rows, offsets: spec.offsets, vocab, first }
    }

    /// What heads have in common: a word of the query, other side and distance.
    #[inline(always)]
    pub fn word(&self, query: u32, other: u32, distance: usize) -> u64 {
        let o = if self.offsets { distance as u64 } else { 0 };
        match self.kind {
            Kind::Mix64 => self.mixed64(query, other, o),
            Kind::H32 => self.mixed32(query, other, o as u32),
            Kind::Direct => self.numbered(query, other, distance),
        }
    }

    /// [`Self::word`] of one query with others, the nearest last: words go from the nearest on, at distances from `first`.
    #[inline(always)]
    pub(crate) fn words(&self, query: u32, others: &[u32], first: usize, words: &mut [u64]) {
        // What is the same for all pairs is asked once: then a loop takes several at a time.
        let pairs = words.iter_mut().zip(others.iter().rev());
        match (self.kind, self.offsets) {
            (Kind::Mix64, true) => {
                pairs.zip(first..).for_each(|((word, &other), o)| *word = self.mixed64(query, other, o as u64));
            }
            (Kind::Mix64, false) => pairs.for_each(|(word, &other)| *word = self.mixed64(query, other, 0)),
            (Kind::H32, true) => {
                pairs.zip(first..).for_each(|((word, &other), o)| *word = self.mixed32(query, other, o as u32));
            }
            (Kind::H32, false) => pairs.for_each(|(word, &other)| *word = self.mixed32(query, other, 0)),
            (Kind::Direct, _) => {
                pairs.zip(first..).for_each(|((word, &other), o)| *word = self.numbered(query, other, o));
            }
        }
    }

    #[inline(always)]
    fn mixed64(&self, query: u32, other: u32, o: u64) -> u64 {
        let pair = u64::from(query) << 32 | u64::from(other);
        mix64(pair.wrapping_mul(C1) ^ o.wrapping_mul(C2) ^ self.key)
    }

    #[inline(always)]
    fn mixed32(&self, query: u32, other: u32, o: u32) -> u64 {
        let q = mix32(query ^ self.key as u32);
        u64::from(mix32(q.wrapping_add(other.wrapping_mul(A1)) ^ o.wrapping_mul(A2)))
    }

    #[inline(always)]
    fn numbered(&self, query: u32, other: u32, distance: usize) -> u64 {
        let block = if self.offsets { (distance - self.first) as u64 } else { 0 };
        (block * self.vocab + u64::from(query)) * self.vocab + u64::from(other)
    }

    /// [`Self::row`] of words, times `stride`.
    #[inline(always)]
    pub(crate) fn places(&self, words: &[u64], h: usize, stride: usize, places: &mut [usize]) {
        let (odd, rows, begin) = (self.odd[h], self.rows, h * self.rows as usize);
        let place = |uniform: u64| (begin + ((uniform * rows) >> 32) as usize) * stride;
        let pairs = places.iter_mut().zip(words);
        match self.kind {
            Kind::Mix64 => pairs.for_each(|(out, &word)| *out = place(word.wrapping_mul(odd) >> 32)),
            Kind::H32 => pairs.for_each(|(out, &word)| *out = place(word.wrapping_mul(odd) & 0xFFFF_FFFF)),
            Kind::Direct => pairs.for_each(|(out, &word)| *out = (begin + word as usize) * stride),
        }
    }

    /// The row of a word in head `h`, counted over all heads.
    #[inline(always)]
    pub fn row(&self, word: u64, h: usize) -> usize {
        let product = word.wrapping_mul(self.odd[h]);
        let uniform = match self.kind {
            Kind::Mix64 => product >> 32,
            Kind::H32 => product & 0xFFFF_FFFF,
            Kind::Direct => return h * self.rows as usize + word as usize,
        };
        h * self.rows as usize + ((uniform * self.rows) >> 32) as usize
    }
}

/// A bijection of 32-bit words in which every input bit reaches every output bit: the finaliser of MurmurHash3 (Appleby),
/// behind an addition, so that 0 is not a fixed point.
#[inline(always)]
pub const fn mix32(word: u32) -> u32 {
    let mut z = word.wrapping_add(A1);
    z = (z ^ (z >> 16)).wrapping_mul(0x85EB_CA6B);
    z = (z ^ (z >> 13)).wrapping_mul(0xC2B2_AE35);
    z ^ (z >> 16)
}

/// The last `n` of `ids` as one; fewer where there are not as many.
#[inline(always)]
pub fn gram(ids: &[u32], n: usize) -> u32 {
    let Some((&last, before)) = ids.split_last() else { return 0 };
    if n == 1 {
        return last;
    }
    let before = &before[before.len() - before.len().min(n - 1)..];
    let start = mix64(before.len() as u64 ^ C2);
    let word = before.iter().chain(&[last]).fold(start, |word, &id| mix64(word ^ u64::from(id)));
    (word >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Pool, Precision};

    fn spec(hash: Kind) -> PairSpec {
        PairSpec {
            vocab: 1000,
            rows: 1 << 20,
            heads: 3,
            head_dim: 16,
            window: 4,
            offsets: true,
            include_self: false,
            pool: Pool::Sum,
            query_gram: 1,
            key_gram: 1,
            hash,
            seed: 7,
            precision: Precision::F32,
        }
    }

    /// Golden values: a change here gives the rows of all files to other pairs.
    #[test]
    fn rows_are_fixed() {
        let rows = |kind| {
            let hash = PairHash::new(&spec(kind));
            [(0, 0, 0), (1, 2, 1), (2, 1, 1), (999, 5, 4)].map(|(q, k, o)| {
                let word = hash.word(q, k, o);
                [0, 1, 2].map(|h| hash.row(word, h) - (h << 20))
            })
        };
        assert_eq!(rows(Kind::Mix64), GOLDEN_MIX64);
        assert_eq!(rows(Kind::H32), GOLDEN_H32);
        assert_eq!([gram(&[5], 3), gram(&[1, 5], 2), gram(&[5, 1], 2), gram(&[9, 1, 5], 2)], GOLDEN_GRAMS);
        assert_eq!((gram(&[9, 5], 1), gram(&[], 4)), (5, 0));
    }

    #[test]
    fn direct_rows_are_all_there_once() {
        for (include_self, first) in [(false, 1), (true, 0)] {
            let spec = PairSpec { vocab: 5, rows: 5 * 5 * 4, heads: 2, include_self, ..spec(Kind::Direct) };
            spec.check().unwrap();
            let hash = PairHash::new(&spec);
            let mut rows = Vec::new();
            for h in 0..2 {
                for o in first..first + 4 {
                    for q in 0..5 {
                        rows.extend((0..5).map(|k| hash.row(hash.word(q, k, o), h)));
                    }
                }
            }
            assert_eq!(rows, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn direct_tables_of_other_sizes_are_refused() {
        let good = PairSpec { vocab: 5, rows: 100, ..spec(Kind::Direct) };
        for bad in [
            PairSpec { rows: 99, ..good },
            PairSpec { rows: 25, ..good },
            PairSpec { offsets: false, ..good },
            PairSpec { window: 0, ..good },
            PairSpec { query_gram: 2, ..good },
            PairSpec { vocab: 1 << 31, window: 1 << 20, ..good },
        ] {
            assert!(matches!(bad.check(), Err(crate::Error::Argument { .. })), "{bad:?}");
        }
        PairSpec { rows: 25, offsets: false, window: 0, ..good }.check().unwrap();
    }

    const GOLDEN_MIX64: [[usize; 3]; 4] =
        [[46447, 809162, 507743], [835045, 838911, 68314], [288250, 70660, 666799], [671216, 428921, 131221]];
    const GOLDEN_H32: [[usize; 3]; 4] =
        [[833134, 225999, 879967], [728519, 303142, 58964], [339760, 375684, 531449], [940424, 41414, 949017]];
    const GOLDEN_GRAMS: [u32; 4] = [0x0CB91857, 0x26BC1AA2, 0x8EA5F55B, 0x26BC1AA2];
}
