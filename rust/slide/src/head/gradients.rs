//! Gradients by themselves, and a step with them: for whoever updates the weights in another way, or later.

use rayon::prelude::*;
use thrifty_base::lent::Lent;
use thrifty_base::math::{Rows, accumulate, multiply, sum};
use thrifty_base::philox::Philox;

use super::{Forward, Head, PART, TASK, Weights, WeightsMut, following, within};
use crate::backward::{Delta, Room, Work};
use crate::batch::Batch;
use crate::softmax::Sums;
use crate::stream;

/// Gradients of the active rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Active neurons, numbered within the slice, ascending.
    pub ids: Vec<u32>,
    /// Gradients of their rows, one after the other.
    pub rows: Lent,
    /// Of their biases.
    pub bias: Vec<f32>,
}

impl Head {
    /// Gradient of the hidden values by `weight` times the mean loss, this slice's part of it: `length` numbers for each row of
    /// the batch. It leaves in `forward` what [`Self::row_gradients`] needs. In the pool of the caller.
    pub fn hidden_gradient(
        &self,
        weights: Weights<'_>,
        batch: &Batch<'_>,
        forward: &mut Forward,
        all: &Sums,
        weight: f32,
    ) -> Lent {
        let Forward { local, values, parts, hits, .. } = forward;
        let (path, length, columns) = (self.path, self.length, batch.columns);
        let delta = Delta { path, loss: self.loss, weight, all, rows: batch.rows() };
        let (parts, hits) = (&*parts, &*hits);
        let tasks = local.par_chunks(TASK * PART).zip(values.par_chunks_mut(TASK * PART * columns)).enumerate();
        let gradients: Vec<Lent> = tasks
            .map(|(task, (ids, values))| {
                let mut hidden = Lent::zeros(length * columns);
                let (mut scratch, mut starts) = (Vec::new(), Vec::new());
                for (i, (ids, values)) in ids.chunks(PART).zip(values.chunks_mut(PART * columns)).enumerate() {
                    let part = task * TASK + i;
                    delta.finish(values, &parts[part], within(hits, part), part * PART);
                    let gathered = weights.rows.rows(path, ids, &mut scratch, &mut starts);
                    accumulate(path, gathered, values, columns, 0, &mut hidden);
                }
                hidden
            })
            .collect();
        batch.hidden_gradient(gradients, length)
    }

    /// Gradients of active rows, after [`Self::hidden_gradient`]; in the pool of the caller.
    pub fn row_gradients(&self, batch: &Batch<'_>, forward: Forward) -> Gradients {
        let Forward { local: ids, values, .. } = forward;
        let (path, length, columns, width) = (self.path, self.length, batch.columns, batch.width);
        let (mut rows, mut bias) = (Lent::zeros(ids.len() * length), vec![0.0f32; ids.len()]);
        let parts = rows.par_chunks_mut(PART * length).zip(bias.par_chunks_mut(PART));
        parts.zip(values.par_chunks(PART * columns)).for_each_init(Vec::new, |padded, ((rows, bias), values)| {
            let starts: Vec<usize> = (0..bias.len()).map(|i| i * columns).collect();
            padded.resize(bias.len() * width, 0.0);
            multiply(path, Rows { data: values, starts: &starts, length: columns }, &batch.hidden, width, None, padded);
            for (out, gradient) in rows.chunks_exact_mut(length).zip(padded.chunks_exact(width)) {
                out.copy_from_slice(&gradient[..length]);
            }
            bias.iter_mut().zip(values.chunks_exact(columns)).for_each(|(out, delta)| *out = sum(path, delta));
        });
        self.keep(values);
        Gradients { ids, rows, bias }
    }

    /// Both, for whoever updates the weights; nothing changes but the number of steps. In the pool of the caller.
    pub fn gradients(
        &mut self,
        weights: Weights<'_>,
        batch: &Batch<'_>,
        mut forward: Forward,
        all: &Sums,
        weight: f32,
    ) -> (Gradients, Lent) {
        self.steps += 1;
        let hidden = self.hidden_gradient(weights, batch, &mut forward, all, weight);
        (self.row_gradients(batch, forward), hidden)
    }

    /// A step of Adam with gradients; in the pool of the caller.
    pub fn apply(&mut self, to: WeightsMut<'_>, gradients: &Gradients) {
        self.steps += 1;
        let Gradients { ids, rows, bias } = gradients;
        let length = self.length;
        let (step, rounding) = (self.adam.step(self.steps), self.rounding());
        let work = Work { path: self.path, step, length, has_bias: self.has_bias, rounding };
        let whole = self.kept.owned(to);
        let size = 2 * PART; // nothing is summed over tasks, so they may be small
        let tasks = whole.cut(ids, size, length).into_par_iter().zip(ids.par_chunks(size)).enumerate();
        let with = tasks.zip(rows.par_chunks(size * length).zip(bias.par_chunks(size)));
        with.for_each_init(Room::default, |room, ((task, (mut owned, here)), (rows, bias))| {
            let parts = here.chunks(PART).zip(rows.chunks(PART * length).zip(bias.chunks(PART))).enumerate();
            for (i, (here, (rows, bias))) in parts {
                owned.prefetch(following(ids, task * 2 + i), length);
                work.apply(&mut owned, here, rows, bias, room);
            }
        });
        self.stepped(step.size, ids);
    }

    /// Where the bits come from that round weights of the present step to bf16, and the position of row 0.
    pub(super) fn rounding(&self) -> (Philox, u64) {
        let first = self.steps.wrapping_mul(self.slice.neurons as u64).wrapping_add(u64::from(self.slice.first));
        (Philox::new(self.seed, stream::ROUNDING), first.wrapping_mul(self.length as u64))
    }

    /// Notes that a step changed rows.
    pub(super) fn stepped(&mut self, size: f32, ids: &[u32]) {
        if let Some(drift) = &mut self.drift {
            drift.stepped(size, ids);
        }
        if self.tables.is_some() {
            ids.iter().for_each(|&id| self.queue.push(id, self.steps));
        }
    }
}
