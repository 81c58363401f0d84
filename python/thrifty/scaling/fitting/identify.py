"""Whether runs can tell the coefficients of a law at all."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.laws.form import Power

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.laws.form import Form, Term

    Values = NDArray[np.float64]

__all__ = ["SPARE", "WORST", "check_condition", "check_runs"]

#: Runs that a fit needs beyond its coefficients.
SPARE = 3
#: Columns of runs are on one line, or are one value, when they are within this of it, by factors.
ALIKE = 0.1
#: The worst condition of the derivatives, each of length 1.
WORST = 1e4

MORE = {
    "n_params": "models of other sizes",
    "n_tokens": "runs with other numbers of tokens",
    "d_model": "models of other widths",
    "n_layers": "models of other depths",
    "ratio": "models of other shapes (d_model / n_layers)",
}


def check_runs(form: Form, logs: Mapping[str, Values]) -> None:
    """Raise :class:`NotIdentifiable` where runs (those that weigh something) are too few or too much alike."""
    count = len(next(iter(logs.values())))
    if count < len(form.names) + SPARE:
        raise NotIdentifiable(
            f"the law {form.name} has {len(form.names)} coefficients and needs {len(form.names) + SPARE} runs or more,"
            f" got {count}: add runs, or take a law of fewer coefficients"
        )
    for term in form.terms:
        for column, _ in term.powers:
            if np.ptp(logs[column]) < math.log1p(ALIKE):
                raise NotIdentifiable(
                    f"{column} is the same in all runs, within {100 * ALIKE:.0f} %, so {term.coefficient} and"
                    f" {_other(form, term)} can't be told apart: add {MORE[column]}"
                )
    shape = form.shape
    column = shape.column if isinstance(shape, Power) else "ratio"
    needed = 2 if isinstance(shape, Power) else 3
    if shape is not None and _different(logs[column]) < needed:
        rest = shape.exponent if isinstance(shape, Power) else shape.centre
        raise NotIdentifiable(
            f"{shape.coefficient} and {rest} can't be told: runs have {_different(logs[column])} of {column}, and"
            f" {needed} are needed: take a law without the shape's factor (chinchilla), or add {MORE[column]}"
        )
    for a, b in itertools.combinations([t for t in form.terms if len(t.powers) == 1], 2):
        (one, alpha), (other, beta) = a.powers[0], b.powers[0]
        if alpha != beta and one != other and _on_a_line(logs[one], logs[other]):
            raise NotIdentifiable(
                f"{alpha} and {beta} can't be told apart: in all runs {other} follows from {one}, within"
                f' {100 * ALIKE:.0f} %: tie=("{alpha}", "{beta}") makes them one, or add {_ratios(one, other)}'
            )


def check_condition(form: Form, condition: float, weakest: Values) -> None:
    """Raise :class:`NotIdentifiable` where losses hardly change along a direction ``weakest`` of the coefficients."""
    if condition <= WORST:
        return
    first, second = (form.names[i] for i in sorted(np.argsort(-np.abs(weakest))[:2]))
    of_shape = () if form.shape is None else tuple(vars(form.shape).values())
    if {first, second} & set(of_shape) - {e for t in form.terms for _, e in t.powers}:
        what = "take a law without the shape's factor, or add models of other shapes (d_model / n_layers)"
    else:
        terms = [t for t in form.terms if t.powers]
        columns = [
            c for t in terms if {first, second} & {t.coefficient, *(e for _, e in t.powers)} for c, _ in t.powers
        ]
        exponents = list(dict.fromkeys(e for t in terms for _, e in t.powers))
        tie = f'tie=("{exponents[0]}", "{exponents[1]}"), or ' if len(exponents) > 1 else ""
        what = f"{tie}add {' and '.join(MORE[c] for c in dict.fromkeys(columns)) or 'runs'}"
    raise NotIdentifiable(
        f"{first} and {second} can't be told apart by these runs (condition {condition:.2g}, at most {WORST:.0g}):"
        f" {what}"
    )


def _other(form: Form, term: Term) -> str:
    """Name what a term is mixed up with when its column does not change: the constant, or its own exponent."""
    constant = [t.coefficient for t in form.terms if not t.powers]
    return constant[0] if constant else term.powers[0][1]


def _different(values: Values) -> int:
    """Count values that are apart."""
    return 1 + int((np.diff(np.sort(values)) > 1e-6).sum())


def _on_a_line(x: Values, y: Values) -> bool:
    """Whether logs rise together along a line."""
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    return bool(slope > 0 and float(np.sqrt(((y - slope * x) ** 2).mean())) < ALIKE)


def _ratios(one: str, other: str) -> str:
    if {one, other} == {"n_params", "n_tokens"}:
        return "runs with more tokens, or fewer, for each parameter"
    return f"{MORE[other]} at the same {one}"
