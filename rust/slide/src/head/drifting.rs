//! Rows that move without a gradient, as those of dense Adam do: when they are next needed.

use rayon::prelude::*;
use thrifty_base::math::bf16::{narrow, narrow_stochastic, widen};
use thrifty_base::philox::Philox;

use super::{Head, PART, WeightsMut};
use crate::active::Active;
use crate::adam::Updated;
use crate::backward::Owned;
use crate::drift::Due;
use crate::matrix::ValuesMut;
use crate::stream;

impl Head {
    /// Brings the rows of active neurons up to date, before their scores are taken; nothing where rows without a gradient
    /// stand still. In the pool of the caller.
    pub fn catch_up(&mut self, to: WeightsMut<'_>, active: &Active) {
        let first = self.slice.first;
        let here = first..first + self.slice.rows as u32;
        self.move_rows(to, active.ids.iter().filter(|id| here.contains(id)).map(|id| id - first));
    }

    /// Brings all rows up to date: before weights are read by others, or moments. In the pool of the caller.
    pub fn settle(&mut self, to: WeightsMut<'_>) {
        if self.is_settled() {
            return;
        }
        self.move_rows(to, 0..self.slice.rows as u32);
        if let Some(drift) = &mut self.drift {
            drift.settle();
        }
    }

    /// Whether all rows are up to date.
    pub fn is_settled(&self) -> bool {
        self.drift.as_ref().is_none_or(crate::drift::Drift::is_settled)
    }

    /// Brings rows (ascending) up to date; those that lacked a step join the queue of rows to be hashed again.
    pub(super) fn move_rows(&mut self, to: WeightsMut<'_>, ids: impl Iterator<Item = u32>) {
        let Some(drift) = &mut self.drift else { return };
        let (ids, had) = drift.take(ids);
        if ids.is_empty() {
            return;
        }
        let drift = &*drift;
        let whole = self.kept.owned(to);
        let (path, length, has_bias) = (self.path, self.length, self.has_bias);
        let random = Philox::new(self.seed, stream::DRIFT);
        let base = self.steps.wrapping_mul(self.slice.neurons as u64).wrapping_add(u64::from(self.slice.first));
        let parts = whole.cut(&ids, PART, length).into_par_iter().zip(ids.par_chunks(PART).zip(had.par_chunks(PART)));
        parts.for_each_init(Vec::new, |scratch, (owned, (ids, had))| {
            let Owned { rows, master, moments, bias, bias_moments, first } = owned;
            let dues: Vec<Due> = had.iter().map(|&had| drift.due(had)).collect();
            let starts: Vec<usize> = ids.iter().map(|&id| (id as usize - first) * length).collect();
            let places: Vec<usize> = starts.iter().map(|start| 2 * start).collect();
            let places = &places[..];
            match (rows, master) {
                (ValuesMut::F32(weights), _) => {
                    drift.rows(path, Updated { weights, moments, places, length }, &starts, &dues);
                }
                (ValuesMut::Bf16(halves), Some(weights)) => {
                    drift.rows(path, Updated { weights, moments, places, length }, &starts, &dues);
                    for &start in &starts {
                        narrow(path, &weights[start..start + length], &mut halves[start..start + length]);
                    }
                }
                (ValuesMut::Bf16(halves), None) => {
                    scratch.resize(ids.len() * length, 0.0);
                    for (&start, row) in starts.iter().zip(scratch.chunks_exact_mut(length)) {
                        widen(path, &halves[start..start + length], row);
                    }
                    let packed: Vec<usize> = (0..ids.len()).map(|i| i * length).collect();
                    drift.rows(path, Updated { weights: scratch, moments, places, length }, &packed, &dues);
                    for ((&id, &start), row) in ids.iter().zip(&starts).zip(scratch.chunks_exact(length)) {
                        let position = base.wrapping_add(u64::from(id)).wrapping_mul(length as u64);
                        narrow_stochastic(path, row, random, position, &mut halves[start..start + length]);
                    }
                }
            }
            if has_bias {
                for (&id, due) in ids.iter().zip(&dues) {
                    let at = id as usize - first;
                    if let [first, second] = &mut bias_moments[2 * at..2 * at + 2] {
                        drift.one(due, &mut bias[at], first, second);
                    }
                }
            }
        });
        if self.tables.is_some() {
            let step = self.steps.max(1);
            ids.iter().for_each(|&id| self.queue.push(id, step));
        }
    }
}
