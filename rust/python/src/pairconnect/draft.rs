//! `PairDraft`.

use numpy::{IntoPyArray, PyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::draft::{Ask, Draft, Laws, Proposals};
use thrifty_base::philox::Philox;
use thrifty_base::sampling::Sampling;
use thrifty_pairconnect::drafter::{Drafter, STREAM};

use super::ids::{Ids, one};
use super::model::PairLm;
use crate::error::IntoPyErr;

/// Sequences of a model; use `thrifty.pairconnect.PairLM.drafter`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct PairDraft {
    inner: Drafter,
    out: Proposals,
}

type Law<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>, Bound<'py, PyArray1<usize>>);

fn law<'py>(py: Python<'py>, laws: &Laws) -> Law<'py> {
    let Laws { ids, chances, ends } = laws;
    (PyArray1::from_slice(py, ids), PyArray1::from_slice(py, chances), PyArray1::from_slice(py, ends))
}

fn sampling((temperature, top_k, top_p, min_p): (f32, usize, f32, f32)) -> Sampling {
    Sampling { temperature, top_k, top_p, min_p }
}

impl PairDraft {
    /// The drafter, for schedulers.
    pub(crate) fn core(&mut self) -> &mut Drafter {
        &mut self.inner
    }
}

#[pymethods]
impl PairDraft {
    #[new]
    fn new(model: &PairLm) -> Self {
        Self { inner: Drafter::new(model.core()), out: Proposals::default() }
    }

    /// A new sequence; returns its name.
    fn open(&mut self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.inner.open(Ids::any(ids)?.as_slice()?).map_err(|e| e.into_py_err(py))
    }

    /// A new sequence that begins as another is now.
    fn fork(&mut self, py: Python<'_>, sequence: usize) -> PyResult<usize> {
        self.inner.fork(sequence).map_err(|e| e.into_py_err(py))
    }

    /// Ends a sequence.
    fn close(&mut self, py: Python<'_>, sequence: usize) -> PyResult<()> {
        self.inner.close(sequence).map_err(|e| e.into_py_err(py))
    }

    /// Appends an id, or an array of them.
    fn append(&mut self, py: Python<'_>, sequence: usize, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(id) = one(ids)? {
            return self.inner.append(sequence, &[id]).map_err(|e| e.into_py_err(py));
        }
        self.inner.append(sequence, Ids::any(ids)?.as_slice()?).map_err(|e| e.into_py_err(py))
    }

    /// Takes back all ids from `length` on.
    fn truncate(&mut self, py: Python<'_>, sequence: usize, length: usize) -> PyResult<()> {
        self.inner.truncate(sequence, length).map_err(|e| e.into_py_err(py))
    }

    /// The ids of a sequence.
    fn ids<'py>(&self, py: Python<'py>, sequence: usize) -> PyResult<Bound<'py, PyArray1<u32>>> {
        Ok(PyArray1::from_slice(py, self.inner.ids(sequence).map_err(|e| e.into_py_err(py))?))
    }

    /// The law of what follows a sequence: ids and probabilities.
    #[allow(clippy::type_complexity)]
    fn law<'py>(
        &mut self,
        py: Python<'py>,
        sequence: usize,
        settings: (f32, usize, f32, f32),
    ) -> PyResult<(Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>)> {
        let found = self.inner.law(sequence, &sampling(settings)).map_err(|e| e.into_py_err(py))?;
        Ok((found.ids.into_pyarray(py), found.chances.into_pyarray(py)))
    }

    /// Draws an id for one sequence and appends it.
    fn draw(&mut self, py: Python<'_>, sequence: usize, settings: (f32, usize, f32, f32), seed: u64) -> PyResult<u32> {
        let random = Philox::new(seed, STREAM);
        let asks = [Ask { sequence, tokens: 1, sampling: sampling(settings), random }];
        self.inner.propose(&asks, false, &mut self.out).map_err(|e| e.into_py_err(py))?;
        Ok(self.out.ids[0])
    }

    /// Draws `tokens` ids for each of `sequences` and appends them: ids and their probabilities, chain after chain, and the
    /// laws that they were drawn from, where asked for.
    #[allow(clippy::type_complexity)]
    fn propose<'py>(
        &mut self,
        py: Python<'py>,
        sequences: Vec<usize>,
        tokens: usize,
        settings: (f32, usize, f32, f32),
        seeds: Vec<u64>,
        laws: bool,
    ) -> PyResult<(Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>, Option<Law<'py>>)> {
        if seeds.len() != sequences.len() {
            let what = format!("seeds: {} for {} sequences", seeds.len(), sequences.len());
            return Err(PyValueError::new_err(what));
        }
        let sampling = sampling(settings);
        let asks = sequences.into_iter().zip(seeds).map(|(sequence, seed)| {
            let random = Philox::new(seed, STREAM);
            Ask { sequence, tokens, sampling, random }
        });
        let asks: Vec<Ask> = asks.collect();
        let Self { inner, out } = self;
        py.detach(|| inner.propose(&asks, laws, out)).map_err(|e| e.into_py_err(py))?;
        let kept = laws.then(|| law(py, &out.laws));
        Ok((PyArray1::from_slice(py, &out.ids), PyArray1::from_slice(py, &out.chances), kept))
    }
}
