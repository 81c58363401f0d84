"""How far two graders agree, and what a grader's errors do to a share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.stats.bootstrap import percentile_interval
from thrifty.stats.random import philox

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Kappa", "cohen_kappa", "rogan_gladen"]


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement of two graders beyond chance.

    Attributes
    ----------
    value : float
        1 for full agreement, 0 for what chance gives; nan where both always say the same one thing.
    low, high : float
        Bootstrap interval; resamples without a value do not count.
    agreement : float
        Share on which they agree.
    labels : tuple of str
        Rows and columns of ``table``.
    table : ndarray
        int64[k, k]: first grader down, second one across.
    """

    value: float
    low: float
    high: float
    agreement: float
    labels: tuple[str, ...]
    table: NDArray[np.int64]


def _kappa(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = tables / tables.sum((1, 2), keepdims=True)
    seen = np.trace(shares, axis1=1, axis2=2)
    chance = (shares.sum(1) * shares.sum(2)).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1 - 1e-12, (seen - chance) / (1 - chance), np.nan)


def cohen_kappa(
    first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Kappa:
    """Cohen's kappa of two lists of labels (Cohen 1960) with a bootstrap interval.

    Parameters
    ----------
    first, second : array_like
        Labels of the same things, of equal length, at least one: as text, where one list is not of numbers or booleans.
    confidence, resamples, seed
        Of the interval.

    Examples
    --------
    >>> from thrifty.stats import cohen_kappa
    >>> kappa = cohen_kappa(["yes"] * 45 + ["no"] * 55, ["yes"] * 40 + ["no"] * 60)
    >>> round(kappa.value, 3), kappa.table.tolist()
    (0.898, [[55, 0], [5, 40]])
    """
    a, b = np.asarray(first), np.asarray(second)
    if not {a.dtype.kind, b.dtype.kind} <= set("biuf"):
        a, b = a.astype(str), b.astype(str)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"first, second: lists of one length, at least 1, are needed, got {a.shape} and {b.shape}")
    labels, numbers = np.unique(np.concatenate([a, b]), return_inverse=True)
    k = len(labels)
    table = np.bincount(numbers[: len(a)] * k + numbers[len(a) :], minlength=k * k)
    drawn = philox(seed).multinomial(len(a), table / len(a), size=resamples).reshape(-1, k, k)
    low, high = percentile_interval(_kappa(drawn), confidence=confidence)
    square = table.reshape(k, k)
    names = tuple(str(label) for label in labels)
    return Kappa(float(_kappa(square[None])[0]), low, high, float(np.trace(square)) / len(a), names, square)


def rogan_gladen(rate: float, sensitivity: float, specificity: float) -> float:
    """Share that is truly right, from the share that an erring grader calls right; clipped to 0..1.

    Rogan and Gladen 1978: (rate + specificity - 1) / (sensitivity + specificity - 1).

    Raises
    ------
    ValueError
        When a share is outside 0..1, or the grader is no better than chance.

    Examples
    --------
    >>> from thrifty.stats import rogan_gladen
    >>> round(rogan_gladen(0.30, 0.95, 0.98), 4)
    0.3011
    """
    for name, value in (("rate", rate), ("sensitivity", sensitivity), ("specificity", specificity)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: a share from 0 to 1 is needed, got {value}")
    better = sensitivity + specificity - 1
    if better <= 0 or math.isclose(better, 0, abs_tol=1e-12):
        raise ValueError(f"sensitivity, specificity: together above 1 are needed, got {sensitivity} and {specificity}")
    return min(1.0, max(0.0, (rate + specificity - 1) / better))
