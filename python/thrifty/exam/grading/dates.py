"""Dates and times of day as people write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from thrifty.exam.grading.words import ORDINALS, spelled

__all__ = ["Moment", "read_moments", "same_moment"]


class Moment(NamedTuple):
    """A date, a time of day, or both; what is not said is None.

    Attributes
    ----------
    year : int or None
        Negative before the common era.
    month, day : int or None
    seconds : int or None
        Since midnight.
    finest : str
        ``"century"``, ``"decade"``, ``"year"``, ``"month"``, ``"day"`` or ``"time"``: how much is said.
    zone : str
        As far as it is said: ``"UTC"`` or another name.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    seconds: int | None = None
    finest: str = "day"
    zone: str = ""


_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"), ("february", "feb"), ("march", "mar"), ("april", "apr"), ("may",), ("june", "jun"),
            ("july", "jul"), ("august", "aug"), ("september", "sep", "sept"), ("october", "oct"), ("november", "nov"),
            ("december", "dec"),
        ),
        1,
    )
    for name in names
}  # fmt: skip
_DAYS_IN = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_ERA = r"(?:\s?(?P<era>BCE|BC|CE|AD|B\.C\.E\.?|B\.C\.?|C\.E\.?|A\.D\.?))?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{1,4})"
_WEEKDAY = re.compile(r"(?:(?:on\s)?(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s)", re.I)
_LEAD = re.compile(
    r"(?:on|in|at|by|during|the year|year|circa|ca?\.|around|about|approximately|since|the(?=\s\d))\s", re.I
)
_ORDINALS = (
    {word: number for word, number in ORDINALS.items() if 0 < number <= 20}
    | {f"twenty-{word}": 20 + number for word, number in ORDINALS.items() if 0 < number < 10}
    | {"thirtieth": 30, "thirty-first": 31}
)
_ORDINAL = re.compile(
    rf"\b(?:{'|'.join(sorted(_ORDINALS, key=len, reverse=True))})(?=\s(?:of\s|day\s)?[a-z]|,|$)", re.I
)
_ZONE = re.compile(r"\s?(?P<zone>Z|UTC|GMT|[A-Z]{2,4}T|[+-]\d{2}:?\d{2})$")
_FORMS = tuple(
    re.compile(form, re.I)
    for form in (
        rf"{_MONTH}\s{_DAY}(?:,\s?|\s)(?:of\s)?{_YEAR}{_ERA}",
        rf"{_DAY}(?:\sday)?\s(?:of\s)?{_MONTH}(?:,\s?|\s){_YEAR}{_ERA}",
        rf"{_YEAR},?\s{_MONTH}\s{_DAY}",
        rf"{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}",
        rf"{_MONTH}(?:\sof)?,?\s(?P<year>\d{{3,4}}){_ERA}",
        rf"{_MONTH}\s(?:the\s)?{_DAY}",
        rf"{_DAY}(?:\sday)?\s(?:of\s)?{_MONTH}",
        r"(?P<year>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<day>\d{1,2})",
        r"(?P<year>\d{4})(?P<m>\d{2})(?P<day>\d{2})(?=T)",
        r"(?P<year>\d{4})-(?P<m>\d{2})",
        r"(?P<year>\d{1,5})\s?(?P<era>BCE|BC|CE|AD|B\.C\.E\.?|B\.C\.?|C\.E\.?|A\.D\.?)",
        r"(?P<era>AD|A\.D\.?|CE)\s?(?P<year>\d{1,4})",
    )
)
_NUMERIC = re.compile(r"(?P<a>\d{1,2})(?P<mark>[/.-])(?P<b>\d{1,2})(?P=mark)(?P<year>\d{4})")
_DECADE = re.compile(r"(?:the\s)?(?P<part>early|mid|late)?[\s-]?(?:the\s)?(?P<year>\d{3}0)'?s", re.I)
_CENTURY = re.compile(
    r"(?:the\s)?(?P<n>\d{1,2}|[a-z]+(?:[\s-][a-z]+)?)(?:st|nd|rd|th)?\s(?:century|cent\.|c\.)(?:\s?(?P<era>BCE|BC|CE|AD))?",
    re.I,
)
_CLOCK = re.compile(
    r"(?P<h>\d{1,2})(?:[:.h](?P<m>\d{2})(?::(?P<s>\d{2})(?:\.0+)?)?)?\s?(?P<half>a\.?m\.?|p\.?m\.?|noon|midnight|o'?clock|hours|hrs|h)?"
    r"(?P<part>\sin\sthe\s(?:morning|afternoon|evening)|\sat\snight)?",
    re.I,
)
_MILITARY = re.compile(r"(?P<h>[01]\d|2[0-4])(?P<m>[0-5]\d)\s?(?:hours|hrs|h)", re.I)
_PAST = re.compile(
    r"(?P<what>half|quarter|(?:a\squarter)|\d{1,2}|[a-z]+(?:-[a-z]+)?)(?:\sminutes)?\s(?P<way>past|to|after)\s(?P<h>\d{1,2}|[a-z]+)\s?"
    r"(?P<half>a\.?m\.?|p\.?m\.?|in\sthe\s(?:morning|afternoon|evening)|at\snight)?",
    re.I,
)


def read_moments(text: str) -> list[Moment]:
    """All readings of text that is a date, a time of day or both, and nothing else.

    >>> read_moments("20 July 1969") == read_moments("1969-07-20")
    True
    """
    if len(text) > 80:
        return []
    text = _ORDINAL.sub(lambda m: f"{_ORDINALS[m[0].lower()]}th", _WEEKDAY.sub("", text)).strip()
    led = False
    for _ in range(2):
        if (lead := _LEAD.match(text)) is not None:
            led, text = True, text[lead.end() :]
    if led and re.fullmatch(r"[12]\d{3}", text):
        return [Moment(year=int(text), finest="year")]
    whole = _date(text)
    if whole:
        return whole
    zone = _ZONE.search(text)
    name = ""
    if zone and (":" in text or "m" in text.lower()):
        name = {"Z": "UTC", "GMT": "UTC", "+00:00": "UTC", "+0000": "UTC"}.get(zone["zone"], zone["zone"])
        text = text[: zone.start()].strip()
    clocks = _clock(text)
    if clocks:
        return [Moment(seconds=s, finest="time", zone=name) for s in clocks]
    for joint in (r"T(?=\d)", r",?\s(?:at\s)?(?=\d{1,2}(?:[:.]\d{2}|\s?[ap]))", r"\s(?:on|,)\s", r",\s"):
        parts = re.split(joint, text, maxsplit=1)
        if len(parts) == 2:
            for day, hour in (parts, parts[::-1]):
                dates, clocks = _date(day.strip(" ,")), _clock(hour.strip(" ,"))
                if dates and clocks:
                    return [d._replace(seconds=s, finest="time", zone=name) for d in dates for s in clocks]
    return []


def _date(text: str) -> list[Moment]:
    text = text.replace("'", "")
    numeric = _NUMERIC.fullmatch(text)
    if numeric is not None:
        a, b, year = int(numeric["a"]), int(numeric["b"]), int(numeric["year"])
        return [m for m in (_moment(year, a, b), _moment(year, b, a)) if m] if a != b else _list(_moment(year, a, b))
    found = next((match for form in _FORMS if (match := form.fullmatch(text)) is not None), None)
    if found is not None:
        return _list(_written(found.groupdict()))
    decade = _DECADE.fullmatch(text)
    if decade is not None:
        return [Moment(year=int(decade["year"]), finest=f"decade {(decade['part'] or '').lower()}")]
    century = _CENTURY.fullmatch(text)
    if century is not None:
        word = century["n"].lower()
        number = ORDINALS.get(word) or _count(word.removesuffix("th") if word[0].isdigit() else word)
        if number is None:
            return []
        before = (century["era"] or "").upper() in ("BC", "BCE")
        return [Moment(year=-number if before else number, finest="century")]
    return []


def _written(parts: dict[str, str | None]) -> Moment | None:
    """Make a moment of the named parts of a form."""
    name, number, said, day = (parts.get(key) for key in ("month", "m", "year", "day"))
    month = _MONTHS[name.lower()] if name else int(number) if number else None
    year = int(said) if said else None
    if year is not None and (parts.get("era") or "").replace(".", "").upper() in ("BC", "BCE"):
        year = -year
    return _moment(year, month, int(day) if day else None)


def _list(moment: Moment | None) -> list[Moment]:
    return [moment] if moment else []


def _moment(year: int | None, month: int | None, day: int | None) -> Moment | None:
    if month is not None and not 1 <= month <= 12:
        return None
    if day is not None and (month is None or not 1 <= day <= _DAYS_IN[month - 1]):
        return None
    return Moment(year, month, day, finest="day" if day else "month" if month else "year")


def _clock(text: str) -> list[int]:
    """Seconds since midnight; both halves of the day only where words leave it open."""
    lower = text.lower().strip()
    if lower in ("noon", "midday", "12 noon", "12:00 noon"):
        return [43_200]
    if lower in ("midnight", "12 midnight", "12:00 midnight"):
        return [0]
    military = _MILITARY.fullmatch(text)
    if military is not None:
        return [int(military["h"]) % 24 * 3600 + int(military["m"]) * 60]
    past = _PAST.fullmatch(lower)
    if past is not None:
        return _past(past)
    found = _CLOCK.fullmatch(text)
    if found is None or not (found["m"] or found["half"] or found["part"]):
        return []
    half = (found["half"] or "").lower().replace(".", "")
    if not half and "." in text and not found["part"]:
        return []
    if half in ("h", "hrs", "hours") and not found["m"]:
        return []
    if "h" in text and not half and found["m"] and ":" not in text and "." not in text:
        half = "h"
    hour, minute, second = int(found["h"]), int(found["m"] or 0), int(found["s"] or 0)
    part = (found["part"] or "").lower()
    afternoon = half in ("pm", "noon") or any(word in part for word in ("afternoon", "evening", "night"))
    morning = half in ("am", "midnight") or "morning" in part
    if hour > 24 or minute > 59 or second > 59 or ((morning or afternoon) and not 1 <= hour <= 12):
        return []
    if afternoon:
        hour = hour % 12 + 12
    elif morning:
        hour %= 12
    return [hour % 24 * 3600 + minute * 60 + second]


def _past(found: re.Match[str]) -> list[int]:
    """Half past three, ten to four."""
    what = found["what"].removeprefix("a ")
    minutes = {"half": 30, "quarter": 15}.get(what) or _count(what)
    hour = _count(found["h"])
    if minutes is None or hour is None or not 1 <= hour <= 12 or not 0 < minutes < 60:
        return []
    total = hour % 12 * 60 + (-minutes if found["way"] == "to" else minutes)
    half = (found["half"] or "").replace(".", "")
    if half == "pm" or half.endswith(("afternoon", "evening", "night")):
        total += 720
    times = [total % 1440 * 60]
    if not half:
        times.append((total + 720) % 1440 * 60)
    return times


def _count(word: str) -> int | None:
    """Read a small number in digits or words."""
    if word.isdigit():
        return int(word)
    value = spelled(word)
    return int(value) if value is not None and value.denominator == 1 else None


def same_moment(gold: list[Moment], answer: list[Moment]) -> bool:
    """Whether an answer says when the gold one does, and no less.

    A date in digits that reads two ways agrees with one that does not, by either reading.
    """
    if len(gold) > 1 and len(answer) > 1:
        # Both open: only the same order of day and month is safe.
        return gold == answer
    return any(_agree(g, a) for g in gold for a in answer)


def _agree(g: Moment, a: Moment) -> bool:
    if g.finest.startswith(("decade", "century")) or a.finest.startswith(("decade", "century")):
        return g == a
    if g.zone != a.zone and g.zone and a.zone:
        return False
    for mine, theirs in ((g.year, a.year), (g.month, a.month), (g.day, a.day), (g.seconds, a.seconds)):
        if mine is not None and mine != theirs:
            return False
    # A bare time is no date, and a year that is not asked for does no harm.
    return g.finest != "time" or a.seconds is not None
