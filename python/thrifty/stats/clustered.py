"""Means of rows that come in clusters: rows of a cluster are alike, so they tell less than as many independent ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.stats.proportion import score_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClusteredMean", "alike", "clustered_mean", "clustered_proportion", "numbered"]


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A mean with the error that clusters leave it.

    Attributes
    ----------
    value, error : float
        The mean and its standard error.
    low, high : float
        Interval on ``clusters - 1`` degrees of freedom.
    clusters : int
        How many there are.
    """

    value: float
    error: float
    low: float
    high: float
    clusters: int


def numbered(clusters: ArrayLike, rows: int) -> NDArray[np.int64]:
    """Return numbers of clusters from 0 on, int64[rows], whatever their names."""
    names = np.asarray(clusters)
    if names.shape != (rows,):
        raise ValueError(f"clusters: one for each of {rows} rows is needed, got shape {names.shape}")
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def clustered_mean(values: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95) -> ClusteredMean:
    """Mean of values, with an interval that holds when values of a cluster hang together.

    Error: sqrt(C / (C - 1) * sum over clusters of (sum of residuals)^2) / n, as of Liang and Zeger 1986 for a mean.

    Parameters
    ----------
    values : array_like
        float[n].
    clusters : array_like
        Names or numbers, length n.
    confidence : float
        Of the interval.

    Raises
    ------
    ValueError
        When there are fewer than 2 clusters: nothing then tells how much they differ.

    Examples
    --------
    >>> from thrifty.stats import clustered_mean
    >>> mean = clustered_mean([1, 1, 0, 0, 1, 1], ["a", "a", "b", "b", "c", "c"])
    >>> round(mean.value, 3), round(mean.error, 3), mean.clusters
    (0.667, 0.333, 3)
    """
    from scipy.special import stdtrit

    if not 0 < confidence < 1:
        raise ValueError(f"confidence: a share between 0 and 1 is needed, got {confidence}")
    y = np.asarray(values, np.float64)
    of = numbered(clusters, len(y))
    count = int(of.max()) + 1 if len(of) else 0
    if count < 2:
        raise ValueError(f"clusters: at least 2 are needed, got {count}")
    mean = float(y.mean())
    residuals = np.bincount(of, weights=y - mean)
    error = math.sqrt(count / (count - 1) * float((residuals**2).sum())) / len(y)
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * error
    return ClusteredMean(mean, error, mean - half, mean + half, count)


def alike(of: NDArray[np.int64]) -> float:
    """Rows that clusters are worth where all of a cluster are alike: their number, less where sizes differ (Kish 1965).

    ``of`` is what :func:`numbered` gives.
    """
    return len(of) ** 2 / float((np.bincount(of).astype(np.float64) ** 2).sum())


def clustered_proportion(right: ArrayLike, clusters: ArrayLike, *, confidence: float = 0.95) -> ClusteredMean:
    """Share of rows that are right, with a score interval that holds when rows of a cluster hang together.

    Wilson's interval with t on clusters - 1 degrees of freedom, of as many independent rows as would leave the error of
    :func:`clustered_mean` (Korn and Graubard 1998, for another interval): no more than there are, and no fewer than
    where all rows of a cluster are alike, which is taken where all rows of all clusters are. It lies within 0 to 1 and
    always has a width.

    Parameters
    ----------
    right : array_like
        bool[n].
    clusters, confidence
        As of :func:`clustered_mean`.

    Examples
    --------
    >>> from thrifty.stats import clustered_proportion
    >>> found = clustered_proportion([True] * 60, [i // 3 for i in range(60)])
    >>> found.value, round(found.low, 3), found.high
    (1.0, 0.82, 1.0)
    """
    from scipy.special import stdtrit

    y = np.asarray(right, bool).astype(np.float64)
    mean = clustered_mean(y, clusters, confidence=confidence)
    least, p = alike(numbered(clusters, len(y))), mean.value
    trials = min(max(p * (1 - p) / mean.error**2, least), len(y)) if mean.error and 0 < p < 1 else least
    t = float(stdtrit(mean.clusters - 1, 0.5 + confidence / 2))
    low, high = score_interval(p, trials, t)
    return ClusteredMean(p, mean.error, low, high, mean.clusters)
