"""Markup and marks around an answer that are no part of it."""

from __future__ import annotations

import re

from thrifty.exam.grading.clean import CAP, characters

__all__ = ["GOES_ON", "is_open", "tidy"]

_BULLET = re.compile(r"^[ \t]*(?:[-*·+]|\d{1,2}[.)])[ \t]+")
_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*\n?", re.M)
_EMPHASIS = re.compile(r"(?<![\w)])(?:\*\*|__)|(?:\*\*|__)(?![\w(])")
_BREAK = re.compile(r"<(?:br|hr)\s?/?>", re.I)
#: Ends of lines that what is said goes on behind.
GOES_ON = re.compile(r"(?::|\b(?:is|are|be|equals|was)|[=≈])[ \t*]*$")
# Headings, bullets and what opens emphasis; a star or a hash before a single name is one of code.
_HEADED = re.compile(
    r"(?:#{1,6}\s+|#{2,6}(?=[A-Z\d])|#(?=\d)|:(?!:)\s*|[✅✔☑]\s*|\*{1,2}(?=\s|\d|[A-Za-z]{3,}[^*]*$)\s*)+"
)
_POINTER = re.compile(r"\*\*[a-z_]\w{0,2}")
_FENCES = ("$$", "\\[", "\\(", "$")
_RULE = re.compile(r"[-=_*~]{3,}")
_QUOTED = re.compile(r"\n[ \t]*>[ \t]?")
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("*", "*"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
)


def is_open(text: str) -> bool:
    """Whether a text stops within mathematics or brackets."""
    return text.count("\\[") > text.count("\\]") or text.count("$$") % 2 == 1 or text.count("{") > text.count("}")


def tidy(text: str) -> str:
    """Take off markup and marks around an answer, that are no part of it."""
    text = _unmarked(characters(text[:CAP]))
    lines = [line for line in text.split("\n") if line.strip() and not _RULE.fullmatch(line.strip())]
    text = _lines(lines, text) if len(lines) > 1 else "".join(lines)
    text = text.strip()
    if (headed := _HEADED.match(text)) is not None:
        text = text[headed.end() :]
    if text.endswith("**") and text.count("**") % 2:
        text = text[:-2].rstrip()
    while text:
        if text.endswith(" |"):
            text = text[:-2].rstrip()
        elif text[-1] == "?" and text[-2:-1].isalnum():
            text = text[:-1]
        elif text[-1] in ".;,! \t" and not text.endswith(("...", "\\,", "\\!", "\\;")) and _loose(text):
            text = text[:-1].rstrip()
        elif (stripped := _unpaired(text)) != text:
            text = stripped
        else:
            break
    return text


def _unmarked(text: str) -> str:
    """Leave out fences, emphasis, comments, what is struck out, and marks of quotations."""
    if "```" in text:
        text = _FENCE.sub("", text)
    if "<" in text:
        text = _BREAK.sub("\n", text)
    if ("**" in text or "__" in text or "`" in text) and not _POINTER.fullmatch(text.strip()):
        text = _EMPHASIS.sub("", text).replace("`", "")
    if "~~" in text:
        text = re.sub(r"~~[^~]*~~", " ", text)
    if "<!--" in text:
        text = re.sub(r"<!--(?:[^<-]|-(?!->)|<(?!!--))*-->", " ", text)
    if "\n" in text:
        text = _QUOTED.sub("\n", text)
    return text


def _loose(text: str) -> bool:
    """Whether the last character is only punctuation: a factorial and an abbreviation keep theirs."""
    if text[-1] == "!":
        return not re.search(r"(?:\d|\)|\b[a-z])!+$", text) or bool(re.search(r"[A-Za-z]{2,}\s\d+!$", text))
    return True


def _unpaired(text: str) -> str:
    for left, right in _PAIRS:
        if (
            len(text) >= len(left) + len(right)
            and text.startswith(left)
            and text.endswith(right)
            and text.find(right, len(left)) == len(text) - len(right)
        ):
            return text[len(left) : -len(right)].strip()
    return text


def _lines(lines: list[str], text: str) -> str:
    """One line of several: of a list its items, else the first, unless it is mathematics that goes on."""
    if all(_BULLET.match(line) for line in lines):
        return ", ".join(_BULLET.sub("", line).strip() for line in lines)
    if all(_BULLET.match(line) for line in lines[1:]) and lines[0].rstrip().endswith(":"):
        return ", ".join(_BULLET.sub("", line).strip() for line in lines[1:])
    if GOES_ON.search(lines[0]) and not is_open(lines[0]):
        return " ".join(lines[: 6 if lines[1].strip() in _FENCES else 2])
    if is_open(lines[0]) or "\\begin" in lines[0] or lines[0].strip() in _FENCES:
        return text
    return lines[0]
