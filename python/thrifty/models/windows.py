"""Which windows of a text a step learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.models.trainer import TrainSettings

__all__ = ["evenly", "starts", "windows_at"]


def evenly(ids: NDArray[Any], tokens: int, piece: int = 10_000) -> NDArray[Any]:
    """Return pieces of a text, evenly spread over it, of so many ids in all; a text that is no longer as it is."""
    if len(ids) <= tokens:
        return ids
    pieces = max(1, tokens // piece)
    begin = np.linspace(0, len(ids) - tokens // pieces, pieces).astype(np.int64)
    return np.concatenate([ids[start : start + tokens // pieces] for start in begin])


def starts(length: int, settings: TrainSettings, first: int, last: int) -> NDArray[np.int64]:
    """Return where the windows of steps ``first`` up to ``last`` begin in a text: shape (steps, batch).

    A function of the seed and the step alone; each pass over the text has another order.
    """
    width, each = settings.context, settings.batch
    count = (length - 1) // width
    wanted = np.arange(first * each, last * each)
    epochs = wanted // count
    out = np.empty(len(wanted), np.int64)
    for epoch in np.unique(epochs):
        rng = np.random.default_rng((settings.seed, int(epoch)))
        # Windows of another pass begin elsewhere.
        shift = int(rng.integers(0, length - count * width)) if epoch else 0
        order = rng.permutation(count)
        mine = epochs == epoch
        out[mine] = shift + order[wanted[mine] % count] * width
    return out.reshape(-1, each)


def windows_at(ids: NDArray[Any], begin: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Return windows that begin at places, of one id more than the context."""
    found: NDArray[np.int64] = ids[begin[:, None] + np.arange(context + 1)].astype(np.int64)
    return found
