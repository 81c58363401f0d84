//! A step verified and committed in one call, for steps that are short: their calls are most of what they cost.

use std::time::Instant;

use numpy::{PyArray3, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use thrifty_base::progress::Progress;
use thrifty_specdec::scheduler::Scheduler;
use thrifty_specdec::sequences::Drafts;
use thrifty_specdec::step::Step;
use thrifty_specdec::verify::{Batch, Drafted, Numbers, Params, Rule, verify};

use super::held::{Held, drafts_of};
use super::verify::Source;
use crate::array::Floats;
use crate::error::IntoPyErr;

/// Milliseconds of a step before its verification: outside the models, of the target, of each drafter.
pub(super) type Before<'a, 'py> = (f64, f64, &'a Bound<'py, PyList>);

/// Whether a rule asks what drafts were drawn from.
pub(super) fn looks_at_laws(rule: Rule) -> bool {
    matches!(rule, Rule::Token | Rule::Block)
}

/// Room that is used again, and settings that no request has in a step without penalties.
#[derive(Debug, Default)]
pub(super) struct Room {
    ones: Vec<f32>,
    zeros: Vec<f32>,
    top_k: Vec<i64>,
    position: Vec<i64>,
    p: Vec<f32>,
    draft: Vec<i64>,
    accepted: Vec<i64>,
    tokens: Vec<i64>,
    times: Vec<f64>,
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
    /// Those of the drafts of a step, of `width` laws of `vocab` numbers a row.
    fn fill(&mut self, step: &Step, laws: &[f32], width: usize, vocab: usize) {
        let Self { indptr, ids, chances } = self;
        indptr.clear();
        ids.clear();
        chances.clear();
        indptr.push(0);
        for (row, laws) in laws.chunks_exact((width * vocab).max(1)).enumerate().take(step.giving) {
            for (place, law) in laws.chunks_exact(vocab).enumerate() {
                let drafted = place < usize::from(step.gamma[row]);
                let some = law.iter().enumerate().filter(|(_, p)| drafted && **p != 0.0);
                for (id, &p) in some {
                    ids.push(id as u32);
                    chances.push(p);
                }
                indptr.push(ids.len() as i64);
            }
        }
    }

    fn drafted(&self) -> Drafted<'_> {
        Drafted::Sparse { indptr: &self.indptr, ids: &self.ids, chances: &self.chances }
    }
}

/// Verifies the drafts of all rows of plan `number` that give ids, which were drawn from `q`, or from what is held of them
/// where there is `held`; and takes what comes of it.
pub(super) fn settle(
    py: Python<'_>,
    scheduler: &mut Scheduler,
    room: &mut Room,
    (number, rule, seed): (u64, Rule, u64),
    scores: &Floats<'_>,
    (q, held): (Option<&Bound<'_, PyAny>>, Option<&Held>),
    (host_ms, target_ms, draft_ms): Before<'_, '_>,
) -> PyResult<()> {
    let begun = Instant::now();
    let step = scheduler.step();
    let (n, outputs, width) = (step.giving, step.outputs(), usize::from(step.asks().0));
    let scores = scores.as_slice()?;
    let vocab = scheduler.settings().vocab as usize;
    if scores.len() != outputs * vocab || step.number != number {
        let what = format!("scores: {} numbers; {outputs} rows of {vocab} are those of the plan", scores.len());
        return Err(PyValueError::new_err(what));
    }
    let Room { ones, zeros, top_k, position, p, draft, accepted, tokens, times, lists } = room;
    drafts_of(step, width, draft);
    let rows = if outputs == n * (width + 1) {
        scores
    } else {
        p.clear();
        p.resize(n * (width + 1) * vocab, 0.0);
        let mut from = 0;
        for (row, p) in p.chunks_exact_mut((width + 1) * vocab).enumerate() {
            let size = (usize::from(step.gamma[row]) + 1) * vocab;
            p[..size].copy_from_slice(&scores[from..from + size]);
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
    let looked_at = looks_at_laws(rule) && width > 0;
    let (laws, fed, source);
    let q = match (q, held) {
        (None, None | Some(Held::Nothing)) => Drafted::Certain,
        _ if !looked_at => Drafted::Certain,
        (None, Some(Held::Lists(Drafts { ends, law_ids, law, .. }))) => {
            Drafted::Sparse { indptr: ends, ids: law_ids, chances: law }
        }
        (None, Some(Held::Fed(feed))) => {
            fed = feed.borrow(py);
            let (laws, width, vocab) = fed.inner.laws();
            lists.fill(step, laws, width, vocab);
            lists.drafted()
        }
        (Some(q), _) => match q.cast::<PyArray3<f32>>() {
            Ok(dense) => {
                laws = dense.readonly();
                lists.fill(step, laws.as_slice()?, dense.shape()[1], dense.shape()[2]);
                lists.drafted()
            }
            Err(_) => {
                source = Source::new(Some(q))?;
                source.drafted()?
            }
        },
    };
    let batch = Batch {
        vocab,
        width,
        p: Numbers::F32(rows),
        q,
        draft,
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
    verify(&batch, rule, seed, 1, &Progress::new(), accepted, tokens).map_err(|e| e.into_py_err(py))?;
    let verified = 1e3 * begun.elapsed().as_secs_f64();
    times.clear();
    for ms in draft_ms {
        times.push(ms.extract()?);
    }
    scheduler.timed((host_ms + verified).max(0.0), target_ms, times).map_err(|e| e.into_py_err(py))?;
    // Rows are as long as what was drafted for them, so all of it was proposed.
    scheduler.commit(number, None, accepted, tokens, width + 1).map_err(|e| e.into_py_err(py))
}
