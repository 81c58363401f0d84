//! The classes and functions of slide.

mod config;
mod head;
mod trainer;

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use thrifty_slide::xml;

pub(crate) use self::head::SlideHead;
pub(crate) use self::trainer::SlideTrainer;
use crate::error::IntoPyErr;

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
