"""What drafters propose, and the arrays in which it is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty._torch import to_numpy
from thrifty.errors import ModelError
from thrifty.specdec._arrays import rows
from thrifty.specdec.verify import SparseProbs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Drafts", "chances", "narrowed", "of_rows", "padded", "single", "widened"]


class Drafts(NamedTuple):
    """What a drafter proposes for rows of a step.

    Attributes
    ----------
    ids : int64 array of shape (rows, g)
        -1 behind the last draft of a row, which may have fewer than it was asked for.
    q : float32 array of shape (rows, g, vocab), SparseProbs over rows * g places, or None
        The laws that they were drawn from; None where they were certain.
    """

    ids: Any
    q: Any = None


def padded(scores: Any, gamma: NDArray[np.int64], width: int, vocab: int) -> Any:
    """Return scores of outputs as rows of ``width + 1`` places."""
    outputs = int(gamma.sum()) + len(gamma)
    if tuple(scores.shape) != (outputs, vocab):
        raise ModelError(f"the target gave scores of shape {tuple(scores.shape)}; ({outputs}, {vocab}) are needed")
    if outputs == len(gamma) * (width + 1):
        return scores.reshape(len(gamma), width + 1, vocab)
    found = np.zeros if isinstance(scores, np.ndarray) else scores.new_zeros
    dtype: dict[str, Any] = {"dtype": scores.dtype} if isinstance(scores, np.ndarray) else {}
    out = found((len(gamma), width + 1, vocab), **dtype)
    row = np.repeat(np.arange(len(gamma)), gamma + 1)
    begin = np.cumsum(gamma + 1) - (gamma + 1)
    out[row, np.arange(outputs) - begin[row]] = scores
    return out


def chances(q: Any) -> Any:
    """Return dense laws as lists: what stands in an array beside scores would be taken for scores."""
    if q is None or isinstance(q, SparseProbs):
        return q
    q = np.asarray(to_numpy(q, "q"), np.float32)
    n, width, vocab = q.shape
    ids = np.tile(np.arange(vocab, dtype=np.uint32), n * width)
    return SparseProbs(np.arange(n * width + 1) * vocab, ids, q.reshape(-1))


def widened(q: Any, given: int, width: int) -> Any:
    """Return laws of ``given`` places a row as those of ``width`` places."""
    if q is None or given == width:
        return q
    if isinstance(q, SparseProbs):
        ends = np.asarray(q.indptr)[1:].reshape(-1, given)
        filled = np.concatenate([ends, np.repeat(ends[:, -1:], width - given, axis=1)], axis=1)
        return SparseProbs(np.concatenate([[0], filled.reshape(-1)]), q.ids, q.probs)
    q = np.asarray(to_numpy(q, "q"))
    return np.concatenate([q, np.zeros((len(q), width - given, q.shape[2]), q.dtype)], axis=1)


def narrowed(drafts: Drafts, width: int, left: int) -> Drafts:
    """Return drafts of ``width`` places a row, of which all behind the first ``left`` are empty, without those."""
    ids, q = np.ascontiguousarray(drafts.ids[:, :left]), drafts.q
    if isinstance(q, SparseProbs):
        ends = np.asarray(q.indptr)[1:].reshape(-1, width)[:, :left]
        q = SparseProbs(np.concatenate([[0], ends.reshape(-1)]), q.ids, q.probs)
    elif q is not None:
        q = q[:, :left]
    return Drafts(ids, q)


def single(scores: Any) -> NDArray[np.float32]:
    """Return scores of any kind as float32."""
    found = rows(scores, "scores")
    wide = found.astype(np.uint32) << 16 if found.dtype == np.uint16 else found
    return wide.view(np.float32)


def of_rows(q: SparseProbs, rows: NDArray[np.int64], width: int) -> SparseProbs:
    """Return the laws of some rows; they lie one after the other already."""
    ends = np.asarray(q.indptr)[1:].reshape(-1, width)[rows]
    return SparseProbs(np.concatenate([[0], ends.reshape(-1)]), q.ids, q.probs)
