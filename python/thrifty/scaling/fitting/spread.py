"""How far fitted coefficients may be from what they estimate, by derivatives alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["spread"]

#: What a run leaves to the others of its own fit, at least.
LEAST = 0.1


def spread(
    surface: Surface,
    measure: Measure,
    theta: Values,
    targets: Values,
    weights: Values,
    bounds: tuple[Values, Values],
    groups: NDArray[np.int64] | None = None,
) -> tuple[Values, Values]:
    """Return the inverse of second derivatives and the covariance of fitted coefficients, (p, p) each.

    That is the inverse on both sides of the scores' own (Huber 1967), each over what its run does not pull the fit
    towards itself (MacKinnon and White 1985). Runs of one group (numbers from 0) count as one. Coefficients at their
    bounds have none.
    """
    point = surface.at(theta[None])
    _, first, second, _ = measure.rows(point.log, targets, weights)
    if measure.kind == "huber_log":
        second = weights * measure.inside(point.log[0] - targets, weights)[None]
    slope = point.slopes()[0]
    bend = point.derivatives(first, second)[1][0]
    bend[surface.linear, surface.linear] -= (slope @ first[0])[surface.linear]
    free = np.flatnonzero((theta > bounds[0]) & (theta < bounds[1]))
    inverse = np.zeros((len(theta), len(theta)))
    inverse[np.ix_(free, free)] = np.linalg.pinv(bend[np.ix_(free, free)], hermitian=True)
    scores = (slope * first[0]).T
    if groups is None:
        pull = np.einsum("pn,pq,qn->n", slope, inverse, slope) * second[0]
        scores /= np.maximum(1.0 - pull, LEAST)[:, None]
        more = 1.0
    else:
        summed = np.zeros((int(groups.max()) + 1, len(theta)))
        np.add.at(summed, groups, scores)
        scores, more = summed, len(summed) / max(len(summed) - 1, 1)
    return inverse, more * (inverse @ (scores.T @ scores) @ inverse)
