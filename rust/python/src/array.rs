//! Arrays in: the right dtype and layout, or an error that names the argument. Results out without a copy.
#![allow(unsafe_code)]

use bytemuck::Pod;
use numpy::ndarray::{ArrayView, ArrayView1, IxDyn};
use numpy::{
    Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn,
    PyReadwriteArray1, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use thrifty_base::recycled::Numbers;

/// A one-dimensional, contiguous array of `T` for reading.
pub(crate) fn vector<'py, T: Element>(
    argument: &Bound<'py, PyAny>,
    name: &str,
    dtype: &str,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let Ok(any) = argument.cast::<PyUntypedArray>() else {
        let got = argument.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{name}: a numpy array of {dtype} is needed, got {got}")));
    };
    if any.ndim() != 1 {
        return Err(PyValueError::new_err(format!("{name}: one dimension is needed, got shape {:?}", any.shape())));
    }
    let Ok(array) = argument.cast::<PyArray1<T>>() else {
        return Err(PyTypeError::new_err(format!("{name}: dtype {dtype} is needed, got {}", any.dtype())));
    };
    if !array.is_contiguous() {
        return Err(PyValueError::new_err(format!(
            "{name}: a contiguous array is needed; pass numpy.ascontiguousarray({name})"
        )));
    }
    Ok(array.readonly())
}

/// Holds the memory of an array that numpy does not own.
#[pyclass(frozen, module = "thrifty._core")]
struct Owner {
    numbers: Numbers,
}

/// Numbers as a numpy array over the same memory, which goes back when the array does.
pub(crate) fn numbers<'py>(py: Python<'py>, numbers: Numbers) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let owner = Bound::new(py, Owner { numbers })?;
    let view = ArrayView1::from(owner.get().numbers.as_slice());
    // SAFETY: the array keeps `owner` alive as its base, `owner` is frozen and nothing else reads or writes the memory.
    Ok(unsafe { PyArray1::borrow_from_array(&view, owner.clone().into_any()) })
}

/// A one-dimensional, contiguous, writable array of `T`.
pub(crate) fn vector_mut<'py, T: Element>(
    argument: &Bound<'py, PyAny>,
    name: &str,
    dtype: &str,
) -> PyResult<PyReadwriteArray1<'py, T>> {
    vector::<T>(argument, name, dtype)?;
    argument
        .cast::<PyArray1<T>>()
        .map_err(PyErr::from)?
        .try_readwrite()
        .map_err(|e| PyValueError::new_err(format!("{name}: can't be written to: {e}")))
}

/// The width of a matrix that lies row after row.
pub(crate) fn matrix<'py>(array: &PyReadonlyArray2<'py, i64>, name: &str) -> PyResult<usize> {
    if !array.is_c_contiguous() {
        return Err(PyValueError::new_err(format!("{name}: a contiguous array is needed")));
    }
    Ok(array.shape()[1])
}

/// A new array for a result, which holds any bytes until `fill` has written it.
pub(crate) fn filled<'py, T: Element + Pod>(
    py: Python<'py>,
    shape: &[usize],
    fill: impl FnOnce(&mut [T]) -> PyResult<()>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    // SAFETY: any bytes are a `T`, and nobody else has the array before it is returned.
    let array = unsafe { PyArrayDyn::<T>::new(py, IxDyn(shape), false) };
    // SAFETY: as above; a new array is contiguous.
    fill(unsafe { array.as_slice_mut() }?)?;
    Ok(array)
}

/// [`filled`] of one dimension.
pub(crate) fn filled_flat<'py, T: Element + Pod>(
    py: Python<'py>,
    length: usize,
    fill: impl FnOnce(&mut [T]) -> PyResult<()>,
) -> PyResult<Bound<'py, PyArray1<T>>> {
    // SAFETY: as in `filled`.
    let array = unsafe { PyArray1::<T>::new(py, [length], false) };
    // SAFETY: as above.
    fill(unsafe { array.as_slice_mut() }?)?;
    Ok(array)
}

/// A read-only [`lasting`] array.
pub(crate) fn window<'py, T: Element>(
    owner: &Bound<'py, PyAny>,
    numbers: &Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let array = lasting(owner, numbers, shape)?;
    array.call_method("setflags", (false,), None)?;
    Ok(array)
}

/// An array over the first `capacity` numbers of memory that `owner` keeps in one place for as long as it lives.
///
/// What stands there changes when `owner` is called; the array shows it without a copy.
pub(crate) fn lasting<'py, T: Element>(
    owner: &Bound<'py, PyAny>,
    numbers: &Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    assert!(shape.iter().product::<usize>() <= numbers.capacity());
    // SAFETY: callers hand over vectors that were filled to their capacity once, so that all of it is initialised, and
    // that never grow; the array keeps their owner alive as its base. Numbers are plain, so whatever is read is a value.
    let view = unsafe { ArrayView::from_shape_ptr(IxDyn(shape), numbers.as_ptr()) };
    // SAFETY: as above.
    Ok(unsafe { PyArrayDyn::borrow_from_array(&view, owner.clone()) })
}

/// float32 that lie one after the other, in an array of numpy or a tensor of torch.
///
/// An array for each tensor takes longer than all that is asked of it here.
pub(crate) enum Floats<'py> {
    Array(PyReadonlyArrayDyn<'py, f32>),
    Tensor { _tensor: Bound<'py, PyAny>, address: usize, length: usize },
}

impl<'py> Floats<'py> {
    /// Fails where it is neither, or its numbers do not lie so.
    pub(crate) fn new(argument: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if let Ok(array) = argument.cast::<PyArrayDyn<f32>>() {
            return Ok(Self::Array(array.readonly()));
        }
        let py = argument.py();
        let wrong = || PyTypeError::new_err(format!("{name}: float32, contiguous and on the CPU, is needed"));
        let dtype = argument.getattr(intern!(py, "dtype")).map_err(|_| wrong())?;
        if argument.cast::<PyUntypedArray>().is_ok() || !dtype.is(single(py)?) {
            return Err(wrong());
        }
        let is = |what| argument.call_method0(what)?.is_truthy();
        if !is(intern!(py, "is_contiguous"))? || !argument.getattr(intern!(py, "is_cpu"))?.is_truthy()? {
            return Err(wrong());
        }
        let length = argument.call_method0(intern!(py, "numel"))?.extract()?;
        let address = argument.call_method0(intern!(py, "data_ptr"))?.extract()?;
        Ok(Self::Tensor { _tensor: argument.clone(), address, length })
    }

    /// The numbers.
    pub(crate) fn as_slice(&self) -> PyResult<&[f32]> {
        match self {
            Self::Array(array) => Ok(array.as_slice()?),
            Self::Tensor { length: 0, .. } => Ok(&[]),
            // SAFETY: torch said that so many float32 lie there, one after the other, in memory that the tensor holds, and
            // the tensor is held here; whoever writes to it or gives it other memory needs the interpreter, which is ours.
            Self::Tensor { address, length, .. } => unsafe {
                Ok(std::slice::from_raw_parts(*address as *const f32, *length))
            },
        }
    }
}

/// `torch.float32`.
fn single(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static FOUND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let found = FOUND.get_or_try_init(py, || py.import("torch")?.getattr("float32").map(Bound::unbind))?;
    Ok(found.bind(py))
}
