"""Drafters that need no model: what they propose stood in a text before."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.specdec._arrays import integers, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CascadeDraft", "CountsDraft", "LookupDraft", "ReadyDraft", "RecycledDraft"]


class ReadyDraft:
    """Sequences of ids and what may follow them, known without a model; one of the classes below.

    An :class:`Engine` keeps its sequences by itself, and asks before each plan how many ids there are: so a planner
    takes lookups only where there is something to look up. What is proposed is certain, so nothing is drawn. By hand it
    goes as with a :class:`~thrifty.pairconnect.PairDraft`: ids that are proposed become a part of their sequence;
    whoever verifies them truncates it to what was accepted and appends the rest.
    """

    def __init__(self, core: _core.SpecDraft) -> None:
        self._core = core

    def open(self, ids: Any) -> int:
        """Begin a sequence of ids, an integer array of shape (tokens,); return its name."""
        return self._core.open(integers(ids, "ids", np.uint32, 1))

    def fork(self, sequence: int) -> int:
        """Begin a sequence that is as another is now; return its name."""
        return self._core.fork(sequence)

    def close(self, sequence: int) -> None:
        """End a sequence; its name may be given again."""
        self._core.close(sequence)

    def length(self, sequence: int) -> int:
        """Return how many ids a sequence has."""
        return self._core.length(sequence)

    def append(self, sequence: int, ids: Any) -> None:
        """Append ids, an integer array of shape (tokens,)."""
        self._core.append(sequence, integers(ids, "ids", np.uint32, 1))

    def truncate(self, sequence: int, length: int) -> None:
        """Take back all ids from ``length`` on."""
        self._core.truncate(sequence, length)

    def offer(self, sequence: int, tokens: int) -> int:
        """Return how many ids :meth:`propose` would propose."""
        return self._core.offer(sequence, tokens)

    def propose(self, sequence: int, tokens: int, *, seed: int = 0) -> NDArray[np.uint32]:
        """Propose at most ``tokens`` ids and append them; ``seed`` is for a PairDraft in a cascade."""
        return self._core.propose(sequence, tokens, seed)[0]

    def observe(self, text: Any, likeliest: Any) -> None:
        """Tell what a target found likeliest behind the last ids of a text.

        Parameters
        ----------
        text : integer array of shape (tokens,)
        likeliest : integer array of shape (verified, width)
            For the last ``verified`` ids of the text, the likeliest ids that follow, the likeliest first.
        """
        found = integers(likeliest, "likeliest", np.uint32, 2)
        if found.shape[1] != self._core.wants:
            raise ValueError(f"likeliest: {found.shape[1]} ids of each; {self._core.wants} are needed")
        self._core.observe(integers(text, "text", np.uint32, 1), found.reshape(-1))


class LookupDraft(ReadyDraft):
    """Prompt lookup: finds the longest text before that is as the last ids are, and proposes what followed it.

    Parameters
    ----------
    least : int
        Ids that have to agree.
    longest : int
        No more are compared: of places that agree in so many, and of equal ones, the latest is taken.
    vocab : int
        Ids are below.

    Raises
    ------
    ValueError
        When ``least`` is 0, or more than ``longest``.

    Notes
    -----
    Saxena, "Prompt lookup decoding" (2023), with the longest match of the last 64 places in the place of the first one.
    A text that repeats itself goes on repeating itself.

    Examples
    --------
    >>> from thrifty.specdec import LookupDraft
    >>> draft = LookupDraft()
    >>> name = draft.open([5, 6, 7, 8, 1, 5, 6])
    >>> draft.propose(name, 4).tolist()
    [7, 8, 1, 5]
    """

    def __init__(self, least: int = 2, longest: int = 32, *, vocab: int = 1 << 32) -> None:
        super().__init__(_core.SpecDraft.lookup(whole(least, "least", 16), whole(longest, "longest", 16), vocab))


class CountsDraft(ReadyDraft):
    """Back-off counts: proposes what followed the last ids most often, in a text and in all sequences so far.

    Parameters
    ----------
    text : integer array of shape (tokens,)
        Counted to begin with; may be empty.
    order : int
        Ids of a context at most, 1 to 16; where they were not seen, one less is looked for, and so on.
    least : int
        An id is proposed where it came so often.
    contexts : int
        No more contexts are told apart.
    vocab : int
        Ids are below.

    Raises
    ------
    ValueError
        For a setting that is out of range, or an id that is not below ``vocab``.

    Notes
    -----
    Equally frequent: the lowest id. Back-off without weights, as in Brants et al., "Large language models in machine
    translation" (EMNLP 2007), section 4: only the order matters, since the likeliest is proposed.

    Examples
    --------
    >>> from thrifty.specdec import CountsDraft
    >>> draft = CountsDraft([1, 2, 3, 1, 2, 3, 1, 2, 4], order=2)
    >>> draft.propose(draft.open([9, 1]), 3).tolist()
    [2, 3, 1]
    """

    def __init__(
        self, text: Any = (), *, order: int = 4, least: int = 2, contexts: int = 1 << 20, vocab: int = 1 << 32
    ) -> None:
        ids = integers(text, "text", np.uint32, 1)
        sizes = (whole(order, "order", 16), whole(least, "least", 32), whole(contexts, "contexts", 32))
        super().__init__(_core.SpecDraft.counts(ids, *sizes, vocab))


class RecycledDraft(ReadyDraft):
    """Token recycling: what the target found likeliest behind ids when it verified them is proposed behind them again.

    Parameters
    ----------
    width : int
        Ids that are kept of each context; a chain takes the first, a tree may take more (:meth:`candidates`).
    order : int
        Ids of a context. The paper has 1; bytes say little and need 3 or 4.
    contexts : int
        So many are kept; new ones take the place of the oldest.
    vocab : int
        Ids are below.

    Raises
    ------
    ValueError
        For a setting that is out of range.

    Notes
    -----
    Luo et al., "Turning trash into treasure" (arXiv 2408.08696), section 3.

    Examples
    --------
    >>> from thrifty.specdec import RecycledDraft
    >>> draft = RecycledDraft(width=2)
    >>> draft.observe([1, 2], [[2, 7], [3, 8]])  # behind 1 the target likes 2 best, behind 2 it likes 3
    >>> draft.propose(draft.open([5, 1]), 3).tolist()
    [2, 3]
    """

    def __init__(self, width: int = 8, order: int = 1, *, contexts: int = 1 << 18, vocab: int = 1 << 32) -> None:
        sizes = (whole(width, "width", 16), whole(order, "order", 16), whole(contexts, "contexts", 32))
        super().__init__(_core.SpecDraft.recycled(*sizes, vocab))

    def candidates(self, text: Any) -> NDArray[np.uint32]:
        """Return the ids that the target found likeliest behind a text, the likeliest first, if it ever saw it."""
        return self._core.candidates(integers(text, "text", np.uint32, 1))


class CascadeDraft(ReadyDraft):
    """The first of some drafters that has anything for a sequence.

    Parameters
    ----------
    drafters : ReadyDraft or PairDraft
        At least two; new ones are made with the settings of these and what they have learned. A PairDraft always has
        something, so it stands last.

    Raises
    ------
    ValueError
        For fewer than two.
    TypeError
        For anything else, such as a callable.

    Examples
    --------
    >>> from thrifty.specdec import CascadeDraft, CountsDraft, LookupDraft
    >>> draft = CascadeDraft(LookupDraft(), CountsDraft([3, 4, 3, 4, 3, 4]))
    >>> draft.propose(draft.open([7, 8, 3, 7, 8]), 2).tolist(), draft.propose(draft.open([3]), 2).tolist()
    ([3, 7], [4, 3])
    """

    def __init__(self, *drafters: Any) -> None:
        if len(drafters) < 2:
            raise ValueError(f"drafters: {len(drafters)}; a cascade has at least two")
        parts = [_part(drafter) for drafter in drafters]
        super().__init__(reduce(lambda then, first: _core.SpecDraft.cascade(first, then), reversed(parts)))


def _part(drafter: Any) -> _core.SpecDraft:
    core = getattr(drafter, "_core", None)
    if isinstance(core, _core.PairDraft):
        return _core.SpecDraft.pair(core)
    if not isinstance(core, _core.SpecDraft):
        raise TypeError(f"drafters: a {type(drafter).__name__}; a drafter of thrifty.specdec or a PairDraft is needed")
    return core
