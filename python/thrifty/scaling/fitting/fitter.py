"""The whole of a fit: starts, descents with Huber's delta made smaller by and by, and the best of their ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.fitting.descent import descend
from thrifty.scaling.fitting.starts import starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.descent import Local
    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["Found", "fitted", "stages"]

#: Deltas of a fit before its own.
DELTAS = (1.0, 0.1, 0.01)
#: What their descents take at most, and when they have come near enough.
STAGE_STEPS, STAGE_TOLERANCE = 30, 1e-4
#: How many standard errors of normal residuals descents begin away from an end, and how often anew.
NUDGE, ROUNDS = 1.5, 4
#: The farthest of these.
FARTHEST = 1.0
#: When descents of the measure itself have come near enough to be compared, and within what share they are the same.
END_TOLERANCE, SAME = 1e-7, 1e-6


@dataclass(frozen=True)
class Found:
    """The end of a fit.

    Attributes
    ----------
    theta, start : float64[p]
        Fitted coefficients of the best end, and of the grid's best cell.
    here : Local
        What holds there, of one problem.
    basins : int
        Descents begun.
    ends : tuple of float
        Sums at their ends, lowest first.
    steps : int
        Steps of all.
    """

    theta: Values
    start: Values
    here: Local
    basins: int
    ends: tuple[float, ...]
    steps: int


def stages(measure: Measure) -> list[Measure]:
    """Return the measures of a fit in turn, its own last."""
    if measure.kind == "lsq":
        return [measure]
    return [replace(measure, delta=delta) for delta in DELTAS if delta > 1.5 * measure.delta] + [measure]


def fitted(surface: Surface, measure: Measure, losses: Values, weights: Values, bounds: tuple[Values, Values]) -> Found:
    """Return the best of the descents from the best cells of the grid."""
    theta = starts(surface, losses, weights, bounds)
    first = theta[0]
    targets = measure.targets(losses)
    stand = np.ones(len(theta), np.int64)
    steps = 0
    *before, last = stages(measure)
    for stage in before:
        theta, here, taken = descend(
            surface, stage, theta, targets, weights, bounds, steps=STAGE_STEPS, tolerance=STAGE_TOLERANCE
        )
        steps += int(taken.sum())
        theta, stand = _distinct(theta, here.value, stand)
    count = len(theta)
    own = np.inf
    for _ in range(ROUNDS):
        begin = theta
        if last.kind == "huber_log":
            begin = np.concatenate([theta, _around(surface, theta[0], targets, weights)])
        found, here, taken = descend(surface, last, begin, targets, weights, bounds, tolerance=END_TOLERANCE)
        steps += int(taken.sum())
        lowest = int(np.argmin(here.value))
        if not np.isfinite(own):
            ends, own = np.repeat(here.value[:count], stand), here.value[:count].min()
        best, value = found[lowest], here.value[lowest]
        if value >= here.value[0] * (1 - SAME):
            break
        theta = found[lowest : lowest + 1]
    end, here, taken = descend(surface, last, best[None], targets, weights, bounds, tolerance=1e-15)
    ends[ends <= own * (1 + SAME)] = here.value[0]
    return Found(end[0], first, here, int(stand.sum()), tuple(np.sort(ends).tolist()), steps + int(taken.sum()))


def _around(surface: Surface, theta: Values, targets: Values, weights: Values) -> Values:
    """Return coefficients around some, along and against each direction that runs tell apart.

    Sums of residuals' sizes, which Huber's is nearly, have low points near one another where runs are few.
    """
    point = surface.at(theta[None])
    size = 1.4826 * float(np.median(np.abs(point.log[0] - targets)[weights > 0]))
    values, vectors = np.linalg.eigh(point.squares(weights[None])[0])
    far = NUDGE * size / np.sqrt(np.maximum(values, values[-1] * 1e-12))
    moves = (vectors * np.minimum(far, FARTHEST)).T
    return np.concatenate([theta + moves, theta - moves])


def _distinct(theta: Values, value: Values, stand: NDArray[np.int64]) -> tuple[Values, NDArray[np.int64]]:
    """Join descents that have met, the lowest first."""
    kept: list[int] = []
    counts: list[int] = []
    for i in np.argsort(value, kind="stable"):
        for k, j in enumerate(kept):
            if np.abs(theta[i] - theta[j]).max() < 1e-2 and value[i] - value[j] <= 1e-3 * value[j]:
                counts[k] += int(stand[i])
                break
        else:
            kept.append(int(i))
            counts.append(int(stand[i]))
    return theta[kept], np.array(counts)
