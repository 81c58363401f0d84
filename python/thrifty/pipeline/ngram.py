"""An adaptive n-gram model of bytes, what compressors of text are made of: a baseline for language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["byte_bits"]


def byte_bits(text: bytes, order: int) -> NDArray[np.float64]:
    """Return the bits that each byte takes, predicted from those before it.

    With n bytes seen behind a context so far, d of them different, and m of them s, the probability of s is
    (m + d p) / (n + d), where p is that behind the context without its oldest byte, and 1/256 at last: counts of PPM's
    method C, interpolated (Witten and Bell 1991).

    Parameters
    ----------
    text : bytes
    order : int
        Bytes of the longest context, at most 6.

    Returns
    -------
    float64 array of shape (bytes,)

    Examples
    --------
    >>> [round(float(bits), 2) for bits in byte_bits(b"aaaa", 1)]
    [8.0, 0.99, 0.26, 0.13]
    """
    if not 0 <= order <= 6:
        raise ValueError(f"order: {order} is not between 0 and 6")
    data = np.frombuffer(text, np.uint8).astype(np.int64)
    p = np.full(len(data), 1 / 256)
    context = np.zeros(len(data), np.int64)
    for length in range(order + 1):
        if length:
            context[length:] |= data[:-length] << 8 * (length - 1)
        at = slice(length, None)
        same, _ = _before(context[at] << 8 | data[at], None)
        seen, kinds = _before(context[at], same == 0)
        with np.errstate(invalid="ignore"):
            p[at] = np.where(seen > 0, (same + kinds * p[at]) / (seen + kinds), p[at])
    bits: NDArray[np.float64] = -np.log2(p)
    return bits


def _before(keys: NDArray[Any], marks: NDArray[np.bool_] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each place, how many before it have the same key, and how many of those are marked."""
    order = np.argsort(keys, kind="stable")
    grouped = keys[order]
    first = np.searchsorted(grouped, grouped)
    equal, marked = np.empty(len(keys), np.int64), np.zeros(len(keys), np.int64)
    equal[order] = np.arange(len(keys)) - first
    if marks is not None:
        sums = np.concatenate([[0], np.cumsum(marks[order])])
        marked[order] = sums[:-1] - sums[first]
    return equal, marked
