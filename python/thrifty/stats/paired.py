"""Two systems on the same questions: which of them is right on more, and is the difference less than so much.

``first`` and ``second`` are how many questions only the first and only the second one answered rightly; differences are
those of the second against the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Equivalence", "equivalence", "mcnemar", "paired_difference", "paired_score"]

#: Differing questions up to which ways are counted in whole numbers.
MOST_EXACT = 10_000


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests that a difference lies within -delta to delta.

    Attributes
    ----------
    p_loss : float
        Of the data or ones that speak more for it, were the loss ``delta``: small where less was lost.
    p_gain : float
        The same, were the gain ``delta``.
    """

    p_loss: float
    p_gain: float

    @property
    def p(self) -> float:
        """Of both: small where the difference is within delta on either side."""
        return max(self.p_loss, self.p_gain)


def _check(first: float, second: float, trials: float) -> None:
    if not (first >= 0 and second >= 0 and trials > 0 and first + second <= trials * (1 + 1e-12)):
        raise ValueError(
            f"first, second: counts of at least 0 that sum to at most trials are needed, "
            f"got {first} and {second} of {trials}"
        )


def mcnemar(first: int, second: int, *, mid: bool = False) -> float:
    """Two-sided p-value of equal systems, from the questions on which they differ.

    McNemar 1947, exact by the binomial law; ``mid`` counts half of what was seen itself (Fagerland et al. 2013): less
    cautious, and it errs about as often as it says.

    Examples
    --------
    >>> from thrifty.stats import mcnemar
    >>> f"{mcnemar(237, 63):.12g}"
    '6.90008244159e-25'
    """
    from scipy.special import bdtr

    _check(first, second, first + second or 1)
    trials, fewer = first + second, min(first, second)
    if trials == 0:
        return 1.0
    if trials > MOST_EXACT:
        tail = here = float(bdtr(fewer, trials, 0.5))
        here -= float(bdtr(fewer - 1, trials, 0.5)) if fewer else 0.0
    else:
        ways = below = 1
        for i in range(fewer):
            ways = ways * (trials - i) // (i + 1)
            below += ways
        tail, here = below / (1 << trials), ways / (1 << trials)
    return min(1.0, 2 * tail - here if mid else 2 * tail)


def paired_difference(
    first: float, second: float, trials: float, *, confidence: float = 0.95, method: str = "wald"
) -> tuple[float, float, float]:
    """Difference of two paired shares, and its interval.

    Parameters
    ----------
    first, second, trials : float
        Questions that only the first, only the second got right; all questions. They may be fractions.
    confidence : float
        Of the interval.
    method : str
        ``"wald"``: standard error sqrt(b + c - (b - c)^2 / n) / n. ``"score"``: all differences that
        :func:`paired_score` does not reject (Tango 1998), which holds for few differing questions too.

    Returns
    -------
    tuple of float
        Difference (second - first) / trials, low, high.

    Examples
    --------
    >>> from thrifty.stats import paired_difference
    >>> [round(100 * x, 3) for x in paired_difference(63, 237, 1000)]
    [17.4, 14.181, 20.619]
    """
    _check(first, second, trials)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: a share between 0 and 1 is needed, got {confidence}")
    difference = (second - first) / trials
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    if method == "wald":
        half = z * math.sqrt(first + second - (second - first) ** 2 / trials) / trials
        return difference, difference - half, difference + half
    if method != "score":
        raise ValueError(f"method: 'wald' or 'score' is needed, got {method!r}")
    return difference, _root(first, second, trials, z, -1.0), _root(first, second, trials, -z, 1.0)


def _root(first: float, second: float, trials: float, score: float, end: float) -> float:
    """Find the difference at which the score, which falls as the difference grows, is ``score``."""
    outer, inner = end, (second - first) / trials
    for _ in range(100):
        middle = (outer + inner) / 2
        if abs(paired_score(first, second, trials, middle)) > abs(score):
            outer = middle
        else:
            inner = middle
    return inner


def paired_score(first: float, second: float, trials: float, difference: float) -> float:
    """Score of a supposed difference: standard normal where it is true.

    Tango 1998: (c - b - n d) / sqrt(n (2 q + d (1 - d))), with q the likeliest share of questions that only the first
    one gets right, were the difference d. Counts may be fractions.
    """
    _check(first, second, trials)
    if abs(difference) >= 1:
        return math.copysign(math.inf, -difference) if second - first != trials * difference else 0.0
    away = second - first - trials * difference
    linear = -second - first + (2 * trials - second + first) * difference
    constant = -first * difference * (1 - difference)
    q = (math.sqrt(max(linear * linear - 8 * trials * constant, 0.0)) - linear) / (4 * trials)
    variance = trials * (2 * q + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if away == 0 else math.copysign(math.inf, away)
    return away / math.sqrt(variance)


def equivalence(first: float, second: float, trials: float, delta: float) -> Equivalence:
    """Two one-sided score tests that the difference is within ``delta``: Schuirmann 1987, with the score of Tango 1998.

    Raises
    ------
    ValueError
        When ``delta`` is not between 0 and 1.

    Examples
    --------
    >>> from thrifty.stats import equivalence
    >>> equivalence(20, 22, 10_000, 0.01).p < 0.001
    True
    >>> equivalence(0, 0, 100, 0.01).p > 0.05
    True
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta: a share between 0 and 1 is needed, got {delta}")
    normal = NormalDist()
    return Equivalence(
        normal.cdf(-paired_score(first, second, trials, -delta)), normal.cdf(paired_score(first, second, trials, delta))
    )
