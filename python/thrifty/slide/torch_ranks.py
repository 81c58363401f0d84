"""Ranks of a process group of torch.distributed: its collectives carry the messages, its store tells who is lost."""

from __future__ import annotations

import atexit
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from thrifty._torch import require_torch
from thrifty.errors import WorkerLost
from thrifty.slide.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
else:
    torch = require_torch()

__all__ = ["Beats", "TorchRanks"]

BEAT, QUIET = 0.25, 1.5
"""Seconds between two signs of life, and without one after which a rank is lost."""
_beating: WeakKeyDictionary[Any, Beats] = WeakKeyDictionary()


class Beats:
    """Signs of life of all ranks in the store that they met at."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.store, self.rank, self.size = store.clone(), rank, size
        self.store.set_timeout(timedelta(seconds=QUIET))
        self.store.set(f"thrifty/beat/{rank}", "0")
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._beat, args=(store.clone(),), daemon=True)
        self.thread.start()
        atexit.register(self.stop)  # a thread within torch when the interpreter ends would abort the process

    def _beat(self, store: Any) -> None:
        count = 0
        while not self.stopped.wait(BEAT):
            count += 1
            try:
                store.set(f"thrifty/beat/{self.rank}", str(count))
            except RuntimeError:
                return  # the store is gone, and with it whoever would read this

    def stop(self) -> None:
        """No more of them."""
        self.stopped.set()
        self.thread.join(2 * QUIET)
        atexit.unregister(self.stop)

    def lost(self) -> list[int] | None:
        """Ranks that give no sign of life; None where the store does not answer, as over a link that is down."""
        found: list[list[int] | None] = [None]

        def ask() -> None:
            found[0] = self._ask()

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(3 * QUIET)
        return found[0]

    def _ask(self) -> list[int] | None:
        keys = [f"thrifty/beat/{rank}" for rank in range(self.size)]
        try:
            before = [self.store.get(key) for key in keys]
            time.sleep(QUIET)
            after = [self.store.get(key) for key in keys]
        except RuntimeError:
            return None
        lost = [rank for rank in range(self.size) if rank != self.rank and before[rank] == after[rank]]
        self._linger([rank for rank in range(1, self.size) if rank not in lost])
        return lost

    def _linger(self, others: list[int]) -> None:
        """Rank 0 may hold the store: it stays until the others have found out as well."""
        told = [f"thrifty/told/{rank}" for rank in others]
        until = time.monotonic() + QUIET
        try:
            if self.rank > 0:
                self.store.set(f"thrifty/told/{self.rank}", "1")
            while self.rank == 0 and told and time.monotonic() < until and not self.store.check(told):
                time.sleep(BEAT / 5)
        except RuntimeError:
            return


def _beats_of(group: Any, rank: int, size: int) -> Beats:
    """Return the signs of life of a group's ranks: one thread for each group, whatever trains with it."""
    from torch.distributed import distributed_c10d

    if group not in _beating:
        name = f"thrifty/{group.group_name}"
        store = distributed_c10d.PrefixStore(name, distributed_c10d._get_default_store())
        _beating[group] = Beats(store, rank, size)
    return _beating[group]


class TorchRanks(Ranks):
    """Ranks of a process group of torch.distributed."""

    def __init__(self, group: Any) -> None:
        from torch import distributed

        self.distributed, self.group = distributed, group
        super().__init__(distributed.get_rank(group), distributed.get_world_size(group))
        self.beats = None if self.size == 1 else _beats_of(group, self.rank, self.size)

    def exchange(self, blocks: Bytes, sizes: Sequence[int], comes: Sequence[int]) -> Callable[[], Bytes]:
        """Send blocks to ranks."""
        got, send = torch.empty(sum(comes), dtype=torch.uint8), torch.from_numpy(blocks)
        splits = list(comes), list(sizes)
        work = self._guarded(
            lambda: self.distributed.all_to_all_single(got, send, *splits, group=self.group, async_op=True)
        )

        def wait(send: torch.Tensor = send) -> Bytes:  # what is sent lives until it was
            self._guarded(work.wait)
            out: Bytes = got.numpy()
            return out

        return wait

    def objects(self, value: Any) -> list[Any]:
        """Return a small value of each rank."""
        out: list[Any] = [None] * self.size
        self._guarded(lambda: self.distributed.all_gather_object(out, value, group=self.group))
        return out

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """Call the engine; when that fails, say which rank is lost."""
        try:
            return call()
        except RuntimeError as error:
            lost = self.beats.lost() if self.beats is not None else None
            raise WorkerLost.of(lost, self.step, str(error)) from error
