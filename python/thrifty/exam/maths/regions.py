"""Sets of real numbers as they are written: intervals, unions, inequalities, conditions."""

from __future__ import annotations

import math

from thrifty.exam.maths.inequalities import solved
from thrifty.exam.maths.intervals import WHOLE, Interval, Region, complement, joined, meet, place
from thrifty.exam.maths.tree import Node

__all__ = ["region"]

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
