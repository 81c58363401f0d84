"""How sure a response says it is."""

from __future__ import annotations

import re

from thrifty.exam.grading.clean import characters
from thrifty.exam.grading.phrases import last_match
from thrifty.exam.grading.reasoning import strip_reasoning

__all__ = ["parse_confidence", "stated"]

_SEEN = 1 << 16
_STATED = re.compile(
    r"\bconfiden(?:ce|t)\b[\"'*_`]{0,3}(?:[ \t](?:level|score|in my answer|percentage|rating))?[\"'*_`]{0,3}[ \t]?"
    r"(?:\([^()\n]{0,40}\)[ \t]?)?(?:[:=]|is|of|-|->|about|~|≈|at)?[\"'*_`$\s]{0,4}"
    r"(?:(?:is|of|about|approximately|around|roughly|~|≈|[a-z-]{1,10}[ ]\(|\{|\[|\\text\{)[ \t]?)?\(?"
    r"(?P<value>\d{1,4}(?:[.,]\d{1,6})?|\.\d{1,6})[ \t]?"
    r"(?P<percent>(?:\\?%|percent|per cent|pct))?"
    r"(?:[ \t]?(?:-|to|and)[ \t]?(?P<high>\d{1,3}(?:\.\d{1,6})?)[ \t]?(?P<too>\\?%|percent)?)?"
    r"(?:[ \t]?/[ \t]?(?P<scale>\d{1,4}))?",
    re.I,
)
_BEFORE = re.compile(r"(?P<value>\d{1,3}(?:\.\d{1,6})?)[ ]?(?:\\?%|percent)[ ](?:confiden(?:t|ce)|sure|certain)", re.I)


def parse_confidence(response: str) -> float | None:
    r"""Tell how sure a response says it is.

    Parameters
    ----------
    response : str
        The whole response; hidden reasoning is left out, and the last statement counts.

    Returns
    -------
    float or None
        Percent, 0 to 100. A value of at most 1 with a decimal point and no percent sign is a share, of a range
        the middle is taken. None where nothing is stated, or what is stated is no confidence (150 %).

    Examples
    --------
    >>> parse_confidence("Answer: 7\nConfidence: 85%")
    85.0
    >>> parse_confidence("Answer: 7\nConfidence: 0.85")
    85.0

    Notes
    -----
    The field ``Confidence`` of the prompt of Humanity's Last Exam (2501.14249, appendix).
    """
    return stated(strip_reasoning(response))


def stated(text: str) -> float | None:
    """Tell the same of a text without hidden reasoning."""
    if "onfiden" not in text and "ONFIDEN" not in text and " sure" not in text and " certain" not in text:
        return None
    text = characters(text[-_SEEN:])
    found = last_match(_STATED, text)
    if found is None:
        found = last_match(_BEFORE, text)
        if found is None:
            return None
        value = float(found["value"])
        return value if value <= 100 else None
    value = float(found["value"].replace(",", "."))
    percent = bool(found["percent"] or found["too"])
    if found["high"] and not found["scale"]:
        value = (value + float(found["high"])) / 2
    if found["scale"]:
        scale = float(found["scale"])
        value, percent = (value / scale * 100 if scale else 101.0), True
    if not percent and value <= 1 and ("." in found["value"] or "," in found["value"]):
        value *= 100
    return value if 0 <= value <= 100 else None
