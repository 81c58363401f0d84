"""Answers with a free part: conditions behind them, an integer in them, a constant of integration."""

from __future__ import annotations

from typing import NamedTuple

from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.tree import Node, number, pieces, replaced, symbols
from thrifty.exam.maths.values import floated, same_value

__all__ = ["same_antiderivative", "same_family", "without_conditions"]

INTEGERS = frozenset({"k", "n", "m", "l"})
CONSTANTS = frozenset({"C", "c", "K", "k"})
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
    first, second = _without_constant(gold), _without_constant(answer)
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


def _without_constant(node: Node) -> Node | None:
    if node.kind != "add":
        return None
    constants = [part for part in node.args if part.kind == "symbol" and part.name in CONSTANTS]
    rest = tuple(part for part in node.args if part not in constants)
    if len(constants) != 1 or not rest or any(constants[0] in pieces(part) for part in rest):
        return None
    return node._replace(args=rest)
