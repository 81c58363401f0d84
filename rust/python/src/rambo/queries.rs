//! Queries from files.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use thrifty_rambo::Error;
use thrifty_rambo::input::Records;
use thrifty_rambo::items::Items;

use super::arguments::{ItemsArgument, OrRaise};

/// Queries of a file, batch after batch.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboQueries {
    records: Mutex<Records>,
    items: Items,
}

type QueryBatch<'py> = (Vec<String>, Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<i64>>, Vec<u64>);

#[pymethods]
impl RamboQueries {
    #[new]
    #[pyo3(signature = (path, items))]
    fn new(py: Python<'_>, path: PathBuf, items: ItemsArgument) -> PyResult<Self> {
        let items = items.read().or_raise(py)?;
        let records = py.detach(|| Records::open_queries(&path, items)).or_raise(py)?;
        Ok(Self { records: Mutex::new(records), items })
    }

    /// The next queries, about `letters` letters of them: (names, hashes uint64, ends int64, windows skipped); None at
    /// the end.
    #[pyo3(signature = (letters))]
    fn next_batch<'py>(&self, py: Python<'py>, letters: usize) -> PyResult<Option<QueryBatch<'py>>> {
        let batch = py.detach(|| -> Result<_, Error> {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut names, mut hashes, mut ends, mut skipped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut read = 0;
            while read < letters {
                let Some(record) = records.next()? else { break };
                read += record.bytes.len() + 64;
                skipped.push(self.items.hashes(record.bytes, &mut hashes));
                ends.push(hashes.len() as i64);
                names.push(record.name);
            }
            Ok((names, hashes, ends, skipped))
        });
        let (names, hashes, ends, skipped) = batch.or_raise(py)?;
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some((names, hashes.into_pyarray(py), ends.into_pyarray(py), skipped)))
    }
}
