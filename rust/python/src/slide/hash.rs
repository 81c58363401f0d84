//! Hash functions of slide.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::simd;
use thrifty_slide::hash::{Family, Hash};

use crate::array::vector;
use crate::interrupt::long_call;

/// Bits of a code where the caller leaves them open, at most.
const MOST_BITS: usize = 18;

/// Codes of the rows of a matrix of `shape` (rows, length), `tables` for each row. Without `bits` those that the values
/// of a code need side by side, at most 18.
#[pyfunction]
#[pyo3(signature = (vectors, shape, family, k, tables, bits, seed))]
pub(crate) fn slide_codes<'py>(
    py: Python<'py>,
    vectors: &Bound<'py, PyAny>,
    shape: (usize, usize),
    family: &str,
    k: usize,
    tables: usize,
    bits: Option<usize>,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<u32>>> {
    let vectors = vector::<f32>(vectors, "vectors", "float32")?;
    let data = vectors.as_slice()?;
    let (rows, length) = shape;
    if rows.checked_mul(length) != Some(data.len()) {
        let why = format!("vectors: {} numbers are no {rows} rows of {length}", data.len());
        return Err(PyValueError::new_err(why));
    }
    let codes = long_call(py, None, |progress| {
        let family = Family::named(family)?;
        // A k that is out of range is told by Hash::new.
        let bits = bits.unwrap_or_else(|| family.plain_bits(k.clamp(1, 16)).map_or(MOST_BITS, |b| b.min(MOST_BITS)));
        Hash::new(family, k, tables, bits, length, seed)?.matrix(simd::path()?, data, progress)
    })?;
    Ok(codes.into_pyarray(py))
}
