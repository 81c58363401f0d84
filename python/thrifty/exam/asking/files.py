"""How many connections a process may have."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["affordable"]

#: Files that a run opens beside its connections: journal, results, a resolver's sockets, counters.
BESIDE = 32


def affordable(concurrency: int, note: Callable[[str], object]) -> int:
    """Return how many requests at once the limit on open files allows; ``note`` hears where these are fewer."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return concurrency
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = 16
    most = max(limit - used - BESIDE, 1)
    if concurrency <= most:
        return concurrency
    note(f"concurrency {concurrency:,}: {limit:,} open files are allowed (ulimit -n), so {most:,} requests at once")
    return most
