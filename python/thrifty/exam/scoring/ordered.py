"""Answers in the order of their confidences, equal ones together: what every measure of calibration is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BIN", "Ordered", "bin_edges", "checked", "ordered"]

#: Answers in a bin of the published estimator.
BIN = 100


@dataclass(frozen=True, slots=True)
class Ordered:
    """Stated confidences in ascending order, and the runs of equal ones.

    Attributes
    ----------
    confidence, correct : ndarray
        float64[n], bool[n]: sorted by confidence, equal ones in the order of the rows.
    value : ndarray
        float64[k]: distinct confidences.
    total, right : ndarray
        int64[k]: answers of each run, and how many of them are right.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    value: NDArray[np.float64]
    total: NDArray[np.int64]
    right: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def after(self) -> NDArray[np.int64]:
        """How many answers there are up to the end of each run, int64[k]."""
        return np.cumsum(self.total)


def checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return both as arrays of one length; nan stands for a confidence that was not stated.

    Raises
    ------
    ValueError
        When shapes differ, a confidence lies outside [0, 1], or ``correct`` holds anything but 0 and 1.
    """
    c = np.asarray(confidence, np.float64)
    y = np.asarray(correct)
    if c.ndim != 1 or y.shape != c.shape:
        raise ValueError(f"confidence, correct: two lists of one length are needed, got shapes {c.shape} and {y.shape}")
    least, most = (float(np.fmin.reduce(c)), float(np.fmax.reduce(c))) if len(c) else (0.0, 0.0)
    if most > 1:
        raise ValueError(f"confidence: shares from 0 to 1 are needed, got {most!r}: divide percent by 100")
    if least < 0:
        raise ValueError(f"confidence: shares from 0 to 1 are needed, got {least!r}")
    if y.dtype != np.bool_:
        if not ((y == 0) | (y == 1)).all():
            raise ValueError("correct: true or false (1 or 0) is needed for each answer")
        y = y.astype(np.bool_)
    return c, y


def ordered(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Ordered:
    """Sort answers, all with a stated confidence and at least one, by it."""
    order = np.argsort(confidence, kind="stable")
    c, y = confidence[order], correct[order]
    starts = np.concatenate([[0], np.flatnonzero(c[1:] != c[:-1]) + 1])
    total = np.diff(np.append(starts, len(c)))
    right = np.add.reduceat(y, starts, dtype=np.int64)
    return Ordered(c, y, c[starts], total, right)


def bin_edges(count: int) -> NDArray[np.int64]:
    """Where bins of 100 begin, and where the last one, which takes what remains, ends; int64[bins + 1]."""
    edges = np.arange(0, max(count // BIN, 1) + 1, dtype=np.int64) * BIN
    edges[-1] = count
    return edges
