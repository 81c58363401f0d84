//! Ids in: arrays of any of the integers that people have.

use numpy::{PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::array::vector;

/// Ids as the core takes them; those that came so are not copied.
pub(crate) enum Ids<'py> {
    Borrowed(PyReadonlyArray1<'py, u32>),
    Copied(Vec<u32>),
}

impl<'py> Ids<'py> {
    /// A one-dimensional, contiguous array of uint32, int32 or int64.
    pub(crate) fn new(argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        let name = "ids";
        if let Ok(array) = vector::<u32>(argument, name, "uint32") {
            return Ok(Self::Borrowed(array));
        }
        let Ok(any) = argument.cast::<PyUntypedArray>() else {
            return Err(vector::<u32>(argument, name, "int32, int64 or uint32")
                .err()
                .unwrap_or_else(|| unreachable!()));
        };
        let copied = match any.dtype().to_string().as_str() {
            "int32" => narrowed(vector::<i32>(argument, name, "int32")?.as_slice()?),
            "int64" => narrowed(vector::<i64>(argument, name, "int64")?.as_slice()?),
            other => Err(PyTypeError::new_err(format!("{name}: dtype int32, int64 or uint32 is needed, got {other}"))),
        };
        Ok(Self::Copied(copied?))
    }

    pub(crate) fn as_slice(&self) -> PyResult<&[u32]> {
        match self {
            Self::Borrowed(array) => Ok(array.as_slice()?),
            Self::Copied(ids) => Ok(ids),
        }
    }
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
