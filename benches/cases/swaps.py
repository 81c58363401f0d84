"""Pairs of the same kind: numbers, letters and units exchanged on both sides, so that verdicts stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_LETTERS = "bcnpqrtuvwxyz"
_LETTER = re.compile(rf"(?<![A-Za-z\\])[{_LETTERS}](?![A-Za-z])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ORDER = re.compile(r"[<>≤≥\[\]]|\\(?:le|ge|lt|gt|in|cup|infty|mod|boxed\s*\{\()|\bto\b|_\{?\d")
_UNITS = (("meters", "hours", "grams"), ("cm", "kg", "km"), ("miles", "days", "pounds"), ("yuan", "yen", "rupees"))
_UNIT = {unit: group for group in _UNITS for unit in group}


def _numbers(text: str) -> set[str]:
    return {found.replace(",", "") for found in _NUMBER.findall(re.sub(r"\\!|\{|\}", "", text))}


def exchange(gold: str, response: str, last: tuple[str, str], rng: random.Random) -> tuple[str, str]:
    """A pair with other letters and units, and other digits where its verdict does not rest on arithmetic or order.

    Parameters
    ----------
    gold, response : str
    last : tuple of str
        What the two come to: digits are exchanged where both hold the same numbers.
    rng : random.Random
    """
    letters = sorted(set(_LETTER.findall(gold + " " + response)))
    # Order is kept: what is named p = 5, q = 2 may be answered (5, 2).
    renamed = dict(zip(letters, sorted(rng.sample(_LETTERS, len(letters))), strict=True))
    units = {unit: rng.choice(group) for unit, group in _UNIT.items()}
    units = {unit: units[_UNIT[unit][0]] for unit in units}
    digits = dict(zip("123456789", rng.sample("123456789", 9), strict=True))
    counted = _numbers(last[0]) == _numbers(last[1]) and not any(_ORDER.search(text) for text in (gold, response))

    def turned(text: str) -> str:
        text = _LETTER.sub(lambda m: renamed[m[0]], text)
        text = re.sub(rf"\b(?:{'|'.join(_UNIT)})\b", lambda m: units[m[0]], text)
        return "".join(digits.get(c, c) for c in text) if counted else text

    return turned(gold), turned(response)
