//! Files of rows.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use thrifty_slide::xml;

use super::config::Arrays;
use crate::interrupt::long_call;

type FileRows<'py> = (
    (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>),
    (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u32>>),
    (usize, usize),
);

/// Reads a file of the Extreme Classification Repository: (features by row, labels by row, (features, labels)).
#[pyfunction]
#[pyo3(signature = (path, threads, progress))]
pub(crate) fn slide_read_xml<'py>(
    py: Python<'py>,
    path: PathBuf,
    threads: usize,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<FileRows<'py>> {
    let rows = long_call(py, progress, |p| xml::read(&path, threads, p))?;
    Ok((
        (rows.ends.into_pyarray(py), rows.features.into_pyarray(py), rows.values.into_pyarray(py)),
        (rows.label_ends.into_pyarray(py), rows.labels.into_pyarray(py)),
        rows.shape,
    ))
}

/// Writes a file of the Extreme Classification Repository; `shape` is (features, labels).
#[pyfunction]
#[pyo3(signature = (path, inputs, targets, shape, threads, progress))]
pub(crate) fn slide_write_xml(
    py: Python<'_>,
    path: PathBuf,
    inputs: [Bound<'_, PyAny>; 3],
    targets: [Bound<'_, PyAny>; 2],
    shape: (usize, usize),
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let (inputs, targets) = (Arrays::new("inputs", &inputs)?, Arrays::new("targets", &targets)?);
    let (inputs, targets) = (inputs.sparse()?, targets.sparse()?);
    long_call(py, progress, |p| xml::write(&path, inputs, targets, shape, threads, p))
}
