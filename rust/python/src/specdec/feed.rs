//! `SpecFeed`: what a model with a cache of its own is fed.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_specdec::feed::{Feed, Pass};

use crate::array::{lasting, vector};

/// A model that is fed, and what does a pass: it is called with rows, slot and position of the first, ids of a row, and how
/// many of the last need scores, 0 for all.
#[derive(FromPyObject)]
pub(super) struct Fed {
    pub(super) feed: Py<SpecFeed>,
    run: Py<PyAny>,
}

impl Fed {
    pub(super) fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { feed: self.feed.clone_ref(py), run: self.run.clone_ref(py) }
    }

    /// The scores of a pass.
    pub(super) fn run<'py>(&self, py: Python<'py>, pass: Pass) -> PyResult<Bound<'py, PyAny>> {
        let Pass { rows, slot, begin, width, keep } = pass;
        self.run.bind(py).call1((rows, slot, begin, width, keep))
    }
}

/// What the cache of a model holds, and the arrays from which it is fed; use `thrifty.specdec.CachedDraft`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct SpecFeed {
    pub(super) inner: Feed,
}

impl SpecFeed {
    pub(super) fn new(max_running: usize, max_length: usize) -> Self {
        Self { inner: Feed::new(max_running, max_length) }
    }
}

#[pymethods]
impl SpecFeed {
    /// The arrays from which passes are fed, by name: slots, ids, positions.
    fn arrays<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let (owner, found) = (slf.clone().into_any(), PyDict::new(slf.py()));
        let this = slf.borrow();
        let Feed { slots, ids, positions, .. } = &this.inner;
        found.set_item("slots", lasting(&owner, slots, &[slots.len()])?)?;
        found.set_item("ids", lasting(&owner, ids, &[ids.len()])?)?;
        found.set_item("positions", lasting(&owner, positions, &[positions.len()])?)?;
        Ok(found)
    }
}

/// The rows that are drafted for; all that give ids where none are named.
pub(super) struct Rows<'py>(Option<PyReadonlyArray1<'py, i64>>);

impl<'py> Rows<'py> {
    pub(super) fn new(rows: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        Ok(Self(rows.map(|rows| vector::<i64>(rows, "rows", "int64")).transpose()?))
    }

    pub(super) fn of(&self, giving: usize) -> PyResult<Vec<usize>> {
        let Some(rows) = &self.0 else { return Ok((0..giving).collect()) };
        // One that is below 0 is none of those that give ids, however large.
        Ok(rows.as_slice()?.iter().map(|&row| usize::try_from(row).unwrap_or(usize::MAX)).collect())
    }
}
