"""How far fitted coefficients may be from what they estimate, by derivatives alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["covariance"]


def covariance(
    surface: Surface,
    measure: Measure,
    theta: Values,
    targets: Values,
    weights: Values,
    bounds: tuple[Values, Values],
    groups: NDArray[np.int64] | None = None,
) -> Values:
    """Return the covariance of fitted coefficients (p, p): second derivatives around the scores' own (Huber 1967).

    Runs of one group (numbers from 0) count as one; coefficients at their bounds have none.
    """
    point = surface.at(theta[None])
    _, first, second, _ = measure.rows(point.log, targets, weights)
    if measure.kind == "huber_log":
        second = weights * measure.inside(point.log[0] - targets, weights)[None]
    slope = point.slopes()[0]
    bend = point.derivatives(first, second)[1][0]
    bend[surface.linear, surface.linear] -= (slope @ first[0])[surface.linear]
    scores = (slope * first[0]).T
    if groups is not None:
        summed = np.zeros((int(groups.max()) + 1, len(theta)))
        np.add.at(summed, groups, scores)
        scores = summed
    free = np.flatnonzero((theta > bounds[0]) & (theta < bounds[1]))
    units = int((np.abs(scores).max(1) > 0).sum())
    more = units / max(units - (len(free) if groups is None else 1), 1)
    inverse = np.linalg.pinv(bend[np.ix_(free, free)], hermitian=True)
    out = np.zeros((len(theta), len(theta)))
    out[np.ix_(free, free)] = more * (inverse @ (scores[:, free].T @ scores[:, free]) @ inverse)
    return out
