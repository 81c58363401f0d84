"""Whether a response states a percentage that a judge says it read there."""

from __future__ import annotations

import re
from functools import cache

from thrifty.exam.grading.clean import characters
from thrifty.exam.grading.reasoning import strip_reasoning

__all__ = ["states"]

#: Letters that are looked at, from the end.
_SEEN = 1 << 16


def states(response: str, percent: float) -> bool:
    r"""Tell whether a number stands in a response as a percentage, or as a confidence.

    As a word of its own, with ``%`` or ``percent`` behind it or ``confidence`` before it in the line; hidden reasoning
    is left out.

    Examples
    --------
    >>> states("There were 15 of them", 5), states("I would bet on it, 95 %", 5), states("I bet 5 percent on it", 5)
    (False, False, True)
    """
    return _pattern(f"{percent:g}").search(characters(strip_reasoning(response)[-_SEEN:])) is not None


@cache
def _pattern(number: str) -> re.Pattern[str]:
    # No letter, digit or decimal point before or behind: 5 is no part of 15, 0.5, 5.5 or 5m.
    value = rf"(?<![0-9A-Za-z.,]){re.escape(number)}(?:\.0{{1,6}})?"
    behind = r"[ \t]{0,2}(?:\\?%|(?:percent|per cent|pct)(?![a-z]))"
    before = rf"confiden(?:ce|t)(?![a-z])[^\n0-9]{{0,40}}{value}(?![0-9A-Za-z]|[.,][0-9])"
    return re.compile(rf"{value}{behind}|{before}", re.IGNORECASE)
