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


@dataclass
class Local:
    """Sums and derivatives of problems at their coefficients.

    Attributes
    ----------
    value : float64[B]
    slope : float64[B, p]
    bend, hold : float64[B, p, p]
        Second derivatives, and a matrix that is never negative and of like size.
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


def local(surface: Surface, measure: Measure, theta: Values, targets: Values, weights: Values) -> Local:
    """Return sums and derivatives at coefficients (B, p)."""
    point = surface.at(theta)
    value, first, second, held = measure.rows(point.log, targets, weights)
    slope = (point.slope @ first[:, :, None])[:, :, 0]
    across = point.slope.transpose(0, 2, 1)
    bend = (point.slope * second[:, None]) @ across + point.bend(first)
    hold = (point.slope * held[:, None]) @ across
    return Local(value, slope, bend, hold)


def descend(
    surface: Surface,
    measure: Measure,
    theta: Values,
    targets: Values,
    weights: Values,
    bounds: tuple[Values, Values],
    *,
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
    steps : int
        At most.
    tolerance : float
        A problem ends when the next step promises less than this share of its sum.
    """
    low, high = bounds
    linear = surface.linear
    theta = np.clip(theta, low, high)
    size = len(theta)
    targets = np.broadcast_to(targets, (size, surface.rows))
    weights = np.broadcast_to(weights, (size, surface.rows))
    here = local(surface, measure, theta, targets, weights)
    least = 1e-28 * weights.sum(1)
    damping = np.zeros(size)
    taken = np.zeros(size, np.int64)
    running = np.arange(size)
    for _ in range(steps):
        start, now = theta[running], here.at(running)
        stuck = ((start <= low) & (now.slope > 0)) | ((start >= high) & (now.slope < 0))
        mu = damping[running]
        step, promised = _newton(now, ~stuck, linear, mu)
        going = promised > tolerance * now.value + least[running]
        if not going.any():
            break
        running, start, step, promised, mu = (x[going] for x in (running, start, step, promised, mu))
        up = step.copy()
        up[:, linear] = np.maximum(up[:, linear], 0.0)
        short = np.minimum(1.0, FARTHEST / np.maximum(np.abs(up).max(1), 1e-300))
        step *= short[:, None]
        step[:, linear] = np.log1p(np.maximum(step[:, linear], -NEAREST))
        trial = np.clip(start + step, low, high)
        there = local(surface, measure, trial, targets[running], weights[running])
        gained = (here.value[running] - there.value) / (short * promised)
        better = gained > 1e-3
        theta[running[better]] = trial[better]
        here.put(running[better], there.at(better))
        taken[running] += 1
        easier = np.where(mu < 1e-2, 0.0, mu / 10)
        mu = np.where(gained > 0.25, easier, np.where(better, mu, np.maximum(mu * 5, 0.05)))
        damping[running] = mu
        running = running[mu < 1e9]
        if not len(running):
            break
    return theta, here, taken


def _newton(now: Local, free: NDArray[np.bool_], linear: list[int], mu: Values) -> tuple[Values, Values]:
    """Return steps, those of linear coefficients by factors less 1, and what they promise; damps until these lead down.

    Second derivatives are those by linear coefficients themselves, of which Newton's steps reach 0 at once; where one
    would pass it, it stops short of it and the others' steps are those that go with that.
    """
    size, p = now.slope.shape
    bend = now.bend.copy()
    bend[:, linear, linear] -= now.slope[:, linear]
    each = np.arange(p)
    scale = np.maximum(now.hold[:, each, each], 1e-300)
    step, promised = np.zeros((size, p)), np.zeros(size)
    todo = np.arange(size)
    while len(todo):
        damp = mu[todo, None]
        matrix = bend[todo] + damp[:, :, None] * now.hold[todo]
        matrix[:, each, each] += (1e-13 + 1e-6 * damp) * scale[todo]
        fixed, at = ~free[todo], np.zeros((len(todo), p))
        found = _solved(matrix, now.slope[todo], fixed, at)
        passing = np.zeros_like(fixed)
        passing[:, linear] = found[:, linear] < -NEAREST
        if passing.any():
            at[passing] = -NEAREST
            found = _solved(matrix, now.slope[todo], fixed | passing, at)
        gain = -(found * now.slope[todo]).sum(1)
        up = (gain < 0) & (damp[:, 0] < 1e8)
        step[todo], promised[todo] = found, gain
        todo = todo[up]
        mu[todo] = np.maximum(10.0 * mu[todo], 0.1)
    return step, promised


def _solved(matrix: Values, slope: Values, fixed: NDArray[np.bool_], at: Values) -> Values:
    """Return Newton's steps of what is not fixed, given those of what is."""
    right = np.where(fixed, at, -slope - (matrix @ at[:, :, None])[:, :, 0])
    matrix = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, matrix)
    each = np.arange(matrix.shape[1])
    matrix[:, each, each] += fixed
    return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0], np.float64)
