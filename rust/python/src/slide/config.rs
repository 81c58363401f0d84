//! Settings of a head as Python has them.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_slide::active::Draw;
use thrifty_slide::adam::Adam;
use thrifty_slide::hash::Family;
use thrifty_slide::sampling::{Method, Sampling};
use thrifty_slide::softmax::Loss;
use thrifty_slide::sparse::Sparse;

use crate::array::vector;
use crate::error::IntoPyErr;

/// `thrifty.slide.LSHConfig`, by its attributes.
#[derive(FromPyObject)]
pub(crate) struct Config {
    family: String,
    k: Option<usize>,
    tables: usize,
    range: Option<usize>,
    bucket: usize,
    active: usize,
    each: usize,
    pool: usize,
    rehash: Option<usize>,
    random: String,
    sets: String,
    correction: String,
}

impl Config {
    /// For a layer of so many neurons.
    pub(crate) fn sampling(&self, py: Python<'_>, neurons: usize) -> PyResult<Sampling> {
        let draw = match self.random.as_str() {
            "length" => Draw::Length,
            "uniform" => Draw::Uniform,
            "log_uniform" => Draw::LogUniform,
            other => {
                let what = format!("random: '{other}' is none of 'length', 'uniform', 'log_uniform'");
                return Err(PyValueError::new_err(what));
            }
        };
        let (method, draw) = match self.family.as_str() {
            "uniform" => (Method::Random, Draw::Uniform),
            "log_uniform" => (Method::Random, Draw::LogUniform),
            "exact" => (Method::Exact, draw),
            name => (Method::Tables(Family::named(name).map_err(|e| e.into_py_err(py))?), draw),
        };
        let correct = match self.correction.as_str() {
            "none" => false,
            "logq" => true,
            other => return Err(PyValueError::new_err(format!("correction: '{other}' is none of 'none', 'logq'"))),
        };
        let (k, range) = match method {
            Method::Tables(family) => {
                let (k, range) = Sampling::fitting(family, neurons);
                let own = self.k.and_then(|k| family.plain_bits(k)).map(|bits| bits.min(range.max(18)));
                (self.k.unwrap_or(k), self.range.or(own).unwrap_or(range))
            }
            _ => (1, 1),
        };
        let rehash = self.rehash.unwrap_or((self.active / 4).max(16));
        let own = match self.sets.as_str() {
            "batch" => false,
            "row" => true,
            other => return Err(PyValueError::new_err(format!("sets: '{other}' is none of 'batch', 'row'"))),
        };
        let tuned = self.k.is_none() && self.range.is_none();
        let Self { tables, bucket, active, each, pool, .. } = *self;
        Ok(Sampling { method, tuned, k, tables, range, bucket, active, each, pool, own, rehash, draw, correct })
    }
}

/// The optimizer by its name.
pub(crate) fn adam(name: &str, rate: f32) -> PyResult<Adam> {
    let dense = match name {
        "sparse" => false,
        "dense" => true,
        other => return Err(PyValueError::new_err(format!("adam: '{other}' is none of 'sparse', 'dense'"))),
    };
    Ok(Adam { rate, dense, ..Adam::default() })
}

/// A loss by its name.
pub(crate) fn loss(name: &str) -> PyResult<Loss> {
    match name {
        "softmax" => Ok(Loss::Softmax),
        "sigmoid" => Ok(Loss::Sigmoid),
        other => Err(PyValueError::new_err(format!("loss: '{other}' is none of 'softmax', 'sigmoid'"))),
    }
}

/// Rows as numpy arrays: where each ends, columns, values.
pub(crate) struct Arrays<'py> {
    ends: PyReadonlyArray1<'py, u64>,
    indices: PyReadonlyArray1<'py, u32>,
    values: Option<PyReadonlyArray1<'py, f32>>,
}

impl<'py> Arrays<'py> {
    pub(crate) fn new(name: &str, parts: &[Bound<'py, PyAny>]) -> PyResult<Self> {
        Ok(Self {
            ends: vector(&parts[0], &format!("{name} ends"), "uint64")?,
            indices: vector(&parts[1], &format!("{name} indices"), "uint32")?,
            values: parts.get(2).map(|v| vector(v, &format!("{name} values"), "float32")).transpose()?,
        })
    }

    pub(crate) fn sparse(&self) -> PyResult<Sparse<'_>> {
        Ok(Sparse {
            ends: self.ends.as_slice()?,
            indices: self.indices.as_slice()?,
            values: self.values.as_ref().map_or(Ok(&[][..]), |v| v.as_slice())?,
        })
    }
}
