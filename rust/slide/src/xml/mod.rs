//! The text format of the Extreme Classification Repository.
//!
//! A header `rows features labels`, then a line a row: `label,label feature:value feature:value`, ids from 0.

mod decimal;
mod line;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use decimal::parse_f32;
pub use read::read;
pub use write::write;

use crate::sparse::Sparse;

/// Rows of a file.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Where the features of each row end.
    pub ends: Vec<u64>,
    /// Features, in the order of the file, none twice in a row.
    pub features: Vec<u32>,
    /// Their values.
    pub values: Vec<f32>,
    /// Where the labels of each row end.
    pub label_ends: Vec<u64>,
    /// Labels, in the order of the file, none twice in a row.
    pub labels: Vec<u32>,
    /// Features and labels that there are.
    pub shape: (usize, usize),
}

impl Rows {
    /// Features by row.
    pub fn inputs(&self) -> Sparse<'_> {
        Sparse { ends: &self.ends, indices: &self.features, values: &self.values }
    }

    /// Labels by row.
    pub fn targets(&self) -> Sparse<'_> {
        Sparse { ends: &self.label_ends, indices: &self.labels, values: &[] }
    }
}

/// An id that is there twice.
fn repeated(ids: &[u32], scratch: &mut Vec<u32>) -> Option<u32> {
    if ids.windows(2).all(|w| w[0] < w[1]) {
        return None;
    }
    scratch.clear();
    scratch.extend_from_slice(ids);
    scratch.sort_unstable();
    scratch.windows(2).find(|w| w[0] == w[1]).map(|w| w[0])
}
