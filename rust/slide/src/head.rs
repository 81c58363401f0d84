//! A wide output layer whose steps cost what its active neurons cost.
//!
//! The weights lie with the caller; the head has what else training needs: moments, hash tables and the queue of rows to be
//! hashed again. It may hold a slice of the neurons: everything that needs the others goes through [`Wanted`], [`Active`]
//! and [`Sums`], which slices exchange.
//!
//! One set of active neurons serves a whole batch, so that the layer is three small dense products over gathered rows. Work
//! is cut into parts of the active rows, each owned by one thread, and sums run in one order: results do not depend on the
//! number of threads.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use thrifty_base::hash::mix64;
use thrifty_base::math::{LANES, dots, multiply};
use thrifty_base::pages::Floats;
use thrifty_base::philox::Philox;
use thrifty_base::simd::{self, Path};

use crate::active::{Active, Cap, Counter, TopUp, Wanted, choose};
use crate::adam::Adam;
use crate::backward::Owned;
use crate::batch::{Batch, ROWS};
use crate::drift::Drift;
use crate::hash::Scratch;
use crate::matrix::{Matrix, ValuesMut};
use crate::predict::dense;
use crate::queue::Queue;
use crate::sampling::{Method, Sampling};
use crate::softmax::{Loss, Sums, exponentials, sigmoids};
use crate::tables::Tables;
use crate::{Result, stream};

mod agreed;
mod drifting;
mod gradients;
mod outside;
mod step;

pub use agreed::Scored;
pub use gradients::Gradients;
pub use outside::Memory;

/// Which neurons of a layer are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first.
    pub first: u32,
    /// How many.
    pub rows: usize,
    /// How many the whole layer has.
    pub neurons: usize,
}

/// The weights of a slice, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// A row for each neuron.
    pub rows: Matrix<'a>,
    /// A number for each neuron.
    pub bias: &'a [f32],
}

/// The weights of a slice, for a step.
#[derive(Debug)]
pub struct WeightsMut<'a> {
    /// A row of `length` numbers for each neuron.
    pub rows: ValuesMut<'a>,
    /// A number for each neuron.
    pub bias: &'a mut [f32],
}

impl WeightsMut<'_> {
    /// The same weights, for a while.
    pub fn again(&mut self) -> WeightsMut<'_> {
        WeightsMut { rows: self.rows.again(), bias: self.bias }
    }

    /// For reading, in rows of `length` numbers.
    pub fn weights(&self, length: usize) -> Weights<'_> {
        Weights { rows: self.rows.matrix(length), bias: self.bias }
    }
}

/// What a batch's tables returned, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    /// Neurons that the tables returned, summed over rows.
    pub returned: u64,
    /// Labels in this slice that are among what their rows want.
    pub found: u64,
    /// Labels in this slice.
    pub labels: u64,
}

/// Scores of a batch on their way to gradients.
#[derive(Debug)]
pub struct Forward {
    /// Active neurons of this slice, numbered within it.
    local: Vec<u32>,
    /// A row for each of them: exponentials relative to the maxima of its part, or the gradients of sigmoids.
    values: Vec<f32>,
    /// For each part its maxima and sums.
    parts: Vec<Sums>,
    /// Labels among the active neurons, by neuron: (its place, row of the batch, share).
    hits: Vec<(u32, u32, f32)>,
    /// Sums of the slice.
    pub sums: Sums,
    /// For each row of the batch the scores of its labels in this slice, times their shares.
    pub of_labels: Vec<f32>,
}

impl Forward {
    /// Active neurons of this slice.
    pub fn active(&self) -> usize {
        self.local.len()
    }
}

/// What the optimizer has beside the weights.
#[derive(Debug)]
struct Kept {
    /// For each row its means of gradients, then means of their squares.
    moments: Floats,
    /// For each bias both.
    bias_moments: Floats,
    /// Weights in f32, where the caller has them rounded to bf16.
    master: Option<Floats>,
}

impl Kept {
    /// With the weights, what a step updates.
    fn owned<'a>(&'a mut self, to: WeightsMut<'a>) -> Owned<'a> {
        Owned {
            rows: to.rows,
            master: self.master.as_deref_mut(),
            moments: &mut self.moments,
            bias: to.bias,
            bias_moments: &mut self.bias_moments,
            first: 0,
        }
    }
}

/// Score of a neuron that is not in a row's set: no number that a score can be, and small enough that differences of it are
/// numbers too.
const NEVER: f32 = -1e30;
/// Rows of weights that are worked on while they are in the cache.
const PART: usize = 48;
/// Parts of a task; each task sums its own gradient of the hidden values.
const TASK: usize = 4;

/// What training needs beside the weights.
#[derive(Debug)]
pub struct Head {
    slice: Slice,
    length: usize,
    sampling: Sampling,
    loss: Loss,
    adam: Adam,
    has_bias: bool,
    seed: u64,
    path: Path,
    steps: u64,
    tables: Option<Tables>,
    queue: Queue,
    kept: Kept,
    /// Where rows without a gradient move as well: the steps that they lack.
    drift: Option<Drift>,
    /// Room for scores, which one step leaves to the next: new memory costs as much as writing it.
    spare: Mutex<Vec<f32>>,
}

impl Head {
    /// A head for a slice of a layer with rows of `length` numbers.
    pub fn new(slice: Slice, length: usize, sampling: Sampling, loss: Loss, adam: Adam, seed: u64) -> Result<Self> {
        sampling.check()?;
        adam.check()?;
        let tables = sampling.tables_for(slice, length, seed)?;
        Ok(Self {
            slice,
            length,
            sampling,
            loss,
            adam,
            has_bias: true,
            seed,
            path: simd::path()?,
            steps: 0,
            queue: Queue::new(if tables.is_some() { slice.rows } else { 0 }),
            tables,
            kept: Kept {
                moments: Floats::taken(2 * slice.rows * length)?,
                bias_moments: Floats::zeros(2 * slice.rows)?,
                master: None,
            },
            drift: Drift::new(adam, slice.rows),
            spare: Mutex::default(),
        })
    }

    /// Keeps weights in f32 beside those of the caller, which are in bf16: small steps are then not lost to rounding.
    pub fn keep_master(&mut self, rows: Matrix<'_>) -> Result<()> {
        let mut master = match self.kept.master.take() {
            Some(master) => master,
            None => Floats::zeros(self.slice.rows * self.length)?,
        };
        let (path, each) = (self.path, master.par_chunks_mut(self.length).enumerate());
        each.for_each(|(row, out)| rows.copy(path, row, out));
        self.kept.master = Some(master);
        Ok(())
    }

    /// The neurons that are here.
    pub fn slice(&self) -> Slice {
        self.slice
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How neurons are chosen.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The hash tables, where neurons are chosen by them.
    pub fn tables(&self) -> Option<&Tables> {
        self.tables.as_ref()
    }

    /// Rows that wait to be hashed again, and for how many steps the oldest does.
    pub fn waiting(&self) -> (usize, u64) {
        (self.queue.len(), self.queue.oldest().map_or(0, |(_, since)| self.steps.saturating_sub(since)))
    }

    /// Hashes all rows, after which none waits; in the pool of the caller.
    pub fn rebuild(&mut self, rows: Matrix<'_>) -> Result<()> {
        if let Some(tables) = &mut self.tables {
            tables.rebuild(self.path, rows)?;
        }
        self.queue.clear();
        Ok(())
    }

    /// Hashes the rows that wait longest again, at most `most`; in the pool of the caller. Returns moves between buckets.
    pub fn rehash(&mut self, rows: Matrix<'_>, most: usize) -> Result<usize> {
        let waiting = self.queue.take(most);
        match &mut self.tables {
            Some(tables) if tables.is_built() => tables.rehash(self.path, rows, &waiting),
            _ => self.rebuild(rows).map(|()| 0),
        }
    }

    /// What the rows of a batch ask of this slice's neurons, at most `each` a row, and nothing before tables were built; in the
    /// pool of the caller.
    pub fn ask(&self, weights: Weights<'_>, batch: &Batch<'_>, each: usize) -> (Wanted, Asked) {
        let (wanted, returned) = match (&self.tables, self.sampling.method) {
            (Some(tables), _) if tables.is_built() && self.sampling.pool > each => {
                let (pool, returned) = self.ask_tables(tables, batch, self.sampling.pool);
                (self.rank(weights, batch, &pool, each), returned)
            }
            (Some(tables), _) if tables.is_built() => self.ask_tables(tables, batch, each),
            (None, Method::Exact) => {
                let best = dense(self.path, weights, batch, each.min(self.slice.rows));
                Wanted::exact(&best.ids, best.ids.len() / batch.rows(), self.slice.first)
            }
            _ => (Wanted { ends: vec![0; batch.rows()], ..Wanted::default() }, 0),
        };
        let (found, labels) = self.found(batch, &wanted);
        let asked = Asked { returned, found, labels };
        (wanted, asked)
    }

    /// Labels of this slice that are among what their rows want, and all.
    pub(crate) fn found(&self, batch: &Batch<'_>, wanted: &Wanted) -> (u64, u64) {
        let here = self.slice.first..self.slice.first + self.slice.rows as u32;
        let of_row = |row| {
            let own = batch.labels(row).iter().filter(|label| here.contains(label));
            own.fold((0, 0), |(found, labels), label| (found + u64::from(wanted.row(row).contains(label)), labels + 1))
        };
        let rows = (0..batch.rows()).into_par_iter().with_min_len(ROWS);
        rows.map(of_row).reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Of the neurons that rows want, those with the highest scores.
    fn rank(&self, weights: Weights<'_>, batch: &Batch<'_>, pool: &Wanted, each: usize) -> Wanted {
        let first = self.slice.first;
        let parts: Vec<Wanted> = (0..batch.rows().div_ceil(LANES))
            .into_par_iter()
            .map_init(
                || (Vec::new(), Vec::new(), Vec::new(), Vec::new()),
                |(ids, scratch, starts, scores), block| {
                    let mut out = Wanted::default();
                    let end = batch.rows().min((block + 1) * LANES);
                    for row in block * LANES..end {
                        if row + 1 < end {
                            ids.clear();
                            ids.extend(pool.row(row + 1).iter().map(|id| id - first));
                            weights.rows.prefetch(ids);
                        }
                        ids.clear();
                        ids.extend(pool.row(row).iter().map(|id| id - first));
                        scores.resize(ids.len(), 0.0);
                        let gathered = weights.rows.rows(self.path, ids, scratch, starts);
                        dots(self.path, gathered, batch.row(row, self.length), scores);
                        let bias = |id: &u32| weights.bias[*id as usize];
                        let best = ids.iter().zip(&*scores).map(|(id, score)| (score + bias(id), first + id));
                        out.push_best(best, each);
                    }
                    out
                },
            )
            .collect();
        let mut wanted = Wanted::default();
        parts.iter().for_each(|part| wanted.append(part));
        wanted
    }

    fn ask_tables(&self, tables: &Tables, batch: &Batch<'_>, each: usize) -> (Wanted, u64) {
        let bucket = self.sampling.bucket;
        self.ask_with(tables, batch, each, |_, _| Cap::Same(bucket))
    }

    /// `cap` says for a block of [`LANES`] rows and their codes how many neurons of a bucket count.
    fn ask_with<'c>(
        &self,
        tables: &Tables,
        batch: &Batch<'_>,
        each: usize,
        cap: impl Fn(usize, &[u32]) -> Cap<'c> + Sync,
    ) -> (Wanted, u64) {
        let found: Vec<(Wanted, usize)> = (0..batch.columns / LANES)
            .into_par_iter()
            .map_init(
                || (Counter::default(), Scratch::default(), vec![0u32; tables.hash().tables() * LANES]),
                |(counter, scratch, codes), block| {
                    let x = &batch.side_by_side[block * LANES..];
                    tables.hash().codes(self.path, x, batch.columns, scratch, codes);
                    let mut wanted = Wanted::default();
                    let rows = batch.rows().min((block + 1) * LANES).saturating_sub(block * LANES);
                    let returned = counter.ask(tables, codes, rows, cap(block, codes), each, &mut wanted);
                    (wanted, returned)
                },
            )
            .collect();
        let mut wanted = Wanted::default();
        found.iter().for_each(|(part, _)| wanted.append(part));
        (wanted, found.iter().map(|f| f.1 as u64).sum())
    }

    /// Instruction set of the kernels.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The weights were changed by others: what was derived from them is made anew, in the pool of the caller.
    pub fn refresh(&mut self, rows: Matrix<'_>) -> Result<()> {
        if self.kept.master.is_some() {
            self.keep_master(rows)?;
        }
        self.rebuild(rows)
    }

    /// The active neurons of a batch: the same on all slices when they pass what all rows want of all slices.
    pub fn choose(&self, batch: &Batch<'_>, wanted: &Wanted) -> Active {
        let labels: Vec<u32> = (0..batch.rows()).flat_map(|i| batch.labels(i)).copied().collect();
        let Sampling { active, draw, correct, .. } = self.sampling;
        let random = Philox::new(self.seed, stream::TOP_UP);
        let tables = self.tables.as_ref().filter(|_| self.slice.rows == self.slice.neurons);
        let neurons = self.slice.neurons;
        let top_up = TopUp { first: 0, neurons, size: active, draw, correct, random, step: self.steps, tables };
        choose(&labels, wanted, top_up)
    }

    /// The active neurons of this slice alone, which asks nothing of the others: as many as the settings say, its labels among
    /// them.
    pub fn choose_own(&self, batch: &Batch<'_>, wanted: &Wanted) -> Active {
        let Slice { first, rows, .. } = self.slice;
        let here = first..first + rows as u32;
        let labels: Vec<u32> =
            (0..batch.rows()).flat_map(|i| batch.labels(i)).copied().filter(|label| here.contains(label)).collect();
        let Sampling { active, draw, correct, .. } = self.sampling;
        let random = Philox::new(mix64(self.seed ^ u64::from(first)), stream::TOP_UP);
        let tables = self.tables.as_ref();
        choose(
            &labels,
            wanted,
            TopUp { first, neurons: rows, size: active, draw, correct, random, step: self.steps, tables },
        )
    }

    /// Scores of this slice's active neurons; in the pool of the caller. `wanted` is what [`Self::choose`] took.
    pub fn forward(&self, weights: Weights<'_>, batch: &Batch<'_>, active: &Active, wanted: &Wanted) -> Forward {
        let Slice { first, rows, .. } = self.slice;
        let begin = active.ids.partition_point(|&id| id < first);
        let end = active.ids.partition_point(|&id| (id as usize) < first as usize + rows);
        let local: Vec<u32> = active.ids[begin..end].iter().map(|id| id - first).collect();
        let shifts = active.shifts.get(begin..end).unwrap_or(&[]);
        let columns = batch.columns;
        let hits = batch.hits(&active.ids[begin..end], self.loss);
        let scale = 1.0 / batch.rows() as f32;
        let factors: Vec<f32> = (0..columns).map(|c| if c < batch.rows() { scale } else { 0.0 }).collect();
        let others = if self.sampling.own { batch.others(&active.ids[begin..end], wanted) } else { Vec::new() };
        let mut values = std::mem::take(&mut *self.spare.lock().unwrap_or_else(PoisonError::into_inner));
        values.resize(local.len() * columns, 0.0);
        let done: Vec<(Sums, Vec<(u32, f32)>)> = values
            .par_chunks_mut(PART * columns)
            .zip(local.par_chunks(PART))
            .enumerate()
            .map_init(
                || (Vec::new(), Vec::new(), Vec::new()),
                |(scratch, starts, bias), (part, (values, ids))| {
                    bias.clear();
                    bias.extend(ids.iter().map(|&id| weights.bias[id as usize]));
                    let of_part = shifts.get(part * PART..).unwrap_or(&[]);
                    bias.iter_mut().zip(of_part).for_each(|(b, shift)| *b += shift);
                    weights.rows.prefetch(following(&local, part));
                    let gathered = weights.rows.rows(self.path, ids, scratch, starts);
                    multiply(self.path, gathered, batch.inputs(self.length), columns, Some(bias), values);
                    let own = within(&hits, part).iter();
                    let at =
                        |&(place, row, _): &(u32, u32, f32)| (place as usize - part * PART) * columns + row as usize;
                    let scores = own.map(|hit| (hit.1, hit.2 * values[at(hit)])).collect();
                    for &(place, row) in within_others(&others, part) {
                        values[(place as usize - part * PART) * columns + row as usize] = NEVER;
                    }
                    let sums = match self.loss {
                        Loss::Softmax => exponentials(self.path, values, columns),
                        Loss::Sigmoid => Sums { most: vec![0.0; columns], sums: sigmoids(self.path, values, &factors) },
                    };
                    (sums, scores)
                },
            )
            .collect();
        let mut of_labels = vec![0.0f32; batch.rows()];
        for &(row, score) in done.iter().flat_map(|d| &d.1) {
            of_labels[row as usize] += score;
        }
        let parts: Vec<Sums> = done.into_iter().map(|d| d.0).collect();
        let sums = Sums::merged(parts.iter(), columns);
        Forward { local, values, parts, hits, sums, of_labels }
    }

    /// Leaves the room of scores to the next step.
    fn keep(&self, values: Vec<f32>) {
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }

    /// Sum of the losses of a batch's rows, from the sums and labels' scores of all slices.
    pub fn loss(&self, all: &Sums, of_labels: &[f32]) -> f64 {
        let rows = all.most.iter().zip(&all.sums).zip(of_labels);
        rows.map(|((&most, &sum), &own)| match self.loss {
            Loss::Softmax => f64::from(most) + f64::from(sum).ln() - f64::from(own),
            Loss::Sigmoid => f64::from(sum) - f64::from(own),
        })
        .sum()
    }
}

/// Neurons of the part behind one.
fn following(ids: &[u32], part: usize) -> &[u32] {
    let begin = ((part + 1) * PART).min(ids.len());
    &ids[begin..(begin + PART).min(ids.len())]
}

/// The same for neurons that are not in rows' sets.
fn within_others(others: &[(u32, u32)], part: usize) -> &[(u32, u32)] {
    let begin = others.partition_point(|other| (other.0 as usize) < part * PART);
    let end = others.partition_point(|other| (other.0 as usize) < (part + 1) * PART);
    &others[begin..end]
}

/// Labels whose places are in a part.
fn within(hits: &[(u32, u32, f32)], part: usize) -> &[(u32, u32, f32)] {
    let begin = hits.partition_point(|hit| (hit.0 as usize) < part * PART);
    let end = hits.partition_point(|hit| (hit.0 as usize) < (part + 1) * PART);
    &hits[begin..end]
}
