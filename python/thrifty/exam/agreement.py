"""How far a judge agrees with the rules, where both have a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two graders beside each other.

    Attributes
    ----------
    answers : int
        That both have graded.
    both_right, both_wrong, rules_only, judge_only : int
        Of them; the last two are right by one alone.
    share : float
        On which they agree.
    kappa, low, high : float or None
        Cohen's kappa with its 95 % interval; None where both always said the same one thing.
    """

    answers: int
    both_right: int
    both_wrong: int
    rules_only: int
    judge_only: int
    share: float
    kappa: float | None
    low: float | None
    high: float | None


def agreement(rules: Sequence[bool], judge: Sequence[bool]) -> Agreement | None:
    """Compare verdicts on the same answers; None where there are none.

    Examples
    --------
    >>> found = agreement([True] * 45 + [False] * 55, [True] * 40 + [False] * 60)
    >>> found.rules_only, round(found.kappa, 3)
    (5, 0.898)
    """
    from thrifty.stats import cohen_kappa

    if not len(rules):
        return None
    pairs = list(zip(rules, judge, strict=True))
    kappa = cohen_kappa([str(bool(one)) for one in rules], [str(bool(one)) for one in judge])
    value, low, high = (None if math.isnan(x) else float(x) for x in (kappa.value, kappa.low, kappa.high))
    return Agreement(
        answers=len(pairs),
        both_right=pairs.count((True, True)),
        both_wrong=pairs.count((False, False)),
        rules_only=pairs.count((True, False)),
        judge_only=pairs.count((False, True)),
        share=kappa.agreement,
        kappa=value,
        low=low,
        high=high,
    )
