"""What no file and no message may have: keys, however an endpoint writes them when it repeats them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SECRET", "Secrets", "named_like_a_secret"]

#: Keys that are shorter are no secrets: servers that want none are given words such as ``none``.
SECRET = 8
#: Values of an address that are shorter, and have no name of a secret, are words that an answer may well have.
WORD = 16
#: Values that are shorter tell nothing, and stand in every message.
SHORT = 4
#: Last words of names whose values are secrets; what stands before one that is none; and a name that only looks so.
_NAMES = frozenset({"key", "apikey", "accesskey", "token", "accesstoken", "authtoken", "secret", "clientsecret"})
_NAMES |= {"password", "passwd", "passphrase", "pwd", "auth", "authorization", "bearer", "credential", "credentials"}
_NAMES |= {"sig", "signature", "cookie"}
_MARKS = frozenset({"bos", "eos", "pad", "stop", "unk", "mask", "sep", "cls", "start", "end", "image", "special"})
_PLAIN = frozenset({"prompt_cache_key"})


def named_like_a_secret(values: Any) -> str:
    """Return the first name in nested mappings and lists whose value should be a secret; empty where none is.

    Examples
    --------
    >>> named_like_a_secret({"max_tokens": 5, "extra_headers": {"X-Api-Key": "..."}})
    'X-Api-Key'
    """
    open_ = [values]
    while open_:
        one = open_.pop()
        if isinstance(one, dict):
            for name, value in one.items():
                # A mapping is what a schema says of such a field.
                if _like_a_secret(str(name)) and isinstance(value, (str, int)) and not isinstance(value, bool):
                    return str(name)
            open_.extend(one.values())
        elif isinstance(one, (list, tuple)):
            open_.extend(one)
    return ""


def _like_a_secret(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)]
    if not words or name in _PLAIN:
        return False
    marked = words[-1] == "token" and len(words) > 1 and words[-2] in _MARKS
    return (words[-1] in _NAMES or "".join(words) in _NAMES) and not marked


class Secrets:
    """A key, and what follows the question mark of an address.

    Parameters
    ----------
    key : str
        Empty for none.
    query : str
        As the address has it.
    """

    def __init__(self, key: str, query: str) -> None:
        named = list(_values(query))
        # In what is said of errors no value of the address stays; in answers, which may have any word, secrets alone.
        errors = [key, query, *(value for _, value in named if len(value) >= SHORT)]
        answers = [value for name, value in named if len(value) >= WORD or _like_a_secret(name)]
        answers = [value for value in (key, *answers) if len(value) >= SECRET]
        self._errors, self._answers = _pattern(errors), _pattern(answers)
        self._as_they_are = tuple(answers)
        self._escaped = any(not re.fullmatch(r"[A-Za-z0-9_.~-]*", value) for value in answers)

    def without(self, text: str) -> str:
        """Take them out of an answer."""
        if self._answers is None or not (
            (self._escaped and ("\\" in text or "%" in text)) or any(value in text for value in self._as_they_are)
        ):
            return text
        return self._answers.sub("[key]", text)

    def none_of(self, text: str) -> str:
        """Take them and the rest of the query out of what is said of an error."""
        return text if self._errors is None else self._errors.sub("[key]", text)


def _values(query: str) -> Iterator[tuple[str, str]]:
    """Yield names and values of a query, as they stand there and without escapes."""
    for part in query.split("&"):
        name, sign, value = part.partition("=")
        for found in (value, unquote_plus(value)) if sign else (part, unquote_plus(part)):
            if found:
                yield unquote_plus(name), found


def _pattern(values: list[str]) -> re.Pattern[str] | None:
    """Return what finds values as they are, escaped for JSON (up to twice), and for addresses; the longest first."""
    found = sorted({value for value in values if value}, key=len, reverse=True)
    return re.compile("|".join("".join(map(_letter, value)) for value in found)) if found else None


def _letter(letter: str) -> str:
    code = ord(letter)
    forms = rf"\\{{0,4}}(?:{re.escape(letter)}|u(?i:{code:04x}))" if code < 0x10000 else re.escape(letter)
    return rf"(?:{forms}|(?i:{'%'.join(['', *(f'{byte:02x}' for byte in letter.encode())])}))"
