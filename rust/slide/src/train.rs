//! Training steps.
//!
//! One set of active neurons serves a whole batch, so that the output layer is three small dense products over gathered
//! rows. Work is cut by rows of the weights, each owned by one thread, and sums run in one order: the weights do not depend
//! on the number of threads.

use rayon::prelude::*;
use thrifty_base::math::{LANES, Rows, accumulate, combine, dispatch, exp, multiply, padded};
use thrifty_base::philox::Philox;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use pulp::{Simd, WithSimd};

use crate::active::{Counter, union};
use crate::adam::{Adam, Parameters, Step, update};
use crate::hash::{Family, Hash, Scratch};
use crate::network::Network;
use crate::sparse::Sparse;
use crate::tables::Tables;
use crate::{Error, Result, stream};

/// How neurons are hashed and how many are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Bins a table (K).
    pub k: usize,
    /// Tables (L).
    pub tables: usize,
    /// Neurons of a bucket that a query takes at most.
    pub bucket: usize,
    /// Active neurons of a batch.
    pub active: usize,
    /// Of a batch's neurons, how many a row asks of its tables at most.
    pub each: usize,
    /// Steps after which all neurons are hashed again.
    pub rehash: u64,
}

/// What training needs beside the network.
pub struct Trainer {
    /// The network.
    pub network: Network,
    sampling: Sampling,
    adam: Adam,
    seed: u64,
    steps: u64,
    tables: Tables,
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
    /// Share of a row's labels among them.
    pub recall: f64,
    /// Mean number of active neurons of a batch.
    pub active: f64,
}

/// Rows of weights that one task updates.
const PART: usize = 48;

impl Trainer {
    /// A trainer of a new network.
    pub fn new(network: Network, sampling: Sampling, adam: Adam, seed: u64) -> Result<Self> {
        let Sampling { k, tables, bucket, active, each, rehash } = sampling;
        for (argument, value, most) in [
            ("k", k, 6),
            ("tables", tables, 1024),
            ("bucket", bucket, usize::MAX),
            ("active", active, usize::MAX),
            ("each", each, usize::MAX),
            ("rehash", rehash as usize, usize::MAX),
        ] {
            if value == 0 || value > most {
                return Err(Error::argument(argument, format!("{value} is not possible; from 1 to {most}")));
            }
        }
        if !(adam.rate.is_finite() && adam.rate > 0.0) {
            return Err(Error::argument("lr", format!("{} is not possible; a number above 0", adam.rate)));
        }
        let hash = Hash::new(Family::Dwta, k, tables, 3 * k, network.shape.hidden, seed)?;
        let tables = Tables::new(hash, network.shape.labels, seed);
        Ok(Self { sampling, adam, seed, steps: 0, tables, path: simd::path()?, network })
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
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
        let mut sums = Epoch::default();
        pool(threads)?.install(|| {
            for rows in order.chunks(batch) {
                self.step(inputs, targets, rows, &mut sums)?;
                progress.advance(rows.len() as u64)?;
            }
            Ok::<(), Error>(())
        })?;
        let rows = order.len().max(1) as f64;
        let batches = order.len().div_ceil(batch).max(1) as f64;
        Ok(Epoch {
            loss: sums.loss / rows,
            rows: order.len() as u64,
            returned: sums.returned / rows,
            recall: sums.recall / rows,
            active: sums.active / batches,
        })
    }

    /// One step over some rows; in the pool of the caller.
    fn step(&mut self, inputs: Sparse<'_>, targets: Sparse<'_>, rows: &[u32], sums: &mut Epoch) -> Result<()> {
        let (width, path) = (self.network.width, self.path);
        if self.steps.is_multiple_of(self.sampling.rehash) {
            let hidden = self.network.shape.hidden;
            self.tables.rebuild(path, &self.network.output.weights, hidden, width);
        }
        let columns = padded(rows.len());
        let mut hidden = vec![0.0f32; columns * width];
        hidden
            .par_chunks_mut(width)
            .zip(rows)
            .for_each(|(out, &row)| self.network.hidden(path, inputs, row as usize, out));
        let side_by_side = transposed(&hidden, width);

        let active = self.active(&side_by_side, targets, rows, sums);
        let starts: Vec<usize> = active.iter().map(|&id| id as usize * width).collect();
        let mut delta = self.logits(&active, &starts, &side_by_side, columns);
        let loss = softmax(path, &mut delta, columns, &active, targets, rows);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: self.steps, loss: loss as f32 });
        }
        let mut hidden_delta = vec![0.0f32; width * columns];
        let weights = Rows { data: &self.network.output.weights, starts: &starts, length: width };
        hidden_delta.par_chunks_mut(LANES * columns).enumerate().for_each(|(i, out)| {
            accumulate(path, weights, &delta, columns, i * LANES, out);
        });

        self.steps += 1;
        let step = self.adam.step(self.steps);
        self.update_output(step, &active, &delta, &hidden, columns);
        let mut hidden_delta = transposed(&hidden_delta, columns);
        for (d, &h) in hidden_delta.iter_mut().zip(&hidden) {
            if h <= 0.0 {
                *d = 0.0;
            }
        }
        self.update_input(step, inputs, rows, &hidden_delta);
        sums.loss += loss;
        sums.active += active.len() as f64;
        Ok(())
    }

    /// The active neurons, ascending.
    fn active(&self, side_by_side: &[f32], targets: Sparse<'_>, rows: &[u32], sums: &mut Epoch) -> Vec<u32> {
        let columns = side_by_side.len() / self.network.width;
        let Sampling { bucket, each, active, .. } = self.sampling;
        let neurons = self.network.shape.labels;
        let tables = self.tables.hash().tables();
        let found: Vec<(Vec<Vec<u32>>, usize, f64)> = (0..columns / LANES)
            .into_par_iter()
            .map_init(
                || (Counter::default(), Scratch::default(), vec![0u32; tables * LANES]),
                |(counter, scratch, codes), block| {
                    self.tables.hash().codes(self.path, &side_by_side[block * LANES..], columns, scratch, codes);
                    let (mut wanted, mut returned, mut recall) = (Vec::new(), 0, 0.0);
                    for (lane, &row) in rows.iter().skip(block * LANES).take(LANES).enumerate() {
                        let mut ids = Vec::with_capacity(each);
                        let own = codes.iter().skip(lane).step_by(LANES).copied();
                        let labels = targets.row(row as usize);
                        let held = |ids: &[u32]| labels.iter().filter(|l| ids.contains(l)).count();
                        returned += counter.candidates(&self.tables, neurons, own, bucket, each, &mut ids);
                        recall += held(&ids) as f64 / labels.len() as f64;
                        wanted.push(ids);
                    }
                    (wanted, returned, recall)
                },
            )
            .collect();
        let mut wanted = Vec::with_capacity(rows.len());
        for (ids, returned, recall) in found {
            wanted.extend(ids);
            sums.returned += returned as f64;
            sums.recall += recall;
        }
        let labels: Vec<u32> = rows.iter().flat_map(|&r| targets.row(r as usize)).copied().collect();
        union(&labels, &wanted, neurons, active, Philox::new(self.seed, stream::TOP_UP), self.steps)
    }

    /// Scores of the active neurons, a row each, for the rows of the batch side by side.
    fn logits(&self, active: &[u32], starts: &[usize], side_by_side: &[f32], columns: usize) -> Vec<f32> {
        let width = self.network.width;
        let mut out = vec![0.0f32; active.len() * columns];
        let parts = out.par_chunks_mut(PART * columns).zip(active.par_chunks(PART)).zip(starts.par_chunks(PART));
        parts.for_each(|((out, ids), starts)| {
            let bias: Vec<f32> = ids.iter().map(|&id| self.network.output_bias.weights[id as usize]).collect();
            let weights = Rows { data: &self.network.output.weights, starts, length: width };
            multiply(self.path, weights, side_by_side, columns, Some(&bias), out);
        });
        out
    }

    fn update_output(&mut self, step: Step, active: &[u32], delta: &[f32], hidden: &[f32], columns: usize) {
        let (width, path) = (self.network.width, self.path);
        let rows: Vec<usize> = (0..PART).map(|i| i * columns).collect();
        let weights = cut(self.network.output.parameters(), active, width);
        let biases = cut(self.network.output_bias.parameters(), active, 1);
        let parts: Vec<_> = weights.into_iter().zip(biases).zip(delta.chunks(PART * columns)).collect();
        parts.into_par_iter().for_each(|(((mut weights, starts), (mut biases, places)), delta)| {
            let mut gradients = vec![0.0f32; starts.len() * width];
            let of = Rows { data: delta, starts: &rows[..starts.len()], length: columns };
            multiply(path, of, hidden, width, None, &mut gradients);
            update(path, step, &mut weights, &starts, width, &gradients);
            for (&place, delta) in places.iter().zip(delta.chunks_exact(columns)) {
                let sum: f32 = delta.iter().sum();
                one(step, &mut biases, place, sum);
            }
        });
    }

    fn update_input(&mut self, step: Step, inputs: Sparse<'_>, rows: &[u32], hidden_delta: &[f32]) {
        let (width, path) = (self.network.width, self.path);
        // (feature, row of the batch, value), so that a feature's terms follow each other in the order of the rows.
        let mut terms: Vec<(u32, u32, f32)> = Vec::new();
        for (b, &row) in rows.iter().enumerate() {
            terms.extend(inputs.range(row as usize).map(|i| (inputs.indices[i], b as u32, inputs.values[i])));
        }
        terms.sort_by_key(|&(feature, row, _)| (feature, row));
        let mut features: Vec<u32> = terms.iter().map(|t| t.0).collect();
        features.dedup();
        let parts: Vec<_> =
            cut(self.network.input.parameters(), &features, width).into_iter().zip(features.chunks(PART)).collect();
        parts.into_par_iter().for_each(|((mut weights, starts), features)| {
            let mut gradients = vec![0.0f32; starts.len() * width];
            for (&feature, gradient) in features.iter().zip(gradients.chunks_exact_mut(width)) {
                let own = terms.partition_point(|t| t.0 < feature)..terms.partition_point(|t| t.0 <= feature);
                let (places, values): (Vec<usize>, Vec<f32>) =
                    terms[own].iter().map(|&(_, row, value)| (row as usize * width, value)).unzip();
                let deltas = Rows { data: hidden_delta, starts: &places, length: width };
                combine(path, deltas, &values, gradient);
            }
            update(path, step, &mut weights, &starts, width, &gradients);
        });
        let mut sums = vec![0.0f32; width];
        for delta in hidden_delta.chunks_exact(width) {
            for (s, d) in sums.iter_mut().zip(delta) {
                *s += d;
            }
        }
        update(path, step, &mut self.network.input_bias.parameters(), &[0], width, &sums);
    }
}

/// Parts of [`PART`] rows each of `ids` (ascending), with where those rows begin in the part.
fn cut<'a>(parameters: Parameters<'a>, ids: &[u32], width: usize) -> Vec<(Parameters<'a>, Vec<usize>)> {
    let mut out = Vec::with_capacity(ids.len().div_ceil(PART));
    let (mut rest, mut begin) = (parameters, 0);
    for ids in ids.chunks(PART) {
        let end = (ids[ids.len() - 1] as usize + 1) * width;
        let (part, others) = rest.split_at(end - begin);
        out.push((part, ids.iter().map(|&id| id as usize * width - begin).collect()));
        (rest, begin) = (others, end);
    }
    out
}

/// [`update`] of a single number.
fn one(step: Step, parameters: &mut Parameters<'_>, at: usize, gradient: f32) {
    step.one(&mut parameters.weights[at], &mut parameters.first[at], &mut parameters.second[at], gradient);
}

/// Columns become rows.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    let mut out = vec![0.0f32; matrix.len()];
    out.par_chunks_mut(LANES * rows).enumerate().for_each(|(block, out)| {
        for (r, row) in matrix.chunks_exact(columns).enumerate() {
            for (i, &x) in row[block * LANES..(block + 1) * LANES].iter().enumerate() {
                out[i * rows + r] = x;
            }
        }
    });
    out
}

/// Turns scores (a row for each active neuron, a column for each row of the batch) into their gradients, the softmax minus
/// the share of each label, over the rows of the batch; returns the sum of losses.
fn softmax(path: Path, scores: &mut [f32], columns: usize, active: &[u32], targets: Sparse<'_>, rows: &[u32]) -> f64 {
    let scale = 1.0 / rows.len() as f32;
    let label_places: Vec<Vec<usize>> = rows
        .iter()
        .enumerate()
        .map(|(b, &row)| {
            let at = |label: &u32| active.binary_search(label).expect("labels are active") * columns + b;
            targets.row(row as usize).iter().map(at).collect()
        })
        .collect();
    // Taken before the scores are gone; a score that is not a number makes the loss none.
    let mean = |places: &Vec<usize>| places.iter().map(|&at| f64::from(scores[at])).sum::<f64>() / places.len() as f64;
    let of_labels: Vec<f64> = label_places.iter().map(mean).collect();
    let (mut most, mut sums) = (vec![0.0f32; columns], vec![0.0f32; columns]);
    dispatch(path, Exponents { scores, columns, most: &mut most, sums: &mut sums, scale });
    let mut loss = 0.0;
    for (b, (places, of_labels)) in label_places.iter().zip(of_labels).enumerate() {
        loss += f64::from(most[b]) + f64::from(scale / sums[b]).ln() - of_labels;
        for &at in places {
            scores[at] -= scale / places.len() as f32;
        }
    }
    // Columns beyond the batch have no row.
    for row in scores.chunks_exact_mut(columns) {
        row[rows.len()..].fill(0.0);
    }
    loss
}

struct Exponents<'a> {
    scores: &'a mut [f32],
    columns: usize,
    most: &'a mut [f32],
    /// Left: what a column was multiplied by, `scale` over the sum of its exponentials.
    sums: &'a mut [f32],
    scale: f32,
}

impl WithSimd for Exponents<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let most = S::as_mut_simd_f32s(self.most).0;
        let sums = S::as_mut_simd_f32s(self.sums).0;
        most.fill(s.splat_f32s(f32::NEG_INFINITY));
        for row in self.scores.chunks_exact(self.columns) {
            for (most, &x) in most.iter_mut().zip(S::as_simd_f32s(row).0) {
                *most = s.max_f32s(*most, x);
            }
        }
        for row in self.scores.chunks_exact_mut(self.columns) {
            for ((x, &most), sum) in S::as_mut_simd_f32s(row).0.iter_mut().zip(&*most).zip(&mut *sums) {
                *x = exp(s, s.sub_f32s(*x, most));
                *sum = s.add_f32s(*sum, *x);
            }
        }
        let scale = s.splat_f32s(self.scale);
        for sum in &mut *sums {
            *sum = s.div_f32s(scale, *sum);
        }
        for row in self.scores.chunks_exact_mut(self.columns) {
            for (x, &sum) in S::as_mut_simd_f32s(row).0.iter_mut().zip(&*sums) {
                *x = s.mul_f32s(*x, sum);
            }
        }
    }
}
