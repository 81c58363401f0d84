"""Values modulo a prime: equal ones prove trees equal, but for a chance of about one in 2^60."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from thrifty.exam.maths.evaluate import UndefinedError, evaluate

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["PRIME", "Residues", "fingerprint"]

#: 2^64 - 2^32 + 1, in which 2^48 is a root of -1.
PRIME = 2**64 - 2**32 + 1
_ROOT_OF_MINUS_ONE = 2**48


@lru_cache(maxsize=8192)
def _hashed(*key: object) -> int:
    digest = blake2b(repr(key).encode(), digest_size=16).digest()
    return int.from_bytes(digest, "little") % PRIME


class Residues:
    """Integers modulo :data:`PRIME`; symbols, and functions of values, are values drawn by their names.

    Attributes
    ----------
    rings : bool
        Whether all was made of rational numbers, symbols and integer powers, so that unlike values prove trees unlike.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.rings = seed, True

    def rational(self, value: Fraction) -> int:
        """Give a rational number."""
        below = value.denominator % PRIME
        if not below:
            raise UndefinedError("a denominator of this prime")
        return value.numerator * pow(below, -1, PRIME) % PRIME if below != 1 else value.numerator % PRIME

    def symbol(self, name: str) -> int:
        """Give the value of a name."""
        if name == "i":
            return _ROOT_OF_MINUS_ONE
        return _hashed(self.seed, "symbol", name)

    def atom(self, *key: object) -> int:
        """Give the value of what is not computed, by what it is made of."""
        if key[0] not in {"index", "text", "apply"}:
            self.rings = False
        return _hashed(self.seed, *key)

    def add(self, terms: list[int]) -> int:
        """Add."""
        return sum(terms) % PRIME

    def mul(self, factors: list[int]) -> int:
        """Multiply."""
        product = 1
        for factor in factors:
            product = product * factor % PRIME
        return product

    def div(self, above: int, below: int) -> int:
        """Divide."""
        if not below:
            raise UndefinedError("division by zero")
        return above * pow(below, -1, PRIME) % PRIME

    def power(self, base: int, exponent: int, exact: Fraction | None) -> int:
        """Raise to a power, whose exact value is given where it has one."""
        if exact is None or exact.denominator != 1:
            self.rings = False
            return _hashed(self.seed, "power", base, exponent if exact is None else exact)
        if not base and exact <= 0:
            raise UndefinedError("no power of zero")
        return pow(base, int(exact), PRIME)

    def call(self, name: str, arguments: list[int], exact: list[Fraction | None]) -> int:
        """Apply a function, with the exact values of its arguments where they have one."""
        self.rings = False
        if name == "sqrt":
            return _hashed(self.seed, "power", arguments[0], Fraction(1, 2))
        if name == "root" and exact[1]:
            return _hashed(self.seed, "power", arguments[0], 1 / exact[1])
        return _hashed(self.seed, "call", name, *arguments)


def fingerprint(node: Node, seed: int = 0) -> tuple[int, bool] | None:
    """Value of a tree at seeded values of its symbols, and whether unlike values prove trees unlike; None without."""
    field = Residues(seed)
    try:
        return evaluate(node, field), field.rings
    except ArithmeticError:
        return None
