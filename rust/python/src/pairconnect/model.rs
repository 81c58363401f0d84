//! `PairLm`.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::sampling::Sampling;
use thrifty_pairconnect::generate::generate;
use thrifty_pairconnect::model::{ModelSpec, PairLm as Model, write};
use thrifty_pairconnect::shortlist::{Shortlist, ShortlistSpec};
use thrifty_pairconnect::spec::Precision;

use super::ids::Ids;
use super::table::PairTable;
use crate::array::vector;
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// A language model of pair tables; use `thrifty.pairconnect.PairLM`.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct PairLm {
    inner: Arc<Model>,
}

impl PairLm {
    pub(crate) fn core(&self) -> Arc<Model> {
        Arc::clone(&self.inner)
    }
}

#[pymethods]
impl PairLm {
    /// Opens a file; dense weights are rounded to `precision`.
    #[staticmethod]
    #[pyo3(signature = (path, precision, progress))]
    fn open(py: Python<'_>, path: PathBuf, precision: &str, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let precision = match precision {
            "f32" => Precision::F32,
            "bf16" => Precision::Bf16,
            "i8" => Precision::I8,
            other => return Err(PyValueError::new_err(format!("precision: '{other}' is not f32, bf16 or i8"))),
        };
        Ok(Self { inner: Arc::new(long_call(py, progress, |p| Model::open(&path, precision, p))?) })
    }

    /// Writes a file of the model as it is now.
    fn save(&self, py: Python<'_>, path: PathBuf, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        long_call(py, progress, |p| self.inner.save(&path, p))
    }

    /// The same model with a shortlist of what it says at all positions of a text; `spec` is JSON.
    fn with_shortlist(
        &self,
        py: Python<'_>,
        spec: &str,
        ids: &Bound<'_, PyAny>,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let spec = shortlist_spec(spec)?;
        let ids = Ids::new(ids)?;
        let ids = ids.as_slice()?;
        let model = long_call(py, progress, |p| {
            let list = Shortlist::of_text(spec, &self.inner, ids, threads, p)?;
            self.inner.with_shortlist(Some(list))
        })?;
        Ok(Self { inner: Arc::new(model) })
    }

    /// The same model without a shortlist.
    fn without_shortlist(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self { inner: Arc::new(self.inner.with_shortlist(None).map_err(|e| e.into_py_err(py))?) })
    }

    /// Sizes, as JSON.
    #[getter]
    fn spec(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.spec()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// What the writer wanted to be told again.
    #[getter]
    fn note(&self) -> &str {
        self.inner.note()
    }

    /// Bytes of dense weights, and of tables.
    #[getter]
    fn nbytes(&self) -> (usize, usize) {
        self.inner.bytes()
    }

    /// Scores of what follows `ids[begin..at]` for each position: `vocab` numbers each.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        at: &Bound<'py, PyAny>,
        begin: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let ids = Ids::new(ids)?;
        let ids = ids.as_slice()?;
        let positions = pairs(at, begin)?;
        let mut out = vec![0.0; positions.len() * self.inner.spec().vocab];
        long_call(py, None, |p| self.inner.all_scores(ids, &positions, threads, p, &mut out))?;
        Ok(out.into_pyarray(py))
    }

    /// Minus the logarithm of the probability of the ids at `at` after those from `from` on.
    #[pyo3(signature = (ids, at, begin, threads, progress))]
    fn losses<'py>(
        &self,
        py: Python<'py>,
        ids: &Bound<'py, PyAny>,
        at: &Bound<'py, PyAny>,
        begin: &Bound<'py, PyAny>,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let ids = Ids::new(ids)?;
        let ids = ids.as_slice()?;
        let positions = pairs(at, begin)?;
        let mut out = vec![0.0; positions.len()];
        long_call(py, progress, |p| self.inner.losses(ids, &positions, threads, p, &mut out))?;
        Ok(out.into_pyarray(py))
    }

    /// `tokens` ids that follow `prompt`; `settings` are temperature, top_k, top_p and min_p.
    fn generate<'py>(
        &self,
        py: Python<'py>,
        prompt: &Bound<'py, PyAny>,
        tokens: usize,
        settings: (f32, usize, f32, f32),
        seed: u64,
        window: usize,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let prompt = Ids::new(prompt)?;
        let prompt = prompt.as_slice()?;
        let (temperature, top_k, top_p, min_p) = settings;
        let sampling = Sampling { temperature, top_k, top_p, min_p };
        let ids = long_call(py, None, |p| generate(&self.inner, prompt, tokens, &sampling, seed, window, p))?;
        Ok(ids.into_pyarray(py))
    }
}

/// Writes a model: its sizes as JSON, dense weights as (name, numbers, shape), a table a layer, and the ids and logits of a
/// shortlist.
#[pyfunction]
#[pyo3(signature = (path, spec, note, dense, tables, shortlist=None))]
pub(crate) fn pairlm_write(
    py: Python<'_>,
    path: PathBuf,
    spec: &str,
    note: &str,
    dense: Vec<(String, Bound<'_, PyAny>, Vec<usize>)>,
    tables: Vec<PyRef<'_, PairTable>>,
    shortlist: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)>,
) -> PyResult<()> {
    let spec: ModelSpec = serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))?;
    let arrays =
        dense.iter().map(|(name, array, _)| vector::<f32>(array, name, "float32")).collect::<PyResult<Vec<_>>>()?;
    let numbers = arrays.iter().map(|array| Ok(array.as_slice()?)).collect::<PyResult<Vec<_>>>()?;
    let dense: Vec<_> =
        dense.iter().zip(numbers).map(|((name, _, shape), numbers)| (name.as_str(), &shape[..], numbers)).collect();
    let tables: Vec<_> = tables.iter().map(|table| table.core()).collect();
    let list = match (shortlist, spec.shortlist) {
        (Some((ids, logits)), Some(short)) => {
            let ids = vector::<u32>(&ids, "shortlist ids", "uint32")?.as_slice()?.to_vec();
            let logits = vector::<f32>(&logits, "shortlist logits", "float32")?.as_slice()?.to_vec();
            Some(Shortlist::new(short, spec.vocab, ids, logits).map_err(|e| e.into_py_err(py))?)
        }
        (Some(_), None) => return Err(PyValueError::new_err("shortlist: the spec has none")),
        (None, _) => None,
    };
    long_call(py, None, |p| write(&path, &spec, note, &dense, &tables, list.as_ref(), p))
}

fn shortlist_spec(spec: &str) -> PyResult<ShortlistSpec> {
    serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))
}

/// Two arrays of int64 as pairs.
fn pairs(at: &Bound<'_, PyAny>, begin: &Bound<'_, PyAny>) -> PyResult<Vec<(usize, usize)>> {
    let (at, begin) = (vector::<i64>(at, "at", "int64")?, vector::<i64>(begin, "begin", "int64")?);
    let (at, begin) = (at.as_slice()?, begin.as_slice()?);
    if at.len() != begin.len() {
        return Err(PyValueError::new_err(format!("begin: {} numbers where at has {}", begin.len(), at.len())));
    }
    let whole = |&x: &i64| usize::try_from(x).map_err(|_| PyValueError::new_err(format!("positions: {x} is negative")));
    at.iter().zip(begin).map(|(a, f)| Ok((whole(a)?, whole(f)?))).collect()
}
