//! Training of the input layer: gradients and Adam for the features of a batch.

use rayon::prelude::*;
use thrifty_base::math::{Rows, combine};
use thrifty_base::pages::Floats;
use thrifty_base::simd::Path;

use crate::Result;
use crate::adam::{Step, Updated, update};
use crate::network::Network;
use crate::sparse::Sparse;

/// Features that one task updates.
const TASK: usize = 128;

/// Moments of the input layer.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) moments: Floats,
    pub(crate) bias_moments: Floats,
}

/// Weights and moments of the features of a task, the first of which is `first`.
struct Owned<'a> {
    weights: &'a mut [f32],
    moments: &'a mut [f32],
    first: usize,
}

impl Input {
    /// For a network.
    pub(crate) fn new(network: &Network) -> Result<Self> {
        let moments = Floats::taken(2 * network.input.len())?;
        Ok(Self { moments, bias_moments: Floats::zeros(2 * network.width)? })
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
            let starts: Vec<usize> = features.iter().map(|&f| (f as usize - owned.first) * width).collect();
            let places: Vec<usize> = starts.iter().map(|s| 2 * s).collect();
            let Owned { weights, moments, .. } = owned;
            let rows = Updated { weights, moments, places: &places, length: width };
            update(path, step, rows, &starts, &gradients, width);
        });
        let mut sums = vec![0.0f32; width];
        for delta in hidden_delta.chunks_exact(width) {
            sums.iter_mut().zip(delta).for_each(|(sum, d)| *sum += d);
        }
        let (weights, moments) = (&mut network.input_bias[..], &mut self.bias_moments[..]);
        update(path, step, Updated { weights, moments, places: &[0], length: width }, &[0], &sums, width);
    }
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
