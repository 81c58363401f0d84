"""Measures of many resamples at once: answers are sorted once, and a resample is how often each was drawn.

A run is all answers of one confidence. Measures of a resample depend on how many answers of each run were drawn, and
how many right ones, alone. Runs go from the most confident on, in groups of 16; sums up to a run are those up to its
group and those inside of it, which small matrices make: few calls on much data, during which other threads can go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.exam.scoring.metrics import BINS, width_edges
from thrifty.exam.scoring.ordered import BIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["ERRORS", "MEASURES", "Resampled"]

#: What a resample is measured by, in the order of columns.
MEASURES = ("accuracy", "mean_confidence", "brier", "ece", "rmsce", "rmsce_hle", "auroc", "aurc")
#: Those that chance makes larger.
ERRORS = ("ece", "rmsce", "rmsce_hle")
#: Runs in a group.
SIZE = 16
_UP_TO = np.tril(np.ones((SIZE, SIZE)))
_BEFORE = np.triu(np.ones((SIZE, SIZE)), 1)


class Resampled:
    """Measures from counts, as a statistic of :func:`thrifty.stats.bootstrap`.

    ``rmsce_hle`` shares out runs of equal confidences, since the published estimator is not a function of the answers'
    counts; on data without ties it is the published one. Answers without a stated confidence count for the accuracy
    alone.

    Parameters
    ----------
    confidence, correct : ndarray
        float64[n] with nan where not stated, bool[n].
    measures : sequence of str
        Which of :data:`MEASURES`, in this order.
    """

    def __init__(self, confidence: Values, correct: NDArray[np.bool_], measures: Sequence[str] = MEASURES) -> None:
        order = np.lexsort((correct, confidence))
        kept = order[: int((~np.isnan(confidence)).sum())][::-1]
        c, y = confidence[kept], correct[kept]
        value, first, sizes = np.unique(-c, return_index=True, return_counts=True)
        self._correct, self._measures, self._runs = np.flatnonzero(correct), tuple(measures), len(value)
        self._groups = -(-len(value) // SIZE)
        alone = sizes == 1
        fill = self._groups * SIZE - len(value)
        self._first = np.append(kept[first], np.zeros(fill, np.int64))
        self._y = np.append(alone & y[first], np.zeros(fill)).reshape(self._groups, SIZE)
        c_of = np.append(-value, np.zeros(fill)).reshape(self._groups, SIZE)
        self._away = c_of - self._y
        # Answers, confidences, squares and errors, as if runs of several answers had no right one; what those add.
        self._rows = np.stack([np.ones_like(c_of), c_of, self._away**2, self._away], axis=1)
        self._rights = np.stack([1 - 2 * c_of, -np.ones_like(c_of)], axis=1)
        with_right = np.zeros(len(value), bool)
        with_right[np.repeat(np.arange(len(value)), sizes)[y]] = True
        self._with_right = np.flatnonzero(with_right)
        # Runs of several answers, right ones before wrong ones: cells of answers that are all right or all wrong.
        run = np.repeat(np.arange(len(value)), sizes)
        several = np.flatnonzero(~alone[run])
        self._several = kept[several]
        new = np.append(True, (np.diff(run[several]) > 0) | (np.diff(y[several].astype(np.int8)) != 0))[: len(several)]
        self._cells = np.flatnonzero(new)
        cells = several[self._cells]
        self._is_right = y[cells]
        self._right_runs, self._wrong_runs = run[cells[self._is_right]], run[cells[~self._is_right]]
        edges = len(value) - width_edges(-value[::-1], BINS)[::-1]
        self._edges = edges[1:-1][(edges[1:-1] > 0) & (edges[1:-1] < len(value))]

    def __call__(self, counts: Values) -> Values:
        """Measure resamples: float64[n, m] to float64[m, measures]; nan where one is undefined."""
        out = dict.fromkeys(MEASURES, np.full(counts.shape[1], np.nan))
        if "accuracy" in self._measures:
            out["accuracy"] = _over(np.take(counts, self._correct, axis=0).sum(axis=0), counts.sum(axis=0))
        if self._runs:
            total = np.take(counts, self._first, axis=0)
            total[self._runs :] = 0
            right = None
            if len(self._several):
                cells = np.add.reduceat(np.take(counts, self._several, axis=0), self._cells, axis=0)
                rights, wrongs = cells[self._is_right], cells[~self._is_right]
                total[self._right_runs] = 0
                total[self._wrong_runs] = 0
                total[self._right_runs] += rights
                total[self._wrong_runs] += wrongs
                right = np.zeros_like(total)
                right[self._right_runs] = rights
                right = right.reshape(self._groups, SIZE, -1)
            self._measure(total.reshape(self._groups, SIZE, -1), right, out)
        return np.stack([out[name] for name in self._measures], axis=1)

    def _measure(self, total: Values, right: Values | None, out: dict[str, Values]) -> None:
        """Fill in measures from what was drawn of runs, and of it the right answers in runs of several.

        Both are whole numbers, float64[groups, 16, m]; a run of one answer is right as its answer is.
        """
        wanted = set(self._measures)
        sums = np.matmul(self._rows, total)
        if right is not None:
            sums[:, 2:] += np.matmul(self._rights, right)
        before = _before(sums[:, 0])
        n = before[:, -1]
        out["mean_confidence"] = _over(sums[:, 1].sum(axis=0), n)
        out["brier"] = _over(sums[:, 2].sum(axis=0), n)
        if wanted & {"ece", "rmsce", "rmsce_hle"}:
            away = _before(sums[:, 3])
            if "ece" in wanted:
                out["ece"] = _over(self._width_errors(total, right, away), n)
            if wanted & {"rmsce", "rmsce_hle"}:
                out["rmsce"], out["rmsce_hle"] = self._binned(total, right, before, away)
        if wanted & {"auroc", "aurc"}:
            given = np.matmul(_UP_TO, total)
            given += before[:, :-1].T[:, None]
            out["auroc"], out["aurc"] = self._ranked(total, right, given, n)

    def _ranked(self, total: Values, right: Values | None, given: Values, n: Values) -> tuple[Values, Values]:
        """Rank right answers among all: ``given`` is how many are up to each run.

        Wrong ones above right ones are all above less right ones above, which add up to half a square. The mean risk
        is 1 less what right answers add to it: each to the share right of its own run's step and of all later ones.
        """
        rows = self._with_right
        drawn = total.reshape(-1, len(n))[rows]
        rights = drawn * self._y.ravel()[rows, None]
        if right is not None:
            rights += right.reshape(-1, len(n))[rows]
        every = rights.sum(axis=0)
        above = np.einsum("im,im->m", rights, given.reshape(-1, len(n))[rows] - 0.5 * drawn) - 0.5 * every * every
        auroc = 1 - _over(above, every * (n - every))
        steps = total / np.maximum(given, 1)
        later = np.matmul(_UP_TO.T, steps)
        beyond = _before(later[::-1, 0])[:, -2::-1].T
        weight = later.reshape(-1, len(n))[rows] + beyond[rows // SIZE]
        return auroc, np.where(n > 0, 1 - _over(np.einsum("im,im->m", rights, weight), n), np.nan)

    def _width_errors(self, total: Values, right: Values | None, away: Values) -> Values:
        """Sum errors over bins of equal width, whose edges are between the same runs in all resamples."""
        group, place = np.divmod(self._edges, SIZE)
        before = (np.arange(SIZE) < place[:, None]).astype(np.float64)
        inside = np.einsum("es,esm->me", before * self._away[group], total[group])
        if right is not None:
            inside -= np.einsum("es,esm->me", before, right[group])
        at = away[:, group] + inside
        errors: Values = np.abs(np.diff(at, axis=1, prepend=0.0, append=away[:, -1:]))
        return np.asarray(errors.sum(axis=1))

    def _binned(self, total: Values, right: Values | None, count: Values, away: Values) -> tuple[Values, Values]:
        """Errors over bins of 100, from the most confident one on, which takes what remains.

        A run that a bin's end cuts gives each side its part. ``count`` and ``away`` are what is before each group:
        answers, and their confidences less the right ones, float64[m, groups + 1].
        """
        n, rows = count[:, -1:], np.arange(len(count))[:, None]
        bins = np.maximum(n // BIN, 1)
        targets = np.minimum(n - BIN * (bins - 1) + BIN * np.arange(int(bins.max()) - 1), n)
        offset = rows * (n.max() + 1)
        found = np.searchsorted((count[:, 1:] + offset).ravel(), (targets + offset).ravel())
        group = found.reshape(targets.shape) - rows * self._groups
        drawn = total[group, :, rows]
        part = (targets - count[rows, group])[..., None] - np.matmul(drawn, _BEFORE)
        np.clip(part, 0, drawn, out=part)
        at = away[rows, group] + np.einsum("mts,mts->mt", part, self._away[group])
        if right is not None:
            at -= np.einsum("mts,mts->mt", part / np.maximum(drawn, 1), right[group, :, rows])
        errors = np.diff(at, axis=1, prepend=0.0, append=away[:, -1:])
        sizes = np.diff(targets, axis=1, prepend=0.0, append=n)
        squares = errors * errors / np.maximum(sizes, 1)
        n = n[:, 0]
        counted = squares[:, 1:].sum(axis=1)
        hle = np.where(n >= 2 * BIN, np.sqrt(_over(counted, n)), np.nan)
        return np.sqrt(_over(counted + squares[:, 0], n)), hle


def _before(groups: Values) -> Values:
    """Sum what is before each group, and all: float64[groups, m] to float64[m, groups + 1]."""
    out = np.zeros((groups.shape[1], len(groups) + 1))
    np.cumsum(groups.T, axis=1, out=out[:, 1:])
    return out


def _over(sums: Values, totals: Values) -> Values:
    """Divide, nan where there is nothing to divide by."""
    return np.where(totals > 0, sums / np.maximum(totals, 1), np.nan)
