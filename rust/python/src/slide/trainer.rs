//! The trainer of a network.

use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_slide::adam::Adam;
use thrifty_slide::matrix::Matrix;
use thrifty_slide::network::{Network, Precision, Shape};
use thrifty_slide::train::Trainer;

use super::config::{Arrays, Config, loss};
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
    #[pyo3(signature = (shape, head, loss, precision, rate, seed))]
    fn new(
        py: Python<'_>,
        shape: (usize, usize, usize),
        head: Config,
        loss: &str,
        precision: &str,
        rate: f32,
        seed: u64,
    ) -> PyResult<Self> {
        let (features, hidden, labels) = shape;
        let (sampling, loss) = (head.sampling(py, labels)?, self::loss(loss)?);
        let precision = Precision::named(precision).map_err(|e| e.into_py_err(py))?;
        let made = py.detach(|| {
            let network = Network::new(Shape { features, hidden, labels }, precision, seed)?;
            Trainer::new(network, sampling, loss, Adam { rate, ..Adam::default() }, seed)
        });
        Ok(Self { trainer: Mutex::new(made.map_err(|e| e.into_py_err(py))?) })
    }

    /// Trains over all rows: (mean loss, rows, neurons returned a row, recall of labels, active neurons a batch).
    #[pyo3(signature = (inputs, targets, batch, epoch, threads, progress))]
    fn epoch(
        &self,
        py: Python<'_>,
        inputs: [Bound<'_, PyAny>; 3],
        targets: [Bound<'_, PyAny>; 2],
        batch: usize,
        epoch: u64,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<EpochFigures> {
        let (inputs, targets) = (Arrays::new("inputs", &inputs)?, Arrays::new("targets", &targets)?);
        let (inputs, targets) = (inputs.sparse()?, targets.sparse()?);
        let done = long_call(py, progress, |p| {
            let mut trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            trainer.epoch(inputs, targets, batch, epoch, threads, p)
        })?;
        Ok((done.loss, done.rows, done.returned, done.recall, done.active))
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
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        let network = &trainer.network;
        let Shape { features, hidden, labels } = network.shape;
        let out = PyDict::new(py);
        let kept: Vec<f32> = network.input.chunks_exact(network.width).flat_map(|r| &r[..hidden]).copied().collect();
        out.set_item("input", kept.into_pyarray(py).reshape([features, hidden])?)?;
        let mut kept = vec![0.0f32; labels * hidden];
        let rows: Matrix<'_> = network.head().rows;
        kept.chunks_exact_mut(hidden).enumerate().for_each(|(i, row)| rows.copy(trainer.head().path(), i, row));
        out.set_item("output", kept.into_pyarray(py).reshape([labels, hidden])?)?;
        out.set_item("input_bias", network.input_bias[..hidden].to_vec().into_pyarray(py))?;
        out.set_item("output_bias", network.output_bias[..labels].to_vec().into_pyarray(py))?;
        Ok(out)
    }

    /// Figures of the head's tables.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        super::head::stats(py, trainer.head())
    }
}
