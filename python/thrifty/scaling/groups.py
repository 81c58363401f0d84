"""Labels of runs as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["numbered"]


def numbered(labels: Iterable[Any]) -> NDArray[np.int64]:
    """Return numbers from 0, in the order in which labels first appear."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels], np.int64)
