//! A step in one pass over the active rows: gradients and Adam, part by part.

use rayon::prelude::*;
use thrifty_base::lent::Lent;

use super::{Forward, Head, PART, TASK, WeightsMut, following, within};
use crate::backward::{Delta, Room, Work};
use crate::batch::Batch;
use crate::softmax::Sums;

impl Head {
    /// Updates this slice's active rows with the gradient of `weight` times the mean loss, and returns their part of the
    /// gradient of the hidden values: `length` numbers for each row of the batch; in the pool of the caller.
    pub fn backward(
        &mut self,
        mut to: WeightsMut<'_>,
        batch: &Batch<'_>,
        forward: Forward,
        all: &Sums,
        weight: f32,
    ) -> Lent {
        // Of two forward passes before this one, the other's backward pass may have been another step.
        self.move_rows(to.again(), forward.local.iter().copied());
        self.steps += 1;
        let rounding = self.rounding();
        let Forward { local, mut values, parts, hits, .. } = forward;
        let whole = self.kept.owned(to);
        let length = self.length;
        let tasks = whole.cut(&local, TASK * PART, length);
        let (path, step, has_bias) = (self.path, self.adam.step(self.steps), self.has_bias);
        let work = Work { path, step, length, has_bias, rounding };
        let delta = Delta { path: self.path, loss: self.loss, weight, all, rows: batch.rows() };
        let gradients: Vec<Lent> = tasks
            .into_par_iter()
            .zip(local.par_chunks(TASK * PART))
            .zip(values.par_chunks_mut(TASK * PART * batch.columns))
            .enumerate()
            .map(|(task, ((mut owned, ids), values))| {
                let mut hidden = Lent::zeros(length * batch.columns);
                let mut room = Room::default();
                let each = ids.chunks(PART).zip(values.chunks_mut(PART * batch.columns)).enumerate();
                for (i, (ids, values)) in each {
                    let part = task * TASK + i;
                    owned.prefetch(following(&local, part), length);
                    delta.finish(values, &parts[part], within(&hits, part), part * PART);
                    work.part(batch, &mut owned, ids, values, &mut hidden, &mut room);
                }
                hidden
            })
            .collect();
        self.stepped(step.size, &local);
        self.keep(values);
        batch.hidden_gradient(gradients, length)
    }
}
