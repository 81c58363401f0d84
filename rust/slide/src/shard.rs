//! One rank's part of a network that many train together: some of the hidden units, and some of the neurons.
//!
//! A step is a few calls; between two of them ranks send each other what the first returned, by whatever means they have. Weights
//! change in the last call alone, when all that the step needs has come: a rank that lost the others has the weights of the
//! step before.
//!
//! | call | returns, for the others |
//! | --- | --- |
//! | [`Shard::begin`] | hidden values of its units |
//! | [`Shard::hidden`] | |
//! | [`Shard::choose`], or one by one what `head/agreed.rs` exchanges | |
//! | [`Shard::forward`] | maxima and sums of exponentials of its scores, two numbers a row |
//! | [`Shard::gradient`] | for each rank, its part of the gradient of that rank's hidden values |
//! | [`Shard::prepare`] | (while those travel: gradients of its own rows) |
//! | [`Shard::finish`] | |

use std::mem::take;

use thrifty_base::lent::Lent;
use thrifty_base::math::padded;
use thrifty_base::pages::Floats;
use thrifty_base::simd::{self, Path};

use crate::active::{Active, Wanted};
use crate::adam::Adam;
use crate::batch::{Batch, Values};
use crate::head::{Asked, Forward, Gradients, Head, Scored, Slice, Weights, WeightsMut};
use crate::input::{Input, Units};
use crate::matrix::Store;
use crate::network::{Precision, Shape, random_output};
use crate::predict::{Best, NONE, check_prediction, dense, sparse};
use crate::sampling::Sampling;
use crate::softmax::{Loss, Sums};
use crate::sparse::Sparse;
use crate::tables::Tables;
use crate::wire::{Wire, add_gradient, pack_gradient, pack_hidden, unpack_hidden};
use crate::{Error, Result};

mod files;

pub use files::assemble;

/// Who has what: rank r has the units `units[r]..units[r + 1]` and the neurons `neurons[r]..neurons[r + 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The rank that this is.
    pub rank: usize,
    /// Bounds of hidden units.
    pub units: Vec<usize>,
    /// Bounds of neurons.
    pub neurons: Vec<usize>,
}

/// How a shard trains.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How the output layer's weights are held.
    pub precision: Precision,
    /// How this rank chooses neurons.
    pub sampling: Sampling,
    /// What is minimised.
    pub loss: Loss,
    /// The optimizer.
    pub adam: Adam,
    /// Key of everything random.
    pub seed: u64,
    /// How messages travel.
    pub wire: Wire,
}

/// What a step did, as far as this rank knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Sum over rows of what all ranks know of the loss: what scores of labels are subtracted from.
    pub common: f64,
    /// Sum over rows of the scores of labels that are here.
    pub of_labels: f64,
    /// Active neurons of this rank.
    pub active: u64,
    /// What this rank's tables returned.
    pub asked: Asked,
}

/// What calls of a step leave to the next ones.
#[derive(Debug, Default)]
struct Step {
    rows: Vec<u32>,
    values: Option<Values>,
    wanted: Wanted,
    active: Active,
    forward: Option<Forward>,
    gradients: Option<Gradients>,
    figures: Figures,
}

/// A part of a network.
#[derive(Debug)]
pub struct Shard {
    shape: Shape,
    layout: Layout,
    settings: Settings,
    pub(crate) input: Input,
    pub(crate) head: Head,
    pub(crate) output: Store,
    pub(crate) output_bias: Floats,
    path: Path,
    step: Step,
    /// Neurons that tables returned since they were last tuned, and to how many rows.
    returned: (u64, u64),
}

impl Layout {
    /// Refuses bounds that do not share out a network among ranks.
    pub fn check(&self, shape: Shape) -> Result<()> {
        for (name, bounds, all) in [("units", &self.units, shape.hidden), ("neurons", &self.neurons, shape.labels)] {
            let whole = bounds.first() == Some(&0) && bounds.last() == Some(&all);
            if !whole || bounds.windows(2).any(|w| w[0] >= w[1]) || self.rank + 1 >= bounds.len() {
                let why = format!("{bounds:?} are no ranges of {all} for rank {} and all others", self.rank);
                return Err(Error::argument(name, why));
            }
        }
        if self.units.len() == self.neurons.len() {
            return Ok(());
        }
        Err(Error::argument("units", format!("{} ranks, and {} for neurons", self.units.len(), self.neurons.len())))
    }

    /// Ranks.
    pub fn ranks(&self) -> usize {
        self.units.len() - 1
    }

    /// Units of a rank.
    pub fn units_of(&self, rank: usize) -> Units {
        let all = self.units[self.ranks()];
        Units { first: self.units[rank], here: self.units[rank + 1] - self.units[rank], all }
    }

    /// Neurons of this rank.
    pub fn slice(&self) -> Slice {
        let (first, end) = (self.neurons[self.rank], self.neurons[self.rank + 1]);
        Slice { first: first as u32, rows: end - first, neurons: self.neurons[self.ranks()] }
    }
}

impl Shard {
    /// The part of a new network that `layout` gives to its rank: the weights that the whole has there.
    pub fn new(shape: Shape, layout: Layout, settings: Settings) -> Result<Self> {
        shape.check()?;
        layout.check(shape)?;
        let Settings { precision, sampling, loss, adam, seed, .. } = settings;
        let slice = layout.slice();
        let input = Input::new(shape.features, layout.units_of(layout.rank), adam, seed)?;
        let output = random_output(shape.hidden, slice.first as usize, slice.rows, precision, seed)?;
        let mut head = Head::new(slice, shape.hidden, sampling, loss, adam, seed)?;
        if precision == Precision::Bf16 {
            head.keep_master(output.matrix(shape.hidden))?;
        }
        let output_bias = Floats::zeros(slice.rows)?;
        let (step, returned, path) = (Step::default(), (0, 0), simd::path()?);
        Ok(Self { shape, layout, settings, input, head, output, output_bias, path, step, returned })
    }

    /// Sizes of the whole network.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Who has what.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The neurons.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The hidden units.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Weights of the neurons.
    pub fn weights(&self) -> Weights<'_> {
        Weights { rows: self.output.matrix(self.shape.hidden), bias: &self.output_bias }
    }

    /// Another learning rate from now on.
    pub fn set_rate(&mut self, rate: f32) -> Result<()> {
        self.head.set_rate(rate)
    }

    /// Chooses neurons in another way from now on.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        self.head.set_sampling(sampling)
    }

    /// Hidden values of this rank's units for some rows, for all ranks; in the pool of the caller, as all that follows.
    pub fn begin(&mut self, inputs: Sparse<'_>, rows: &[u32]) -> Vec<u8> {
        self.input.catch_up(self.path, inputs, rows);
        let hidden = self.input.hidden(self.path, inputs, rows);
        self.step = Step { rows: rows.to_vec(), ..Step::default() };
        let mut out = Vec::new();
        pack_hidden(
            self.settings.wire,
            self.path,
            &hidden,
            self.input.width,
            rows.len(),
            self.input.units.here,
            &mut out,
        );
        out
    }

    /// Takes the hidden values of all ranks, in their order.
    pub fn hidden(&mut self, messages: &[&[u8]]) -> Result<()> {
        let (rows, width) = (self.step.rows.len(), padded(self.shape.hidden));
        self.expect(messages.len(), "hidden values")?;
        let mut hidden = Lent::zeros(padded(rows) * width);
        for (rank, message) in messages.iter().enumerate() {
            let Units { first, here, .. } = self.layout.units_of(rank);
            unpack_hidden(self.settings.wire, self.path, message, (rows, first, here), &mut hidden, width)?;
        }
        let (ends, numbers) = (vec![0; rows], numbers(rows));
        let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
        self.step.values = Some(Batch::new(nothing, &numbers, hidden, width).into_values());
        Ok(())
    }

    fn expect(&self, messages: usize, of: &'static str) -> Result<()> {
        if messages == self.layout.ranks() {
            return Ok(());
        }
        Err(Error::argument(of, format!("{messages} messages for {} ranks", self.layout.ranks())))
    }

    /// Refuses what asks of all ranks no row of the batch, or neurons that are none.
    fn check_wanted(&self, rows: usize, ids: &[u32]) -> Result<()> {
        let (needed, neurons) = (self.step.rows.len(), self.shape.labels);
        if rows != needed {
            return Err(Error::argument("asked", format!("{rows} rows, the batch has {needed}")));
        }
        match ids.iter().find(|&&id| id as usize >= neurons) {
            Some(id) => Err(Error::argument("asked", format!("neuron {id} is not below {neurons}"))),
            None => Ok(()),
        }
    }

    /// Works on the batch of the step.
    fn batch<T>(&mut self, targets: Sparse<'_>, work: impl FnOnce(&mut Self, &Batch<'_>) -> T) -> Result<T> {
        let values = self.step.values.take().ok_or_else(|| Error::argument("step", "no hidden values have come"))?;
        let rows = take(&mut self.step.rows);
        let batch = Batch::again(targets, &rows, values);
        let out = work(self, &batch);
        self.step.values = Some(batch.into_values());
        self.step.rows = rows;
        Ok(out)
    }

    /// Sees to it that there are tables.
    fn with_tables(&mut self) -> Result<()> {
        if self.head.tables().is_some_and(|tables| !tables.is_built()) {
            self.head.rebuild(self.output.matrix(self.shape.hidden))?;
        }
        Ok(())
    }

    /// Chooses this rank's neurons from what its own tables return.
    pub fn choose(&mut self, targets: Sparse<'_>) -> Result<()> {
        self.with_tables()?;
        self.batch(targets, |own, batch| {
            let (wanted, asked) = own.head.ask(own.weights(), batch, own.head.sampling().each);
            own.step.active = own.head.choose_own(batch, &wanted);
            own.chose(batch.rows(), wanted, asked);
        })
    }

    fn chose(&mut self, rows: usize, wanted: Wanted, asked: Asked) {
        self.returned.0 += asked.returned;
        self.returned.1 += rows as u64;
        self.step.wanted = wanted;
        self.step.figures.asked = asked;
    }

    /// Sizes of the buckets that rows fall into: see [`Head::bucket_sizes`].
    pub fn bucket_sizes(&mut self, targets: Sparse<'_>) -> Result<Vec<u32>> {
        self.with_tables()?;
        self.batch(targets, |own, batch| own.head.bucket_sizes(batch))
    }

    /// What rows ask of this rank, given the sizes of all ranks' buckets together.
    pub fn ask_agreed(&mut self, targets: Sparse<'_>, sizes: &[u32]) -> Result<Wanted> {
        let tables = self.head.tables().filter(|tables| tables.is_built());
        let needed = tables.map_or(0, |tables| tables.hash().tables() * padded(self.step.rows.len()));
        if sizes.len() != needed {
            return Err(Error::argument("sizes", format!("{} numbers, {needed} are needed", sizes.len())));
        }
        self.batch(targets, |own, batch| {
            let (wanted, returned) = own.head.ask_agreed(batch, sizes);
            own.chose(batch.rows(), Wanted::default(), Asked { returned, ..Asked::default() });
            wanted
        })
    }

    /// Scores of the neurons here that rows ask for.
    pub fn score_agreed(&mut self, targets: Sparse<'_>, wanted: &Wanted) -> Result<Scored> {
        self.check_wanted(wanted.rows(), &wanted.ids)?;
        self.batch(targets, |own, batch| own.head.scored(own.weights(), batch, wanted))
    }

    /// Chooses the neurons of all ranks, given what rows ask of all of them.
    pub fn choose_agreed(&mut self, targets: Sparse<'_>, wanted: Wanted) -> Result<()> {
        self.check_wanted(wanted.rows(), &wanted.ids)?;
        self.batch(targets, |own, batch| {
            own.step.active = own.head.choose(batch, &wanted);
            let asked = &mut own.step.figures.asked;
            (asked.found, asked.labels) = own.head.found(batch, &wanted);
            own.step.wanted = wanted;
        })
    }

    /// Maxima of this rank's scores, then sums of exponentials relative to them: two numbers a row, for all ranks.
    pub fn forward(&mut self, targets: Sparse<'_>) -> Result<Vec<f32>> {
        let Self { head, output, output_bias, step, .. } = self;
        head.catch_up(WeightsMut { rows: output.values_mut(), bias: output_bias }, &step.active);
        self.batch(targets, |own, batch| {
            let forward = own.head.forward(own.weights(), batch, &own.step.active, &own.step.wanted);
            let rows = batch.rows();
            let mut out = forward.sums.most[..rows].to_vec();
            out.extend_from_slice(&forward.sums.sums[..rows]);
            own.step.figures.active = forward.active() as u64;
            own.step.figures.of_labels = forward.of_labels.iter().map(|&score| f64::from(score)).sum();
            own.step.forward = Some(forward);
            out
        })
    }

    /// Takes those of all ranks; for each rank the message with this one's part of the gradient of its hidden values.
    pub fn gradient(&mut self, targets: Sparse<'_>, sums: &[&[f32]]) -> Result<Vec<Vec<u8>>> {
        self.expect(sums.len(), "sums")?;
        let rows = self.step.rows.len();
        let columns = padded(rows);
        let mut parts = Vec::new();
        for sums in sums {
            if sums.len() != 2 * rows {
                return Err(Error::argument("sums", format!("{} numbers for {rows} rows", sums.len())));
            }
            let mut part = Sums { most: sums[..rows].to_vec(), sums: sums[rows..].to_vec() };
            part.most.resize(columns, 0.0);
            part.sums.resize(columns, 1.0);
            parts.push(part);
        }
        let mut all = Sums::merged(parts.iter(), columns);
        all.sums[rows..].fill(1.0);
        let known = Sums { most: all.most[..rows].to_vec(), sums: all.sums[..rows].to_vec() };
        let common = self.head.loss(&known, &vec![0.0; rows]);
        if !common.is_finite() {
            return Err(Error::Diverged { step: self.head.steps(), loss: common as f32 });
        }
        self.step.figures.common = common;
        let mut forward =
            self.step.forward.take().ok_or_else(|| Error::argument("step", "there was no forward pass"))?;
        self.batch(targets, |own, batch| {
            let gradient = own.head.hidden_gradient(own.weights(), batch, &mut forward, &all, 1.0);
            let messages = (0..own.layout.ranks()).map(|rank| {
                let Units { first, here, .. } = own.layout.units_of(rank);
                let mut out = Vec::new();
                let hidden = (&batch.hidden[..rows * batch.width], batch.width);
                let (length, wire) = (own.shape.hidden, own.settings.wire);
                pack_gradient(wire, own.path, (&gradient, length), hidden, (first, here), &mut out);
                out
            });
            let messages = messages.collect();
            own.step.forward = Some(forward);
            messages
        })
    }

    /// Gradients of this rank's rows, while the messages of [`Self::gradient`] travel.
    pub fn prepare(&mut self, targets: Sparse<'_>) -> Result<()> {
        let forward = self.step.forward.take().ok_or_else(|| Error::argument("step", "there was no forward pass"))?;
        self.batch(targets, |own, batch| own.step.gradients = Some(own.head.row_gradients(batch, forward)))
    }

    /// Bytes of the message that each rank sends this one in [`Self::gradient`].
    pub fn expected(&mut self) -> Result<usize> {
        let Units { first, here, .. } = self.layout.units_of(self.layout.rank);
        let (ends, wire) = (vec![0; self.step.rows.len()], self.settings.wire);
        self.batch(Sparse { ends: &ends, indices: &[], values: &[] }, |_, batch| {
            let rows = (0..batch.rows()).map(|row| &batch.hidden[row * batch.width + first..][..here]);
            wire.bytes(batch.rows(), rows.map(|row| row.iter().filter(|h| **h > 0.0).count()).sum())
        })
    }

    /// Takes the messages of all ranks and changes the weights.
    pub fn finish(&mut self, inputs: Sparse<'_>, messages: &[&[u8]]) -> Result<Figures> {
        self.expect(messages.len(), "gradients")?;
        let gradients = self.step.gradients.take().ok_or_else(|| Error::argument("step", "there are no gradients"))?;
        let Units { first, here, .. } = self.layout.units_of(self.layout.rank);
        let rows = self.step.rows.len();
        let (wire, path, width) = (self.settings.wire, self.path, self.input.width);
        let mut delta = Lent::zeros(rows * width);
        let ends = vec![0; rows];
        let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
        self.batch(nothing, |_, batch| {
            messages.iter().try_for_each(|message| {
                let hidden = (&batch.hidden[..], batch.width);
                add_gradient(wire, path, message, hidden, (rows, first, here), &mut delta, width)
            })
        })??;
        let Self { head, output, output_bias, .. } = self;
        head.apply(WeightsMut { rows: output.values_mut(), bias: output_bias }, &gradients);
        let step = head.adam().step(head.steps());
        let rows = take(&mut self.step.rows);
        self.input.update(path, step, inputs, &rows, &delta);
        Ok(take(&mut self.step).figures)
    }

    /// Hashes rows that wait again, as many as a step may, or all.
    pub fn rehash(&mut self, all: bool) -> Result<()> {
        let most = if all { usize::MAX } else { self.head.sampling().rehash };
        if self.head.tables().is_some_and(Tables::is_built) {
            self.head.rehash(self.output.matrix(self.shape.hidden), most)?;
        }
        Ok(())
    }

    /// Neurons that tables returned since they were last tuned, and to how many rows.
    pub fn returned(&self) -> (u64, u64) {
        self.returned
    }

    /// Takes what another had come to: hashes a table, bits of their codes, and what tables returned.
    pub fn set_tuned(&mut self, k: usize, range: usize, returned: (u64, u64)) -> Result<()> {
        self.returned = returned;
        let now = *self.head.sampling();
        if (k, range) == (now.k, now.range) || !now.tuned {
            return Ok(());
        }
        self.head.set_sampling(Sampling { k, range, ..now })
    }

    /// Another number of hashes a table where a row is returned so many neurons, and that is too many or too few of `neurons`.
    pub fn retune(&mut self, mean: f64, neurons: usize) -> Result<()> {
        self.returned = (0, 0);
        match self.head.sampling().retuned(mean, neurons) {
            Some(sampling) => self.head.set_sampling(sampling),
            None => Ok(()),
        }
    }

    /// Brings all weights and moments up to date.
    pub fn settle(&mut self) {
        let Self { head, output, output_bias, .. } = self;
        head.settle(WeightsMut { rows: output.values_mut(), bias: output_bias });
        self.input.settle(self.path);
    }

    /// The best `k` neurons of this rank for the rows whose hidden values came: of all, or of so many that its tables return.
    pub fn predict(&mut self, k: usize, candidates: Option<usize>) -> Result<Best> {
        check_prediction(k, candidates, &self.head)?;
        if candidates.is_some() {
            self.with_tables()?;
            self.rehash(true)?;
        }
        let ends = vec![0; self.step.rows.len()];
        self.step.rows = numbers(self.step.rows.len());
        let first = self.head.slice().first;
        self.batch(Sparse { ends: &ends, indices: &[], values: &[] }, |own, batch| match candidates {
            Some(candidates) => sparse(own.path, &own.head, own.weights(), batch, k, candidates),
            None => {
                let mut best = dense(own.path, own.weights(), batch, k);
                best.ids.iter_mut().filter(|id| **id != NONE).for_each(|id| *id += first);
                best
            }
        })
    }
}

fn numbers(rows: usize) -> Vec<u32> {
    (0..rows as u32).collect()
}
