"""Seeded bootstrap of statistics that are functions of how often each row was drawn."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.stats.clustered import numbered
from thrifty.stats.random import philox

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]

__all__ = ["bca_interval", "bootstrap", "jackknife", "norm_interval", "percentile_interval"]

#: Resamples that share a position of the generator: part of what a seed means.
BLOCK = 64

#: Numbers in a piece of memory that is large for glibc, which calls none above 32 MB so.
KEPT = 3 << 20


def bootstrap(
    statistic: Callable[[Values], Values],
    rows: int,
    *,
    resamples: int = 10_000,
    clusters: ArrayLike | None = None,
    seed: int = 0,
    stream: int = 0,
    threads: int = 0,
) -> Values:
    """Values of a statistic over resamples of rows, or of whole clusters of rows.

    Efron 1979. The same seed gives the same values with any number of threads.

    Parameters
    ----------
    statistic : callable
        From counts, float64[rows, m], how often each row was drawn in each of m resamples, to float64[m, k]. It is
        called from several threads.
    rows : int
        How many there are.
    resamples : int
        How many resamples.
    clusters : array_like, optional
        Which cluster each row is of, length ``rows``: clusters are then drawn, with all their rows.
    seed, stream : int
        Key of the generator.
    threads : int
        0: one for each core.

    Returns
    -------
    ndarray
        float64[resamples, k].

    Raises
    ------
    ValueError
        When there is no row or no resample, or ``clusters`` has another length.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.stats import bootstrap, percentile_interval
    >>> right = np.repeat([0.0, 1.0], [30, 70])
    >>> means = bootstrap(lambda counts: (right @ counts / 100)[:, None], 100, resamples=2000)
    >>> low, high = percentile_interval(means[:, 0])
    >>> bool(0.55 < low < 0.65 < 0.75 < high < 0.85)
    True
    """
    if rows < 1 or resamples < 1:
        raise ValueError(f"rows and resamples: at least 1 of each is needed, got {rows} and {resamples}")
    if threads < 0:
        raise ValueError(f"threads: 0 or more are needed, got {threads}")
    of = None if clusters is None else numbered(clusters, rows)
    units = rows if of is None else int(of.max()) + 1

    def block(first: int) -> Values:
        size = min(BLOCK, resamples - first)
        counts = _drawn(units, size, seed, stream, first // BLOCK)
        return np.asarray(statistic(counts if of is None else np.take(counts, of, axis=0)), np.float64)

    # Freed at once: glibc then keeps what blocks free, whose pages would cost as much as the sums.
    np.empty(KEPT)
    starts = range(0, resamples, BLOCK)
    workers = min(threads or os.cpu_count() or 1, len(starts))
    if workers == 1:
        return np.concatenate([block(first) for first in starts])
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(block, starts)))


def _drawn(units: int, size: int, seed: int, stream: int, position: int) -> Values:
    """Count draws of each unit in each resample; the last block draws as many as the others, so that it may be cut."""
    kind: Any = np.uint16 if units <= 1 << 16 else np.uint32
    draws = philox(seed, stream, position).integers(0, units, (units, BLOCK), kind)[:, :size]
    places = np.multiply(draws, size, dtype=np.int64)
    places += np.arange(size)
    return np.bincount(places.ravel(), minlength=size * units).reshape(units, size).astype(np.float64)


def jackknife(statistic: Callable[[Values], Values], rows: int, *, clusters: ArrayLike | None = None) -> Values:
    """Values of a statistic with each row, or each cluster of rows, left out once; float64[rows or clusters, k].

    Quenouille 1956. Arguments are those of :func:`bootstrap`.
    """
    of = np.arange(rows) if clusters is None else numbered(clusters, rows)
    units = int(of.max()) + 1
    blocks = []
    for first in range(0, units, BLOCK):
        out = np.arange(first, min(first + BLOCK, units))
        blocks.append(np.asarray(statistic((of[:, None] != out).astype(np.float64)), np.float64))
    return np.concatenate(blocks)


def percentile_interval(samples: ArrayLike, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval between quantiles of bootstrap values; resamples where the statistic is undefined (nan) do not count.

    Efron 1981. Both ends are nan where no resample has a value.
    """
    return _quantiles(samples, (1 - confidence) / 2, (1 + confidence) / 2)


def bca_interval(
    samples: ArrayLike, value: float, left_out: ArrayLike, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval: between quantiles that are moved for bias and skewness.

    Efron 1987.

    Parameters
    ----------
    samples : array_like
        Bootstrap values, nan where undefined.
    value : float
        Of the data themselves.
    left_out : array_like
        Values of :func:`jackknife`.
    confidence : float
        Of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.stats import bca_interval, bootstrap, jackknife
    >>> times = np.array([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 9.0, 30.0])
    >>> mean = lambda counts: (times @ counts / counts.sum(0))[:, None]
    >>> low, high = bca_interval(bootstrap(mean, 8)[:, 0], times.mean(), jackknife(mean, 8)[:, 0])
    >>> bool(2.5 < low < 3.8 and 14 < high < 20)
    True
    """
    values = np.asarray(samples, np.float64)
    values = values[~np.isnan(values)]
    others = np.asarray(left_out, np.float64)
    others = others[~np.isnan(others)]
    if not len(values) or not len(others) or math.isnan(value):
        return math.nan, math.nan
    normal = NormalDist()
    below = (np.count_nonzero(values < value) + 0.5 * np.count_nonzero(values == value)) / len(values)
    if not 0 < below < 1:
        return percentile_interval(values, confidence=confidence)
    bias = normal.inv_cdf(below)
    away = others.mean() - others
    spread = float((away**2).sum()) ** 1.5
    skew = float((away**3).sum()) / (6 * spread) if spread > 0 else 0.0

    def moved(share: float) -> float:
        z = bias + normal.inv_cdf(share)
        return normal.cdf(bias + z / (1 - skew * z)) if skew * z < 1 else 1.0

    return _quantiles(values, moved((1 - confidence) / 2), moved((1 + confidence) / 2))


def norm_interval(samples: ArrayLike, value: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a norm of true errors, which chance makes look larger than it is, and resamples larger still.

    The low end takes the bias from the square, where it is the same in the data and in resamples: 0 may be inside where
    all errors may be chance. The high one is the quantile of resamples less their bias against ``value``, as if that
    had none. Both together hold ``value``, and the norm at least as often as they say.

    Parameters
    ----------
    samples : array_like
        Bootstrap values, nan where undefined.
    value : float
        Of the data themselves.
    confidence : float
        Of the interval.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.stats import norm_interval
    >>> rng = np.random.default_rng(1)
    >>> seen = rng.normal(0.0, 0.1, 8)  # true errors are 0
    >>> drawn = np.linalg.norm(seen + rng.normal(0.0, 0.1, (2000, 8)), axis=1)
    >>> low, high = norm_interval(drawn, float(np.linalg.norm(seen)))
    >>> low, bool(high > np.linalg.norm(seen))
    (0.0, True)
    """
    values = np.asarray(samples, np.float64)
    values = values[~np.isnan(values)]
    if not len(values) or math.isnan(value):
        return math.nan, math.nan
    _, far = _quantiles(values, (1 - confidence) / 2, (1 + confidence) / 2)
    low = math.sqrt(max(2 * value * value - far * far, 0.0))
    return min(low, value), max(far - float(values.mean()) + value, value)


def _quantiles(samples: ArrayLike, low: float, high: float) -> tuple[float, float]:
    if not 0 <= low <= high <= 1:
        raise ValueError("confidence: a share between 0 and 1 is needed")
    values = np.asarray(samples, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    ends = np.quantile(values, [low, high])
    return float(ends[0]), float(ends[1])
