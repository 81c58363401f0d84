"""What diagrams of calibration are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from thrifty.exam.scoring.metrics import BINS, width_edges
from thrifty.exam.scoring.ordered import Ordered, checked, ordered
from thrifty.stats import bootstrap, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReliabilityBin", "isotonic", "isotonic_band", "reliability", "risk_coverage"]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Answers whose confidence lies in one bin.

    Attributes
    ----------
    answers, right : int
        How many, and how many of them are right.
    confidence, accuracy : float
        Means.
    low, high : float
        Wilson interval of ``accuracy``.
    """

    answers: int
    right: int
    confidence: float
    accuracy: float
    low: float
    high: float


def _stated(confidence: ArrayLike, correct: ArrayLike) -> Ordered | None:
    c, y = checked(confidence, correct)
    stated = ~np.isnan(c)
    return ordered(c[stated], y[stated]) if stated.any() else None


def reliability(confidence: ArrayLike, correct: ArrayLike, *, bins: int = BINS) -> list[ReliabilityBin]:
    """Bins of equal width that hold answers, in ascending order; those without a stated confidence are left out.

    Examples
    --------
    >>> from thrifty.exam import reliability
    >>> [(b.answers, b.right) for b in reliability([0.1, 0.9, 0.95], [False, True, False], bins=2)]
    [(1, 0), (2, 1)]
    """
    if bins < 1:
        raise ValueError(f"bins: at least 1 is needed, got {bins}")
    answers = _stated(confidence, correct)
    if answers is None:
        return []
    edges = width_edges(answers.value, bins)
    out = []
    for a, b in pairwise(edges.tolist()):
        count, right = int(answers.total[a:b].sum()), int(answers.right[a:b].sum())
        if count:
            mean = float((answers.value[a:b] * answers.total[a:b]).sum()) / count
            out.append(ReliabilityBin(count, right, mean, right / count, *wilson(right, count)))
    return out


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of answers given, and share of wrong ones among them, when only the most confident are given.

    Returns
    -------
    coverage, risk : ndarray
        float64[k]: one point for each distinct confidence, from the largest on (El-Yaniv and Wiener 2010).

    Examples
    --------
    >>> from thrifty.exam import risk_coverage
    >>> coverage, risk = risk_coverage([0.9, 0.8, 0.8, 0.1], [True, False, True, False])
    >>> coverage.tolist(), risk.round(3).tolist()
    ([0.25, 0.75, 1.0], [0.0, 0.333, 0.5])
    """
    answers = _stated(confidence, correct)
    if answers is None:
        return np.zeros(0), np.zeros(0)
    given = np.cumsum(answers.total[::-1])
    return given / len(answers), np.cumsum((answers.total - answers.right)[::-1]) / given


def isotonic(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share that is right as a function of confidence that never falls, by least squares.

    Pool adjacent violators: Ayer et al. 1955; Dimitriadis, Gneiting and Jordan 2021 for diagrams.

    Returns
    -------
    confidence, share : ndarray
        float64[k]: distinct confidences in ascending order, and the fit at each.

    Examples
    --------
    >>> from thrifty.exam import isotonic
    >>> isotonic([0.2, 0.4, 0.6], [True, False, True])[1].tolist()
    [0.5, 0.5, 1.0]
    """
    from scipy.optimize import isotonic_regression

    answers = _stated(confidence, correct)
    if answers is None:
        return np.zeros(0), np.zeros(0)
    fit = isotonic_regression(answers.right / answers.total, weights=answers.total.astype(np.float64))
    return answers.value, np.asarray(fit.x, np.float64)


def isotonic_band(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds between which 95 % of resamples have their isotonic fit, at each distinct confidence.

    Parameters
    ----------
    confidence, correct : array_like
        As of :func:`isotonic`.
    clusters : array_like, optional
        Which cluster each answer is of: clusters are drawn whole.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    low, high : ndarray
        float64[k].
    """
    from scipy.optimize import isotonic_regression

    c, y = checked(confidence, correct)
    stated = np.flatnonzero(~np.isnan(c))
    if not len(stated):
        return np.zeros(0), np.zeros(0)
    values, run = np.unique(c[stated], return_inverse=True)
    rows = stated[np.argsort(run, kind="stable")]
    starts = np.searchsorted(np.sort(run), np.arange(len(values)))

    def fits(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = np.take(counts, rows, axis=0)
        total = np.add.reduceat(drawn, starts, axis=0)
        right = np.add.reduceat(drawn * y[rows, None], starts, axis=0)
        out = np.full((counts.shape[1], len(values)), np.nan)
        for column, fit in enumerate(out):
            there = np.flatnonzero(total[:, column])
            if len(there):
                n = total[there, column]
                found = isotonic_regression(right[there, column] / n, weights=n).x
                fit[:] = np.interp(values, values[there], found)
        return out

    drawn = bootstrap(fits, len(c), resamples=resamples, clusters=clusters, seed=seed)
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return low, high
