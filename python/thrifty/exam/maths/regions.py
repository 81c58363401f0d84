"""Sets of real numbers: intervals, their unions, and inequalities solved for their variable."""

from __future__ import annotations

import math
from typing import NamedTuple

from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.shapes import is_name
from thrifty.exam.maths.tree import Node, number, replaced, symbols
from thrifty.exam.maths.values import floated

__all__ = ["INFINITY", "Interval", "Region", "region"]

INFINITY = Node("symbol", name="infinity")
MINUS_INFINITY = Node("mul", (number(-1), INFINITY))
EDGES = frozenset({"()", "[)", "(]", "[]"})


class Interval(NamedTuple):
    """From ``low`` to ``high``; closed where the ends belong to it."""

    low: Node
    low_closed: bool
    high: Node
    high_closed: bool


class Region(NamedTuple):
    """Intervals in order, and what they are values of, where that is said."""

    name: Node | None
    intervals: list[Interval]


WHOLE = Interval(MINUS_INFINITY, False, INFINITY, False)


def place(node: Node) -> float | None:
    """Where an end lies; None where that depends on symbols."""
    if node == INFINITY:
        return math.inf
    if node == MINUS_INFINITY:
        return -math.inf
    if symbols(node):
        return None
    found = floated(node)
    return found.real if found is not None and abs(found.imag) < 1e-9 else None


def region(node: Node) -> Region | None:  # noqa: PLR0911 - one a kind
    """Read a set of real numbers; None for what is none, or can't be solved here."""
    kind = node.kind
    if kind == "tuple" and len(node.args) == 2 and node.name in EDGES:
        low, high = node.args
        low_closed, high_closed = (
            node.name[0] == "[" and place(low) != -math.inf,
            node.name[1] == "]" and place(high) != math.inf,
        )
        return Region(None, [Interval(low, low_closed, high, high_closed)])
    if kind == "set":
        return Region(None, [Interval(part, True, part, True) for part in node.args])
    if kind == "domain" and node.name == "R":
        return Region(None, [WHOLE])
    if kind == "named" and node.name == "in":
        inner = region(node.args[1])
        return None if inner is None else Region(node.args[0], inner.intervals)
    if kind == "builder":
        inner = region(node.args[1])
        member = node.args[0]
        if member.kind == "named" and member.args[1] == Node("domain", name="R"):
            member = member.args[0]
        if inner is None or inner.name != member:
            return None
        return Region(None, inner.intervals)
    if kind == "relation":
        return solved(node)
    if kind in {"union", "meet", "minus", "list"}:
        return _combined(node)
    return None


def _combined(node: Node) -> Region | None:  # noqa: PLR0911 - one a kind
    found: list[Region] = []
    for part in node.args:
        if node.kind == "list" and part.kind == "tuple" and node.name == ",":
            return None  # points
        one = region(part)
        if one is None and node.kind == "minus" and found:
            one = Region(None, [Interval(part, True, part, True)])  # all but this number
        if one is None:
            return None
        found.append(one)
    named = [one.name for one in found if one.name is not None]
    if any(name != named[0] for name in named):
        return None
    name = named[0] if named else None
    if node.kind == "union" or (node.kind == "list" and (node.name == "or" or not named)):
        return Region(name, joined([interval for one in found for interval in one.intervals]))
    kept = found[0].intervals
    for one in found[1:]:
        other = complement(joined(one.intervals)) if node.kind == "minus" else one.intervals
        if other is None:
            return None
        met = meet(kept, other)
        if met is None:
            return None
        kept = met
    kept = joined(kept)
    if not kept and node.kind == "list" and node.name == ",":  # x < 2, x > 5
        kept = joined([interval for one in found for interval in one.intervals])
    return Region(name, kept)


def joined(intervals: list[Interval]) -> list[Interval]:
    """In order, those that touch as one; left as they are where ends depend on symbols."""
    placed = []
    for interval in intervals:
        low, high = place(interval.low), place(interval.high)
        if low is None or high is None:
            return intervals
        placed.append((low, high, interval))
    placed.sort(key=lambda one: (one[0], not one[2].low_closed))
    found: list[tuple[float, float, Interval]] = []
    for low, high, interval in placed:
        if low > high or (low == high and not (interval.low_closed and interval.high_closed)):
            continue
        if found:
            before_low, before_high, before = found[-1]
            near = abs(low - before_high) < 1e-12 if math.isfinite(low) else False
            if low < before_high or (near and (interval.low_closed or before.high_closed)):
                longer = interval if high > before_high else before
                closed = longer.high_closed or (high == before_high and interval.high_closed)
                merged = Interval(before.low, before.low_closed, longer.high, closed)
                found[-1] = (before_low, max(high, before_high), merged)
                continue
        found.append((low, high, interval))
    return [interval for _, _, interval in found]


def complement(intervals: list[Interval]) -> list[Interval] | None:
    """All other real numbers, of intervals in order."""
    if any(place(end) is None for one in intervals for end in (one.low, one.high)):
        return None
    found, low, closed = [], MINUS_INFINITY, False
    for one in intervals:
        if one.low != MINUS_INFINITY:
            found.append(Interval(low, closed, one.low, not one.low_closed))
        low, closed = one.high, not one.high_closed
    if low != INFINITY:
        found.append(Interval(low, closed, INFINITY, False))
    return found


def meet(left: list[Interval], right: list[Interval]) -> list[Interval] | None:
    """Tell what is in both."""
    found = []
    for a in left:
        for b in right:
            ends = [place(a.low), place(b.low), place(a.high), place(b.high)]
            if None in ends:
                return None
            low_a, low_b, high_a, high_b = (end for end in ends if end is not None)
            low, low_closed = (a.low, a.low_closed) if low_a > low_b else (b.low, b.low_closed)
            high, high_closed = (a.high, a.high_closed) if high_a < high_b else (b.high, b.high_closed)
            if low_a == low_b:
                low_closed = a.low_closed and b.low_closed
            if high_a == high_b:
                high_closed = a.high_closed and b.high_closed
            found.append(Interval(low, low_closed, high, high_closed))
    return found


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
    return _linear(core, found) if len(names) == 1 else None


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
