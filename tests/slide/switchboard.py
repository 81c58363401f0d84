"""Ranks as threads of this process, which exchange messages through a list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thrifty.slide.ranks import Ranks


class Switchboard:
    """Where the threads meet."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier = size, threading.Barrier(size, timeout=60)
        self.left: list[Any] = [None] * size

    def meet(self, rank: int, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        self.left[rank] = value
        self.barrier.wait()
        out = list(self.left)
        self.barrier.wait()
        return out


class Thread(Ranks):
    """One of them."""

    def __init__(self, board: Switchboard, rank: int) -> None:
        super().__init__(rank, board.size)
        self.board = board

    def exchange(self, blocks: Any, sizes: Sequence[int], comes: Sequence[int]) -> Callable[[], Any]:
        """What this rank is sent."""
        assert len(blocks) == sum(sizes)
        parts = [np.split(sent, np.cumsum(of)[:-1]) for sent, of in self.board.meet(self.rank, (blocks.copy(), sizes))]
        mine = [part[self.rank] for part in parts]
        assert [len(part) for part in mine] == list(comes), "sizes that were not expected"
        return lambda: np.concatenate(mine)

    def objects(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        return self.board.meet(self.rank, value)


def together(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """Run ``work`` on all ranks; returns what each returned."""
    board = Switchboard(size)
    out: list[Any] = [None] * size
    failed: list[BaseException] = []

    def one(rank: int) -> None:
        try:
            out[rank] = work(Thread(board, rank))
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            failed.append(error)
            board.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return out
