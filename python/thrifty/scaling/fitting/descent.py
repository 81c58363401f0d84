"""Descent of many problems at once to their least: Newton steps, held back where they do not lead down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["Local", "descend", "local"]

#: The farthest that a coefficient moves in one step; linear ones become twice as large at most.
FARTHEST = 1.0
#: The share of itself that a linear coefficient loses in one step at most.
NEAREST = 0.95
#: Damping of a problem that nothing leads down from.
GIVEN_UP = 1e9
#: Numbers in an array of problems that are looked at together.
NUMBERS = 1 << 21


@dataclass
class Local:
    """Sums and derivatives of problems at their coefficients.

    Attributes
    ----------
    value : float64[B]
    slope : float64[B, p]
    bend : float64[B, p, p]
        Second derivatives.
    hold : float64[B, p, p]
        A matrix of like size that is never negative, of problems that are damped; else 0.
    """

    value: Values
    slope: Values
    bend: Values
    hold: Values

    def at(self, rows: NDArray[Any]) -> Local:
        """Return that of some problems."""
        return Local(self.value[rows], self.slope[rows], self.bend[rows], self.hold[rows])

    def put(self, at: NDArray[np.int64], other: Local) -> None:
        """Take the values of another for some problems."""
        self.value[at], self.slope[at] = other.value, other.slope
        self.bend[at], self.hold[at] = other.bend, other.hold


def local(
    surface: Surface,
    measure: Measure,
    theta: Values,
    targets: Values,
    weights: Values,
    damped: NDArray[np.bool_] | None = None,
) -> Local:
    """Return sums and derivatives at coefficients (B, p)."""
    some = max(NUMBERS // surface.rows, 1)
    if len(theta) > some:
        parts = []
        for begin in range(0, len(theta), some):
            at = slice(begin, begin + some)
            of = None if damped is None else damped[at]
            aims, counts = (x[at] if x.ndim == 2 else x for x in (targets, weights))
            parts.append(local(surface, measure, theta[at], aims, counts, of))
        columns = zip(*((part.value, part.slope, part.bend, part.hold) for part in parts), strict=True)
        return Local(*(np.concatenate(column) for column in columns))
    point = surface.at(theta)
    value, first, second, r = measure.rows(point.log, targets, weights)
    slope, bend = point.derivatives(first, second)
    hold = np.zeros_like(bend)
    if damped is not None and damped.any():
        if not damped.all():
            point.take(damped)
            r, weights = r[damped], weights[damped]
        hold[damped] = point.squares(measure.held(r, point.log, weights))
    return Local(value, slope, bend, hold)


def descend(
    surface: Surface,
    measure: Measure,
    theta: Values,
    targets: Values,
    weights: Values,
    bounds: tuple[Values, Values],
    *,
    here: Local | None = None,
    steps: int = 100,
    tolerance: float = 1e-13,
) -> tuple[Values, Local, NDArray[np.int64]]:
    """Return coefficients at which sums are least, what holds there, and the number of steps of each.

    Parameters
    ----------
    surface, measure : Surface, Measure
    theta : float64[B, p]
        Where to begin.
    targets, weights : float64[n] or float64[B, n]
    bounds : (float64[p], float64[p])
        Lowest and highest coefficients.
    here : Local, optional
        What holds there, where it is known already; it is changed.
    steps : int
        At most; problems that would go on are said to have taken one more.
    tolerance : float
        A problem ends when the next step promises less than this share of its sum.
    """
    low, high = bounds
    linear = surface.linear
    theta = np.clip(theta, low, high)
    size = len(theta)
    targets = np.broadcast_to(targets, (size, surface.rows))
    weights = np.broadcast_to(weights, (size, surface.rows))
    if here is None:
        here = local(surface, measure, theta, targets, weights)
    least = 1e-28 * weights.sum(1)
    damping = np.zeros(size)
    held = np.zeros(size, bool)
    taken = np.zeros(size, np.int64)
    running = np.arange(size)

    def stepped(rows: NDArray[np.int64]) -> tuple[Values, Values]:
        lacking = rows[(damping[rows] > 0) & ~held[rows]]
        if len(lacking):
            every = np.ones(len(lacking), bool)
            found = local(surface, measure, theta[lacking], targets[lacking], weights[lacking], every)
            here.hold[lacking], held[lacking] = found.hold, True
        start, now = theta[rows], here.at(rows)
        stuck = ((start <= low) & (now.slope > 0)) | ((start >= high) & (now.slope < 0))
        return _newton(now, stuck, linear, damping[rows])

    for _ in range(steps):
        step, promised = stepped(running)
        while (up := (promised < 0) & (damping[running] < GIVEN_UP)).any():
            rows = running[up]
            damping[rows] = np.maximum(10.0 * damping[rows], 0.1)
            step[up], promised[up] = stepped(rows)
        going = promised > tolerance * here.value[running] + least[running]
        if not going.any():
            break
        if not going.all():
            running, step, promised = running[going], step[going], promised[going]
        share, move = _shortened(step, linear)
        trial = np.clip(theta[running] + move, low, high)
        mu = damping[running]
        there = local(surface, measure, trial, targets[running], weights[running], mu > 0)
        gained = (here.value[running] - there.value) / (share * promised)
        better = gained > 1e-3
        to = running[better]
        theta[to], held[to] = trial[better], mu[better] > 0
        here.put(to, there.at(better))
        taken[running] += 1
        easier = np.where(mu < 1e-2, 0.0, mu / 10)
        mu = np.where(gained > 0.25, easier, np.where(better, mu, np.maximum(mu * 5, 0.05)))
        damping[running] = mu
        if mu.max() >= GIVEN_UP:
            running = running[mu < GIVEN_UP]
            if not len(running):
                break
    else:
        taken[running] += 1
    return theta, here, taken


def _newton(now: Local, stuck: NDArray[np.bool_], linear: list[int], damping: Values) -> tuple[Values, Values]:
    """Return steps, those of linear coefficients by factors less 1, and what they promise.

    Second derivatives are those by linear coefficients themselves, of which Newton's steps reach 0 at once; where one
    would pass it, it stops short of it and the others' steps are those that go with that.
    """
    each = np.arange(now.slope.shape[1])
    matrix = now.bend
    matrix[:, linear, linear] -= now.slope[:, linear]
    small = 1e-13 * np.abs(matrix[:, each, each]) + 1e-300
    if damping.any():
        matrix += damping[:, None, None] * now.hold
        small += (1e-6 * damping)[:, None] * now.hold[:, each, each]
    matrix[:, each, each] += small
    found = _solved(matrix, now.slope, stuck, None)
    passing = np.zeros_like(stuck)
    passing[:, linear] = found[:, linear] < -NEAREST
    if passing.any():
        found = _solved(matrix, now.slope, stuck | passing, np.where(passing, -NEAREST, 0.0))
    return found, -(found * now.slope).sum(1)


def _shortened(step: Values, linear: list[int]) -> tuple[Values, Values]:
    """Return the shares of steps that are taken (B,), and how far fitted coefficients move."""
    up = np.abs(step)
    up[:, linear] = np.maximum(step[:, linear], 0.0)
    share = np.minimum(1.0, FARTHEST / np.maximum(up.max(1), 1e-300))
    move = step * share[:, None]
    move[:, linear] = np.log1p(np.maximum(move[:, linear], -NEAREST))
    return share, move


def _solved(matrix: Values, slope: Values, fixed: NDArray[np.bool_], at: Values | None) -> Values:
    """Return Newton's steps of what is not fixed, given those of what is (0 without)."""
    right = -slope
    if fixed.any():
        right = (
            np.where(fixed, 0.0, right)
            if at is None
            else np.where(fixed, at, right - np.einsum("bij,bj->bi", matrix, at))
        )
        matrix = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, matrix)
        each = np.arange(matrix.shape[1])
        matrix[:, each, each] += fixed
    return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0], np.float64)
