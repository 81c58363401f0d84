//! Hash tables over the rows of a matrix.
//!
//! A bucket lists its rows in the order of a keyed priority, a pure function of (seed, row), so that it does not depend on
//! how it came about: tables whose rows were hashed again one by one equal new ones. A query that takes few rows of a large
//! bucket takes the first ones.
//!
//! Hashes see directions, scores are products. A row that is short cannot have a high score, and most rows of a huge layer
//! are short: labels that were rarely or never seen. So the longer a row, the more tables it is in.

mod buckets;
mod shares;

use rayon::prelude::*;
use thrifty_base::hash::{mix64, reduce};
use thrifty_base::math::{LANES, dot};
use thrifty_base::philox::Philox;
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

pub use buckets::{Buckets, Priority, Span};
pub use shares::Shares;

use crate::hash::{Hash, Scratch as Hashing};
use crate::matrix::Matrix;
use crate::{Error, Result, stream};

/// Tables over the rows of a matrix.
#[derive(Debug)]
pub struct Tables {
    hash: Hash,
    /// Number of the first row, where the matrix is a slice of a larger one.
    first: u32,
    rows: usize,
    priority: Priority,
    /// Code of each row in each table, a row's together.
    codes: Vec<u32>,
    tables: Vec<Buckets>,
    /// From how many times the initial length on rows are in all tables.
    long: f32,
    /// In how many tables each row is.
    shares: Shares,
}

/// Code of a row in a table that it is not in.
const ABSENT: u32 = u32::MAX;
/// Length of random initial rows (uniform within 1/sqrt(H)).
const SHORT: f32 = 0.577_350_3;
/// Layers of no more neurons have all of them in all tables.
const SMALL: f32 = 16_384.0;

/// From how many times the initial length on a row is in all tables: 1 for small layers, 4 for sixteen times larger ones.
fn long(neurons: usize) -> f32 {
    1.0 + 3.0 * ((neurons as f32 / SMALL).log2() / 4.0).clamp(0.0, 1.0)
}

/// In how many of `tables` tables a row of a length is: one for rows as short as at the beginning, all from `long` times
/// that on.
fn share(length: f32, long: f32, tables: usize) -> usize {
    let grown = length / SHORT - 1.0;
    if grown >= long - 1.0 || long <= 1.0 {
        return tables;
    }
    let part = (grown / (long - 1.0)).max(0.0);
    ((part * part * tables as f32) as usize).clamp(1, tables)
}

/// A row that has another code in a table.
#[derive(Clone, Copy, Debug)]
struct Move {
    table: u32,
    row: u32,
    from: u32,
    to: u32,
}

/// Rows that one task hashes again.
const TASK: usize = 128;

/// Memory for hashing rows.
#[derive(Default)]
struct Scratch {
    ids: Vec<u32>,
    widened: Vec<f32>,
    starts: Vec<usize>,
    hashing: Hashing,
    codes: Vec<u32>,
}

impl Tables {
    /// Tables for `rows` rows of a layer of `neurons`, the first of which has the number `first`; empty until they are built.
    pub fn new(hash: Hash, first: u32, rows: usize, neurons: usize, seed: u64) -> Self {
        let priority = Priority(Philox::new(seed, stream::PRIORITY).u64_at(0));
        Self {
            hash,
            first,
            rows,
            priority,
            codes: Vec::new(),
            tables: Vec::new(),
            shares: Shares::default(),
            long: long(neurons),
        }
    }

    /// The hash functions.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// Whether [`Self::rebuild`] was called.
    pub fn is_built(&self) -> bool {
        !self.codes.is_empty()
    }

    /// Codes of up to [`LANES`] rows, a line of [`LANES`] for each table.
    fn codes<'s>(
        &self,
        path: Path,
        matrix: Matrix<'_>,
        rows: impl Iterator<Item = u32>,
        s: &'s mut Scratch,
    ) -> &'s [u32] {
        s.ids.clear();
        s.ids.extend(rows);
        s.codes.resize(self.hash.tables() * LANES, 0);
        let rows = matrix.rows(path, &s.ids, &mut s.widened, &mut s.starts);
        self.hash.rows(path, rows, &mut s.hashing, &mut s.codes);
        let tables = self.hash.tables();
        for (lane, (&id, &start)) in s.ids.iter().zip(rows.starts).enumerate() {
            let row = &rows.data[start..start + rows.length];
            let begin = reduce(mix64(self.priority.0 ^ mix64(u64::from(self.first + id))), tables as u64) as usize;
            for i in share(dot(path, row, row).sqrt(), self.long, tables)..tables {
                let table = if begin + i < tables { begin + i } else { begin + i - tables };
                s.codes[table * LANES + lane] = ABSENT;
            }
        }
        &s.codes
    }

    /// Asks memory for some rows and their codes.
    fn prefetch(&self, matrix: Matrix<'_>, rows: &[u32]) {
        let tables = self.hash.tables();
        matrix.prefetch(rows);
        rows.iter().for_each(|&row| prefetch(&self.codes[row as usize * tables..][..tables]));
    }

    /// Hashes all rows; in the pool of the caller.
    pub fn rebuild(&mut self, path: Path, matrix: Matrix<'_>) -> Result<()> {
        let tables = self.hash.tables();
        let mut codes = std::mem::take(&mut self.codes);
        if codes.is_empty() {
            // Not resized: zeros that nobody wrote come from the system, where and when a thread first writes to them.
            codes = vec![0; self.rows * tables];
        }
        codes.par_chunks_mut(LANES * tables).enumerate().for_each_init(Scratch::default, |scratch, (b, out)| {
            let first = (b * LANES) as u32;
            let rows = (out.len() / tables) as u32;
            let codes = self.codes(path, matrix, first..first + rows, scratch);
            for (lane, out) in out.chunks_exact_mut(tables).enumerate() {
                for (out, codes) in out.iter_mut().zip(codes.chunks_exact(LANES)) {
                    *out = codes[lane];
                }
            }
        });
        let (buckets, priority, first) = (1 << self.hash.bits(), self.priority, self.first);
        self.tables.clear();
        let build = |t| Buckets::build(buckets, first, codes.iter().skip(t).step_by(tables).copied(), priority);
        self.tables = (0..tables).into_par_iter().map(build).collect::<Result<_>>()?;
        let count = |codes: &[u32]| codes.iter().filter(|&&code| code != ABSENT).count() as u16;
        self.shares = Shares::new(codes.par_chunks(tables).map(count).collect());
        self.codes = codes;
        Ok(())
    }

    /// Hashes some rows (each once) again and moves them to their buckets; in the pool of the caller. Returns the moves.
    pub fn rehash(&mut self, path: Path, matrix: Matrix<'_>, rows: &[u32]) -> Result<usize> {
        let tables = self.hash.tables();
        let found: Vec<Vec<Move>> = rows
            .par_chunks(TASK)
            .map_init(Scratch::default, |scratch, rows| {
                let mut moves = Vec::new();
                self.prefetch(matrix, &rows[..LANES.min(rows.len())]);
                for (block, here) in rows.chunks(LANES).enumerate() {
                    let next = ((block + 1) * LANES).min(rows.len());
                    self.prefetch(matrix, &rows[next..(next + LANES).min(rows.len())]);
                    let codes = self.codes(path, matrix, here.iter().copied(), scratch);
                    for (lane, &row) in here.iter().enumerate() {
                        let old = &self.codes[row as usize * tables..][..tables];
                        for (t, (&from, codes)) in old.iter().zip(codes.chunks_exact(LANES)).enumerate() {
                            let to = codes[lane];
                            if from != to {
                                moves.push(Move { table: t as u32, row, from, to });
                            }
                        }
                    }
                }
                moves
            })
            .collect();
        let mut moves: Vec<Move> = found.into_iter().flatten().collect();
        for m in &moves {
            self.codes[m.row as usize * tables + m.table as usize] = m.to;
            if (m.from == ABSENT) != (m.to == ABSENT) {
                self.shares.change(m.row as usize, m.from == ABSENT);
            }
        }
        moves.sort_unstable_by_key(|m| (m.table, m.from, m.row));
        let (first, priority) = (self.first, self.priority);
        self.tables.par_iter_mut().enumerate().try_for_each(|(t, table)| {
            let begin = moves.partition_point(|m| (m.table as usize) < t);
            let end = moves.partition_point(|m| m.table as usize <= t);
            table.touch(moves[begin..end].iter().flat_map(|m| [m.from, m.to]).filter(|&code| code != ABSENT));
            for m in &moves[begin..end] {
                table.change(first + m.row, m.from, m.to, priority)?;
            }
            Ok::<(), Error>(())
        })?;
        Ok(moves.len())
    }

    /// Numbers of the rows with this code in a table, by priority, at most `cap`.
    #[cfg(test)]
    pub(crate) fn bucket(&self, table: usize, code: u32, cap: usize) -> &[u32] {
        let all = self.tables[table].get(code);
        &all[..all.len().min(cap)]
    }

    /// In how many tables each row is.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The buckets of a table.
    #[inline(always)]
    pub fn table(&self, table: usize) -> &Buckets {
        &self.tables[table]
    }

    /// Of the bucket of a code, how many rows have a priority below `threshold`.
    pub(crate) fn below(&self, table: usize, code: u32, threshold: u32) -> usize {
        self.tables[table].get(code).partition_point(|&id| self.priority.of(id).0 < threshold)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.shares.bytes() + 4 * self.codes.capacity() + self.tables.iter().map(Buckets::bytes).sum::<usize>()
    }

    /// Buckets that have not the same rows in the same order as in `other`, of tables with the same hash functions.
    pub fn differing(&self, other: &Self) -> usize {
        let buckets = 1u32 << self.hash.bits();
        let of_table = |(a, b): (&Buckets, &Buckets)| (0..buckets).filter(|&code| a.get(code) != b.get(code)).count();
        self.tables.iter().zip(&other.tables).map(of_table).sum()
    }

    /// Whether all rows are in the same buckets as in `other`, in the same order.
    pub fn same_as(&self, other: &Self) -> bool {
        self.codes == other.codes && self.shares == other.shares && self.differing(other) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Family;
    use crate::matrix::Values;

    fn hash(tables: usize, length: usize) -> Hash {
        Hash::new(Family::Dwta, 2, tables, 6, length, 1).unwrap()
    }

    fn matrix(weights: &[f32], length: usize) -> Matrix<'_> {
        Matrix { values: Values::F32(weights), stride: length, length }
    }

    #[test]
    fn every_row_is_in_one_bucket_of_each_table_by_priority() {
        let (rows, length, first) = (500, 32, 1000);
        let random = Philox::new(9, 9);
        let weights: Vec<f32> = (0..(rows * length) as u64).map(|i| (random.u64_at(i) >> 40) as f32 - 8e6).collect();
        let mut tables = Tables::new(hash(6, length), first, rows, rows, 1);
        for path in Path::usable() {
            tables.rebuild(path, matrix(&weights, length)).unwrap();
            let mut other = Tables::new(hash(6, length), first, rows, rows, 1);
            other.rebuild(Path::Scalar, matrix(&weights, length)).unwrap();
            assert!(other.same_as(&tables));
        }
        for t in 0..6 {
            // These rows are long, so each is in every table.
            let mut all: Vec<u32> = Vec::new();
            for code in 0..64 {
                let bucket = tables.bucket(t, code, usize::MAX);
                assert!(bucket.windows(2).all(|w| tables.priority.of(w[0]) < tables.priority.of(w[1])));
                assert_eq!(tables.bucket(t, code, 3), &bucket[..bucket.len().min(3)]);
                all.extend(bucket);
            }
            all.sort_unstable();
            assert_eq!(all, (first..first + rows as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn short_rows_are_in_few_tables() {
        let (rows, length, tables) = (200usize, 32, 20);
        let random = Philox::new(5, 5);
        let mut weights: Vec<f32> =
            (0..(rows * length) as u64).map(|i| (random.u64_at(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect();
        let mut wanted = Vec::new();
        for (i, row) in weights.chunks_exact_mut(length).enumerate() {
            let long = i as f32 * 3.0 / rows as f32;
            let now = row.iter().map(|w| w * w).sum::<f32>().sqrt();
            row.iter_mut().for_each(|w| *w *= long / now);
            wanted.push(long);
        }
        let mut made = Tables::new(hash(tables, length), 0, rows, 1 << 20, 1);
        made.rebuild(Path::Scalar, matrix(&weights, length)).unwrap();
        let mut counts = vec![0usize; rows];
        for t in 0..tables {
            (0..64).for_each(|code| made.bucket(t, code, 1000).iter().for_each(|&id| counts[id as usize] += 1));
        }
        for (&long, &count) in wanted.iter().zip(&counts) {
            let expected = share(long, 4.0, tables);
            assert!(count.abs_diff(expected) <= 1, "{long}: {count}, {expected}"); // rounding of the length
            assert!((long > SHORT || count == 1) && (long < 4.01 * SHORT || count == tables));
        }
    }

    /// Rows hashed again one by one or in batches: the tables of the new weights.
    #[test]
    fn rehashing_equals_a_rebuild() {
        let (rows, length) = (300usize, 24);
        let random = Philox::new(3, 3);
        let number = |i: u64| (random.u64_at(i) >> 40) as f32 - 8e6;
        let mut weights: Vec<f32> = (0..(rows * length) as u64).map(number).collect();
        let mut tables = Tables::new(hash(9, length), 0, rows, rows, 1);
        tables.rebuild(Path::Scalar, matrix(&weights, length)).unwrap();
        for round in 1..6u64 {
            let mut touched: Vec<u32> =
                (0..40).map(|i| (random.u64_at(round << 40 | i) % rows as u64) as u32).collect();
            touched.sort_unstable();
            touched.dedup();
            for &row in &touched {
                for c in 0..length {
                    weights[row as usize * length + c] += number(round << 32 | u64::from(row) << 8 | c as u64) / 4.0;
                }
            }
            let mut fresh = Tables::new(hash(9, length), 0, rows, rows, 1);
            fresh.rebuild(Path::Scalar, matrix(&weights, length)).unwrap();
            assert!(tables.differing(&fresh) > 0);
            let moves = tables.rehash(Path::Scalar, matrix(&weights, length), &touched).unwrap();
            assert!(moves > 0 && tables.same_as(&fresh));
        }
    }
}
