"""Fits of the same runs with other weights, many at once, from where the first fit ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.fitting.descent import descend
from thrifty.scaling.fitting.fitter import STAGE_STEPS, STAGE_TOLERANCE, stages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["BLOCK", "refit"]

#: Problems that share a descent: their arrays stay in the second cache.
BLOCK = 64
#: Of so many problems one is fitted again as if nothing was known.
COLD = 20
#: A share of the sum that a further step would save at most.
TOLERANCE = 1e-12


def refit(
    surface: Surface,
    measure: Measure,
    theta: Values,
    cold: Values,
    losses: Values,
    weights: Values,
    bounds: tuple[Values, Values],
) -> Values:
    """Return fitted coefficients (B, p) for weights (B, n); losses are (n,) or (B, n).

    One problem of each COLD descends again from ``cold`` by all stages of a fit, and its lower end counts.
    """
    out = np.empty((len(weights), surface.size))
    targets = measure.targets(losses)
    *before, last = stages(measure)
    for first in range(0, len(weights), BLOCK):
        rows = slice(first, first + BLOCK)
        some = weights[rows]
        aims = np.broadcast_to(targets if targets.ndim == 1 else targets[rows], some.shape)
        begin = np.repeat(theta[None], len(some), axis=0)
        found, here, _ = descend(surface, last, begin, aims, some, bounds, tolerance=TOLERANCE)
        again = np.arange(COLD - 1, len(some), COLD)
        if len(again):
            other = np.repeat(cold[None], len(again), axis=0)
            for stage in before:
                other, _, _ = descend(
                    surface,
                    stage,
                    other,
                    aims[again],
                    some[again],
                    bounds,
                    steps=STAGE_STEPS,
                    tolerance=STAGE_TOLERANCE,
                )
            other, there, _ = descend(surface, last, other, aims[again], some[again], bounds, tolerance=TOLERANCE)
            lower = there.value < here.value[again] * (1 - 1e-9)
            found[again[lower]] = other[lower]
        out[rows] = found
    return out
