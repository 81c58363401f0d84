"""Words that stand for mathematics: sets of numbers, conditions."""

from __future__ import annotations

import re

__all__ = ["CONDITIONS", "QUANTIFIERS", "worded"]

#: Words that begin a condition, and what may follow them.
CONDITIONS = frozenset({"for", "where", "when", "if", "with", "provided"})
QUANTIFIERS = frozenset({"all", "any", "every", "each", "some", "that"})

_DOMAINS = {"real": "R", "integer": "Z", "whole": "Z", "rational": "Q", "complex": "C", "natural": "N"}
_SET = re.compile(
    r"(?:\\text\s?\{\s?)?\b(?:the set of )?all (real|integer|rational|complex|natural)(?: number)?s?\b(?: numbers?)?"
    r"(\s?except\b(?: for| when| at)?)?(?:\s?\})?(?:\s?[a-z]\s?(?:=|\\neq?\b|!=))?",
    re.I,
)
_BARE = re.compile(r"\s{0,3}(?:the )?(?:set of )?(?:reals|real numbers)\s{0,3}", re.I)
_INTEGER = re.compile(
    r",?\s?(?:\\text\s?\{\s?)?\(?(?:where|for|with)?\s?(?:\})?\s?\$?\b([k-n])\b\$?\s?(?:\\text\s?\{\s?)?"
    r"(?:is|are|being)?\s?(?:an|any|some)\s(?:arbitrary )?integer\b\)?(?:\s?\})?"
    r"|,?\s?(?:\\text\s?\{\s?)?\b(?:where|for|with)\s(?:all|any|every|some|an)?\s?integers?\b(?:\s?\})?\s?\$?([k-n])\b"
)


_ORDERS = (
    (re.compile(r"\b(?:is )?(?:at least|greater than or equal to|no less than|not less than)\b"), r" \\ge "),
    (re.compile(r"\b(?:is )?(?:at most|less than or equal to|no more than|not more than)\b"), r" \\le "),
    (re.compile(r"\b(?:is )?(?:strictly )?(?:greater|more|larger) than\b"), " > "),
    (re.compile(r"\b(?:is )?(?:strictly )?(?:less|smaller) than\b"), " < "),
    (re.compile(r"\b(?:is )?not equal to\b"), r" \\ne "),
)


def worded(text: str) -> str:
    """Signs instead of phrases: the real numbers, all but one of them, any integer k."""
    if " than" in text or " at " in text or "equal to" in text:
        for pattern, sign in _ORDERS:
            text = pattern.sub(sign, text)
    if "integer" in text:
        text = _INTEGER.sub(lambda m: rf", {m[1] or m[2]} \in \mathbb{{Z}}", text)
    if "eal" in text or "all " in text or "All " in text:
        if _BARE.fullmatch(text):
            return r"\mathbb{R}"
        text = _SET.sub(lambda m: rf"\mathbb{{{_DOMAINS[m[1].lower()]}}} " + (r"\setminus " if m[2] else ""), text)
    return text
