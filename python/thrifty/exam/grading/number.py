"""Numbers as people write them, read exactly, and whether one answers for another."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from thrifty.exam.grading.words import SCALES, spelled_prefix

__all__ = ["Number", "read_number", "same_number", "scan_number"]

_DIGITS, _EXPONENT = 10_000, 5_000


class Number(NamedTuple):
    """A number and how finely it is written.

    Attributes
    ----------
    value : Fraction
    step : Fraction
        Worth of the last digit of a decimal; 0 for integers and fractions, which are exact.
    digits : int
        Significant digits of a decimal; 0 for what is exact.
    """

    value: Fraction
    step: Fraction = Fraction(0)
    digits: int = 0


_ZERO = Fraction(0)
_SIMPLE = re.compile(r"([+-]?)(\d{1,18})(?:\.(\d{1,18}))?")
_BODY = re.compile(
    r"(?P<us>\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?)"
    r"|(?P<indian>\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])(?:\.\d+)?)"
    r"|(?P<europe>\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:\.\d{3}){2,}(?![\d.]))"
    r"|(?P<blank>\d{1,3}(?:[ '_]\d{3})+(?!\d)(?:[.,]\d+)?)"
    r"|(?P<comma>\d+,\d+(?![\d,]))"
    r"|(?P<plain>\d+\.?\d*|\.\d+)"
)
_SIGN = re.compile(r"[+-]\s?|minus\s|negative\s|plus\s", re.I)
_POWER = re.compile(
    r"(?:[eE]\s?(?P<e>[+-]?\d{1,7})(?![\dA-Za-z])"
    r"|\s?(?:×|[x*·])\s?10\s?(?:(?:\^|\*\*)\s?(?:\(\s?(?P<a>[+-]?\s?\d{1,7})\s?\)|\{\s?(?P<c>[+-]?\s?\d{1,7})\s?\}"
    r"|(?P<b>[+-]?\d{1,7}))|(?P<d>[+-]\d{1,7})))"
)
_TEN = re.compile(r"10\s?(?:\^|\*\*)\s?(?:\(\s?([+-]?\s?\d{1,7})\s?\)|\{\s?([+-]?\s?\d{1,7})\s?\}|([+-]?\d{1,7}))")
_OVER = re.compile(r"\s?/\s?(\d+(?:\.\d+)?)(?![\d.,]*\s?/|\d)")
_MIXED = re.compile(r"(?:\s|\s?-\s?|\s?and\s)(\d{1,6})\s?/\s?(\d{1,6})(?![\d/])")
_SCALE = re.compile(r"\s?-?(hundred|thousand|million|billion|trillion|quadrillion|dozen)s?\b", re.I)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
_DOTS = re.compile(r"\.\.\.+")


def _int(digits: str) -> int:
    """Integer of many digits; Python's own reading stops at 4,300."""
    if len(digits) <= 4000:
        return int(digits or "0")
    head, rest = digits[:-4000], digits[-4000:]
    return _int(head) * 10**4000 + int(rest)


def _decimal(whole: str, part: str, exponent: int = 0) -> Number:
    value = Fraction(_int(whole + part))
    step = _ZERO
    shift = exponent - len(part)
    value = value * 10**shift if shift >= 0 else value / 10**-shift
    digits = 0
    if part:
        step = Fraction(10) ** shift
        digits = len((whole + part).lstrip("0"))
    return Number(value, step, digits)


def scan_number(text: str) -> tuple[Number, str] | None:
    """Read the number that a text begins with; returns it and what follows.

    >>> scan_number("6.02 × 10^23 atoms")[1]
    'atoms'
    """
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        number = _decimal(simple[2], simple[3] or "")
        return (number._replace(value=-number.value) if simple[1] == "-" else number), ""
    sign = _SIGN.match(text)
    negative = sign is not None and sign[0][0] in "-mMnN"
    rest = text[sign.end() :] if sign else text
    found = _unsigned(rest)
    if found is None:
        return None
    number, rest = found
    return (number._replace(value=-number.value) if negative else number), rest.strip()


def _unsigned(text: str) -> tuple[Number, str] | None:
    body = _BODY.match(text)
    if body is None:
        return spelled_number(text)
    if len(body[0]) > _DIGITS:
        return None
    if (ten := _TEN.match(text)) is not None:
        exponent = _exponent(ten[1] or ten[2] or ten[3])
        return None if exponent is None else (Number(Fraction(10) ** exponent), text[ten.end() :])
    whole, part = _parts(body)
    power = _POWER.match(text, body.end())
    if power is not None:
        exponent = _exponent(power["e"] or power["a"] or power["b"] or power["c"] or power["d"])
        found = None if exponent is None else (_decimal(whole, part, exponent), power.end())
    else:
        found = _followed(whole, part, text, body.end())
    if found is None:
        return None
    number, end = found
    scale = _SCALE.match(text, end)
    if scale is not None:
        factor = SCALES[scale[1].lower()]
        number, end = Number(number.value * factor, number.step * factor, number.digits), scale.end()
    return number, text[end:]


def _exponent(digits: str) -> int | None:
    exponent = int(digits.replace(" ", ""))
    return exponent if abs(exponent) <= _EXPONENT else None


def _followed(whole: str, part: str, text: str, end: int) -> tuple[Number, int] | None:
    """Read a number without a power of ten, with what follows its digits: dots, a fraction, an ordinal's ending."""
    number = _decimal(whole, part)
    if part and (dots := _DOTS.match(text, end)) is not None:
        return _repeating(whole, part, number), dots.end()
    mixed = None if part else _MIXED.match(text, end)
    # A numerator that is smaller than its denominator makes it a mixed number.
    if mixed is not None and int(mixed[2]) > int(mixed[1]):
        return Number(number.value + Fraction(int(mixed[1]), int(mixed[2]))), mixed.end()
    if (over := _OVER.match(text, end)) is not None:
        below = _decimal(*over[1].partition(".")[::2]).value if len(over[1]) <= _DIGITS else 0
        return (Number(number.value / below), over.end()) if below else None
    ordinal = None if part else _ORDINAL.match(text, end)
    return number, ordinal.end() if ordinal is not None else end


def _parts(body: re.Match[str]) -> tuple[str, str]:
    """Digits before and behind the decimal mark, whatever the separators."""
    kind, text = body.lastgroup, body[0]
    if kind in ("us", "indian"):
        if text[0] == "0":
            # No thousands begin with 0: a decimal comma.
            whole, _, part = text.partition(",")
            return whole, part.replace(",", "").replace(".", "")
        text = text.replace(",", "")
    elif kind == "europe":
        text = text.replace(".", "").replace(",", ".")
    elif kind == "blank":
        text = re.sub("[ '_]", "", text).replace(",", ".")
    elif kind == "comma":
        text = text.replace(",", ".")
    whole, _, part = text.partition(".")
    return whole, part


def _repeating(whole: str, part: str, number: Number) -> Number:
    """0.333... goes on for ever; 0.1234... is only cut off."""
    for period in (1, 2, 3, 6):
        block = part[-period:]
        times = 3 if period == 1 else 2
        if len(part) >= period * times and part.endswith(block * times):
            nines = 10**period - 1
            head = part[: len(part) - period]
            shift = 10 ** len(head)
            return Number(Fraction(_int(whole + head)) / shift + Fraction(int(block), nines * shift))
    return number


def spelled_number(text: str) -> tuple[Number, str] | None:
    """Read a number in words and what follows it."""
    found = spelled_prefix(text)
    return None if found is None else (Number(found[0]), found[1])


def read_number(text: str) -> Number | None:
    """Read text that is one number and nothing else.

    >>> read_number("1 234,5").value
    Fraction(2469, 2)
    """
    found = scan_number(text)
    return found[0] if found is not None and not found[1] else None


# A decimal that is written coarsely covers much: what is farther off than this is another number.
_COARSE = Fraction(3, 100)
# Decimals of so many digits stand for a fraction that has no end.
_ENOUGH = 6


def same_number(gold: Number, answer: Number) -> bool:
    """Whether an answer is the gold number.

    Integers and fractions are exact; a decimal gold is met by what rounds to it; a fraction without an end by a decimal
    of at least six digits that it rounds to.
    """
    if gold.value == answer.value:
        return True
    g, a = abs(gold.value), abs(answer.value)
    if (gold.value < 0) != (answer.value < 0) and a:
        return False
    if gold.step:
        half = gold.step / 2
        return g - half <= a < g + half and abs(g - a) <= g * _COARSE
    return bool(
        answer.step and answer.digits >= _ENOUGH and _endless(gold.value.denominator) and abs(g - a) < answer.step
    )


def _endless(denominator: int) -> bool:
    if denominator == 1 or denominator.bit_length() > 4096:
        return False
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator != 1
