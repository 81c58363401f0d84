"""Inequalities solved for their variable."""

from __future__ import annotations

from fractions import Fraction

from thrifty.exam.maths.intervals import INFINITY, MINUS_INFINITY, Interval, Region, complement, joined
from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.shapes import is_name
from thrifty.exam.maths.tree import Node, number, replaced, symbols
from thrifty.exam.maths.values import floated

__all__ = ["solved"]


def solved(relation: Node) -> Region | None:
    """Solve an inequality that is linear in its variable, or in the absolute value of something that is."""
    sides, operators = relation.args, relation.name.split()
    closed = [operator == "<=" for operator in operators]
    if operators == ["!="] and symbols(sides[0]):
        core, found = sides[0], complement([Interval(sides[1], True, sides[1], True)])
    elif operators == ["!="]:
        core, found = sides[1], complement([Interval(sides[0], True, sides[0], True)])
    elif len(sides) == 3:
        core, found = sides[1], [Interval(sides[0], closed[0], sides[2], closed[1])]
    elif len(sides) != 2:
        return None
    elif symbols(sides[0]) and symbols(sides[1]) and not is_name(sides[0]) and not is_name(sides[1]):
        core = Node("add", (sides[0], Node("mul", (number(-1), sides[1]))))
        found = [Interval(MINUS_INFINITY, False, number(0), closed[0])]
    elif symbols(sides[0]) and (is_name(sides[0]) or not symbols(sides[1])):
        core, found = sides[0], [Interval(MINUS_INFINITY, False, sides[1], closed[0])]
    else:
        core, found = sides[1], [Interval(sides[0], closed[0], INFINITY, False)]
    if found is None:
        return None
    names = symbols(core)
    if any(symbols(end) & names for one in found for end in (one.low, one.high)):
        return None
    if core.kind == "call" and core.name == "abs":
        core, found = core.args[0], _without_bars(found)
    if is_name(core):
        return Region(core, found)
    return (_linear(core, found) or _quadratic(core, found)) if len(names) == 1 else None


def _without_bars(intervals: list[Interval]) -> list[Interval]:
    """Values whose absolute values are in the intervals."""
    found = []
    for one in intervals:
        if one.low == MINUS_INFINITY:
            found.append(Interval(negative(one.high), one.high_closed, one.high, one.high_closed))
        else:
            found.append(one)
            found.append(Interval(negative(one.high), one.high_closed, negative(one.low), one.low_closed))
    return joined(found)


def negative(node: Node) -> Node:
    """Give the opposite number."""
    if node == INFINITY:
        return MINUS_INFINITY
    if node == MINUS_INFINITY:
        return INFINITY
    return Node("mul", (number(-1), node))


def _linear(core: Node, intervals: list[Interval]) -> Region | None:
    name = Node("symbol", name=next(iter(symbols(core))))
    at = [replaced(core, name, number(x)) for x in (0, 1, 2, -3)]
    values = [floated(one, POINTS[0]) for one in at]
    if any(value is None or abs(value.imag) > 1e-9 for value in values):
        return None
    y = [value.real for value in values if value is not None]
    slope = y[1] - y[0]
    if abs(slope) < 1e-12 or any(abs(y[i] - y[0] - slope * x) > 1e-9 * (1 + abs(y[i])) for i, x in ((2, 2), (3, -3))):
        return None
    rise = Node("add", (at[1], negative(at[0])))

    def moved(end: Node) -> Node:
        if end in {INFINITY, MINUS_INFINITY}:
            return end if slope > 0 else negative(end)
        return Node("div", (Node("add", (end, negative(at[0]))), rise))

    found = [Interval(moved(one.low), one.low_closed, moved(one.high), one.high_closed) for one in intervals]
    if slope < 0:
        found = [Interval(one.high, one.high_closed, one.low, one.low_closed) for one in reversed(found)]
    return Region(name, joined(found))


def _quadratic(core: Node, intervals: list[Interval]) -> Region | None:
    """Solve what is quadratic in its variable, for one bound: x^2 < 4."""
    if len(intervals) != 1 or (intervals[0].low == MINUS_INFINITY) == (intervals[0].high == INFINITY):
        return None
    below = intervals[0].low == MINUS_INFINITY
    end, closed = (
        (intervals[0].high, intervals[0].high_closed) if below else (intervals[0].low, intervals[0].low_closed)
    )
    name = Node("symbol", name=next(iter(symbols(core))))
    at = [replaced(core, name, number(x)) for x in (0, 1, -1, 2, -3)]
    values = [floated(one, POINTS[0]) for one in at]
    if any(value is None or abs(value.imag) > 1e-9 for value in values) or symbols(end):
        return None
    y = [value.real for value in values if value is not None]
    a, b = (y[1] + y[2]) / 2 - y[0], (y[1] - y[2]) / 2
    if abs(a) < 1e-12 or any(
        abs(a * x * x + b * x + y[0] - y[i]) > 1e-9 * (1 + abs(y[i])) for i, x in ((3, 2), (4, -3))
    ):
        return None
    half = number(Fraction(1, 2))
    square = Node("add", (Node("mul", (half, Node("add", (at[1], at[2])))), negative(at[0])))
    linear = Node("mul", (half, Node("add", (at[1], negative(at[2])))))
    free = Node("add", (at[0], negative(end)))
    inside = Node("add", (Node("pow", (linear, number(2))), Node("mul", (number(-4), square, free))))
    size = floated(inside, POINTS[0])
    if size is None or size.real <= 1e-12:
        return None  # one root or none
    low, high = (
        Node(
            "div",
            (
                Node("add", (negative(linear), Node("mul", (number(sign), Node("call", (inside,), "sqrt"))))),
                Node("mul", (number(2), square)),
            ),
        )
        for sign in ((-1, 1) if a > 0 else (1, -1))
    )
    between = [Interval(low, closed, high, closed)]
    if below == (a > 0):
        return Region(name, between)
    return Region(name, [Interval(MINUS_INFINITY, False, low, closed), Interval(high, closed, INFINITY, False)])
