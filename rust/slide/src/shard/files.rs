//! Shards as files, and networks of any number of ranks from them.
//!
//! A file has what one rank had, with the ranges of units and neurons in its metadata. Whoever needs a range takes it from the
//! files that have a part of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thrifty_base::progress::Progress;
use thrifty_base::tensors::{Dtype, Tensor, Tensors, write};
use thrifty_base::{hash, philox};

use crate::input::Units;
use crate::matrix::Store;
use crate::network::Network;
use crate::shard::Shard;
use crate::train::Trainer;
use crate::{Error, Result};

/// What such files say they are.
const FORMAT: &str = "thrifty.slide.shard";
/// Their version.
const VERSION: u32 = 1;

/// What a file has a part of: (first, here, all).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ranges {
    features: usize,
    units: (usize, usize, usize),
    neurons: (usize, usize, usize),
}

impl Shard {
    /// Writes weights and moments, and the step that they belong to; in the pool of the caller.
    pub fn write(&mut self, path: &Path, progress: &Progress) -> Result<()> {
        self.settle();
        self.rehash(true)?;
        let (slice, length) = (self.head.slice(), self.shape().hidden);
        let Units { first, here, all } = self.input.units;
        let ranges = Ranges {
            features: self.input.features,
            units: (first, here, all),
            neurons: (slice.first as usize, slice.rows, slice.neurons),
        };
        let mut metadata = BTreeMap::new();
        let mut tell = |key: &str, value: String| metadata.insert(key.to_owned(), value);
        tell("format", FORMAT.into());
        tell("version", VERSION.to_string());
        tell("hash_version", hash::VERSION.to_string());
        tell("philox_version", philox::VERSION.to_string());
        tell("ranges", serde_json::to_string(&ranges).expect("plain structures become JSON"));
        tell("steps", self.head.steps().to_string());
        let width = self.input.width;
        let memory = self.head.memory();
        let floats =
            |name, shape, values| Tensor { name, dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values) };
        let (dtype, output): (Dtype, &[u8]) = match &self.output {
            Store::F32(values) => (Dtype::F32, bytemuck::cast_slice(values)),
            Store::Bf16(values) => (Dtype::Bf16, bytemuck::cast_slice(values)),
        };
        let features = self.input.features;
        let (rows, moments, wide) = ([features, width], [features, 2, width], [slice.rows, length]);
        let (bias, bias_moments) = ([slice.rows], [slice.rows, 2]);
        let (wide_moments, unit, unit_moments) = ([slice.rows, 2, length], [width], [2, width]);
        let mut tensors = vec![
            floats("input.weight", &rows, &self.input.weights),
            floats("input.bias", &unit, &self.input.bias),
            Tensor { name: "output.weight", dtype, shape: &wide, bytes: output },
            floats("output.bias", &bias, &self.output_bias),
            floats("input.moments", &moments, &self.input.moments),
            floats("input.bias_moments", &unit_moments, &self.input.bias_moments),
            floats("output.moments", &wide_moments, memory.moments),
            floats("output.bias_moments", &bias_moments, memory.bias_moments),
        ];
        if let Some(master) = memory.master {
            tensors.push(floats("output.master", &wide, master));
        }
        Ok(write(path, &metadata, &tensors, progress)?)
    }

    /// Takes this rank's ranges from the files of any number of ranks.
    pub fn read(&mut self, files: &[PathBuf], progress: &Progress) -> Result<()> {
        let units = self.input.units;
        let slice = self.head.slice();
        let neurons = slice.first as usize..slice.first as usize + slice.rows;
        let length = self.shape().hidden;
        let mut parts = Parts::new(files, units, neurons, length, self.input.features)?;
        let steps = parts.steps;
        parts.verify(progress)?;
        parts.input(&mut self.input.weights, "input.weight", 1)?;
        parts.input(&mut self.input.bias, "input.bias", 0)?;
        parts.input(&mut self.input.moments, "input.moments", 2)?;
        parts.input(&mut self.input.bias_moments, "input.bias_moments", 3)?;
        match &mut self.output {
            Store::F32(values) => parts.output(&mut values[..], "output.weight", Dtype::F32, length, &[length])?,
            Store::Bf16(values) => parts.output(&mut values[..], "output.weight", Dtype::Bf16, length, &[length])?,
        }
        parts.output(&mut self.output_bias[..], "output.bias", Dtype::F32, 1, &[])?;
        let (moments, bias_moments, master) = self.head.restore(steps);
        parts.output(&mut moments[..], "output.moments", Dtype::F32, 2 * length, &[2, length])?;
        parts.output(&mut bias_moments[..], "output.bias_moments", Dtype::F32, 2, &[2])?;
        if let Some(master) = master {
            parts.output(&mut master[..], "output.master", Dtype::F32, length, &[length])?;
        }
        Ok(())
    }
}

/// Fills the weights of a network from the files of all ranks.
pub fn assemble(trainer: &mut Trainer, files: &[PathBuf], progress: &Progress) -> Result<()> {
    let network: &mut Network = &mut trainer.network;
    let (length, labels) = (network.shape.hidden, network.shape.labels);
    let mut parts = Parts::new(files, network.input.units, 0..labels, length, network.shape.features)?;
    parts.verify(progress)?;
    parts.input(&mut network.input.weights, "input.weight", 1)?;
    parts.input(&mut network.input.bias, "input.bias", 0)?;
    match &mut network.output {
        Store::F32(values) => parts.output(&mut values[..], "output.weight", Dtype::F32, length, &[length])?,
        Store::Bf16(values) => parts.output(&mut values[..], "output.weight", Dtype::Bf16, length, &[length])?,
    }
    parts.output(&mut network.output_bias[..], "output.bias", Dtype::F32, 1, &[])
}

/// Files that together have what is needed.
struct Parts {
    files: Vec<(Tensors, Ranges)>,
    steps: u64,
    units: Units,
    neurons: Range<usize>,
}

impl Parts {
    fn new(paths: &[PathBuf], units: Units, neurons: Range<usize>, length: usize, features: usize) -> Result<Self> {
        let mut files = Vec::new();
        let mut steps = None;
        for path in paths {
            let file = Tensors::open(path)?;
            file.expect_format(FORMAT, VERSION)?;
            let bad = |what: String| Error::from(thrifty_base::Error::format(path, "header", 8, what));
            let of =
                |key: &str| file.metadata().get(key).ok_or_else(|| bad(format!("there is no '{key}' in the metadata")));
            for (key, here) in [("hash_version", hash::VERSION), ("philox_version", philox::VERSION)] {
                if *of(key)? != here.to_string() {
                    return Err(bad(format!("{key} is '{}', this program has {here}", of(key)?)));
                }
            }
            let ranges: Ranges = serde_json::from_str(of("ranges")?).map_err(|e| bad(format!("ranges: {e}")))?;
            if (ranges.features, ranges.units.2) != (features, length) {
                let what = format!(
                    "{} features and {} units, {features} and {length} are needed",
                    ranges.features, ranges.units.2
                );
                return Err(bad(what));
            }
            let found: u64 = of("steps")?.parse().map_err(|_| bad("steps are no number".into()))?;
            if *steps.get_or_insert(found) != found {
                return Err(bad(format!("{found} steps, other files have {}", steps.unwrap_or(0))));
            }
            files.push((file, ranges));
        }
        let parts = Self { files, steps: steps.unwrap_or(0), units, neurons };
        let here = parts.units.first..parts.units.first + parts.units.here;
        parts.cover("units", here, |ranges| ranges.units)?;
        parts.cover("neurons", parts.neurons.clone(), |ranges| ranges.neurons)?;
        Ok(parts)
    }

    /// Refuses files that do not have all of a range, or have some of it twice.
    fn cover(&self, what: &str, needed: Range<usize>, of: impl Fn(&Ranges) -> (usize, usize, usize)) -> Result<()> {
        let mut spans: Vec<(usize, usize)> = self.files.iter().map(|(_, r)| (of(r).0, of(r).0 + of(r).1)).collect();
        spans.sort_unstable();
        let mut at = 0;
        for (begin, end) in spans {
            if begin != at {
                break;
            }
            at = end;
        }
        if at >= needed.end && !self.files.is_empty() {
            return Ok(());
        }
        let path = self.files.first().map_or(Path::new("checkpoint"), |(file, _)| file.path());
        let text = format!("the files have the {what} up to {at}, those up to {} are needed", needed.end);
        Err(thrifty_base::Error::format(path, "header", 8, text).into())
    }

    fn verify(&self, progress: &Progress) -> Result<()> {
        Ok(self.files.iter().try_for_each(|(file, _)| file.verify_all(progress))?)
    }

    /// Fills `out` with the columns of this rank's units: of a matrix with a row for each feature (`kind` 1), of their moments
    /// (2), of a vector (0) or its moments (3).
    fn input(&mut self, out: &mut [f32], name: &str, kind: usize) -> Result<()> {
        let width = thrifty_base::math::padded(self.units.here);
        for (file, Ranges { features, units: (first, here, _), .. }) in &self.files {
            let wide = thrifty_base::math::padded(*here);
            let shape: &[usize] = match kind {
                0 => &[wide],
                1 => &[*features, wide],
                2 => &[*features, 2, wide],
                _ => &[2, wide],
            };
            let bytes = file.expect(name, Dtype::F32, shape)?;
            let begin = self.units.first.max(*first);
            let end = (self.units.first + self.units.here).min(first + here);
            if begin >= end {
                continue;
            }
            for (out, row) in out.chunks_exact_mut(width).zip(bytes.chunks_exact(4 * wide)) {
                let from = &row[4 * (begin - first)..4 * (end - first)];
                bytemuck::cast_slice_mut::<f32, u8>(&mut out[begin - self.units.first..end - self.units.first])
                    .copy_from_slice(from);
            }
        }
        finite(&self.files[0].0, name, out)
    }

    /// Fills `out` with the rows of this rank's neurons, `each` numbers a row, which a file has in `shape`.
    fn output<T: bytemuck::Pod>(
        &mut self,
        out: &mut [T],
        name: &str,
        dtype: Dtype,
        each: usize,
        shape: &[usize],
    ) -> Result<()> {
        for (file, Ranges { neurons: (first, here, _), .. }) in &self.files {
            let whole: Vec<usize> = std::iter::once(*here).chain(shape.iter().copied()).collect();
            let bytes = file.expect(name, dtype, &whole)?;
            let begin = self.neurons.start.max(*first);
            let end = self.neurons.end.min(first + here);
            if begin >= end {
                continue;
            }
            let size = each * size_of::<T>();
            let to = &mut out[(begin - self.neurons.start) * each..(end - self.neurons.start) * each];
            bytemuck::cast_slice_mut(to).copy_from_slice(&bytes[(begin - first) * size..(end - first) * size]);
        }
        match bytemuck::try_cast_slice::<T, f32>(out) {
            Ok(numbers) if dtype == Dtype::F32 => finite(&self.files[0].0, name, numbers),
            _ => Ok(()),
        }
    }
}

fn finite(file: &Tensors, name: &str, numbers: &[f32]) -> Result<()> {
    match numbers.iter().position(|x| !x.is_finite()) {
        Some(at) => {
            let what = format!("'{name}' has {} at number {at} of this rank; numbers are finite", numbers[at]);
            Err(thrifty_base::Error::format(file.path(), "data", 0, what).into())
        }
        None => Ok(()),
    }
}
