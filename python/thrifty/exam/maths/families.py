"""Answers with a free part: conditions behind them, an integer in them, a constant of integration."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.tree import Node, number, pieces, replaced, symbols
from thrifty.exam.maths.values import floated, same_value

__all__ = ["same_antiderivative", "same_constants", "same_family", "without_conditions"]

INTEGERS = frozenset({"k", "n", "m", "l"})
CONSTANTS = frozenset({"C", "c", "K", "k"})
#: Letters of arbitrary constants, alone and with an index, in what is right and in answers.
GOLD_LETTERS, GOLD_INDEXED = frozenset({"C"}), frozenset({"C", "c"})
LETTERS = frozenset({"A", "B", "C", "D", "K", "c", "k"})
MOST_CONSTANTS = 3
CLOSE, ENOUGH = 1e-9, 3


class Bare(NamedTuple):
    """Two answers without their conditions, and whether those agree."""

    gold: Node
    answer: Node
    conditions: bool | None


def _is_condition(node: Node) -> bool:
    return node.kind == "relation" or (node.kind == "named" and node.name == "in")


def _split(node: Node) -> tuple[Node, tuple[Node, ...]]:
    if node.kind != "list" or node.name not in {",", "and"} or _is_condition(node.args[0]):
        return node, ()
    if not all(_is_condition(part) and symbols(part) & symbols(node.args[0]) for part in node.args[1:]):
        return node, ()
    return node.args[0], node.args[1:]


def without_conditions(gold: Node, answer: Node) -> Bare | None:
    """Tell what stands before conditions such as ``n >= 1``; None where neither answer has one.

    Conditions that only one answer has may say what the question said. Integers of both are given one name.
    """
    (first, conditions), (second, others) = _split(gold), _split(answer)
    if not conditions and not others:
        return None
    own, other = _integer(conditions), _integer(others)
    if own is not None and other is not None and own != other and own not in pieces(second):
        second, others = replaced(second, other, own), tuple(replaced(part, other, own) for part in others)
    agree = not conditions or not others or set(conditions) == set(others)
    return Bare(first, second, agree)


def _integer(conditions: tuple[Node, ...]) -> Node | None:
    for part in conditions:
        if part.kind == "named" and part.args[1].kind == "domain" and part.args[0].kind == "symbol":
            return part.args[0]
    return None


def same_family(gold: Node, answer: Node) -> bool:
    """Whether two expressions run through the same values: pi/4 + k pi and 5 pi/4 + n pi."""
    if gold.kind == answer.kind == "named":
        if gold.args[0] != answer.args[0]:
            return False
        gold, answer = gold.args[1], answer.args[1]
    elif "named" in {gold.kind, answer.kind}:
        gold, answer = (one.args[1] if one.kind == "named" else one for one in (gold, answer))
    first, second = symbols(gold), symbols(answer)
    if len(first) != 1 or len(second) != 1 or not (first | second) <= INTEGERS or not (_turns(gold) and _turns(answer)):
        return False
    one, other = _line(gold, *first), _line(answer, *second)
    if one is None or other is None or abs(abs(one[1]) - abs(other[1])) > CLOSE or abs(one[1]) < CLOSE:
        return False
    shift = (one[0] - other[0]) / one[1]
    return abs(shift - round(shift.real)) < CLOSE


def _turns(node: Node) -> bool:
    """Whether angles are meant."""
    return any(part.kind == "degree" or (part.kind == "symbol" and part.name == "pi") for part in pieces(node))


def _line(node: Node, name: str) -> tuple[complex, complex] | None:
    """Value at 0 and slope of what is linear in a symbol."""
    found = [floated(replaced(node, Node("symbol", name=name), number(x))) for x in (0, 1, 2, 5)]
    if any(value is None for value in found):
        return None
    y = [value for value in found if value is not None]
    slope = y[1] - y[0]
    if any(abs(y[i] - y[0] - slope * x) > CLOSE * (1 + abs(y[i])) for i, x in ((2, 2), (3, 5))):
        return None
    return y[0], slope


def same_antiderivative(gold: Node, answer: Node) -> bool:
    """Whether both have a constant of integration, and else differ by a constant at most."""
    first, second = _without_constant(gold, GOLD_LETTERS), _without_constant(answer, CONSTANTS)
    if first is None or second is None or symbols(first) != symbols(second) or not symbols(first):
        return False
    if same_value(first, second):
        return True
    apart = []
    for point in POINTS:
        u, v = floated(first, point), floated(second, point)
        if u is not None and v is not None and max(abs(u.imag), abs(v.imag)) < CLOSE:
            apart.append(u - v)
    return len(apart) >= ENOUGH and all(abs(one - apart[0]) <= CLOSE * (1 + abs(apart[0])) for one in apart)


def same_constants(gold: Node, answer: Node) -> bool:
    """Whether solutions with arbitrary constants, C or C_1 and C_2, are one but for the names of those."""
    own, other = _arbitrary(gold, GOLD_LETTERS, GOLD_INDEXED), _arbitrary(answer, LETTERS, LETTERS)
    shared = symbols(gold) & symbols(answer) - LETTERS
    if not 0 < len(own) == len(other) <= MOST_CONSTANTS:
        return False
    inside, others = _inside(gold), _inside(answer)
    if (
        not (shared & inside and shared & others)
        or {one.name for one in own} & inside
        or {one.name for one in other} & others
    ):
        return False
    for names in permutations(own):
        renamed = answer
        for i, name in enumerate(other):
            renamed = replaced(renamed, name, Node("text", name=f"constant {i}"))
        for i, name in enumerate(names):
            renamed = replaced(renamed, Node("text", name=f"constant {i}"), name)
        if same_value(gold, renamed):
            return True
    return False


def _inside(node: Node) -> set[str]:
    """Symbols in functions and in exponents."""
    found: set[str] = set()
    for part in pieces(node):
        if part.kind in {"call", "pow"}:
            found |= symbols(part.args[1] if part.kind == "pow" else part)
    return found


def _arbitrary(node: Node, letters: frozenset[str], indexed: frozenset[str]) -> list[Node]:
    """Give the constants of an expression, each once."""
    found = {part for part in pieces(node) if part.kind == "index" and part.args[0].name in indexed}
    bases = {part.args[0] for part in found}
    found |= {part for part in pieces(node) if part.kind == "symbol" and part.name in letters and part not in bases}
    return sorted(found, key=repr)


def _without_constant(node: Node, names: frozenset[str]) -> Node | None:
    if node.kind != "add":
        return None
    constants = [part for part in node.args if part.kind == "symbol" and part.name in names]
    rest = tuple(part for part in node.args if part not in constants)
    if len(constants) != 1 or not rest or any(constants[0] in pieces(part) for part in rest):
        return None
    return node._replace(args=rest)
