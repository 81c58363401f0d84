//! Weights of a network with a sparse input, one hidden layer of rectified units, and a wide output; and what the dense
//! network says.

use rayon::prelude::*;
use thrifty_base::math::bf16::narrow;
use thrifty_base::math::padded;
use thrifty_base::memory::available;
use thrifty_base::pages::{Floats, Pages};
use thrifty_base::philox::Philox;
use thrifty_base::pool::pool;
use thrifty_base::simd::{self, Path};

use crate::adam::Adam;
use crate::batch::Batch;
use crate::head::{Weights, WeightsMut};
use crate::input::{Input, Units};
use crate::matrix::Store;
use crate::sampling::Sampling;
use crate::sparse::Sparse;
use crate::{Error, Result, stream};

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Features of the input (D).
    pub features: usize,
    /// Hidden units (H).
    pub hidden: usize,
    /// Labels, one output neuron each (L).
    pub labels: usize,
}

impl Shape {
    /// Refuses sizes that can't be, or that do not fit into the memory that is free.
    pub fn check(&self) -> Result<()> {
        const MOST: usize = u32::MAX as usize;
        for (argument, size, least, most) in [
            ("features", self.features, 1, MOST),
            ("hidden", self.hidden, 8, 1 << 16),
            ("labels", self.labels, 2, MOST),
        ] {
            if size < least || size > most {
                let why = format!("{size} is not possible; from {least} to {most}");
                return Err(Error::argument(argument, why));
            }
        }
        Ok(())
    }
}

/// Bytes that a trainer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights.
    pub weights: u64,
    /// Moments, how many steps rows lack, and f32 copies of weights in bf16.
    pub moments: u64,
    /// Hash tables, once they are built, and the queue.
    pub tables: u64,
}

impl Memory {
    /// Of a network.
    pub fn of(shape: Shape, precision: Precision, sampling: &Sampling, adam: Adam) -> Self {
        let input = (shape.features as u64 + 1) * padded(shape.hidden) as u64;
        let output = shape.labels as u64 * shape.hidden as u64;
        let (each, copies) = match precision {
            Precision::F32 => (4, 0),
            Precision::Bf16 => (2, 4 * output),
            Precision::Bf16Stochastic => (2, 0),
        };
        let bias = 4 * shape.labels as u64;
        let lacking = if adam.dense { 4 * (shape.features + shape.labels) as u64 } else { 0 };
        Self {
            weights: 4 * input + each * output + bias,
            moments: 8 * (input + output) + copies + 2 * bias + lacking,
            tables: sampling.table_bytes(shape.labels),
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.moments + self.tables
    }

    /// Refuses what is more than the memory that is free.
    pub fn check(&self) -> Result<()> {
        match available() {
            Some(free) if self.total() > free => {
                let gb = |bytes: u64| bytes as f64 / 1e9;
                let Self { weights, moments, tables } = *self;
                Err(Error::Capacity {
                    what: format!(
                        "weights take {:.1} GB, moments {:.1} GB and hash tables {:.1} GB, and {:.1} GB are free; take \
                         fewer hidden units, labels or tables, or bf16",
                        gb(weights),
                        gb(moments),
                        gb(tables),
                        gb(free)
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}

/// How the weights of the output layer are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Precision {
    /// f32.
    F32,
    /// bf16, and f32 beside it, from which it is rounded.
    Bf16,
    /// bf16 alone, rounded at random so that small steps count in the mean.
    Bf16Stochastic,
}

impl Precision {
    /// The precision of a name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "bf16-stochastic" => Ok(Self::Bf16Stochastic),
            other => Err(Error::argument(
                "precision",
                format!("'{other}' is not possible; one of f32, bf16, bf16-stochastic"),
            )),
        }
    }
}

/// A network.
#[derive(Debug)]
pub struct Network {
    /// Its sizes.
    pub shape: Shape,
    /// The input layer, with what trains it.
    pub input: Input,
    /// Labels by hidden units.
    pub output: Store,
    /// A number for each label.
    pub output_bias: Floats,
    /// How `output` is held.
    pub precision: Precision,
}

impl Network {
    /// Weights that are all zero.
    pub(crate) fn empty(shape: Shape, precision: Precision, adam: Adam) -> Result<Self> {
        shape.check()?;
        let numbers = shape.labels * shape.hidden;
        Ok(Self {
            shape,
            precision,
            input: Input::empty(shape.features, Units::all(shape.hidden), adam)?,
            output: match precision {
                Precision::F32 => Store::F32(Floats::zeros(numbers)?),
                Precision::Bf16 | Precision::Bf16Stochastic => Store::Bf16(Pages::zeros(numbers)?),
            },
            output_bias: Floats::zeros(shape.labels)?,
        })
    }

    /// Random weights of a seed: uniform within 1 / sqrt(hidden).
    pub fn new(shape: Shape, precision: Precision, adam: Adam, seed: u64) -> Result<Self> {
        shape.check()?;
        Ok(Self {
            shape,
            precision,
            input: Input::new(shape.features, Units::all(shape.hidden), adam, seed)?,
            output: random_output(shape.hidden, 0, shape.labels, precision, seed)?,
            output_bias: Floats::zeros(shape.labels)?,
        })
    }

    /// The weights of the output layer.
    pub fn head(&self) -> Weights<'_> {
        Weights { rows: self.output.matrix(self.shape.hidden), bias: &self.output_bias }
    }

    /// The same for a step.
    pub(crate) fn head_mut(&mut self) -> WeightsMut<'_> {
        WeightsMut { rows: self.output.values_mut(), bias: &mut self.output_bias }
    }

    /// The rows `rows` of `inputs` as a batch; in the pool of the caller.
    pub(crate) fn batch<'a>(&self, path: Path, inputs: Sparse<'_>, rows: &'a [u32], targets: Sparse<'a>) -> Batch<'a> {
        Batch::new(targets, rows, self.input.hidden(path, inputs, rows), self.input.width)
    }
}

/// Random weights of the neurons `first` and `rows - 1` that follow it, those that a layer has there of a seed.
pub fn random_output(length: usize, first: usize, rows: usize, precision: Precision, seed: u64) -> Result<Store> {
    let mut output = Floats::zeros(rows * length)?;
    let fill = |(row, out): (usize, &mut [f32])| {
        let at = (1 << 60) + ((first + row) * length) as u64;
        random_weights(seed, length, at, out);
    };
    pool(0)?.install(|| output.par_chunks_mut(length).enumerate().for_each(fill));
    Ok(match precision {
        Precision::F32 => Store::F32(output),
        Precision::Bf16 | Precision::Bf16Stochastic => {
            let mut halves = Pages::<u16>::zeros(output.len())?;
            narrow(simd::path()?, &output, &mut halves);
            Store::Bf16(halves)
        }
    })
}

/// Random weights from a position on: uniform within 1 / sqrt(hidden).
pub(crate) fn random_weights(seed: u64, hidden: usize, position: u64, out: &mut [f32]) {
    let random = Philox::new(seed, stream::WEIGHTS);
    let bound = 1.0 / (hidden as f32).sqrt();
    for (w, at) in out.iter_mut().zip(position..) {
        *w = bound * ((random.u64_at(at) >> 40) as f32 / (1 << 23) as f32 - 1.0);
    }
}
