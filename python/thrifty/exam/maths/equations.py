"""Whether two equations say the same."""

from __future__ import annotations

from fractions import Fraction

from thrifty.exam.maths.conjugates import split
from thrifty.exam.maths.points import POINTS
from thrifty.exam.maths.tree import Node, number, replaced, symbols
from thrifty.exam.maths.values import floated

__all__ = ["difference", "proportional", "same_equation"]

CLOSE, LOOSE, ENOUGH = 1e-9, 1e-7, 3
PLACES = tuple(Fraction(x, 100) for x in (41, -130, 220, 83, -57))


def difference(left: Node, right: Node) -> Node:
    """Left side less right side."""
    return Node("add", (left, Node("mul", (number(-1), right))))


def same_equation(gold: Node, answer: Node) -> bool:
    """Whether two equations have the same solutions.

    One is the other one times a constant, or both are solved for each symbol in which they are quotients of linear
    expressions, as y = 3/x and xy = 3 are, with the same result.
    """
    left, right = split(difference(*gold.args), difference(*answer.args))
    if symbols(left) != symbols(right):
        return False
    return proportional(left, right) or _same_solutions(left, right)


def proportional(gold: Node, answer: Node, *, positive: bool = False) -> bool:
    """Whether one expression is the other one times a constant that is not zero, or one above zero."""
    if symbols(gold) != symbols(answer):
        return False
    ratios: list[complex] = []
    for point in POINTS:
        u, v = floated(gold, point), floated(answer, point)
        if u is None or v is None:
            continue
        if abs(u) < CLOSE or abs(v) < CLOSE:
            if (abs(u) < CLOSE) != (abs(v) < CLOSE):
                return False
            continue
        ratios.append(v / u)
        if abs(ratios[-1] - ratios[0]) > CLOSE * abs(ratios[0]):
            return False
    if len(ratios) < ENOUGH or abs(ratios[0].imag) > CLOSE * abs(ratios[0]):
        return False
    return not positive or ratios[0].real > 0


def _same_solutions(gold: Node, answer: Node) -> bool:
    agreed = 0
    for name in sorted(symbols(gold)):
        for point in POINTS[:ENOUGH]:
            roots = [_root(side, Node("symbol", name=name), point.seed) for side in (gold, answer)]
            if (roots[0] is None) != (roots[1] is None):
                return False
            if roots[0] is None or roots[1] is None:
                break
            if abs(roots[0] - roots[1]) > CLOSE * (abs(roots[0]) + 1):
                return False
            agreed += 1
    return agreed >= ENOUGH


def _root(node: Node, name: Node, seed: int) -> complex | None:
    """Where (a x + b)/(c x + d) is zero, all other symbols drawn; None for what is not of this form."""
    values = []
    for x in PLACES:
        found = floated(replaced(node, name, number(x)), POINTS[seed])
        if found is None:
            return None
        values.append(found)
    p, q, r, *others = (float(place) for place in PLACES)
    u, v, w = values[:3]
    try:
        for place, y in zip(others, values[3:], strict=True):
            own = _cross(place, p, q, r)
            if abs(own - _cross(y, u, v, w)) > LOOSE * (1 + abs(own)):
                return None
        cross = _cross(0, u, v, w)
        return (p * (q - r) - cross * r * (q - p)) / ((q - r) - cross * (q - p))
    except ZeroDivisionError:
        return None


def _cross(x: complex, p: complex, q: complex, r: complex) -> complex:
    """Give the cross-ratio, which quotients of linear expressions keep."""
    return (x - p) * (q - r) / ((x - r) * (q - p))
