//! The classes and functions of slide.

mod hash;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_slide::adam::Adam;
use thrifty_slide::network::{Network, Shape};
use thrifty_slide::sparse::Sparse;
use thrifty_slide::train::{Sampling, Trainer};
use thrifty_slide::xml;

use crate::array::vector;
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

pub(crate) use hash::slide_codes;

/// Rows as numpy arrays: where each ends, columns, values.
struct Arrays<'py> {
    ends: PyReadonlyArray1<'py, u64>,
    indices: PyReadonlyArray1<'py, u32>,
    values: Option<PyReadonlyArray1<'py, f32>>,
}

impl<'py> Arrays<'py> {
    fn new(name: &str, parts: &[Bound<'py, PyAny>]) -> PyResult<Self> {
        Ok(Self {
            ends: vector(&parts[0], &format!("{name} ends"), "uint64")?,
            indices: vector(&parts[1], &format!("{name} indices"), "uint32")?,
            values: parts.get(2).map(|v| vector(v, &format!("{name} values"), "float32")).transpose()?,
        })
    }

    fn sparse(&self) -> PyResult<Sparse<'_>> {
        Ok(Sparse {
            ends: self.ends.as_slice()?,
            indices: self.indices.as_slice()?,
            values: self.values.as_ref().map_or(Ok(&[][..]), |v| v.as_slice())?,
        })
    }
}

/// A network and what trains it.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct SlideTrainer {
    trainer: Mutex<Trainer>,
}

type Best<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>);
type EpochFigures = (f64, u64, f64, f64, f64);

#[pymethods]
impl SlideTrainer {
    /// `sampling`: (K, tables, bucket, active, each, rehash).
    #[new]
    #[pyo3(signature = (features, hidden, labels, sampling, rate, seed))]
    fn new(
        py: Python<'_>,
        features: usize,
        hidden: usize,
        labels: usize,
        sampling: (usize, usize, usize, usize, usize, u64),
        rate: f32,
        seed: u64,
    ) -> PyResult<Self> {
        let (k, tables, bucket, active, each, rehash) = sampling;
        let sampling = Sampling { k, tables, bucket, active, each, rehash };
        let made = py.detach(|| {
            let network = Network::new(Shape { features, hidden, labels }, seed)?;
            Trainer::new(network, sampling, Adam { rate, ..Adam::default() }, seed)
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

    /// Ids and scores of the `k` best labels of each row, one row after the other.
    #[pyo3(signature = (inputs, k, threads, progress))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        inputs: [Bound<'py, PyAny>; 3],
        k: usize,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Best<'py>> {
        let inputs = Arrays::new("inputs", &inputs)?;
        let inputs = inputs.sparse()?;
        let (ids, scores) = long_call(py, progress, |p| {
            let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
            trainer.network.predict(inputs, k, threads, p)
        })?;
        Ok((ids.into_pyarray(py), scores.into_pyarray(py)))
    }

    /// Copies of the weights by name, without the padding of rows.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let trainer = self.trainer.lock().unwrap_or_else(PoisonError::into_inner);
        let network = &trainer.network;
        let Shape { features, hidden, labels } = network.shape;
        let out = PyDict::new(py);
        for (name, learned, rows) in [("input", &network.input, features), ("output", &network.output, labels)] {
            let kept: Vec<f32> =
                learned.weights.chunks_exact(network.width).flat_map(|r| &r[..hidden]).copied().collect();
            out.set_item(name, kept.into_pyarray(py).reshape([rows, hidden])?)?;
        }
        out.set_item("input_bias", network.input_bias.weights[..hidden].to_vec().into_pyarray(py))?;
        out.set_item("output_bias", network.output_bias.weights[..labels].to_vec().into_pyarray(py))?;
        Ok(out)
    }
}

type FileRows<'py> = (
    (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>),
    (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>),
    (usize, usize),
);

/// Reads a file of the Extreme Classification Repository: (features by row, labels by row, (features, labels)).
#[pyfunction]
#[pyo3(signature = (path, threads))]
pub(crate) fn slide_read_xml(py: Python<'_>, path: PathBuf, threads: usize) -> PyResult<FileRows<'_>> {
    let rows = py.detach(|| xml::read(&path, threads)).map_err(|e| e.into_py_err(py))?;
    Ok((
        (rows.ends.into_pyarray(py), rows.features.into_pyarray(py), rows.values.into_pyarray(py)),
        (rows.label_ends.into_pyarray(py), rows.labels.into_pyarray(py)),
        rows.shape,
    ))
}
