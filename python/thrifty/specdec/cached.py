"""Models with a cache of their own as targets and drafters of an engine.

A model is a callable ``model(slots, begin, ids, keep)``: for each row, ids at positions from ``begin`` on of the
sequence that it keeps in the cache at ``slots``; it returns the scores behind the last ``keep`` ids of each row. What
its cache holds from ``begin`` on is to be forgotten: so drafts that were not accepted are taken back by the next call.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thrifty._torch import require_torch, to_numpy
from thrifty.specdec.drafts import Drafts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty import _core
    from thrifty.specdec.step import Step

    Ints = NDArray[np.int64]
    Model = Callable[[Ints, Ints, Ints, int], Any]

__all__ = ["CachedDraft", "CachedTarget"]

#: Rows with more ids go through the model alone: others would be padded to their length.
LONG = 24


class Fed(NamedTuple):
    """What a scheduler feeds a model from, and what does a pass; see ``Fed`` of the core."""

    feed: _core.SpecFeed
    run: Callable[[int, int, int, int, int], Any]


class _Model:
    """A model as schedulers feed it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.within: Callable[[], Any] = getattr(model, "within", nullcontext)
        self._core: _core.SpecScheduler | None = None

    def by(self, core: _core.SpecScheduler) -> Fed:
        """Return how a scheduler feeds it: a model with a method ``fed`` makes what does a pass of the arrays."""
        if self._core is not core:
            # What another scheduler left in the cache is not known.
            feed, fed = core.feed(), getattr(self.model, "fed", None)
            arrays = feed.arrays()
            self._core, self._fed = core, Fed(feed, _plain(self.model, arrays) if fed is None else fed(arrays))
        return self._fed


def _plain(model: Model, arrays: dict[str, Ints]) -> Callable[[int, int, int, int, int], Any]:
    """Return what does a pass of a model that takes arrays."""

    def run(rows: int, _slot: int, _begin: int, width: int, keep: int) -> Any:
        ids, positions = (arrays[name][: rows * width].reshape(rows, width) for name in ("ids", "positions"))
        # They are written to again, and a model may keep what it is given.
        given = arrays["slots"][:rows].copy(), positions[:, 0].copy(), ids.copy()
        scores = to_numpy(model(*given, keep), "scores")
        if scores.shape[:2] != (rows, keep or width):
            raise ValueError(f"scores: shape {scores.shape}; ({rows}, {keep or width}, vocab) is needed")
        return np.ascontiguousarray(scores, np.float32)

    return run


@dataclass(frozen=True)
class _Cached:
    """A model with a cache of its own, and how schedulers feed it."""

    model: Model
    _model: _Model = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make room for what is known of schedulers."""
        object.__setattr__(self, "_model", _Model(self.model))

    @property
    def within(self) -> Callable[[], Any]:
        """What passes are made within, a context."""
        return self._model.within

    def fed_by(self, core: _core.SpecScheduler) -> Fed:
        """Return how a scheduler feeds the model, within :attr:`within`."""
        return self._model.by(core)


@dataclass(frozen=True)
class CachedTarget(_Cached):
    """A model with a cache of its own as a target. Its engine must not share prefixes: blocks are not looked at.

    Parameters
    ----------
    model : callable
        ``model(slots, begin, ids, keep)``: int64 arrays of shapes (n,), (n,) and (n, width), and how many of the last
        ids need scores, all where it is 0; returns float32 scores, or bfloat16 as a tensor, of shape (n, keep, vocab).
        Slots are below the engine's ``max_running``. Rows that have fewer ids than others are filled up with 0 behind
        their own; what the cache gets there is taken back by the next call.

        One with a method ``fed(arrays)`` is asked for less: it gets the arrays "slots", "ids" and "positions" once,
        whose memory lasts, and returns a callable ``run(rows, slot, begin, width, keep)``. This reads ``rows * width``
        ids and positions, row after row, and returns scores as above, contiguous and on the CPU; ``slot`` and ``begin``
        are those of the first row. Then ``within()``, if it has that, is a context for all calls.

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

    def __call__(self, step: Step) -> Any:
        """Return the scores of a step: shape (outputs, vocab)."""
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


@dataclass(frozen=True)
class CachedDraft(_Cached):
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

    def __call__(self, step: Step, rows: Ints) -> Drafts:
        """Return the drafts of some rows of a step."""
        with self.within():
            self.drawn(step, rows)
        ids, laws = step._core.held()
        return Drafts(ids[rows], laws[rows])

    def drawn(self, step: Step, rows: Ints | None = None) -> None:
        """Draw drafts into a step, for all rows or some, within :attr:`within`; the core holds their laws."""
        step._core.draft_by(self._model.by(step._core), rows)
