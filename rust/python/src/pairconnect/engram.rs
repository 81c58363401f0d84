//! `EngramTable`.

use std::path::PathBuf;
use std::sync::Arc;

use bytemuck::Pod;
use numpy::{Element, IntoPyArray, PyArray1, PyArrayDyn, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_pairconnect::Result;
use thrifty_pairconnect::engram::{EngramSpec, EngramTable as Table};

use super::ids::Sequences;
use super::prefetch::EngramFuture;
use crate::array::{filled, vector};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// Up to so many rows the interpreter is kept: letting it go would cost more.
const KEPT: usize = 1 << 10;
/// Up to so many rows, tens of milliseconds, a lookup is not a long call.
const SHORT: usize = 1 << 19;

/// A table of n-grams; use `thrifty.pairconnect.EngramTable`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct EngramTable {
    inner: Arc<Table>,
}

#[pymethods]
impl EngramTable {
    /// A table of zeros; `spec` is JSON, `remap` the canonical id of each id.
    #[new]
    #[pyo3(signature = (spec, remap, max_bytes))]
    fn new(py: Python<'_>, spec: &str, remap: Option<&Bound<'_, PyAny>>, max_bytes: Option<usize>) -> PyResult<Self> {
        let spec: EngramSpec = serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))?;
        let remap = remap
            .map(|ids| vector::<u32>(ids, "remap", "uint32")?.as_slice().map(<[u32]>::to_vec).map_err(PyErr::from));
        let inner = Table::zeros(spec, remap.transpose()?, max_bytes).map_err(|e| e.into_py_err(py))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens a file: mapped, or a copy in memory.
    #[staticmethod]
    #[pyo3(signature = (path, copy, verify, max_bytes, progress))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        copy: bool,
        verify: bool,
        max_bytes: Option<usize>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let inner = long_call(py, progress, |p| Table::open(&path, copy, verify, max_bytes, p))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes a file.
    #[pyo3(signature = (path, progress))]
    fn save(slf: PyRef<'_, Self>, py: Python<'_>, path: PathBuf, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let table = Arc::clone(&slf.inner);
        drop(slf);
        long_call(py, progress, |p| table.save(&path, p))
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

    /// Rows of each head: order by order.
    #[getter]
    fn sizes<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        self.inner.sizes().into_pyarray(py)
    }

    /// The canonical id of each id, where ids are not canonical.
    #[getter]
    fn remap<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<u32>>> {
        self.inner.remap().map(|ids| PyArray1::from_slice(py, ids))
    }

    /// What sequences look up from position `start` on: float32, or uint16 with `raw`; written to `out` where it is given.
    #[pyo3(signature = (ids, start, raw, threads, out))]
    fn lookup<'py>(
        slf: PyRef<'py, Self>,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        start: usize,
        raw: bool,
        threads: usize,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let table = Arc::clone(&slf.inner);
        // Not borrowed while other threads may run.
        drop(slf);
        let given = Sequences::new(ids)?;
        let shape = given.result(start, table.spec().width())?;
        let Sequences { ids, .. } = &given;
        let (tokens, rows) = (given.tokens(), ids.len() * table.spec().each());
        if raw {
            let run = |p: &Progress, out: &mut [u16]| table.lookup_bf16(ids, tokens, start, threads, p, out);
            written(py, &shape, rows, out, "uint16", run)
        } else {
            let run = |p: &Progress, out: &mut [f32]| table.lookup(ids, tokens, start, threads, p, out);
            written(py, &shape, rows, out, "float32", run)
        }
    }

    /// A lookup that goes on while the caller does.
    #[pyo3(signature = (ids, start, raw, threads))]
    fn prefetch(
        &self,
        py: Python<'_>,
        ids: &Bound<'_, PyAny>,
        start: usize,
        raw: bool,
        threads: usize,
    ) -> PyResult<EngramFuture> {
        let given = Sequences::new(ids)?;
        let shape = given.result(start, self.inner.spec().width())?;
        EngramFuture::begin(py, Arc::clone(&self.inner), given, shape, start, raw, threads)
    }

    /// Rows that the positions from `start` on look up, counted over all heads.
    #[pyo3(signature = (ids, start))]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        start: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<u64>>> {
        let given = Sequences::new(ids)?;
        let shape = given.result(start, self.inner.spec().each())?;
        filled(py, &shape, |rows| {
            self.inner.rows(&given.ids, given.tokens(), start, rows).map_err(|e| e.into_py_err(py))
        })
    }

    /// Sets rows from `first` on; returns the largest and the relative error of rounding.
    fn set_rows(&mut self, py: Python<'_>, first: usize, values: &Bound<'_, PyAny>) -> PyResult<(f32, f64)> {
        let values = vector::<f32>(values, "values", "float32")?;
        let values = values.as_slice()?;
        let Some(table) = Arc::get_mut(&mut self.inner) else {
            return Err(PyValueError::new_err("table: a lookup is still reading it; wait for its result first"));
        };
        table.set(first, values).map_err(|e| e.into_py_err(py))
    }

    /// Rows from `first` on.
    fn get_rows<'py>(&self, py: Python<'py>, first: usize, count: usize) -> PyResult<Bound<'py, PyArray1<f32>>> {
        // Compared before memory is taken.
        let total: usize = self.inner.sizes().iter().sum::<u64>() as usize;
        if first > total || count > total - first {
            let what = format!("rows: {first}..{} of {total}", first.saturating_add(count));
            return Err(PyValueError::new_err(what));
        }
        let mut values = vec![0.0; count * self.inner.spec().head_dim];
        self.inner.get(first, &mut values).map_err(|e| e.into_py_err(py))?;
        Ok(values.into_pyarray(py))
    }
}

/// Runs a lookup of so many rows into `out`, or into a new array.
fn written<'py, T: Element + Pod + Send>(
    py: Python<'py>,
    shape: &[usize],
    rows: usize,
    out: Option<&Bound<'py, PyAny>>,
    dtype: &str,
    run: impl Fn(&Progress, &mut [T]) -> Result<()> + Send + Sync,
) -> PyResult<Bound<'py, PyAny>> {
    let fill = |out: &mut [T]| {
        if rows > SHORT {
            return long_call(py, None, |p| run(p, out));
        }
        let now = |out| run(&Progress::new(), out);
        let done = if rows > KEPT { py.detach(|| now(out)) } else { now(out) };
        done.map_err(|e| e.into_py_err(py))
    };
    let Some(out) = out else {
        return Ok(filled(py, shape, fill)?.into_any());
    };
    let Ok(array) = out.cast::<PyArrayDyn<T>>() else {
        return Err(PyTypeError::new_err(format!("out: an array of {dtype} is needed")));
    };
    if array.shape() != shape || !array.is_c_contiguous() {
        let what = format!("out: a contiguous array of shape {shape:?} is needed, got shape {:?}", array.shape());
        return Err(PyValueError::new_err(what));
    }
    let unwritable = |e| PyValueError::new_err(format!("out: can't be written to: {e}"));
    fill(array.try_readwrite().map_err(unwritable)?.as_slice_mut()?)?;
    Ok(out.clone())
}
