//! How the pairs of a text load the rows of a table. Ids and the spec say it all; no rows are read.

use rayon::prelude::*;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

use crate::hash::{PairHash, gram};
use crate::spec::{Layout, PairSpec};
use crate::table::check_ids;
use crate::{Error, Result};

/// Pairs that are gathered before those which are there twice are thrown out.
const GATHER: usize = 1 << 22;
/// Positions between two looks at whether to stop.
const LOOK: usize = 1 << 12;

/// What a text asks of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Positions.
    pub tokens: u64,
    /// Pairs that positions look up in each head.
    pub pairs: u64,
    /// Of them, those that differ in an id or, where distances count, in their distance.
    pub distinct_pairs: u64,
    /// Bytes of rows that all positions read.
    pub bytes_read: u64,
    /// Distinct pairs whose rows are those of another one in every head.
    pub collisions_in_all: u64,
    /// Of each head.
    pub heads: Vec<HeadStats>,
}

/// How distinct pairs load the rows of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadStats {
    /// Rows that have a pair.
    pub rows_touched: u64,
    /// Pairs of the row that has most.
    pub load_max: u64,
    /// Pairs that share their row with another one.
    pub collisions: u64,
    /// Sum over rows of (load - mean)^2 / mean; with a perfect hash it has a chi-square law of `rows - 1` degrees.
    pub chi_square: f64,
}

/// A pair and its distance, 0 where distances do not count.
type Pair = (u64, u32);

/// How sequences of `tokens` ids, one after the other, load a table of `spec`.
pub fn stats(spec: &PairSpec, ids: &[u32], tokens: usize, threads: usize, progress: &Progress) -> Result<Stats> {
    spec.check()?;
    check_ids(ids, spec.vocab)?;
    if tokens == 0 && !ids.is_empty() || tokens != 0 && !ids.len().is_multiple_of(tokens) {
        return Err(Error::argument("ids", format!("{} ids are no sequences of {tokens}", ids.len())));
    }
    pool(threads)?.install(|| {
        let (pairs, distinct) = distinct_pairs(spec, ids, tokens, progress)?;
        let hash = &PairHash::new(spec);
        let mut words: Vec<u64> =
            distinct.par_iter().map(|&(pair, o)| hash.word((pair >> 32) as u32, pair as u32, o as usize)).collect();
        progress.start("rows", spec.heads as u64 + 1)?;
        let mut heads = Vec::with_capacity(spec.heads);
        for h in 0..spec.heads {
            heads.push(of_head(spec.rows, words.par_iter().map(|&word| (hash.row(word, h) - h * spec.rows) as u32)));
            progress.advance(1)?;
        }
        let rows = |word: u64| (0..spec.heads).map(move |h| hash.row(word, h));
        words.par_sort_unstable_by(|&a, &b| rows(a).cmp(rows(b)));
        let in_all = words.chunk_by(|&a, &b| rows(a).eq(rows(b))).map(<[u64]>::len).filter(|&n| n > 1).sum::<usize>();
        progress.advance(1)?;
        let each = spec.heads as u64 * Layout::of(spec)?.stride as u64;
        Ok(Stats {
            tokens: ids.len() as u64,
            pairs,
            distinct_pairs: distinct.len() as u64,
            bytes_read: pairs.saturating_mul(each),
            collisions_in_all: in_all as u64,
            heads,
        })
    })
}

/// How many pairs are looked up, and those that differ, sorted.
fn distinct_pairs(spec: &PairSpec, ids: &[u32], tokens: usize, progress: &Progress) -> Result<(u64, Vec<Pair>)> {
    progress.start("pairs", ids.len() as u64)?;
    // Without offsets the distance only tells which id is the other side.
    let distance = |o: usize| if spec.offsets { o as u32 } else { 0 };
    let (mut count, mut distinct, mut room) = (0, Vec::new(), GATHER);
    let compact = |pairs: &mut Vec<Pair>| {
        pairs.par_sort_unstable();
        pairs.dedup();
    };
    for ids in ids.chunks_exact(tokens.max(1)) {
        let others: Vec<u32> = (1..=ids.len()).map(|end| gram(&ids[..end], spec.key_gram)).collect();
        let (mut since, mut told) = (0, 0);
        for t in 0..ids.len() {
            let query = u64::from(gram(&ids[..=t], spec.query_gram)) << 32;
            let distances = spec.distances(t);
            count += distances.len() as u64;
            since += distances.len();
            distinct.extend(distances.map(|o| (query | u64::from(others[t - o]), distance(o))));
            if since >= LOOK {
                progress.advance((t + 1 - told) as u64)?;
                (since, told) = (0, t + 1);
            }
            if distinct.len() >= room {
                compact(&mut distinct);
                room = (2 * distinct.len()).max(GATHER);
            }
        }
        progress.advance((ids.len() - told) as u64)?;
    }
    compact(&mut distinct);
    Ok((count, distinct))
}

/// How a head's rows are loaded by pairs that have these.
fn of_head(rows: usize, of_pairs: impl IndexedParallelIterator<Item = u32>) -> HeadStats {
    let mut of_pairs: Vec<u32> = of_pairs.collect();
    of_pairs.par_sort_unstable();
    let mut found = HeadStats { rows_touched: 0, load_max: 0, collisions: 0, chi_square: 0.0 };
    let mut squares = 0u128;
    for run in of_pairs.chunk_by(|a, b| a == b) {
        let load = run.len() as u64;
        found.rows_touched += 1;
        found.load_max = found.load_max.max(load);
        found.collisions += if load > 1 { load } else { 0 };
        squares += u128::from(load) * u128::from(load);
    }
    let n = of_pairs.len() as f64;
    if n > 0.0 {
        found.chi_square = rows as f64 / n * squares as f64 - n;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::spec::{Kind, Pool, Precision};

    fn spec(window: usize, offsets: bool, include_self: bool, query_gram: usize, hash: Kind) -> PairSpec {
        PairSpec {
            vocab: 6,
            rows: if hash == Kind::Direct { 36 * if offsets { window } else { 1 } } else { 11 },
            heads: 2,
            head_dim: 16,
            window,
            offsets,
            include_self,
            pool: Pool::Sum,
            query_gram,
            key_gram: 1,
            hash,
            seed: 3,
            precision: Precision::F32,
        }
    }

    /// The same, one pair after the other.
    fn slow(spec: &PairSpec, ids: &[u32], tokens: usize) -> Stats {
        let hash = &PairHash::new(spec);
        let (mut pairs, mut keys) = (0, BTreeSet::new());
        for ids in ids.chunks_exact(tokens) {
            for t in 0..tokens {
                for o in spec.distances(t) {
                    pairs += 1;
                    let (q, k) = (gram(&ids[..=t], spec.query_gram), gram(&ids[..=t - o], spec.key_gram));
                    keys.insert((q, k, if spec.offsets { o } else { 0 }));
                }
            }
        }
        let rows: Vec<Vec<usize>> =
            keys.iter().map(|&(q, k, o)| (0..spec.heads).map(|h| hash.row(hash.word(q, k, o), h)).collect()).collect();
        let n = keys.len() as f64;
        let heads = (0..spec.heads).map(|h| {
            let mut loads = BTreeMap::new();
            rows.iter().for_each(|rows| *loads.entry(rows[h]).or_insert(0u64) += 1);
            let mean = n / spec.rows as f64;
            let squares = (h * spec.rows..(h + 1) * spec.rows)
                .map(|r| (loads.get(&r).map_or(0.0, |&c| c as f64) - mean).powi(2) / mean);
            HeadStats {
                rows_touched: loads.len() as u64,
                load_max: loads.values().copied().max().unwrap_or(0),
                collisions: loads.values().filter(|&&c| c > 1).sum(),
                chi_square: if keys.is_empty() { 0.0 } else { squares.sum() },
            }
        });
        Stats {
            tokens: ids.len() as u64,
            pairs,
            distinct_pairs: keys.len() as u64,
            bytes_read: pairs * 2 * 64,
            collisions_in_all: rows.iter().filter(|a| rows.iter().filter(|b| a == b).count() > 1).count() as u64,
            heads: heads.collect(),
        }
    }

    proptest! {
        #[test]
        fn is_what_one_counts(
            ids in prop::collection::vec(0u32..6, 1..40),
            (window, offsets, include_self) in (0usize..5, any::<bool>(), any::<bool>()),
            query_gram in 1usize..3,
            kind in prop::sample::select(vec![Kind::Mix64, Kind::H32, Kind::Direct]),
            threads in 1usize..3,
        ) {
            let direct = kind == Kind::Direct;
            let spec = spec(
                if direct { window.max(1) } else { window },
                offsets,
                include_self,
                if direct { 1 } else { query_gram },
                kind,
            );
            for tokens in [ids.len(), 1] {
                let mut found = stats(&spec, &ids, tokens, threads, &Progress::new()).unwrap();
                let mut wanted = slow(&spec, &ids, tokens);
                for (a, b) in found.heads.iter_mut().zip(&mut wanted.heads) {
                    prop_assert!((a.chi_square - b.chi_square).abs() < 1e-6);
                    (a.chi_square, b.chi_square) = (0.0, 0.0);
                }
                prop_assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn stops_and_refuses() {
        let spec = spec(4, true, false, 1, Kind::Mix64);
        assert!(matches!(stats(&spec, &[6], 1, 1, &Progress::new()), Err(Error::Argument { argument: "ids", .. })));
        assert!(matches!(stats(&spec, &[1; 5], 2, 1, &Progress::new()), Err(Error::Argument { argument: "ids", .. })));
        let empty = stats(&spec, &[], 0, 1, &Progress::new()).unwrap();
        assert_eq!((empty.pairs, empty.collisions_in_all, empty.heads[1].chi_square), (0, 0, 0.0));
        let progress = Progress::new();
        progress.cancel();
        assert!(stats(&spec, &[1; 5], 5, 1, &progress).is_err());
    }
}
