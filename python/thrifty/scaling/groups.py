"""Labels of runs that hang together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import NotIdentifiable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from thrifty.scaling.runs import Runs

__all__ = ["check_groups", "labelled", "numbered", "weighed"]


def numbered(labels: Iterable[Any]) -> NDArray[np.int64]:
    """Return numbers from 0, in the order in which labels first appear."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], np.int64)


def labelled(given: str | ArrayLike | None, runs: Runs) -> tuple[Any, ...] | None:
    """Return the label of each run: of a column by its name, or as given; a ValueError where there is none."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in runs.columns:
            raise ValueError(f"groups: the runs have no column {given!r}")
        labels = tuple(runs.columns[given])
    else:
        array = np.asarray(given)
        if array.shape != (len(runs),):
            raise ValueError(f"groups: {len(runs)} labels are needed, got an array of shape {array.shape}")
        labels = tuple(array.tolist())
    for row, label in enumerate(labels):
        if label is None or (isinstance(label, float) and math.isnan(label)):
            raise ValueError(f"groups: a label is missing in row {row}, got {label}")
    return labels


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
