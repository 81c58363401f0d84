"""Arrays of any kind as the core takes them, or an error that names the argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import is_tensor, require_torch, to_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["each", "floats", "integers", "per_request", "rows", "whole"]


def rows(value: Any, name: str) -> NDArray[Any]:
    """Return rows of numbers, float32 or bfloat16, the latter as uint16; other floats and lists become float32.

    Nothing is copied that is contiguous and has one of these types.
    """
    if is_tensor(value) and value.dtype == require_torch().bfloat16:
        value = to_numpy(value.detach().contiguous().view(require_torch().int16), name).view(np.uint16)
    array = np.asarray(to_numpy(value, name))
    if array.dtype in (np.float32, np.uint16):
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f" and array.size:
        raise TypeError(f"{name}: float32, or bfloat16 as uint16 is needed, got {array.dtype}")
    return np.ascontiguousarray(array, np.float32)


def integers(value: Any, name: str, dtype: Any, ndim: int) -> NDArray[Any]:
    """Return whole numbers as ``dtype``, of so many dimensions, contiguous."""
    array = np.asarray(to_numpy(value, name))
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: whole numbers are needed, got {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name}: shape {array.shape}; {ndim} dimension{'s are' if ndim > 1 else ' is'} needed")
    info = np.iinfo(dtype)
    if array.size and array.dtype != dtype and not (int(array.min()) >= info.min and int(array.max()) <= info.max):
        wrong = next(int(x) for x in array.flat if not info.min <= int(x) <= info.max)
        raise ValueError(f"{name}: {wrong} is not between {info.min} and {info.max}")
    return np.ascontiguousarray(array, dtype)


def per_request(value: Any, name: str, requests: int, dtype: Any) -> NDArray[Any]:
    """Return one number of each request; one alone is that of all."""
    array = np.asarray(to_numpy(value, name))
    if array.dtype.kind not in ("iu" if np.issubdtype(dtype, np.integer) else "iuf"):
        raise TypeError(
            f"{name}: {'whole ' if np.issubdtype(dtype, np.integer) else ''}numbers are needed, got {array.dtype}"
        )
    if array.shape not in ((), (requests,)):
        raise ValueError(f"{name}: shape {array.shape}; one number, or ({requests},) is needed")
    return np.ascontiguousarray(np.broadcast_to(array, (requests,)), dtype)


def floats(value: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return float32 of a shape, flat and contiguous."""
    array = np.asarray(to_numpy(value, name))
    if array.dtype.kind not in "f" and array.size:
        raise TypeError(f"{name}: float32 is needed, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: shape {array.shape}; {shape} is needed")
    return np.ascontiguousarray(array, np.float32).reshape(-1)


def whole(value: Any, name: str, bits: int) -> int:
    """Return a whole number of at most so many bits."""
    try:
        number = int(value.__index__())
    except AttributeError:
        raise TypeError(f"{name}: a whole number is needed, got {type(value).__name__}") from None
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name}: {number} is not between 0 and 2^{bits} - 1")
    return number


def each(value: Any, name: str, requests: int, dtype: Any) -> NDArray[Any]:
    """Return a whole number of each request."""
    found = integers(value, name, dtype, 1)
    if len(found) != requests:
        raise ValueError(f"{name}: {len(found)} numbers; one of each of {requests} requests is needed")
    return found
