//! `pair_stats`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_pairconnect::spec::PairSpec;
use thrifty_pairconnect::stats::{HeadStats, stats};

use super::ids::Ids;
use crate::interrupt::long_call;

/// How sequences of `tokens` ids load a table of `spec`, which is JSON.
#[pyfunction]
#[pyo3(signature = (spec, ids, tokens, threads, progress))]
pub(crate) fn pair_stats<'py>(
    py: Python<'py>,
    spec: &str,
    ids: &Bound<'py, PyAny>,
    tokens: usize,
    threads: usize,
    progress: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let spec: PairSpec = serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))?;
    let ids = Ids::new(ids)?;
    let ids = ids.as_slice()?;
    let found = long_call(py, progress, |p| stats(&spec, ids, tokens, threads, p))?;
    let of_heads = |of: fn(&HeadStats) -> u64| found.heads.iter().map(of).collect::<Vec<_>>();
    let out = PyDict::new(py);
    out.set_item("tokens", found.tokens)?;
    out.set_item("pairs", found.pairs)?;
    out.set_item("distinct_pairs", found.distinct_pairs)?;
    out.set_item("bytes_read", found.bytes_read)?;
    out.set_item("collisions_in_all", found.collisions_in_all)?;
    out.set_item("rows_touched", of_heads(|h| h.rows_touched))?;
    out.set_item("load_max", of_heads(|h| h.load_max))?;
    out.set_item("collisions", of_heads(|h| h.collisions))?;
    out.set_item("chi_square", found.heads.iter().map(|h| h.chi_square).collect::<Vec<_>>())?;
    Ok(out)
}
