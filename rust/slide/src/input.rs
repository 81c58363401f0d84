//! The input layer, or a slice of its hidden units: hidden values of sparse rows, gradients and Adam for their features.

use rayon::prelude::*;
use thrifty_base::lent::Lent;
use thrifty_base::math::{Rows, combine, padded};
use thrifty_base::pages::Floats;
use thrifty_base::pool::pool;
use thrifty_base::simd::Path;

use crate::Result;
use crate::adam::{Adam, Step, Updated, update};
use crate::batch::ROWS;
use crate::drift::{Drift, Due};
use crate::network::random_weights;
use crate::sparse::Sparse;

/// Features that one task updates.
const TASK: usize = 128;

/// Which hidden units of a layer are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// The first.
    pub first: usize,
    /// How many.
    pub here: usize,
    /// How many the whole layer has.
    pub all: usize,
}

impl Units {
    /// All of them.
    pub fn all(units: usize) -> Self {
        Self { first: 0, here: units, all: units }
    }
}

/// Weights of features by rectified hidden units, or a slice of the units, and what trains them.
#[derive(Debug)]
pub struct Input {
    /// Features.
    pub features: usize,
    /// The units.
    pub units: Units,
    /// Numbers of a row: units, padded with zeros that stay zeros.
    pub width: usize,
    /// A feature's weights lie together.
    pub weights: Floats,
    /// A number for each unit, padded.
    pub bias: Floats,
    pub(crate) moments: Floats,
    pub(crate) bias_moments: Floats,
    /// Where features without a gradient move as well: the steps that they lack.
    drift: Option<Drift>,
}

/// Weights and moments of the features of a task, the first of which is `first`.
struct Owned<'a> {
    weights: &'a mut [f32],
    moments: &'a mut [f32],
    first: usize,
}

impl Input {
    /// Weights that are all zero.
    pub(crate) fn empty(features: usize, units: Units, adam: Adam) -> Result<Self> {
        let width = padded(units.here);
        Ok(Self {
            features,
            units,
            width,
            weights: Floats::zeros(features * width)?,
            bias: Floats::zeros(width)?,
            moments: Floats::taken(2 * features * width)?,
            bias_moments: Floats::zeros(2 * width)?,
            drift: Drift::new(adam, features),
        })
    }

    /// Random weights of a seed; those of a slice are the ones that the whole has there.
    pub fn new(features: usize, units: Units, adam: Adam, seed: u64) -> Result<Self> {
        let mut input = Self::empty(features, units, adam)?;
        let fill = |(feature, row): (usize, &mut [f32])| {
            random_weights(seed, units.all, (feature * units.all + units.first) as u64, &mut row[..units.here]);
        };
        pool(0)?.install(|| input.weights.par_chunks_mut(input.width).enumerate().for_each(fill));
        Ok(input)
    }

    /// Hidden values of some rows, `width` numbers each, with rows of zeros up to a multiple of [`LANES`]; in the pool of the
    /// caller.
    ///
    /// [`LANES`]: thrifty_base::math::LANES
    pub fn hidden(&self, path: Path, inputs: Sparse<'_>, rows: &[u32]) -> Lent {
        let width = self.width;
        let mut hidden = Lent::zeros(padded(rows.len()) * width);
        hidden.par_chunks_mut(width).zip(rows).for_each(|(out, &row)| {
            out.copy_from_slice(&self.bias);
            let starts: Vec<usize> = inputs.row(row as usize).iter().map(|&i| i as usize * width).collect();
            let weights = Rows { data: &self.weights, starts: &starts, length: width };
            combine(path, weights, &inputs.values[inputs.range(row as usize)], out);
            out.iter_mut().for_each(|o| *o = o.max(0.0));
        });
        hidden
    }

    /// Brings the features of some rows up to date, where features without a gradient move as well; in the pool of the caller.
    pub fn catch_up(&mut self, path: Path, inputs: Sparse<'_>, rows: &[u32]) {
        if self.drift.is_some() {
            let each = rows.iter().flat_map(|&row| inputs.range(row as usize));
            let mut features: Vec<u32> = each.map(|i| inputs.indices[i]).collect();
            features.sort_unstable();
            features.dedup();
            self.move_features(path, features.into_iter());
        }
    }

    /// Brings all features up to date; in the pool of the caller.
    pub fn settle(&mut self, path: Path) {
        self.move_features(path, 0..self.features as u32);
        if let Some(drift) = &mut self.drift {
            drift.settle();
        }
    }

    fn move_features(&mut self, path: Path, features: impl Iterator<Item = u32>) {
        let Some(drift) = &mut self.drift else { return };
        let (features, had) = drift.take(features);
        let (drift, width) = (&*drift, self.width);
        let tasks = cut(&mut self.weights, &mut self.moments, &features, width).into_par_iter();
        tasks.zip(features.par_chunks(TASK).zip(had.par_chunks(TASK))).for_each(|(owned, (features, had))| {
            let Owned { weights, moments, first } = owned;
            let dues: Vec<Due> = had.iter().map(|&had| drift.due(had)).collect();
            let (starts, places) = places(features, first, width);
            drift.rows(path, Updated { weights, moments, places: &places, length: width }, &starts, &dues);
        });
    }

    /// Updates the weights of the features that the rows `rows` have. `hidden_delta` is the gradient of their hidden values
    /// before the rectifier, a row of `width` each. In the pool of the caller.
    pub fn update(&mut self, path: Path, step: Step, inputs: Sparse<'_>, rows: &[u32], hidden_delta: &[f32]) {
        let width = self.width;
        // (feature and row of the batch, value), so that a feature's terms follow each other in the order of the rows.
        let of_row = |(b, &row): (usize, &u32)| {
            let key = move |i: usize| u64::from(inputs.indices[i]) << 32 | b as u64;
            inputs.range(row as usize).map(move |i| (key(i), inputs.values[i]))
        };
        let mut terms: Vec<(u64, f32)> = rows.par_iter().enumerate().with_min_len(ROWS).flat_map_iter(of_row).collect();
        terms.par_sort_unstable_by_key(|&(key, value)| (key, value.to_bits()));
        let mut features: Vec<u32> = terms.iter().map(|t| (t.0 >> 32) as u32).collect();
        features.dedup();
        let tasks = cut(&mut self.weights, &mut self.moments, &features, width);
        tasks.into_par_iter().zip(features.par_chunks(TASK)).for_each(|(owned, features)| {
            let mut gradients = Lent::zeros(features.len() * width);
            let mut at = terms.partition_point(|t| t.0 >> 32 < u64::from(features[0]));
            let (mut places, mut values) = (Vec::new(), Vec::new());
            for (&feature, gradient) in features.iter().zip(gradients.chunks_exact_mut(width)) {
                places.clear();
                values.clear();
                while let Some(&(key, value)) = terms.get(at)
                    && key >> 32 == u64::from(feature)
                {
                    places.push((key & 0xFFFF_FFFF) as usize * width);
                    values.push(value);
                    at += 1;
                }
                combine(path, Rows { data: hidden_delta, starts: &places, length: width }, &values, gradient);
            }
            let Owned { weights, moments, first } = owned;
            let (starts, places) = self::places(features, first, width);
            let rows = Updated { weights, moments, places: &places, length: width };
            update(path, step, rows, &starts, &gradients, width);
        });
        if let Some(drift) = &mut self.drift {
            drift.stepped(step.size, &features);
        }
        let mut sums = vec![0.0f32; width];
        for delta in hidden_delta.chunks_exact(width) {
            sums.iter_mut().zip(delta).for_each(|(sum, d)| *sum += d);
        }
        let (weights, moments) = (&mut self.bias[..], &mut self.bias_moments[..]);
        update(path, step, Updated { weights, moments, places: &[0], length: width }, &[0], &sums, width);
    }
}

/// Where the weights of features begin, and where their moments.
fn places(features: &[u32], first: usize, width: usize) -> (Vec<usize>, Vec<usize>) {
    let starts: Vec<usize> = features.iter().map(|&f| (f as usize - first) * width).collect();
    let places = starts.iter().map(|start| 2 * start).collect();
    (starts, places)
}

/// One for each [`TASK`] of the features (ascending).
fn cut<'a>(weights: &'a mut [f32], moments: &'a mut [f32], features: &[u32], width: usize) -> Vec<Owned<'a>> {
    let mut out = Vec::with_capacity(features.len().div_ceil(TASK));
    let mut rest = Owned { weights, moments, first: 0 };
    for features in features.chunks(TASK) {
        let rows = features[features.len() - 1] as usize + 1 - rest.first;
        let (a, b) = rest.weights.split_at_mut(rows * width);
        let (c, d) = rest.moments.split_at_mut(2 * rows * width);
        out.push(Owned { weights: a, moments: c, first: rest.first });
        rest = Owned { weights: b, moments: d, first: rest.first + rows };
    }
    out
}
