"""Checks of what a file says: each returns the value, or raises a ValueError that names it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["array", "listed", "number", "positive", "text", "texts", "whole"]

#: Of a text, and of a list.
MOST_LETTERS, MOST_ITEMS = 10_000, 1_000


def text(value: Any, what: str) -> str:
    """Check a text."""
    if not isinstance(value, str) or len(value) > MOST_LETTERS:
        raise ValueError(f"{what} is no text of at most {MOST_LETTERS:,} letters")
    return value


def listed(values: Any, what: str) -> list[Any]:
    """Check a list."""
    if not isinstance(values, list) or len(values) > MOST_ITEMS:
        raise ValueError(f"{what} is no list of at most {MOST_ITEMS:,}")
    return values


def texts(values: Any, what: str, size: int | None = None) -> tuple[str, ...]:
    """Check a list of texts, of so many where that is known."""
    if size is None:
        listed(values, what)
    elif not isinstance(values, list) or len(values) != size:
        raise ValueError(f"{what} are no {size} texts")
    return tuple(text(value, what) for value in values)


def whole(value: Any, what: str, most: int, least: int = 0) -> int:
    """Check a whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{what} is no whole number of {least:,} to {most:,}")
    return value


def number(value: Any, what: str) -> float:
    """Check a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{what} is no finite number")
    return float(value)


def array(values: Any, what: str, *shape: int) -> NDArray[np.float64]:
    """Check an array of finite numbers of a shape."""
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype.kind != "f":
        raise ValueError(f"{what} is no array of numbers of shape {shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} has numbers that are not finite")
    return values.astype(np.float64)


def positive(values: Any, what: str, rows: int) -> NDArray[np.float64]:
    """Check an array of finite numbers above 0."""
    found = array(values, what, rows)
    if not (found > 0).all():
        raise ValueError(f"{what} has numbers that are not above 0")
    return found
