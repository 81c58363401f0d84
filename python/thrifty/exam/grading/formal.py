"""Answers whose letters' case counts: formulas of substances, reactions, SMILES, chess moves, sequences, code."""

from __future__ import annotations

import re

from thrifty.exam.grading.elements import COMPOUNDS, ELEMENTS

__all__ = ["compare_formal", "is_strict", "keeps_case"]

_BY_NAME = {name: symbol for symbol, name in ELEMENTS.items()} | {"aluminium": "Al", "sulphur": "S", "caesium": "Cs"}
_SYMBOL = "|".join(sorted(ELEMENTS, key=len, reverse=True))
_FORMULA = re.compile(
    rf"(?:\d{{1,3}}\s?)?(?:\(|\[|(?:{_SYMBOL}|D)\d{{0,4}}n?|[)\]]\d{{0,4}}n?|[·.*]\s?\d{{0,3}}\s?)+"
    r"(?P<charge>(?:\d?[+-]{1,4}|\^?\(?\d?[+-]\)?))?"
)
_STATE = re.compile(r"\s?\((?:aq|s|l|g|solid|liquid|gas|aqueous)\)")
_ARROW = re.compile(r"\s?(?:<?[-=]+>|→|⟶|⇌|⇄|↔|⟹|⇒|<->|<=>|=)\s?")
_MOVE = re.compile(
    r"(?P<piece>[KQRBN])?(?P<from>[a-h]?[1-8]?)(?P<takes>[x:-])?(?P<to>[a-h][1-8])(?:=?\(?(?P<promoted>[QRBN])\)?)?(?:\s?e\.?p\.?)?"
)
_CASTLE = re.compile(r"[O0o]-[O0o](?P<long>-[O0o])?")
_MARKS = re.compile(r"[+#!?†]+$|\s?(?:checkmate|mate|check)$")
_MOVE_NUMBER = re.compile(r"^(?:\d{1,3}\s?\.(?:\s?\.\.)?\s?)")
_FIGURINES = str.maketrans("♔♕♖♗♘♚♛♜♝♞", "KQRBNKQRBN")
_SMILES = re.compile(r"(?:Cl|Br|[BCNOPSFIbcnops]|\[[A-Za-z0-9@+\-:]{1,16}\]|[-=#$:/\\.()]|%\d\d|\d)+")
_SEQUENCE = re.compile(r"(?:5'?[- ]?)?(?P<letters>[ACGTUN](?:[ \-]?[ACGTUN]){3,})(?:[- ]?3'?)?", re.I)
_CODE = re.compile(
    r"[A-Za-z_][\w.:]*\([^\n]*\)|[a-z]+(?:_[a-z0-9]+)+|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[a-z]+(?:[A-Z][a-z0-9]+)+|[A-Za-z][^\n]*[;}]|(?:[01]{2,}|[0-9A-Fa-f]{6,})"
)
_HEADS = re.compile(
    r"(?:(?:the\s)?(?:answer|formula|move|best move|compound|molecule|product|ion|smiles|sequence|chemical formula|it)\s?(?:is|:)\s?)+(?:the\s)?|(?:white|black)\s(?:plays|should play|moves)\s",
    re.I,
)


def _glue(text: str) -> str:
    """A formula in one piece: scripts, braces and blanks taken off."""
    text = re.sub(r"_\((\w{1,6})\)", r"\1", text)
    return re.sub(r"[_^{}$\s]|\\(?:mathrm|ce|text)", "", text).replace("*", "·").replace(".", "·")


def _formula(text: str) -> str | None:
    """Canonical form of a formula; None where the text is none."""
    text = _STATE.sub("", text)
    charge = ""
    raised = re.search(r"\^\(?\s?(\d{0,2})\s?([+-]{1,4}|\+|-)\s?\)?$|\((\d?)([+-])\)$|\s(\d?)([+-])$", text)
    if raised:
        number, sign = (raised[1] or raised[3] or raised[5] or ""), (raised[2] or raised[4] or raised[6])
        charge = f"{number if number not in ('', '1') else (str(len(sign)) if len(sign) > 1 else '')}{sign[0]}"
        text = text[: raised.start()]
    raised_roman = re.search(r"\((I{1,3}|IV|V|VI{0,3})\)$", text)
    if raised_roman and not charge and text[: raised_roman.start()] in ELEMENTS:
        charge = f"{dict(I='', II='2', III='3', IV='4', V='5', VI='6', VII='7', VIII='8')[raised_roman[1]]}+"
        text = text[: raised_roman.start()]
    glued = _glue(text)
    if len(glued) > 200 or not glued:
        return None
    found = _FORMULA.fullmatch(glued)
    if found is None or glued.count("(") != glued.count(")") or not re.search("[A-Z]", glued):
        return None
    if not charge and found["charge"]:
        # Without a raised charge the digit before the sign is read as the charge of a lone ion of one element.
        tail = found["charge"].replace("^", "").strip("()")
        body = glued[: found.start("charge")]
        signs = re.search(r"[+-]+$", tail)
        if signs is None:
            return None
        number = tail[: signs.start()] or (str(len(signs[0])) if len(signs[0]) > 1 else "")
        lone = re.fullmatch(rf"({_SYMBOL})(\d)?", body)
        if lone is not None and lone[2] and not number:
            body, number = lone[1], lone[2]
        elif not number and (digit := re.search(r"(\d)(\d)$", body)):
            # SO42-: two digits in a row are a count and a charge.
            body, number = body[:-1], digit[2]
        charge, glued = f"{number if number != '1' else ''}{signs[0][0]}", body
    return glued + ("^" + charge if charge else "")


def _named(gold: str, answer: str) -> str | None:
    """Names of elements and common compounds against their formulas."""
    known = _BY_NAME.get(gold.lower()) or COMPOUNDS.get(gold.lower())
    if known is not None and _formula(answer) == known:
        return "equal"
    known = COMPOUNDS.get(answer.lower())
    return "equal" if known is not None and _formula(gold) == known else None


def _has_mark(text: str) -> bool:
    """Whether case or digits show that letters are symbols of elements, not a word."""
    return bool(re.search(r"\d", text)) or bool(re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]|[+\-()\[\]]", text))


def _substance(gold: str, answer: str) -> str | None:
    g = _formula(gold)
    if g is None:
        return None
    aside = re.fullmatch(r"([^()]*\S)\s\(([^()]+)\)", answer)
    if aside is not None and not _STATE.search(answer):
        inner, answer = aside[2], aside[1]
        if re.search(r"[a-z]{4}", answer) and _formula(inner) is not None:
            answer = inner
    a = _formula(answer)
    if g in ELEMENTS and (answer.lower() in _BY_NAME or a is None):
        if gold in (
            "No",
            "In",
            "As",
            "At",
            "I",
            "He",
            "Be",
            "Am",
            "V",
            "K",
            "C",
            "B",
            "W",
            "Y",
            "U",
            "S",
            "P",
            "O",
            "N",
            "F",
            "H",
        ):
            # Words, letters and units that symbols may be: names of elements alone decide.
            return "equal" if _BY_NAME.get(answer.lower()) == g else None
        return "equal" if _BY_NAME.get(answer.lower()) == g else "different"
    if a == g:
        return "equal"
    if a is not None:
        return "different" if _has_mark(gold) or _has_mark(answer) or len(g) <= 2 else None
    if _has_mark(gold) or len(gold) <= 2:
        # The same letters in another case are no formula of it.
        if _glue(answer).lower() == _glue(gold).lower():
            return "different"
        return None
    return None


def _reaction(gold: str, answer: str) -> str | None:
    sides = [[_terms(side) for side in _ARROW.split(text)] for text in (gold, answer)]
    if len(sides[0]) != 2 or any(terms is None for terms in sides[0]):
        return None
    if len(sides[1]) != 2 or any(terms is None for terms in sides[1]):
        return "different"
    return "equal" if sides[0] == sides[1] else "different"


def _terms(side: str) -> list[str] | None:
    found = []
    for term in re.split(r"\s\+\s?|(?<=[A-Za-z0-9)])\+(?=\s?[A-Z0-9(])", side.strip()):
        counted = re.match(r"(\d{0,3})\s?(.+)$", term.strip())
        if counted is None or (formula := _formula(counted[2])) is None and counted[2] not in ("e-", "e^-"):
            return None
        found.append(f"{counted[1] if counted[1] != '1' else ''} {formula or 'e-'}")
    return sorted(found)


def _moves(text: str) -> list[re.Match[str] | str] | None:
    """Chess moves of a text, move numbers left out."""
    text = _MOVE_NUMBER.sub("", text.translate(_FIGURINES)).strip()
    text = re.sub(r"(?<=\s)\d{1,3}\s?\.(?:\s?\.\.)?\s?", "", text)
    lower = text.lower()
    if (
        re.fullmatch(r"(?:castles?\s)?(?:kingside|short|queenside|long)(?:\scastl(?:es?|ing))?", lower)
        and "castl" in lower
    ):
        return ["O-O-O" if "queen" in lower or "long" in lower else "O-O"]
    found: list[re.Match[str] | str] = []
    for word in text.split()[:200]:
        bare = _MARKS.sub("", word.rstrip(",;"))
        castle, move = _CASTLE.fullmatch(bare), _MOVE.fullmatch(bare)
        if castle is not None:
            found.append("O-O-O" if castle["long"] else "O-O")
        elif move is not None:
            found.append(move)
        elif bare:
            return None
    return found or None


def _chess(gold: str, answer: str) -> str | None:
    g = _moves(gold)
    if g is None:
        return None
    if (
        len(g) == 1
        and not isinstance(g[0], str)
        and not g[0]["piece"]
        and not g[0]["takes"]
        and len(gold) == 2
        and re.fullmatch(r"[a-h][1-8]", gold) is None
    ):
        return None
    a = _moves(answer)
    if a is None or len(a) != len(g):
        return "different" if a is not None or gold.lower() == answer.lower() else None
    return "equal" if all(map(_same_move, g, a)) else "different"


def _same_move(g: re.Match[str] | str, a: re.Match[str] | str) -> bool:
    """One move: capture and check marks may lack; where a piece comes from may be said more fully than asked."""
    if isinstance(g, str) or isinstance(a, str):
        return g == a
    if (g["piece"], g["to"], g["promoted"]) != (a["piece"], a["to"], a["promoted"]):
        return False
    if (
        not g["piece"]
        and g["from"][:1] != a["from"][:1]
        and (g["from"] and a["from"] or "x" in (g["takes"], a["takes"]))
    ):
        return False
    return all(c in a["from"] for c in g["from"]) if g["piece"] else True


def _smiles(gold: str, answer: str) -> str | None:
    if len(gold) < 3 or not _SMILES.fullmatch(gold) or not re.search(r"[()=#@\[]|[A-Za-z]\d|CC", gold):
        return None
    if re.fullmatch(r"[\d.:()+-]+", gold):
        return None
    from thrifty.exam.grading.smiles import same_molecule

    answer = answer.strip("`'\" ")
    if gold == answer:
        return "equal"
    if " " in answer.strip():
        return None
    return "equal" if same_molecule(gold, answer) else "different"


def _sequence(gold: str, answer: str) -> str | None:
    g, a = _SEQUENCE.fullmatch(gold), _SEQUENCE.fullmatch(answer)
    if g is None or len(re.sub("[ -]", "", g["letters"])) < 4:
        return None
    if a is None:
        return None
    return (
        "equal" if re.sub("[ -]", "", g["letters"]).upper() == re.sub("[ -]", "", a["letters"]).upper() else "different"
    )


def _code(gold: str, answer: str) -> str | None:
    """Code and identifiers: blanks between signs do not count, everything else does."""
    if not _CODE.fullmatch(gold) or gold.isdigit():
        return None
    g, a = (re.sub(r"\s+", "", text.strip("`;")) for text in (gold, answer))
    if g == a or g.replace('"', "'") == a.replace('"', "'"):
        return "equal"
    return "different" if g.lower() == a.lower() else None


def is_strict(gold: str) -> bool:
    """Whether the case of the gold answer's letters counts, wherever it stands in an answer."""
    if _moves(gold) is not None and len(gold) > 1:
        return True
    formula = _formula(gold)
    if formula is not None and (_has_mark(gold) or (len(gold) == 2 and gold not in _WORDS)):
        return True
    return bool(_CODE.fullmatch(gold) and not gold.isdigit()) or bool(
        len(gold) > 2 and _SMILES.fullmatch(gold) and "CC" in gold
    )


def keeps_case(gold: str, answer: str) -> bool:
    """Whether an answer holds the gold one in the same case, blanks and scripts aside."""
    return _glue(gold) in _glue(answer)


_WORDS = ("No", "In", "As", "At", "He", "Be", "Am", "UN", "US", "UK", "OS", "PC", "HI", "OK", "IF", "IS", "IN", "NO")


def compare_formal(gold: str, answer: str) -> str | None:
    """Compare by the first notation that the gold answer is written in; None where it is in none of them.

    >>> compare_formal("CO", "Co")
    'different'
    """
    if len(gold) > 1000:
        return None
    answer = _HEADS.sub("", answer, count=1) if _HEADS.match(answer) else answer
    for rule in (_named, _reaction, _chess, _smiles, _substance, _sequence, _code):
        found = rule(gold, answer)
        if found is not None:
            return found
    return None
