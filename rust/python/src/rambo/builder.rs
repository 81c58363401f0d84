//! Building in memory.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use thrifty_base::container::Target;
use thrifty_base::memory::Mode;
use thrifty_rambo::Error;
use thrifty_rambo::builder::Builder;

use super::RamboIndex;
use super::arguments::{ItemsArgument, OrRaise, read_plan};
use crate::array::vector;
use crate::interrupt::long_call;

/// An index that documents are put into.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboBuilder {
    builder: Mutex<Option<Builder>>,
}

impl RamboBuilder {
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Builder) -> Result<T, Error> + Send) -> PyResult<T> {
        py.detach(|| {
            let mut guard = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
            guard.as_mut().map(work)
        })
        .ok_or_else(frozen)?
        .or_raise(py)
    }
}

fn frozen() -> PyErr {
    pyo3::exceptions::PyValueError::new_err("this builder was frozen already; make another one")
}

#[pymethods]
impl RamboBuilder {
    #[new]
    #[pyo3(signature = (plan, items, node))]
    fn new(py: Python<'_>, plan: &str, items: ItemsArgument, node: Option<u32>) -> PyResult<Self> {
        let builder = read_plan(plan).and_then(|plan| Builder::new(items.read()?, plan, node)).or_raise(py)?;
        Ok(Self { builder: Mutex::new(Some(builder)) })
    }

    /// Adds a document with all its item hashes.
    #[pyo3(signature = (name, hashes))]
    fn add(&self, py: Python<'_>, name: &str, hashes: &Bound<'_, PyAny>) -> PyResult<()> {
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let mut hashes = hashes.as_slice()?.to_vec();
        self.with(py, |b| b.add(name, &mut hashes))
    }

    /// Adds a document given as sequence or text; returns the windows skipped.
    #[pyo3(signature = (name, data))]
    fn add_bytes(&self, py: Python<'_>, name: &str, data: &[u8]) -> PyResult<u64> {
        self.with(py, |b| {
            let mut hashes = Vec::new();
            let skipped = b.items().hashes(data, &mut hashes);
            b.add(name, &mut hashes).map(|()| skipped)
        })
    }

    /// Adds documents given as (name, sequence or text), on several threads; returns the windows skipped.
    #[pyo3(signature = (documents, threads, progress))]
    fn add_many(
        &self,
        py: Python<'_>,
        documents: Vec<(String, PyBackedBytes)>,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let added = long_call(py, progress, |p| {
            let mut guard = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
            guard.as_mut().map(|builder| builder.add_all(&documents, threads, p)).transpose()
        })?;
        added.ok_or_else(frozen)
    }

    /// Documents so far.
    fn documents(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |b| Ok(b.documents()))
    }

    /// Writes the index (or keeps it in memory) and opens it; the builder is used up.
    #[pyo3(signature = (path, threads, progress))]
    fn freeze(
        &self,
        py: Python<'_>,
        path: Option<PathBuf>,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RamboIndex> {
        let taken = py.detach(|| self.builder.lock().unwrap_or_else(PoisonError::into_inner).take());
        let builder = taken.ok_or_else(frozen)?;
        let index = long_call(py, progress, |p| {
            let _lock = path.as_deref().map(thrifty_base::files::WriteLock::take).transpose()?;
            let target = path.clone().map_or(Target::Memory, Target::File);
            builder.freeze(&target, threads, Mode::Map, p)
        })?;
        Ok(RamboIndex::new(index))
    }
}
