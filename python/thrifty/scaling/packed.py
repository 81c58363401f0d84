"""Arrays, and numbers that are not finite, as JSON has them."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

#: Types of arrays, little-endian; dimensions and numbers of one.
TYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8"}
MOST_DIMENSIONS, MOST_NUMBERS = 4, 32 << 20
_ARRAY = {"dtype", "shape", "base64"}
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def pack(value: Any) -> Any:
    """Return a value as JSON has it: arrays as their type, shape and bytes in base64.

    Raises
    ------
    TypeError
        For what no file can hold.
    """
    if isinstance(value, np.ndarray):
        kind = value.dtype.name
        if kind not in TYPES:
            raise TypeError(f"an array of {kind} can't be written; {', '.join(TYPES)} can")
        data = np.ascontiguousarray(value, TYPES[kind]).tobytes()
        return {"dtype": kind, "shape": list(value.shape), "base64": base64.b64encode(data).decode()}
    if isinstance(value, dict):
        if value.keys() == _ARRAY or ("number" in value and len(value) == 1):
            raise TypeError(f"names {sorted(value)} stand for an array or a number")
        return {str(name): pack(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(inner) for inner in value]
    if isinstance(value, np.generic):
        return pack(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} can't be written")


def unpack(value: Any) -> Any:
    """Return what :func:`pack` was given; a ValueError where an array is not what it says."""
    if isinstance(value, list):
        return [unpack(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _ARRAY:
        return _array(value)
    if value.keys() == {"number"}:
        if not isinstance(value["number"], str) or value["number"] not in _SPECIAL:
            raise ValueError("a number is none of nan, inf, -inf")
        return _SPECIAL[value["number"]]
    return {name: unpack(inner) for name, inner in value.items()}


def _array(given: dict[str, Any]) -> Any:
    kind, shape, text = given["dtype"], given["shape"], given["base64"]
    if not isinstance(kind, str) or kind not in TYPES or not isinstance(text, str) or not isinstance(shape, list):
        raise ValueError("an array has no type, shape or bytes")
    sizes = all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MOST_NUMBERS for size in shape)
    if len(shape) > MOST_DIMENSIONS or not sizes or math.prod(shape) > MOST_NUMBERS:
        raise ValueError(f"an array of shape {str(shape)[:80]} is too large")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an array is no base64: {error}") from None
    wanted = math.prod(shape) * np.dtype(TYPES[kind]).itemsize
    if len(data) != wanted:
        raise ValueError(f"an array has {len(data):,} bytes, and its shape {shape} takes {wanted:,}")
    # A copy, since arrays over bytes can't be written to.
    return np.frombuffer(data, TYPES[kind]).reshape(shape).astype(kind)
