"""Values as complex floats: unlike values tell trees apart at little cost."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING

from thrifty.exam.maths.evaluate import UndefinedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from thrifty.exam.maths.points import Point

__all__ = ["Floats"]

REAL = 1e-9


def real(value: complex) -> float:
    """Give the value as a real number; what is none has no value."""
    if abs(value.imag) > REAL * (1 + abs(value.real)):
        raise UndefinedError("not real")
    return value.real


def _sign(value: complex) -> complex:
    return complex((real(value) > 0) - (real(value) < 0))


def _nearby(value: complex, take: Callable[[float], int]) -> complex:
    x = real(value)
    return complex(round(x)) if abs(x - round(x)) < REAL else complex(take(x))


CALLS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda z: 1 / cmath.tan(z),
    "sec": lambda z: 1 / cmath.cos(z),
    "csc": lambda z: 1 / cmath.sin(z),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "arccot": lambda z: math.pi / 2 - cmath.atan(z),
    "arcsec": lambda z: cmath.acos(1 / z),
    "arccsc": lambda z: cmath.asin(1 / z),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "coth": lambda z: 1 / cmath.tanh(z),
    "sech": lambda z: 1 / cmath.cosh(z),
    "csch": lambda z: 1 / cmath.sinh(z),
    "arsinh": cmath.asinh,
    "arcosh": cmath.acosh,
    "artanh": cmath.atanh,
    "sqrt": cmath.sqrt,
    "abs": lambda z: complex(abs(z)),
    "re": lambda z: complex(z.real),
    "im": lambda z: complex(z.imag),
    "arg": lambda z: complex(cmath.phase(z)),
    "bar": lambda z: z.conjugate(),
    "sgn": _sign,
    "floor": lambda z: _nearby(z, math.floor),
    "ceil": lambda z: _nearby(z, math.ceil),
    "factorial": lambda z: complex(math.gamma(real(z) + 1)),
}


class Floats:
    """Complex floats at a point.

    Parameters
    ----------
    point : Point
        Values of the symbols.
    base : float
        Of logarithms that name none.
    """

    def __init__(self, point: Point, base: float = math.e) -> None:
        self.point, self.base = point, base

    def rational(self, value: Fraction) -> complex:
        """Give a rational number."""
        return complex(float(value))

    def symbol(self, name: str) -> complex:
        """Give the value of a name."""
        if name == "pi":
            return complex(math.pi)
        if name == "e":
            return complex(math.e)
        if name == "i":
            return 1j
        if name in {"infinity", "..."}:
            raise UndefinedError("no number")
        return complex(float(self.point.value(name)))

    def atom(self, *key: object) -> complex:
        """Give the value of what is not computed, by what it is made of."""
        return complex(float(self.point.value(repr(key))))

    def add(self, terms: list[complex]) -> complex:
        """Add."""
        return sum(terms, 0j)

    def mul(self, factors: list[complex]) -> complex:
        """Multiply."""
        return math.prod(factors, start=1 + 0j)

    def div(self, above: complex, below: complex) -> complex:
        """Divide."""
        return above / below

    def power(self, base: complex, exponent: complex, exact: Fraction | None) -> complex:
        """Raise to a power, whose exact value is given where it has one."""
        if exact is not None and exact.denominator == 1:
            return base ** int(exact)
        if exact is not None and exact.denominator % 2 and base.real < 0 and base.imag == 0:
            size = complex((-base.real) ** float(exact))
            return -size if exact.numerator % 2 else size
        if exact is not None:
            exponent = complex(float(exact))
        if not base:
            if exponent.real > 0:
                return 0j
            raise UndefinedError("no power of zero")
        if base.imag == 0 and exponent.imag == 0 and base.real > 0:
            return complex(base.real**exponent.real)
        if base.imag == 0 and exponent.imag == 0 and exponent.real == int(exponent.real):
            return complex(base.real ** int(exponent.real))
        return cmath.exp(exponent * cmath.log(base))

    def call(self, name: str, arguments: list[complex], exact: list[Fraction | None]) -> complex:
        """Apply a function, with the exact values of its arguments where they have one."""
        try:
            return self._call(name, arguments, exact)
        except ValueError as error:  # what cmath says of poles
            raise UndefinedError(str(error)) from error

    def _call(self, name: str, arguments: list[complex], exact: list[Fraction | None]) -> complex:  # noqa: PLR0911 - one a kind
        first = arguments[0]
        if name in {"ln", "log"}:
            found = cmath.log(first)
            if len(arguments) == 2:
                return found / cmath.log(arguments[1])
            return found if name == "ln" or self.base == math.e else found / math.log(self.base)
        if name == "root" and len(arguments) == 2:
            inverse = 1 / exact[1] if exact[1] else None
            return self.power(first, 1 / arguments[1], inverse)
        if name == "binom" and len(arguments) == 2:
            n, k = real(first), real(arguments[1])
            return complex(math.gamma(n + 1) / math.gamma(k + 1) / math.gamma(n - k + 1))
        if name in {"max", "min"}:
            return complex((max if name == "max" else min)(map(real, arguments)))
        if name in CALLS and len(arguments) == 1:
            return CALLS[name](first)
        return self.atom("call", name, *(round(value.real, 6) + 1j * round(value.imag, 6) for value in arguments))
