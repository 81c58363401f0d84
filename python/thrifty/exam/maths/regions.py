"""Sets of real numbers as they are written: intervals, unions, inequalities, conditions."""

from __future__ import annotations

import math

from thrifty.exam.maths.inequalities import solved
from thrifty.exam.maths.intervals import WHOLE, Interval, Region, complement, joined, meet, place
from thrifty.exam.maths.tree import Node, number

__all__ = ["listed", "region"]

MAX_LISTED = 200
EDGES = frozenset({"()", "[)", "(]", "[]"})


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


def listed(node: Node) -> Node:
    """Integers within bounds as a set of each: {x in Z : 1 <= x <= 3}."""
    if node.kind != "builder" or node.args[0].kind != "named" or node.args[0].args[1].name not in {"Z", "N"}:
        return node
    name, domain = node.args[0].args
    inner = region(node.args[1])
    if inner is None or inner.name != name or domain.kind != "domain" or len(inner.intervals) != 1:
        return node
    one = inner.intervals[0]
    low, high = place(one.low), place(one.high)
    if low is None or high is None or not high - low < MAX_LISTED:
        return node
    if domain.name == "N" and low <= 0:
        return node  # whether zero is one of them is for each author to say
    first = math.ceil(low) + (low == math.ceil(low) and not one.low_closed)
    last = math.floor(high) - (high == math.floor(high) and not one.high_closed)
    return Node("set", tuple(number(x) for x in range(first, last + 1)), "hard")


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
