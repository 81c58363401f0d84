"""A fitted law as numbers and texts, and back."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.laws import NAMED, Form
from thrifty.scaling.runs import Runs, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["law_of", "state_of"]

#: Runs, draws, and letters of a text.
MOST_RUNS, MOST_DRAWS, MOST_LETTERS = 1_000_000, 1_000_000, 10_000
ARRAYS = ("n_params", "n_tokens", "loss", "d_model", "n_layers")


def state_of(law: ScalingLaw) -> dict[str, Any]:
    """Return what :func:`law_of` makes the same law of: its form, its numbers and the runs that it was fitted to."""
    return {
        "law": {
            "name": law.name_,
            "loss": law.loss,
            "delta": float(law.delta),
            "objective": law.objective_,
            "coefficients": dict(law.coef_),
            "form": law.form_.as_dict(),
            "tie": list(law.tie or ()),
            "theta": law.theta_,
            "centre": dict(law.centre_),
        },
        "runs": _runs_out(law.runs_)
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
    runs = _runs_in(state["runs"])
    weights = array(state["runs"]["weights"], "runs.weights", len(runs))
    if (weights < 0).any() or not weights.any():
        raise ValueError("runs.weights are not all at least 0, or all 0")
    groups = state["runs"]["groups"]
    if groups is not None:
        groups = texts(groups, "runs.groups", len(runs))
    theta = array(given["theta"], "law.theta", len(form.names))
    centre = {text(name, "law.centre"): number(value, "law.centre") for name, value in given["centre"].items()}
    law.restore(form, runs, weights, groups, theta, centre)
    for name, value in law.coef_.items():
        told = given["coefficients"].get(name)
        if not (isinstance(told, float) and math.isclose(told, value, rel_tol=1e-6, abs_tol=1e-12)):
            raise ValueError(f"law.coefficients: {name} is not what theta says")
    objective = number(given["objective"], "law.objective")
    if not math.isclose(objective, law.objective_, rel_tol=1e-6, abs_tol=1e-12):
        raise ValueError("law.objective is not what theta and the runs say")
    law.objective_ = objective  # sums in another order differ in their last digits
    return law


def _runs_out(runs: Runs) -> dict[str, Any]:
    return {
        "source": asdict(runs.source),
        "rows": len(runs),
        "counted": runs.counted,
        "columns": {name: getattr(runs, name) for name in ARRAYS},
        "sizes": dict(runs.sizes),
        "names": list(runs.names),
        "lines": runs.lines,
        "notes": list(runs.notes),
    }


def _runs_in(given: Mapping[str, Any]) -> Runs:
    rows = given["rows"]
    if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= MOST_RUNS:
        raise ValueError("runs.rows is no number of runs")
    if given["counted"] not in ("total", "non_embedding"):
        raise ValueError("runs.counted is neither total nor non_embedding")
    columns = {}
    for name in ARRAYS:
        values = given["columns"][name]
        columns[name] = None if values is None and name not in ARRAYS[:3] else positive(values, name, rows)
    sizes = {text(kind, "runs.sizes"): positive(values, "runs.sizes", rows) for kind, values in given["sizes"].items()}
    if set(sizes) - {"total", "non_embedding"}:
        raise ValueError("runs.sizes are neither total nor non_embedding")
    names = texts(given["names"], "runs.names", rows) if given["names"] else ()
    lines = given["lines"]
    if lines is not None and not (isinstance(lines, np.ndarray) and lines.dtype == np.int64 and lines.shape == (rows,)):
        raise ValueError("runs.lines are no whole numbers of all runs")
    source = given["source"]
    return Runs(
        **columns,
        names=names,
        columns={"run": names} if names else {},
        lines=lines,
        counted=given["counted"],
        source=Source(
            text(source["path"], "source.path"),
            text(source["sha256"], "source.sha256"),
            _pairs(source["where"]),
            _pairs(source["columns"]),
            text(source["unit"], "source.unit"),
        ),
        sizes=sizes,
        notes=tuple(text(note, "runs.notes") for note in given["notes"]),
    )


def _pairs(given: Any) -> tuple[tuple[str, str], ...]:
    return tuple((text(first, "source"), text(second, "source")) for first, second in given)


def text(value: Any, what: str) -> str:
    """Check a text."""
    if not isinstance(value, str) or len(value) > MOST_LETTERS:
        raise ValueError(f"{what} is no text of at most {MOST_LETTERS:,} letters")
    return value


def texts(values: Any, what: str, size: int) -> tuple[str, ...]:
    """Check a list of so many texts."""
    if not isinstance(values, list) or len(values) != size:
        raise ValueError(f"{what} are no {size} texts")
    return tuple(text(value, what) for value in values)


def number(value: Any, what: str) -> float:
    """Check a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{what} is no finite number")
    return float(value)


def array(values: Any, what: str, *shape: int) -> NDArray[np.float64]:
    """Check an array of finite numbers of a shape."""
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype.kind != "f":
        raise ValueError(f"{what} is no array of numbers of shape {shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} has numbers that are not finite")
    return values.astype(np.float64)


def positive(values: Any, what: str, rows: int) -> NDArray[np.float64]:
    """Check an array of finite numbers above 0."""
    found = array(values, what, rows)
    if not (found > 0).all():
        raise ValueError(f"{what} has numbers that are not above 0")
    return found
