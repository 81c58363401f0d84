//! The trainer of a network.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_slide::matrix::Matrix;
use thrifty_slide::network::{Memory, Network, Precision, Shape};
use thrifty_slide::save::{self, Spec};
use thrifty_slide::train::{Checkpoint, Trainer};

use super::config::{Arrays, Config, adam, loss};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// A network and what trains it.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct SlideTrainer {
    trainer: Mutex<Trainer>,
}

type Best<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>, u64);
type EpochFigures = (f64, u64, f64, f64, f64);

#[pymethods]
impl SlideTrainer {
    /// `shape`: (features, hidden, labels); `head` has the attributes of `LSHConfig`.
    #[new]
    #[pyo3(signature = (shape, head, loss, precision, adam, rate, batch, seed))]
    fn new(
        py: Python<'_>,
        shape: (usize, usize, usize),
        head: Config,
        loss: &str,
        precision: &str,
        adam: &str,
        rate: f32,
        batch: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let (features, hidden, labels) = shape;
        let (sampling, loss) = (head.sampling(py, labels)?, self::loss(loss)?);
        let adam = self::adam(adam, rate)?;
        let precision = Precision::named(precision).map_err(|e| e.into_py_err(py))?;
        let made = py.detach(|| {
            let shape = Shape { features, hidden, labels };
            shape.check()?;
            sampling.check()?;
            Memory::of(shape, precision, &sampling, adam).check()?;
            let network = Network::new(shape, precision, adam, seed)?;
            Trainer::new(network, sampling, loss, adam, batch, seed)
        });
        Ok(Self { trainer: Mutex::new(made.map_err(|e| e.into_py_err(py))?) })
    }

    /// A model or a checkpoint from a file, and the note that it was saved with.
    #[staticmethod]
    #[pyo3(signature = (path, progress))]
    fn open(py: Python<'_>, path: PathBuf, progress: Option<&Bound<'_, PyAny>>) -> PyResult<(Self, String)> {
        let (trainer, saved) = long_call(py, progress, |p| save::open(&path, p))?;
        Ok((Self { trainer: Mutex::new(trainer) }, saved.note))
    }

    /// Refuses to go on with `there`, which was read from a checkpoint at `path`, where this one's settings or the data
    /// are not those of its training.
    #[pyo3(signature = (there, path, inputs, targets))]
    fn expect(
        &self,
        py: Python<'_>,
        there: &Self,
        path: PathBuf,
        inputs: [Bound<'_, PyAny>; 3],
        targets: [Bound<'_, PyAny>; 2],
    ) -> PyResult<()> {
        let (inputs, targets) = (Arrays::new("inputs", &inputs)?, Arrays::new("targets", &targets)?);
        let (inputs, targets) = (inputs.sparse()?, targets.sparse()?);
        let here = self.trainer.lock().unwrap_or_else(PoisonError::into_inner).spec();
        let done = py.detach(|| {
            let there = there.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            there.spec().expect(&path, &here)?;
            there.expect(&path, inputs, targets)
        });
        done.map_err(|e| e.into_py_err(py))
    }

    /// Writes the weights, or with `training` all that training needs to go on.
    #[pyo3(signature = (path, note, training, threads, progress))]
    fn save(
        &self,
        py: Python<'_>,
        path: PathBuf,
        note: &str,
        training: bool,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        long_call(py, progress, |p| {
            let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            if training {
                return trainer.checkpoint(Checkpoint { path: &path, every: 1, note }, threads, p);
            }
            trainer.save(&path, note, threads, p)
        })
    }

    /// (features, hidden units, labels), rows a step, learning rate, complete epochs, steps.
    fn spec(&self) -> ((usize, usize, usize), usize, f32, u64, u64) {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        let Spec { shape, batch, .. } = trainer.spec();
        let position = trainer.position();
        (
            (shape.features, shape.hidden, shape.labels),
            batch,
            trainer.head().adam().rate,
            position.epoch,
            position.steps,
        )
    }

    /// Another learning rate from now on.
    fn set_rate(&self, py: Python<'_>, rate: f32) -> PyResult<()> {
        let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        trainer.set_rate(rate).map_err(|e| e.into_py_err(py))
    }

    /// Chooses neurons in another way from now on.
    fn set_head(&self, py: Python<'_>, head: Config) -> PyResult<()> {
        let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        let sampling = head.sampling(py, trainer.network.shape.labels)?;
        trainer.set_sampling(sampling).map_err(|e| e.into_py_err(py))
    }

    /// Bytes that a trainer of such a network takes: (weights, moments and copies, tables).
    #[staticmethod]
    #[pyo3(signature = (shape, head, precision, adam))]
    fn memory(
        py: Python<'_>,
        shape: (usize, usize, usize),
        head: Config,
        precision: &str,
        adam: &str,
    ) -> PyResult<(u64, u64, u64)> {
        let (features, hidden, labels) = shape;
        let precision = Precision::named(precision).map_err(|e| e.into_py_err(py))?;
        let sampling = head.sampling(py, labels)?;
        let memory = Memory::of(Shape { features, hidden, labels }, precision, &sampling, self::adam(adam, 1.0)?);
        Ok((memory.weights, memory.moments, memory.tables))
    }

    /// For tests: compares the tables, bucket by bucket, with new ones of the weights, after hashing the rows that wait if
    /// `drain`. Returns (buckets that differ, buckets); nothing differs when no row waits.
    fn check_tables(&self, py: Python<'_>, drain: bool, threads: usize) -> PyResult<(usize, usize)> {
        let done = py.detach(|| {
            let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            trainer.check_tables(drain, threads)
        });
        done.map_err(|e| e.into_py_err(py))
    }

    /// Trains to the end of the epoch. `checkpoint`: (file, steps between two, note).
    #[pyo3(signature = (inputs, targets, threads, checkpoint, progress))]
    fn epoch(
        &self,
        py: Python<'_>,
        inputs: [Bound<'_, PyAny>; 3],
        targets: [Bound<'_, PyAny>; 2],
        threads: usize,
        checkpoint: Option<(PathBuf, u64, String)>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (inputs, targets) = (Arrays::new("inputs", &inputs)?, Arrays::new("targets", &targets)?);
        let (inputs, targets) = (inputs.sparse()?, targets.sparse()?);
        let checkpoint = checkpoint.as_ref().map(|(path, every, note)| Checkpoint { path, every: *every, note });
        long_call(py, progress, |p| {
            let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            trainer.epoch(inputs, targets, threads, checkpoint, p)
        })?;
        Ok(())
    }

    /// Of the last epoch that [`Self::epoch`] completed, even where it was stopped thereafter: (mean loss, rows, neurons
    /// returned a row, recall of labels, active neurons a batch).
    fn last(&self) -> Option<EpochFigures> {
        let last = self.trainer.lock().unwrap_or_else(PoisonError::into_inner).last();
        last.map(|done| (done.loss, done.rows, done.returned, done.recall, done.active))
    }

    /// Ids and scores of the `k` best labels of each row, one row after the other, and how many neurons were scored:
    /// all, or the `candidates` that most tables return.
    #[pyo3(signature = (inputs, k, candidates, threads, progress))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        inputs: [Bound<'py, PyAny>; 3],
        k: usize,
        candidates: Option<usize>,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Best<'py>> {
        let inputs = Arrays::new("inputs", &inputs)?;
        let inputs = inputs.sparse()?;
        let best = long_call(py, progress, |p| {
            let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            trainer.predict(inputs, k, candidates, threads, p)
        })?;
        Ok((best.ids.into_pyarray(py), best.scores.into_pyarray(py), best.scored))
    }

    /// Copies of the weights by name, in f32, without the padding of rows.
    #[pyo3(signature = (threads))]
    fn weights<'py>(&self, py: Python<'py>, threads: usize) -> PyResult<Bound<'py, PyDict>> {
        let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        trainer.settle(threads).map_err(|e| e.into_py_err(py))?;
        let network = &trainer.network;
        let Shape { features, hidden, labels } = network.shape;
        let out = PyDict::new(py);
        let kept: Vec<f32> =
            network.input.weights.chunks_exact(network.input.width).flat_map(|r| &r[..hidden]).copied().collect();
        out.set_item("input", kept.into_pyarray(py).reshape([features, hidden])?)?;
        let mut kept = vec![0.0f32; labels * hidden];
        let rows: Matrix<'_> = network.head().rows;
        kept.chunks_exact_mut(hidden).enumerate().for_each(|(i, row)| rows.copy(trainer.head().path(), i, row));
        out.set_item("output", kept.into_pyarray(py).reshape([labels, hidden])?)?;
        out.set_item("input_bias", network.input.bias[..hidden].to_vec().into_pyarray(py))?;
        out.set_item("output_bias", network.output_bias[..labels].to_vec().into_pyarray(py))?;
        Ok(out)
    }

    /// Figures of the head's tables.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        super::head::stats(py, trainer.head())
    }
}
