"""Fits of the same runs with other weights, many at once, from where the first fit ended."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.fitting.descent import Local, descend
from thrifty.scaling.fitting.fitter import STAGE_STEPS, STAGE_TOLERANCE, stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["refit"]

#: Numbers in an array of problems that share a descent, whose arrays then stay in the second cache.
NUMBERS = 1 << 15
#: Steps after which problems that are not done share descents anew.
FIRST_STEPS = 8
#: Of so many problems one is fitted again as if nothing was known.
COLD = 20
#: A share of the sum that a further step would save at most.
TOLERANCE = 1e-10
#: Numbers in a piece of memory that is large for glibc, which gives none below 32 MB back once one such was freed.
KEPT = 3 << 20


def refit(
    surface: Surface,
    measure: Measure,
    theta: Values,
    cold: Values,
    losses: Values,
    weights: Values,
    bounds: tuple[Values, Values],
    threads: int,
) -> Values:
    """Return fitted coefficients (B, p) for weights (B, n); losses are (n,) or (B, n).

    One problem of each COLD descends again from ``cold`` by all stages of a fit, and its lower end counts. What shares
    a descent does not depend on ``threads`` (0: one for each core), nor do results.
    """
    size = len(weights)
    targets = measure.targets(losses)
    *before, last = stages(measure)
    out = np.repeat(np.clip(theta, *bounds)[None], size, axis=0)
    one = targets.ndim == 1
    here = _shared(surface, measure, out[0], targets, weights) if one else _blank(size, surface.size)
    taken = np.zeros(size, np.int64)

    def aims(rows: NDArray[np.int64]) -> Values:
        return targets if one else targets[rows]

    def begun(rows: NDArray[np.int64]) -> None:
        known = here.at(rows) if one else None
        found, there, taken[rows] = descend(
            surface,
            last,
            out[rows],
            aims(rows),
            weights[rows],
            bounds,
            here=known,
            steps=FIRST_STEPS,
            tolerance=TOLERANCE,
        )
        out[rows] = found
        here.put(rows, there)

    def ended(rows: NDArray[np.int64]) -> None:
        found, there, _ = descend(
            surface, last, out[rows], aims(rows), weights[rows], bounds, here=here.at(rows), tolerance=TOLERANCE
        )
        out[rows] = found
        here.put(rows, there)

    def again(rows: NDArray[np.int64]) -> None:
        found = np.repeat(cold[None], len(rows), axis=0)
        for stage in before:
            found, _, _ = descend(
                surface, stage, found, aims(rows), weights[rows], bounds, steps=STAGE_STEPS, tolerance=STAGE_TOLERANCE
            )
        found, there, _ = descend(surface, last, found, aims(rows), weights[rows], bounds, tolerance=TOLERANCE)
        lower = there.value < here.value[rows] * (1 - 1e-9)
        out[rows[lower]] = found[lower]

    # Freed at once: pages of arrays that come and go would else cost as much as what is computed in them.
    np.empty(KEPT)
    many = max(NUMBERS // surface.rows, 1)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        _each(pool, begun, np.arange(size), many)
        _each(pool, ended, np.flatnonzero(taken > FIRST_STEPS), many)
        _each(pool, again, np.arange(COLD - 1, size, COLD), many)
    return out


def _each(
    pool: ThreadPoolExecutor, work: Callable[[NDArray[np.int64]], None], rows: NDArray[np.int64], many: int
) -> None:
    for _ in pool.map(work, [rows[first : first + many] for first in range(0, len(rows), many)]):
        pass


def _shared(surface: Surface, measure: Measure, theta: Values, targets: Values, weights: Values) -> Local:
    """Return what holds at one point for all problems: products of weights and what each run adds."""
    point = surface.at(theta[None])
    p = surface.size
    _, first, second, r = measure.rows(point.log, targets, np.ones((1, surface.rows)))
    slopes, bends = point.of_runs(first[0], second[0])
    sums = weights @ np.concatenate([measure.values(r).T, slopes, bends.reshape(-1, p * p)], axis=1)
    bend = sums[:, 1 + p :].reshape(-1, p, p)
    return Local(sums[:, 0].copy(), sums[:, 1 : 1 + p].copy(), bend, np.zeros_like(bend))


def _blank(size: int, p: int) -> Local:
    return Local(np.zeros(size), np.zeros((size, p)), np.zeros((size, p, p)), np.zeros((size, p, p)))
