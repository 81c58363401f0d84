"""Seeded random points at which expressions are compared."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b

__all__ = ["POINTS", "Point"]

SMALL, LARGE, MIXED, NEGATIVE = "small", "large", "mixed", "negative"


@lru_cache(maxsize=8192)
def _drawn(seed: int, name: str) -> int:
    return int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Point:
    """A value for every name, the same in each process.

    Attributes
    ----------
    seed : int
    range : str
        Values in (0, 1), in (1, 5), of either sign in (-3, 3), or in (-3, 0).
    whole : frozenset of str
        Symbols that are integers whatever the range.
    """

    seed: int
    range: str = SMALL
    whole: frozenset[str] = frozenset()

    def value(self, name: str) -> Fraction:
        """Value of a name."""
        drawn = _drawn(self.seed, name)
        if name in self.whole:
            return Fraction(3 + drawn % 10)
        part = Fraction(1 + drawn % 1020, 1021)
        if self.range == SMALL:
            return part
        if self.range == LARGE:
            return 1 + 4 * part
        return (part * 3) * (-1 if self.range == NEGATIVE or drawn >> 40 & 1 else 1)

    def of(self, whole: frozenset[str]) -> Point:
        """Give the same point with these symbols integers."""
        return Point(self.seed, self.range, whole)


#: Where two expressions are compared, in this order.
POINTS = tuple(Point(seed, kind) for seed, kind in enumerate([SMALL, LARGE, MIXED, NEGATIVE] * 5))
