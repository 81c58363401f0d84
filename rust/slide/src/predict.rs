//! The best neurons of rows: of all, or of those that hash tables return.

use rayon::prelude::*;
use thrifty_base::math::{dots, multiply};
use thrifty_base::simd::Path;

use crate::batch::Batch;
use crate::head::{Head, Weights};
use crate::{Error, Result};

/// Neurons that are scored together.
const NEURONS: usize = 512;

/// The best neurons of some rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Best {
    /// Neurons, `k` for each row, best first; [`NONE`] where fewer were scored.
    pub ids: Vec<u32>,
    /// Their scores (logits); minus infinity where there is none.
    pub scores: Vec<f32>,
    /// Neurons that were scored, over all rows.
    pub scored: u64,
}

/// No neuron.
pub const NONE: u32 = u32::MAX;

/// Scores in descending order, at most `k`; of equal ones the smaller number first.
#[derive(Clone, Debug)]
struct Top {
    k: usize,
    best: Vec<(f32, u32)>,
}

impl Top {
    fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k + 1) }
    }

    /// What a score must be above to count; numbers come in ascending order.
    fn least(&self) -> f32 {
        if self.best.len() == self.k { self.best[self.k - 1].0 } else { f32::NEG_INFINITY }
    }

    fn offer(&mut self, score: f32, id: u32) {
        if self.best.len() < self.k || score > self.least() {
            let at = self.best.partition_point(|&(s, other)| s > score || (s == score && other < id));
            self.best.insert(at, (score, id));
            self.best.truncate(self.k);
        }
    }
}

impl Best {
    fn push(&mut self, top: &Top) {
        let missing = top.k - top.best.len();
        self.ids.extend(top.best.iter().map(|b| b.1).chain(std::iter::repeat_n(NONE, missing)));
        self.scores.extend(top.best.iter().map(|b| b.0).chain(std::iter::repeat_n(f32::NEG_INFINITY, missing)));
    }

    /// Appends the rows of another.
    pub fn append(&mut self, mut other: Self) {
        self.ids.append(&mut other.ids);
        self.scores.append(&mut other.scores);
        self.scored += other.scored;
    }
}

/// Refuses what can't be predicted.
pub(crate) fn check_prediction(k: usize, candidates: Option<usize>, head: &Head) -> Result<()> {
    if k == 0 {
        return Err(Error::argument("k", "0 is not possible; at least 1"));
    }
    if candidates.is_some() && head.tables().is_none() {
        return Err(Error::argument("sparse", "this head has no hash tables; take a family that has"));
    }
    Ok(())
}

/// The best `k` of all neurons for each row of a batch; on the calling thread.
pub fn dense(path: Path, weights: Weights<'_>, batch: &Batch<'_>, k: usize) -> Best {
    let (rows, columns, neurons) = (batch.rows(), batch.columns, weights.bias.len());
    let mut tops = vec![Top::new(k); rows];
    let mut least = vec![f32::NEG_INFINITY; columns];
    least[rows..].fill(f32::INFINITY);
    let mut scores = vec![0.0; NEURONS * columns];
    let (mut scratch, mut starts) = (Vec::new(), Vec::new());
    for first in (0..neurons).step_by(NEURONS) {
        let last = (first + NEURONS).min(neurons);
        let ids: Vec<u32> = (first as u32..last as u32).collect();
        let scores = &mut scores[..ids.len() * columns];
        let gathered = weights.rows.rows(path, &ids, &mut scratch, &mut starts);
        multiply(path, gathered, batch.inputs(weights.rows.length), columns, Some(&weights.bias[first..last]), scores);
        for (&id, scores) in ids.iter().zip(scores.chunks_exact(columns)) {
            let beaten = scores.iter().zip(&least).fold(false, |any, (s, l)| any | (s > l));
            if beaten {
                for ((top, &score), least) in tops.iter_mut().zip(scores).zip(&mut least) {
                    top.offer(score, id);
                    *least = top.least();
                }
            }
        }
    }
    let mut out = Best { scored: (rows * neurons) as u64, ..Best::default() };
    tops.iter().for_each(|top| out.push(top));
    out
}

/// The best `k` of the `candidates` neurons that most tables return for each row of a batch; in the pool of the caller.
pub fn sparse(path: Path, head: &Head, weights: Weights<'_>, batch: &Batch<'_>, k: usize, candidates: usize) -> Best {
    let (wanted, _) = head.ask(weights, batch, candidates);
    let first = head.slice().first;
    let found: Vec<(Top, u64)> = (0..batch.rows())
        .into_par_iter()
        .map_init(
            || (Vec::new(), Vec::new(), Vec::new()),
            |(scratch, starts, scores), row| {
                let mut ids: Vec<u32> = wanted.row(row).iter().map(|id| id - first).collect();
                ids.sort_unstable();
                scores.resize(ids.len(), 0.0);
                let gathered = weights.rows.rows(path, &ids, scratch, starts);
                dots(path, gathered, batch.row(row, weights.rows.length), scores);
                let mut top = Top::new(k);
                for (&id, &score) in ids.iter().zip(&*scores) {
                    top.offer(score + weights.bias[id as usize], first + id);
                }
                (top, ids.len() as u64)
            },
        )
        .collect();
    let mut out = Best::default();
    for (top, scored) in &found {
        out.push(top);
        out.scored += scored;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_what_was_offered() {
        let mut top = Top::new(3);
        for (score, id) in [(1.0, 5), (3.0, 7), (1.0, 2), (3.0, 9), (0.5, 1), (2.0, 4)] {
            top.offer(score, id);
        }
        assert_eq!(top.best, [(3.0, 7), (3.0, 9), (2.0, 4)]);
        let mut best = Best::default();
        best.push(&Top { k: 3, best: vec![(1.0, 8)] });
        assert_eq!((best.ids, best.scores[0]), (vec![8, NONE, NONE], 1.0));
    }
}
