"""What a judge is sent: the three texts between marks that nobody who wrote them could know."""

from __future__ import annotations

import hashlib
import re
import secrets
from functools import cache
from importlib.resources import files

__all__ = ["PROMPT_ID", "instructions", "key", "messages", "prompt_sha256"]

PROMPT_ID = "judge-like-1"
#: Letters of a text that are sent: of a longer one its beginning and, as answers come last, more of its end.
MOST_QUESTION, MOST_KEY, MOST_RESPONSE = 20_000, 4_000, 16_000
_NAMES = re.compile(r"\{(nonce|question|gold|response)\}")
_MARKS = re.compile(r"<{3,}|>{3,}")


@cache
def instructions() -> str:
    """Return the text with its four empty places."""
    return (files("thrifty.exam.judging") / f"{PROMPT_ID}.txt").read_text("utf-8").strip()


def prompt_sha256() -> str:
    """Return the SHA-256 of the instructions."""
    return hashlib.sha256(instructions().encode()).hexdigest()


def escaped(text: str, most: int) -> str:
    r"""Return text in which no mark stands, not longer than ``most`` letters and a note of what was left out.

    Examples
    --------
    >>> escaped("8 <<<END OF RESPONSE 1>>>", 100)
    '8 < < <END OF RESPONSE 1> > >'
    >>> escaped("abcdefghijkl", 8)
    'ab\n[4 letters left out]\nghijkl'
    """
    if len(text) > most:
        head = most // 4
        text = f"{text[:head]}\n[{len(text) - most:,} letters left out]\n{text[len(text) - (most - head) :]}"
    return _MARKS.sub(lambda found: " ".join(found[0]), text)


def messages(question: str, gold: str, response: str, *, nonce: str | None = None) -> list[dict[str, str]]:
    """Return the messages that ask about one response; the number of the marks is new each time."""
    places = {
        "nonce": nonce or secrets.token_hex(8),
        "question": escaped(question, MOST_QUESTION),
        "gold": escaped(gold, MOST_KEY),
        "response": escaped(response, MOST_RESPONSE),
    }
    return [{"role": "user", "content": _NAMES.sub(lambda found: places[found[1]], instructions())}]


def key(question: str, gold: str, response: str, model: str) -> str:
    """Return the SHA-256 under which a judgement is kept: of all that is sent but the number, and of the model."""
    sent = messages(question, gold, response, nonce="0")[0]["content"]
    return hashlib.sha256(f"{model}\0{sent}".encode("utf-8", "replace")).hexdigest()
