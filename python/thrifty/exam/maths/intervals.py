"""Intervals of real numbers: joined, met, turned inside out."""

from __future__ import annotations

import math
from typing import NamedTuple

from thrifty.exam.maths.tree import Node, number, symbols
from thrifty.exam.maths.values import floated

__all__ = ["INFINITY", "MINUS_INFINITY", "WHOLE", "Interval", "Region", "complement", "joined", "meet", "place"]

INFINITY = Node("symbol", name="infinity")
MINUS_INFINITY = Node("mul", (number(-1), INFINITY))


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
