"""What drafters propose, and the arrays in which it is verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy
from thrifty.errors import ModelError
from thrifty.specdec._arrays import rows
from thrifty.specdec.verify import SparseProbs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Drafts", "TreeDraft", "chances", "fitted", "narrowed", "of_rows", "padded", "single"]


class Drafts(NamedTuple):
    """What a drafter proposes for rows of a step.

    Attributes
    ----------
    ids : int64 array of shape (rows, g)
        -1 behind the last draft of a row, which may have fewer than it was asked for.
    q : float32 array of shape (rows, g, vocab), SparseProbs over rows * g places, or None
        The laws that they were drawn from; None where they were certain.
    parents : int64 array of shape (rows, g), optional
        Then drafts are nodes of trees, and q has ``g + 1`` places a row; see :func:`verify_tree`.
    """

    ids: Any
    q: Any = None
    parents: Any = None


@dataclass(frozen=True)
class TreeDraft:
    """A :class:`~thrifty.pairconnect.PairDraft` as a drafter of trees: nodes go where they are likely accepted.

    Parameters
    ----------
    drafter : PairDraft
    first : float
        With which chance the first id that is drawn somewhere is accepted, between 0 and 1; the larger the likeliest
        chance there, the more.
    sibling : float
        The part of this that another has when the one before it was rejected, between 0 and 1; 0 makes chains.

    Raises
    ------
    ValueError
        When a number is not between 0 and 1.
    TypeError
        When ``drafter`` is no PairDraft.

    Notes
    -----
    Each node goes where the product of these chances on its way is largest (as in arXiv 2406.16858 and 2402.12374).
    They decide on shapes, never on the law of what is emitted: a node goes where it goes before it is drawn. Siblings
    are drawn without replacement; for the rule "greedy" they are the likeliest ids. A step has as many nodes as the
    ``gamma`` of its row; a planner, which chooses these with latency curves, takes trees for chains that are accepted
    more often.

    Examples
    --------
    >>> from thrifty.pairconnect import PairLM
    >>> from thrifty.pipeline.data import novels
    >>> from thrifty.specdec import Engine, PairTarget, TreeDraft
    >>> target = PairLM.load(novels() / "model.safetensors")
    >>> small = PairLM.load(novels() / "small.safetensors")
    >>> engine = Engine(PairTarget(target), [TreeDraft(small.drafter())], vocab=2048, gamma=7)
    >>> handle = engine.submit(target.ids("It was the best of"), max_new=8, temperature=0.7)
    >>> engine.run()
    >>> len(engine.take(handle).tokens)
    8
    """

    drafter: Any
    first: float = 0.65
    sibling: float = 0.4

    def __post_init__(self) -> None:
        """Look at what was given."""
        if not isinstance(getattr(self.drafter, "_core", None), _core.PairDraft):
            raise TypeError(
                f"drafter: a PairDraft is needed, got {type(self.drafter).__name__}; functions return parents"
            )
        for name in ("first", "sibling"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and 1")


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


def fitted(drafts: Drafts, which: int, gamma: NDArray[np.uint8], width: int) -> Drafts:
    """Return what drafter ``which`` proposes for rows that want ``gamma`` ids, as ``width`` places a row.

    Raises
    ------
    ValueError
        When shapes are others.
    """
    given = np.asarray(drafts.ids)
    if given.ndim != 2 or len(given) != len(gamma) or given.shape[1] > width:
        raise ValueError(f"drafter {which}: ids of shape {given.shape}; ({len(gamma)}, at most {width}) are needed")
    if drafts.parents is None and given.shape[1] == width and given.dtype == np.int64 and gamma.min() == width:
        return Drafts(given, drafts.q)
    ids = np.full((len(gamma), width), -1, np.int64)
    ids[:, : given.shape[1]] = given
    # No row gets more than it was asked for.
    ids[np.arange(width) >= gamma[:, None]] = -1
    if drafts.parents is None:
        return Drafts(ids, widened(drafts.q, given.shape[1], width))
    above = np.asarray(drafts.parents)
    if above.shape != given.shape:
        raise ValueError(f"drafter {which}: parents of shape {above.shape}; {given.shape} is needed, as of ids")
    parents = np.full(ids.shape, -1, np.int64)
    parents[:, : above.shape[1]] = np.where(ids[:, : above.shape[1]] < 0, -1, above)
    return Drafts(ids, widened(drafts.q, given.shape[1] + 1, width + 1), parents)


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
    ids, q, parents = drafts
    ids = np.ascontiguousarray(ids[:, :left])
    root = 0
    if parents is not None:
        # A tree has a law more: that of what follows the root.
        parents, root = np.ascontiguousarray(parents[:, :left]), 1
    if isinstance(q, SparseProbs):
        ends = np.asarray(q.indptr)[1:].reshape(-1, width + root)[:, : left + root]
        q = SparseProbs(np.concatenate([[0], ends.reshape(-1)]), q.ids, q.probs)
    elif q is not None:
        q = q[:, : left + root]
    return Drafts(ids, q, parents)


def single(scores: Any) -> NDArray[np.float32]:
    """Return scores of any kind as float32."""
    found = rows(scores, "scores")
    wide = found.astype(np.uint32) << 16 if found.dtype == np.uint16 else found
    return wide.view(np.float32)


def of_rows(q: SparseProbs, rows: NDArray[np.int64], width: int) -> SparseProbs:
    """Return the laws of some rows; they lie one after the other already."""
    ends = np.asarray(q.indptr)[1:].reshape(-1, width)[rows]
    return SparseProbs(np.concatenate([[0], ends.reshape(-1)]), q.ids, q.probs)
