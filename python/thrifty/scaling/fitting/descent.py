"""Descent of many problems at once to their least: Newton steps, held back where they do not lead down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["Local", "descend", "local"]

#: The farthest that a fitted coefficient moves in one step: e times as large.
FARTHEST = 1.0


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

    def put(self, at: Values, other: Local) -> None:
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
    theta = np.clip(theta, low, high)
    size, p = theta.shape
    targets = np.broadcast_to(targets, (size, surface.rows))
    weights = np.broadcast_to(weights, (size, surface.rows))
    here = local(surface, measure, theta, targets, weights)
    held = np.zeros(size)
    taken = np.zeros(size, np.int64)
    running = np.arange(size)
    diagonal = np.arange(p)
    for _ in range(steps):
        slope, bend, hold = here.slope[running], here.bend[running], here.hold[running]
        start = theta[running]
        stuck = ((start <= low) & (slope > 0)) | ((start >= high) & (slope < 0))
        free = ~stuck
        both = free[:, :, None] & free[:, None, :]
        scale = np.maximum(hold[:, diagonal, diagonal], 1e-300)
        step = np.zeros_like(slope)
        promised = np.zeros(len(running))
        todo = np.ones(len(running), bool)
        while todo.any():
            mu = held[running[todo]]
            matrix = bend[todo] + mu[:, None, None] * hold[todo]
            matrix[:, diagonal, diagonal] += (1e-13 + 1e-6 * mu)[:, None] * scale[todo]
            matrix = np.where(both[todo], matrix, 0.0)
            matrix[:, diagonal, diagonal] += np.where(free[todo], 0.0, 1.0)
            down = np.where(free[todo], slope[todo], 0.0)
            found = -np.linalg.solve(matrix, down[:, :, None])[:, :, 0]
            gain = -(found * down).sum(1)
            step[todo], promised[todo] = found, gain
            wrong = (gain < 0) & (mu < 1e8)
            which = np.flatnonzero(todo)
            held[running[which[wrong]]] = np.maximum(10.0 * mu[wrong], 0.1)
            todo[which[~wrong]] = False
        done = promised <= tolerance * here.value[running] + 1e-28 * weights[running].sum(1)
        if done.all():
            break
        running, start, step, promised = running[~done], start[~done], step[~done], promised[~done]
        far = np.abs(step).max(1)
        short = np.minimum(1.0, FARTHEST / np.maximum(far, 1e-300))
        trial = np.clip(start + short[:, None] * step, low, high)
        there = local(surface, measure, trial, targets[running], weights[running])
        gained = here.value[running] - there.value
        better = gained > 1e-3 * short * promised
        moved = running[better]
        theta[moved] = trial[better]
        here.put(moved, Local(there.value[better], there.slope[better], there.bend[better], there.hold[better]))
        taken[running] += 1
        good = gained > 0.25 * short * promised
        mu = held[running]
        held[running] = np.where(
            good, np.where(mu < 1e-2, 0.0, mu / 10), np.where(better, mu, np.maximum(mu * 5, 0.05))
        )
        running = running[held[running] < 1e9]
        if not len(running):
            break
    return theta, here, taken
