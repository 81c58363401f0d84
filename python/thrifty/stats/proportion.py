"""Intervals of a proportion: ``successes`` of ``trials`` independent draws."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["clopper_pearson", "score_interval", "wald", "wilson"]


def _check(successes: int, trials: int, confidence: float) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"successes: 0 to trials, and at least 1 trial, are needed; got {successes} of {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: a share between 0 and 1 is needed, got {confidence}")


def wald(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Interval by the normal law, as leaderboards print it: too narrow near 0 and 1, of no width at 0 and 1.

    Examples
    --------
    >>> from thrifty.stats import wald
    >>> low, high = wald(68, 2500)
    >>> round(100 * (high - low) / 2, 2)
    0.64
    """
    _check(successes, trials, confidence)
    p = successes / trials
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(p * (1 - p) / trials)
    return p - half, p + half


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval: close to its nominal coverage on average, also for small counts.

    Wilson 1927; Brown, Cai and DasGupta 2001.

    Examples
    --------
    >>> from thrifty.stats import wilson
    >>> wilson(0, 10)[0]
    0.0
    """
    _check(successes, trials, confidence)
    return score_interval(successes / trials, trials, NormalDist().inv_cdf(0.5 + confidence / 2))


def score_interval(share: float, trials: float, z: float) -> tuple[float, float]:
    """Shares that a share seen in so many trials, which may be a fraction, is at most ``z`` standard errors from."""
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    return (0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half)


def clopper_pearson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval: covers at least as often as it says, at the price of being wide.

    Clopper and Pearson 1934.

    Examples
    --------
    >>> from thrifty.stats import clopper_pearson
    >>> low, high = clopper_pearson(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.1871, 0.8129)
    """
    from scipy.special import betaincinv

    _check(successes, trials, confidence)
    alpha = 1 - confidence
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, alpha / 2))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - alpha / 2))
    return low, high
