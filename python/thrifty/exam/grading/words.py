"""Numbers that are written as words."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["ORDINALS", "SCALES", "spelled", "spelled_prefix"]

_SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
""".split()
_FIRST = """
zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth
""".split()
_TENS = {word: 10 * k for k, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_VALUES = {word: value for value, word in enumerate(_SMALL)} | _TENS | {"fourty": 40, "nought": 0, "nil": 0, "unity": 1}
#: Words that multiply what is before them.
SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "quadrillion": 10**15,
}
#: Ordinal words and what they count.
ORDINALS = (
    {word: value for value, word in enumerate(_FIRST)}
    | {word[:-1] + "ieth": value for word, value in _TENS.items()}
    | {"hundredth": 100, "thousandth": 1000, "millionth": 10**6}
)
_PARTS = {word: value for word, value in ORDINALS.items() if value > 2} | {"half": 2, "halve": 2, "quarter": 4}
_AND_PART = {"half": Fraction(1, 2), "quarter": Fraction(1, 4), "third": Fraction(1, 3)}
_TOKEN = re.compile(r"(?:\s*-\s*|\s+|^)([A-Za-z]+)")
_SEEN = 200


def spelled(text: str) -> Fraction | None:
    """Value of text that is a number in words and nothing else; ordinals count, ``half`` and ``two thirds`` too.

    >>> spelled("two hundred and five"), spelled("Three-quarters")
    (Fraction(205, 1), Fraction(3, 4))
    """
    found = spelled_prefix(text)
    return found[0] if found is not None and not found[1] else None


def spelled_prefix(text: str) -> tuple[Fraction, str] | None:
    """Value of the number in words that text begins with, and what is left of it."""
    words: list[str] = []
    ends: list[int] = []
    position = 0
    while position < _SEEN and (token := _TOKEN.match(text, position)) is not None:
        words.append(token[1].lower())
        ends.append(token.end())
        position = token.end()
    if not words:
        return None
    value, used = _cardinal(words)
    number, used = _ended(value, words, used) if used else _alone(words)
    return (number, text[ends[used - 1] :].strip()) if used else None


def _cardinal(words: list[str]) -> tuple[int, int]:
    """Value of the cardinal number that words begin with, and of how many it is."""
    total, current, used = 0, None, 0
    for k, word in enumerate(words):
        scale = SCALES.get(word.removesuffix("s"))
        if word in _VALUES and _fits(current, _VALUES[word]):
            current = (current or 0) + _VALUES[word]
        elif scale is not None and scale <= 100:
            current = (1 if current is None else current) * scale
        elif scale is not None:
            total, current = total + (1 if current is None else current) * scale, None
        elif _joins(word, words[k + 1 : k + 2], total + (current or 0), k):
            current = 1 if word != "and" else current
            continue
        else:
            break
        used = k + 1
    return total + (current or 0), used


def _fits(current: int | None, value: int) -> bool:
    """Whether a word adds to the number before it: forty-two, one hundred two, but not two five."""
    if current is None:
        return True
    return bool(current) and (current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20 and 0 < value < 10))


def _joins(word: str, after: list[str], so_far: int, k: int) -> bool:
    """Whether ``and`` or an article belongs to the number: two hundred and five, a million."""
    if word == "and":
        return so_far >= 100 and bool(after) and after[0] in _VALUES
    return word in ("a", "an") and k == 0 and bool(after) and after[0] in SCALES


def _ended(value: int, words: list[str], used: int) -> tuple[Fraction, int]:
    """Add to a cardinal number what may end it: and a half, thirds, first."""
    rest = words[used:]
    if rest[:1] == ["and"] and len(rest) > 2 and rest[1] in ("a", "one") and rest[2] in _AND_PART:
        return value + _AND_PART[rest[2]], used + 3
    if rest[:1] == ["and"]:
        count, taken = _cardinal(rest[1:])
        part = _PARTS.get(rest[1 + taken].removesuffix("s")) if taken and len(rest) > 1 + taken else None
        if part is not None and 0 < count < part:
            return value + Fraction(count, part), used + 2 + taken
    if rest and rest[0] in ORDINALS and value >= 20 and value % 10 == 0 and ORDINALS[rest[0]] < 10:
        return Fraction(value + ORDINALS[rest[0]]), used + 1
    part = _PARTS.get(rest[0].removesuffix("s")) if rest else None
    if part is not None and value and (value == 1) != rest[0].endswith("s"):
        return Fraction(value, part), used + 1
    return Fraction(value), used


def _alone(words: list[str]) -> tuple[Fraction, int]:
    """Read an ordinal, or one part, without a number before it."""
    if words[0] in ("a", "an") and len(words) > 1 and words[1] in _PARTS:
        return Fraction(1, _PARTS[words[1]]), 2
    if words[:2] in (["half", "a"], ["half", "an"]) and len(words) > 2 and words[2] in SCALES:
        return Fraction(SCALES[words[2]], 2), 3
    if words[0] in ("half", "quarter"):
        return Fraction(1, _PARTS[words[0]]), 1
    if words[0] in ORDINALS:
        return Fraction(ORDINALS[words[0]]), 1
    return Fraction(0), 0
