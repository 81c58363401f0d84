//! The second half of a step: gradients and Adam for the active rows, part by part.

use thrifty_base::math::bf16::{narrow, narrow_stochastic, widen};
use thrifty_base::math::{Rows, accumulate, multiply, sum};
use thrifty_base::philox::Philox;
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

use crate::adam::{Step, Updated, update};
use crate::batch::Batch;
use crate::matrix::ValuesMut;
use crate::softmax::{Loss, Sums, relative, scale};

/// Turns what the forward pass left into gradients of the scores.
pub(crate) struct Delta<'a> {
    pub(crate) path: Path,
    pub(crate) loss: Loss,
    /// What the mean loss is multiplied by.
    pub(crate) weight: f32,
    /// Sums over all active neurons.
    pub(crate) all: &'a Sums,
    /// Rows of the batch; columns beyond them have no gradient.
    pub(crate) rows: usize,
}

impl Delta<'_> {
    /// Finishes a part whose first neuron has the place `first`.
    pub(crate) fn finish(&self, values: &mut [f32], sums: &Sums, hits: &[(u32, u32, f32)], first: usize) {
        let columns = self.all.most.len();
        let each = self.weight / self.rows as f32;
        match self.loss {
            Loss::Softmax => {
                let of = |c: usize| relative(sums.most[c], self.all.most[c]) / self.all.sums[c] * each;
                let factors: Vec<f32> = (0..columns).map(|c| if c < self.rows { of(c) } else { 0.0 }).collect();
                scale(self.path, values, &factors);
            }
            Loss::Sigmoid => scale(self.path, values, &vec![self.weight; columns]),
        }
        for &(place, row, share) in hits {
            values[(place as usize - first) * columns + row as usize] -= each * share;
        }
    }
}

/// Weights and moments that one task updates.
pub(crate) struct Owned<'a> {
    pub(crate) rows: ValuesMut<'a>,
    /// The rows in f32, where what is in `rows` is rounded from it.
    pub(crate) master: Option<&'a mut [f32]>,
    pub(crate) moments: &'a mut [f32],
    pub(crate) bias: &'a mut [f32],
    pub(crate) bias_moments: &'a mut [f32],
    /// Row that these begin with.
    pub(crate) first: usize,
}

impl<'a> Owned<'a> {
    /// Asks memory for some rows, as far as they are here.
    pub(crate) fn prefetch(&self, ids: &[u32], length: usize) {
        let here = self.moments.len() / (2 * length);
        for at in ids.iter().map(|&id| id as usize - self.first).take_while(|&at| at < here) {
            prefetch(&self.moments[2 * at * length..2 * (at + 1) * length]);
            match &self.rows {
                ValuesMut::F32(rows) => prefetch(&rows[at * length..(at + 1) * length]),
                ValuesMut::Bf16(rows) => prefetch(&rows[at * length..(at + 1) * length]),
            }
        }
    }

    /// One for each `size` of the rows `ids` (ascending).
    pub(crate) fn cut(self, ids: &[u32], size: usize, length: usize) -> Vec<Self> {
        let mut out = Vec::with_capacity(ids.len().div_ceil(size));
        let mut rest = self;
        for ids in ids.chunks(size) {
            let rows = ids[ids.len() - 1] as usize + 1 - rest.first;
            let (a, b) = rest.rows.split_at(rows * length);
            let (master, other_master) = rest.master.map(|m| m.split_at_mut(rows * length)).unzip();
            let (c, d) = rest.moments.split_at_mut(2 * rows * length);
            let (e, f) = rest.bias.split_at_mut(rows);
            let (g, h) = rest.bias_moments.split_at_mut(2 * rows);
            out.push(Self { rows: a, master, moments: c, bias: e, bias_moments: g, first: rest.first });
            let first = rest.first + rows;
            rest = Self { rows: b, master: other_master, moments: d, bias: f, bias_moments: h, first };
        }
        out
    }
}

/// Memory that one part leaves to the next.
#[derive(Default)]
pub(crate) struct Room {
    starts: Vec<usize>,
    places: Vec<usize>,
    deltas: Vec<usize>,
    packed: Vec<usize>,
    rows: Vec<f32>,
    gradients: Vec<f32>,
}

/// What all parts of a step have in common.
pub(crate) struct Work<'a> {
    pub(crate) path: Path,
    pub(crate) step: Step,
    pub(crate) batch: &'a Batch<'a>,
    pub(crate) length: usize,
    /// Whether biases are trained.
    pub(crate) has_bias: bool,
    /// Where the bits come from that round weights to bf16, and the position of row 0.
    pub(crate) rounding: (Philox, u64),
}

impl Work<'_> {
    /// Adds a part's share of the gradient of the hidden values to `hidden`, then updates its rows `ids`.
    pub(crate) fn part(&self, owned: &mut Owned<'_>, ids: &[u32], delta: &[f32], hidden: &mut [f32], room: &mut Room) {
        let Self { path, step, batch, length, has_bias, rounding: (random, base) } = *self;
        let (columns, width) = (batch.columns, batch.width);
        let Room { starts, places, deltas, packed, rows, gradients } = room;
        let local = |&id: &u32| id as usize - owned.first;
        starts.clear();
        starts.extend(ids.iter().map(|id| local(id) * length));
        places.clear();
        places.extend(ids.iter().map(|id| 2 * local(id) * length));
        deltas.clear();
        deltas.extend((0..ids.len()).map(|i| i * columns));
        gradients.resize(ids.len() * width, 0.0);
        multiply(path, Rows { data: delta, starts: deltas, length: columns }, &batch.hidden, width, None, gradients);
        let moments = &mut *owned.moments;
        match &mut owned.rows {
            ValuesMut::F32(weights) => {
                accumulate(path, Rows { data: weights, starts, length }, delta, columns, 0, hidden);
                update(path, step, Updated { weights, moments, places, length }, starts, gradients, width);
            }
            ValuesMut::Bf16(halves) => {
                rows.resize(ids.len() * length, 0.0);
                packed.clear();
                packed.extend((0..ids.len()).map(|i| i * length));
                for (&start, row) in starts.iter().zip(rows.chunks_exact_mut(length)) {
                    widen(path, &halves[start..start + length], row);
                }
                accumulate(path, Rows { data: rows, starts: packed, length }, delta, columns, 0, hidden);
                if let Some(weights) = &mut owned.master {
                    update(path, step, Updated { weights, moments, places, length }, starts, gradients, width);
                    for &start in starts.iter() {
                        narrow(path, &weights[start..start + length], &mut halves[start..start + length]);
                    }
                } else {
                    let weights = &mut rows[..];
                    update(path, step, Updated { weights, moments, places, length }, packed, gradients, width);
                    for ((&id, &start), row) in ids.iter().zip(&*starts).zip(rows.chunks_exact(length)) {
                        let position = base.wrapping_add(u64::from(id) * length as u64);
                        narrow_stochastic(path, row, random, position, &mut halves[start..start + length]);
                    }
                }
            }
        }
        if !has_bias {
            return;
        }
        for (id, delta) in ids.iter().zip(delta.chunks_exact(columns)) {
            let at = local(id);
            if let [first, second] = &mut owned.bias_moments[2 * at..2 * at + 2] {
                step.one(&mut owned.bias[at], first, second, sum(path, delta));
            }
        }
    }
}
