"""The process group that torchrun asks for, if it does."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from thrifty._torch import require_torch
from thrifty.errors import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["meet", "ranks", "world"]


def ranks() -> int:
    """Return how many processes torchrun started; 1 without it.

    Examples
    --------
    >>> ranks()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def meet(store: Any, rank: int, size: int, timeout: float) -> str:
    """Return a name that the processes of this start have in common, and those of no earlier one.

    The store of an elastic launch outlives the processes that it starts again, with the addresses that they left there
    (torch 2.15 shares it with the launcher); whoever takes these for those of living ranks waits for ever. So each rank
    leaves a new number, rank 0 says which numbers it sees, and all have met when each has found its own among them.
    """
    own = uuid4().hex
    store.set(f"thrifty/hello/{rank}", own)
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if rank == 0:
            hellos = [f"thrifty/hello/{r}" for r in range(size)]
            if store.check(hellos):
                name = ",".join(store.get(key).decode() for key in hellos)
                store.set("thrifty/seen", name)
                seen = [f"thrifty/saw/{r}" for r in range(1, size)]
                if store.check(seen) and all(store.get(key).decode() == name for key in seen):
                    store.set("thrifty/met", name)
                    return f"thrifty/{own}"
        elif store.check(["thrifty/seen"]):
            name = store.get("thrifty/seen").decode()
            if own in name.split(","):
                store.set(f"thrifty/saw/{rank}", name)
                if store.check(["thrifty/met"]) and store.get("thrifty/met").decode() == name:
                    return f"thrifty/{name.split(',')[0]}"
        time.sleep(0.02)
    raise WorkerLost(f"of {size} ranks not all came within {timeout:g} s")


@contextmanager
def world(timeout: float = 60.0) -> Iterator[Any]:
    """Join the other processes that torchrun started, over gloo; yields the group, or None where there are none.

    Parameters
    ----------
    timeout : float
        Seconds after which a rank that does not answer is lost.
    """
    if ranks() == 1:
        yield None
        return
    require_torch()
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    limit = timedelta(seconds=timeout)
    store, rank, size = next(rendezvous("env://", timeout=limit))
    own = PrefixStore(meet(store, rank, size, timeout), store)
    distributed.init_process_group("gloo", store=own, rank=rank, world_size=size, timeout=limit)
    try:
        yield distributed.group.WORLD
    finally:
        distributed.destroy_process_group()
