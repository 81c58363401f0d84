"""Reasoning that a model writes before its answer, and that is no part of it."""

from __future__ import annotations

import re

__all__ = ["strip_reasoning"]

_TAG = r"(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|internal|begin_of_thought)"
_OPEN = re.compile(rf"<\s?\|?{_TAG}\|?\s?>|\[THINK\]|◁think▷|<\|channel\|>\s?analysis", re.I)
_CLOSE = re.compile(
    r"<\s?\|?/(?:seed:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|internal)\|?\s?>"
    r"|<\|end_of_thought\|>|\[/THINK\]|◁/think▷|<\|channel\|>\s?final\s?(?:<\|message\|>)?",
    re.I,
)
# What every tag begins with; a response without is not searched for them.
_HINT = re.compile(r"<[ |/A-Za-z]")
_TAGS_SEEN = 1 << 17
_NAMES = ("think", "thought", "reason", "reflection", "scratchpad", "analysis", "internal")


def _recent(text: str) -> str:
    """Cut to the end of a very long response, hidden from its beginning if it begins within reasoning."""
    if len(text) <= _TAGS_SEEN:
        return text
    before = text[:-_TAGS_SEEN]
    opened = max(before.rfind(f"<{name}") for name in _NAMES)
    closed = max(before.rfind(f"</{name}") for name in _NAMES)
    if opened < 0 and closed < 0 and not _HINT.search(text, len(before)):
        return text
    return ("<think>" if opened > closed else "") + text[-_TAGS_SEEN:]


def strip_reasoning(text: str) -> str:
    """Leave out what a model thought before it answered; reasoning that never ends is not an answer."""
    if not (("<" in text and _HINT.search(text)) or "THINK]" in text or "◁" in text):
        return text
    text = _recent(text)
    marks = sorted(
        [(m.start(), m.end(), True) for m in _OPEN.finditer(text)]
        + [(m.start(), m.end(), False) for m in _CLOSE.finditer(text)]
    )
    kept: list[str] = []
    seen, hidden = 0, False
    for start, end, opens in marks:
        if opens and not hidden:
            kept.append(text[seen:start])
        elif not opens and not hidden:
            # Reasoning whose beginning is not marked.
            kept = []
        hidden, seen = opens, end
    return "".join(kept) if hidden else "".join([*kept, text[seen:]])
