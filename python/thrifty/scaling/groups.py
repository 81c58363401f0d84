"""Labels of runs as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import NotIdentifiable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["check_groups", "numbered", "weighed"]


def numbered(labels: Iterable[Any]) -> NDArray[np.int64]:
    """Return numbers from 0, in the order in which labels first appear."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], np.int64)


def weighed(labels: Iterable[Any] | None, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return such numbers of runs that weigh something, -1 of others; without labels each run is one of its own."""
    out = np.full(len(weights), -1, np.int64)
    kept = np.flatnonzero(weights > 0)
    out[kept] = np.arange(len(kept)) if labels is None else numbered(_taken(labels, weights))
    return out


def _taken(labels: Iterable[Any], weights: NDArray[np.float64]) -> Iterable[Any]:
    return (label for label, weight in zip(labels, weights, strict=True) if weight > 0)


def check_groups(labels: Iterable[Any], weights: NDArray[np.float64], name: str) -> None:
    """Raise :class:`NotIdentifiable` where all runs that weigh something are of one group."""
    seen = set(_taken(labels, weights))
    if len(seen) < 2:
        raise NotIdentifiable(
            f"{name} is {str(next(iter(seen)))[:60]!r} in all runs, and groups are of two values or more:"
            " leave groups out, or take a column that tells trainings apart"
        )
