//! Drafts that stay where they were made until they are settled.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use thrifty_specdec::sequences::Drafts;
use thrifty_specdec::step::Step;

use super::feed::SpecFeed;

/// What there is to know of the drafts of a plan beside its tokens.
#[derive(Default)]
pub(super) enum Held {
    #[default]
    Nothing,
    Lists(Drafts),
    Fed(Py<SpecFeed>),
}

impl Held {
    /// Room for lists.
    pub(super) fn lists(&mut self) -> &mut Drafts {
        if !matches!(self, Self::Lists(_)) {
            *self = Self::Lists(Drafts::default());
        }
        match self {
            Self::Lists(drafts) => drafts,
            _ => unreachable!("it was made lists"),
        }
    }
}

/// The drafts in the tokens of a step: `width` places a row that gives ids, -1 behind the last.
pub(super) fn drafts_of(step: &Step, width: usize, out: &mut Vec<i64>) {
    out.clear();
    out.resize(step.giving * width, -1);
    for row in 0..step.giving {
        let (gamma, end) = (usize::from(step.gamma[row]), step.first[row + 1] as usize);
        let known = step.tokens[end - gamma..end].iter();
        out[row * width..].iter_mut().zip(known).for_each(|(to, &id)| *to = i64::from(id));
    }
}

/// What is held as arrays: ids, and their laws: none, lists (where each ends, ids, chances), or rows.
pub(super) fn as_arrays<'py>(
    py: Python<'py>,
    step: &Step,
    held: &Held,
) -> PyResult<(Bound<'py, PyArray2<i64>>, Bound<'py, PyAny>)> {
    let (n, width) = (step.giving, usize::from(step.asks().0));
    let mut ids = Vec::new();
    drafts_of(step, width, &mut ids);
    let laws = match held {
        Held::Nothing => py.None().into_bound(py),
        Held::Lists(Drafts { ends, law_ids, law, .. }) => {
            let lists =
                (PyArray1::from_slice(py, ends), PyArray1::from_slice(py, law_ids), PyArray1::from_slice(py, law));
            lists.into_pyobject(py)?.into_any()
        }
        Held::Fed(feed) => {
            let feed = feed.borrow(py);
            let (laws, width) = feed.inner.laws();
            PyArray1::from_slice(py, laws).reshape([n, width, laws.len() / (n * width).max(1)])?.into_any()
        }
    };
    Ok((ids.into_pyarray(py).reshape([n, width])?, laws))
}
