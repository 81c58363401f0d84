"""Numbers with units: how they are read, and whether one answers for another."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from thrifty.exam.grading.number import Number, read_number, same_number, scan_number
from thrifty.exam.grading.units import Unit, by_pint, read_unit
from thrifty.exam.grading.words import ORDINALS

__all__ = ["Quantity", "read_quantities", "same_quantity"]


class Quantity(NamedTuple):
    """A number, what it counts, and whether it is only a bound.

    Attributes
    ----------
    number : Number
    unit : Unit or None
    bound : str
        ``">"``, ``">="``, ``"<"``, ``"<="`` or empty.
    direction : str
        ``"up"``, ``"west"`` and the like, or empty.
    """

    number: Number
    unit: Unit | None = None
    bound: str = ""
    direction: str = ""


_BOUNDS = {
    ">": ">", "<": "<", ">=": ">=", "<=": "<=", "≥": ">=", "≤": "<=", "more than": ">", "greater than": ">",
    "larger than": ">", "over": ">", "above": ">", "exceeding": ">", "less than": "<", "fewer than": "<", "under": "<",
    "below": "<", "smaller than": "<", "at least": ">=", "no less than": ">=", "not less than": ">=",
    "no fewer than": ">=", "minimum of": ">=", "a minimum of": ">=", "at most": "<=", "no more than": "<=",
    "not more than": "<=", "up to": "<=", "maximum of": "<=", "a maximum of": "<=", "⩾": ">=", "⩽": "<=",
}  # fmt: skip
_BOUND = re.compile("|".join(re.escape(word) for word in sorted(_BOUNDS, key=len, reverse=True)), re.I)
_BEYOND = re.compile(
    r"(?<=\d)\+$|\s(?:or|and)\s(?:(?P<less>less|fewer|below|lower|under)|more|above|higher|greater|over)$", re.I
)
_ABOUT = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|circa|ca\.|exactly|precisely|just|only|some"
    r"|equal to|equals|is|it is|it's|a total of|in total|total|the value is)\s|[~≈≃=]|\bc\.\s)+\s?",
    re.I,
)
_MONEY = re.compile(
    r"(?P<sign>-)?(?P<unit>US\$|A\$|C\$|NZ\$|[$€£¥₹₽₩₿]|(?:USD|EUR|GBP|JPY|INR|CNY|CHF|RUB|AUD|CAD|Rs\.?)\s?)\s?(?=-?[\d.])"
)
_SUFFIX = re.compile(r"\s?(?P<k>[kKMB]|bn|mn|mil)\b(?P<rest>.*)")
_SUFFIXES = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "mil": 10**6, "B": 10**9, "bn": 10**9}
_DIRECTION = re.compile(
    r",?\s(?:to\sthe\s|due\s|directed\s)?(?P<way>up|down|left|right|north|south|east|west|north-?east|north-?west|south-?east"
    r"|south-?west|clockwise|counter-?clockwise|anti-?clockwise|inward|outward|forward|backward)(?:wards?|s)?$",
    re.I,
)
_NEXT = re.compile(r"(?P<unit>[^\d,]*?)[,\s]*(?:\band\s)?(?=\d)")
_MONTH, _SECOND = (("month", 1),), (("s", 1),)
_RANK = re.compile(rf"(?:\d+(?:st|nd|rd|th)|(?:{'|'.join(ORDINALS)}))\s", re.I)
_ONE = re.compile(r"an?\s([A-Za-z]{3,20})", re.I)
_IN = re.compile(r"\s(?:in|out\sof|over)\s(?:every\s)?", re.I)
_PAIR = re.compile(r"\d,\s?-?\d{1,2}\b")
_HEX = re.compile(r"0(?:[xX](?P<x>[0-9a-fA-F]{1,64})|[bB](?P<b>[01]{1,256})|[oO](?P<o>[0-7]{1,128}))")
_PI = Fraction("3.14159265358979323846264338327950288419716939937510")
_ANGLE = re.compile(
    r"(?P<sign>-?)(?P<n>\d{1,4}(?:\.\d{1,6})?(?:/\d{1,4})?)?\s?[·*]?\s?(?:π|pi\b)(?:\s?/\s?(?P<d>\d{1,4}))?\s?(?P<unit>.*)"
)
_PAREN = re.compile(r"\(?\s*(.*?)\s*\)?")
_HEDGE = re.compile(r"\s?\((?:approx(?:imately|\.)?|rounded|exact(?:ly)?|about)\)$", re.I)


def read_quantities(text: str) -> list[Quantity]:
    """All readings of text that is a number with or without a unit, and nothing else.

    >>> [q.unit.kind for q in read_quantities("about 5 km")]
    ['physical']
    """
    bound = ""
    text = _HEDGE.sub("", text)
    about = _ABOUT.match(text)
    if about:
        text = text[about.end() :]
    found = _BOUND.match(text)
    if found:
        bound, text = _BOUNDS[found[0].lower()], text[found.end() :].lstrip()
    elif (beyond := _BEYOND.search(text)) is not None:
        bound, text = ("<=" if beyond["less"] else ">="), text[: beyond.start()]
    heading = _DIRECTION.search(text) if text[-1:].isalpha() else None
    direction = ""
    if heading is not None and heading.start():
        direction, text = heading["way"].lower(), text[: heading.start()]
    readings = _readings(text.strip()) or _chance(text.strip())
    return [q._replace(bound=bound, direction=direction) for q in readings] if bound or direction else readings


def _readings(text: str) -> list[Quantity]:
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1 and not _PAIR.search(text):
        text = text[1:-1].strip()
    hexadecimal = _HEX.fullmatch(text)
    if hexadecimal:
        return [Quantity(Number(Fraction(int(text, 0))))]
    money = _MONEY.match(text)
    if money:
        return _money(money, text[money.end() :])
    found = scan_number(text)
    if found is None:
        return _angle(text) or _one(text)
    number, rest = found
    if not rest:
        return [Quantity(number)]
    if _RANK.match(text):
        # The second law of thermodynamics is no two of anything.
        return []
    if ((angle := _angle(text)) and "π" in text) or re.match(r"[\d./\s*·]*pi\b", text):
        return angle
    if rest[0].isdigit() or rest[0] in ".,/^_=<>+:":
        return []
    if any(c.isdigit() for c in rest):
        compound = _compound(number, rest)
        if compound:
            return compound
    units = read_unit(rest.strip("()") if rest.startswith("(") and rest.endswith(")") else rest)
    quantities = [Quantity(number, unit) for unit in units]
    if rest in _SUFFIXES and text.endswith(rest) and text[-len(rest) - 1].isdigit() and rest not in ("K",):
        quantities.append(Quantity(_times(number, _SUFFIXES[rest])))
    if not units and rest[0] in "-" and (units := read_unit(rest[1:])):
        quantities = [Quantity(number, unit) for unit in units]
    return quantities


def _one(text: str) -> list[Quantity]:
    """Read an hour, a fortnight."""
    found = _ONE.fullmatch(text)
    units = read_unit(found[1]) if found is not None else ()
    return [Quantity(Number(Fraction(1)), unit) for unit in units if unit.kind == "physical"]


def _chance(text: str) -> list[Quantity]:
    """One in six, 1 out of 6."""
    parts = _IN.split(text) if len(text) < 100 else []
    numbers = [read_number(part) for part in parts]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or not numbers[1].value:
        return []
    return [Quantity(Number(numbers[0].value / numbers[1].value))]


def _times(number: Number, factor: int | Fraction) -> Number:
    return Number(number.value * factor, number.step * factor, number.digits)


def _money(money: re.Match[str], rest: str) -> list[Quantity]:
    unit = read_unit(money["unit"].strip().rstrip("."))[0]
    suffixed = None
    found = scan_number(rest)
    if found is None:
        return []
    number, rest = found
    if rest and (suffixed := _SUFFIX.match(rest)) is not None:
        number, rest = _times(number, _SUFFIXES[suffixed["k"]]), suffixed["rest"].strip()
    if money["sign"]:
        number = number._replace(value=-number.value)
    if rest and not any(unit.dimensions == other.dimensions for other in read_unit(rest)):
        # "$5 per hour" and "$5 a day" count money by something: a thing of its own.
        per = re.fullmatch(r"(?:/|per\b|an?\b)\s?([a-z]{1,12})", rest, re.I)
        if per is None:
            return []
        unit = Unit("money", unit.scale, (*unit.dimensions, (f"per {per[1].lower()}", 1)))
    return [Quantity(number, unit)]


def _compound(number: Number, rest: str) -> list[Quantity]:
    """5 ft 10 in, 1 h 30 min, 12° 30': parts of one dimension, each smaller than the one before."""
    total = Fraction(0)
    first: Unit | None = None
    last = None
    step = Fraction(0)
    for _ in range(6):
        joint = _NEXT.match(rest)
        name = joint["unit"].strip(" ,") if joint else rest.strip()
        if first is not None and first.dimensions == (("rad", 1),) and name in ("'", "''", '"'):
            name = "arcmin" if name == "'" else "arcsec"
        if first is not None and first.dimensions == _SECOND and name == "m":
            name = "min"
        units = [u for u in read_unit(name) if u.kind == "physical" and not u.offset]
        if not units or (first is not None and units[0].dimensions != first.dimensions):
            return []
        unit = units[0]
        if last is not None and unit.scale >= last:
            return []
        first = first or unit
        last = unit.scale
        total += number.value * unit.scale
        step = number.step * unit.scale
        if joint is None:
            scaled = Number(total / first.scale, step / first.scale, number.digits if step else 0)
            return [Quantity(scaled, first)]
        found = scan_number(rest[joint.end() :])
        if found is None:
            return []
        number, rest = found
        if not rest:
            return []
    return []


def _angle(text: str) -> list[Quantity]:
    """Multiples of π: radians where nothing else is said."""
    found = _ANGLE.fullmatch(text)
    if found is None:
        return []
    factor = read_number(found["n"]) if found["n"] else Number(Fraction(1))
    if factor is None or found["d"] == "0":
        return []
    value = factor.value * _PI / int(found["d"] or 1) * (-1 if found["sign"] else 1)
    # Written to so many digits that only what is equally fine meets it.
    number = Number(value, Fraction(0))
    unit = found["unit"].strip()
    if not unit:
        return [Quantity(number)]
    return [Quantity(number, u) for u in read_unit(unit)]


_CLOSE = Fraction(1, 100)
# A year has 365 or 365.25 days where days are asked for.
_YEARS = (Fraction(365 * 86400, 12), Fraction(36525 * 864, 12))
_HALF = Fraction(1, 2)


def same_quantity(gold: Quantity, answer: Quantity) -> bool:
    """Whether an answer is the gold quantity: the same dimension, and the same number after conversion.

    A gold number without a unit takes an answer with any; a gold one with a physical unit does not take a bare number.
    """
    if gold.bound != answer.bound or (gold.direction and gold.direction != answer.direction):
        return False
    g, a = gold.unit, answer.unit
    if g is None or a is None:
        return _half_bare(gold, answer)
    if g.kind != a.kind and "thing" in (g.kind, a.kind):
        g, a = by_pint(g) or g, by_pint(a) or a
    if g.kind != a.kind:
        return False
    if g.kind == "thing":
        return _same_thing(g, a) and same_number(gold.number, answer.number)
    if {g.dimensions, a.dimensions} == {_MONTH, _SECOND}:
        return _same_years(gold.number, g, answer.number, a)
    if g.dimensions != a.dimensions:
        return False
    if g.scale == a.scale and g.offset == a.offset:
        return same_number(gold.number, answer.number) or _rounded(gold.number, answer.number)
    return _converted(gold.number, g, answer.number, a)


def _rounded(gold: Number, answer: Number) -> bool:
    """Whether a decimal is the gold quantity of several parts rounded: 8 min 20 s, 8.33 min."""
    return bool(
        gold.value.denominator != 1
        and not gold.step
        and answer.digits >= 3
        and abs(gold.value - answer.value) * 2 <= answer.step
    )


def _same_years(gold: Number, g: Unit, answer: Number, a: Unit) -> bool:
    """Years against days, of either length of a year."""
    if min(g.scale, a.scale) < 12 and _MONTH in (g.dimensions, a.dimensions) and 1 in (g.scale, a.scale):
        return False
    x, y = gold.value * g.scale, answer.value * a.scale
    return any((x * year == y) if g.dimensions == _MONTH else (y * year == x) for year in _YEARS)


def _half_bare(gold: Quantity, answer: Quantity) -> bool:
    """One of the two has no unit."""
    g, a = gold.unit, answer.unit
    same = same_number(gold.number, answer.number)
    if g is None and a is None:
        return same
    if g is None:
        assert a is not None
        share = a.kind == "percent" and 0 < abs(gold.number.value) < 1
        if same and not share:
            return True
        if a.kind == "percent" or _is_angle(a):
            return same_number(gold.number, _scaled(answer.number, a.scale))
        return False
    if g.kind == "percent":
        return same_number(_scaled(gold.number, g.scale), answer.number)
    if _is_angle(g):
        # Degrees go without saying; else a number is in radians.
        return same or same_number(_scaled(gold.number, g.scale), answer.number)
    return same and g.kind in ("money", "thing") and g.scale == 1


def _is_angle(unit: Unit) -> bool:
    return unit.dimensions == (("rad", 1),)


def _scaled(number: Number, factor: Fraction) -> Number:
    return Number(number.value * factor, number.step * factor, number.digits)


def _same_thing(g: Unit, a: Unit) -> bool:
    """Whether words name the same things: all of one are among those of the other."""
    gold, answer = ({word for word, _ in unit.dimensions} for unit in (g, a))
    if ("per" in gold) != ("per" in answer):
        return False
    vague = {"unit"}
    return bool(gold <= answer or answer <= gold or vague in (gold, answer))


def _converted(gold: Number, g: Unit, answer: Number, a: Unit) -> bool:
    """Compare after conversion, at the precision of the less precise side."""
    x, y = gold.value * g.scale + g.offset, answer.value * a.scale + a.offset
    if x == y:
        return True
    ratio = g.scale / a.scale
    round_factor = (ratio.numerator == 1 or ratio.denominator == 1) and g.offset == a.offset
    steps = [number.step * unit.scale for number, unit in ((gold, g), (answer, a))]
    if not round_factor:
        # A whole number that was converted is one that was rounded.
        steps = [step or unit.scale for step, unit in zip(steps, (g, a), strict=True)]
        if not gold.step:
            steps[0] = Fraction(0)
    tolerance = sum(steps) * _HALF
    return abs(x - y) <= min(tolerance, abs(x) * _CLOSE)
