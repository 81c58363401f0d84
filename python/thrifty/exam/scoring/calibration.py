"""Calibration errors over bins of 100 answers: as published for Humanity's Last Exam, and over all bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.errors import CalibrationUndefined
from thrifty.exam.scoring.envelope import envelope
from thrifty.exam.scoring.ordered import BIN, Ordered, bin_edges, checked, ordered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CalibrationError", "calibration_error"]

Norm = Literal[1, 2, "max"]


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """How far stated confidences are from the shares that are right.

    Attributes
    ----------
    value : float
        0 to 1.
    low, high : float
        Least and most that some order of answers of equal confidence gives; ``value`` where none are tied.
    answers : int
        With a stated confidence: those that ``value`` is of.
    not_stated : int
        Answers without one.
    as_certain : float
        The error when those without count as 100 % sure, as the published scorer takes them.
    mode : str
        ``"hle"`` or ``"all"``.
    """

    value: float
    low: float
    high: float
    answers: int
    not_stated: int
    as_certain: float
    mode: str


def calibration_error(
    confidence: ArrayLike, correct: ArrayLike, *, mode: Literal["hle", "all"] = "hle", p: Norm = 2
) -> CalibrationError:
    """Root mean square calibration error (or another norm) over bins of 100 answers in the order of their confidence.

    Mode ``"hle"`` is the published estimator, with a stable sort: answers of equal confidence stay in the order of the
    rows, and the last bin, of the most confident answers, has its weight but is not counted. Mode ``"all"`` counts all
    bins and does not depend on the order of rows: where a bin ends amid equal confidences, each side gets its part of
    the right ones. That may be less than any order gives, and is then ``low`` too.

    Parameters
    ----------
    confidence : array_like
        float64[n] in [0, 1]; nan where not stated: such answers are left out, and ``as_certain`` takes them as 1.
    correct : array_like
        bool[n].
    mode : str
        ``"hle"`` or ``"all"``.
    p : 1, 2 or "max"
        Weighted mean of absolute errors, root of the weighted mean of squares, or the largest error of a bin.

    Raises
    ------
    CalibrationUndefined
        In mode ``"hle"`` with fewer than 200 answers, where no bin would be counted; without any answer.
    ValueError
        When a confidence is above 1 (percent, probably) or below 0, or lengths differ.

    Examples
    --------
    >>> from thrifty.exam import calibration_error
    >>> error = calibration_error([0.9] * 500, [True, False] * 250, mode="all")
    >>> round(error.value, 6), round(error.low, 6), round(error.high, 6)
    (0.4, 0.4, 0.6)

    Source: 2501.14249, and the scorer published with it.
    """
    if mode not in ("hle", "all"):
        raise ValueError(f"mode: 'hle' or 'all' is needed, got {mode!r}")
    if p not in (1, 2, "max"):
        raise ValueError(f"p: 1, 2 or 'max' is needed, got {p!r}")
    c, y = checked(confidence, correct)
    stated = ~np.isnan(c)
    answers, every = int(stated.sum()), len(c)
    least = 2 * BIN if mode == "hle" else 1
    if answers < least:
        why = "the last bin is not counted, and there is no other one" if mode == "hle" else "there is nothing to count"
        raise CalibrationUndefined(
            f"calibration error in mode '{mode}': {answers} answers with a stated confidence: {why}; "
            f"it takes at least {least}" + ("; mode 'all' has a value" if mode == "hle" and answers else "")
        )
    kept = ordered(c, y) if answers == every else ordered(c[stated], y[stated])
    value = binned(kept, mode, p)
    low, high = envelope(kept, counted(len(kept), mode), p)
    certain = value if answers == every else binned(ordered(np.where(stated, c, 1.0), y), mode, p)
    return CalibrationError(value, min(low, value), max(high, value), answers, every - answers, certain, mode)


def counted(answers: int, mode: str) -> int:
    """How many bins count."""
    bins = max(answers // BIN, 1)
    return bins - 1 if mode == "hle" else bins


def binned(answers: Ordered, mode: str, p: Norm) -> float:
    """Error over bins: of answers as they are sorted in mode ``"hle"``, with runs shared out in mode ``"all"``."""
    edges = bin_edges(len(answers))
    right = np.add.reduceat(answers.correct, edges[:-1], dtype=np.float64) if mode == "hle" else shared(answers, edges)
    sizes = np.diff(edges)
    errors = np.abs(np.add.reduceat(answers.confidence, edges[:-1]) - right) / sizes
    return norm(errors[: counted(len(answers), mode)], sizes / len(answers), p)


def norm(errors: NDArray[np.float64], weights: NDArray[np.float64], p: Norm) -> float:
    """Weighted norm of errors of bins; 0 where there is none."""
    weights = weights[: len(errors)]
    if p == "max":
        return float(errors.max(initial=0.0))
    if p == 1:
        return float((weights * errors).sum())
    return math.sqrt(float((weights * errors**2).sum()))


def shared(answers: Ordered, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many right answers each bin has when a run that an edge cuts gives each side its part."""
    after, right = answers.after, np.cumsum(answers.right)
    run = np.searchsorted(after, edges, side="left")
    beyond = (after[run] - edges) * answers.right[run] / answers.total[run]
    return np.diff(right[run] - beyond)
