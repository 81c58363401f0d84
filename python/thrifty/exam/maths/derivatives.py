"""Fractions that are none: derivatives, and the integers modulo a number."""

from __future__ import annotations

from typing import NamedTuple

from thrifty.exam.maths.tree import Node

__all__ = ["Derivative", "cyclic", "derivative"]

LETTERS = frozenset({"d", "partial"})
INTEGERS = frozenset({Node("symbol", name="Z"), Node("domain", name="Z")})


class Derivative(NamedTuple):
    """What d y/d x is made of.

    Attributes
    ----------
    letter : str
        ``d`` or ``partial``.
    before : tuple of Node
        Factors before it.
    of : tuple of Node
        Factors that it is of; none where that stands behind the fraction.
    by : tuple of Node
        Variables, with their orders as powers.
    """

    letter: str
    before: tuple[Node, ...]
    of: tuple[Node, ...]
    by: tuple[Node, ...]


def _factors(node: Node) -> tuple[Node, ...]:
    return node.args if node.kind == "mul" else (node,)


def _order(node: Node) -> int:
    """Order that a raised d, or a raised variable, stands for; 0 for what is none."""
    if node.kind != "pow":
        return 1
    value = node.args[1].number
    return int(value) if value is not None and value.denominator == 1 and 1 <= value <= 64 else 0


def derivative(above: Node, below: Node) -> Derivative | None:
    """Read a fraction as a derivative; None where it is none."""
    under = _factors(below)
    letter = under[0].name
    if under[0].kind != "symbol" or letter not in LETTERS or len(under) % 2:
        return None
    d, by = under[0], under[1::2]
    if any(part != d for part in under[::2]) or d in by:
        return None
    if any((part.args[0] if part.kind == "pow" else part).kind not in {"symbol", "index"} for part in by):
        return None
    over = _factors(above)
    at = next((i for i, part in enumerate(over) if (part.args[0] if part.kind == "pow" else part) == d), None)
    if at is None or d in over[at + 1 :] or _order(over[at]) != sum(map(_order, by)):
        return None
    return Derivative(letter, over[:at], over[at + 1 :], by)


def cyclic(above: Node, below: Node) -> Node | None:
    """Give Z_n for Z over nZ, with what stands before it; None for anything else."""
    *before, last = _factors(above)
    under = _factors(below)
    if last not in INTEGERS or len(under) != 2 or under[1] not in INTEGERS:
        return None
    group = Node("index", (Node("symbol", name="Z"), under[0]))
    return Node("mul", (*before, group)) if before else group
