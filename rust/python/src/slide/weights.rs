//! Weights, lists and sums as Python holds them.

use numpy::{PyArray1, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::math::padded;
use thrifty_slide::active::Wanted;
use thrifty_slide::head::WeightsMut;
use thrifty_slide::matrix::{Matrix, Values, ValuesMut};
use thrifty_slide::softmax::Sums;

use crate::array::{vector, vector_mut};

pub(super) type Floats<'py> = Bound<'py, PyArray1<f32>>;
pub(super) type Ids<'py> = Bound<'py, PyArray1<u32>>;
/// What rows ask for: where the neurons of each end, neurons, and how many tables returned each.
pub(super) type Lists<'py> = (Ids<'py>, Ids<'py>, Bound<'py, PyArray1<u16>>);

/// Weights for reading, in f32 or bf16.
pub(super) enum Read<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    Bf16(PyReadonlyArray1<'py, u16>),
}

enum Write<'py> {
    F32(PyReadwriteArray1<'py, f32>),
    Bf16(PyReadwriteArray1<'py, u16>),
}

fn is_bf16(weight: &Bound<'_, PyAny>) -> bool {
    weight.cast::<PyArray1<u16>>().is_ok()
}

pub(super) fn read<'py>(weight: &Bound<'py, PyAny>) -> PyResult<Read<'py>> {
    Ok(if is_bf16(weight) {
        Read::Bf16(vector(weight, "weight", "uint16")?)
    } else {
        Read::F32(vector(weight, "weight", "float32")?)
    })
}

impl Read<'_> {
    pub(super) fn matrix(&self, rows: usize, length: usize) -> PyResult<Matrix<'_>> {
        let (values, found) = match self {
            Self::F32(x) => (Values::F32(x.as_slice()?), x.as_slice()?.len()),
            Self::Bf16(x) => (Values::Bf16(x.as_slice()?), x.as_slice()?.len()),
        };
        expect("weight", found, rows * length)?;
        Ok(Matrix { values, stride: length, length })
    }
}

/// Weights and biases for a step.
pub(super) struct Writing<'py> {
    weight: Write<'py>,
    bias: PyReadwriteArray1<'py, f32>,
}

impl<'py> Writing<'py> {
    pub(super) fn new(weight: &Bound<'py, PyAny>, bias: &Bound<'py, PyAny>) -> PyResult<Self> {
        let weight = if is_bf16(weight) {
            Write::Bf16(vector_mut(weight, "weight", "uint16")?)
        } else {
            Write::F32(vector_mut(weight, "weight", "float32")?)
        };
        Ok(Self { weight, bias: vector_mut(bias, "bias", "float32")? })
    }

    pub(super) fn weights(&mut self, rows: usize, length: usize) -> PyResult<WeightsMut<'_>> {
        let values = match &mut self.weight {
            Write::F32(x) => ValuesMut::F32(x.as_slice_mut()?),
            Write::Bf16(x) => ValuesMut::Bf16(x.as_slice_mut()?),
        };
        let found = match &values {
            ValuesMut::F32(x) => x.len(),
            ValuesMut::Bf16(x) => x.len(),
        };
        let bias = self.bias.as_slice_mut()?;
        expect("bias", bias.len(), rows)?;
        expect("weight", found, rows * length)?;
        Ok(WeightsMut { rows: values, bias })
    }
}

pub(super) fn expect(name: &str, found: usize, needed: usize) -> PyResult<()> {
    if found == needed {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{name}: {found} numbers, {needed} are needed")))
}

/// Sums of all columns of a batch, those of its padding included.
pub(super) fn all_sums(most: &Bound<'_, PyAny>, sums: &Bound<'_, PyAny>, rows: usize) -> PyResult<Sums> {
    let (most, sums) = (vector::<f32>(most, "most", "float32")?, vector::<f32>(sums, "sums", "float32")?);
    let (mut most, mut sums) = (most.as_slice()?.to_vec(), sums.as_slice()?.to_vec());
    expect("most", most.len(), rows)?;
    expect("sums", sums.len(), rows)?;
    most.resize(padded(rows), 0.0);
    sums.resize(padded(rows), 1.0);
    Ok(Sums { most, sums })
}

/// What rows ask of slices, as Python holds it.
pub(super) fn wanted(lists: &(Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>)) -> PyResult<Wanted> {
    let (ends, ids, counts) = lists;
    let ends = vector::<u32>(ends, "asked ends", "uint32")?;
    let ends: Vec<usize> = ends.as_slice()?.iter().map(|&end| end as usize).collect();
    let ids = vector::<u32>(ids, "asked neurons", "uint32")?.as_slice()?.to_vec();
    let counts = vector::<u16>(counts, "asked counts", "uint16")?.as_slice()?.to_vec();
    expect("asked counts", counts.len(), ids.len())?;
    if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != ids.len() {
        return Err(PyValueError::new_err("asked: ends must ascend to the number of neurons"));
    }
    Ok(Wanted { ends, ids, counts })
}
