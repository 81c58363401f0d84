"""Messages between the ranks of a training, and what they cost; what carries them is in ``torch_ranks.py``.

Every exchange is one all-to-all of bytes, so that a rank waits once for all others; a gather is an all-to-all of equal
messages.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["HEADER", "ROOM", "STEP", "Ranks", "bounds", "ranks_of"]

SAMPLE = 32
"""Of so many exchanges one waits for all ranks first, which tells waiting from sending."""
HEADER, STEP, ROOM = 4, 32, 1.02
"""Bytes before a block; what places for blocks are multiples of; how much larger a place is than the last block was."""


class Ranks:
    """The ranks of a training, as one of them sees them; what carries messages is for those that derive from this.

    Attributes
    ----------
    rank, size : int
        This one, and how many there are.
    step : int
        The step that is being done, for messages.
    sent : int
        Bytes of messages that this rank sent to others.
    seconds : dict
        Seconds of this rank by what they went into: ``compute``, and ``collectives``, waiting for others among them.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.sent = self.step = self.exchanges = 0
        self.seconds: dict[str, float] = defaultdict(float)
        self.places: dict[str, list[int]] = {}
        self.sampled = [0.0, 1e-9]  # seconds of waiting and of sending, where they were told apart

    def exchange(self, blocks: Bytes, sizes: Sequence[int], comes: Sequence[int]) -> Callable[[], Bytes]:
        """Send blocks to ranks; the engine's part of :meth:`start`."""
        raise NotImplementedError

    def objects(self, value: Any) -> list[Any]:
        """Return a small value of each rank."""
        if self.size == 1:
            return [value]
        raise NotImplementedError

    def start(self, blocks: Bytes, sizes: Sequence[int], comes: Sequence[int]) -> Callable[[], Bytes]:
        """Send each rank its block, and return what waits for the blocks of all.

        Parameters
        ----------
        blocks : uint8 array
            One after the other.
        sizes : ints
            Bytes of each.
        comes : ints
            Bytes of the blocks that come, this rank's own among them.
        """
        if self.size == 1:
            return lambda: blocks
        self.exchanges += 1
        sampled = self.exchanges % SAMPLE == 0
        if sampled:
            begun, ones = time.perf_counter(), [1] * self.size
            self.exchange(np.zeros(self.size, np.uint8), ones, ones)()
            self.sent += self.size - 1
            self.sampled[0] += self._took(begun)
        self.sent += len(blocks) - sizes[self.rank]
        begun = time.perf_counter()
        arrived = self.exchange(blocks, sizes, comes)
        took = self._took(begun)

        def wait() -> Bytes:
            begun = time.perf_counter()
            got = arrived()
            waited = self._took(begun)
            if sampled:
                self.sampled[1] += took + waited
            return got

        return wait

    def _took(self, begun: float) -> float:
        took = time.perf_counter() - begun
        self.seconds["collectives"] += took
        return took

    def gather(self, block: Bytes) -> Bytes:
        """Return the blocks of all ranks, all of one size, a row each."""
        n = len(block)
        return self.start(np.tile(block, self.size), [n] * self.size, [n] * self.size)().reshape(self.size, n)

    def start_gather(self, block: Bytes, name: str) -> Callable[[], list[Bytes]]:
        """Send all ranks a block, and return what waits for the blocks of all; sizes may differ.

        A block has its size before it and a place a little larger than the last one of its name; what does not fit into
        that follows in a second message, which is rare.
        """
        places = self.places.get(name)
        if places is None:
            places = self._places(self.gather(np.array([len(block)], np.uint32).view(np.uint8)).view(np.uint32)[:, 0])
        own = places[self.rank]
        message = np.zeros(HEADER + own, np.uint8)
        message[:HEADER] = np.array([len(block)], np.uint32).view(np.uint8)
        message[HEADER : HEADER + min(own, len(block))] = block[:own]
        wait = self.start(np.tile(message, self.size), [HEADER + own] * self.size, [HEADER + n for n in places])

        def blocks() -> list[Bytes]:
            parts = np.split(wait(), np.cumsum([HEADER + n for n in places])[:-1])
            sizes = [int(part[:HEADER].view(np.uint32)[0]) for part in parts]
            out = [part[HEADER : HEADER + size] for part, size in zip(parts, sizes, strict=True)]
            rests = [max(0, size - place) for size, place in zip(sizes, places, strict=True)]
            if any(rests):
                rest = block[own:] if rests[self.rank] else block[:0]
                more = self.start(np.tile(rest, self.size), [len(rest)] * self.size, rests)()
                ends = np.cumsum(rests)[:-1]
                out = [np.concatenate(pair) for pair in zip(out, np.split(more, ends), strict=True)]
            self.places[name] = self._places(sizes)
            return out

        return blocks

    @staticmethod
    def _places(sizes: Any) -> list[int]:
        return [-(-int(size * ROOM + STEP / 2) // STEP) * STEP for size in sizes]

    def gather_arrays(self, arrays: Sequence[NDArray[Any]], name: str) -> list[Any]:
        """Return the arrays of all ranks, a tuple for each."""
        sizes = np.array([array.size for array in arrays], np.uint32)
        block = np.concatenate(
            [sizes.view(np.uint8), *(np.ascontiguousarray(a).view(np.uint8).ravel() for a in arrays)]
        )
        out = []
        for got in self.start_gather(block, name)():
            at, lengths = sizes.nbytes, got[: sizes.nbytes].copy().view(np.uint32)
            parts = []
            for length, like in zip(lengths, arrays, strict=True):
                end = at + int(length) * like.itemsize
                parts.append(got[at:end].copy().view(like.dtype))
                at = end
            out.append(tuple(parts))
        return out

    def sum(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Return the sums over ranks, taken in their order."""
        rows = self.gather(numbers.view(np.uint8).ravel()).view(numbers.dtype)
        out: NDArray[Any] = rows.sum(axis=0, dtype=numbers.dtype)
        return out

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.gather(np.zeros(1, np.uint8))

    def shares(self) -> dict[str, float]:
        """Return which shares of the time went into computing, messages and waiting."""
        met, sent = self.sampled
        waited = self.seconds["collectives"] * met / (met + sent)
        parts = {
            "compute": self.seconds["compute"],
            "collectives": self.seconds["collectives"] - waited,
            "waiting": waited,
        }
        total = sum(parts.values()) or 1.0
        return {name: value / total for name, value in parts.items()}


def bounds(total: int, speeds: Sequence[float]) -> list[int]:
    """Return where the parts of ``total`` things begin and end that are as large as speeds are, each at least one.

    Examples
    --------
    >>> bounds(100, [1, 1, 2])
    [0, 25, 50, 100]
    """
    if total < len(speeds):
        raise ValueError(f"ranks: {len(speeds)} are too many for {total} units or neurons; each needs one")
    share = np.cumsum([0.0, *speeds]) / sum(speeds)
    ends = np.round(share * total).astype(int)
    for i in range(1, len(ends) - 1):  # nobody without a part
        ends[i] = min(max(ends[i], ends[i - 1] + 1), total - (len(ends) - 1 - i))
    return [int(end) for end in ends]


def ranks_of(group: Any) -> Ranks:
    """Return the ranks of a process group of torch or a communicator of mpi4py; without one there is one."""
    if group is None:
        return Ranks(0, 1)
    if isinstance(group, Ranks):
        return group
    if type(group).__module__.startswith("mpi4py"):
        from thrifty.slide.mpi_ranks import MPIRanks

        return MPIRanks(group)
    from thrifty.slide.torch_ranks import TorchRanks

    return TorchRanks(group)
