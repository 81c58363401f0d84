//! Rows of (index, value) pairs, one after the other.

use thrifty_base::hash::{xxh3_64, xxh3_64_with_seed};

use crate::{Error, Result};

/// A sparse matrix by rows (CSR).
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a> {
    /// Row i has the pairs `ends[i - 1]..ends[i]`; one entry a row.
    pub ends: &'a [u64],
    /// Columns.
    pub indices: &'a [u32],
    /// Values, one a pair; or none, where only columns matter.
    pub values: &'a [f32],
}

impl<'a> Sparse<'a> {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Where the pairs of row `i` are.
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        let begin = if i == 0 { 0 } else { self.ends[i - 1] };
        begin as usize..self.ends[i] as usize
    }

    /// Columns of row `i`.
    pub fn row(&self, i: usize) -> &'a [u32] {
        &self.indices[self.range(i)]
    }

    /// A checksum of all that it holds.
    pub fn checksum(&self) -> u64 {
        let ends = xxh3_64(bytemuck::cast_slice(self.ends));
        let indices = xxh3_64_with_seed(bytemuck::cast_slice(self.indices), ends);
        xxh3_64_with_seed(bytemuck::cast_slice(self.values), indices)
    }

    /// [`Self::check`], and each pair must have a value.
    pub fn check_valued(&self, what: &'static str, columns: usize) -> Result<()> {
        self.check(what, columns)?;
        if self.values.len() == self.indices.len() {
            return Ok(());
        }
        Err(Error::argument(what, format!("no values for {} indices", self.indices.len())))
    }

    /// Refuses ends that do not ascend, columns beyond `columns` and values that are not finite. `what` names the
    /// argument.
    pub fn check(&self, what: &'static str, columns: usize) -> Result<()> {
        let ascending = self.ends.windows(2).all(|w| w[0] <= w[1]);
        if !ascending || self.ends.last().copied().unwrap_or(0) != self.indices.len() as u64 {
            let why = format!("row ends must ascend to the number of indices, {}", self.indices.len());
            return Err(Error::argument(what, why));
        }
        if !self.values.is_empty() && self.values.len() != self.indices.len() {
            let why = format!("{} values for {} indices", self.values.len(), self.indices.len());
            return Err(Error::argument(what, why));
        }
        let beyond = self.indices.iter().position(|&c| c as usize >= columns);
        let odd = self.values.iter().position(|v| !v.is_finite());
        if let Some(at) = beyond.or(odd) {
            let row = self.ends.partition_point(|&end| end <= at as u64);
            let column = self.indices[at];
            return Err(Error::argument(
                what,
                match beyond {
                    Some(_) => format!("row {row} has the index {column}; indices are below {columns}"),
                    None => format!("row {row} has the value {} at index {column}; values are finite", self.values[at]),
                },
            ));
        }
        Ok(())
    }
}
