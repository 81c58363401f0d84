//! Many requests in one call.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_specdec::request::{Handle, Submission};
use thrifty_specdec::scheduler::Scheduler;

use crate::array::vector;
use crate::error::IntoPyErr;

/// What each request has of its own: where its prompt ends, its uid, and how many drafts it gets at most.
pub(super) struct Each<'a, 'py> {
    pub(super) ends: &'a Bound<'py, PyAny>,
    pub(super) uids: &'a Bound<'py, PyAny>,
    pub(super) max_gamma: &'a Bound<'py, PyAny>,
}

/// Submits requests that are alike but for `each`, all or none; the prompts of `wanted` stand one after the other.
pub(super) fn submit_all(
    py: Python<'_>,
    scheduler: &mut Scheduler,
    wanted: &Submission<'_>,
    each: &Each<'_, '_>,
) -> PyResult<Vec<u64>> {
    let ends = vector::<i64>(each.ends, "ends", "int64")?;
    let uids = vector::<u64>(each.uids, "uid", "uint64")?;
    let max_gamma = vector::<u8>(each.max_gamma, "max_gamma", "uint8")?;
    let (ends, uids, max_gamma) = (ends.as_slice()?, uids.as_slice()?, max_gamma.as_slice()?);
    if uids.len() != ends.len() || max_gamma.len() != ends.len() {
        let what = format!("uid, max_gamma: one of each of {} prompts is needed", ends.len());
        return Err(PyValueError::new_err(what));
    }
    // All are looked at before the first is submitted.
    let mut parts = Vec::with_capacity(ends.len());
    let mut begin = 0;
    for &end in ends {
        let Some(prompt) = usize::try_from(end).ok().and_then(|end| wanted.prompt.get(begin..end)) else {
            let what = format!("ends: {end} is not between {begin} and {}", wanted.prompt.len());
            return Err(PyValueError::new_err(what));
        };
        parts.push(prompt);
        begin += prompt.len();
    }
    let mut handles = Vec::with_capacity(ends.len());
    for ((prompt, &uid), &max_gamma) in parts.into_iter().zip(uids).zip(max_gamma) {
        match scheduler.submit(&Submission { prompt, uid, max_gamma, ..*wanted }) {
            Ok(handle) => handles.push(handle.0),
            Err(e) => {
                for handle in handles {
                    scheduler.cancel(Handle(handle)).map_err(|e| e.into_py_err(py))?;
                    scheduler.take(Handle(handle)).map_err(|e| e.into_py_err(py))?;
                }
                return Err(e.into_py_err(py));
            }
        }
    }
    Ok(handles)
}
