"""What a step of an engine is to compute, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty import _core

__all__ = ["Step"]


class Step:
    """A plan: rows of tokens for the target, of which those that give ids come first.

    Row i feeds ``fresh[i]`` tokens that are known and then ``gamma[i]`` drafts, at positions from ``begin[i]`` on; they
    are ``tokens[first[i]:first[i + 1]]``. The target returns scores for the last ``gamma[i] + 1`` tokens of each of the
    first ``giving`` rows; the others only fill the cache. Arrays are windows on memory that the next plan writes to.

    Attributes
    ----------
    number : int
        Of the plan.
    rows, giving : int
        How many rows there are, and how many of them give ids.
    handles : uint64 array of shape (rows,)
        The request of each.
    begin : int64 array, fresh : int32 array, gamma, draft : uint8 arrays, all of shape (rows,)
        See above; ``draft`` is the number of the drafter.
    first : int32 array of shape (rows + 1,)
        Where the tokens of each row begin.
    tokens : uint32 array, positions, places : int32 arrays, all of shape (tokens,)
        Places in the cache are ``block * block_size + offset``. Nodes of a tree that stand side by side have the same
        position and places of their own.
    table : int32 array of shape (max_running, blocks of the longest request)
        Blocks of each request, -1 behind the last; row ``table_row[i]`` is that of row i.
    table_row : int32 array of shape (rows,)
    """

    __slots__ = ("_arrays", "_core", "_most", "_which", "giving", "number", "rows", "size")

    def __init__(
        self,
        core: _core.SpecScheduler,
        arrays: dict[str, Any],
        plan: tuple[int, int, int, int, int, int],
    ) -> None:
        self._core, self._arrays = core, arrays
        # The largest gamma, and the drafter that is asked where it is one, else -1.
        self.number, self.rows, self.giving, self.size, self._most, self._which = plan

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            array: NDArray[Any] = self._arrays[name]
        except KeyError:
            raise AttributeError(f"a step has no {name!r}") from None
        if name in ("tokens", "positions", "places"):
            return array[: self.size]
        if name == "table":
            return array
        return array[: self.rows + (name == "first")]

    @property
    def outputs(self) -> NDArray[np.int64]:
        """Which tokens need scores: int64 indices, row after row."""
        counts = self.gamma[: self.giving].astype(np.int64) + 1
        ends = self.first[1 : self.giving + 1].astype(np.int64)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found: NDArray[np.int64] = np.repeat(ends - counts, counts) + inside
        return found

    @property
    def parents(self) -> NDArray[np.int32]:
        """Which token each stands behind, an index; -1 where that is in the cache: int32 of shape (tokens,).

        In a chain it is the one before. A node of a tree may attend to those on the way from it to the root, and to
        what is in the cache before its row.
        """
        found = self._core.above()
        if not len(found):
            found = np.arange(-1, self.size - 1, dtype=np.int32)
            found[self.first[: self.rows]] = -1
        return found

    def ids(self, row: int) -> NDArray[np.uint32]:
        """Return all known ids of a row's request."""
        return self._core.ids(int(self.handles[row]))

    def draw(
        self, rows: NDArray[np.int64], scores: NDArray[np.float32], depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Draw a draft for each of some rows from a drafter's scores, as the engine will verify it.

        Parameters
        ----------
        rows : int64 array of shape (n,)
        scores : float32 array of shape (n, vocab)
            Of what stands at the place of the draft.
        depth : int
            Which draft of its row it is, from 0 on.

        Returns
        -------
        ids : int64 array of shape (n,)
        laws : float32 array of shape (n, vocab)
            What they were drawn from: scores under the settings of each row's request, but for penalties.

        Raises
        ------
        ValueError
            When scores have another shape, or are no law.
        """
        return self._core.draw(rows, scores, depth)
