"""Random numbers that are a function of (seed, stream, position), whatever thread asks for them."""

from __future__ import annotations

import numpy as np

__all__ = ["philox"]

_WORD = 1 << 64


def philox(seed: int, stream: int = 0, position: int = 0) -> np.random.Generator:
    """Return the generator that begins at a position of a stream.

    Philox 4x64 of Salmon et al. 2011: the key is (seed, stream), the counter's second word is the position, so that
    2^64 blocks of numbers lie between two positions.

    Parameters
    ----------
    seed, stream, position : int
        0 to 2^64 - 1.

    Raises
    ------
    ValueError
        When one is outside.

    Examples
    --------
    >>> from thrifty.stats import philox
    >>> int(philox(1, 2, 3).integers(100)) == int(philox(1, 2, 3).integers(100))
    True
    """
    for name, value in (("seed", seed), ("stream", stream), ("position", position)):
        if not 0 <= value < _WORD:
            raise ValueError(f"{name}: 0 to 2^64 - 1 is needed, got {value}")
    key = np.array([seed, stream], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, position, 0, 0], np.uint64)))
