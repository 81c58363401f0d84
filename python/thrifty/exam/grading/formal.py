"""Answers whose letters' case counts: formulas, reactions, SMILES, chess moves, sequences, code."""

from __future__ import annotations

import re
from typing import Literal

from thrifty.exam.grading.chess import compare_moves, moves_of
from thrifty.exam.grading.formulas import (
    compare_isotopes,
    compare_names,
    compare_reactions,
    compare_substances,
    formula_of,
    glued,
    is_symbolic,
)
from thrifty.exam.grading.smiles import is_molecule, same_molecule

__all__ = ["compare_formal", "is_strict", "keeps_case"]

_SMILES = re.compile(r"(?:Cl|Br|[BCNOPSFIbcnops]|\[[A-Za-z0-9@+\-:]{1,16}\]|[-=#$:/\\.()]|%\d\d|\d)+")
_BONDS = re.compile(r"[()=#@\[]|[A-Za-z]\d|CC")
_SEQUENCE = re.compile(
    r"(?:5'?[- ]?)?(?P<letters>[ACGTUNacgtun](?:[ -]?[ACGTUNacgtun]){3,})(?:[- ]?3'?)?",
)
_CODE = re.compile(
    r"[A-Za-z_][\w.:]*\([^\n]*\)|[a-z]+(?:_[a-z0-9]+)+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[a-z]+(?:[A-Z][a-z0-9]+)+"
    r"|[A-Za-z][^\n]*[;}]|[A-Za-z_]\w{0,30}(?:\[\w{1,12}\]){1,4}|[01]{2,}"
)
_VERSION = re.compile(r"\b(?:v\.?|ver\.?|version|release)\s?(\d{1,6}(?:\.\d{1,6}){1,4})(?![\w.])", re.I)
_POINTER = re.compile(r"\*{1,3}[a-z_]\w{0,30}")
_SCRIPTED = re.compile(r"[A-Za-z)\]][\^_]\d")
_OPPOSED = ([{"^"}, {"_"}], [{"_"}, {"^"}])
_LEAD = re.compile(
    r"(?:(?:the\s)?(?:answer|formula|move|best move|compound|molecule|product|ion|smiles|sequence"
    r"|chemical formula|it)\s?(?:is|:)\s(?:the\s)?){1,3}|(?:white|black)\s(?:plays|should play|moves)\s",
    re.I,
)
# Two letters that are symbols of elements and everyday words as well.
_EVERYDAY = frozenset("No In As At He Be Am UN US UK OS PC HI OK IF IS IN NO".split())
_LONGEST = 1000

_Verdict = Literal["equal", "different"] | None


def compare_formal(gold: str, answer: str) -> _Verdict:
    """Compare by the first notation that the gold answer is written in; None where it is in none of them.

    >>> compare_formal("CO", "Co"), compare_formal("CCO", "OCC")
    ('different', 'equal')
    """
    if len(gold) > _LONGEST or len(answer) > _LONGEST:
        return None
    lead = _LEAD.match(answer)
    if lead is not None:
        answer = answer[lead.end() :]
    rules = (
        _pointer,
        _version,
        _scripts,
        compare_names,
        compare_isotopes,
        compare_moves,
        _smiles,
        compare_reactions,
        compare_substances,
        _sequence,
        _code,
    )
    return next((found for rule in rules if (found := rule(gold, answer)) is not None), None)


def is_strict(gold: str) -> bool:
    """Whether the case of the gold answer's letters counts, wherever it stands in an answer."""
    if len(gold) > 1 and moves_of(gold) is not None:
        return True
    if formula_of(gold) is not None and (is_symbolic(gold) or (len(gold) == 2 and gold not in _EVERYDAY)):
        return True
    return bool(_CODE.fullmatch(gold) and not gold.isdigit()) or _is_smiles(gold)


def keeps_case(gold: str, answer: str) -> bool:
    """Whether an answer holds the gold one in the same case, blanks and scripts aside."""
    return gold in answer if "_" in gold else glued(gold) in glued(answer)


def _is_smiles(text: str) -> bool:
    return len(text) > 2 and bool(_SMILES.fullmatch(text) and _BONDS.search(text)) and is_molecule(text)


def _smiles(gold: str, answer: str) -> _Verdict:
    """Molecules written as SMILES, by their graphs."""
    if not _is_smiles(gold) or " " in answer:
        return None
    return "equal" if same_molecule(gold, answer) else "different"


def _sequence(gold: str, answer: str) -> _Verdict:
    """Bases of nucleic acids: case, blanks and marks of the ends do not count."""
    letters = [
        re.sub("[ -]", "", found["letters"]).upper()
        for found in map(_SEQUENCE.fullmatch, (gold, answer))
        if found is not None
    ]
    if len(letters) < 2 or letters[0] == "":
        return None
    return "equal" if letters[0] == letters[1] else "different"


def _pointer(gold: str, answer: str) -> _Verdict:
    """Compare names with stars before them, as in C."""
    if not (_POINTER.fullmatch(gold) or _POINTER.fullmatch(answer)):
        return None
    return "equal" if gold == answer else "different"


def _version(gold: str, answer: str) -> _Verdict:
    """Compare versions by their parts: 1.2 is none of 1.20."""
    right = _VERSION.fullmatch(gold)
    if right is None:
        return None
    found = _VERSION.fullmatch(answer) or _VERSION.search(answer)
    return None if found is None else "equal" if found[1] == right[1] else "different"


def _scripts(gold: str, answer: str) -> Literal["different"] | None:
    """Whether what one lowers is raised by the other: CO_2, CO^2."""
    signs = [{c for c in text if c in "^_"} for text in (gold, answer)]
    return "different" if _SCRIPTED.search(gold) and signs in _OPPOSED else None


def _code(gold: str, answer: str) -> _Verdict:
    """Code and identifiers: blanks and kinds of quotes do not count, everything else does."""
    if not _CODE.fullmatch(gold) or gold.isdigit():
        return None
    if gold.endswith("]") and "[" not in answer:
        return "different"
    g, a = (re.sub(r"\s+", "", text.strip("`;")).replace('"', "'") for text in (gold, answer))
    return "equal" if g == a else "different" if g.lower() == a.lower() else None
