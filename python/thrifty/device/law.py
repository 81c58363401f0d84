"""What a call takes as a sum of what it must do, with coefficients fitted to timings.

One row (a hidden vector) goes through a product of matrix and vector, several through one of matrices, which libraries
compute by other kernels: each has coefficients of its own. Milliseconds of a call are

    one row:       overhead + layers a + rows of matrices r(W) + bytes of matrices s(W) + bytes of the cache c
    several, n:    overhead + layers a + n numbers of activations e + bytes of the cache c
                   + |bytes of matrices s(W), operations / rate|_p

where r and s rise with W, the bytes that a call touches, from one level of the caches to the next, linear in log W
between KNOTS. p is 1 (one after the other, as on CPUs whose kernels copy weights first) or 8 (nearly the larger of
both, as where memory and arithmetic overlap), whichever fits better. All coefficients are at least 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.least import nonnegative

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.device.timing import Point, Timing

__all__ = ["ONE", "SEVERAL", "Law", "fit", "left_out"]

MIB = 2.0**20
KNOTS = (1, 4, 16, 64)
"""MiB at which the time of a byte may change its slope: caches of a core, of all cores, memory."""
ROW_KNOTS = (1, 8, 64)
"""The same for rows of matrices: where they do not come from the nearest cache each costs a start."""
JOINS = (1.0, 8.0)
STEPS = 60
ROBUST = 1.345
"""Huber's constant: residuals above so many standard deviations weigh less."""

ONE = ("overhead", "layers", "cache", *(f"row@{k}" for k in ROW_KNOTS), *(f"byte@{k}" for k in KNOTS))
SEVERAL = ("overhead", "layers", "activations", "cache", *(f"byte@{k}" for k in KNOTS), "operations")


@dataclass(frozen=True)
class Law:
    """Coefficients in milliseconds for a unit of each of ``ONE``, or of ``SEVERAL``.

    Attributes
    ----------
    coefficients : tuple of float
    join : float
        p of the norm that joins bytes and operations.
    spread : float
        Of ten shapes left out of the fit, nine lay within a factor of exp(spread) of what the others told.
    """

    coefficients: tuple[float, ...]
    join: float
    spread: float


def columns(point: Point, *, head: bool = True) -> tuple[Any, Any, Any]:
    """Return what a call does: what adds up, and the two that :attr:`Law.join` joins (zero for one row).

    ``head`` is whether the output layer counts.
    """
    shape, n = point.shape, point.rows
    size = shape.dtype_bytes
    cache = point.batch * (point.context + point.tokens) * shape.kv_bytes
    numbers = shape.layers * shape.layer_matrix + head * shape.head_parameters
    touched = shape.weight_bytes + cache
    queries, keys = shape.heads * shape.width, 2 * shape.keys * shape.width
    if n == 1:
        rows = shape.layers * (queries + keys + 2 * shape.dim + 2 * shape.hidden) + head * shape.vocab
        each = [1.0, shape.layers, cache, *(rows * _levels(touched, ROW_KNOTS))]
        adds = np.array([*each, *(numbers * size * _levels(touched, KNOTS))])
        return adds, np.zeros_like(adds), np.zeros_like(adds)
    activations = shape.layers * n * (queries + keys + 2 * shape.dim + 3 * shape.hidden)
    adds, read, done = np.zeros(len(SEVERAL)), np.zeros(len(SEVERAL)), np.zeros(len(SEVERAL))
    adds[:4] = 1.0, shape.layers, activations, cache
    read[4:-1] = numbers * size * _levels(touched, KNOTS)
    attended = 4 * shape.layers * n * (point.context + point.tokens) * queries
    done[-1] = 2 * numbers * n + attended
    return adds, read, done


def _levels(touched: float, knots: Sequence[int]) -> Any:
    """Shares of the steps at the knots; coefficients of at least 0 then make what never falls."""
    at = np.interp(np.log2(touched / MIB), np.log2(knots), np.arange(len(knots)))
    return np.clip(at - np.arange(len(knots)) + 1, 0.0, 1.0)


def _slopes(x: Any, stacked: tuple[Any, Any, Any], join: float) -> Any:
    """Return the matrix whose product with coefficients ``x`` is the times, and that has their derivatives there.

    Both hold because a norm of linear terms is homogeneous (Euler).
    """
    adds, read, done = stacked
    if join == 1.0:
        return adds + read + done
    a, b = read @ x, done @ x
    most = np.maximum(np.maximum(a, b), 1e-300)
    whole = ((a / most) ** join + (b / most) ** join) ** (1 / join)
    share_a, share_b = ((v / most / np.maximum(whole, 1e-300)) ** (join - 1) for v in (a, b))
    return adds + share_a[:, None] * read + share_b[:, None] * done


def predict(law: Law, points: Sequence[Point]) -> Any:
    """Return milliseconds of calls that are all of one row, or all of several."""
    x = np.array(law.coefficients)
    return _slopes(x, _stacked(points), law.join) @ x


def fit(timings: Sequence[Timing]) -> Law:
    """Return the law of timings that are all of one row, or all of several."""
    stacked, ms = _stacked(timings), np.array([timing.ms for timing in timings])
    joins = JOINS if timings[0].rows > 1 else JOINS[:1]
    found = []
    for join in joins:
        x = _coefficients(stacked, ms, join)
        wrong = np.log(_slopes(x, stacked, join) @ x / ms)
        found.append((float(np.abs(wrong).mean()), join, x))
    _, join, x = min(found, key=lambda f: f[:2])
    told = left_out(timings, join=join)
    spread = float(np.quantile(np.abs(np.log(told / ms)), 0.9))
    return Law(tuple(map(float, x)), join, spread)


def left_out(timings: Sequence[Timing], *, join: float = 1.0) -> Any:
    """Return for each timing what the law of those of other shapes tells.

    Of a shape that has no others beside it there is nothing to learn, and all of them are used.
    """
    stacked, ms = _stacked(timings), np.array([timing.ms for timing in timings])
    told = np.zeros(len(ms))
    for shape in {timing.shape for timing in timings}:
        its = np.array([timing.shape == shape for timing in timings])
        others = ~its if not its.all() else its
        adds, read, done = stacked
        x = _coefficients((adds[others], read[others], done[others]), ms[others], join)
        told[its] = _slopes(x, (adds[its], read[its], done[its]), join) @ x
    return np.maximum(told, 1e-9)


def _coefficients(stacked: tuple[Any, Any, Any], ms: Any, join: float) -> Any:
    """Least squares of relative errors, with less weight for those that stand out.

    Where bytes and operations are joined, each step solves the linear problem of the norm's derivatives, held near the
    coefficients of the step before as far as it takes to come nearer to the times (Levenberg and Marquardt).
    """
    whole = _slopes(None, stacked, 1.0) / ms[:, None]
    x = _settled(lambda x: whole, nonnegative(whole, np.ones(len(ms))), np.zeros(whole.shape[1]))
    if join == 1.0:
        return x
    lengths = np.sqrt((whole**2).sum(0))
    return _settled(lambda x: _slopes(x, stacked, join) / ms[:, None], x, lengths)


def _settled(slopes_at: Callable[[Any], Any], x: Any, lengths: Any) -> Any:
    """Improve coefficients until they stay; ``lengths`` of columns are what holds them back, 0 where nothing must."""
    hold = 1e-2
    for _ in range(STEPS):
        slopes = slopes_at(x)
        wrong = np.abs(slopes @ x - 1)
        scale = ROBUST * max(1.4826 * float(np.median(wrong)), 1e-4)
        weight = np.sqrt(np.minimum(1.0, scale / np.maximum(wrong, 1e-12)))
        near = np.diag(hold * lengths)
        better = nonnegative(np.vstack([slopes * weight[:, None], near]), np.concatenate([weight, near @ x]))
        now, then = (float((weight * (slopes_at(c) @ c - 1) ** 2 * weight).sum()) for c in (x, better))
        moved = float(np.abs(slopes_at(better) @ better - slopes @ x).max())
        if then <= now:
            x, hold = better, hold / 3
            if moved < 1e-5:
                break
        else:
            hold *= 4
    return x


def _stacked(points: Sequence[Point]) -> tuple[Any, Any, Any]:
    adds, read, done = (np.array(part) for part in zip(*map(columns, points), strict=True))
    return adds, read, done
