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
_INTEGER = re.compile(r"\d+")
# Decimals, thousands, times, numbers of other bases, and fractions without braces are not moved.
_FIXED = re.compile(r"\d\.\d|,\d{3}(?!\d)|\d:\d|\d_|frac\s?\d\d|sqrt\s?\d\d|\d{6}|\.\d")
_UNITS = (("meters", "hours", "grams"), ("cm", "kg", "km"), ("miles", "days", "pounds"), ("yuan", "yen", "rupees"))
_UNIT = {unit: group for group in _UNITS for unit in group}


def _numbers(text: str) -> set[str]:
    return {found.replace(",", "") for found in _NUMBER.findall(re.sub(r"\\!|\{|\}", "", text))}


def _integers(text: str) -> set[int]:
    return {int(found) for found in _INTEGER.findall(text)}


def _moved(gold: str, response: str, rng: random.Random) -> dict[int, int]:
    """Other integers for those of a pair, in the same order; 0 and 1 stay what they are."""
    moved, reached = {0: 0, 1: 1}, 1
    for number in sorted(_integers(gold + " " + response) - {0, 1}):
        reached += rng.randint(1, 9)
        moved[number] = reached
    return moved


def exchange(
    gold: str, response: str, last: tuple[str, str], rng: random.Random, *, equal: bool = True
) -> tuple[str, str]:
    """A pair with other letters, units and numbers, whose verdict stays.

    Digits are exchanged where both come to the same numbers, and neither arithmetic nor order counts. Where order
    counts, and where answers differ, integers are moved so that their order stays.

    Parameters
    ----------
    gold, response : str
    last : tuple of str
        What the two come to.
    rng : random.Random
    equal : bool
        The label of the pair.
    """
    letters = sorted(set(_LETTER.findall(gold + " " + response)))
    # Order is kept: what is named p = 5, q = 2 may be answered (5, 2).
    renamed = dict(zip(letters, sorted(rng.sample(_LETTERS, len(letters))), strict=True))
    units = {unit: rng.choice(group) for unit, group in _UNIT.items()}
    units = {unit: units[_UNIT[unit][0]] for unit in units}
    digits = dict(zip("123456789", rng.sample("123456789", 9), strict=True))
    ordered = any(_ORDER.search(text) for text in (gold, response))
    counted = _numbers(last[0]) == _numbers(last[1]) and not ordered
    alike = _integers(last[0]) == _integers(last[1]) if equal else True
    movable = not counted and alike and not any(map(_FIXED.search, last)) and not _FIXED.search(gold)
    moved = _moved(gold, response, rng) if movable else {}

    def turned(text: str) -> str:
        text = _LETTER.sub(lambda m: renamed[m[0]], text)
        text = re.sub(rf"\b(?:{'|'.join(_UNIT)})\b", lambda m: units[m[0]], text)
        if moved:
            return _INTEGER.sub(lambda m: str(moved[int(m[0])]) if int(m[0]) > 1 else m[0], text)
        return "".join(digits.get(c, c) for c in text) if counted else text

    return turned(gold), turned(response)
