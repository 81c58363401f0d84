//! A step verified and committed in one call, for steps that are short: their calls are most of what they cost.

use std::time::Instant;

use numpy::{PyArray3, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_specdec::scheduler::Scheduler;
use thrifty_specdec::sequences::Drafts;
use thrifty_specdec::verify::{Batch, Drafted, Numbers, Params, Rule, verify};

use super::held::{Held, drafts_of};
use super::verify::Source;
use crate::array::Floats;
use crate::error::IntoPyErr;

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
}

/// Verifies the drafts of all rows of plan `number` that give ids, which were drawn from `q`, or from what is held of them
/// where there is `held`; and takes what comes of it. Scores are those of its outputs, or of so many ids of each row: of
/// all, or as many of the last.
pub(super) fn settle(
    py: Python<'_>,
    scheduler: &mut Scheduler,
    room: &mut Room,
    (number, rule, seed): (u64, Rule, u64),
    (scores, each): (&Floats<'_>, Option<usize>),
    (q, held): (Option<&Bound<'_, PyAny>>, Option<&Held>),
    (host_ms, target_ms, draft_ms): (f64, f64, &[f64]),
) -> PyResult<()> {
    let begun = Instant::now();
    let step = scheduler.step();
    let (n, outputs, width) = (step.giving, step.outputs(), usize::from(step.asks().0));
    let scores = scores.as_slice()?;
    let vocab = scheduler.settings().vocab as usize;
    let given = each.map_or(outputs, |each| n * each);
    if scores.len() != given * vocab || step.number != number {
        let what = format!("scores: {} numbers; {given} rows of {vocab} are those of the plan", scores.len());
        return Err(PyValueError::new_err(what));
    }
    let Room { ones, zeros, top_k, position, p, draft, accepted, tokens } = room;
    drafts_of(step, width, draft);
    let rows = if outputs == n * (width + 1) && given == outputs {
        scores
    } else {
        p.clear();
        p.resize(n * (width + 1) * vocab, 0.0);
        let mut from = 0;
        for (row, p) in p.chunks_exact_mut((width + 1) * vocab).enumerate() {
            let size = usize::from(step.gamma[row]) + 1;
            if let Some(each) = each {
                let count = (step.first[row + 1] - step.first[row]) as usize;
                from = row * each + count.min(each) - size;
            }
            p[..size * vocab].copy_from_slice(&scores[from * vocab..][..size * vocab]);
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
            Drafted::Laws(fed.inner.laws().0)
        }
        (Some(q), _) => match q.cast::<PyArray3<f32>>() {
            Ok(dense) => {
                laws = dense.readonly();
                Drafted::Laws(laws.as_slice()?)
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
    accepted.clear();
    accepted.resize(n, 0);
    tokens.clear();
    tokens.resize(n * (width + 1), -1);
    verify(&batch, rule, seed, 1, &Progress::new(), accepted, tokens).map_err(|e| e.into_py_err(py))?;
    let verified = 1e3 * begun.elapsed().as_secs_f64();
    scheduler.timed((host_ms + verified).max(0.0), target_ms, draft_ms).map_err(|e| e.into_py_err(py))?;
    // Rows are as long as what was drafted for them, so all of it was proposed.
    scheduler.commit(number, None, accepted, tokens, width + 1).map_err(|e| e.into_py_err(py))
}
