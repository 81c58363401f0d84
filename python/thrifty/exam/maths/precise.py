"""Values as complex decimals of 100 digits: what agrees here is equal."""

from __future__ import annotations

import math
from decimal import Context, Decimal, getcontext, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from thrifty.exam.maths.evaluate import UndefinedError, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from thrifty.exam.maths.points import Point
    from thrifty.exam.maths.tree import Node

__all__ = ["CALLS", "DIGITS", "Precise", "Z", "agree", "context", "digits_wanted", "value"]

#: Digits of values, at least and at most; and the largest number whose factorial is made.
DIGITS, MOST_DIGITS, MOST = 100, 600, 1000
GUARD = 40


def context(digits: int = DIGITS) -> Context:
    """Arithmetic of so many digits."""
    return Context(prec=digits, Emax=999_999, Emin=-999_999)


ZERO, ONE = Decimal(0), Decimal(1)


class Z(NamedTuple):
    """A complex number."""

    re: Decimal
    im: Decimal = ZERO


def mul(a: Z, b: Z) -> Z:
    """Product."""
    if not a.im and not b.im:
        return Z(a.re * b.re)
    return Z(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


def div(a: Z, b: Z) -> Z:
    """Quotient."""
    if not b.im:
        return Z(a.re / b.re, a.im / b.re if a.im else ZERO)
    size = b.re * b.re + b.im * b.im
    return Z((a.re * b.re + a.im * b.im) / size, (a.im * b.re - a.re * b.im) / size)


def add(*terms: Z) -> Z:
    """Sum."""
    return Z(sum((z.re for z in terms), ZERO), sum((z.im for z in terms), ZERO))


def size(z: Z) -> Decimal:
    """Absolute value."""
    return abs(z.re) if not z.im else (z.re * z.re + z.im * z.im).sqrt()


def tiny() -> Decimal:
    """Give what adds nothing to numbers near one."""
    return Decimal(10) ** -(getcontext().prec + 5)


def pi() -> Decimal:
    """Circle's number to the digits in use."""
    return _machin(getcontext().prec)


@lru_cache(maxsize=16)
def _machin(digits: int) -> Decimal:
    """Machin's formula."""
    with localcontext(context(digits + 10)):
        found = 16 * _arctan_of_inverse(5) - 4 * _arctan_of_inverse(239)
    return +found


def _arctan_of_inverse(x: int) -> Decimal:
    total = power = ONE / x
    k = 1
    while abs(power) > tiny():
        power, k = -power / (x * x), k + 2
        total += power / k
    return total


def _series(x: Decimal, term: Decimal, n: int, sign: int) -> Decimal:
    """Sum of x^k/k! over every second k from n on; the signs alternate or not."""
    total, square = term, x * x
    for k in range(n + 1, 2 * MOST_DIGITS, 2):
        term = sign * term * square / (k * (k + 1))
        total += term
        if abs(term) < tiny():
            break
    return total


def sin_cos(x: Decimal) -> tuple[Decimal, Decimal]:
    """Sine and cosine of a real number."""
    if abs(x) > Decimal(10) ** 12:
        raise UndefinedError("too many turns")
    turns = (x / (pi() / 2)).to_integral_value()
    rest = x - turns * (pi() / 2)
    sine, cosine = _series(rest, rest, 1, -1), _series(rest, ONE, 0, -1)
    return [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][int(turns) % 4]


def arctan(x: Decimal) -> Decimal:
    """Inverse tangent of a real number."""
    halvings = 4
    for _ in range(halvings):
        x = x / (1 + (1 + x * x).sqrt())
    total = power = x
    for k in range(3, 2 * MOST_DIGITS, 2):
        power = -power * x * x
        total += power / k
        if abs(power) < tiny():
            break
    return total * (1 << halvings)


def phase(z: Z) -> Decimal:
    """Angle in (-pi, pi]."""
    if not z.im:
        return ZERO if z.re >= 0 else pi()
    if abs(z.re) >= abs(z.im):
        found = arctan(z.im / z.re)
        return found if z.re > 0 else found + pi().copy_sign(z.im)
    return (pi() / 2).copy_sign(z.im) - arctan(z.re / z.im)


def exp(z: Z) -> Z:
    """Exponential."""
    if not z.im:
        return Z(z.re.exp())
    sine, cosine = sin_cos(z.im)
    scale = z.re.exp()
    return Z(scale * cosine, scale * sine)


def ln(z: Z) -> Z:
    """Principal logarithm."""
    if not z.re and not z.im:
        raise UndefinedError("logarithm of zero")
    return Z(size(z).ln(), phase(z))


def sqrt(z: Z) -> Z:
    """Principal root."""
    if not z.im:
        return Z(z.re.sqrt()) if z.re >= 0 else Z(ZERO, (-z.re).sqrt())
    r = size(z)
    above = ((r + z.re) / 2).copy_abs().sqrt()
    return Z(above, ((r - z.re) / 2).copy_abs().sqrt().copy_sign(z.im))


IMAGINARY, TWO = Z(ZERO, ONE), Z(Decimal(2))


def sine(z: Z) -> Z:
    """Sine."""
    s, c = sin_cos(z.re)
    if not z.im:
        return Z(s)
    up, down = z.im.exp(), (-z.im).exp()
    return Z(s * (up + down) / 2, c * (up - down) / 2)


def cosine(z: Z) -> Z:
    """Cosine."""
    return sine(add(z, Z(pi() / 2)))


def arcsine(z: Z) -> Z:
    """Principal inverse sine."""
    if not z.im and abs(z.re) <= 1:
        return Z(phase(Z((1 - z.re * z.re).sqrt(), z.re)))
    iz = mul(IMAGINARY, z)
    found = ln(add(iz, sqrt(add(Z(ONE), mul(iz, iz)))))
    return Z(found.im, -found.re)


def arctangent(z: Z) -> Z:
    """Principal inverse tangent."""
    if not z.im:
        return Z(arctan(z.re))
    iz = mul(IMAGINARY, z)
    return mul(Z(ZERO, ONE / 2), add(ln(add(Z(ONE), Z(-iz.re, -iz.im))), mul(Z(-ONE), ln(add(Z(ONE), iz)))))


class Precise:
    """Complex decimals at a point; see :class:`~thrifty.exam.maths.floats.Floats`."""

    def __init__(self, point: Point, base: float = 0.0) -> None:
        self.point, self.base = point, base

    def rational(self, value: Fraction) -> Z:
        """Give a rational number."""
        return Z(Decimal(value.numerator) / Decimal(value.denominator))

    def symbol(self, name: str) -> Z:
        """Give the value of a name."""
        if name == "pi":
            return Z(pi())
        if name == "e":
            return Z(ONE.exp())
        if name == "i":
            return IMAGINARY
        if name in {"infinity", "..."}:
            raise UndefinedError("no number")
        return self.rational(self.point.value(name))

    def atom(self, *key: object) -> Z:
        """Give the value of what is not computed, by what it is made of."""
        return self.rational(self.point.value(repr(key)))

    def add(self, terms: list[Z]) -> Z:
        """Add."""
        return add(*terms)

    def mul(self, factors: list[Z]) -> Z:
        """Multiply."""
        product = Z(ONE)
        for factor in factors:
            product = mul(product, factor)
        return product

    def div(self, above: Z, below: Z) -> Z:
        """Divide."""
        return div(above, below)

    def power(self, base: Z, exponent: Z, exact: Fraction | None) -> Z:
        """Raise to a power, whose exact value is given where it has one."""
        if exact is not None and exact.denominator % 2 and not base.im:
            found = Z(_real_power(abs(base.re), exact))
            return Z(-found.re) if base.re < 0 and exact.numerator % 2 else found
        if exact is not None:
            if exact.denominator == 2 and abs(exact.numerator) < 50:
                root, found = sqrt(base), Z(ONE)
                for _ in range(abs(exact.numerator)):
                    found = mul(found, root)
                return found if exact > 0 else div(Z(ONE), found)
            exponent = self.rational(exact)
        if not base.re and not base.im:
            if exponent.re > 0:
                return Z(ZERO)
            raise UndefinedError("no power of zero")
        return exp(mul(exponent, ln(base)))

    def call(self, name: str, arguments: list[Z], exact: list[Fraction | None]) -> Z:
        """Apply a function, with the exact values of its arguments where they have one."""
        first = arguments[0]
        if name in {"ln", "log"}:
            if len(arguments) == 2:
                return div(ln(first), ln(arguments[1]))
            return ln(first) if name == "ln" or self.base != 10 else div(ln(first), ln(Z(Decimal(10))))
        if name == "root" and len(arguments) == 2:
            return self.power(first, div(Z(ONE), arguments[1]), 1 / exact[1] if exact[1] else None)
        if name == "binom" and len(arguments) == 2:
            return Z(Decimal(math.comb(_whole(first), _whole(arguments[1]))))
        if name == "factorial":
            return Z(Decimal(math.factorial(_whole(first))))
        if len(arguments) != 1 or name not in CALLS:
            raise UndefinedError(f"{name} has no precise value")
        return CALLS[name](first)


def _real_power(base: Decimal, exact: Fraction) -> Decimal:
    if not base:
        if exact > 0:
            return ZERO
        raise UndefinedError("no power of zero")
    if exact.denominator == 1:
        return base ** int(exact)
    return (base.ln() * exact.numerator / exact.denominator).exp()


def _whole(z: Z) -> int:
    if z.im or z.re < 0 or z.re != z.re.to_integral_value():
        raise UndefinedError("no whole number")
    if z.re > MOST:
        raise OverflowError("too large for its factorial")
    return int(z.re)


def _hyperbolic(z: Z, sign: int) -> Z:
    up, down = exp(z), exp(Z(-z.re, -z.im))
    return Z((up.re + sign * down.re) / 2, (up.im + sign * down.im) / 2)


def _inverse_tanh(z: Z) -> Z:
    return div(ln(div(add(Z(ONE), z), add(Z(ONE), Z(-z.re, -z.im)))), TWO)


CALLS: dict[str, Callable[[Z], Z]] = {
    "sin": sine,
    "cos": cosine,
    "tan": lambda z: div(sine(z), cosine(z)),
    "cot": lambda z: div(cosine(z), sine(z)),
    "sec": lambda z: div(Z(ONE), cosine(z)),
    "csc": lambda z: div(Z(ONE), sine(z)),
    "arcsin": arcsine,
    "arccos": lambda z: add(Z(pi() / 2), mul(Z(-ONE), arcsine(z))),
    "arctan": arctangent,
    "arccot": lambda z: add(Z(pi() / 2), mul(Z(-ONE), arctangent(z))),
    "arcsec": lambda z: add(Z(pi() / 2), mul(Z(-ONE), arcsine(div(Z(ONE), z)))),
    "arccsc": lambda z: arcsine(div(Z(ONE), z)),
    "sinh": lambda z: _hyperbolic(z, -1),
    "cosh": lambda z: _hyperbolic(z, 1),
    "tanh": lambda z: div(_hyperbolic(z, -1), _hyperbolic(z, 1)),
    "coth": lambda z: div(_hyperbolic(z, 1), _hyperbolic(z, -1)),
    "sech": lambda z: div(Z(ONE), _hyperbolic(z, 1)),
    "csch": lambda z: div(Z(ONE), _hyperbolic(z, -1)),
    "arsinh": lambda z: ln(add(z, sqrt(add(mul(z, z), Z(ONE))))),
    "arcosh": lambda z: ln(add(z, mul(sqrt(add(z, Z(ONE))), sqrt(add(z, Z(-ONE)))))),
    "artanh": _inverse_tanh,
    "sqrt": sqrt,
    "abs": lambda z: Z(size(z)),
    "re": lambda z: Z(z.re),
    "im": lambda z: Z(z.im),
    "arg": lambda z: Z(phase(z)),
    "bar": lambda z: Z(z.re, -z.im),
}


def value(node: Node, point: Point, base: float = 0.0, digits: int = DIGITS) -> Z:
    """Value of an expression; ArithmeticError where it has none."""
    with localcontext(context(digits)):
        return evaluate(node, Precise(point, base))


def agree(a: Z, b: Z, digits: int = DIGITS) -> bool:
    """Whether two values of so many digits are one, but for rounding."""
    with localcontext(context(digits)):
        largest = max(size(a), size(b))
        if largest < Decimal(10) ** (10 - digits):
            return True
        return size(Z(a.re - b.re, a.im - b.im)) <= largest * Decimal(10) ** (GUARD - digits)


def digits_wanted(a: Z) -> int:
    """Digits that show a difference of one in a large value."""
    return min(DIGITS + max(a.re.adjusted(), a.im.adjusted(), 0), MOST_DIGITS)
