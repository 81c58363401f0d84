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
pub(crate) struct Work {
    pub(crate) path: Path,
    pub(crate) step: Step,
    pub(crate) length: usize,
    /// Whether biases are trained.
    pub(crate) has_bias: bool,
    /// Where the bits come from that round weights to bf16, and the position of row 0.
    pub(crate) rounding: (Philox, u64),
}

impl Work {
    /// Adds a part's share of the gradient of the hidden values to `hidden`, then updates its rows `ids`.
    pub(crate) fn part(
        &self,
        batch: &Batch<'_>,
        owned: &mut Owned<'_>,
        ids: &[u32],
        delta: &[f32],
        hidden: &mut [f32],
        room: &mut Room,
    ) {
        let Self { path, length, .. } = *self;
        let (columns, width) = (batch.columns, batch.width);
        room.place(owned, ids, length);
        room.deltas.clear();
        room.deltas.extend((0..ids.len()).map(|i| i * columns));
        let mut gradients = std::mem::take(&mut room.gradients);
        gradients.resize(ids.len() * width, 0.0);
        let deltas = Rows { data: delta, starts: &room.deltas, length: columns };
        multiply(path, deltas, &batch.hidden, width, None, &mut gradients);
        let gathered = match &owned.rows {
            ValuesMut::F32(weights) => Rows { data: weights, starts: &room.starts, length },
            ValuesMut::Bf16(halves) => room.widened(path, halves, length),
        };
        accumulate(path, gathered, delta, columns, 0, hidden);
        self.update(owned, ids, &gradients, width, room);
        room.gradients = gradients;
        if self.has_bias {
            let sums = delta.chunks_exact(columns).map(|delta| sum(path, delta));
            self.update_bias(owned, ids, sums);
        }
    }

    /// Updates rows `ids` with gradients that were taken before, `length` numbers for each and one for its bias.
    pub(crate) fn apply(&self, owned: &mut Owned<'_>, ids: &[u32], gradients: &[f32], bias: &[f32], room: &mut Room) {
        room.place(owned, ids, self.length);
        if let ValuesMut::Bf16(halves) = &owned.rows {
            room.widened(self.path, halves, self.length);
        }
        self.update(owned, ids, gradients, self.length, room);
        if self.has_bias {
            self.update_bias(owned, ids, bias.iter().copied());
        }
    }

    /// Adam for rows whose places, and values in f32, are in `room`; gradients are `stride` numbers apart.
    fn update(&self, owned: &mut Owned<'_>, ids: &[u32], gradients: &[f32], stride: usize, room: &mut Room) {
        let Self { path, step, length, rounding: (random, base), .. } = *self;
        let Room { starts, places, packed, rows, .. } = room;
        let moments = &mut *owned.moments;
        match (&mut owned.rows, &mut owned.master) {
            (ValuesMut::F32(weights), _) => {
                update(path, step, Updated { weights, moments, places, length }, starts, gradients, stride);
            }
            (ValuesMut::Bf16(halves), Some(weights)) => {
                update(path, step, Updated { weights, moments, places, length }, starts, gradients, stride);
                for &start in starts.iter() {
                    narrow(path, &weights[start..start + length], &mut halves[start..start + length]);
                }
            }
            (ValuesMut::Bf16(halves), None) => {
                let weights = &mut rows[..];
                update(path, step, Updated { weights, moments, places, length }, packed, gradients, stride);
                for ((&id, &start), row) in ids.iter().zip(&*starts).zip(rows.chunks_exact(length)) {
                    let position = base.wrapping_add(u64::from(id) * length as u64);
                    narrow_stochastic(path, row, random, position, &mut halves[start..start + length]);
                }
            }
        }
    }

    fn update_bias(&self, owned: &mut Owned<'_>, ids: &[u32], gradients: impl Iterator<Item = f32>) {
        for (&id, gradient) in ids.iter().zip(gradients) {
            let at = id as usize - owned.first;
            if let [first, second] = &mut owned.bias_moments[2 * at..2 * at + 2] {
                self.step.one(&mut owned.bias[at], first, second, gradient);
            }
        }
    }
}

impl Room {
    /// Notes where rows and their moments begin.
    fn place(&mut self, owned: &Owned<'_>, ids: &[u32], length: usize) {
        self.starts.clear();
        self.starts.extend(ids.iter().map(|&id| (id as usize - owned.first) * length));
        self.places.clear();
        self.places.extend(self.starts.iter().map(|start| 2 * start));
    }

    /// Rows in f32, one after the other.
    fn widened(&mut self, path: Path, halves: &[u16], length: usize) -> Rows<'_> {
        self.rows.resize(self.starts.len() * length, 0.0);
        self.packed.clear();
        self.packed.extend((0..self.starts.len()).map(|i| i * length));
        for (&start, row) in self.starts.iter().zip(self.rows.chunks_exact_mut(length)) {
            widen(path, &halves[start..start + length], row);
        }
        Rows { data: &self.rows, starts: &self.packed, length }
    }
}
