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
DELTAS = (1.0, 0.1, 0.03, 0.01, 0.003)
#: What their descents take at most, and when they have come near enough.
STAGE_STEPS, STAGE_TOLERANCE = 30, 1e-4
#: How many standard errors of normal residuals descents begin away from an end, and how often anew.
NUDGE, ROUNDS = 1.5, 4
#: The farthest of these.
FARTHEST = 1.0


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
    theta, here, taken = descend(surface, last, theta, targets, weights, bounds)
    steps += int(taken.sum())
    order = np.argsort(here.value, kind="stable")
    best, value = theta[order[0]], here.at(order[:1])
    ends = np.repeat(here.value[order], stand[order])
    if last.kind == "huber_log":
        lower, value, more = _nudged(surface, last, best, value, targets, weights, bounds)
        steps += more
        ends[ends <= here.value[order[0]] * (1 + 1e-6)] = value.value[0]
        best = lower
    return Found(best, first, value, int(stand.sum()), tuple(ends.tolist()), steps)


def _nudged(
    surface: Surface,
    measure: Measure,
    theta: Values,
    here: Local,
    targets: Values,
    weights: Values,
    bounds: tuple[Values, Values],
) -> tuple[Values, Local, int]:
    """Return the lowest end of descents from around an end, begun anew from there until none is lower; and steps.

    Sums of residuals' sizes, which Huber's is nearly, have low points near one another where runs are few.
    """
    steps = 0
    for _ in range(ROUNDS):
        point = surface.at(theta[None])
        size = 1.4826 * float(np.median(np.abs(point.log[0] - targets)[weights > 0]))
        squares = point.squares(weights[None])[0]
        values, vectors = np.linalg.eigh(squares)
        far = NUDGE * size / np.sqrt(np.maximum(values, values[-1] * 1e-12))
        moves = (vectors * np.minimum(far, FARTHEST)).T
        begin = theta + np.concatenate([moves, -moves])
        found, there, taken = descend(surface, measure, begin, targets, weights, bounds, steps=30, tolerance=1e-6)
        steps += int(taken.sum())
        lowest = int(np.argmin(there.value))
        if there.value[lowest] >= here.value[0] * (1 - 1e-7):
            break
        end, here, taken = descend(surface, measure, found[lowest : lowest + 1], targets, weights, bounds)
        theta, steps = end[0], steps + int(taken.sum())
    return theta, here, steps


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
