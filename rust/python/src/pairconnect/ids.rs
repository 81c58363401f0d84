//! Ids in: arrays of any of the integers that people have.

use numpy::{PyArray1, PyReadonlyArray1, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::array::vector;

/// Ids as the core takes them; those that came so are not copied.
pub(crate) enum Ids<'py> {
    Borrowed(PyReadonlyArray1<'py, u32>),
    Copied(Vec<u32>),
}

impl<'py> Ids<'py> {
    /// A one-dimensional, contiguous array of uint32, int32 or int64.
    pub(crate) fn new(argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(ids) = argument.cast::<PyArray1<i64>>() {
            return Ok(Self::Copied(narrowed(vector::<i64>(ids, "ids", "int64")?.as_slice()?)?));
        }
        if let Ok(ids) = argument.cast::<PyArray1<i32>>() {
            return Ok(Self::Copied(narrowed(vector::<i32>(ids, "ids", "int32")?.as_slice()?)?));
        }
        Ok(Self::Borrowed(vector::<u32>(argument, "ids", "int32, int64 or uint32")?))
    }

    /// [`Self::new`] of what numpy makes an array of.
    pub(crate) fn any(argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        if argument.is_instance_of::<PyUntypedArray>() {
            return Self::new(argument);
        }
        let array = argument.py().import("numpy")?.call_method1("asarray", (argument,))?;
        if array.len()? == 0 {
            return Ok(Self::Copied(Vec::new()));
        }
        Self::new(&array)
    }

    pub(crate) fn as_slice(&self) -> PyResult<&[u32]> {
        match self {
            Self::Borrowed(array) => Ok(array.as_slice()?),
            Self::Copied(ids) => Ok(ids),
        }
    }
}

/// An id, where the argument is a whole number and no array.
pub(crate) fn one(argument: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
    if !argument.is_instance_of::<PyInt>() {
        return Ok(None);
    }
    argument.extract().map(Some).map_err(|_| PyValueError::new_err(format!("ids: {argument} is no id")))
}

fn narrowed<T: Copy + Into<i64>>(ids: &[T]) -> PyResult<Vec<u32>> {
    ids.iter()
        .enumerate()
        .map(|(at, &id)| {
            let id: i64 = id.into();
            u32::try_from(id).map_err(|_| PyValueError::new_err(format!("ids: {id} at {at} is no id")))
        })
        .collect()
}
