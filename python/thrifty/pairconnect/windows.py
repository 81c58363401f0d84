"""Windows of a text: which ids are scored, and what their losses come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty.errors import DatasetError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.pairconnect.text import Encoding

__all__ = ["Joined", "encoded", "joined", "scored", "summary"]


def scored(tokens: int, window: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where windows begin, and the positions that they score.

    Windows of ``window`` ids begin every ``stride``; each says what follows its last ``stride`` positions.
    """
    if not 1 <= stride <= window:
        raise ValueError(f"stride: {stride} is not between 1 and window = {window}")
    starts = np.arange(0, tokens - window, stride)
    return starts, (starts[:, None] + np.arange(window - stride + 1, window + 1)).reshape(-1)


def encoded(text: bytes, encoding: Encoding, window: int, max_tokens: int | None) -> tuple[Any, Any]:
    """Return ids of the beginning of a text, more than a window, and the byte at which each ends."""
    ids, ends = encoding.encode(text)
    ids, ends = ids[:max_tokens], ends[:max_tokens]
    if len(ids) <= window:
        raise DatasetError(f"text: {len(ids)} ids are no window of {window} and what follows it")
    return ids, ends


def summary(at: NDArray[np.int64], losses: NDArray[Any], ends: NDArray[Any]) -> dict[str, float]:
    """Return perplexity an id, bits a byte and how many ids were scored."""
    total = float(losses.sum(dtype=np.float64))
    with np.errstate(over="ignore"):
        perplexity = float(np.exp(total / len(at)))
    if not np.isfinite(perplexity):
        raise ModelError(
            f"the mean loss is {total / len(at)}: the model's weights are damaged, or its training went wrong"
        )
    length = float(np.diff(ends, prepend=0)[at].sum())
    return {"perplexity": perplexity, "bits_per_byte": total / float(np.log(2)) / length, "tokens": len(at)}


class Joined(NamedTuple):
    """Texts behind contexts, as ids one after the other.

    ``ids``; and for each id of a continuation its position ``at``, where the ids of its text ``begin``, and ``of``
    which pair it is.
    """

    ids: NDArray[np.uint32]
    at: NDArray[np.int64]
    begin: NDArray[np.int64]
    of: NDArray[np.int64]


def joined(pairs: Sequence[tuple[str, str]], encoding: Encoding) -> Joined:
    """Encode each context with its continuation; an id that spans both counts as the continuation's.

    Raises
    ------
    ValueError
        When a context has no id of its own, or a continuation none.
    """
    ids: list[NDArray[np.uint32]] = []
    at, begin, of = [], [], []
    total = 0
    for i, (context, continuation) in enumerate(pairs):
        own, ends = encoding.encode((context + continuation).encode())
        first = int(np.searchsorted(ends, len(context.encode()), side="right"))
        if not 0 < first < len(own):
            raise ValueError(f"pairs: {i}: a context and a continuation are needed, got {context!r}, {continuation!r}")
        ids.append(own)
        at.append(total + np.arange(first, len(own)))
        begin.append(np.full(len(own) - first, total))
        of.append(np.full(len(own) - first, i))
        total += len(own)
    if not ids:
        raise ValueError("pairs: none were given")
    return Joined(np.concatenate(ids), np.concatenate(at), np.concatenate(begin), np.concatenate(of))
