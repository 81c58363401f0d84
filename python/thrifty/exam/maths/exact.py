"""Exact rational values."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["MAX_BITS", "rational"]

#: Numbers with more bits are not made.
MAX_BITS = 20_000
MAX_FACTORIAL = 1_500


def rational(node: Node) -> Fraction | None:
    """Exact value of an expression of rational numbers; None where it has symbols, roots, or is too large."""
    kind, args = node.kind, node.args
    if kind == "number":
        return node.number
    if kind in {"symbol", "text", "index", "apply", "big"}:
        return None
    if kind not in {"add", "mul", "div", "pow", "percent", "call"}:
        return None
    values = []
    for part in args:
        value = rational(part)
        if value is None:
            return None
        values.append(value)
    found = _combined(kind, node.name, values)
    if found is None or max(found.numerator.bit_length(), found.denominator.bit_length()) > MAX_BITS:
        return None
    return found


def _combined(kind: str, name: str, values: list[Fraction]) -> Fraction | None:  # noqa: PLR0911 - one a kind
    if kind == "add":
        return sum(values, Fraction(0))
    if kind == "mul":
        product = Fraction(1)
        for value in values:
            product *= value
            if product.numerator.bit_length() + product.denominator.bit_length() > 2 * MAX_BITS:
                return None
        return product
    if kind == "div":
        return values[0] / values[1] if values[1] else None
    if kind == "pow":
        return _power(*values)
    if kind == "percent":
        return values[0] / 100
    return _called(name, values)


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return _root(base, exponent)
    if not base:
        return Fraction(int(exponent == 0)) if exponent >= 0 else None
    size = max(abs(base.numerator).bit_length(), base.denominator.bit_length())
    if abs(base) != 1 and abs(exponent) * size > MAX_BITS:
        return None
    return base ** (int(exponent) if abs(base) != 1 else int(exponent) % 2)


def _root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Powers of perfect powers; the odd root of a negative number is the real one."""
    degree = exponent.denominator
    if degree > 64 or (base < 0 and degree % 2 == 0):
        return None
    above, below = _integer_root(abs(base.numerator), degree), _integer_root(base.denominator, degree)
    if above is None or below is None:
        return None
    return _power(Fraction(above if base >= 0 else -above, below), Fraction(exponent.numerator))


def _integer_root(value: int, degree: int) -> int | None:
    if degree == 2:
        found = math.isqrt(value)
    elif value < 2:
        found = value
    else:
        found = 1 << -(-value.bit_length() // degree)
        while True:
            better = ((degree - 1) * found + value // found ** (degree - 1)) // degree
            if better >= found:
                break
            found = better
    return found if found**degree == value else None


def _called(name: str, values: list[Fraction]) -> Fraction | None:  # noqa: PLR0911 - one line a function
    first = values[0]
    whole = all(value.denominator == 1 for value in values)
    if name == "abs":
        return abs(first)
    if name in {"floor", "ceil"}:
        return Fraction(math.floor(first) if name == "floor" else math.ceil(first))
    if name == "sqrt":
        return _root(first, Fraction(1, 2)) if first >= 0 else None
    if name == "root" and len(values) == 2 and values[1].denominator == 1 and values[1] > 0:
        return _root(first, 1 / values[1])
    if name == "factorial" and whole and 0 <= first <= MAX_FACTORIAL:
        return Fraction(math.factorial(int(first)))
    if name == "factorial2" and whole and 0 <= first <= MAX_FACTORIAL:
        return Fraction(math.prod(range(int(first), 0, -2)))
    if name == "binom" and whole and len(values) == 2 and 0 <= values[1] <= first <= MAX_FACTORIAL:
        return Fraction(math.comb(int(first), int(values[1])))
    if name in {"gcd", "lcm"} and whole and len(values) <= 16:
        return Fraction((math.gcd if name == "gcd" else math.lcm)(*map(int, values)))
    if name in {"max", "min"}:
        return (max if name == "max" else min)(values)
    if name == "log" and len(values) == 2:
        return _log(first, values[1])
    if name in {"ln", "log"} and first == 1:
        return Fraction(0)
    return None


def _log(value: Fraction, base: Fraction) -> Fraction | None:
    if base <= 1 or base.denominator != 1 or value <= 0 or (value.numerator != 1 and value.denominator != 1):
        return None
    left, found = max(value.numerator, value.denominator), 0
    while left > 1 and left % base.numerator == 0:
        left, found = left // base.numerator, found + 1
    return Fraction(found if value >= 1 else -found) if left == 1 else None
