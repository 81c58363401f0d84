"""Until when the algebra of one grade may go on, whatever number of comparisons it is made of."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SECONDS", "budget", "left"]

#: Seconds by the wall clock, waiting for workers and their start included: a grade with all the rest stays below two.
SECONDS = 1.2

_UNTIL: ContextVar[float | None] = ContextVar("thrifty end of algebra", default=None)


@contextmanager
def budget() -> Iterator[None]:
    """Let all comparisons within share one budget; within another one, they share that."""
    if _UNTIL.get() is not None:
        yield
        return
    token = _UNTIL.set(time.monotonic() + SECONDS)
    try:
        yield
    finally:
        _UNTIL.reset(token)


def left() -> float:
    """Seconds that are left."""
    until = _UNTIL.get()
    return SECONDS if until is None else max(until - time.monotonic(), 0.0)
