//! What drafters propose for a step, as arrays that are the memory it was written to.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::draft::{Children, Draft, Hopes};
use thrifty_base::noise::Purpose;
use thrifty_specdec::scheduler::Scheduler;
use thrifty_specdec::sequences::{self, Drafts, Sequences};

use crate::error::IntoPyErr;
use crate::pairconnect::PairDraft;
use crate::specdec::drafts::SpecDraft;

/// Ids, where laws end, their ids and probabilities.
pub(super) type Proposed<'py> =
    (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<f32>>);

/// The same of trees, with parents behind the ids.
pub(super) type ProposedTrees<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<f32>>,
);

fn of(sequences: &mut [Sequences], which: u8) -> PyResult<&mut Sequences> {
    let unknown = || PyValueError::new_err(format!("which: there is no drafter {which}"));
    sequences.get_mut(usize::from(which)).ok_or_else(unknown)
}

/// Asks drafter `which` for chains.
pub(super) fn proposed(
    py: Python<'_>,
    scheduler: &Scheduler,
    sequences: &mut [Sequences],
    which: u8,
    drafter: &Bound<'_, PyAny>,
    random: (u64, Purpose),
    laws: bool,
    out: &mut Drafts,
) -> PyResult<()> {
    let sequences = of(sequences, which)?;
    if let Ok(drafter) = drafter.cast::<SpecDraft>() {
        let drafter = &mut *drafter.borrow_mut();
        py.detach(|| sequences.propose(scheduler, which, random, drafter.core(), laws, out))
            .map_err(|e| e.into_py_err(py))
    } else {
        let drafter = &mut *drafter.cast::<PairDraft>()?.borrow_mut();
        py.detach(|| sequences.propose(scheduler, which, random, drafter.core(), laws, out))
            .map_err(|e| e.into_py_err(py))
    }
}

/// [`proposed`] as arrays.
pub(super) fn chains<'py>(
    py: Python<'py>,
    scheduler: &Scheduler,
    sequences: &mut [Sequences],
    which: u8,
    drafter: &Bound<'py, PyAny>,
    random: (u64, Purpose),
    laws: bool,
) -> PyResult<Proposed<'py>> {
    let mut drafts = Drafts::default();
    proposed(py, scheduler, sequences, which, drafter, random, laws, &mut drafts)?;
    let Drafts { ids, ends, law_ids, law, .. } = drafts;
    Ok((ids.into_pyarray(py), ends.into_pyarray(py), law_ids.into_pyarray(py), law.into_pyarray(py)))
}

/// How siblings come about, by its name.
pub(super) fn children_of(name: &str) -> PyResult<Children> {
    match name {
        "drawn" => Ok(Children::Drawn),
        "shared" => Ok(Children::Shared),
        "likeliest" => Ok(Children::Likeliest),
        other => Err(PyValueError::new_err(format!("children: {other:?} is none of drawn, shared, likeliest"))),
    }
}

/// Asks drafter `which` for trees.
pub(super) fn trees<'py>(
    py: Python<'py>,
    scheduler: &Scheduler,
    sequences: &mut [Sequences],
    which: u8,
    drafter: &mut PairDraft,
    growth: (u64, Children, Hopes),
    laws: bool,
) -> PyResult<ProposedTrees<'py>> {
    let (sequences, mut drafts) = (of(sequences, which)?, Drafts::default());
    let (drafter, out) = (drafter.core(), &mut drafts);
    py.detach(|| sequences.propose_trees(scheduler, which, growth, drafter, laws, out))
        .map_err(|e| e.into_py_err(py))?;
    let Drafts { ids, parents, ends, law_ids, law, .. } = drafts;
    Ok((
        ids.into_pyarray(py),
        parents.into_pyarray(py),
        ends.into_pyarray(py),
        law_ids.into_pyarray(py),
        law.into_pyarray(py),
    ))
}

/// Tells a drafter what was likeliest behind each token whose scores were needed: these are they.
pub(super) fn observe(
    py: Python<'_>,
    scheduler: &Scheduler,
    drafter: &Bound<'_, SpecDraft>,
    scores: &PyReadonlyArray2<'_, f32>,
) -> PyResult<()> {
    let drafter = &mut *drafter.borrow_mut();
    let (outputs, vocab, wants) = (scheduler.step().outputs(), scores.shape()[1], drafter.core().wants());
    if !scores.is_c_contiguous() || scores.shape()[0] != outputs || vocab < wants {
        let what = format!("scores: shape {:?}; ({outputs}, at least {wants}) is needed", scores.shape());
        return Err(PyValueError::new_err(what));
    }
    let scores = scores.as_slice()?;
    let mut likeliest = Vec::with_capacity(outputs * wants);
    py.detach(|| {
        for row in scores.chunks_exact(vocab) {
            sequences::likeliest(row, wants, &mut likeliest);
        }
        sequences::observe(scheduler, drafter.core(), &likeliest)
    })
    .map_err(|e| e.into_py_err(py))
}
