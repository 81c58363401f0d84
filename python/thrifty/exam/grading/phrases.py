"""What stands around the answer in a phrase: introductions, reasons, asides, denials and hedges."""

from __future__ import annotations

import re
from functools import lru_cache

from thrifty.exam.grading.vocabulary import DENIALS, OLD_TOWNS, PLACES, STATES
from thrifty.exam.grading.wording import fold

__all__ = ["denials", "is_hedged", "last_match", "statements", "strip_lead", "undenied", "variants"]

_LEAD = re.compile(
    r"(?:(?:so|thus|therefore|hence|in conclusion|finally|overall|well|ok(?:ay)?|i think|i believe|i'd say|i would say"
    r"|probably|likely|most likely|clearly|obviously|it seems|it must be|i am confident)(?:\s?that)?[\s,:]+)"
    r"|(?:it|this|that|he|she|they|these|those)(?:'s|\s(?:is|was|are|were|would be|must be|should be|remains?"
    r"|stays?))\s(?:called\s|known as\s)?"
    r"|(?:(?:the|my)\s)?(?:(?:exact|final|correct|right|best)\s){0,2}(?:answer|result|solution|value)"
    r"(?:\s(?:is|was|would be|should be|must be)|:)\s?:?\s?",
    re.I,
)
_KIND = re.compile(
    r"(?:the\s)?(?:(?:blood\s)?type|city|town|country|state|island|planet|element|word|term|process|force|phenomenon|concept|river|gas|compound"
    r"|molecule|theory|disease|language|author|composer|number|letter|name|color|colour|protein|hormone|drug|organ|mineral|star|vector|enzyme|gene|species|genus"
    r"|metal|republic|kingdom|philosopher|scientist|battle|treaty|siege|novel|book|film|movie|play|poem|painting)\s(?:(?:of|called|named|known\sas)\s)?(?=\S)",
    re.I,
)
_PREPOSITION = re.compile(
    r"(?:to|on|in|at|by|from|with|into|inside|through|via|due to|because of|caused by)\s(?:the\s)?(?=\w)", re.I
)
_NOUN = re.compile(r"(?:an?\s|the\s)?(\S+)\s(?:numbers?|ones?)", re.I)
_PRONOUN = re.compile(r"^(?:it|this|they|he|she)\s(?:will\s|would\s)?(?=[a-z]+$)", re.I)
_ASIDE = re.compile(r"\s[(\[]([^()\[\]]{1,200})[)\]]")
_OTHERWISE = re.compile(r"\b(?:was|thought|formerly|wrong)\b", re.I)
_ALSO = re.compile(r"(?:or|aka|also known as|also called|i\.e\.,?|=)\s", re.I)
_TRAIL = re.compile(
    r"\s?(?:\bbecause\b|,\s?(?:which|who|since|as\b|because|where|formerly|previously|also\scalled|also\sknown|i\.e\.|(?:in|at|on|from|during)\s)|,\s(?:the|a|an)\s(?-i:[a-z])|\bsince\b"
    r"|;|\s-{1,3}\s|:\s|\.\s(?=(?-i:[A-Z]))|\bis\s(?:the|my)\s(?:correct\s|final\s|right\s)?(?:answer|solution|result)\b"
    r"|\sby\s(?=(?-i:[A-Z]))|\balso\s(?:known|called)\b|\bdue\sto\b|\bas\sit\b)",
    re.I,
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|be|called|named|equals)\b\s(?:called\s|named\s|simply\s|actually\s|indeed\s|the\s)?", re.I
)
_HEDGED = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|might|may be|could be|not sure|unsure|unknown|between)\b|/", re.I
)
_CONTRAST = re.compile(
    r"[,;\s(]*\b(?:(?:and|but)\s)?(?:not|rather\sthan|instead\sof|unlike|as\sopposed\sto|never)\s"
    r"(?:[^,;.()]|(?<=\b\w)\.){1,80}\)?",
    re.I,
)
# "The right ventricle of the heart": the phrase before "of" has words of its own.
_PART = re.compile(r"((?:the\s)?\w+\s\w[\w\s-]{0,60}?)\sof\s", re.I)
_LISTED = re.compile(r"[,;/&]|\band\b", re.I)
_AUXILIARIES = frozenset(
    "is are was were be did does do has have had can could will would should may might must".split()
)
_BUT = re.compile(r"\bnot\s[^,;.]{1,80}?,?\s(?:but|rather)\s(?:rather\s)?", re.I)
_DENIED = re.compile(
    rf"(?<![\w'])(?:{'|'.join(sorted(DENIALS))}|ruled out|excluded|unlikely|absent|absence|lacks?|lacking|denied"
    r"|refuted|instead|opposite|contrary)(?![\w'])",
    re.I,
)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Where a pattern matches last."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return found


def strip_lead(text: str) -> str:
    """Leave out what only introduces an answer.

    >>> strip_lead("So the answer is Paris")
    'Paris'
    """
    for _ in range(4):
        lead = _LEAD.match(text)
        if lead is None or lead.end() == len(text):
            return text
        text = text[lead.end() :].strip()
    return text


def denials(text: str) -> int:
    """How many words deny something."""
    return len(_DENIED.findall(text.replace("n't ", " not ")))


def is_hedged(text: str) -> bool:
    """Whether a text leaves open what it says."""
    return _HEDGED.search(text) is not None


def undenied(text: str) -> str:
    """Leave out what a text says that the answer is not: "Paris, not London", "not London but Paris"."""
    return _CONTRAST.sub(_unless_denied, _BUT.sub("", strip_lead(_ASIDE.sub(" ", text)).strip()))


def _unless_denied(found: re.Match[str]) -> str:
    """Nothing in the place of a contrast; "did not" is none, nor what a text begins with."""
    before = found.string[: found.start()].rsplit(None, 1)[-1:]
    return found[0] if not before or before[0].lower() in _AUXILIARIES else " "


@lru_cache(maxsize=1024)
def variants(text: str) -> tuple[str, ...]:
    """List a phrase and what it comes to without introduction, kind, preposition, place around it, and asides."""
    lead = strip_lead(text)
    found = [text, lead, _PRONOUN.sub("", lead)]
    found += [lead[begin.end() :] for begin in (_KIND.match(lead), _PREPOSITION.match(lead)) if begin]
    found += [noun[1] for noun in (_NOUN.fullmatch(lead),) if noun]
    place = lead.rsplit(", ", 1)
    if len(place) == 2 and _stands_in(place[0], fold(place[1].removeprefix("the "))):
        found.append(place[0])
    outside = _ASIDE.sub(" ", lead).strip(" .,")
    if outside != lead:
        found.append(outside)
    if outside != lead and not (_DENIED.search(outside) or is_hedged(outside) or _LISTED.search(outside)):
        found += [
            _ALSO.sub("", inner, count=1) if _ALSO.match(inner) else inner
            for inner in _ASIDE.findall(lead)[:2]
            if not (_DENIED.search(inner) or is_hedged(inner) or _OTHERWISE.search(inner))
        ]
    return tuple(dict.fromkeys(part.strip() for part in found if part.strip()))


def _stands_in(town: str, place: str) -> bool:
    """Whether a place may stand behind the name of a town without making another town of it: no Paris, Texas."""
    return place in PLACES and not (place in STATES and fold(town) in OLD_TOWNS)


def statements(text: str) -> list[str]:
    """List what a sentence may come to: all of it, its head before reasons, what stands behind its last verbs."""
    found = [text.strip(" .,")]
    trail = _TRAIL.search(text)
    if trail is not None and trail.start():
        found.append(text[: trail.start()].strip(" .,"))
    part = _PART.match(found[-1])
    if part is not None and not _LISTED.search(found[-1]):
        found.insert(0, part[1])
    head = found[-1]
    found += [head[copula.end() :].strip(" .,") for copula in list(_COPULA.finditer(head))[-2:]]
    return [part for part in found if part]
