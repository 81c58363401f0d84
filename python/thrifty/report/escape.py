"""Text for a page: nothing in it is markup, and nothing steers how it is shown."""

from __future__ import annotations

import html
import unicodedata

__all__ = ["escape"]

_PLAIN = "\n\t"


def escape(text: str, quote: bool = True) -> str:
    """Escape markup, and write characters of control and format as their numbers, so that all text shows as it is."""
    if not text.isprintable():
        text = "".join(_shown(letter) for letter in text)
    return html.escape(text, quote)


def _shown(letter: str) -> str:
    if letter in _PLAIN or unicodedata.category(letter) not in ("Cc", "Cf", "Cs"):
        return letter
    number = ord(letter)
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"
