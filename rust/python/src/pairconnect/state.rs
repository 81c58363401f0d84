//! `PairState`.

use numpy::PyArray1;
use pyo3::prelude::*;
use thrifty_pairconnect::state::State;

use super::ids::{Ids, one};
use super::table::PairTable;
use crate::array::{filled, filled_flat, vector};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// A sequence that looks up position by position: what ``PairTable.state()`` returns.
///
/// Ids are all that it keeps, 4 bytes each. What an id looks up has the bits that a lookup of the whole sequence gives it.
///
/// Examples
/// --------
/// >>> from thrifty.pairconnect import PairSpec, PairTable
/// >>> state = PairTable(PairSpec(vocab=10, rows=100, heads=2, head_dim=16)).state()
/// >>> state.append(3).shape, state.append([1, 4]).shape
/// ((32,), (2, 32))
/// >>> state.truncate(1)
/// >>> state.ids.tolist()
/// [3]
#[pyclass(module = "thrifty._core")]
pub(crate) struct PairState {
    table: Py<PairTable>,
    weights: Option<Vec<f32>>,
    state: State,
}

/// Appends of no more pairs than this are done where they are asked for.
const SHORT: usize = 1 << 14;

#[pymethods]
impl PairState {
    /// No ids; `weights` are as for lookups.
    #[new]
    #[pyo3(signature = (table, weights))]
    fn new(table: Py<PairTable>, weights: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let weights = weights.map(|w| vector::<f32>(w, "weights", "float32")).transpose()?;
        let weights = weights.as_ref().map(|w| w.as_slice()).transpose()?.map(<[f32]>::to_vec);
        Ok(Self { table, weights, state: State::new() })
    }

    /// Append an id, or ids one after the other.
    ///
    /// Parameters
    /// ----------
    /// ids : int, or integer array of shape (tokens,)
    ///     Below ``vocab``.
    ///
    /// Returns
    /// -------
    /// float32 array of shape (heads * head_dim,) or (tokens, heads * head_dim)
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     For an id that is not below ``vocab``; then nothing is appended.
    fn append<'py>(&mut self, py: Python<'py>, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let Self { table, weights, state } = self;
        let table = table.borrow(py);
        let (table, weights) = (table.core(), weights.as_deref());
        let width = table.spec().width();
        if let Some(id) = one(ids)? {
            let append = |out: &mut [f32]| state.append(table, &[id], weights, out).map_err(|e| e.into_py_err(py));
            return Ok(filled_flat(py, width, append)?.into_any());
        }
        let ids = Ids::any(ids)?;
        let ids = ids.as_slice()?;
        let pairs = ids.len().saturating_mul(table.spec().distances(state.ids().len() + ids.len()).len());
        let append = |out: &mut [f32]| {
            if pairs <= SHORT {
                state.append(table, ids, weights, out).map_err(|e| e.into_py_err(py))
            } else {
                long_call(py, None, |_| state.append(table, ids, weights, out))
            }
        };
        Ok(filled(py, &[ids.len(), width], append)?.into_any())
    }

    /// Take back all positions from ``length`` on.
    fn truncate(&mut self, py: Python<'_>, length: usize) -> PyResult<()> {
        self.state.truncate(length).map_err(|e| e.into_py_err(py))
    }

    /// Return another sequence of the same ids, which goes its own way from here.
    fn fork(&self, py: Python<'_>) -> Self {
        let Self { table, weights, state } = self;
        Self { table: table.clone_ref(py), weights: weights.clone(), state: state.clone() }
    }

    /// The ids, a uint32 array.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        PyArray1::from_slice(py, self.state.ids())
    }

    fn __len__(&self) -> usize {
        self.state.ids().len()
    }
}
