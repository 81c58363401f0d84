"""The two answers that rules compare, and mathematics asked about them."""

from __future__ import annotations

import threading
import time
from typing import Literal, NamedTuple, TypeAlias

from thrifty.exam.grading.clean import plain
from thrifty.exam.maths import compare

__all__ = ["Same", "Side", "Told", "begin_grade", "compare_maths", "told"]

#: What a rule says.
Same: TypeAlias = Literal["equal", "different"]
#: Verdict and the name of the rule that decided.
Told: TypeAlias = tuple[Literal["equal", "different", "abstain"], str]


class Side(NamedTuple):
    """One of the two answers.

    Attributes
    ----------
    raw : str
        With its markup of mathematics.
    text : str
        As a reader sees it.
    marked : bool
        Whether it was marked as an answer.
    """

    raw: str
    text: str
    marked: bool = True


def told(equal: bool, rule: str) -> Told:
    """Name a rule and what it says."""
    return ("equal" if equal else "different"), rule


class _Spent(threading.local):
    seconds = 0.0


_SPENT = _Spent()
# Mathematics may take a second and a half once; what comes after so much is not begun.
_ENOUGH = 0.4


def begin_grade() -> None:
    """Forget what mathematics took in the grade before."""
    _SPENT.seconds = 0.0


def compare_maths(gold: str, answer: str) -> Same | None:
    """Compare as mathematics, with its markup and without; None where nobody can tell, or too much time went by."""
    found = _timed(gold, answer)
    if found is None and ("\\" in gold or "\\" in answer):
        return _timed(plain(gold), plain(answer))
    return found


def _timed(gold: str, answer: str) -> Same | None:
    if _SPENT.seconds > _ENOUGH:
        return None
    begun = time.perf_counter()
    try:
        return compare(gold, answer)
    finally:
        _SPENT.seconds += time.perf_counter() - begun
