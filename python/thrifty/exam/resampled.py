"""Measures of many resamples at once: answers are sorted once, and a resample is how often each was drawn.

A cell is answers of one confidence that are all right, or all wrong: measures of a resample depend on its cells' counts
alone. Cells go from the most confident on, right before wrong within a confidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.exam.metrics import BINS
from thrifty.exam.ordered import BIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Places = NDArray[np.int64]

__all__ = ["MEASURES", "Resampled"]

#: What a resample is measured by, in the order of columns.
MEASURES = ("accuracy", "mean_confidence", "brier", "ece", "rmsce", "rmsce_hle", "auroc", "aurc")
#: Answers are summed into cells where these hold so many each; fewer cost more than they save.
MERGED = 4


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
        new = np.append(True, (c[1:] != c[:-1]) | (y[1:] != y[:-1]))[: len(kept)]
        starts = np.flatnonzero(new)
        self._correct, self._order, self._measures = np.flatnonzero(correct), kept, tuple(measures)
        self._starts = starts if 0 < len(starts) * MERGED <= len(kept) else None
        if self._starts is not None:
            c, y = c[starts], y[starts]
        lanes = Lanes(len(c))
        # Cells of one confidence, from the first to the last one.
        self._first = len(c) - np.searchsorted(c[::-1], c, side="right")
        self._last = len(c) - 1 - np.searchsorted(c[::-1], c, side="left")
        early = np.flatnonzero(self._last > np.arange(len(c)))
        self._early, self._end = lanes.at(early), lanes.at(self._last[early])
        self._right = lanes.at(np.flatnonzero(y))
        runs = zip(np.unique(self._first[early]), np.unique(self._last[early]), strict=True)
        split = [(a, a + int(y[a : b + 1].sum()), b + 1) for a, b in runs]
        self._tied = [(lanes.at(np.arange(a, m)), lanes.at(np.arange(m, b))) for a, m, b in split if a < m < b]
        bins = np.maximum(np.ceil(c * BINS), 1)
        bins[c * BINS > bins] += 1
        self._edges = lanes.at(np.flatnonzero(np.append(bins[1:] != bins[:-1], True)[: len(c)]))
        self._lanes, self._c, self._y = lanes, lanes.laid(c), lanes.laid(y.astype(np.float64))

    def __call__(self, counts: Values) -> Values:
        """Measure resamples: float64[n, m] to float64[m, measures]; nan where one is undefined."""
        out = dict.fromkeys(MEASURES, np.full(counts.shape[1], np.nan))
        if "accuracy" in self._measures:
            out["accuracy"] = _over(np.take(counts, self._correct, axis=0).sum(axis=0), counts.sum(axis=0))
        if self._starts is None:
            if len(self._order):
                self._measure(self._lanes.taken(counts, self._order), out)
        else:
            cells = np.add.reduceat(np.take(counts, self._order, axis=0), self._starts, axis=0)
            self._measure(self._lanes.taken(cells, np.arange(len(cells))), out)
        return np.stack([out[name] for name in self._measures], axis=1)

    def _measure(self, cells: Values, out: dict[str, Values]) -> None:
        """Fill in measures from cells as they are laid, float64[cells, m]; whole numbers below 2^53 are exact."""
        wanted = set(self._measures)
        sums = self._lanes.running(cells)
        totals = sums[-1]
        if "mean_confidence" in wanted:
            out["mean_confidence"] = _over(np.einsum("i,ij->j", self._c, cells), totals)
        if "brier" in wanted:
            out["brier"] = _over(np.einsum("i,ij->j", (self._c - self._y) ** 2, cells), totals)
        if wanted & {"ece", "rmsce", "rmsce_hle"}:
            away = self._lanes.running(cells, self._c - self._y)
            if "ece" in wanted:
                errors = np.diff(away[self._edges], axis=0, prepend=0.0)
                out["ece"] = _over(np.abs(errors).sum(axis=0), totals)
            if wanted & {"rmsce", "rmsce_hle"}:
                out["rmsce"], out["rmsce_hle"] = self._binned(sums, away)
        if "auroc" in wanted:
            out["auroc"] = self._auroc(cells, sums)
        if "aurc" in wanted:
            out["aurc"] = self._aurc(cells, sums)

    def _binned(self, sums: Values, away: Values) -> tuple[Values, Values]:
        """Errors over bins of 100, from the most confident one on, which takes what remains.

        A run that a bin's end cuts gives each side its part.
        """
        totals, columns = sums[-1], np.arange(sums.shape[1])
        bins = np.maximum(totals // BIN, 1)
        targets = np.minimum(totals - BIN * (bins - 1) + BIN * np.arange(int(bins.max()) - 1)[:, None], totals)
        cell = self._lanes.reached(sums, targets)
        first, last = self._first[cell], self._lanes.at(self._last[cell])
        previous = self._lanes.at(np.maximum(first - 1, 0))
        before = np.where(first > 0, sums[previous, columns], 0.0)
        below = np.where(first > 0, away[previous, columns], 0.0)
        share = (targets - before) / np.maximum(sums[last, columns] - before, 1)
        at = below + share * (away[last, columns] - below)
        nothing = np.zeros((1, len(columns)))
        errors = np.diff(at, axis=0, prepend=nothing, append=away[-1:])
        sizes = np.diff(targets, axis=0, prepend=nothing, append=sums[-1:])
        squares = errors * errors / np.maximum(sizes, 1)
        counted = squares[1:].sum(axis=0)
        hle = np.where(totals >= 2 * BIN, np.sqrt(_over(counted, totals)), np.nan)
        return np.sqrt(_over(counted + squares[0], totals)), hle

    def _auroc(self, cells: Values, sums: Values) -> Values:
        """Count wrong answers above right ones: all above less right ones above, which add up to half a square."""
        drawn = cells[self._right]
        rights = drawn.sum(axis=0)
        above = np.einsum("ij,ij->j", drawn, sums[self._right])
        twice = 2 * above - rights * rights - np.einsum("ij,ij->j", drawn, drawn)
        for right, wrong in self._tied:
            twice += cells[right].sum(axis=0) * cells[wrong].sum(axis=0)
        return 1 - _over(twice, 2 * rights * (sums[-1] - rights))

    def _aurc(self, cells: Values, sums: Values) -> Values:
        risk = self._lanes.running(cells, 1 - self._y)
        risk /= np.maximum(sums, 1)
        risk[self._early] = risk[self._end]
        return _over(np.einsum("ij,ij->j", risk, cells), sums[-1])


class Lanes:
    """Rows laid so that their running sums are sums of long vectors: row r is at r % 32 * groups + r // 32.

    The last group is filled up with rows that count nothing.

    Parameters
    ----------
    rows : int
        How many there are.
    """

    SIZE = 32

    def __init__(self, rows: int) -> None:
        self.rows, self.groups = rows, -(-rows // self.SIZE)
        self._places = self.at(np.arange(rows))
        self._empty = self.at(np.arange(rows, self.groups * self.SIZE))

    def at(self, rows: Places) -> Places:
        """Say where rows are."""
        return rows % self.SIZE * self.groups + rows // self.SIZE

    def laid(self, values: Values) -> Values:
        """Lay numbers of rows, 0 where there is no row."""
        out = np.zeros(self.groups * self.SIZE)
        out[self._places] = values
        return out

    def taken(self, values: Values, rows: Places) -> Values:
        """Take rows, in this order, of a matrix and lay them."""
        order = np.zeros(self.groups * self.SIZE, np.int64)
        order[self._places] = rows
        out = np.take(values, order, axis=0)
        out[self._empty] = 0
        return out

    def running(self, values: Values, weights: Values | None = None) -> Values:
        """Sum up to each row, each times its weight."""
        out = np.empty_like(values)
        inside, sums = (v.reshape(self.SIZE, self.groups, -1) for v in (values, out))
        if weights is None:
            sums[0] = inside[0]
            for i in range(1, self.SIZE):
                np.add(sums[i - 1], inside[i], out=sums[i])
        else:
            each = weights.reshape(self.SIZE, self.groups, 1)
            np.multiply(inside[0], each[0], out=sums[0])
            weighed = np.empty_like(sums[0])
            for i in range(1, self.SIZE):
                np.multiply(inside[i], each[i], out=weighed)
                np.add(sums[i - 1], weighed, out=sums[i])
        sums[:, 1:] += np.cumsum(sums[-1, :-1], axis=0)
        return out

    def reached(self, sums: Values, targets: Values) -> Places:
        """Find the first row at which each column's running sum reaches its targets, float64[t, m]: its group first."""
        columns = np.arange(sums.shape[1])
        offset = columns * (sums[-1].max() + 1)
        ends = (sums[-self.groups :] + offset).T.ravel()
        group = np.searchsorted(ends, targets + offset) - columns * self.groups
        lane = np.zeros_like(group)
        step = self.SIZE // 2
        while step:
            before = sums[(lane + step - 1) * self.groups + group, columns] < targets
            lane += step * before
            step //= 2
        return np.asarray(group * self.SIZE + lane)


def _over(sums: Values, totals: Values) -> Values:
    """Divide, nan where there is nothing to divide by."""
    return np.where(totals > 0, sums / np.maximum(totals, 1), np.nan)
