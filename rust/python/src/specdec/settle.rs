//! A step verified and committed in one call, for steps that are short: their calls are most of what they cost.

use std::time::Instant;

use numpy::{PyArray3, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_specdec::scheduler::Scheduler;
use thrifty_specdec::verify::{Batch, Drafted, Numbers, Params, verify};

use super::verify::{Source, rule};
use crate::error::IntoPyErr;

/// Milliseconds of a step before its verification: outside the models, of the target, of each drafter.
pub(super) type Before = (f64, f64, Vec<f64>);

/// Settings of requests that none has in a step without penalties.
#[derive(Debug, Default)]
pub(super) struct Room {
    ones: Vec<f32>,
    zeros: Vec<f32>,
    top_k: Vec<i64>,
    position: Vec<i64>,
    p: Vec<f32>,
    accepted: Vec<i64>,
    tokens: Vec<i64>,
    lists: Lists,
}

/// Laws as lists of ids: rows beside scores would be taken for scores.
#[derive(Debug, Default)]
struct Lists {
    indptr: Vec<i64>,
    ids: Vec<u32>,
    chances: Vec<f32>,
}

impl Lists {
    fn fill(&mut self, laws: &PyReadonlyArray3<'_, f32>) -> PyResult<()> {
        let Self { indptr, ids, chances } = self;
        indptr.clear();
        ids.clear();
        chances.clear();
        indptr.push(0);
        for law in laws.as_slice()?.chunks_exact(laws.shape()[2].max(1)) {
            let some = law.iter().enumerate().filter(|(_, p)| **p != 0.0);
            for (id, &p) in some {
                ids.push(id as u32);
                chances.push(p);
            }
            indptr.push(ids.len() as i64);
        }
        Ok(())
    }
}

/// What drafts were drawn from.
enum Laws<'py> {
    /// In [`Lists`].
    Dense,
    Other(Source<'py>),
}

/// Verifies the drafts of all rows of plan `number` that give ids, and takes what comes of it.
pub(super) fn settle(
    py: Python<'_>,
    scheduler: &mut Scheduler,
    room: &mut Room,
    (number, rule_name, seed): (u64, &str, u64),
    scores: &PyReadonlyArray2<'_, f32>,
    drafts: &PyReadonlyArray2<'_, i64>,
    q: Option<&Bound<'_, PyAny>>,
    (host_ms, target_ms, draft_ms): Before,
) -> PyResult<()> {
    let begun = Instant::now();
    let step = scheduler.step();
    let (n, width, vocab) = (step.giving, drafts.shape()[1], scores.shape()[1]);
    let (outputs, wrong) = (step.outputs(), || PyValueError::new_err("drafts, scores: they are not those of the plan"));
    if drafts.shape()[0] != n || scores.shape()[0] != outputs || !scores.is_c_contiguous() || step.number != number {
        return Err(wrong());
    }
    let Room { ones, zeros, top_k, position, p, accepted, tokens, lists } = room;
    let scores = scores.as_slice()?;
    let rows = if outputs == n * (width + 1) {
        scores
    } else {
        p.clear();
        p.resize(n * (width + 1) * vocab, 0.0);
        let mut from = 0;
        for (row, p) in p.chunks_exact_mut((width + 1) * vocab).enumerate() {
            let size = (usize::from(step.gamma[row]) + 1) * vocab;
            p.get_mut(..size).ok_or_else(wrong)?.copy_from_slice(&scores[from..from + size]);
            from += size;
        }
        p
    };
    ones.resize(n, 1.0);
    zeros.resize(n, 0.0);
    top_k.clear();
    top_k.extend(step.top_k[..n].iter().map(|&k| i64::from(k)));
    position.clear();
    position.extend((0..n).map(|row| step.next(row) as i64));
    let q = match q.map(|q| q.cast::<PyArray3<f32>>()) {
        Some(Ok(laws)) => {
            lists.fill(&laws.readonly())?;
            Laws::Dense
        }
        _ => Laws::Other(Source::new(q)?),
    };
    let batch = Batch {
        vocab,
        width,
        p: Numbers::F32(rows),
        q: match &q {
            Laws::Dense => Drafted::Sparse { indptr: &lists.indptr, ids: &lists.ids, chances: &lists.chances },
            Laws::Other(q) => q.drafted()?,
        },
        draft: drafts.as_slice()?,
        uid: &step.uids[..n],
        position,
        scores: Some(Params {
            temperature: &step.temperature[..n],
            top_k,
            top_p: &step.top_p[..n],
            min_p: &step.min_p[..n],
            repetition_penalty: ones,
            presence_penalty: zeros,
            frequency_penalty: zeros,
            indptr: &[],
            prefix: &[],
        }),
        q_lse: None,
        q_token: None,
    };
    batch.check().map_err(|e| e.into_py_err(py))?;
    accepted.clear();
    accepted.resize(n, 0);
    tokens.clear();
    tokens.resize(n * (width + 1), -1);
    verify(&batch, rule(rule_name)?, seed, 1, &Progress::new(), accepted, tokens).map_err(|e| e.into_py_err(py))?;
    let verified = 1e3 * begun.elapsed().as_secs_f64();
    scheduler.timed((host_ms + verified).max(0.0), target_ms, &draft_ms).map_err(|e| e.into_py_err(py))?;
    // Rows are as long as what was drafted for them, so all of it was proposed.
    scheduler.commit(number, None, accepted, tokens, width + 1).map_err(|e| e.into_py_err(py))
}
