"""How a law was chosen, as numbers and texts, and back."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.checked import array, listed, number, text, texts, whole
from thrifty.scaling.choosing import Candidate
from thrifty.scaling.domain import Domain
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import Form
from thrifty.scaling.rivals import Rival
from thrifty.scaling.shifts import Shifts
from thrifty.scaling.state_runs import MOST_RUNS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["chosen_in", "chosen_out"]


def chosen_out(law: ScalingLaw) -> dict[str, Any]:
    """Return what choosing has shown: errors of runs left out, shifts, rivals, and the table of candidates."""
    return {
        "surprise": {column: list(values) for column, values in law.surprise_.items()},
        "shifts": None if law.shifts_ is None else {"column": law.shifts_.column, "by": dict(law.shifts_.by)},
        "rivals": [
            {
                "form": rival.law.form_.as_dict(),
                "loss": rival.law.loss,
                "delta": rival.law.delta_,
                "theta": rival.law.theta_,
                "centre": dict(rival.law.centre_),
                "surprise": {column: list(values) for column, values in rival.law.surprise_.items()},
                "weight": rival.weight,
            }
            for rival in law.rivals_
        ],
        "domain": None if law.domain_ is None else asdict(law.domain_),
        "table": [asdict(candidate) for candidate in law.choice_],
        "advice": list(law.advice_),
    }


def chosen_in(law: ScalingLaw, given: Mapping[str, Any]) -> None:
    """Give a law what :func:`chosen_out` returned; a ValueError, KeyError or TypeError where it is not that."""
    law.surprise_ = _surprise_in(given["surprise"])
    law.shifts_ = None if given["shifts"] is None else _shifts_in(given["shifts"])
    law.rivals_ = tuple(_rival_in(law, rival) for rival in listed(given["rivals"], "chosen.rivals"))
    law.domain_ = None if given["domain"] is None else _domain_in(given["domain"])
    law.choice_ = tuple(_candidate_in(row) for row in listed(given["table"], "chosen.table"))
    law.advice_ = texts(given["advice"], "chosen.advice")


def _shifts_in(given: Mapping[str, Any]) -> Shifts:
    by = {text(value, "chosen.shifts"): number(shift, "chosen.shifts") for value, shift in given["by"].items()}
    if len(by) < 2:
        raise ValueError("chosen.shifts are of two values or more")
    return Shifts(text(given["column"], "chosen.shifts"), by)


def _domain_in(given: Mapping[str, Any]) -> Domain:
    values = {
        name: number(given[name], "chosen.domain") for name in ("least", "slope", "variance", "freedom", "farthest")
    }
    if min(values["least"], values["freedom"], values["farthest"]) <= 0 or values["variance"] < 0:
        raise ValueError("chosen.domain has numbers that are not above 0")
    return Domain(rows=whole(given["rows"], "chosen.domain", MOST_RUNS, least=1), **values)


def _surprise_in(given: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    surprise = {
        text(column, "chosen.surprise"): tuple(number(v, "chosen.surprise") for v in listed(values, "chosen.surprise"))
        for column, values in given.items()
    }
    if set(surprise) - {"n_params", "n_tokens", "d_model", "n_layers"} or any(
        value < 0 for values in surprise.values() for value in values
    ):
        raise ValueError("chosen.surprise is not of columns, or below 0")
    return surprise


def _rival_in(law: ScalingLaw, given: Mapping[str, Any]) -> Rival:
    form = Form.of(given["form"])
    theta = array(given["theta"], "chosen.rivals", len(form.names))
    centre = {text(name, "chosen.rivals"): number(value, "chosen.rivals") for name, value in given["centre"].items()}
    if given["loss"] not in ("huber_log", "lsq"):
        raise ValueError("chosen.rivals: loss is neither huber_log nor lsq")
    weight = number(given["weight"], "chosen.rivals")
    if not 0 <= weight <= 1:
        raise ValueError("chosen.rivals: weights are 0 to 1")
    rival = ScalingLaw(form, loss=given["loss"], delta=number(given["delta"], "chosen.rivals"))
    with np.errstate(all="ignore"):
        rival.restore(form, law.runs_, law.weights_, law.groups_, theta, centre, theta)
        if not np.isfinite(rival.loss_at(law.runs_)).all():
            raise ValueError("chosen.rivals tell no finite losses")
    rival.surprise_ = _surprise_in(given["surprise"])
    return Rival(rival, weight)


def _candidate_in(given: Mapping[str, Any]) -> Candidate:
    error = given["error"]
    if not isinstance(error, float) or math.isinf(error):
        raise ValueError("chosen.table has an error that is no number")
    largest = {text(cut, "chosen.table"): number(value, "chosen.table") for cut, value in given["largest"].items()}
    return Candidate(
        text(given["law"], "chosen.table"),
        whole(given["coefficients"], "chosen.table", 100),
        error,
        largest,
        text(given["why"], "chosen.table"),
    )
