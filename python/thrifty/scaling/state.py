"""A fitted law as numbers and texts, and back."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.checked import array, number, text, texts, whole
from thrifty.scaling.draws import Draws
from thrifty.scaling.fitting.certificate import Certificate
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form
from thrifty.scaling.state_choice import chosen_in, chosen_out
from thrifty.scaling.state_runs import MOST_RUNS, runs_in, runs_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["law_of", "state_of"]

MOST_DRAWS = 1_000_000


def state_of(law: ScalingLaw) -> dict[str, Any]:
    """Return what :func:`law_of` makes the same law of: its form, its numbers and the runs that it was fitted to."""
    return {
        "law": {
            "name": law.name_,
            "loss": law.loss,
            "delta": law.delta_,
            "objective": law.objective_,
            "coefficients": dict(law.coef_),
            "form": law.form_.as_dict(),
            "tie": list(law.tie or ()),
            "theta": law.theta_,
            "start": law.start_,
            "centre": dict(law.centre_),
        },
        "chosen": chosen_out(law),
        "certificate": asdict(law.certificate_),
        "draws": None if law.draws_ is None else _draws_out(law.draws_),
        "runs": runs_out(law.runs_)
        | {
            "weights": law.weights_,
            "groups": None if law.groups_ is None else [str(label) for label in law.groups_],
        },
    }


def law_of(state: Mapping[str, Any]) -> ScalingLaw:
    """Return the law of a state.

    Raises
    ------
    ValueError, KeyError, TypeError
        Where the state is none.
    """
    given = state["law"]
    form = Form.of(given["form"])
    text(given["name"], "law.name")
    if given["loss"] not in ("huber_log", "lsq"):
        raise ValueError("law.loss is neither huber_log nor lsq")
    known = NAMED.get(form.name)
    law = ScalingLaw(
        form.name if known == form else form,
        loss=given["loss"],
        delta=number(given["delta"], "law.delta"),
    )
    runs = runs_in(state["runs"])
    weights = array(state["runs"]["weights"], "runs.weights", len(runs))
    if (weights < 0).any() or not weights.any():
        raise ValueError("runs.weights are not all at least 0, or all 0")
    groups = state["runs"]["groups"]
    if groups is not None:
        groups = texts(groups, "runs.groups", len(runs))
    with np.errstate(all="ignore"):
        law.restore(form, runs, weights, groups, *_numbers_of(given, form))
        if not np.isfinite(law.loss_at(runs)).all():
            raise ValueError("law.theta tells no finite losses")
    for name, value in law.coef_.items():
        told = given["coefficients"].get(name)
        if not (isinstance(told, float) and math.isclose(told, value, rel_tol=1e-6, abs_tol=1e-12)):
            raise ValueError(f"law.coefficients: {name} is not what theta says")
    objective = number(given["objective"], "law.objective")
    if not math.isclose(objective, law.objective_, rel_tol=1e-6, abs_tol=1e-12):
        raise ValueError("law.objective is not what theta and the runs say")
    law.objective_ = objective  # sums in another order differ in their last digits
    law.certificate_ = _certificate_in(state["certificate"])
    if state["draws"] is not None:
        law.draws_ = _draws_in(law, state["draws"])
    chosen_in(law, state["chosen"])
    return law


def _numbers_of(given: Mapping[str, Any], form: Form) -> tuple[Values, dict[str, float], Values]:
    """Check theta, the logs that it is measured from, and its start."""
    theta, start = (array(given[name], f"law.{name}", len(form.names)) for name in ("theta", "start"))
    return theta, {text(n, "law.centre"): number(v, "law.centre") for n, v in given["centre"].items()}, start


def _certificate_in(given: Mapping[str, Any]) -> Certificate:
    values: dict[str, Any] = {name: given[name] for name in ("gradient", "condition", "curvature", "spread")}
    if not all(isinstance(value, float) for value in values.values()):
        raise ValueError("certificate: gradient, condition, curvature and spread are numbers")
    values |= {name: whole(given[name], f"certificate.{name}", 10**9) for name in ("basins", "reached", "steps")}
    values |= {name: texts(given[name], f"certificate.{name}") for name in ("at_bounds", "notes")}
    return Certificate(**values)


def _draws_out(draws: Draws) -> dict[str, Any]:
    return {"kind": draws.kind, "units": draws.units, "theta": draws.theta.astype(np.float32)}


def _draws_in(law: ScalingLaw, given: Mapping[str, Any]) -> Draws:
    """Return draws of a law; coefficients are those of their theta."""
    if given["kind"] not in ("case", "cluster", "residual"):
        raise ValueError("draws.kind is none of case, cluster, residual")
    theta = given["theta"]
    count = len(theta) if isinstance(theta, np.ndarray) and theta.ndim == 2 else 0
    if not 1 <= count <= MOST_DRAWS:
        raise ValueError("draws.theta are no draws")
    theta = array(theta, "draws.theta", count, len(law.theta_))
    names = law.form_.names
    return Draws(
        names,
        law.coefficients(theta),
        theta,
        law.coefficients(law.theta_),
        given["kind"],
        whole(given["units"], "draws.units", MOST_RUNS, least=2 if given["kind"] == "cluster" else 1),
        tuple(name in law.form_.linear for name in names),
    )
