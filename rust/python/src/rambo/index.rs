//! The frozen index.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_rambo::input::Reading;
use thrifty_rambo::query::{SearchOptions, query_items, search_items};
use thrifty_rambo::{Error, Index, exact};

use super::arguments::{OrRaise, inputs_of, mode, read_by};
use crate::array::{numbers, vector};
use crate::interrupt::long_call;

/// A frozen index.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboIndex {
    index: Arc<Index>,
}

/// Where each item's documents start, and the documents.
type ItemArrays<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>);

impl RamboIndex {
    pub(super) fn new(index: Index) -> Self {
        Self { index: Arc::new(index) }
    }
}

#[pymethods]
impl RamboIndex {
    /// Opens an index file.
    #[staticmethod]
    #[pyo3(signature = (path, load, progress))]
    fn open(py: Python<'_>, path: PathBuf, load: bool, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let index = long_call(py, progress, |_| Index::open(&path, mode(load)))?;
        Ok(Self::new(index))
    }

    /// Where the file is; None when the index is in memory only.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.index.file().map(PathBuf::from)
    }

    /// Names of documents by id.
    fn names(&self) -> Vec<&str> {
        (0..self.index.documents() as u32).map(|id| self.index.name(id)).collect()
    }

    /// Distinct items of each document, by id.
    fn item_counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        let counts: Vec<u64> = (0..self.index.documents() as u32).map(|id| self.index.item_count(id)).collect();
        counts.into_pyarray(py)
    }

    /// Description as JSON.
    fn describe(&self) -> String {
        serde_json::to_string(&self.index.describe()).expect("a description has only plain fields")
    }

    /// Documents of each item: (starts int64[n + 1], documents uint32[...]).
    #[pyo3(signature = (hashes, threads, progress))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        hashes: &Bound<'py, PyAny>,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<ItemArrays<'py>> {
        /// Below this a query takes about a millisecond: not worth a thread that watches.
        const SHORT: usize = 2048;
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let hashes = hashes.as_slice()?;
        let answers = if hashes.len() <= SHORT && progress.is_none() {
            py.detach(|| query_items(&self.index, hashes, 1, &Progress::new())).or_raise(py)?
        } else {
            long_call(py, progress, |p| query_items(&self.index, hashes, threads, p))?
        };
        Ok((answers.starts.into_pyarray(py), numbers(py, answers.documents)?))
    }

    /// Searches for queries given as hashes with the end of each: (hit starts int64, documents uint32, found uint64,
    /// expected false float64, items uint64, expected false documents float64). With `exact`, (path, name) pairs of the
    /// documents' files, counts are checked against them.
    #[pyo3(signature = (hashes, ends, theta, top, exact, by, threads, progress))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        hashes: &Bound<'py, PyAny>,
        ends: &Bound<'py, PyAny>,
        theta: f64,
        top: Option<usize>,
        exact: Option<Vec<(PathBuf, String)>>,
        by: &str,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<SearchArrays<'py>> {
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let ends = vector::<i64>(ends, "ends", "int64")?;
        let queries = split(hashes.as_slice()?, ends.as_slice()?)?;
        let inputs = exact.map(inputs_of);
        let reading = Reading { by: read_by(by).or_raise(py)?, items: self.index.items(), threads };
        // The best hits can only be chosen once their counts are exact.
        let options = SearchOptions { theta, top: if inputs.is_some() { None } else { top }, threads };
        let answers = long_call(py, progress, |p| {
            let mut answers = search_items(&self.index, &queries, &options, p)?;
            if let Some(inputs) = &inputs {
                answers = exact::verify(&self.index, &queries, answers, &options, inputs, reading, p)?;
                answers.iter_mut().for_each(|a| a.hits.truncate(top.unwrap_or(usize::MAX)));
            }
            Ok::<_, Error>(answers)
        })?;
        let mut starts = vec![0i64];
        let (mut documents, mut found, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut items, mut chance) = (Vec::new(), Vec::new());
        for answer in answers {
            for hit in &answer.hits {
                documents.push(hit.document);
                found.push(hit.found);
                expected.push(hit.expected_false);
            }
            starts.push(documents.len() as i64);
            items.push(answer.items);
            chance.push(answer.expected_false_documents);
        }
        Ok((
            starts.into_pyarray(py),
            documents.into_pyarray(py),
            found.into_pyarray(py),
            expected.into_pyarray(py),
            items.into_pyarray(py),
            chance.into_pyarray(py),
        ))
    }

    /// Reads every byte: (section, offset, length) of what is damaged.
    #[pyo3(signature = (progress))]
    fn verify(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(String, u64, u64)>> {
        let damage = long_call(py, progress, |p| self.index.verify(p))?;
        Ok(damage.into_iter().map(|d| (d.section, d.offset, d.length)).collect())
    }
}

type SearchArrays<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<f64>>,
);

/// Query i is `hashes[ends[i - 1]..ends[i]]`.
fn split<'a>(hashes: &'a [u64], ends: &[i64]) -> PyResult<Vec<&'a [u64]>> {
    let mut queries = Vec::with_capacity(ends.len());
    let mut from = 0;
    for &end in ends {
        let query = usize::try_from(end).ok().and_then(|end| hashes.get(from..end));
        let Some(query) = query else {
            return Err(pyo3::exceptions::PyValueError::new_err("ends: must rise and stay within hashes"));
        };
        queries.push(query);
        from = end as usize;
    }
    Ok(queries)
}
