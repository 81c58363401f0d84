"""Matrices of few points need no threads of BLAS: woken ones spin, which slows others and counts as work measured."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["one_thread"]


@cache
def _pools() -> Any:
    import scipy.linalg  # noqa: F401 - loads what is to be held
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numpy and scipy compute on the calling thread alone meanwhile."""
    with _pools().limit(limits=1, user_api="blas"):
        yield
