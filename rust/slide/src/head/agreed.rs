//! What rows ask of a layer whose slices agree on it: together their active neurons are those that one slice would have.
//!
//! Slices exchange three things before they choose. The sizes of the buckets that rows fall into: of a bucket that is larger
//! than the cap, neurons count whose priority is below a share of all priorities, the cap over the size. Then what most tables
//! return for each row, and the scores of the best of these.

use rayon::prelude::*;
use thrifty_base::math::{LANES, dots};

use super::{Head, Weights};
use crate::active::{Cap, Wanted};
use crate::batch::Batch;
use crate::hash::Scratch;
use crate::predict::dense;
use crate::sampling::Method;
use crate::tables::Tables;

/// Neurons that rows ask for, with their scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// Where the neurons of each row end.
    pub ends: Vec<usize>,
    /// The neurons.
    pub ids: Vec<u32>,
    /// The scores.
    pub scores: Vec<f32>,
}

impl Scored {
    /// Of all slices, for each row the `each` neurons with the highest scores.
    pub fn merged(slices: &[Self], each: usize) -> Wanted {
        let mut out = Wanted::default();
        for row in 0..slices.first().map_or(0, |slice| slice.ends.len()) {
            let of = |slice: &Self| if row == 0 { 0 } else { slice.ends[row - 1] }..slice.ends[row];
            let pairs = slices.iter().flat_map(|slice| of(slice).map(|i| (slice.scores[i], slice.ids[i])));
            out.push_best(pairs, each);
        }
        out
    }
}

impl Head {
    /// Sizes of the buckets of this slice that rows fall into: for each row of the padded batch one for each table, side by side
    /// in blocks of [`LANES`] rows. Empty where there are no tables. In the pool of the caller.
    pub fn bucket_sizes(&self, batch: &Batch<'_>) -> Vec<u32> {
        let Some(tables) = self.built() else { return Vec::new() };
        let each = tables.hash().tables() * LANES;
        let mut out = vec![0u32; batch.columns / LANES * each];
        out.par_chunks_mut(each).enumerate().for_each_init(Scratch::default, |scratch, (block, out)| {
            tables.hash().codes(self.path, &batch.side_by_side[block * LANES..], batch.columns, scratch, out);
            for (table, codes) in out.chunks_exact_mut(LANES).enumerate() {
                let spans = tables.table(table).spans();
                codes.iter_mut().for_each(|code| *code = spans[*code as usize].length() as u32);
            }
        });
        out
    }

    /// What rows ask of this slice when the buckets of all slices have these sizes; and how many neurons were returned. In the
    /// pool of the caller.
    pub fn ask_agreed(&self, batch: &Batch<'_>, sizes: &[u32]) -> (Wanted, u64) {
        let nothing = || (Wanted { ends: vec![0; batch.rows()], ..Wanted::default() }, 0);
        let (Some(tables), each) = (self.built(), self.sampling.pool.max(self.sampling.each)) else { return nothing() };
        let block = tables.hash().tables() * LANES;
        let caps: Vec<Vec<u32>> = (0..batch.columns / LANES)
            .into_par_iter()
            .map_init(
                || (Scratch::default(), vec![0u32; block]),
                |(scratch, codes), b| {
                    let x = &batch.side_by_side[b * LANES..];
                    tables.hash().codes(self.path, x, batch.columns, scratch, codes);
                    let sizes = &sizes[b * block..][..block];
                    codes
                        .iter()
                        .zip(sizes)
                        .enumerate()
                        .map(|(at, (&code, &size))| self.cap(tables, at / LANES, code, size))
                        .collect()
                },
            )
            .collect();
        self.ask_with(tables, batch, each, |b, _| Cap::Each(&caps[b]))
    }

    fn built(&self) -> Option<&Tables> {
        self.tables.as_ref().filter(|tables| tables.is_built())
    }

    /// How many neurons of this slice's bucket count when those of all slices together are so many.
    fn cap(&self, tables: &Tables, table: usize, code: u32, size: u32) -> u32 {
        let cap = u64::try_from(self.sampling.bucket).unwrap_or(u64::MAX);
        if u64::from(size) <= cap {
            return u32::MAX;
        }
        let threshold = ((cap << 32) / u64::from(size)).min(u64::from(u32::MAX)) as u32;
        tables.below(table, code, threshold) as u32
    }

    /// Scores of the neurons in this slice that rows ask for: of those in `wanted`, or with exact scores for neurons, of the best of
    /// all. In the pool of the caller.
    pub fn scored(&self, weights: Weights<'_>, batch: &Batch<'_>, wanted: &Wanted) -> Scored {
        let (first, each) = (self.slice.first, self.sampling.each);
        if self.sampling.method == Method::Exact {
            let k = each.min(self.slice.rows);
            let best = dense(self.path, weights, batch, k);
            let ids = best.ids.iter().map(|id| first + id).collect();
            return Scored { ends: (1..=batch.rows()).map(|row| row * k).collect(), ids, scores: best.scores };
        }
        let here = first..first + self.slice.rows as u32;
        let rows: Vec<(Vec<u32>, Vec<f32>)> = (0..batch.rows())
            .into_par_iter()
            .map_init(
                || (Vec::new(), Vec::new()),
                |(scratch, starts), row| {
                    let own = wanted.row(row).iter().filter(|id| here.contains(id));
                    let ids: Vec<u32> = own.map(|id| id - first).collect();
                    let mut scores = vec![0.0; ids.len()];
                    let gathered = weights.rows.rows(self.path, &ids, scratch, starts);
                    dots(self.path, gathered, batch.row(row, self.length), &mut scores);
                    scores.iter_mut().zip(&ids).for_each(|(score, &id)| *score += weights.bias[id as usize]);
                    (ids, scores)
                },
            )
            .collect();
        let mut out = Scored::default();
        for (ids, scores) in rows {
            out.ids.extend(ids.iter().map(|id| first + id));
            out.scores.extend(scores);
            out.ends.push(out.ids.len());
        }
        out
    }
}
