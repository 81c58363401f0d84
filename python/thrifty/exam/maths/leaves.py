"""Whether two single values are the same: expressions, decimals near them, percent, degrees, units."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from thrifty.exam.maths.exact import rational
from thrifty.exam.maths.values import real_value, same_value

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["same_leaf", "written"]

#: Significant digits that a decimal for an exact value must have; with this many it may be cut instead of rounded.
DIGITS, CUT = 4, 5
RADIANS = frozenset({"rad", "radian", "radians"})


def written(node: Node) -> tuple[Fraction, Fraction] | None:
    """Value and unit in the last place of a decimal, 1.20 or 1.2 x 10^3; None for anything else."""
    if node.kind == "number" and node.places >= 0 and node.number is not None:
        return node.number, Fraction(1, 10**node.places)
    if node.kind == "mul" and len(node.args) == 2:
        first, second = node.args
        if first.number == -1 and first.places < 0 and (inner := written(second)):
            return -inner[0], inner[1]
        if (inner := written(first)) and second.kind == "pow" and second.args[0].number == 10:
            scale = rational(second)
            return None if scale is None else (inner[0] * scale, inner[1] * scale)
    if node.kind == "mul" and node.args[0].number == -1 and len(node.args) == 3:
        inner = written(node._replace(args=node.args[1:]))
        return None if inner is None else (-inner[0], inner[1])
    if node.kind == "percent" and (inner := written(node.args[0])):
        return inner[0] / 100, inner[1] / 100
    return None


def near(gold: Node, answer: Node) -> bool:
    """Whether one is a decimal that stands for the other.

    A decimal in the gold answer accepts what rounds to it. A decimal for an exact gold value that has no finite decimal
    needs four significant digits and must be rounded right; with five it may be cut.
    """
    exact, given = written(gold), written(answer)
    if exact is not None:
        value = rational(answer)
        value = real_value(answer) if value is None else value
        return value is not None and abs(value - exact[0]) <= exact[1] / 2
    if given is None:
        return False
    value = rational(gold)
    if value is not None and _finite(value.denominator):
        return False
    value = real_value(gold) if value is None else value
    if value is None:
        return False
    digits = len(str(abs(given[0]) // given[1]))
    off = abs(value - given[0])
    return digits >= DIGITS and (off <= given[1] / 2 or (digits >= CUT and off < given[1]))


def _finite(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def same_leaf(gold: Node, answer: Node) -> bool | None:  # noqa: PLR0911 - one a kind
    """Whether two values are the same; None where nothing can tell."""
    if gold.kind == "unit" and answer.kind == "unit":
        if gold.name.rstrip("s") != answer.name.rstrip("s"):
            return None
        return same_leaf(gold.args[0], answer.args[0])
    if gold.kind == "unit" and gold.name in RADIANS and answer.kind != "unit":
        gold = gold.args[0]
    if answer.kind == "unit" and answer.name in RADIANS and gold.kind != "unit":
        inner = answer.args[0]
        return same_value(gold, inner) or near(gold, inner)
    if answer.kind == "unit":
        return same_leaf(gold, answer.args[0])
    if gold.kind == "unit":
        return False
    if gold.kind == answer.kind and gold.kind in {"percent", "degree"}:
        return same_leaf(gold.args[0], answer.args[0])
    for mark in ("percent", "degree"):
        if gold.kind == mark and answer.kind != mark and same_leaf(gold.args[0], answer):
            return True
        if answer.kind == mark and gold.kind != mark and same_leaf(gold, answer.args[0]):
            return True
    found = same_value(gold, answer)
    if found is True:
        return True
    if near(gold, answer):
        return True
    return found
