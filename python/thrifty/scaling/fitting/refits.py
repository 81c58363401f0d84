"""Fits of the same runs with other weights, many at once, from where the first fit ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.fitting.descent import descend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["BLOCK", "refit"]

#: Problems that share a descent: their arrays stay in the second cache.
BLOCK = 64


def refit(
    surface: Surface, measure: Measure, theta: Values, losses: Values, weights: Values, bounds: tuple[Values, Values]
) -> Values:
    """Return fitted coefficients (B, p) for weights (B, n); losses are (n,) or (B, n)."""
    out = np.empty((len(weights), surface.size))
    targets = measure.targets(losses)
    for first in range(0, len(weights), BLOCK):
        rows = slice(first, first + BLOCK)
        some = targets if targets.ndim == 1 else targets[rows]
        begin = np.repeat(theta[None], len(weights[rows]), axis=0)
        out[rows], _, _ = descend(surface, measure, begin, some, weights[rows], bounds, tolerance=1e-12)
    return out
