"""Laws and their fit as formulas say them, without a thought for time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from thrifty.scaling import Form, Power, Quadratic, Runs


def loss_of(form: Form, coefficients: Mapping[str, float], runs: Runs, row: int) -> float:
    at = {"n_params": runs.n_params[row], "n_tokens": runs.n_tokens[row]}
    if runs.d_model is not None and runs.n_layers is not None:
        at |= {"d_model": runs.d_model[row], "n_layers": runs.n_layers[row]}
        at["ratio"] = at["d_model"] / at["n_layers"]
    total = 0.0
    for term in form.terms:
        value = coefficients[term.coefficient]
        for column, exponent in term.powers:
            value *= at[column] ** -coefficients[exponent]
        total += value
    shape = form.shape
    if isinstance(shape, Power):
        total *= 1 + coefficients[shape.coefficient] * at[shape.column] ** coefficients[shape.exponent]
    if isinstance(shape, Quadratic):
        away = math.log(at["ratio"]) - coefficients[shape.centre]
        if shape.drift:
            away -= coefficients[shape.drift] * math.log(at["n_params"] / 1e8)
        total *= 1 + coefficients[shape.coefficient] * away**2
    return total


def huber(r: float, delta: float) -> float:
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def objective(
    form: Form, coefficients: Mapping[str, float], runs: Runs, *, delta: float | None, weights: np.ndarray | None = None
) -> float:
    """Huber's sum of log residuals, or half the sum of squares where ``delta`` is None."""
    assert runs.loss is not None
    w = np.ones(len(runs)) if weights is None else weights
    total = 0.0
    for row in range(len(runs)):
        told, seen = loss_of(form, coefficients, runs, row), runs.loss[row]
        total += w[row] * ((told - seen) ** 2 / 2 if delta is None else huber(math.log(told) - math.log(seen), delta))
    return total


def chinchilla_fit(runs: Runs, delta: float, weights: np.ndarray, start: Mapping[str, float]) -> float:
    """The lowest sum that scipy finds from a start, over (ln A, ln B, ln E, alpha, beta) as Hoffmann et al. fit."""
    n, d, y = np.log(runs.n_params), np.log(runs.n_tokens), np.log(runs.loss)  # type: ignore[arg-type]

    def total(x: np.ndarray) -> float:
        r = np.logaddexp(np.logaddexp(x[0] - x[3] * n, x[1] - x[4] * d), x[2]) - y
        cut = np.clip(r, -delta, delta)
        return float((weights * cut * (r - cut / 2)).sum()) * 1e4

    x = np.array([math.log(start["A"]), math.log(start["B"]), math.log(start["E"]), start["alpha"], start["beta"]])
    best = math.inf
    for _ in range(6):
        found = minimize(total, x, method="Nelder-Mead", options={"maxfev": 4000, "xatol": 1e-10, "fatol": 1e-13})
        x, best = found.x, min(best, found.fun / 1e4)
    return best
