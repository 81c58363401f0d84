//! `SpecDraft`: drafters for schedulers, of any kind.

use numpy::PyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::draft::{Ask, Draft, Proposals};
use thrifty_base::philox::Philox;
use thrifty_base::sampling::Sampling;
use thrifty_pairconnect::drafter::Drafter;
use thrifty_specdec::draft::{Cascade, Counts, Lookup, Ready, Recycled};

use crate::error::IntoPyErr;
use crate::pairconnect::{Ids, PairDraft};

/// What can go wrong with one.
#[derive(Debug)]
pub(super) enum Error {
    Specdec(thrifty_specdec::Error),
    Pair(thrifty_pairconnect::Error),
}

impl From<thrifty_specdec::Error> for Error {
    fn from(error: thrifty_specdec::Error) -> Self {
        Self::Specdec(error)
    }
}

impl From<thrifty_pairconnect::Error> for Error {
    fn from(error: thrifty_pairconnect::Error) -> Self {
        Self::Pair(error)
    }
}

impl IntoPyErr for Error {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Specdec(error) => error.into_py_err(py),
            Self::Pair(error) => error.into_py_err(py),
        }
    }
}

/// A drafter of any kind.
pub(super) enum Any {
    Lookup(Ready<Lookup>),
    Counts(Ready<Counts>),
    Recycled(Ready<Recycled>),
    Pair(Box<Drafter>),
    Cascade(Box<Cascade<Any, Any>>),
}

/// The same call of whatever it is.
macro_rules! any {
    ($self:expr, $it:ident => $call:expr) => {
        match $self {
            Any::Lookup($it) => $call.map_err(Error::from),
            Any::Counts($it) => $call.map_err(Error::from),
            Any::Recycled($it) => $call.map_err(Error::from),
            Any::Pair($it) => $call.map_err(Error::from),
            Any::Cascade($it) => $call,
        }
    };
}

impl Any {
    /// Another of the same settings and texts, without sequences.
    fn fresh(&self) -> Self {
        match self {
            Self::Lookup(it) => Self::Lookup(Ready::new(*it.source(), it.vocab())),
            Self::Counts(it) => Self::Counts(Ready::new(it.source().clone(), it.vocab())),
            Self::Recycled(it) => Self::Recycled(Ready::new(it.source().clone(), it.vocab())),
            Self::Pair(it) => Self::Pair(Box::new(Drafter::new(it.model()))),
            Self::Cascade(it) => {
                let (first, then) = it.parts();
                Self::Cascade(Box::new(Cascade::new(first.fresh(), then.fresh())))
            }
        }
    }
}

impl Draft for Any {
    type Error = Error;

    fn vocab(&self) -> usize {
        match self {
            Self::Lookup(it) => it.vocab(),
            Self::Counts(it) => it.vocab(),
            Self::Recycled(it) => it.vocab(),
            Self::Pair(it) => it.vocab(),
            Self::Cascade(it) => it.vocab(),
        }
    }

    fn open(&mut self, ids: &[u32]) -> Result<usize, Error> {
        any!(self, it => it.open(ids))
    }

    fn fork(&mut self, sequence: usize) -> Result<usize, Error> {
        any!(self, it => it.fork(sequence))
    }

    fn close(&mut self, sequence: usize) -> Result<(), Error> {
        any!(self, it => it.close(sequence))
    }

    fn length(&self, sequence: usize) -> Result<usize, Error> {
        any!(self, it => it.length(sequence))
    }

    fn append(&mut self, sequence: usize, ids: &[u32]) -> Result<(), Error> {
        any!(self, it => it.append(sequence, ids))
    }

    fn truncate(&mut self, sequence: usize, length: usize) -> Result<(), Error> {
        any!(self, it => it.truncate(sequence, length))
    }

    fn propose(&mut self, asks: &[Ask], laws: bool, out: &mut Proposals) -> Result<(), Error> {
        any!(self, it => it.propose(asks, laws, out))
    }

    fn offer(&mut self, sequence: usize, tokens: usize) -> Result<usize, Error> {
        any!(self, it => it.offer(sequence, tokens))
    }

    fn wants(&self) -> usize {
        match self {
            Self::Lookup(it) => it.wants(),
            Self::Counts(it) => it.wants(),
            Self::Recycled(it) => it.wants(),
            Self::Pair(it) => it.wants(),
            Self::Cascade(it) => it.wants(),
        }
    }

    fn observe(&mut self, text: &[u32], likeliest: &[u32]) -> Result<(), Error> {
        any!(self, it => it.observe(text, likeliest))
    }
}

/// A drafter and its sequences; use the classes of `thrifty.specdec`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct SpecDraft {
    inner: Any,
    out: Proposals,
}

impl SpecDraft {
    fn of(inner: Any) -> Self {
        Self { inner, out: Proposals::default() }
    }

    /// The drafter, for schedulers.
    pub(super) fn core(&mut self) -> &mut Any {
        &mut self.inner
    }
}

#[pymethods]
impl SpecDraft {
    /// Looks in the ids of a sequence itself.
    #[staticmethod]
    fn lookup(py: Python<'_>, least: usize, longest: usize, vocab: usize) -> PyResult<Self> {
        let source = Lookup::new(least, longest).map_err(|e| e.into_py_err(py))?;
        Ok(Self::of(Any::Lookup(Ready::new(source, vocab))))
    }

    /// Counts what follows, in a text and in all sequences.
    #[staticmethod]
    fn counts(
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        order: usize,
        least: u32,
        contexts: usize,
        vocab: usize,
    ) -> PyResult<Self> {
        let mut source = Counts::new(order, least, contexts).map_err(|e| e.into_py_err(py))?;
        let text = Ids::any(text)?;
        let ids = text.as_slice()?;
        if let Some(at) = ids.iter().position(|&id| id as usize >= vocab) {
            let what = format!("text: id {} at {at} is not below vocab = {vocab}", ids[at]);
            return Err(PyValueError::new_err(what));
        }
        py.detach(|| source.learn(ids, 0));
        Ok(Self::of(Any::Counts(Ready::new(source, vocab))))
    }

    /// Recycles what targets found likeliest.
    #[staticmethod]
    fn recycled(py: Python<'_>, width: usize, order: usize, contexts: usize, vocab: usize) -> PyResult<Self> {
        let source = Recycled::new(width, order, contexts).map_err(|e| e.into_py_err(py))?;
        Ok(Self::of(Any::Recycled(Ready::new(source, vocab))))
    }

    /// A pair model's.
    #[staticmethod]
    fn pair(drafter: &mut PairDraft) -> Self {
        Self::of(Any::Pair(Box::new(Drafter::new(drafter.core().model()))))
    }

    /// What one has, else what another one has; of both new ones are made.
    #[staticmethod]
    fn cascade(first: &Self, then: &Self) -> Self {
        Self::of(Any::Cascade(Box::new(Cascade::new(first.inner.fresh(), then.inner.fresh()))))
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

    /// How many ids a sequence has.
    fn length(&self, py: Python<'_>, sequence: usize) -> PyResult<usize> {
        self.inner.length(sequence).map_err(|e| e.into_py_err(py))
    }

    /// Appends ids.
    fn append(&mut self, py: Python<'_>, sequence: usize, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.append(sequence, Ids::any(ids)?.as_slice()?).map_err(|e| e.into_py_err(py))
    }

    /// Takes back all ids from `length` on.
    fn truncate(&mut self, py: Python<'_>, sequence: usize, length: usize) -> PyResult<()> {
        self.inner.truncate(sequence, length).map_err(|e| e.into_py_err(py))
    }

    /// Proposes at most `tokens` ids for a sequence and appends them; returns them and the chances that they had.
    #[allow(clippy::type_complexity)]
    fn propose<'py>(
        &mut self,
        py: Python<'py>,
        sequence: usize,
        tokens: usize,
        seed: u64,
    ) -> PyResult<(Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>)> {
        let asks = [Ask { sequence, tokens, sampling: Sampling::default(), random: Philox::new(seed, 0) }];
        let Self { inner, out } = self;
        inner.propose(&asks, false, out).map_err(|e| e.into_py_err(py))?;
        Ok((PyArray1::from_slice(py, &out.ids), PyArray1::from_slice(py, &out.chances)))
    }

    /// How many ids of `tokens` there are for a sequence.
    fn offer(&mut self, py: Python<'_>, sequence: usize, tokens: usize) -> PyResult<usize> {
        self.inner.offer(sequence, tokens).map_err(|e| e.into_py_err(py))
    }

    /// How many of the likeliest ids it wants to be told.
    #[getter]
    fn wants(&self) -> usize {
        self.inner.wants()
    }

    /// The ids that a target found likeliest behind a text; only of what it recycled.
    fn candidates<'py>(&self, py: Python<'py>, text: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let text = Ids::any(text)?;
        Ok(match &self.inner {
            Any::Recycled(it) => PyArray1::from_slice(py, it.source().candidates(text.as_slice()?)),
            _ => PyArray1::from_slice(py, &[]),
        })
    }

    /// What was likeliest behind the last ids of a text.
    fn observe(&mut self, py: Python<'_>, text: &Bound<'_, PyAny>, likeliest: &Bound<'_, PyAny>) -> PyResult<()> {
        let (text, likeliest) = (Ids::any(text)?, Ids::any(likeliest)?);
        self.inner.observe(text.as_slice()?, likeliest.as_slice()?).map_err(|e| e.into_py_err(py))
    }
}
