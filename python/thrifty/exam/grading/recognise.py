"""Whether an answer is mathematics or words, and the few names that both have for the same thing."""

from __future__ import annotations

import re

from thrifty.exam.grading.phrases import strip_lead

__all__ = ["has_words", "is_maths", "named_alike"]

_SIGNS = re.compile(
    r"[=^_{}\[\]|+*/<>≤≥≠∪∩∞√π±\\×÷∈∅]|(?<=[\dA-Za-z)])-(?=[\dA-Za-z(])|\d[a-z]\b|[A-Za-zΘΩ]\(|\d,\s?-?\d|\)\("
    r"|\b(?:\d{1,9}|[a-z])!|\b(?:sin|cos|tan|ln|log)\s?[a-z\d(]"
)
_LONG_WORD = re.compile(r"[A-Za-z]{3,}")
_FUNCTIONS = frozenset(
    """
    sin cos tan sec csc cot log ln exp sqrt arcsin arccos arctan sinh cosh tanh max min mod gcd lcm det dim lim inf
    sup arg frac dfrac tfrac cfrac cdot times left right begin end pmatrix bmatrix vmatrix matrix array text mathrm
    infty cup cap alpha beta gamma delta theta lambda sigma omega phi psi rho tau leq geq neq sum prod int binom
    circ mathbb mathbf quad and boxed cases
    """.split()
)
_ALIKE = (
    "∅, {}, empty set, empty, null set, no solution, no solutions, no real solution, no real solutions, none",
    "∞, +∞, infinity, infinite, positive infinity, inf, +infinity, plus infinity, infinitely many",
    "-∞, -infinity, negative infinity, minus infinity, -inf",
    "does not exist, dne, d.n.e, doesn't exist, no limit",
    "undefined, not defined",
    "<, less than",
    ">, greater than, more than",
    "≤, <=, less than or equal to, at most",
    "≥, >=, greater than or equal to, at least",
    "=, equal, equal to, equals, same, the same, they are equal",
)
_GROUP = {name: group for group, names in enumerate(_ALIKE) for name in names.split(", ")}


def has_words(text: str) -> bool:
    """Whether words other than names of functions stand in text."""
    return any(word not in _FUNCTIONS for word in _LONG_WORD.findall(text))


def is_maths(text: str) -> bool:
    """Whether text is more likely mathematics than words.

    >>> is_maths("2x + 1"), is_maths("the city of Paris")
    (True, False)
    """
    if len(text) == 1:
        return True
    if _SIGNS.search(text) is None:
        return False
    words = sum(len(word) for word in _LONG_WORD.findall(text) if word not in _FUNCTIONS)
    return words * 3 < len(text)


def named_alike(gold: str, answer: str) -> bool:
    """Whether both are names of infinity, of the empty set or the like."""
    group = _GROUP.get(gold.lower().strip(" .$"))
    return group is not None and _GROUP.get(strip_lead(answer.lower()).strip(" .$").removeprefix("the ")) == group
