"""Numbers that are written as words."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["ORDINALS", "SCALES", "spelled", "spelled_prefix"]

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_VALUES = {word: value for value, word in enumerate(_UNITS)} | _TENS | {"fourty": 40, "nought": 0, "nil": 0}
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
_FIRST = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
]
#: Ordinal words and what they count.
ORDINALS = (
    {word: value for value, word in enumerate(_FIRST)}
    | {word[:-1] + "ieth": value for word, value in _TENS.items()}
    | {"hundredth": 100, "thousandth": 1000, "millionth": 10**6}
)
_PARTS = {word: value for word, value in ORDINALS.items() if value > 2} | {
    "half": 2,
    "halve": 2,
    "quarter": 4,
}
_WORD = re.compile(r"[a-z]+")
_TOKENS = re.compile(r"\s*[-\s]\s*")


def spelled(text: str) -> Fraction | None:
    """Value of text that is a number in words and nothing else; ordinals count, ``half`` and ``two thirds`` too.

    >>> spelled("two hundred and five"), spelled("Three-quarters")
    (Fraction(205, 1), Fraction(3, 4))
    """
    found = spelled_prefix(text)
    return found[0] if found is not None and not found[1] else None


def spelled_prefix(text: str) -> tuple[Fraction, str] | None:
    """Value of the number in words that text begins with, and what is left of it."""
    lower = text[:200].lower()
    first = _WORD.match(lower)
    if first is None or not _begins(first[0]):
        return None
    words: list[tuple[str, int]] = [(m[0], m.end()) for m in re.finditer(r"[a-z]+", lower)]
    total = Fraction(0)
    current: int | None = None
    end = i = 0
    position = 0
    while i < len(words):
        word, stop = words[i]
        between = lower[position : stop - len(word)]
        if i and not re.fullmatch(r"\s*-\s*|\s+", between):
            break
        if word == "and":
            # "two hundred and five", "two and a half": what follows decides.
            if (current is None and not total) or i + 1 >= len(words):
                break
            rest = [w for w, _ in words[i + 1 : i + 4]]
            if rest[:2] in (["a", "half"], ["one", "half"]):
                total, current, end = total + (current or 0) + Fraction(1, 2), 0, words[i + 2][1]
                break
            if rest[:2] in (["a", "quarter"], ["one", "quarter"]):
                total, current, end = total + (current or 0) + Fraction(1, 4), 0, words[i + 2][1]
                break
            if (current or total) < 100 or rest[0] not in _VALUES:
                break
        elif word in ("a", "an"):
            if i or len(words) == 1 or not (words[1][0] in SCALES or words[1][0] in _PARTS):
                break
            current = 1
        elif word in _VALUES:
            value = _VALUES[word]
            if current is None:
                current = value
            elif (current % 100 == 0 and current) or (current % 10 == 0 and current % 100 >= 20 and 0 < value < 10):
                current += value
            else:
                break
            end = stop
        elif word in SCALES or (word.endswith("s") and word[:-1] in SCALES and word != "dozens"):
            scale = SCALES[word.removesuffix("s")]
            if scale <= 100:
                current = (1 if current is None else current) * scale
            else:
                total, current = total + (1 if current is None else current) * scale, None
            end = stop
        elif (part := word if word in _PARTS else word.removesuffix("s")) in _PARTS and current and not total:
            if part not in ("half", "quarter") and word in ORDINALS and current >= 20 and current % 10 == 0:
                return Fraction(current + ORDINALS[word]), text[stop:].strip()
            if word in ORDINALS and current > 1:
                break
            return Fraction(current, _PARTS[part]), text[stop:].strip()
        elif word in ORDINALS:
            if current is None:
                total, current = total + ORDINALS[word], None
            elif current % 10 == 0 and ORDINALS[word] < 10:
                total, current = total + current + ORDINALS[word], None
            else:
                break
            end = stop
            break
        elif word in ("half", "quarter") and not i:
            return Fraction(1, _PARTS[word]), text[stop:].strip()
        else:
            break
        position = stop
        i += 1
    if not end:
        return None
    return total + (current or 0), text[end:].strip()


def _begins(word: str) -> bool:
    return word in _VALUES or word in SCALES or word in ORDINALS or word in ("a", "an", "half", "quarter")
