//! The analytical model of what steps take.

use pyo3::prelude::*;
use thrifty_specdec::Result;
use thrifty_specdec::latency::{self, Knots, LatencyCurve, Learned};
use thrifty_specdec::policy::rivals::ByBatch;
use thrifty_specdec::policy::{Planner, Policy, Settings as Planning};
use thrifty_specdec::times::Times;

use crate::error::IntoPyErr;

/// `thrifty.specdec.LatencyCurve`, by its attributes.
#[derive(FromPyObject)]
pub(crate) struct Curve {
    draft_layers: u32,
    draft_ms_per_layer: f64,
    draft_overhead_ms: f64,
    weights_ms: f64,
    compute_ms_per_token: f64,
    overhead_ms: f64,
}

impl From<Curve> for LatencyCurve {
    fn from(curve: Curve) -> Self {
        Self {
            draft_layers: curve.draft_layers,
            draft_ms_per_layer: curve.draft_ms_per_layer,
            draft_overhead_ms: curve.draft_overhead_ms,
            weights_ms: curve.weights_ms,
            compute_ms_per_token: curve.compute_ms_per_token,
            overhead_ms: curve.overhead_ms,
        }
    }
}

/// Without curves `gamma` drafts always; else the planner, which knows what each drafter takes.
pub(super) fn policy(gamma: u8, curves: Vec<Curve>, alphas: &[f32], max_gamma: u8) -> Result<Box<dyn Policy>> {
    let curves: Vec<LatencyCurve> = curves.into_iter().map(LatencyCurve::from).collect();
    let Some(first) = curves.first() else { return Ok(Box::new(ByBatch::fixed(gamma)?)) };
    let verify = Learned::new(Knots::of_verify(first, &[])?, 0.0)?;
    let drafts = curves.iter().map(|curve| Learned::new(Knots::of_draft(curve)?, 0.0)).collect::<Result<_>>()?;
    let times = Times::new(0.0, verify, drafts)?;
    Ok(Box::new(Planner::new(Planning { max_gamma, probe: true }, times, alphas)?))
}

/// Refuse times that are none.
#[pyfunction]
pub(crate) fn specdec_check_curve(py: Python<'_>, curve: Curve) -> PyResult<()> {
    LatencyCurve::from(curve).check().map_err(|e| e.into_py_err(py))
}

/// The gamma with most tokens a millisecond, and that many.
#[pyfunction]
pub(crate) fn specdec_best_gamma(
    py: Python<'_>,
    alpha: f64,
    batch: u32,
    latency: Curve,
    max_gamma: u32,
) -> PyResult<(u32, f64)> {
    let best = latency::best_gamma(alpha, batch, &latency.into(), max_gamma).map_err(|e| e.into_py_err(py))?;
    Ok((best.gamma, best.tokens_per_ms))
}

/// Ids that a verification commits.
#[pyfunction]
pub(crate) fn specdec_tau(py: Python<'_>, alpha: f64, gamma: u32) -> PyResult<f64> {
    latency::tau(alpha, gamma).map_err(|e| e.into_py_err(py))
}

/// The tau above which drafts are better than none.
#[pyfunction]
pub(crate) fn specdec_break_even_tau(py: Python<'_>, gamma: u32, batch: u32, latency: Curve) -> PyResult<f64> {
    latency::break_even_tau(gamma, batch, &latency.into()).map_err(|e| e.into_py_err(py))
}

/// The least alpha at which a draft is better than none.
#[pyfunction]
pub(crate) fn specdec_break_even_alpha(
    py: Python<'_>,
    batch: u32,
    latency: Curve,
    max_gamma: u32,
) -> PyResult<Option<f64>> {
    latency::break_even_alpha(batch, &latency.into(), max_gamma).map_err(|e| e.into_py_err(py))
}

/// The tau that a candidate needs.
#[pyfunction]
pub(crate) fn specdec_needed_tau(
    py: Python<'_>,
    tau: f64,
    gamma: u32,
    batch: u32,
    latency: Curve,
    candidate: Curve,
    candidate_gamma: u32,
) -> PyResult<f64> {
    latency::needed_tau(tau, gamma, batch, &latency.into(), &candidate.into(), candidate_gamma)
        .map_err(|e| e.into_py_err(py))
}
