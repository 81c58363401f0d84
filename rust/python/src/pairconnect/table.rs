//! `PairTable`.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_pairconnect::spec::{PairSpec, Pool};
use thrifty_pairconnect::table::PairTable as Table;

use super::ids::Ids;
use super::training::{Arrays, Found, soon_or_long, to_python};
use crate::array::{vector, vector_mut};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// Lookups of no more pairs than this are done where they are asked for: a thread of their own would cost more.
const SHORT: usize = 1 << 14;

/// A pair table; use `thrifty.pairconnect.PairTable`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct PairTable {
    inner: Table,
}

impl PairTable {
    pub(super) fn core(&self) -> &Table {
        &self.inner
    }

    pub(super) fn core_mut(&mut self) -> &mut Table {
        &mut self.inner
    }
}

#[pymethods]
impl PairTable {
    /// A table of zeros; `spec` is JSON.
    #[new]
    #[pyo3(signature = (spec, max_bytes))]
    fn new(py: Python<'_>, spec: &str, max_bytes: Option<usize>) -> PyResult<Self> {
        let spec: PairSpec = serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))?;
        Ok(Self { inner: Table::zeros(spec, max_bytes).map_err(|e| e.into_py_err(py))? })
    }

    /// Opens a file, mapped.
    #[staticmethod]
    #[pyo3(signature = (path, verify, progress))]
    fn open(py: Python<'_>, path: PathBuf, verify: bool, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self { inner: long_call(py, progress, |p| Table::open(&path, verify, p))? })
    }

    /// Writes a file.
    #[pyo3(signature = (path, progress))]
    fn save(&self, py: Python<'_>, path: PathBuf, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        long_call(py, progress, |p| self.inner.save(&path, p))
    }

    /// The spec, as JSON.
    #[getter]
    fn spec(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.spec()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// Bytes of the rows.
    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.bytes()
    }

    /// Writes what sequences of `tokens` ids look up to `out`, float32.
    #[pyo3(signature = (ids, tokens, weights, threads, out))]
    fn lookup(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        tokens: usize,
        weights: Option<&Bound<'_, PyAny>>,
        threads: usize,
        out: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let ids = Ids::new(ids)?;
        let ids = ids.as_slice()?;
        let weights = weights.map(|w| vector::<f32>(w, "weights", "float32")).transpose()?;
        let weights = weights.as_ref().map(|w| w.as_slice()).transpose()?;
        let mut out = vector_mut::<f32>(out, "out", "float32")?;
        let out = out.as_slice_mut()?;
        let each = if self.inner.spec().window == 0 { tokens } else { self.inner.spec().window };
        if ids.len().saturating_mul(each) <= SHORT {
            let progress = thrifty_base::progress::Progress::new();
            return self.inner.lookup(ids, tokens, weights, 1, &progress, out).map_err(|e| e.into_py_err(py));
        }
        long_call(py, None, |p| self.inner.lookup(ids, tokens, weights, threads, p, out))
    }

    /// Gradients of the rows that sequences of `tokens` ids looked up: rows, values, logits, and those of the weights.
    fn backward<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        tokens: usize,
        weights: Option<&Bound<'py, PyAny>>,
        grad: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Found<'py>> {
        let arrays = Arrays::new(ids, weights, grad)?;
        let batch = arrays.batch(tokens)?;
        let found = soon_or_long(py, &batch, self.inner.spec(), |p| self.inner.backward(batch, threads, p))?;
        Ok(to_python(py, found))
    }

    /// Rows of the last of `ids`, counted over all heads: head by head, nearest pairs first.
    fn rows<'py>(&self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray1<usize>>> {
        let ids = Ids::new(ids)?;
        Ok(self.inner.rows(ids.as_slice()?).map_err(|e| e.into_py_err(py))?.into_pyarray(py))
    }

    /// Sets rows from `first` on; returns the largest and the relative error of rounding.
    #[pyo3(signature = (first, values, logits))]
    fn set_rows(
        &mut self,
        py: Python<'_>,
        first: usize,
        values: &Bound<'_, PyAny>,
        logits: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(f32, f64)> {
        let values = vector::<f32>(values, "values", "float32")?;
        let logits = logits.map(|l| vector::<f32>(l, "logits", "float32")).transpose()?;
        let logits = logits.as_ref().map(|l| l.as_slice()).transpose()?;
        self.inner.set(first, values.as_slice()?, logits).map_err(|e| e.into_py_err(py))
    }

    /// Rows from `first` on: values, and logits where rows have some.
    #[allow(clippy::type_complexity)]
    fn get_rows<'py>(
        &self,
        py: Python<'py>,
        first: usize,
        count: usize,
    ) -> PyResult<(Bound<'py, PyArray1<f32>>, Option<Bound<'py, PyArray1<f32>>>)> {
        let spec = self.inner.spec();
        // Compared before memory is taken.
        let total = spec.rows * spec.heads;
        if first > total || count > total - first {
            let what = format!("rows: {first}..{} of {total}", first.saturating_add(count));
            return Err(PyValueError::new_err(what));
        }
        let mut values = vec![0.0; count * spec.head_dim];
        let mut logits = (spec.pool == Pool::Softmax).then(|| vec![0.0; count]);
        self.inner.get(first, &mut values, logits.as_deref_mut()).map_err(|e| e.into_py_err(py))?;
        Ok((values.into_pyarray(py), logits.map(|l| l.into_pyarray(py))))
    }
}
