"""Whether two expressions have one value: residues, floats, then 100 digits."""

from __future__ import annotations

import cmath
import math
from decimal import Decimal, Overflow
from fractions import Fraction
from typing import TYPE_CHECKING

from thrifty.exam.maths.allowance import left
from thrifty.exam.maths.conjugates import split
from thrifty.exam.maths.evaluate import evaluate
from thrifty.exam.maths.floats import Floats
from thrifty.exam.maths.points import POINTS, Point
from thrifty.exam.maths.precise import DIGITS, Z, agree, digits_wanted, value
from thrifty.exam.maths.residues import fingerprint
from thrifty.exam.maths.tree import pieces, symbols

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["floated", "real_value", "same_value", "whole_symbols"]

CLOSE, REAL, ENOUGH, AT_LEAST = 1e-9, 1e-9, 3, 7
TINY = Decimal(10) ** -60
WIDE = 1.2
#: Letters that are integers where a part of one is rounded.
INTEGERS = frozenset("jklmn")
#: Parts of both expressions together that a worker is asked about: it gets through no more in its time.
MOST_FOR_ALGEBRA = 300
OPAQUE = frozenset({"index", "apply", "big", "text", "domain", "unit"})


def floated(node: Node, point: Point = POINTS[0], base: float = math.e) -> complex | None:
    """Value as a complex float; None where it has none."""
    try:
        found = evaluate(node, Floats(point, base))
    except (ArithmeticError, RecursionError):
        return None
    return found if cmath.isfinite(found) else None


def precisely(node: Node, point: Point, base: float = math.e, digits: int = DIGITS) -> Z | None:
    """Value to so many digits; None where it has none, or none is known how."""
    try:
        return value(node, point, base, digits)
    except (ArithmeticError, RecursionError):
        return None


def overflows(node: Node) -> bool:
    """Whether a number on the way to the value has more than 10^6 digits."""
    try:
        value(node, POINTS[0])
    except (Overflow, OverflowError):
        return True
    except (ArithmeticError, RecursionError):
        return False
    return False


def real_value(node: Node) -> Fraction | None:
    """Value of an expression without symbols as a fraction, to 100 digits; None where it is not real."""
    if symbols(node):
        return None
    found = precisely(node, POINTS[0])
    if found is None or abs(found.im) > abs(found.re) * TINY:
        return None
    return Fraction(found.re) if abs(found.re.adjusted()) < 5000 else None


def whole_symbols(node: Node) -> frozenset[str]:
    """Names that can only be integers: in factorials and in exponents of negative numbers."""
    found: set[str] = set()
    for part in pieces(node):
        if part.kind == "call" and part.name in {"factorial", "factorial2", "binom"}:
            found |= symbols(part)
        elif part.kind == "call" and part.name in {"floor", "ceil"}:
            found |= symbols(part) & INTEGERS
        elif part.kind == "pow" and part.args[0].kind == "number" and (part.args[0].number or 0) < 0:
            found |= symbols(part.args[1])
    return frozenset(found)


def same_value(gold: Node, answer: Node) -> bool | None:
    """Whether two expressions are equal wherever both are real; None where nothing here can tell."""
    if gold == answer:
        return True
    if left() <= 0:
        return None
    gold, answer = split(gold, answer)
    first, second = fingerprint(gold), fingerprint(answer)
    if first is not None and second is not None:
        if first[0] == second[0]:
            return True
        if first[1] and second[1]:
            return False
    parts = [part for tree in (gold, answer) for part in pieces(tree)]
    found = None
    if not any(part.kind == "big" for part in parts):
        found = _at_points(gold, answer, math.e)
        if found is not True and any(_bare_log(part) for part in parts):
            found = _at_points(gold, answer, 10.0)
    if found is None and parts[0].kind not in {"symbol", "text"} and len(parts) <= MOST_FOR_ALGEBRA:
        found = _by_algebra(gold, answer)
    return found


def _by_algebra(gold: Node, answer: Node) -> bool | None:
    """Ask a worker; sums and integrals that nobody can compute are told apart by how they are written."""
    from thrifty.exam.maths.workers import WORKERS

    said = WORKERS.compare(gold, answer, whole_symbols(gold) | whole_symbols(answer))
    if said == "unknown":
        return _at_points(gold, answer, math.e)
    return None if said == "lost" else said == "equal"


def _bare_log(node: Node) -> bool:
    return node.kind == "call" and node.name == "log" and len(node.args) == 1


def _at_points(gold: Node, answer: Node, base: float) -> bool | None:
    names = symbols(gold) | symbols(answer)
    kinds = {part.kind for tree in (gold, answer) for part in pieces(tree)}
    if not names and not kinds & OPAQUE:
        return _constants(gold, answer, base)
    imaginary = any(part.kind == "symbol" and part.name == "i" for tree in (gold, answer) for part in pieces(tree))
    whole = whole_symbols(gold) | whole_symbols(answer)
    agreed: list[Point] = []
    unreal: list[Point] = []
    for drawn in POINTS:
        point = drawn.of(whole)
        u, v = floated(gold, point, base), floated(answer, point, base)
        if u is None or v is None:
            continue
        if not imaginary and not (_real(u) and _real(v)):
            unreal.append(point)
            continue
        if not _close(u, v) and _confirmed(gold, answer, point, base) is not True:
            return False
        agreed.append(point)
        if len(agreed) > 2 * ENOUGH and drawn.seed >= AT_LEAST:
            break
    if not agreed:
        for point in unreal[: 2 * ENOUGH]:
            if _confirmed(gold, answer, point, base) is not True:
                return False
            agreed.append(point)
    if len(agreed) < ENOUGH:
        return None
    return all(_confirmed(gold, answer, point, base) is not False for point in agreed[:2])


def _constants(gold: Node, answer: Node, base: float) -> bool | None:
    found = _confirmed(gold, answer, POINTS[0], base)
    if found is not None:
        return found
    if overflows(gold) or overflows(answer):
        return False  # equal ones that can be seen to be were found before
    u, v = floated(gold, base=base), floated(answer, base=base)
    return None if u is None or v is None else _close(u, v)


def _confirmed(gold: Node, answer: Node, point: Point, base: float) -> bool | None:
    u, v = precisely(gold, point, base), precisely(answer, point, base)
    if u is None or v is None:
        return None
    if not agree(u, v) or (digits := digits_wanted(u)) < WIDE * DIGITS:
        return agree(u, v)
    u, v = precisely(gold, point, base, digits), precisely(answer, point, base, digits)
    return None if u is None or v is None else agree(u, v, digits)


def _real(number: complex) -> bool:
    return abs(number.imag) <= REAL * (1 + abs(number.real))


def _close(u: complex, v: complex) -> bool:
    return abs(u - v) <= CLOSE * max(abs(u), abs(v))
