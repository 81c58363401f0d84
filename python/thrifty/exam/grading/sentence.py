"""Plain answers within sentences: the number or the mathematics that a sentence comes to."""

from __future__ import annotations

import re

from thrifty.exam.grading.quantity import Quantity, read_quantities

__all__ = ["narrowed", "quantities_in"]

_HEDGE = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|might|between|unsure|not sure|cannot|can't|unknown|unclear)\b|\?|\s/\s",
    re.I,
)
_DENIAL = re.compile(r"(?<![\w'])(?:not|isn't|never|neither|nor|no)(?![\w'])", re.I)
_CONTRAST = re.compile(
    r"[,;\s(]*\b(?:(?:and|but)\s)?(?:not|rather\sthan|instead\sof|unlike)\s(?:(?!\bbut\b|\bwhich\sis\b|\bit's\b)[^,;()]){1,60}?"
    r"(?=\)|,|;|$|\s?\(|\sbut\b|\swhich\b|\sit's\b|\sit\sis\b)\)?",
    re.I,
)
_COPULA = re.compile(
    r"\s(?:is|are|was|were|equals?|be|becomes|gives|yields|get|obtain|of|by|to|at|:|=|≈)\s+"
    r"(?:equal\sto\s|about\s|approximately\s)?|[:=≈]\s?",
    re.I,
)
_BECAUSE = re.compile(r",?\s(?:because|since|as\s(?:it|the|we)|so\sthat|given|which|where|when|for\swhich)\b|;", re.I)
_ASIDE = re.compile(r"\s?\([^()]{1,200}\)|\s?\[[^\[\]]{1,200}\]")
_NUMBER = re.compile(
    r"(?<![\w.^_/*+=<>({\[\\-])-?\s?[$€£¥₹]?\s?-?(?:\d[\d,. ']*\d|\d|\.\d+)(?:\s?/\s?\d+)?"
    r"(?:\s?(?:×|x|\*|·)\s?10\s?\^\s?\(?[+-]?\d+\)?|[eE][+-]?\d+)?"
    r"(?:\s?(?:hundred|thousand|million|billion|trillion)\b)?(?=[^\w/^*=(\[]|[A-Za-zμΩ°]{1,6}(?:[\d^]|\b)|$)"
)
# Several equations with commas between them are several values.
_SEVERAL = re.compile(r"=[^=]*[,;][^=]*=")
_JOINED = re.compile(r"\d\S*\s(?:and|&)\s")
_ONCE = re.compile(r"\b(?:thought|wrong|instead|rather|initially|formerly|unlike|and)\b|&|\s/\s", re.I)
_CODE = re.compile(r"[{}<>\\]|;\s?\S|//")
_NUMBER_WORD = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|half|halves|thirds?|quarters?|\w+ths)\b",
    re.I,
)
_WORDS = re.compile(r"[A-Za-z]{3,}")
_SEGMENT = re.compile(r"\$\$(.{1,2000}?)\$\$|\$([^$\n]{1,1000})\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.S)


def quantities_in(text: str, *, marked: bool) -> list[Quantity]:
    """Read the one quantity that a sentence comes to; nothing where it is undecided.

    Of a text that marks its answer there must be one number, or one behind the last verb; of one that does not the
    last counts.
    """
    if len(text) > 2000 or not _WORDS.search(text):
        return []
    kept = _ASIDE.sub(" ", _CONTRAST.sub(" ", text)).strip(" .")
    if marked and _undecided(text, kept):
        return []
    because = _BECAUSE.search(kept) if marked else None
    if because is not None and _NUMBER.search(kept[: because.start()]):
        kept = kept[: because.start()]
    whole = read_quantities(kept)
    if not whole and ("=" in kept or "≈" in kept):
        # What is computed comes last.
        kept = re.split("[=≈]", kept)[-1].strip()
        whole = read_quantities(kept)
    return whole or _last_number(kept, marked=marked)


def _undecided(text: str, kept: str) -> bool:
    """Whether a marked answer leaves open what it is: it denies, hedges, joins several values, or is no sentence."""
    return bool(
        _CODE.search(text)
        or (_DENIAL.match(text) and " but " not in text)
        or _HEDGE.search(kept)
        or _DENIAL.search(kept)
        or _SEVERAL.search(kept)
        or _JOINED.search(kept)
    )


def _last_number(kept: str, *, marked: bool) -> list[Quantity]:
    """Read the one number, or the one behind the last verb; of a text without a mark the last."""
    found = list(_NUMBER.finditer(kept))
    if not found:
        return _spelled(kept)
    behind = [m.end() for m in _COPULA.finditer(kept)]
    last = found[-1]
    if len(found) > 1 and marked:
        tail = [
            m
            for m in found
            if behind and m.start() >= max(b for b in behind if b <= last.start() + 1 or b == behind[0]) - 1
        ]
        if len(tail) != 1:
            return []
        last = tail[0]
    if marked and _NUMBER_WORD.search(kept.replace(last[0], " ", 1)):
        return []
    return _with_unit(kept[last.start() :].strip(), last[0].strip(" ,."))


def _with_unit(text: str, number: str) -> list[Quantity]:
    """Read the quantity that text begins with, with as many words of unit as can be read."""
    rest = text[len(number) :] if text.startswith(number) else ""
    words = re.split(r"(?<=\S)\s", rest.strip())
    glued = not rest.startswith((" ", ",", ".")) and rest != ""
    for count in range(min(4, len(words)), 0, -1):
        unit = " ".join(words[:count]).strip(" ,.;:!")
        readings = read_quantities(f"{number}{'' if glued else ' '}{unit}")
        if readings and any(q.unit is not None and q.unit.kind != "thing" for q in readings):
            return readings
    # Without a unit among the words that follow they only tell what is counted.
    return read_quantities(number)


def _spelled(text: str) -> list[Quantity]:
    """Read a number in words, behind the last verb or alone in the sentence."""
    for copula in list(_COPULA.finditer(text))[-2:][::-1]:
        readings = read_quantities(text[copula.end() :].strip(" ."))
        if readings:
            return readings
    found = []
    words = text.split(" ")
    k = 0
    while k < len(words) and k < 60:
        for count in range(min(4, len(words) - k), 0, -1):
            phrase = " ".join(words[k : k + count]).strip(",.;:")
            if phrase.lower() in ("a", "an", "one", "second", "half"):
                continue
            readings = read_quantities(phrase)
            if readings and readings[0].unit is None:
                found.append(readings)
                k += count - 1
                break
        k += 1
    return found[0] if len(found) == 1 else []


def narrowed(text: str, *, marked: bool) -> list[str]:
    """Mathematics that a sentence comes to: the last that stands between marks of mathematics in it.

    >>> narrowed(r"Therefore $x > 5$ is the solution", marked=True)
    ['x > 5']
    """
    if len(text) > 4096:
        return []
    found = list(_SEGMENT.finditer(text))
    outside = _SEGMENT.sub(" ", text)
    if not found or not outside.strip(" .,;:$") or _HEDGE.search(outside) or _DENIAL.search(outside):
        return []
    if marked and (_ONCE.search(outside) or re.search(r"\d", text[found[-1].end() :])):
        return []
    return [next(part for part in found[-1].groups() if part is not None).strip()]
