//! Ids in: arrays of any of the integers that people have.

use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
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

/// Sequences of ids: a copy of them, and the shape of the array.
pub(crate) struct Sequences {
    pub(crate) ids: Vec<i64>,
    pub(crate) shape: Vec<usize>,
}

impl Sequences {
    /// An array of uint32, int32 or int64 of one dimension or more, the last of which are the ids of a sequence.
    pub(crate) fn new(argument: &Bound<'_, PyAny>) -> PyResult<Self> {
        let found = if let Some(found) = Self::of::<i64>(argument) {
            found
        } else if let Some(found) = Self::of::<i32>(argument) {
            found
        } else if let Some(found) = Self::of::<u32>(argument) {
            found
        } else {
            let got = argument.getattr("dtype").unwrap_or_else(|_| argument.get_type().into_any());
            return Err(PyTypeError::new_err(format!("ids: an array of int32, int64 or uint32 is needed, got {got}")));
        };
        if found.shape.is_empty() {
            return Err(PyValueError::new_err("ids: one dimension or more are needed, got a number"));
        }
        Ok(found)
    }

    fn of<T: Element + Copy + Into<i64>>(argument: &Bound<'_, PyAny>) -> Option<Self> {
        let array = argument.cast::<PyArrayDyn<T>>().ok()?;
        let ids = if array.is_c_contiguous() { array.to_vec().ok() } else { None };
        // In the order of indices, however the array lies.
        let ids = ids.unwrap_or_else(|| array.readonly().as_array().iter().copied().collect());
        Some(Self { ids: ids.into_iter().map(Into::into).collect(), shape: array.shape().to_vec() })
    }

    /// Ids of a sequence.
    pub(crate) fn tokens(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }

    /// The shape of a result with `each` numbers for each position from `start` on.
    pub(crate) fn result(&self, start: usize, each: usize) -> PyResult<Vec<usize>> {
        let tokens = self.tokens();
        if start > tokens {
            let what = format!("start: {start} is behind the {tokens} ids of a sequence");
            return Err(PyValueError::new_err(what));
        }
        let mut shape = Vec::with_capacity(self.shape.len() + 1);
        shape.extend_from_slice(&self.shape[..self.shape.len() - 1]);
        shape.extend([tokens - start, each]);
        Ok(shape)
    }
}
