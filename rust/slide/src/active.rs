//! The active neurons of a batch: one set for all its rows.
//!
//! True labels are always in. Each row then adds the neurons that its hash tables returned most often, and random ones
//! fill up the set.

use thrifty_base::hash::reduce;
use thrifty_base::philox::Philox;

use crate::tables::Tables;

/// Counts how often tables return each neuron; memory that one row leaves to the next.
#[derive(Debug, Default)]
pub struct Counter {
    counts: Vec<u16>,
    touched: Vec<u32>,
}

impl Counter {
    /// Appends the neurons that most tables return for `codes` (one a table), most frequent first, at most `most` of them;
    /// returns how many there are in all. At most `cap` neurons of a bucket count, of `rows` in all.
    pub fn candidates(
        &mut self,
        tables: &Tables,
        rows: usize,
        codes: impl Iterator<Item = u32>,
        cap: usize,
        most: usize,
        out: &mut Vec<u32>,
    ) -> usize {
        self.counts.resize(rows, 0);
        for (t, code) in codes.enumerate() {
            for &id in tables.bucket(t, code, cap) {
                let count = &mut self.counts[id as usize];
                if *count == 0 {
                    self.touched.push(id);
                }
                *count += 1;
            }
        }
        let returned = self.touched.len();
        let counts = &self.counts;
        let key = |&id: &u32| (std::cmp::Reverse(counts[id as usize]), id);
        if returned > most && most > 0 {
            self.touched.select_nth_unstable_by_key(most - 1, key);
        }
        let best = &mut self.touched[..returned.min(most)];
        best.sort_unstable_by_key(key);
        out.extend_from_slice(best);
        for &id in &self.touched {
            self.counts[id as usize] = 0;
        }
        self.touched.clear();
        returned
    }
}

/// The set of a batch, ascending.
///
/// `labels` are in whatever their number. `wanted` are taken next, each list in turn, then random neurons of `random` until
/// there are `size`.
pub fn union(labels: &[u32], wanted: &[Vec<u32>], neurons: usize, size: usize, random: Philox, step: u64) -> Vec<u32> {
    let mut seen = std::collections::HashSet::with_capacity(2 * size);
    let mut out: Vec<u32> = labels.iter().copied().filter(|&l| seen.insert(l)).collect();
    let longest = wanted.iter().map(Vec::len).max().unwrap_or(0);
    let by_rank = (0..longest).flat_map(|rank| wanted.iter().filter_map(move |w| w.get(rank)));
    for &id in by_rank {
        if out.len() >= size {
            break;
        }
        if seen.insert(id) {
            out.push(id);
        }
    }
    let size = size.min(neurons);
    let mut draw = 0;
    while out.len() < size {
        let id = reduce(random.u64_at(step << 32 | draw), neurons as u64) as u32;
        draw += 1;
        if seen.insert(id) {
            out.push(id);
        }
    }
    out.sort_unstable();
    out
}

#[cfg(test)]
mod tests {
    use thrifty_base::simd::Path;

    use super::*;
    use crate::hash::{Family, Hash};

    /// Against a plain count over the tables.
    #[test]
    fn candidates_are_the_most_frequent() {
        let (rows, length) = (300, 24);
        let random = Philox::new(4, 4);
        let weights: Vec<f32> = (0..(rows * length) as u64).map(|i| (random.u64_at(i) >> 40) as f32 - 8e6).collect();
        let hash = Hash::new(Family::Dwta, 1, 20, 3, length, 1).unwrap();
        let mut tables = Tables::new(hash, rows, 1);
        tables.rebuild(Path::Scalar, &weights, length, length);
        let mut counter = Counter::default();
        for query in 0..5 {
            let codes: Vec<u32> = (0..20).map(|t| (random.u64_at(1 << 40 | query << 8 | t) % 8) as u32).collect();
            let mut counts = vec![0usize; rows];
            for (t, &code) in codes.iter().enumerate() {
                tables.bucket(t, code, 30).iter().for_each(|&id| counts[id as usize] += 1);
            }
            let mut exact: Vec<u32> = (0..rows as u32).filter(|&id| counts[id as usize] > 0).collect();
            exact.sort_by_key(|&id| (std::cmp::Reverse(counts[id as usize]), id));
            let mut got = Vec::new();
            let returned = counter.candidates(&tables, rows, codes.iter().copied(), 30, 12, &mut got);
            assert_eq!(returned, exact.len());
            assert_eq!(got, exact[..12]);
        }
    }

    #[test]
    fn unions_hold_labels_then_wishes_then_random_neurons() {
        let random = Philox::new(1, 1);
        let wanted = [vec![10, 11, 12], vec![20, 10]];
        assert_eq!(union(&[5, 7, 5], &wanted, 100, 4, random, 0), [5, 7, 10, 20]);
        let all = union(&[5, 7], &wanted, 100, 30, random, 0);
        assert!(all.len() == 30 && all.windows(2).all(|w| w[0] < w[1]));
        assert!([5, 7, 10, 11, 12, 20].iter().all(|id| all.binary_search(id).is_ok()));
        assert_ne!(all, union(&[5, 7], &wanted, 100, 30, random, 1));
        // More labels than the size; fewer neurons than it.
        assert_eq!(union(&[1, 2, 3], &[], 100, 2, random, 0), [1, 2, 3]);
        assert_eq!(union(&[1], &[], 4, 10, random, 0), [0, 1, 2, 3]);
    }
}
