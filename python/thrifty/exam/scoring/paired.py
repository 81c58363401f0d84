"""Whether a second system lost anything against a first one on the same questions, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.stats import (
    clustered_mean,
    equivalence,
    equivalence_trials,
    mcnemar,
    paired_difference,
    paired_trials,
)
from thrifty.stats.clustered import alike, numbered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ALPHA", "Decision", "Word", "decide"]

Word = Literal["identical", "equivalent", "lost accuracy", "gained accuracy", "cannot tell"]

#: Level of all tests.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Decision:
    """What pairs of grades say of a second system against a first one.

    Attributes
    ----------
    verdict : str
        ``"equivalent"``: the accuracies differ by less than ``delta``, by two one-sided tests, also where a smaller
        difference is certain. Else ``"lost accuracy"`` or ``"gained accuracy"`` where a two-sided test sees one. Else
        ``"cannot tell"``.
    pairs, clusters : int
        Pairs of answers, and groups of pairs that are independent of each other.
    first_only, second_only : int
        Pairs of which only the first, only the second is right.
    difference, low, high : float
        Second less first accuracy, 95 %: with independent pairs by the normal law, which has no width where no pair
        differs: there, ``score_low`` and ``score_high``. Else by t over clusters, and no narrower than the score
        interval of as many independent pairs as tell as much.
    score_low, score_high : float
        The score interval of independent pairs (Tango 1998); that of ``low`` and ``high`` where they are not.
    p_exact, p_mid : float
        McNemar's test; nan where pairs are not independent.
    p : float
        What the verdict takes: ``p_mid``, or that of t over clusters.
    p_loss, p_gain : float
        Of a loss, a gain, of ``delta``: small where there is less.
    needed : int
        Questions at which systems that differ on as large a share are told apart when one loses ``delta``, and are
        found equivalent when none does, each with a chance of 80 %; asked as often, and in clusters as large.
    questions : int
        Different ones among the pairs.
    """

    verdict: Word
    pairs: int
    clusters: int
    first_only: int
    second_only: int
    difference: float
    low: float
    high: float
    score_low: float
    score_high: float
    p_exact: float
    p_mid: float
    p: float
    p_loss: float
    p_gain: float
    needed: int
    questions: int


def decide(
    first: ArrayLike,
    second: ArrayLike,
    *,
    delta: float = 0.01,
    clusters: ArrayLike | None = None,
    questions: int | None = None,
) -> Decision:
    """Compare grades of two systems on the same questions.

    Parameters
    ----------
    first, second : array_like
        bool[n], at least one pair.
    delta : float
        Loss of accuracy that would matter, a share.
    clusters : array_like, optional
        What pairs that are not independent share: the question where it was asked several times, the author, the
        passage.
    questions : int, optional
        Different questions among the pairs, where some were asked several times.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.exam import decide
    >>> plain = np.arange(1140) % 10 < 6
    >>> worse = plain & (np.arange(1140) % 20 != 1)
    >>> decide(plain, worse).verdict
    'lost accuracy'
    >>> decide(plain, plain[::-1]).verdict
    'cannot tell'
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise ValueError(f"first, second: grades of the same pairs, at least one, are needed, got {a.shape}, {b.shape}")
    if not 0 < delta < 1:
        raise ValueError(f"delta: a share between 0 and 1 is needed, got {delta}")
    n = len(a)
    asked = n if questions is None else questions
    if not 1 <= asked <= n:
        raise ValueError(f"questions: 1 to {n}, the number of pairs, are possible, got {questions}")
    lost, gained = int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a))
    exact, mid = mcnemar(lost, gained), mcnemar(lost, gained, mid=True)
    within = equivalence(lost, gained, n, delta)
    p, p_loss, p_gain, groups, effect = mid, within.p_loss, within.p_gain, n, 1.0
    difference, low, high = paired_difference(lost, gained, n)
    _, score_low, score_high = paired_difference(lost, gained, n, method="score")
    low, high = (max(low, -1.0), min(high, 1.0)) if lost + gained else (score_low, score_high)
    of = None if clusters is None else numbered(clusters, n)
    if of is not None and int(of.max()) + 1 < n:
        found = _clustered(b.astype(np.float64) - a, of, lost, gained, delta)
        low, high, p, p_loss, p_gain, groups, effect = found
        score_low, score_high = low, high
        exact = mid = math.nan
        # Where no pair differs, nothing tells whether repeats add anything.
        effect = effect if lost + gained else n / asked
    verdict: Word = "cannot tell"
    if max(p_loss, p_gain) < ALPHA:
        verdict = "equivalent"
    elif p < ALPHA:
        verdict = "lost accuracy" if difference < 0 else "gained accuracy"
    discordant = min(max((lost + gained) / n, 1 / asked, delta), 1.0)
    needed = max(paired_trials(delta, discordant), equivalence_trials(delta, discordant))
    return Decision(
        verdict, n, groups, lost, gained, difference, low, high, score_low, score_high,
        exact, mid, p, p_loss, p_gain, math.ceil(needed * effect * asked / n), asked,
    )  # fmt: skip


def _clustered(
    differences: np.ndarray, of: np.ndarray, lost: int, gained: int, delta: float
) -> tuple[float, float, float, float, float, int, float]:
    """Interval, p-values and the factor of the variance that clusters make, at least 1.

    Clusters that all agree by chance would leave no error at all; so nothing is surer than as many independent pairs as
    the clusters are worth, nor than what signs of clusters alone can tell. What they are worth is seen in as many
    clusters as differ: the fewer, the less is taken, down to what they are worth when pairs of a cluster are all alike.
    """
    from scipy.special import stdtr

    n, groups = len(differences), int(of.max()) + 1
    if groups < 2:
        return -1.0, 1.0, 1.0, 1.0, 1.0, groups, 1.0
    mean = clustered_mean(differences, of)
    sums = np.bincount(of, weights=differences)
    alone = (lost + gained - (lost - gained) ** 2 / n) / (n * n)
    effect = max(mean.error**2 / alone, 1.0) if alone > 0 else 1.0
    squares = (sums - np.bincount(of) * mean.value) ** 2
    doubt = 1 + 2 * math.sqrt(float((squares**2).sum())) / float(squares.sum()) if squares.any() else math.inf
    worth = max(n / (effect * doubt), alike(of))
    scale = worth / n
    fewer = equivalence(lost * scale, gained * scale, worth, delta)
    _, low, high = paired_difference(lost * scale, gained * scale, worth, method="score")

    def beyond(away: float) -> float:
        if mean.error == 0:
            return 0.0 if away > 0 else 1.0
        return float(stdtr(groups - 1, -away / mean.error))

    p = min(1.0, 2 * beyond(abs(mean.value))) if mean.value else 1.0
    p = max(p, 2.0 ** (1 - min(int(np.count_nonzero(sums)), 1000)))
    p_loss, p_gain = max(beyond(mean.value + delta), fewer.p_loss), max(beyond(delta - mean.value), fewer.p_gain)
    low, high = max(min(mean.low, low), -1.0), min(max(mean.high, high), 1.0)
    return low, high, min(p, 1.0), p_loss, p_gain, groups, effect
