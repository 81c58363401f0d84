//! One rank's part of a network that many train together.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_base::pool::pool;
use thrifty_slide::head::Scored;
use thrifty_slide::network::{Network, Precision, Shape};
use thrifty_slide::shard::{Layout, Settings, Shard, assemble};
use thrifty_slide::train::{Trainer, checksum, order};
use thrifty_slide::wire::Wire;

use super::config::{Arrays, Config, adam, loss};
use super::head::stats;
use super::weights::{Floats, Ids, Lists, wanted};
use crate::array::vector;
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

type Bytes<'py> = Bound<'py, PyArray1<u8>>;
type Inputs<'py> = [Bound<'py, PyAny>; 3];
type Targets<'py> = [Bound<'py, PyAny>; 2];

/// Messages of all ranks, one after the other.
#[derive(FromPyObject)]
struct Messages<'py>(Bound<'py, PyAny>, Vec<usize>);

impl<'py> Messages<'py> {
    fn array(&self) -> PyResult<PyReadonlyArray1<'py, u8>> {
        vector(&self.0, "messages", "uint8")
    }

    fn split<'a>(&self, bytes: &'a [u8]) -> PyResult<Vec<&'a [u8]>> {
        let mut rest = bytes;
        self.1
            .iter()
            .map(|&size| {
                let (message, others) = rest.split_at_checked(size).ok_or_else(|| {
                    PyValueError::new_err(format!("messages: {} bytes are fewer than their sizes say", bytes.len()))
                })?;
                rest = others;
                Ok(message)
            })
            .collect()
    }
}

/// A rank's part of a network, and the calls of a step.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct SlideShard {
    shard: Mutex<Shard>,
    threads: usize,
}

impl SlideShard {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works in a pool of its threads, without the interpreter.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Shard) -> thrifty_slide::Result<T> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| pool(self.threads)?.install(|| work(&mut self.lock())));
        done.map_err(|e| e.into_py_err(py))
    }
}

#[pymethods]
impl SlideShard {
    /// `shape`: (features, hidden, labels); `layout`: (rank, bounds of units, bounds of neurons). `head` is how this rank chooses;
    /// `agreed` says that it is how the whole does.
    #[new]
    #[pyo3(signature = (shape, layout, head, agreed, loss, precision, adam, rate, seed, wire, threads))]
    fn new(
        py: Python<'_>,
        shape: (usize, usize, usize),
        layout: (usize, Vec<usize>, Vec<usize>),
        head: Config,
        agreed: bool,
        loss: &str,
        precision: &str,
        adam: &str,
        rate: f32,
        seed: u64,
        wire: &str,
        threads: usize,
    ) -> PyResult<Self> {
        let (features, hidden, labels) = shape;
        let shape = Shape { features, hidden, labels };
        let (rank, units, neurons) = layout;
        let layout = Layout { rank, units, neurons };
        layout.check(shape).map_err(|e| e.into_py_err(py))?;
        let fits = if agreed { labels } else { layout.slice().rows };
        let settings = Settings {
            precision: Precision::named(precision).map_err(|e| e.into_py_err(py))?,
            sampling: head.sampling(py, fits)?,
            loss: self::loss(loss)?,
            adam: self::adam(adam, rate)?,
            seed,
            wire: self::wire(wire)?,
        };
        settings.sampling.check().and_then(|()| settings.adam.check()).map_err(|e| e.into_py_err(py))?;
        let shard = py.detach(|| Shard::new(shape, layout, settings)).map_err(|e| e.into_py_err(py))?;
        Ok(Self { shard: Mutex::new(shard), threads })
    }

    /// Checksum of data that such a network can be trained on.
    fn checksum(&self, py: Python<'_>, inputs: Inputs<'_>, targets: Targets<'_>) -> PyResult<u64> {
        let (inputs, targets) = (Arrays::new("inputs", &inputs)?, Arrays::new("targets", &targets)?);
        let (inputs, targets) = (inputs.sparse()?, targets.sparse()?);
        let shape = self.lock().shape();
        py.detach(|| checksum(shape, inputs, targets)).map_err(|e| e.into_py_err(py))
    }

    /// The rows with labels in the order of an epoch.
    fn order<'py>(&self, py: Python<'py>, targets: Targets<'_>, epoch: u64) -> PyResult<Ids<'py>> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        let seed = self.lock().settings().seed;
        Ok(py.detach(|| order(targets, seed, epoch)).into_pyarray(py))
    }

    /// Hidden values of this rank's units for some rows.
    fn begin<'py>(&self, py: Python<'py>, inputs: Inputs<'_>, rows: &Bound<'_, PyAny>) -> PyResult<Bytes<'py>> {
        let inputs = Arrays::new("inputs", &inputs)?;
        let (inputs, rows) = (inputs.sparse()?, vector::<u32>(rows, "rows", "uint32")?);
        let rows = rows.as_slice()?;
        if let Some(row) = rows.iter().find(|&&row| row as usize >= inputs.rows()) {
            return Err(PyValueError::new_err(format!("rows: {row} is not below {}", inputs.rows())));
        }
        Ok(self.work(py, |shard| Ok(shard.begin(inputs, rows)))?.into_pyarray(py))
    }

    /// Takes those of all ranks.
    fn hidden(&self, py: Python<'_>, messages: Messages<'_>) -> PyResult<()> {
        let array = messages.array()?;
        let messages = messages.split(array.as_slice()?)?;
        self.work(py, |shard| shard.hidden(&messages))
    }

    /// Chooses this rank's neurons by what its own tables return.
    fn choose(&self, py: Python<'_>, targets: Targets<'_>) -> PyResult<()> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        self.work(py, |shard| shard.choose(targets))
    }

    /// Sizes of this rank's buckets that rows fall into, for the sum over ranks.
    fn bucket_sizes<'py>(&self, py: Python<'py>, targets: Targets<'_>) -> PyResult<Ids<'py>> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        Ok(self.work(py, |shard| shard.bucket_sizes(targets))?.into_pyarray(py))
    }

    /// What rows ask of this rank, given the sums.
    fn ask_agreed<'py>(&self, py: Python<'py>, targets: Targets<'_>, sizes: &Bound<'_, PyAny>) -> PyResult<Lists<'py>> {
        let targets = Arrays::new("targets", &targets)?;
        let (targets, sizes) = (targets.sparse()?, vector::<u32>(sizes, "sizes", "uint32")?);
        let sizes = sizes.as_slice()?;
        let found = self.work(py, |shard| shard.ask_agreed(targets, sizes))?;
        let ends: Vec<u32> = found.ends.iter().map(|&end| end as u32).collect();
        Ok((ends.into_pyarray(py), found.ids.into_pyarray(py), found.counts.into_pyarray(py)))
    }

    /// Scores of the neurons here that rows ask for: (ends, neurons, scores).
    fn score_agreed<'py>(
        &self,
        py: Python<'py>,
        targets: Targets<'_>,
        asked: (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>),
    ) -> PyResult<(Ids<'py>, Ids<'py>, Floats<'py>)> {
        let targets = Arrays::new("targets", &targets)?;
        let (targets, wanted) = (targets.sparse()?, wanted(&asked)?);
        let found = self.work(py, |shard| shard.score_agreed(targets, &wanted))?;
        let ends: Vec<u32> = found.ends.iter().map(|&end| end as u32).collect();
        Ok((ends.into_pyarray(py), found.ids.into_pyarray(py), found.scores.into_pyarray(py)))
    }

    /// For each row the neurons of all ranks with the best scores, as `choose_agreed` takes them.
    #[staticmethod]
    fn best<'py>(
        py: Python<'py>,
        ranks: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)>,
        each: usize,
    ) -> PyResult<Lists<'py>> {
        let scored = ranks.iter().map(|(ends, ids, scores)| {
            let ends = vector::<u32>(ends, "ends", "uint32")?;
            let scored = Scored {
                ends: ends.as_slice()?.iter().map(|&end| end as usize).collect(),
                ids: vector::<u32>(ids, "neurons", "uint32")?.as_slice()?.to_vec(),
                scores: vector::<f32>(scores, "scores", "float32")?.as_slice()?.to_vec(),
            };
            let whole = scored.ends.last().copied().unwrap_or(0) == scored.ids.len() && scored.ends.is_sorted();
            if !whole || scored.scores.len() != scored.ids.len() {
                return Err(PyValueError::new_err("ranks: ends, neurons and scores do not belong together"));
            }
            Ok(scored)
        });
        let scored = scored.collect::<PyResult<Vec<_>>>()?;
        if scored.iter().any(|rank| rank.ends.len() != scored[0].ends.len()) {
            return Err(PyValueError::new_err("ranks: not the same number of rows"));
        }
        let merged = Scored::merged(&scored, each);
        let ends: Vec<u32> = merged.ends.iter().map(|&end| end as u32).collect();
        Ok((ends.into_pyarray(py), merged.ids.into_pyarray(py), merged.counts.into_pyarray(py)))
    }

    /// Chooses neurons by what rows ask of all ranks.
    fn choose_agreed(
        &self,
        py: Python<'_>,
        targets: Targets<'_>,
        asked: (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>),
    ) -> PyResult<()> {
        let targets = Arrays::new("targets", &targets)?;
        let (targets, wanted) = (targets.sparse()?, wanted(&asked)?);
        self.work(py, |shard| shard.choose_agreed(targets, wanted))
    }

    /// Two numbers a row: maxima of this rank's scores, then sums of exponentials.
    fn forward<'py>(&self, py: Python<'py>, targets: Targets<'_>) -> PyResult<Floats<'py>> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        Ok(self.work(py, |shard| shard.forward(targets))?.into_pyarray(py))
    }

    /// Takes those of all ranks; this rank's part of the gradients of hidden values, one message after the other, and the sizes.
    fn gradient<'py>(
        &self,
        py: Python<'py>,
        targets: Targets<'_>,
        sums: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<(Bytes<'py>, Vec<usize>, usize)> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        let arrays: Vec<PyReadonlyArray1<'_, f32>> =
            sums.iter().map(|s| vector(s, "sums", "float32")).collect::<PyResult<_>>()?;
        let sums: Vec<&[f32]> = arrays.iter().map(|a| Ok(a.as_slice()?)).collect::<PyResult<_>>()?;
        let (messages, comes) = self.work(py, |shard| Ok((shard.gradient(targets, &sums)?, shard.expected()?)))?;
        let sizes = messages.iter().map(Vec::len).collect();
        Ok((messages.concat().into_pyarray(py), sizes, comes))
    }

    /// Gradients of this rank's rows, while messages travel.
    fn prepare(&self, py: Python<'_>, targets: Targets<'_>) -> PyResult<()> {
        let targets = Arrays::new("targets", &targets)?;
        let targets = targets.sparse()?;
        self.work(py, |shard| shard.prepare(targets))
    }

    /// Takes the gradients of all ranks and changes the weights. Returns of this step: what all ranks know of the loss, scores of
    /// labels here, active neurons, returned ones, labels found, labels.
    fn finish(
        &self,
        py: Python<'_>,
        inputs: Inputs<'_>,
        messages: Messages<'_>,
    ) -> PyResult<(f64, f64, u64, u64, u64, u64)> {
        let inputs = Arrays::new("inputs", &inputs)?;
        let (inputs, array) = (inputs.sparse()?, messages.array()?);
        let messages = messages.split(array.as_slice()?)?;
        let done = self.work(py, |shard| shard.finish(inputs, &messages))?;
        let asked = done.asked;
        Ok((done.common, done.of_labels, done.active, asked.returned, asked.found, asked.labels))
    }

    /// Hashes rows that wait again.
    fn rehash(&self, py: Python<'_>) -> PyResult<()> {
        self.work(py, |shard| shard.rehash(false))
    }

    /// Refuses inputs that rows can't be taken from.
    fn check(&self, py: Python<'_>, inputs: Inputs<'_>) -> PyResult<()> {
        let inputs = Arrays::new("inputs", &inputs)?;
        let (inputs, features) = (inputs.sparse()?, self.lock().shape().features);
        py.detach(|| inputs.check_valued("inputs", features)).map_err(|e| e.into_py_err(py))
    }

    /// Hashes a table, bits of their codes, and what tables returned since they were last tuned, to how many rows.
    fn tuned(&self) -> (usize, usize, u64, u64) {
        let shard = self.lock();
        let (returned, rows) = shard.returned();
        (shard.head().sampling().k, shard.head().sampling().range, returned, rows)
    }

    /// Takes what another had come to.
    fn set_tuned(&self, py: Python<'_>, tuned: (usize, usize, u64, u64)) -> PyResult<()> {
        let (k, range, returned, rows) = tuned;
        self.lock().set_tuned(k, range, (returned, rows)).map_err(|e| e.into_py_err(py))
    }

    /// Another K where a row is returned so many neurons on average, of so many.
    fn retune(&self, py: Python<'_>, mean: f64, neurons: usize) -> PyResult<()> {
        self.work(py, |shard| shard.retune(mean, neurons))
    }

    /// Another learning rate.
    fn set_rate(&self, py: Python<'_>, rate: f32) -> PyResult<()> {
        self.lock().set_rate(rate).map_err(|e| e.into_py_err(py))
    }

    /// Chooses neurons in another way from now on.
    fn set_head(&self, py: Python<'_>, head: Config, agreed: bool) -> PyResult<()> {
        let mut shard = self.lock();
        let neurons = if agreed { shard.shape().labels } else { shard.layout().slice().rows };
        let sampling = head.sampling(py, neurons)?;
        shard.set_sampling(sampling).map_err(|e| e.into_py_err(py))
    }

    /// Brings all rows up to date.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        self.work(py, |shard| {
            shard.settle();
            Ok(())
        })
    }

    /// Ids and scores of the best neurons here for rows whose hidden values came, and how many were scored.
    #[pyo3(signature = (k, candidates))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        k: usize,
        candidates: Option<usize>,
    ) -> PyResult<(Ids<'py>, Floats<'py>, u64)> {
        let best = self.work(py, |shard| shard.predict(k, candidates))?;
        Ok((best.ids.into_pyarray(py), best.scores.into_pyarray(py), best.scored))
    }

    /// Writes this rank's part.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        long_call(py, None, |p| pool(self.threads)?.install(|| self.lock().write(&path, p)))
    }

    /// Takes this rank's part from the files of any number of ranks.
    fn read(&self, py: Python<'_>, files: Vec<PathBuf>) -> PyResult<()> {
        long_call(py, None, |p| self.lock().read(&files, p))
    }

    /// Writes a model, as `SlideTrainer` does, from the files of all ranks.
    #[pyo3(signature = (files, head, path, note, batch))]
    fn assemble(
        &self,
        py: Python<'_>,
        files: Vec<PathBuf>,
        head: Config,
        path: PathBuf,
        note: &str,
        batch: usize,
    ) -> PyResult<()> {
        let (shape, settings) = {
            let shard = self.lock();
            (shard.shape(), *shard.settings())
        };
        let sampling = head.sampling(py, shape.labels)?;
        long_call(py, None, |p| {
            let Settings { precision, loss, adam, seed, .. } = settings;
            let network = Network::new(shape, precision, adam, seed)?;
            let mut trainer = Trainer::new(network, sampling, loss, adam, batch, seed)?;
            assemble(&mut trainer, &files, p)?;
            trainer.save(&path, note, self.threads, p)
        })
    }

    /// Compares this rank's tables, bucket by bucket, with new ones; see `SlideTrainer.check_tables`.
    fn check_tables(&self, py: Python<'_>, drain: bool) -> PyResult<(usize, usize)> {
        self.work(py, |shard| {
            if drain {
                shard.settle();
                shard.rehash(true)?;
            }
            shard.head().check_tables(shard.weights().rows)
        })
    }

    /// Copies of this rank's weights, in f32: features by its units, its neurons by hidden units, and biases.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.settle(py)?;
        let shard = self.lock();
        let input = shard.input();
        let (units, width, hidden) = (input.units.here, input.width, shard.shape().hidden);
        let out = PyDict::new(py);
        let kept: Vec<f32> = input.weights.chunks_exact(width).flat_map(|row| &row[..units]).copied().collect();
        out.set_item("input", kept.into_pyarray(py).reshape([input.features, units])?)?;
        out.set_item("input_bias", input.bias[..units].to_vec().into_pyarray(py))?;
        let weights = shard.weights();
        let rows = weights.bias.len();
        let mut kept = vec![0.0f32; rows * hidden];
        let each = kept.chunks_exact_mut(hidden).enumerate();
        each.for_each(|(row, out)| weights.rows.copy(shard.head().path(), row, out));
        out.set_item("output", kept.into_pyarray(py).reshape([rows, hidden])?)?;
        out.set_item("output_bias", weights.bias.to_vec().into_pyarray(py))?;
        Ok(out)
    }

    /// Figures of the tables.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats(py, self.lock().head())
    }
}

fn wire(name: &str) -> PyResult<Wire> {
    match name {
        "f32" => Ok(Wire::F32),
        "bf16" => Ok(Wire::Bf16),
        "i8" => Ok(Wire::I8),
        other => Err(PyValueError::new_err(format!("messages: '{other}' is none of 'f32', 'bf16', 'i8'"))),
    }
}
