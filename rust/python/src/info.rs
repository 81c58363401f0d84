//! What the machine offers.

use pyo3::prelude::*;

use crate::error::IntoPyErr;

/// Name of the SIMD path in use: scalar, avx2 or avx512.
#[pyfunction]
pub(crate) fn simd_path(py: Python<'_>) -> PyResult<&'static str> {
    thrifty_base::simd::path().map(|p| p.name()).map_err(|e| e.into_py_err(py))
}

/// Number of threads that work uses when nothing is said.
#[pyfunction]
pub(crate) fn threads() -> usize {
    thrifty_base::pool::default_threads()
}
