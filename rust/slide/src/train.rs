//! Training steps of a network with a sparse input.

use rayon::prelude::*;
use thrifty_base::philox::Philox;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use crate::adam::Adam;
use crate::head::{Head, Slice, WeightsMut};
use crate::input::Input;
use crate::network::{Network, Precision};
use crate::predict::{Best, dense, sparse};
use crate::sampling::Sampling;
use crate::softmax::Loss;
use crate::sparse::Sparse;
use crate::{Error, Result, stream};

/// A network and what trains it.
#[derive(Debug)]
pub struct Trainer {
    /// The network.
    pub network: Network,
    head: Head,
    input: Input,
    adam: Adam,
    seed: u64,
    path: Path,
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

#[derive(Debug, Default)]
struct Totals {
    loss: f64,
    returned: u64,
    found: u64,
    labels: u64,
    active: u64,
}

impl Trainer {
    /// A trainer of a new network.
    pub fn new(network: Network, sampling: Sampling, loss: Loss, adam: Adam, seed: u64) -> Result<Self> {
        let labels = network.shape.labels;
        let slice = Slice { first: 0, rows: labels, neurons: labels };
        let mut head = Head::new(slice, network.shape.hidden, sampling, loss, adam, seed)?;
        if network.precision == Precision::Bf16 {
            pool(0)?.install(|| head.keep_master(network.head().rows))?;
        }
        Ok(Self { head, input: Input::new(&network)?, adam, seed, path: simd::path()?, network })
    }

    /// The output layer.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.head.steps()
    }

    /// Trains once over all rows in a random order of (seed, epoch), `batch` rows a step.
    pub fn epoch(
        &mut self,
        inputs: Sparse<'_>,
        targets: Sparse<'_>,
        batch: usize,
        epoch: u64,
        threads: usize,
        progress: &Progress,
    ) -> Result<Epoch> {
        inputs.check_valued("inputs", self.network.shape.features)?;
        targets.check("targets", self.network.shape.labels)?;
        if inputs.rows() != targets.rows() {
            let why = format!("{} rows for {} rows of inputs", targets.rows(), inputs.rows());
            return Err(Error::argument("targets", why));
        }
        if batch == 0 {
            return Err(Error::argument("batch", "0 is not possible; at least 1"));
        }
        let mut order: Vec<u32> = (0..inputs.rows() as u32).filter(|&r| !targets.row(r as usize).is_empty()).collect();
        let random = Philox::new(self.seed, stream::SHUFFLE);
        order.sort_by_cached_key(|&r| (random.u64_at(epoch << 32 | u64::from(r)), r));
        progress.start("train", order.len() as u64)?;
        let mut totals = Totals::default();
        pool(threads)?.install(|| {
            for rows in order.chunks(batch) {
                self.step(inputs, targets, rows, &mut totals)?;
                progress.advance(rows.len() as u64)?;
            }
            Ok::<(), Error>(())
        })?;
        let rows = order.len().max(1) as f64;
        let batches = order.len().div_ceil(batch).max(1) as f64;
        Ok(Epoch {
            loss: totals.loss / rows,
            rows: order.len() as u64,
            returned: totals.returned as f64 / rows,
            recall: totals.found as f64 / totals.labels.max(1) as f64,
            active: totals.active as f64 / batches,
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
        if k == 0 {
            return Err(Error::argument("k", "0 is not possible; at least 1"));
        }
        if candidates.is_some() && self.head.tables().is_none() {
            return Err(Error::argument("sparse", "this head has no hash tables; take a family that has"));
        }
        let k = k.min(self.network.shape.labels);
        progress.start("predict", inputs.rows() as u64)?;
        let rows: Vec<u32> = (0..inputs.rows() as u32).collect();
        let ends = vec![0; inputs.rows()];
        let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
        let path = self.path;
        pool(threads)?.install(|| {
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

    /// One step over some rows; in the pool of the caller.
    fn step(&mut self, inputs: Sparse<'_>, targets: Sparse<'_>, rows: &[u32], totals: &mut Totals) -> Result<()> {
        let (width, path, length) = (self.network.width, self.path, self.network.shape.hidden);
        if self.head.tables().is_some_and(|tables| !tables.is_built()) {
            self.head.rebuild(self.network.head().rows)?;
        }
        let batch = self.network.batch(path, inputs, rows, targets);
        let (wanted, asked) = self.head.ask(self.network.head(), &batch, self.head.sampling().each);
        let active = self.head.choose(&batch, &wanted);
        let forward = self.head.forward(self.network.head(), &batch, &active);
        let all = forward.sums.clone();
        let loss = self.head.loss(&all, &forward.of_labels);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.steps(), loss: loss as f32 });
        }
        let weights = WeightsMut { rows: self.network.output.values_mut(), bias: &mut self.network.output_bias };
        let gradient = self.head.backward(weights, &batch, forward, &all, 1.0);
        let mut hidden_delta = vec![0.0f32; rows.len() * width];
        let each = hidden_delta.chunks_exact_mut(width).zip(gradient.chunks_exact(length));
        for ((out, gradient), hidden) in each.zip(batch.hidden.chunks_exact(width)) {
            for ((o, &g), &h) in out.iter_mut().zip(gradient).zip(hidden) {
                *o = if h > 0.0 { g } else { 0.0 };
            }
        }
        let step = self.adam.step(self.head.steps());
        self.input.update(&mut self.network, path, step, inputs, rows, &hidden_delta);
        self.head.rehash(self.network.head().rows, self.head.sampling().rehash)?;
        totals.loss += loss;
        totals.active += active.ids.len() as u64;
        totals.returned += asked.returned;
        totals.found += asked.found;
        totals.labels += asked.labels;
        Ok(())
    }
}
