"""Sentences that hold a number, or a name, and say something else: what they deny, and what they do to it."""

from __future__ import annotations

import re

__all__ = ["is_altered", "is_past"]

_LONGEST = 300
_DIGITS = re.compile(r"\d[\d.,]*")
# At the end of all: "42 is wrong", "42, which is incorrect", "42 (incorrect)".
_DENIED = re.compile(
    r"(?:\b(?:is|was|are|were|looks?|seems?|be)\s|[(,:]\s?|\s-{1,2}\s)(?:the\s|an?\s|clearly\s|actually\s|just\s)?"
    r"(?:not\s(?:the\s)?(?:right|correct|true|possible|answer)|incorrect|wrong|false|untrue|unlikely|impossible"
    r"|too\s(?:small|large|big|high|low|much|many|few|little|long|short))"
    r"(?:\s(?:answer|value|result|number|one|choice))?\)?[.!]?$",
    re.I,
)
# What stands before the last number, and makes another one of it.
_BEFORE = re.compile(
    r"\b(?:far\sfrom|(?:can't|cannot|can\snot|could\snot|couldn't|won't|isn't|wasn't|is\snot|not)\s(?:be\s)?|twice|double|triple|thrice"
    r"|half\s(?:of\s)?|times|(?:square|cube|fourth|nth)\sroots?\sof|roots?\sof|(?:square|cube|reciprocal|inverse|opposite"
    r"|negative|double|factorial|logarithm|log|half|multiple|divisor|factor|negation|complement)\sof"
    r"|(?:all|anything|everything|any|every\s\w+|each\s\w+)\s(?:\w+\s)?(?:but|except(?:\sfor)?|other\sthan|besides)"
    r"|except(?:\sfor)?|other\sthan|nearly|almost|(?:slightly|a\slittle|a\sbit|just|well|much)\s(?:(?:more|less|fewer)\sthan|over|under|above|below)|not\squite|doubt\s(?:it\sis|that\sit\sis|it's))\s?"
    r"(?:as\s\w+\sas\s)?(?:the\s(?:number\s|value\s)?)?(?P<number>\S+)(?P<rest>(?:\s(?!is\b|are\b|was\b|equals?\b|gives\b|but\b)[^\s=≈:;,]+){0,3})$",
    re.I,
)
_AFTER = re.compile(
    r"(?:^|\s)(?P<number>\S+)\s(?:squared|cubed|factorial|plus|per\s(?!cent\b)\w+|choose\s\w+|times\s\w+|more\sthan\s\w+|less\sthan\s\w+"
    r"|times\sas\s\w+(?:\sas\s\w+)?|or\sso|(?:-?th\s)?roots?)$",
    re.I,
)
_SPELLED = re.compile(
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{2,6}teen|\w{2,6}ty|hundred|thousand"
    r"|million)\b",
    re.I,
)
_PAST = re.compile(
    r"(?:i\sdoubt|it\s(?:used\sto|was\s(?:once|thought|believed|formerly|long|previously|originally))"
    r"|(?:formerly|previously|once)\s)",
    re.I,
)


def is_altered(text: str) -> bool:
    """Whether a text denies the one number in it, or says what comes of it.

    >>> is_altered("42 is wrong"), is_altered("twice 5"), is_altered("the square root of 25 is 5")
    (True, True, False)
    """
    text = text[:_LONGEST].rstrip(" .!")
    numbers = _DIGITS.findall(text)
    if len(numbers) <= 1 and _DENIED.search(text):
        return True
    before = _BEFORE.search(text)
    if before is not None and _is_number(before["number"]) and len(_DIGITS.findall(text[: before.start()])) == 0:
        return True
    after = _AFTER.search(text)
    return after is not None and _is_number(after["number"]) and not numbers[1:] and "=" not in text


def _is_number(word: str) -> bool:
    return any(c.isdigit() for c in word) or _SPELLED.match(word) is not None


def is_past(text: str) -> bool:
    """Whether a sentence says what was so, or is doubted."""
    return _PAST.match(text) is not None
