"""The two answers that rules compare, and mathematics asked about them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from thrifty.exam.grading.clean import plain

__all__ = ["Same", "Side", "Told", "compare_maths", "told"]

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


def compare_maths(gold: str, answer: str) -> Same | None:
    """Compare as mathematics, with its markup and without; None where nobody can tell."""
    from thrifty.exam.maths import compare

    found = compare(gold, answer)
    if found is None and ("\\" in gold or "\\" in answer):
        return compare(plain(gold), plain(answer))
    return found
