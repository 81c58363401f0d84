"""Models with a cache of their own as targets and drafters of an engine.

A model is a callable ``model(slots, begin, ids, keep)``: for each row, ids at positions from ``begin`` on of the
sequence that it keeps in the cache at ``slots``; it returns the scores behind the last ``keep`` ids of each row. What
its cache holds from ``begin`` on is to be forgotten: so drafts that were not accepted are taken back by the next call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch, to_numpy
from thrifty.specdec.drafts import Drafts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.specdec.step import Step

    Ints = NDArray[np.int64]
    Model = Callable[[Ints, Ints, Ints, int], Any]

__all__ = ["CachedDraft", "CachedTarget"]

#: Rows with more ids go through the model alone: others would be padded to their length.
LONG = 24


@dataclass(frozen=True)
class CachedTarget:
    """A model with a cache of its own as a target. Its engine must not share prefixes: blocks are not looked at.

    Parameters
    ----------
    model : callable
        ``model(slots, begin, ids, keep)``: int64 arrays of shapes (n,), (n,) and (n, width), and how many of the last
        ids need scores, all where it is 0; returns float32 scores, or bfloat16 as a tensor, of shape (n, keep, vocab).
        Slots are below the engine's ``max_running``. Rows that have fewer ids than others are filled up with 0 behind
        their own; what the cache gets there is taken back by the next call.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.specdec import CachedTarget, Engine
    >>> after = np.eye(5, dtype=np.float32)[[1, 2, 3, 4, 0]] * 9  # behind i comes i + 1; needs no cache
    >>> engine = Engine(CachedTarget(lambda slots, begin, ids, keep: after[ids[:, -keep:]]), vocab=5, rule="greedy")
    >>> handle = engine.submit([3], max_new=4)
    >>> engine.run()
    >>> engine.take(handle).tokens.tolist()
    [4, 0, 1, 2]
    """

    model: Model

    def __call__(self, step: Step) -> Any:
        """Return the scores of a step: shape (outputs, vocab)."""
        if step.rows == step.giving == 1:
            # Where one request runs, what lies outside of models counts.
            arrays = step._arrays
            slot, ids = arrays["table_row"][:1].astype(np.int64), arrays["tokens"][: step.size].astype(np.int64)
            return self.model(slot, arrays["begin"][:1], ids[None], int(arrays["gamma"][0]) + 1)[0]
        if step.rows == 0:
            return np.zeros((0, 1), np.float32)
        slots, begin = step.table_row.astype(np.int64), step.begin
        ids = step.tokens.astype(np.int64)
        if step.rows == 1:
            keep = int(step.gamma[0]) + 1
            return self.model(slots, begin, ids[None], keep)[0][: keep * step.giving]
        first = step.first.astype(np.int64)
        counts = first[1:] - first[:-1]
        keeps = step.gamma.astype(np.int64) + 1
        width = int(counts.max())
        if width * step.rows == step.size and width <= LONG and step.giving == step.rows:
            keep = int(keeps.max())
            scores = self.model(slots, begin, ids.reshape(step.rows, width), keep)
            return _last(scores, keeps, keep)
        found: list[Any] = [None] * step.rows
        short = np.flatnonzero(counts <= LONG)
        for row in np.flatnonzero(counts > LONG).tolist():
            own = ids[None, first[row] : first[row + 1]]
            found[row] = self.model(slots[row : row + 1], begin[row : row + 1], own, int(keeps[row]))[0]
        if len(short):
            scores = self.model(slots[short], begin[short], _padded(ids, first, short, counts[short]), 0)
            for place, row in enumerate(short.tolist()):
                found[row] = scores[place, counts[row] - keeps[row] : counts[row]]
        return _joined(found[: step.giving])


def _padded(ids: Ints, first: Ints, rows: Ints, counts: Ints) -> Ints:
    """Return the ids of some rows, with 0 behind those of shorter ones."""
    inside = np.arange(int(counts.max()))
    places = first[rows][:, None] + inside
    return np.where(inside < counts[:, None], ids[np.minimum(places, len(ids) - 1)], 0)


def _last(scores: Any, keeps: Ints, keep: int) -> Any:
    """Return the last scores of each row, row after row."""
    if int(keeps.sum()) == len(keeps) * keep:
        return scores.reshape(len(keeps) * keep, scores.shape[2])
    return scores[np.arange(keep) >= keep - keeps[:, None]]


def _joined(parts: list[Any]) -> Any:
    if not parts:
        return np.zeros((0, 1), np.float32)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return require_torch().cat(parts)


@dataclass
class _Kept:
    """What a slot of the cache holds: ids of a request up to ``length``, and drafts behind them."""

    handle: int
    length: int
    drafts: list[int]


@dataclass(frozen=True)
class CachedDraft:
    """A model with a cache of its own as a drafter: it draws id after id.

    Parameters
    ----------
    model : callable
        See :class:`CachedTarget`. It needs slots of its own, as many as requests run.

    Notes
    -----
    Drafts are drawn under each request's own settings without its penalties, and told with the laws that they were
    drawn from. What was accepted stays in the cache; the next call begins behind it.
    """

    model: Model
    _kept: dict[int, _Kept] = field(default_factory=dict, repr=False)

    def __call__(self, step: Step, rows: Ints) -> Drafts:
        """Return the drafts of some rows of a step."""
        if len(rows) == 1:
            return self._one(step, rows)
        gamma = step.gamma[rows].astype(np.int64)
        slots = step.table_row[rows].astype(np.int64)
        length = step.begin[rows] + step.fresh[rows]
        width = int(gamma.max())
        scores = self._caught_up(step, rows, slots)
        ids = np.full((len(rows), width), -1, np.int64)
        laws = np.zeros((len(rows), width, scores.shape[1]), np.float32)
        active, all_of = rows, gamma.min() == width
        for depth in range(width):
            if all_of:
                ids[:, depth], laws[:, depth] = drawn = step.draw(rows, scores, depth)
                if depth + 1 < width:
                    scores = _numpy(self.model(slots, length + depth, drawn[0][:, None], 1))[:, 0]
                continue
            going = np.flatnonzero(gamma > depth)
            active = rows[going]
            ids[going, depth], laws[going, depth] = step.draw(active, scores, depth)
            if depth + 1 < width:
                on = np.flatnonzero(gamma > depth + 1)
                fed = ids[on, depth][:, None]
                scores = np.ascontiguousarray(_numpy(self.model(slots[on], length[on] + depth, fed, 1))[:, 0])
        for slot, own in zip(slots.tolist(), ids.tolist(), strict=True):
            self._kept[slot].drafts = [id_ for id_ in own if id_ >= 0][:-1]
        return Drafts(ids, laws)

    def _one(self, step: Step, rows: Ints) -> Drafts:
        """Return the drafts of one row, with few calls but the model's."""
        row = int(rows[0])
        slot, gamma = int(step._arrays["table_row"][row]), int(step._arrays["gamma"][row])
        begin, new = self._new(step, row, slot)
        length = begin + len(new)
        at, slots, fed = np.array([begin]), np.array([slot]), new.astype(np.int64)[None]
        chain = np.empty((1, gamma), np.int64)
        laws: list[NDArray[np.float32]] = []
        for depth in range(gamma):
            drawn, law = step._core.draw(rows, _numpy(self.model(slots, at, fed, 1))[0], depth, *step._law)
            chain[0, depth] = drawn[0]
            laws.append(law)
            at[0], fed = length + depth, drawn[None]
        self._kept[slot].drafts = chain[0, :-1].tolist()
        return Drafts(chain, np.concatenate(laws)[None])

    def _new(self, step: Step, row: int, slot: int) -> tuple[int, NDArray[np.uint32]]:
        """Return how many ids of a row's request the cache has, and the others."""
        handle = int(step._arrays["handles"][row])
        ids = step._core.ids(handle)
        kept = self._kept.get(slot)
        begin, known = 0, len(ids)
        if kept is not None and kept.handle == handle and kept.length < known:
            begin = kept.length
            for mine, said in zip(kept.drafts, ids[begin : known - 1].tolist(), strict=False):
                if mine != said:
                    break
                begin += 1
        self._kept[slot] = _Kept(handle, known, [])
        return begin, ids[begin:]

    def _caught_up(self, step: Step, rows: Ints, slots: Ints) -> NDArray[np.float32]:
        """Feed what the cache has not, and return the scores behind the last known id of each row."""
        both = [self._new(step, row, slot) for row, slot in zip(rows.tolist(), slots.tolist(), strict=True)]
        begin = np.array([at for at, _ in both])
        new = [ids for _, ids in both]
        counts = [len(ids) for ids in new]
        out: list[Any] = [None] * len(rows)
        short = [i for i, count in enumerate(counts) if count <= LONG]
        for i, count in enumerate(counts):
            if count > LONG:
                own = slice(i, i + 1)
                out[i] = _numpy(self.model(slots[own], begin[own], new[i].astype(np.int64)[None], 1))[0, 0]
        if short:
            ids = np.zeros((len(short), max(counts[i] for i in short)), np.int64)
            for place, i in enumerate(short):
                ids[place, : counts[i]] = new[i]
            scores = _numpy(self.model(slots[short], begin[short], ids, 0))
            for place, i in enumerate(short):
                out[i] = scores[place, counts[i] - 1]
        return np.stack(out)


def _numpy(scores: Any) -> NDArray[np.float32]:
    found: NDArray[np.float32] = to_numpy(scores, "scores")
    return found
