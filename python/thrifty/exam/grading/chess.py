"""Chess moves in algebraic notation."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = ["compare_moves", "moves_of"]


class Move(NamedTuple):
    """One move; castling is named in ``piece``."""

    piece: str
    origin: str
    takes: bool
    target: str
    promoted: str


_MOVE = re.compile(
    r"(?P<piece>[KQRBN])?(?P<origin>[a-h]?[1-8]?)(?P<takes>[x:-])?(?P<target>[a-h][1-8])(?:=?\(?(?P<promoted>[QRBN])\)?)?"
)
_CASTLE = re.compile(r"[O0o]-[O0o](?P<long>-[O0o])?")
_CASTLES = re.compile(
    r"(?:castles?\s(?P<a>kingside|short|queenside|long)|(?P<b>kingside|short|queenside|long)\scastl(?:es?|ing))", re.I
)
_MARKS = re.compile(r"[+#!?†]+$")
_SAID = re.compile(r"\s?(?:,\s?)?(?:checkmate|mate|check|e\.p\.)$", re.I)
_NUMBER = re.compile(r"(?:(?<=\s)|^)\d{1,3}\s?\.(?:\s?\.\.)?\s?")
_DOTS = re.compile(r"^(?:\.{2,3}|…)\s?")
_SPOKEN = re.compile(
    r"(?P<piece>king|queen|rook|bishop|knight|pawn)\s(?:moves\s)?(?P<how>to|takes(?:\son)?|captures(?:\son)?|x)\s(?P<target>[a-h][1-8])",
    re.I,
)
_PIECES = {"king": "K", "queen": "Q", "rook": "R", "bishop": "B", "knight": "N", "pawn": ""}
_FIGURINES = str.maketrans("♔♕♖♗♘♚♛♜♝♞", "KQRBNKQRBN")
_MOST = 200


def moves_of(text: str) -> list[Move] | None:
    """Read a move or a line of moves, move numbers left out; None where the text is something else.

    >>> moves_of("1. e4 e5 2. Nf3")[2].target
    'f3'
    """
    castles = _CASTLES.fullmatch(text.strip())
    if castles is not None:
        long = (castles["a"] or castles["b"]).lower() in ("queenside", "long")
        return [Move("O-O-O" if long else "O-O", "", False, "", "")]
    spoken = _SPOKEN.fullmatch(text.strip())
    if spoken is not None:
        takes = spoken["how"].lower() != "to"
        return [Move(_PIECES[spoken["piece"].lower()], "", takes, spoken["target"].lower(), "")]
    text = _SAID.sub("", _DOTS.sub("", _NUMBER.sub("", text.translate(_FIGURINES)).strip()))
    moves = [_move(_MARKS.sub("", word.rstrip(",;"))) for word in text.split()[:_MOST]]
    found = [move for move in moves if move is not None]
    return found if found and len(found) == len(moves) else None


def _move(word: str) -> Move | None:
    castle = _CASTLE.fullmatch(word)
    if castle is not None:
        return Move("O-O-O" if castle["long"] else "O-O", "", False, "", "")
    move = _MOVE.fullmatch(word)
    if move is None:
        return None
    takes = move["takes"] in ("x", ":")
    return Move(move["piece"] or "", move["origin"], takes, move["target"], move["promoted"] or "")


def compare_moves(gold: str, answer: str) -> Literal["equal", "different"] | None:
    """Compare moves; None where the gold answer is none, or the other no move at all."""
    g, a = moves_of(gold), moves_of(answer)
    if g is None:
        return None
    if a is None:
        return "different" if gold.lower() == answer.lower() else None
    return "equal" if len(g) == len(a) and all(map(_same, g, a)) else "different"


def _same(g: Move, a: Move) -> bool:
    """One move: marks of capture and check may lack, and where a piece comes from may be said more fully than asked."""
    if (g.piece, g.target, g.promoted) != (a.piece, a.target, a.promoted):
        return False
    if not g.piece:
        # A pawn that takes is named by its file.
        return g.origin[:1] == a.origin[:1] or not ((g.origin and a.origin) or g.takes or a.takes)
    return all(c in a.origin for c in g.origin)
