//! Models and checkpoints as files.
//!
//! A checkpoint is a model with its moments and the place in the data that training has come to; tables are not in it,
//! since they are a function of weights and seed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thrifty_base::hash;
use thrifty_base::philox;
use thrifty_base::progress::Progress;
use thrifty_base::tensors::{Dtype, Tensor, Tensors, write};

use crate::adam::Adam;
use crate::head::Memory as Learned;
use crate::input::Input;
use crate::matrix::Store;
use crate::network::{Memory, Network, Precision, Shape};
use crate::sampling::Sampling;
use crate::softmax::Loss;
use crate::train::{Position, Trainer};
use crate::{Error, Result};

/// What such files say they are.
const FORMAT: &str = "thrifty.slide";
/// Their version.
const VERSION: u32 = 1;

/// What a model was made with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Sizes.
    pub shape: Shape,
    /// How the output layer's weights are held.
    pub precision: Precision,
    /// How active neurons are chosen.
    pub sampling: Sampling,
    /// What is minimised.
    pub loss: Loss,
    /// The optimizer.
    pub adam: Adam,
    /// Key of everything random.
    pub seed: u64,
    /// Rows a step.
    pub batch: usize,
}

impl Spec {
    /// Refuses to go on from a checkpoint of another training.
    pub fn expect(&self, path: &Path, here: &Self) -> Result<()> {
        let differ = |field, there: String, here: String| {
            let hint = "give the same settings, or another folder for checkpoints";
            if there == here { Ok(()) } else { Err(Error::Resume { path: path.to_owned(), field, there, here, hint }) }
        };
        let text = |shape: Shape| {
            format!("{} features, {} hidden units, {} labels", shape.features, shape.hidden, shape.labels)
        };
        let adam = |adam: Adam| if adam.dense { "dense" } else { "sparse" }.to_owned();
        differ("the network", text(self.shape), text(here.shape))?;
        differ("precision", format!("{:?}", self.precision), format!("{:?}", here.precision))?;
        differ("loss", format!("{:?}", self.loss), format!("{:?}", here.loss))?;
        differ("seed", self.seed.to_string(), here.seed.to_string())?;
        differ("batch", self.batch.to_string(), here.batch.to_string())?;
        differ("adam", adam(self.adam), adam(here.adam))?;
        differ("lr", self.adam.rate.to_string(), here.adam.rate.to_string())?;
        differ("the head", format!("{:?}", self.sampling.as_asked()), format!("{:?}", here.sampling.as_asked()))
    }
}

/// What a file holds beside tensors.
#[derive(Clone, Debug)]
pub struct Saved {
    /// What the model was made with.
    pub spec: Spec,
    /// Where training has come to, in a checkpoint.
    pub position: Option<Position>,
    /// What the caller wanted to be told again.
    pub note: String,
}

/// Writes the weights, which are up to date; with `training` also what training needs to go on from there.
pub(crate) fn save(path: &Path, trainer: &Trainer, note: &str, training: bool, progress: &Progress) -> Result<()> {
    let network = &trainer.network;
    let Shape { features, hidden, labels } = network.shape;
    let width = network.input.width;
    let spec = trainer.spec();
    let mut metadata = BTreeMap::new();
    let mut tell = |key: &str, value: String| metadata.insert(key.to_owned(), value);
    tell("format", FORMAT.into());
    tell("version", VERSION.to_string());
    tell("hash_version", hash::VERSION.to_string());
    tell("philox_version", philox::VERSION.to_string());
    tell("spec", json(&spec));
    tell("note", note.to_owned());
    if training {
        tell("position", json(&trainer.position));
    }
    let Learned { moments, bias_moments, master, .. } = trainer.head().memory();
    let (dtype, output): (Dtype, &[u8]) = match &network.output {
        Store::F32(values) => (Dtype::F32, bytemuck::cast_slice(values)),
        Store::Bf16(values) => (Dtype::Bf16, bytemuck::cast_slice(values)),
    };
    fn floats<'a>(name: &'a str, shape: &'a [usize], values: &'a [f32]) -> Tensor<'a> {
        Tensor { name, dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values) }
    }
    let shapes = Shapes::of(network);
    let mut tensors = vec![
        floats("input.weight", &shapes.input, &network.input.weights),
        floats("input.bias", &shapes.input_bias, &network.input.bias),
        Tensor { name: "output.weight", dtype, shape: &shapes.output, bytes: output },
        floats("output.bias", &shapes.output_bias, &network.output_bias),
    ];
    let (input, input_bias) = ([features, 2, width], [2, width]);
    let (out, out_bias) = ([labels, 2, hidden], [labels, 2]);
    if training {
        tensors.push(floats("input.moments", &input, &network.input.moments));
        tensors.push(floats("input.bias_moments", &input_bias, &network.input.bias_moments));
        tensors.push(floats("output.moments", &out, moments));
        tensors.push(floats("output.bias_moments", &out_bias, bias_moments));
        if let Some(master) = master {
            tensors.push(floats("output.master", &shapes.output, master));
        }
    }
    Ok(write(path, &metadata, &tensors, progress)?)
}

struct Shapes {
    input: [usize; 2],
    input_bias: [usize; 1],
    output: [usize; 2],
    output_bias: [usize; 1],
}

impl Shapes {
    fn of(network: &Network) -> Self {
        let Shape { features, hidden, labels } = network.shape;
        Self {
            input: [features, network.input.width],
            input_bias: [network.input.width],
            output: [labels, hidden],
            output_bias: [labels],
        }
    }
}

/// What a file holds, without its tensors.
pub fn read(file: &Tensors) -> Result<Saved> {
    file.expect_format(FORMAT, VERSION)?;
    let metadata = file.metadata();
    let bad = |what: String| thrifty_base::Error::format(file.path(), "header", 8, what);
    let of = |key: &str| metadata.get(key).ok_or_else(|| bad(format!("there is no '{key}' in the metadata")));
    for (key, here) in [("hash_version", hash::VERSION), ("philox_version", philox::VERSION)] {
        let there = of(key)?;
        if *there != here.to_string() {
            return Err(bad(format!("{key} is '{there}', this program has {here}; train the model again")).into());
        }
    }
    let spec: Spec = serde_json::from_str(of("spec")?).map_err(|e| bad(format!("spec: {e}")))?;
    let position =
        metadata.get("position").map(|text| serde_json::from_str(text).map_err(|e| bad(format!("position: {e}"))));
    Ok(Saved { spec, position: position.transpose()?, note: metadata.get("note").cloned().unwrap_or_default() })
}

/// Opens a model, or a checkpoint, as a trainer; a model's moments are zeros. All data are compared with their checksums.
pub fn open(path: &Path, progress: &Progress) -> Result<(Trainer, Saved)> {
    let file = Tensors::open(path)?;
    let saved = read(&file)?;
    file.verify_all(progress)?;
    let Spec { shape, precision, sampling, loss, adam, seed, batch } = saved.spec;
    shape.check()?;
    sampling.check()?;
    Memory::of(shape, precision, &sampling, adam).check()?;
    let mut network = Network::empty(shape, precision, adam)?;
    let shapes = Shapes::of(&network);
    let fill = |name: &str, shape: &[usize], out: &mut [f32]| -> Result<()> {
        copy(out, file.expect(name, Dtype::F32, shape)?);
        match out.iter().position(|x| !x.is_finite()) {
            Some(at) => {
                let what = format!("'{name}' has {} at number {at}; numbers are finite", out[at]);
                Err(thrifty_base::Error::format(path, "data", 0, what).into())
            }
            None => Ok(()),
        }
    };
    fill("input.weight", &shapes.input, &mut network.input.weights)?;
    fill("input.bias", &shapes.input_bias, &mut network.input.bias)?;
    fill("output.bias", &shapes.output_bias, &mut network.output_bias)?;
    match &mut network.output {
        Store::F32(values) => fill("output.weight", &shapes.output, values)?,
        Store::Bf16(values) => copy(&mut values[..], file.expect("output.weight", Dtype::Bf16, &shapes.output)?),
    }
    let mut trainer = Trainer::new(network, sampling, loss, adam, batch, seed)?;
    if let Some(position) = saved.position {
        let Shape { features, hidden, labels } = shape;
        let width = trainer.network.input.width;
        let Input { moments, bias_moments, .. } = &mut trainer.network.input;
        fill("input.moments", &[features, 2, width], moments)?;
        fill("input.bias_moments", &[2, width], bias_moments)?;
        let (moments, bias_moments, master) = trainer.restore(position)?;
        fill("output.moments", &[labels, 2, hidden], moments)?;
        fill("output.bias_moments", &[labels, 2], bias_moments)?;
        if let Some(master) = master {
            fill("output.master", &shapes.output, master)?;
        }
    }
    Ok((trainer, saved))
}

/// Bytes to numbers.
fn copy<T: bytemuck::Pod>(out: &mut [T], bytes: &[u8]) {
    bytemuck::cast_slice_mut(out).copy_from_slice(bytes);
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structures become JSON")
}
