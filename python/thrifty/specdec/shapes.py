"""Drafts of a size at every depth: equal parameters, few wide layers or many narrow ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.device import ModelShape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["depths", "draft_of", "largest_within"]

DEPTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96)
RATIO = (1.0, 6.0)
"""Gated units for a number of a hidden vector, at least and at most; 8/3 is aimed at, as Llama has it."""
FINE = 0.2
"""So near to it, as a logarithm, smaller heads are not tried."""
NEAR = 0.03
"""How far from the wished parameters a draft may be."""


def depths(most: int) -> list[int]:
    """Return the depths that are worth a look up to one: each of the first, then in steps of about a fifth.

    Examples
    --------
    >>> from thrifty.specdec.shapes import depths
    >>> depths(24)
    [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24]
    """
    found = [depth for depth in DEPTHS if depth <= most]
    return found if found[-1] == most else [*found, most]


def draft_of(
    params: float, layers: int, vocab: int, *, tied: bool = True, dtype_bytes: float = 2.0, embeddings: bool = True
) -> ModelShape | None:
    """Return a decoder of so many parameters and layers, or None where none is near.

    Parameters
    ----------
    params : float
        Parameters, embeddings included where ``embeddings``, else those of the layers.
    layers, vocab : int
    tied : bool
        Whether the output layer is the embedding.
    dtype_bytes : float
    embeddings : bool

    Examples
    --------
    >>> from thrifty.specdec.shapes import draft_of
    >>> str(draft_of(800e6, 5, 32_000)), draft_of(1e6, 5, 32_000)
    ('5 x 3456, 27 heads of 128, 8688 units', None)
    """
    tables = (vocab if tied else 2 * vocab) if embeddings else 0
    # 12 layers dim^2 + tables dim = params, with units of 8/3 dim.
    a, b = 12.0 * layers, float(tables)
    dim = ((b * b + 4 * a * params) ** 0.5 - b) / (2 * a)
    some: list[ModelShape] = []
    for head in (128, 64, 32, 16):
        # Heads of 128 from 1,024 on: at least 8 of them, but for the smallest.
        if dim < 8 * head and head > 16:
            continue
        nearest = max(1, round(dim / head))
        for heads in (nearest, nearest - 1, nearest + 1):
            found = _filled(params, layers, heads * head, heads, vocab, tied, dtype_bytes, embeddings)
            some += [] if found is None else [found]
        if some and _unlike(min(some, key=_unlike)) < FINE:
            break
    return min(some, key=_unlike, default=None)


def _unlike(shape: ModelShape) -> float:
    """How far the gated units are from 8/3 of the width, as a logarithm."""
    return abs(math.log(shape.hidden / shape.dim * 3 / 8))


def _filled(
    params: float, layers: int, dim: int, heads: int, vocab: int, tied: bool, dtype_bytes: float, embeddings: bool
) -> ModelShape | None:
    """Give the layers as many gated units as the parameters leave."""
    if heads < 1:
        return None

    def shape(hidden: int) -> ModelShape:
        return ModelShape(
            layers=layers, dim=dim, heads=heads, hidden=hidden, vocab=vocab, tied=tied, dtype_bytes=dtype_bytes
        )

    def count(s: ModelShape) -> int:
        return s.parameters if embeddings else s.layers * s.layer_parameters

    without = count(shape(16)) - 3 * 16 * dim * layers
    step = 16 if dim >= 256 else 4  # in steps of 16 small deep ones would miss their size
    hidden = round((params - without) / (3 * dim * layers) / step) * step
    if not RATIO[0] * dim <= hidden <= RATIO[1] * dim:
        return None
    found = shape(hidden)
    return found if abs(count(found) / params - 1) <= NEAR else None


def largest_within(
    limit_ms: float, layers: int, vocab: int, took: Callable[[ModelShape], float], *, tied: bool, dtype_bytes: float
) -> ModelShape | None:
    """Return the decoder of most parameters at a depth that takes at most so long; None where the least takes more."""
    best: ModelShape | None = None
    low, high = 10.0, 40.0  # logarithms to base 2 of parameters
    for _ in range(24):
        middle = (low + high) / 2
        found = draft_of(2.0**middle, layers, vocab, tied=tied, dtype_bytes=dtype_bytes)
        if found is None or took(found) <= limit_ms:
            # Where there is none it is for too few parameters, which a larger one mends.
            low = middle
            if found is not None and (best is None or found.parameters > best.parameters):
                best = found
        else:
            high = middle
    return best
