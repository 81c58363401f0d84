"""How long the algebra of one grade may take, whatever number of comparisons it is made of."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SECONDS", "budget", "left", "spend"]

#: Seconds of workers, their start included: a grade with all the rest stays below two.
SECONDS = 1.6

_LEFT: ContextVar[float | None] = ContextVar("thrifty seconds of algebra", default=None)


@contextmanager
def budget() -> Iterator[None]:
    """Let all comparisons within share one budget; within another one, they share that."""
    if _LEFT.get() is not None:
        yield
        return
    token = _LEFT.set(SECONDS)
    try:
        yield
    finally:
        _LEFT.reset(token)


def left() -> float:
    """Seconds that may still be spent."""
    found = _LEFT.get()
    return SECONDS if found is None else found


def spend(seconds: float) -> None:
    """Take seconds off."""
    found = _LEFT.get()
    if found is not None:
        _LEFT.set(max(found - seconds, 0.0))
