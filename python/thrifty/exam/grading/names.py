"""Names of persons, organisations and places: short for long."""

from __future__ import annotations

import re

from thrifty.exam.grading.vocabulary import DENIALS, FIELDS, KINDS, NAMESAKES, PARTICLES, QUALIFIERS, TITLES
from thrifty.exam.grading.wording import fold, words_of

__all__ = ["same_acronym", "same_kind", "same_name", "same_species"]

_HEIR = re.compile(r"\b(?:jr|sr|junior|senior)\b", re.I)
_CONNECTIVES = frozenset(("of", "the", "and", "for", "in", "on", "to", "a"))


def same_name(gold: str, answer: str) -> bool:
    """Whether two names are one person's: a surname stands for the whole name, initials for first names."""
    if answer.islower():
        answer = answer.title()
    g, a = _name(gold), _name(answer)
    if g is None or a is None or len(g) == len(a) == 1:
        return False
    if _turned(answer) == g or _turned(gold) == a:
        return True
    long, short = (g, a) if len(g) >= len(a) else (a, g)
    if len(long) > len(short) > 1 and len(long[0]) == 1:
        long = long[1:]
    if _surname(long) != _surname(short) or any(fold(word) in QUALIFIERS | KINDS | FIELDS for word in long):
        return False
    if long[-1].endswith(("ese", "ish")):
        # Mandarin Chinese is a kind of Chinese.
        return False
    if _heir(answer) and not _heir(gold):
        return False
    if len(short) == 1 and "-" in long[-1] and "-" not in short[0]:
        return False
    if len(short) == 1:
        return len(long) <= 3 and len(short[0]) > 3
    firsts, given = long[:-1], short[:-1]
    # More first names than the other has may only be initials: John Quincy Adams is not John Adams.
    more = firsts[len(given) :]
    if more and fold(" ".join(short)) in NAMESAKES:
        return False
    return all(map(_same_first, firsts, given)) and all(len(word) <= 2 for word in more)


def _name(text: str) -> list[str] | None:
    """Words of a name without titles and particles; None where the text is no name."""
    words = [word.strip(".,") for word in re.split(r"[\s.]+", text) if word.strip(".,")]
    words = [word for word in words if fold(word) not in PARTICLES] or words
    if len(words) > 1 and fold(words[-1]) in ("jr", "sr", "junior", "senior"):
        words = words[:-1]
    while words and fold(words[0]) in TITLES:
        words = words[1:]
    if (
        not 1 <= len(words) <= 4
        or any(fold(word) in DENIALS for word in words)
        or not all(w[0].isupper() and re.sub("['-]", "", w).isalpha() for w in words)
    ):
        return None
    return words


def _heir(text: str) -> bool:
    return _HEIR.search(text) is not None


def _turned(text: str) -> list[str] | None:
    """Newton, Isaac the other way round."""
    parts = text.split(",")
    return _name(f"{parts[1].strip()} {parts[0]}") if len(parts) == 2 else None


def _surname(words: list[str]) -> str:
    return fold(words[-1]).rsplit("-", 1)[-1]


def _same_first(x: str, y: str) -> bool:
    """Whether two first names agree, one perhaps as an initial."""
    short, long = sorted((x, y), key=len)
    return fold(x) == fold(y) or (
        len(short) == 1 and len(long) > 2 and long[1:].islower() and fold(long).startswith(fold(short))
    )


_SPECIES = re.compile(r"([A-Z])(?:[a-z]+|\.)?\s([a-z]{3,})")


def same_species(gold: str, answer: str) -> bool:
    """Whether two names are one species', the genus of one perhaps as an initial: E. coli."""
    g, a = _SPECIES.fullmatch(gold), _SPECIES.fullmatch(answer)
    if g is None or a is None or g.groups() != a.groups():
        return False
    genera = [text.split(" ")[0].rstrip(".") for text in (gold, answer)]
    return genera[0] == genera[1] or min(map(len, genera)) == 1


def same_acronym(gold: str, answer: str) -> bool:
    """Whether one is made of the first letters of the other's words."""
    short, long = sorted((re.sub(r"^the\s", "", text, flags=re.I) for text in (gold, answer)), key=len)
    short = short.replace(".", "")
    if not 2 <= len(short) <= 8 or not short.isupper() or not short.isalpha():
        return False
    words = re.findall(r"[^\W\d_]+", long)
    every = "".join(word[0] for word in words).upper()
    main = "".join(word[0] for word in words if word.lower() not in _CONNECTIVES).upper()
    return len(words) > 1 and short in (every, main)


def same_kind(gold: str, answer: str) -> bool:
    """Whether one only adds the kind of thing to the other's name: the Pacific, and the Pacific Ocean."""
    g, a = words_of(gold), words_of(answer)
    long, short = (g, a) if len(g) > len(a) else (a, g)
    if len(long) == len(short) or not short or all(word in KINDS for word in short):
        return False
    if len(short) == 1 and gold[:1].islower():
        return False
    more, behind = len(long) - len(short), long[len(short) :]
    kinds = KINDS | FIELDS if long is g else KINDS
    return (long[: len(short)] == short and more <= 2 and kinds.issuperset(behind)) or (
        more == 1 and long[0] in KINDS | TITLES and long[1:] == short
    )
