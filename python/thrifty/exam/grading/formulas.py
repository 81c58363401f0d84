"""Formulas of substances and reactions: what is written differently and is the same substance."""

from __future__ import annotations

import re
from typing import Literal

from thrifty.exam.grading.elements import COMPOUNDS, ELEMENTS

__all__ = [
    "compare_isotopes",
    "compare_names",
    "compare_reactions",
    "compare_substances",
    "formula_of",
    "glued",
    "is_symbolic",
]

_BY_NAME = {name: symbol for symbol, name in ELEMENTS.items()} | {"aluminium": "Al", "sulphur": "S", "caesium": "Cs"}
_SYMBOL = "|".join(sorted(ELEMENTS, key=len, reverse=True))
_FORMULA = re.compile(
    rf"(?=[^A-Z]*[A-Z])(?:\d{{1,3}}\s?)?(?:\(|\[|(?:{_SYMBOL}|D)(?:[1-9]\d{{0,3}})?n?|[)\]](?:[1-9]\d{{0,3}})?n?|·\d{{0,3}})+(?P<charge>\d?[+-]{{1,4}})?"
)
_STATE = re.compile(r"\s?\((?:aq|s|l|g|solid|liquid|gas|aqueous)\)")
_RAISED = re.compile(r"\^\(?\s?(\d{0,2})\s?([+-]{1,4})\s?\)?$|\((\d?)([+-])\)$|\s(\d?)([+-])$")
_OXIDATION = re.compile(rf"({_SYMBOL})\((I{{1,3}}|IV|V|VI{{0,3}})\)")
_ROMAN = {"I": "", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6", "VII": "7", "VIII": "8"}
_LONE = re.compile(rf"({_SYMBOL})(\d)")
_ARROW = re.compile(r"\s?(?:<?[-=]+>|→|⟶|⇌|⇄|↔|⟹|⇒|=)\s?")
_PLUS = re.compile(r"\s\+\s?|(?<=[A-Za-z0-9)])\+(?=\s?[A-Z0-9(])")
_COUNTED = re.compile(r"(\d{0,3})\s?(.+)")
_ASIDE = re.compile(r"([^()]*\S)\s\(([^()]+)\)")
_UNSURE = re.compile(r"\b(?:not|or|either|maybe|and|between|instead)\b|,", re.I)
_NAMED = re.compile(r"[A-Za-z][a-z]{3,}[A-Za-z()\d ,-]{0,60}?(?:[,;:]|\s[-=])\s(\S+)")
_SUBSCRIPT = re.compile(r"_\((\w{1,6})\)")
_DRESS = re.compile(r"[_^{}$\s]|\\(?:mathrm|ce|text)")
# Symbols that are words, letters or units as well.
_WORDS = frozenset("No In As At I He Be Am V K C B W Y U S P O N F H".split())
_LONGEST = 200

_Verdict = Literal["equal", "different"] | None


def glued(text: str) -> str:
    """Put a formula into one piece: scripts, braces and blanks taken off."""
    return _DRESS.sub("", _SUBSCRIPT.sub(r"\1", text)).replace("*", "·").replace(".", "·")


def formula_of(text: str) -> str | None:
    """Canonical form of a formula, its charge behind ``^``; None where the text is none.

    >>> formula_of("SO_4^(2-)"), formula_of("SO4 2-"), formula_of("so4")
    ('SO4^2-', 'SO4^2-', None)
    """
    if len(text) > _LONGEST:
        return None
    text, charge = _charged(_STATE.sub("", text))
    body = glued(text)
    found = _FORMULA.fullmatch(body)
    if found is None or body.count("(") != body.count(")"):
        return None
    if found["charge"]:
        if charge:
            return None
        body, charge = _split_charge(body[: found.start("charge")], found["charge"])
    return f"{body}^{charge}" if charge else body


def _charged(text: str) -> tuple[str, str]:
    """Take off a raised charge, or an oxidation number of a lone element."""
    raised = _RAISED.search(text)
    if raised is not None:
        number, signs = raised[1] or raised[3] or raised[5] or "", raised[2] or raised[4] or raised[6]
        return text[: raised.start()], _charge(number, signs)
    oxidation = _OXIDATION.fullmatch(text)
    return (oxidation[1], f"{_ROMAN[oxidation[2]]}+") if oxidation is not None else (text, "")


def _charge(number: str, signs: str) -> str:
    number = number or (str(len(signs)) if len(signs) > 1 else "")
    return f"{number if number != '1' else ''}{signs[0]}"


def _split_charge(body: str, charge: str) -> tuple[str, str]:
    """Tell count and charge apart where neither is raised: Fe3+ is one atom, SO42- four and a charge of two."""
    number, signs = charge.rstrip("+-"), charge.lstrip("0123456789")
    lone = _LONE.fullmatch(body)
    if not number and lone is not None:
        body, number = lone[1], lone[2]
    elif not number and re.search(r"(?:\d|\])\d$", body):
        body, number = body[:-1], body[-1]
    return body, _charge(number, signs)


def is_symbolic(text: str) -> bool:
    """Whether digits, brackets or capitals within show that letters are symbols of elements, not a word."""
    return bool(re.search(r"\d|[a-z][A-Z]|[A-Z]{2}[a-z]|[+\-()\[\]]", text))


def compare_names(gold: str, answer: str) -> _Verdict:
    """Compare names of elements and common compounds with formulas; None where they are not or do not agree."""
    name = gold.lower()
    formula = _BY_NAME.get(name) or COMPOUNDS.get(name)
    if formula is not None:
        return "equal" if formula_of(answer) == formula else None
    formula = COMPOUNDS.get(answer.lower())
    return "equal" if formula is not None and formula_of(gold) == formula else None


_ISOTOPE = re.compile(
    rf"\^?\(?(?P<a>\d{{1,3}})\)?(?:_\(?\d{{1,3}}\)?)?\s?(?P<b>{_SYMBOL})|(?P<c>[A-Za-z]{{1,13}})[- ]?(?P<d>\d{{1,3}})"
)


def _isotope(text: str) -> tuple[str, str] | None:
    """Symbol and mass number of an isotope: 14C, carbon-14."""
    found = _ISOTOPE.fullmatch(text)
    if found is None:
        return None
    if found["a"]:
        return found["b"], found["a"]
    symbol = found["c"] if found["c"] in ELEMENTS else _BY_NAME.get(found["c"].lower())
    # C2 is a molecule; C-2 might be an isotope.
    return (symbol, found["d"]) if symbol and (len(found["c"]) > 2 or not text[len(found["c"])].isdigit()) else None


def compare_isotopes(gold: str, answer: str) -> _Verdict:
    """Compare isotopes by element and mass; None where one is none."""
    g, a = _isotope(gold), _isotope(answer)
    if g is None or a is None:
        return None
    return "equal" if g == a else "different"


def compare_substances(gold: str, answer: str) -> _Verdict:
    """Compare formulas by letters in their case; None where the gold answer may be a word."""
    g = formula_of(gold)
    if g is None:
        return None
    aside = None if _STATE.search(answer) else _ASIDE.fullmatch(answer)
    if aside is not None:
        named = re.search("[a-z]{4}", aside[1]) is not None and formula_of(aside[2]) is not None
        answer = aside[2] if named and not _UNSURE.search(aside[1]) else aside[1]
    a = formula_of(answer)
    named = _NAMED.fullmatch(answer) if a is None else None
    if named is not None:
        a = formula_of(named[1])
    if g in ELEMENTS and (a is None or answer.lower() in _BY_NAME):
        same = _BY_NAME.get(answer.lower()) == g
        return "equal" if same else None if gold in _WORDS else "different"
    if a == g:
        return "equal"
    symbolic = is_symbolic(gold) or len(gold) <= 2
    if a is not None:
        return "different" if symbolic or is_symbolic(answer) else None
    # The same letters in another case are no formula of it.
    return "different" if symbolic and glued(answer).lower() == glued(gold).lower() else None


def compare_reactions(gold: str, answer: str) -> _Verdict:
    """Compare equations of reactions: the order on a side does not count, amounts do."""
    g = [_terms(side) for side in _ARROW.split(gold)]
    if len(g) != 2 or None in g:
        return None
    a = [_terms(side) for side in _ARROW.split(answer)]
    return "equal" if g == a else "different"


def _terms(side: str) -> list[str] | None:
    """Amounts and formulas of one side, sorted; None where a term is no formula."""
    found = []
    for term in _PLUS.split(side.strip()[:1000]):
        counted = _COUNTED.fullmatch(term.strip())
        if counted is None:
            return None
        formula = "e-" if counted[2] in ("e-", "e^-") else formula_of(counted[2])
        if formula is None:
            return None
        found.append(f"{counted[1] if counted[1] != '1' else ''} {formula}")
    return sorted(found)
