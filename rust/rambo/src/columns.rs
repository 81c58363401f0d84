//! An index under construction: the filter of each bucket in one piece.
//!
//! Queries want rows (one bit of every bucket), insertion wants columns: a document writes into one bucket a repetition,
//! whose filter then stays in cache, and two threads meet only at a bucket's lock. Setting a bit twice changes nothing,
//! so the result does not depend on threads or order. Rows are made at the end by transposing.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use thrifty_base::memory::{MmapMut, zeroed};

use crate::simd::{Kernel, Simd};
use crate::{Result, rows};

/// Filters of all buckets of one repetition.
pub(crate) struct Columns {
    memory: MmapMut,
    buckets: usize,
    rows: u64,
    /// Words of a column, whole cache lines, an odd number of them so that equal rows of many columns do not fall
    /// into one set of the cache.
    words: usize,
}

/// Columns that threads may write, a lock each.
pub(crate) type Locked<'a> = Vec<Mutex<&'a mut [u64]>>;

impl Columns {
    /// Empty filters; `path` is for messages about memory.
    pub(crate) fn new(buckets: u32, rows: u64, path: &Path) -> Result<Self> {
        let lines = rows.div_ceil(512) as usize | 1;
        let words = 8 * lines;
        let memory = zeroed(8 * words * buckets as usize, path)?;
        Ok(Self { memory, buckets: buckets as usize, rows, words })
    }

    pub(crate) fn locked(&mut self) -> Locked<'_> {
        bytemuck::cast_slice_mut::<u8, u64>(&mut self.memory).chunks_exact_mut(self.words).map(Mutex::new).collect()
    }

    pub(crate) fn column(&self, bucket: usize) -> &[u64] {
        &bytemuck::cast_slice::<u8, u64>(&self.memory)[bucket * self.words..(bucket + 1) * self.words]
    }

    /// Set bits of each bucket.
    pub(crate) fn fill(&self) -> Vec<u64> {
        let count = |bucket| self.column(bucket).iter().map(|word| u64::from(word.count_ones())).sum();
        (0..self.buckets).into_par_iter().map(count).collect()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

/// Sets the bits of hashes in one bucket's filter.
pub(crate) struct Insert<'a, 'c> {
    pub(crate) column: &'a Mutex<&'c mut [u64]>,
    pub(crate) hashes: &'a [u64],
    pub(crate) multipliers: &'a [u64],
    pub(crate) rows: u64,
}

impl Kernel for Insert<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut column = self.column.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = s.splat(self.rows);
        let (eights, rest) = self.hashes.as_chunks::<8>();
        for eight in eights {
            self.set(s, &mut column, eight, rows);
        }
        if let Some(&last) = rest.last() {
            // Filled up by repeats, which do no harm.
            let mut eight = [last; 8];
            eight[..rest.len()].copy_from_slice(rest);
            self.set(s, &mut column, &eight, rows);
        }
    }
}

impl Insert<'_, '_> {
    #[inline(always)]
    fn set<S: Simd>(&self, s: S, column: &mut [u64], hashes: &[u64; 8], rows: S::Mask) {
        let hashes = s.pack(hashes);
        for &m in self.multipliers {
            for row in s.words(s.row(hashes, s.splat(m), rows)) {
                column[(row / 64) as usize] |= 1 << (row % 64);
            }
        }
    }
}

/// Rows `64 * first..64 * last` as a stretch of the bit-packed row matrix, for [`rows::Packer`].
pub(crate) fn transpose(columns: &Columns, first: usize, last: usize, packer: &mut rows::Packer) {
    let buckets = columns.buckets;
    let groups = buckets.div_ceil(64);
    let mut block = vec![0u64; 64 * groups];
    let mut tile = [0u64; 64];
    for w in first..last {
        let valid = (columns.rows - 64 * w as u64).min(64) as usize;
        for g in 0..groups {
            for (i, t) in tile.iter_mut().enumerate() {
                let b = 64 * g + i;
                *t = if b < buckets { columns.column(b)[w] } else { 0 };
            }
            transpose64(&mut tile);
            for (row, &bits) in tile.iter().enumerate() {
                block[row * groups + g] = bits;
            }
        }
        for row in 0..valid {
            packer.push(&block[row * groups..(row + 1) * groups], buckets);
        }
    }
}

/// Transposes 64 x 64 bits: bit i of word j becomes bit j of word i.
pub(crate) fn transpose64(a: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, 0x0000_0000_FFFF_FFFFu64);
    while width != 0 {
        let mut i = 0;
        while i < 64 {
            for k in i..i + width {
                let swap = ((a[k] >> width) ^ a[k + width]) & mask;
                a[k] ^= swap << width;
                a[k + width] ^= swap;
            }
            i += 2 * width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use thrifty_base::hash::{mix64, reduce52};
    use thrifty_base::simd;

    use crate::simd::dispatch;

    proptest! {
        #[test]
        fn transposed_twice_is_the_same(seed: u64) {
            let a: [u64; 64] = std::array::from_fn(|i| mix64(seed ^ i as u64));
            let mut t = a;
            transpose64(&mut t);
            for i in 0..64 { for j in 0..64 { prop_assert_eq!(a[j] >> i & 1, t[i] >> j & 1); } }
            transpose64(&mut t);
            prop_assert_eq!(a, t);
        }

        /// Rows hold what columns hold, for any number of buckets and rows.
        #[test]
        fn rows_equal_columns(buckets in 1u32..200, rows in 1u64..400, seed: u64) {
            let mut c = Columns::new(buckets, rows, Path::new("t")).unwrap();
            let hashes: Vec<u64> = (0..50).map(|i| mix64(seed ^ i)).collect();
            for (b, column) in c.locked().iter().enumerate() {
                let hashes = &hashes[b % 7..b % 7 + b % 40];
                let insert = || Insert { column, hashes, multipliers: &[3, 0x9E37_79B9_7F4A_7C15], rows };
                simd::Path::usable().into_iter().for_each(|path| dispatch(path, insert()));
                for h in hashes {
                    let row = reduce52(h.wrapping_mul(3), rows);
                    prop_assert_eq!(column.lock().unwrap()[row as usize / 64] >> (row % 64) & 1, 1);
                }
            }
            let mut packer = rows::Packer::default();
            transpose(&c, 0, rows.div_ceil(64) as usize, &mut packer);
            let bytes = packer.finish();
            prop_assert_eq!(bytes.len() as u64, (rows * u64::from(buckets)).div_ceil(8));
            for row in 0..rows as usize {
                for b in 0..buckets as usize {
                    let at = row * buckets as usize + b;
                    let in_row = bytes[at / 8] >> (at % 8) & 1;
                    prop_assert_eq!(u64::from(in_row), c.column(b)[row / 64] >> (row % 64) & 1);
                }
            }
        }
    }
}
