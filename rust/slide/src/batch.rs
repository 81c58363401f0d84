//! Rows that are trained together, with their hidden values laid out for the products of a step.

use rayon::prelude::*;
use thrifty_base::lent::Lent;
use thrifty_base::math::{LANES, padded};

use crate::active::Wanted;
use crate::softmax::Loss;
use crate::sparse::Sparse;

/// Rows of a task that does little for each.
pub(crate) const ROWS: usize = 32;

/// A batch.
#[derive(Debug)]
pub struct Batch<'a> {
    targets: Sparse<'a>,
    rows: &'a [u32],
    /// Rows of the batch, padded.
    pub columns: usize,
    /// Hidden values of a row, padded.
    pub width: usize,
    /// Hidden values, a row of `width` for each of `columns`; what is padded is zero.
    pub hidden: Lent,
    /// The same with a row of `columns` for each hidden value.
    pub side_by_side: Lent,
}

/// Hidden values as a batch has them.
#[derive(Debug)]
pub struct Values {
    width: usize,
    hidden: Lent,
    side_by_side: Lent,
}

impl<'a> Batch<'a> {
    /// The rows `rows` of `targets`, with hidden values as [`Self::hidden`] has them; in the pool of the caller.
    pub fn new(targets: Sparse<'a>, rows: &'a [u32], hidden: Lent, width: usize) -> Self {
        let columns = padded(rows.len());
        debug_assert_eq!(hidden.len(), columns * width);
        let side_by_side = transposed(&hidden, width);
        Self { targets, rows, columns, width, hidden, side_by_side }
    }

    /// The same rows of other targets with hidden values that are laid out already.
    pub fn again(targets: Sparse<'a>, rows: &'a [u32], values: Values) -> Self {
        let Values { width, hidden, side_by_side } = values;
        Self { targets, rows, columns: hidden.len() / width, width, hidden, side_by_side }
    }

    /// Hidden values, for [`Self::again`].
    pub fn into_values(self) -> Values {
        Values { width: self.width, hidden: self.hidden, side_by_side: self.side_by_side }
    }

    /// Hidden values of a row, the first `length` of them.
    pub fn row(&self, row: usize, length: usize) -> &[f32] {
        &self.hidden[row * self.width..][..length]
    }

    /// The first `length` rows of [`Self::side_by_side`].
    pub fn inputs(&self, length: usize) -> &[f32] {
        &self.side_by_side[..length * self.columns]
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Labels of a row.
    pub fn labels(&self, row: usize) -> &'a [u32] {
        self.targets.row(self.rows[row] as usize)
    }

    /// Labels of all rows among `ids` (ascending), by their place there: (place, row, share of the row's loss).
    pub(crate) fn hits(&self, ids: &[u32], loss: Loss) -> Vec<(u32, u32, f32)> {
        let of_row = |row| {
            let labels = self.labels(row);
            let share = match loss {
                Loss::Softmax => 1.0 / labels.len() as f32,
                Loss::Sigmoid => 1.0,
            };
            let places = labels.iter().filter_map(|label| ids.binary_search(label).ok());
            places.map(move |place| (place as u32, row as u32, share))
        };
        let mut out: Vec<_> = (0..self.rows()).into_par_iter().with_min_len(ROWS).flat_map_iter(of_row).collect();
        out.par_sort_unstable_by_key(|&(place, row, _)| (place, row));
        out
    }

    /// Neurons of `ids` (ascending) that are not in a row's own set, by their place there: (place, row). A neuron that no row
    /// wants or has as a label is random and in the sets of all.
    pub(crate) fn others(&self, ids: &[u32], wanted: &Wanted) -> Vec<(u32, u32)> {
        let rows = self.rows();
        let mut member = vec![false; ids.len() * rows];
        for row in 0..rows {
            let asked: &[u32] = if row < wanted.rows() { wanted.row(row) } else { &[] };
            for id in self.labels(row).iter().chain(asked) {
                if let Ok(place) = ids.binary_search(id) {
                    member[place * rows + row] = true;
                }
            }
        }
        let mut out = Vec::new();
        for (place, members) in member.chunks_exact(rows).enumerate().filter(|(_, members)| members.contains(&true)) {
            let absent = members.iter().enumerate().filter(|(_, member)| !**member);
            out.extend(absent.map(|(row, _)| (place as u32, row as u32)));
        }
        out
    }

    /// Sum of gradients that have a row of `columns` for each hidden value, as rows of `length` for each row of the batch.
    pub(crate) fn hidden_gradient(&self, parts: Vec<Lent>, length: usize) -> Lent {
        let columns = self.columns;
        let mut out = Lent::zeros(self.rows() * length);
        let mut parts = parts.into_iter();
        let Some(mut sums) = parts.next() else {
            return out;
        };
        let others: Vec<Lent> = parts.collect();
        sums.par_chunks_mut(LANES * columns).enumerate().for_each(|(block, sums)| {
            for part in &others {
                let part = &part[block * LANES * columns..][..sums.len()];
                sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        });
        out.par_chunks_mut(length * LANES).enumerate().for_each(|(block, out)| {
            let first = block * LANES;
            for (c, sums) in sums.chunks_exact(columns).enumerate() {
                for (out, &sum) in out[c..].iter_mut().step_by(length).zip(&sums[first..]) {
                    *out = sum;
                }
            }
        });
        out
    }
}

/// Columns become rows; there is a multiple of [`LANES`] of both.
pub(crate) fn transposed(matrix: &[f32], columns: usize) -> Lent {
    let rows = matrix.len() / columns;
    let mut out = Lent::zeros(matrix.len());
    out.par_chunks_mut(LANES * rows).enumerate().for_each(|(block, out)| {
        for (r, row) in matrix.chunks_exact(columns).enumerate() {
            for (i, &x) in row[block * LANES..(block + 1) * LANES].iter().enumerate() {
                out[i * rows + r] = x;
            }
        }
    });
    out
}
