"""What second derivatives tell of a fit: how far coefficients may move, and where it goes without some runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.fitting.measure import Measure
    from thrifty.scaling.laws.surface import Surface

    Values = NDArray[np.float64]

__all__ = ["Bowl"]

#: What runs leave to the others of their own fit, at least.
LEAST = 0.1
#: Parts that are taken away at once.
BLOCK = 1 << 15


class Bowl:
    """A fit's sum near its least, as a quadratic; coefficients at their bounds are held.

    Parameters
    ----------
    surface, measure, theta, weights
        Of the fit.
    targets : float64[n]
    bounds : (float64[p], float64[p])
    """

    def __init__(
        self,
        surface: Surface,
        measure: Measure,
        theta: Values,
        targets: Values,
        weights: Values,
        bounds: tuple[Values, Values],
    ) -> None:
        point = surface.at(theta[None])
        _, first, second, _ = measure.rows(point.log, targets, weights)
        if measure.kind == "huber_log":
            second = weights * measure.inside(point.log[0] - targets, weights)[None]
        slope = point.slopes()[0]
        bend = point.derivatives(first, second)[1][0]
        bend[surface.linear, surface.linear] -= (slope @ first[0])[surface.linear]
        self.theta, self.bounds = theta, bounds
        self.free = np.flatnonzero((theta > bounds[0]) & (theta < bounds[1]))
        self.slope, self.first, self.second = slope[self.free], first[0], second[0]
        self.bend = bend[np.ix_(self.free, self.free)]

    @property
    def inverse(self) -> Values:
        """Inverse of second derivatives, (p, p); 0 of what is held."""
        out = np.zeros((len(self.theta), len(self.theta)))
        out[np.ix_(self.free, self.free)] = np.linalg.pinv(self.bend, hermitian=True)
        return out

    def without(self, part: NDArray[np.int64]) -> Values:
        """Return coefficients (k, p) that one Newton step leads to without the runs of each part.

        ``part`` (n,) are numbers from 0; -1: a run that stays.
        The second derivatives are those without them, too (Pregibon 1981).
        """
        known = part >= 0
        part, slope = part[known], self.slope[:, known]
        first, second = self.first[known], np.maximum(self.second[known], 0.0)
        count, size = int(part.max()) + 1, len(self.free)
        values, vectors = np.linalg.eigh(self.bend)
        # In these units second derivatives are 1.
        unit = vectors / np.sqrt(np.maximum(values, max(values[-1], 1e-300) * 1e-13))
        slope = unit.T @ slope
        pulls = np.stack([np.bincount(part, row * first, count) for row in slope], 1)
        taken = np.empty((count, size, size))
        for i in range(size):
            for j in range(i + 1):
                taken[:, i, j] = taken[:, j, i] = np.bincount(part, slope[i] * slope[j] * second, count)
        out = np.repeat(self.theta[None], count, axis=0)
        for at in range(0, count, BLOCK):
            some = slice(at, at + BLOCK)
            shares, axes = np.linalg.eigh(taken[some])
            along = np.einsum("kij,ki->kj", axes, pulls[some]) / np.maximum(1.0 - shares, LEAST)
            out[some, self.free] += np.einsum("kij,kj->ki", axes, along) @ unit.T
        return np.clip(out, *self.bounds)
