//! Hash tables over neurons.
//!
//! A bucket lists its neurons in the order of a keyed priority, a pure function of (seed, neuron), so that a bucket does
//! not depend on how it came about. A query that takes few of a large bucket takes the first ones.

use rayon::prelude::*;
use thrifty_base::hash::mix64;
use thrifty_base::math::LANES;
use thrifty_base::philox::Philox;
use thrifty_base::simd::Path;

use crate::hash::{Hash, Scratch};
use crate::stream;

/// Tables over the rows of a matrix.
#[derive(Clone, Debug)]
pub struct Tables {
    hash: Hash,
    /// Rows by priority.
    order: Vec<u32>,
    tables: Vec<Table>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Table {
    /// Bucket c has `ids[starts[c]..starts[c + 1]]`.
    starts: Vec<u32>,
    ids: Vec<u32>,
}

impl Tables {
    /// Empty tables for `rows` rows.
    pub fn new(hash: Hash, rows: usize, seed: u64) -> Self {
        let key = Philox::new(seed, stream::PRIORITY).u64_at(0);
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by_cached_key(|&id| (mix64(key ^ u64::from(id)), id));
        let tables = vec![Table::default(); hash.tables()];
        Self { hash, order, tables }
    }

    /// The hash functions.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// Hashes all rows, `stride` numbers apart, of which the first `length` count; in the pool of the caller.
    pub fn rebuild(&mut self, path: Path, weights: &[f32], length: usize, stride: usize) {
        let rows = self.order.len();
        let tables = self.hash.tables();
        // Codes of LANES rows at a time: [block][table][lane].
        let mut codes = vec![0u32; rows.div_ceil(LANES) * LANES * tables];
        codes.par_chunks_mut(LANES * tables).enumerate().for_each_init(
            || (vec![0.0f32; length * LANES], Scratch::default()),
            |(block, scratch), (b, out)| {
                for (lane, row) in (b * LANES..((b + 1) * LANES).min(rows)).enumerate() {
                    for (c, &w) in weights[row * stride..row * stride + length].iter().enumerate() {
                        block[c * LANES + lane] = w;
                    }
                }
                self.hash.codes(path, block, LANES, scratch, out);
            },
        );
        let buckets = 1 << self.hash.bits();
        let order = &self.order;
        self.tables.par_iter_mut().enumerate().for_each(|(t, table)| {
            let code = |id: u32| codes[(id as usize / LANES * tables + t) * LANES + id as usize % LANES] as usize;
            let mut starts = vec![0u32; buckets + 1];
            for id in 0..rows as u32 {
                starts[code(id) + 1] += 1;
            }
            for c in 0..buckets {
                starts[c + 1] += starts[c];
            }
            let mut next = starts.clone();
            table.ids.resize(rows, 0);
            for &id in order {
                let at = &mut next[code(id)];
                table.ids[*at as usize] = id;
                *at += 1;
            }
            table.starts = starts;
        });
    }

    /// The rows with this code in a table, at most `cap`.
    pub fn bucket(&self, table: usize, code: u32, cap: usize) -> &[u32] {
        let Table { starts, ids } = &self.tables[table];
        let (begin, end) = (starts[code as usize] as usize, starts[code as usize + 1] as usize);
        &ids[begin..end.min(begin.saturating_add(cap))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Family;

    #[test]
    fn every_row_is_in_one_bucket_of_each_table_by_priority() {
        let (rows, length) = (500, 32);
        let random = Philox::new(9, 9);
        let weights: Vec<f32> = (0..(rows * length) as u64).map(|i| (random.u64_at(i) >> 40) as f32 - 8e6).collect();
        let hash = Hash::new(Family::Dwta, 2, 6, 6, length, 1).unwrap();
        let mut tables = Tables::new(hash, rows, 1);
        for path in Path::usable() {
            let before = tables.tables.clone();
            tables.rebuild(path, &weights, length, length);
            assert!(before[0].ids.is_empty() || before == tables.tables);
        }
        let place = |id: u32| tables.order.iter().position(|&o| o == id);
        for t in 0..6 {
            let mut all: Vec<u32> = Vec::new();
            for code in 0..64 {
                let bucket = tables.bucket(t, code, usize::MAX);
                assert!(bucket.windows(2).all(|w| place(w[0]) < place(w[1])));
                assert_eq!(tables.bucket(t, code, 3), &bucket[..bucket.len().min(3)]);
                all.extend(bucket);
            }
            all.sort_unstable();
            assert_eq!(all, (0..rows as u32).collect::<Vec<_>>());
        }
    }
}
