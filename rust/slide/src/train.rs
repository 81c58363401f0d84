//! Training steps of a network with a sparse input.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thrifty_base::files::WriteLock;
use thrifty_base::hash::mix64;
use thrifty_base::lent::Lent;
use thrifty_base::pages::Floats;
use thrifty_base::philox::Philox;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd;

use crate::adam::Adam;
use crate::head::{Head, Slice};
use crate::network::{Network, Precision, Shape};
use crate::predict::{Best, check_prediction, dense, sparse};
use crate::sampling::Sampling;
use crate::save::{Spec, save};
use crate::softmax::Loss;
use crate::sparse::Sparse;
use crate::tables::Tables;
use crate::{Error, Result, stream};

/// A network and what trains it.
#[derive(Debug)]
pub struct Trainer {
    /// The network.
    pub network: Network,
    head: Head,
    pub(crate) position: Position,
    batch: usize,
    adam: Adam,
    path: simd::Path,
    last: Option<Epoch>,
}

/// Where training has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub steps: u64,
    /// Epochs that are complete.
    pub epoch: u64,
    /// Batches done of the next one.
    pub batches: u64,
    /// Checksum of the data that it goes through.
    pub data: u64,
    /// Neurons that tables returned since they were last tuned, and to how many rows.
    returned: (u64, u64),
    /// Learning rate, where it is no longer the one that training began with.
    #[serde(default)]
    rate: Option<f32>,
    totals: Totals,
}

/// What an epoch did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epoch {
    /// Mean loss over rows that have labels, over active neurons.
    pub loss: f64,
    /// Rows with labels.
    pub rows: u64,
    /// Mean number of neurons that tables returned for a row.
    pub returned: f64,
    /// Share of labels among what their rows wanted.
    pub recall: f64,
    /// Mean number of active neurons of a batch.
    pub active: f64,
}

/// Rows that are scored together.
const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Totals {
    loss: f64,
    returned: u64,
    found: u64,
    labels: u64,
    active: u64,
}

/// Where checkpoints go, and after how many steps.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// The file.
    pub path: &'a Path,
    /// Steps between two; there is one after each epoch as well.
    pub every: u64,
    /// What the file says beside.
    pub note: &'a str,
}

/// Checksum of data that a network of these sizes can be trained on.
pub fn checksum(shape: Shape, inputs: Sparse<'_>, targets: Sparse<'_>) -> Result<u64> {
    inputs.check_valued("inputs", shape.features)?;
    targets.check("targets", shape.labels)?;
    if inputs.rows() != targets.rows() {
        let why = format!("{} rows for {} rows of inputs", targets.rows(), inputs.rows());
        return Err(Error::argument("targets", why));
    }
    Ok(mix64(inputs.checksum() ^ mix64(targets.checksum())))
}

/// The rows with labels in the order of an epoch.
pub fn order(targets: Sparse<'_>, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..targets.rows() as u32).filter(|&r| !targets.row(r as usize).is_empty()).collect();
    let random = Philox::new(seed, stream::SHUFFLE);
    order.sort_by_cached_key(|&r| (random.u64_at(epoch << 32 | u64::from(r)), r));
    order
}

impl Trainer {
    /// A trainer of a new network, `batch` rows a step.
    pub fn new(network: Network, sampling: Sampling, loss: Loss, adam: Adam, batch: usize, seed: u64) -> Result<Self> {
        if batch == 0 {
            return Err(Error::argument("batch", "0 is not possible; at least 1"));
        }
        let labels = network.shape.labels;
        let slice = Slice { first: 0, rows: labels, neurons: labels };
        let mut head = Head::new(slice, network.shape.hidden, sampling, loss, adam, seed)?;
        if network.precision == Precision::Bf16 {
            pool(0)?.install(|| head.keep_master(network.head().rows))?;
        }
        let position = Position::default();
        Ok(Self { head, position, batch, adam, path: simd::path()?, last: None, network })
    }

    /// What it was made with; the learning rate may be another by now.
    pub fn spec(&self) -> Spec {
        Spec {
            shape: self.network.shape,
            precision: self.network.precision,
            sampling: *self.head.sampling(),
            loss: self.head.minimised(),
            adam: self.adam,
            seed: self.head.seed(),
            batch: self.batch,
        }
    }

    /// The output layer.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Another learning rate from now on.
    pub fn set_rate(&mut self, rate: f32) -> Result<()> {
        Adam { rate, ..self.adam }.check()?;
        self.position.rate = Some(rate);
        self.head.set_rate(rate)
    }

    /// Chooses neurons in another way from now on.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        self.head.set_sampling(sampling)
    }

    /// Where training has come to.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What the last complete epoch did, of those that this trainer did itself.
    pub fn last(&self) -> Option<Epoch> {
        self.last
    }

    /// Goes on from a position: what of the head is to be filled.
    pub(crate) fn restore(&mut self, position: Position) -> Result<(&mut Floats, &mut Floats, Option<&mut Floats>)> {
        if let Some(rate) = position.rate {
            self.set_rate(rate)?;
        }
        self.position = position;
        Ok(self.head.restore(position.steps))
    }

    fn expect_data(&self, path: &Path, data: u64, hint: &'static str) -> Result<()> {
        if self.position.data == data {
            return Ok(());
        }
        let (there, here) = (format!("{:016x}", self.position.data), format!("{data:016x}"));
        Err(Error::Resume { path: path.to_owned(), field: "the checksum of the data", there, here, hint })
    }

    /// Refuses to go on from a checkpoint, which this was read from, with other data or while another process writes it.
    pub fn expect(&self, path: &Path, inputs: Sparse<'_>, targets: Sparse<'_>) -> Result<()> {
        // A lock that a killed process left goes with this, even where nothing is left to train.
        drop(WriteLock::take(path)?);
        let data = checksum(self.network.shape, inputs, targets)?;
        self.expect_data(path, data, "give the same data, or another folder for checkpoints")
    }

    /// Trains to the end of the epoch, over all rows in a random order of (seed, epoch).
    ///
    /// After an interruption, or from a checkpoint, it goes on with the batch that comes next, as long as the data are the
    /// same.
    pub fn epoch(
        &mut self,
        inputs: Sparse<'_>,
        targets: Sparse<'_>,
        threads: usize,
        checkpoint: Option<Checkpoint<'_>>,
        progress: &Progress,
    ) -> Result<Epoch> {
        let data = checksum(self.network.shape, inputs, targets)?;
        if self.position.batches > 0 {
            let path = checkpoint.map_or_else(|| Path::new("this trainer"), |c| c.path);
            self.expect_data(path, data, "an epoch is unfinished: give the data that it began with")?;
        }
        self.position.data = data;
        let order = order(targets, self.head.seed(), self.position.epoch);
        progress.start("train", order.len() as u64)?;
        progress.advance((self.position.batches as usize * self.batch).min(order.len()) as u64)?;
        pool(threads)?.install(|| {
            for rows in order.chunks(self.batch).skip(self.position.batches as usize) {
                self.step(inputs, targets, rows)?;
                self.position.batches += 1;
                self.position.steps += 1;
                if let Some(checkpoint) = checkpoint
                    && self.position.steps.is_multiple_of(checkpoint.every.max(1))
                {
                    self.write(checkpoint, &progress.uncounted())?;
                }
                progress.advance(rows.len() as u64)?;
            }
            let totals = std::mem::take(&mut self.position.totals);
            let batches = std::mem::take(&mut self.position.batches);
            self.position.epoch += 1;
            let rows = order.len().max(1) as f64;
            let done = Epoch {
                loss: totals.loss / rows,
                rows: order.len() as u64,
                returned: totals.returned as f64 / rows,
                recall: totals.found as f64 / totals.labels.max(1) as f64,
                active: totals.active as f64 / batches.max(1) as f64,
            };
            self.last = Some(done);
            Ok(done)
        })
    }

    /// Writes a checkpoint. Waiting rows are hashed first, so that tables are those that whoever goes on from it makes of
    /// the weights.
    pub fn checkpoint(&mut self, checkpoint: Checkpoint<'_>, threads: usize, progress: &Progress) -> Result<()> {
        pool(threads)?.install(|| self.write(checkpoint, progress))
    }

    /// Brings all weights and moments up to date: with dense Adam, those that had no gradient lack steps. Whatever reads all
    /// of them comes after this.
    pub fn settle(&mut self, threads: usize) -> Result<()> {
        pool(threads)?.install(|| self.settle_here());
        Ok(())
    }

    /// The same in the pool of the caller.
    fn settle_here(&mut self) {
        self.head.settle(self.network.head_mut());
        self.network.input.settle(self.path);
    }

    /// Writes the weights.
    pub fn save(&mut self, path: &Path, note: &str, threads: usize, progress: &Progress) -> Result<()> {
        self.settle(threads)?;
        save(path, self, note, false, progress)
    }

    fn write(&mut self, checkpoint: Checkpoint<'_>, progress: &Progress) -> Result<()> {
        self.settle_here();
        if self.head.tables().is_some_and(Tables::is_built) {
            self.head.rehash(self.network.head().rows, usize::MAX)?;
        }
        save(checkpoint.path, self, checkpoint.note, true, progress)
    }

    /// Compares the tables with new ones, as [`Head::check_tables`]; with `drain`, rows that wait are hashed before.
    pub fn check_tables(&mut self, drain: bool, threads: usize) -> Result<(usize, usize)> {
        pool(threads)?.install(|| {
            if drain {
                self.settle_here();
                self.head.rehash(self.network.head().rows, usize::MAX)?;
            }
            self.head.check_tables(self.network.head().rows)
        })
    }

    /// The `k` labels of each row with the highest scores: of all labels, or of the `candidates` that most tables return.
    pub fn predict(
        &mut self,
        inputs: Sparse<'_>,
        k: usize,
        candidates: Option<usize>,
        threads: usize,
        progress: &Progress,
    ) -> Result<Best> {
        inputs.check_valued("inputs", self.network.shape.features)?;
        check_prediction(k, candidates, &self.head)?;
        let k = k.min(self.network.shape.labels);
        progress.start("predict", inputs.rows() as u64)?;
        let rows: Vec<u32> = (0..inputs.rows() as u32).collect();
        let ends = vec![0; inputs.rows()];
        let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
        let path = self.path;
        pool(threads)?.install(|| {
            self.settle_here();
            if candidates.is_some() {
                self.fresh_tables()?;
            }
            let (network, head) = (&self.network, &self.head);
            let batches: Vec<Best> = rows
                .par_chunks(BATCH)
                .map(|rows| {
                    let batch = network.batch(path, inputs, rows, nothing);
                    let best = match candidates {
                        Some(candidates) => sparse(path, head, network.head(), &batch, k, candidates),
                        None => dense(path, network.head(), &batch, k),
                    };
                    progress.advance(rows.len() as u64)?;
                    Ok(best)
                })
                .collect::<Result<_>>()?;
            let mut all = Best::default();
            batches.into_iter().for_each(|batch| all.append(batch));
            Ok(all)
        })
    }

    /// Sees to it that every row is in the buckets of its weights; in the pool of the caller.
    fn fresh_tables(&mut self) -> Result<()> {
        match self.head.tables() {
            Some(tables) if !tables.is_built() => self.head.rebuild(self.network.head().rows),
            _ => self.head.rehash(self.network.head().rows, usize::MAX).map(|_| ()),
        }
    }

    /// After 16, 32, 64, ... steps: another number of hashes a table if they return too many neurons or too few.
    fn retune(&mut self) -> Result<()> {
        let steps = self.position.steps;
        if steps < 16 || !steps.is_power_of_two() {
            return Ok(());
        }
        let (returned, rows) = std::mem::take(&mut self.position.returned);
        let mean = returned as f64 / rows.max(1) as f64;
        match self.head.sampling().retuned(mean, self.network.shape.labels) {
            Some(sampling) => self.head.set_sampling(sampling),
            None => Ok(()),
        }
    }

    /// One step over some rows; in the pool of the caller.
    fn step(&mut self, inputs: Sparse<'_>, targets: Sparse<'_>, rows: &[u32]) -> Result<()> {
        let (width, path, length) = (self.network.input.width, self.path, self.network.shape.hidden);
        self.retune()?;
        if self.head.tables().is_some_and(|tables| !tables.is_built()) {
            self.head.rebuild(self.network.head().rows)?;
        }
        self.network.input.catch_up(path, inputs, rows);
        let batch = self.network.batch(path, inputs, rows, targets);
        let (wanted, asked) = self.head.ask(self.network.head(), &batch, self.head.sampling().each);
        let active = self.head.choose(&batch, &wanted);
        self.head.catch_up(self.network.head_mut(), &active);
        let forward = self.head.forward(self.network.head(), &batch, &active, &wanted);
        let all = forward.sums.clone();
        let loss = self.head.loss(&all, &forward.of_labels);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.position.steps, loss: loss as f32 });
        }
        let gradient = self.head.backward(self.network.head_mut(), &batch, forward, &all, 1.0);
        let mut hidden_delta = Lent::zeros(rows.len() * width);
        let each = hidden_delta.chunks_exact_mut(width).zip(gradient.chunks_exact(length));
        for ((out, gradient), hidden) in each.zip(batch.hidden.chunks_exact(width)) {
            for ((o, &g), &h) in out.iter_mut().zip(gradient).zip(hidden) {
                *o = if h > 0.0 { g } else { 0.0 };
            }
        }
        let step = self.head.adam().step(self.head.steps());
        self.network.input.update(path, step, inputs, rows, &hidden_delta);
        self.head.rehash(self.network.head().rows, self.head.sampling().rehash)?;
        let totals = &mut self.position.totals;
        totals.loss += loss;
        totals.active += active.ids.len() as u64;
        totals.returned += asked.returned;
        self.position.returned.0 += asked.returned;
        self.position.returned.1 += rows.len() as u64;
        totals.found += asked.found;
        totals.labels += asked.labels;
        Ok(())
    }
}
