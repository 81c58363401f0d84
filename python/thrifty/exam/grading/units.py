"""Units as people write them: products, powers and quotients of names and symbols, money, percent, things counted."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from thrifty.exam.grading.unit_table import ALIASES, CURRENCIES, OFFSETS, PREFIXES, SPELLED_PREFIXES, UNITS

__all__ = ["PERCENT", "Unit", "by_pint", "read_unit"]


class Unit(NamedTuple):
    """What a number counts.

    Attributes
    ----------
    kind : str
        ``"physical"``, ``"money"``, ``"percent"`` or ``"thing"``.
    scale : Fraction
        Factor to the SI unit, to the whole currency, to 1.
    dimensions : tuple of (str, int)
        Sorted; of a thing its words, of money its code.
    offset : Fraction
        Kelvins at the zero of a temperature scale.
    """

    kind: str
    scale: Fraction
    dimensions: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)


PERCENT = Unit("percent", Fraction(1, 100), ())
_PERCENTS = {
    "%": PERCENT,
    "percent": PERCENT,
    "per cent": PERCENT,
    "pct": PERCENT,
    "percentage": PERCENT,
    "percentage point": PERCENT,
    "‰": Unit("percent", Fraction(1, 1000), ()),
    "per mille": Unit("percent", Fraction(1, 1000), ()),
}
_LOWER: dict[str, str] = {}
for _name in UNITS:
    _LOWER.setdefault(_name.lower(), _name)
_CURRENCY_LOWER = {name.lower(): value for name, value in CURRENCIES.items()}

_MISSPELT = {name.lower(): name for name in ("km", "cm", "mm", "kg", "kHz", "kJ", "kPa", "kW", "kWh", "mL")}
_Part = tuple[Fraction, dict[str, int], Fraction]


def _single(name: str) -> _Part | None:
    """Factor, dimensions and offset of one name or symbol, prefix and plural allowed."""
    for candidate in dict.fromkeys((name, *_singular(name))):
        found = _exact(candidate) or _exact(ALIASES.get(candidate, ""))
        if found:
            return found
    lower = name.lower()
    for candidate in dict.fromkeys((lower, *_singular(lower))):
        found = _exact(ALIASES.get(candidate, candidate if len(candidate) > 3 else ""))
        if found:
            return found
    # KM, Kg, HZ: case is wrong, and nothing else can be meant.
    matches = {_LOWER[lower]} if lower in _LOWER else set()
    if len(lower) > 1 and lower[0] in "k" and lower[1:] in _LOWER:
        matches.add(f"k{_LOWER[lower[1:]]}")
    if lower in _MISSPELT:
        matches = {_MISSPELT[lower]}
    elif not matches and len(name) > 2 and (base := _LOWER.get(lower[1:])) is not None:
        # GHZ: a prefix as it is, and a symbol of more than one letter.
        matches = {("k" if name[0] == "K" else name[0]) + base}
    if len(matches) == 1 and len(lower) > 1:
        return _exact(matches.pop())
    return None


def _exact(name: str) -> _Part | None:
    if not name:
        return None
    if name in UNITS:
        scale, dimensions, _ = UNITS[name]
        return scale, dimensions, OFFSETS.get(name, Fraction(0))
    for prefix, power in PREFIXES.items():
        if name.startswith(prefix) and (base := UNITS.get(name[len(prefix) :])) is not None and base[2]:
            if len(name) - len(prefix) > 3:
                continue
            return base[0] * Fraction(10) ** power, base[1], Fraction(0)
    return _spelled(name)


def _spelled(name: str) -> _Part | None:
    for prefix, power in SPELLED_PREFIXES.items():
        if name.startswith(prefix) and len(name) > len(prefix) + 2:
            base = name[len(prefix) :]
            found = UNITS.get(ALIASES.get(base, base))
            if found is not None and found[2]:
                return found[0] * Fraction(10) ** power, found[1], Fraction(0)
    return None


def _singular(name: str) -> list[str]:
    """List what a plural may be one of."""
    if len(name) < 3 or not name.endswith("s"):
        return []
    return [name[:-1], name[:-2]] if name.endswith(("ches", "xes")) else [name[:-1]]


_TOKEN = re.compile(
    r"\s*(?:(?P<power>(?:\^|\*\*)\s?\(?\{?\s?(?P<n>[+-]?\s?\d{1,2})\s?\}?\)?)|(?P<times>[·*×.⋅-])|(?P<over>/|per\b)"
    r"|(?P<open>\()|(?P<close>\))|(?P<name>(?:°\s?)?[A-Za-zμΩÅ°ω'\"%‰]+)(?P<digits>-?\d(?![\d.]))?)\s*"
)
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_SQUARED, _CUBED = re.compile(r"\b([A-Za-z]{1,20}) squared\b"), re.compile(r"\b([A-Za-z]{1,20}) cubed\b")
_PLURAL = re.compile(r"s per\b")
_LONG = 60


def read_unit(text: str) -> tuple[Unit, ...]:
    """All that a text can mean as a unit; nothing where it is none.

    >>> read_unit("km/h")[0].scale
    Fraction(5, 18)
    """
    text = text.strip()
    return _readings(text) if 0 < len(text) <= _LONG else ()


@lru_cache(maxsize=4096)
def _readings(text: str) -> tuple[Unit, ...]:
    if text.lower().startswith(("degrees ", "degs ")):
        text = "degree " + text.split(" ", 1)[1]
    lower = text.lower().rstrip(".")
    singular = lower.removesuffix("s")
    if lower in _PERCENTS or singular in _PERCENTS:
        return (_PERCENTS.get(lower) or _PERCENTS[singular],)
    for money in (CURRENCIES.get(text), _CURRENCY_LOWER.get(lower), _CURRENCY_LOWER.get(singular)):
        if money is not None:
            found = [Unit("money", money[1], ((money[0], 1),))]
            return (*found, *_physical(text))
    if singular == "pound":
        return (*_physical("lb"), Unit("money", Fraction(1), (("GBP", 1),)))
    return tuple(_physical(text)) or tuple(_thing(text))


def _physical(text: str) -> list[Unit]:
    if text in ("C", "F"):
        # Degrees are often left out.
        other = _single("°" + text)
        return [unit for part in (_single(text), other) if part for unit in [_unit(part)]]
    for name in (text, text.rstrip("."), _PLURAL.sub(" per", text)):
        whole = _single(name)
        if whole:
            return [_unit(whole)]
    product = _product(text)
    return [_unit(product)] if product else []


def _unit(part: _Part) -> Unit:
    return Unit("physical", part[0], tuple(sorted((k, v) for k, v in part[1].items() if v)), part[2])


def _product(text: str) -> _Part | None:
    """Read a product of powers; all that follows a slash divides: J/kg·K means J/(kg K) to those who write it."""
    text = _CUBED.sub(r"\1^3", _SQUARED.sub(r"\1^2", text))
    scale, dimensions = Fraction(1), dict[str, int]()
    position, sign, inside, wait, seen = 0, 1, 0, 0, 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token.end() == position or token["power"]:
            return None
        position = token.end()
        if token["over"]:
            sign = -1
        inside += (token["open"] is not None) - (token["close"] is not None)
        if not token["name"]:
            continue
        if token["name"].lower() in _POWERS:
            wait = _POWERS[token["name"].lower()]
            continue
        power, position = _power(token, text, position)
        part, seen = _single(token["name"]), seen + 1
        power = sign * (wait or power)
        if part is None or abs(power) > 12 or seen > 8:
            return None
        wait = 0
        scale *= part[0] ** power
        for dimension, exponent in part[1].items():
            dimensions[dimension] = dimensions.get(dimension, 0) + exponent * power
    return None if inside or wait or not seen else (scale, dimensions, Fraction(0))


def _power(token: re.Match[str], text: str, position: int) -> tuple[int, int]:
    """Exponent of a name, and where reading goes on."""
    if token["digits"]:
        return int(token["digits"]), position
    raised = _TOKEN.match(text, position)
    if raised is not None and raised["power"]:
        return int(raised["n"].replace(" ", "")), raised.end()
    return 1, position


def by_pint(unit: Unit) -> Unit | None:
    """Ask pint, where it is installed, about a thing of one word that is a unit after all: a league, a bushel."""
    if unit.kind != "thing" or len(unit.dimensions) != 1 or (registry := _registry()) is None:
        return None
    name = unit.dimensions[0][0]
    if not name.isascii() or not name.isalpha() or name not in registry[1]:
        return None
    base = registry[0].Quantity(1, name).to_base_units()
    powers = {_BASE.get(key, key): power for key, power in base.unit_items()}
    if not powers or any(power != int(power) for power in powers.values()):
        return None
    factor = Fraction(repr(float(base.magnitude)))
    return _unit((factor, {key: int(power) for key, power in powers.items()}, Fraction(0)))


_BASE = {"meter": "m", "kilogram": "kg", "second": "s", "ampere": "A", "kelvin": "K", "mole": "mol", "candela": "cd"}


@lru_cache(maxsize=1)
def _registry() -> tuple[Any, frozenset[str]] | None:
    try:
        import pint
    except ImportError:
        return None
    registry: Any = pint.UnitRegistry()
    return registry, frozenset(registry)


_THINGS = {"bpm": "beats per minute", "wpm": "words per minute", "fps": "frames per second"}
_STOP = frozenset("of the a an in total each about approximately more less than and or".split())
_NOT_THINGS = frozenset(
    """
    is are was were be because not but if that which since when where has have then so or and instead rather than
    unlike like with without for as by from at into to through out plus minus times two three four five six seven
    eight nine ten eleven twelve hundred thousand million
    """.split()
)


def _thing(text: str) -> list[Unit]:
    """Things counted: at most five words."""
    text = _THINGS.get(text.lower(), text)
    words = re.findall(r"[^\W\d_]+(?:[-'][^\W\d_]+)*", text.lower())
    if not words or len(words) > 5 or not re.fullmatch(r"[^\W\d_](?:[^\W\d_]|[\s'-])*\.?", text):
        return []
    if any(word in _NOT_THINGS for word in words):
        return []
    kept = sorted({_stem(word) for word in words if word not in _STOP})
    if not any(len(word) > 2 for word in kept):
        return []
    return [Unit("thing", Fraction(1), tuple((word, 1) for word in kept))] if kept else []


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word
