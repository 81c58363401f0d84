"""How residuals scatter: between groups of runs and within them, and what that says of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.predicting import Predicting

    Values = NDArray[np.float64]

__all__ = ["Scatter", "scatter"]

#: Residuals count at most so many of their standard deviations (by the median's) in the noise of a new run.
FARTHEST = 3.0


@dataclass(frozen=True, eq=False)
class Scatter:
    """Variances of a fit's log residuals and coefficients.

    Attributes
    ----------
    within, between : float
        Of a run about its group's, and of groups; all runs are a group each where none were given.
    runs, groups : float64[p, p]
        Covariance of ``theta_``: what the first and the second bring about.
    noise : (float, float)
        The first two without what the estimator loses by its robustness: the scatter of a run to come.
    moments : float64[2, 2]
        Rows: by what sums of squares between and within groups are (within, between).
    squares, freedom : float64[2]
        Sums of squares between and within groups, and their degrees of freedom.
    """

    within: float
    between: float
    runs: Values
    groups: Values
    noise: tuple[float, float]
    moments: Values
    squares: Values
    freedom: Values

    @property
    def covariance(self) -> Values:
        """Of ``theta_``, (p, p)."""
        return self.runs * self.within + self.groups * self.between

    def variances(self, gradient: Values) -> tuple[Values, Values]:
        """Return variances (n,) of linear functions (n, p) of ``theta_``, and degrees of freedom (Satterthwaite)."""
        parts = np.stack([((gradient @ part) * gradient).sum(1) for part in (self.runs, self.groups)], 1)
        if not self.between:
            return parts[:, 0] * self.within, np.full(len(gradient), self.freedom.sum())
        variance = parts[:, 0] * self.within + parts[:, 1] * self.between
        by_squares = parts @ np.linalg.inv(self.moments)
        unsure = ((by_squares * self.squares) ** 2 / self.freedom).sum(1)
        return variance, np.clip(variance**2 / np.maximum(unsure, 1e-300), 1.0, self.freedom.sum())


def scatter(law: Predicting) -> Scatter:
    """Return how a fitted law's residuals scatter.

    Coefficients are taken as M-estimates (Huber 1981, section 6.3) of a nonlinear regression with effects of groups.
    Their covariance has the mean slope of the function of Huber, told by the density of residuals about 0 (Hall
    and Sheather 1988) where delta is small. Variances between and within groups are those whose expected sums of
    squares, after the fit has taken its share, are those seen. Coefficients at a bound are held.
    """
    slopes, log = law.gradient(law.runs_), np.log(law.loss_at(law.runs_))
    residuals = np.log(law.runs_.loss) - log  # type: ignore[arg-type]
    counted = law.weights_ > 0
    slopes, residuals, weights = slopes[counted], residuals[counted], law.weights_[counted]
    free = law.free_
    if law.loss == "lsq":
        weights, pseudo = weights * np.exp(2 * log[counted]), residuals
    else:
        pseudo = _pseudo(residuals, law.delta_, int(free.sum()))
    labels = None if law.groups_ is None else [g for g, c in zip(law.groups_, counted, strict=True) if c]
    group = np.arange(len(residuals)) if labels is None else _numbers(labels)
    design = _Design(slopes[:, free], weights, group)
    within, between, squares = design.variances(pseudo)
    middle = float(np.median(np.abs(residuals))) / 0.6745
    cut = np.clip(residuals, -FARTHEST * middle, FARTHEST * middle) if middle > 0 else residuals
    noise = design.variances(cut)[:2]
    parts = np.zeros((2, len(free), len(free)))
    parts[:, free[:, None] & free] = np.stack([design.of_runs.ravel(), design.of_groups.ravel()])
    return Scatter(within, between, parts[0], parts[1], noise, design.moments, squares, design.freedom)


class _Design:
    """What a weighted fit takes of random effects of rows and of groups of rows."""

    def __init__(self, slopes: Values, weights: Values, group: NDArray[np.int64]) -> None:
        n, p = slopes.shape
        size = np.maximum(np.sqrt((slopes**2).mean(0)), 1e-300)
        scaled = slopes / size
        inverse = np.linalg.pinv((scaled.T * weights) @ scaled, rcond=1e-13, hermitian=True)
        hat = inverse @ (scaled.T * weights)
        counts = np.bincount(group).astype(np.float64)
        self.group, self.counts, self.single = group, counts, len(counts) == n
        self.of_runs = hat @ hat.T / np.outer(size, size)

        def summed(rows: Values) -> Values:
            return np.stack([np.bincount(group, row, len(counts)) for row in rows])

        taken = summed(hat)
        self.of_groups = taken @ taken.T / np.outer(size, size)
        slope = summed(scaled.T)
        gram, spread = scaled.T @ scaled, hat @ hat.T
        mean_slope, mean_taken = slope / np.sqrt(counts), taken / np.sqrt(counts)
        whole = n - 2 * p + float((gram * spread).sum())
        means = (
            len(counts)
            - 2 * float((mean_slope * mean_taken).sum())
            + float((mean_slope.T @ spread * mean_slope.T).sum())
        )
        of_effects = n - 2 * float((slope * taken).sum()) + float((taken.T @ gram * taken.T).sum())
        inner = mean_slope @ mean_slope.T
        at_means = n - 2 * float((slope * taken).sum()) + float((taken.T @ inner * taken.T).sum())
        self.moments = np.array([[means, at_means], [whole - means, of_effects - at_means]])
        self.freedom = np.array([max(means, 1.0), max(whole - means, 1.0)])

    def variances(self, residuals: Values) -> tuple[float, float, Values]:
        """Return variances within and between groups, and the sums of squares between and within that they are of."""
        whole = float((residuals**2).sum())
        if self.single:
            return whole / self.freedom[0], 0.0, np.array([whole, 0.0])
        means = float((np.bincount(self.group, residuals, len(self.counts)) ** 2 / self.counts).sum())
        squares = np.array([means, whole - means])
        within, between = np.linalg.solve(self.moments, squares).tolist()
        if between <= 0:
            return whole / float(self.freedom.sum()), 0.0, squares
        if within <= 0:
            return 0.0, means / max(float(self.moments[0, 1]), 1e-300), squares
        return within, between, squares


def _numbers(labels: Sequence[object]) -> NDArray[np.int64]:
    known = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels])


def _pseudo(residuals: Values, delta: float, taken: int) -> Values:
    """Huber's function of residuals over its mean slope, which the ``taken`` residuals that a fit makes 0 hide."""
    from scipy.special import ndtri

    n = len(residuals)
    sizes = np.sort(np.abs(residuals))
    rest = sizes[min(taken, n - 2) :]
    share = min(0.8, 2 * n ** (-1 / 3) * float(ndtri(0.975)) ** (2 / 3) * (1.5 / (2 * np.pi)) ** (1 / 3))
    window = float(np.quantile(rest, share))
    slope = delta / window * share if delta < window else float((sizes <= delta).mean())
    return np.clip(residuals, -delta, delta) / max(slope, 1e-12)
