"""Answers in boxes: one, or several that belong together."""

from __future__ import annotations

import re

from thrifty.exam.maths.tree import MAX_LENGTH, NotMathsError

__all__ = ["unboxed"]

_BOX = re.compile(r"\\(?:boxed|fbox)\s?\{")
_BRACES = re.compile(r"\\.|[{}]", re.S)
_JOINING = re.compile(r"\b(?:and|or)\b")
MAX_BETWEEN = 60


def unboxed(text: str) -> str:
    """Tell what stands in the box of a text, or in its last boxes, joined, where only a few words are between them."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return text
    if len(text) > MAX_LENGTH:
        raise NotMathsError("too long")
    spans: list[tuple[int, int, int]] = []
    for found in _BOX.finditer(text):
        if not spans or found.start() >= spans[-1][2]:
            spans.append((found.start(), found.end(), _closing(text, found.end())))
    if not spans:
        return text
    first = len(spans) - 1
    while first and _joined(text[spans[first - 1][2] + 1 : spans[first][0]]):
        first -= 1
    return " ; ".join(text[begin:end] for _, begin, end in spans[first:])


def _closing(text: str, start: int) -> int:
    depth = 1
    for brace in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            return brace.start()
    return len(text)


def _joined(between: str) -> bool:
    if len(between) > MAX_BETWEEN or "." in between:
        return False
    return bool(_JOINING.search(between)) or not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", between))
