//! Training of the input layer: gradients and Adam for the features of a batch.

use rayon::prelude::*;
use thrifty_base::math::{Rows, combine};
use thrifty_base::pages::Floats;
use thrifty_base::simd::Path;

use crate::Result;
use crate::adam::{Adam, Step, Updated, update};
use crate::drift::{Drift, Due};
use crate::network::Network;
use crate::sparse::Sparse;

/// Features that one task updates.
const TASK: usize = 128;

/// Moments of the input layer.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) moments: Floats,
    pub(crate) bias_moments: Floats,
    /// Where features without a gradient move as well: the steps that they lack.
    pub(crate) drift: Option<Drift>,
}

/// Weights and moments of the features of a task, the first of which is `first`.
struct Owned<'a> {
    weights: &'a mut [f32],
    moments: &'a mut [f32],
    first: usize,
}

impl Input {
    /// For a network.
    pub(crate) fn new(network: &Network, adam: Adam) -> Result<Self> {
        let moments = Floats::taken(2 * network.input.len())?;
        let drift = Drift::new(adam, network.shape.features);
        Ok(Self { moments, bias_moments: Floats::zeros(2 * network.width)?, drift })
    }

    /// Brings the features of some rows up to date, where features without a gradient move as well; in the pool of the caller.
    pub(crate) fn catch_up(&mut self, network: &mut Network, path: Path, inputs: Sparse<'_>, rows: &[u32]) {
        if self.drift.is_some() {
            let each = rows.iter().flat_map(|&row| inputs.range(row as usize));
            let mut features: Vec<u32> = each.map(|i| inputs.indices[i]).collect();
            features.sort_unstable();
            features.dedup();
            self.move_features(network, path, features.into_iter());
        }
    }

    /// Brings all features up to date; in the pool of the caller.
    pub(crate) fn settle(&mut self, network: &mut Network, path: Path) {
        let features = network.shape.features as u32;
        self.move_features(network, path, 0..features);
        if let Some(drift) = &mut self.drift {
            drift.settle();
        }
    }

    fn move_features(&mut self, network: &mut Network, path: Path, features: impl Iterator<Item = u32>) {
        let Some(drift) = &mut self.drift else { return };
        let (features, had) = drift.take(features);
        let (drift, width) = (&*drift, network.width);
        let tasks = cut(&mut network.input, &mut self.moments, &features, width).into_par_iter();
        tasks.zip(features.par_chunks(TASK).zip(had.par_chunks(TASK))).for_each(|(owned, (features, had))| {
            let Owned { weights, moments, first } = owned;
            let dues: Vec<Due> = had.iter().map(|&had| drift.due(had)).collect();
            let (starts, places) = places(features, first, width);
            drift.rows(path, Updated { weights, moments, places: &places, length: width }, &starts, &dues);
        });
    }

    /// Updates the weights of the features that the rows `rows` have. `hidden_delta` is the gradient of their hidden values
    /// before the rectifier, a row of the network's width each. In the pool of the caller.
    pub(crate) fn update(
        &mut self,
        network: &mut Network,
        path: Path,
        step: Step,
        inputs: Sparse<'_>,
        rows: &[u32],
        hidden_delta: &[f32],
    ) {
        let width = network.width;
        // (feature, row of the batch, value), so that a feature's terms follow each other in the order of the rows.
        let mut terms: Vec<(u32, u32, f32)> = Vec::new();
        for (b, &row) in rows.iter().enumerate() {
            terms.extend(inputs.range(row as usize).map(|i| (inputs.indices[i], b as u32, inputs.values[i])));
        }
        terms.sort_unstable_by_key(|&(feature, row, value)| (feature, row, value.to_bits()));
        let mut features: Vec<u32> = terms.iter().map(|t| t.0).collect();
        features.dedup();
        let tasks = cut(&mut network.input, &mut self.moments, &features, width);
        tasks.into_par_iter().zip(features.par_chunks(TASK)).for_each(|(owned, features)| {
            let mut gradients = vec![0.0f32; features.len() * width];
            let mut at = terms.partition_point(|t| t.0 < features[0]);
            let (mut places, mut values) = (Vec::new(), Vec::new());
            for (&feature, gradient) in features.iter().zip(gradients.chunks_exact_mut(width)) {
                places.clear();
                values.clear();
                while let Some(&(own, row, value)) = terms.get(at)
                    && own == feature
                {
                    places.push(row as usize * width);
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
            drift.stepped(step.size(), &features);
        }
        let mut sums = vec![0.0f32; width];
        for delta in hidden_delta.chunks_exact(width) {
            sums.iter_mut().zip(delta).for_each(|(sum, d)| *sum += d);
        }
        let (weights, moments) = (&mut network.input_bias[..], &mut self.bias_moments[..]);
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
