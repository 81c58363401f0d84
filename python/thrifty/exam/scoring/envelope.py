"""Least and most that a calibration error over bins can be, over all orders of answers of equal confidence.

An order decides how many of a run's right answers fall into each bin that the run reaches into. The error of a bin
depends on its number of right answers alone, and neighbouring runs meet in one bin at most, so a walk from run to run
that remembers how many right answers the bin shared with the next one has got finds the exact ends. The bins between a
run's first and last one are alike: convex errors are least where they are filled evenly and most where one after the
other is filled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.exam.scoring.ordered import BIN, Ordered, bin_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Costs = NDArray[np.float64]

__all__ = ["envelope"]


class _Bins:
    """Bins, the right answers that are surely in each, and the runs that reach over an edge."""

    def __init__(self, answers: Ordered, counted: int, p: int | str) -> None:
        edges = bin_edges(len(answers))
        self.answers, self.p, self.counted = len(answers), p, counted
        self.sizes = np.diff(edges)
        self.confidence = np.add.reduceat(answers.confidence, edges[:-1])
        after = answers.after
        before = after - answers.total
        last_bin = len(self.sizes) - 1
        first, last = np.minimum(before // BIN, last_bin), np.minimum((after - 1) // BIN, last_bin)
        within = first == last
        self.sure = np.bincount(first[within], weights=answers.right[within], minlength=last_bin + 1)
        over = np.flatnonzero(~within)
        self.first, self.last = first[over], last[over]
        self.right = answers.right[over]
        self.head = edges[self.first + 1] - before[over]
        self.tail = after[over] - edges[self.last]
        self.total = answers.total[over]

    def cost(self, b: Any, right: Any) -> Costs:
        """Share of the error that a bin has with so many right answers, by the norm."""
        if b >= self.counted:
            return np.zeros(np.shape(right))
        away = np.abs(self.confidence[b] - right)
        if self.p == "max":
            return np.asarray(away / self.sizes[b])
        weight = 1 / self.answers
        return np.asarray(weight * away if self.p == 1 else weight / self.sizes[b] * away * away)


def envelope(answers: Ordered, counted: int, p: int | str) -> tuple[float, float]:
    """Return the ends for the first ``counted`` bins and a norm: 1, 2 or ``"max"``."""
    bins = _Bins(answers, counted, p)
    low = _walk(bins, most=False)
    high = _largest(bins) if p == "max" else _walk(bins, most=True)
    return (math.sqrt(low), math.sqrt(high)) if p == 2 else (low, high)


def _walk(bins: _Bins, *, most: bool) -> float:
    """Go from run to run; ``open_`` is the best so far by how many right answers the last bin has got from its run."""
    best: Any = np.max if most else np.min
    never = -math.inf if most else math.inf
    join: Any = np.maximum if bins.p == "max" else np.add
    free = np.ones(len(bins.sizes), bool)
    free[bins.first] = free[bins.last] = False
    for a, b in zip(bins.first, bins.last, strict=True):
        free[a + 1 : b] = False
    done = join.reduce([0.0, *(float(bins.cost(b, bins.sure[b])) for b in np.flatnonzero(free))])
    open_: Costs | None = None
    for i in range(len(bins.right)):
        a, b, right = int(bins.first[i]), int(bins.last[i]), int(bins.right[i])
        heads = np.arange(min(int(bins.head[i]), right) + 1)
        tails = np.arange(min(int(bins.tail[i]), right) + 1)
        if open_ is not None and bins.last[i - 1] == a:
            meet = bins.cost(a, bins.sure[a] + heads[:, None] + np.arange(len(open_)))
            begun = best(join(meet, open_), axis=1)
        else:
            if open_ is not None:
                done = join(done, _closed(bins, i - 1, open_, best, join))
            begun = bins.cost(a, bins.sure[a] + heads)
        inner = _inner(bins, a + 1, b - a - 1, right, most=most)
        left = right - heads[:, None] - tails
        fits = (left >= 0) & (left < len(inner))
        way = join(begun[:, None], inner[np.where(fits, left, 0)])
        open_ = best(np.where(fits, way, never), axis=0)
    if open_ is not None:
        done = join(done, _closed(bins, len(bins.right) - 1, open_, best, join))
    return float(done)


def _closed(bins: _Bins, run: int, open_: Costs, best: Any, join: Any) -> float:
    b = int(bins.last[run])
    return float(best(join(open_, bins.cost(b, bins.sure[b] + np.arange(len(open_))))))


def _inner(bins: _Bins, b: int, count: int, right: int, *, most: bool) -> Costs:
    """Best cost of so many like bins, from bin ``b`` on, by how many right answers are in them together."""
    filled = np.arange(min(count * BIN, right) + 1)
    if count == 0:
        return np.zeros(1)
    if most:
        full, rest = np.divmod(filled, BIN)
        empty = np.maximum(count - full - 1, 0)
        part = np.where(full < count, bins.cost(b, rest), 0.0)
        return np.asarray(full * bins.cost(b, BIN) + part + empty * bins.cost(b, 0))
    even, more = np.divmod(filled, count)
    lower, upper = bins.cost(b, even), bins.cost(b, even + 1)
    if bins.p == "max":
        return np.where(more > 0, np.maximum(lower, upper), lower)
    return np.asarray((count - more) * lower + more * upper)


def _largest(bins: _Bins) -> float:
    """Most that the error of any one bin can be: each bin's own ends can be reached."""
    least, most = bins.sure.copy(), bins.sure.copy()
    for i in range(len(bins.right)):
        a, b, right, wrong = int(bins.first[i]), int(bins.last[i]), bins.right[i], bins.total[i] - bins.right[i]
        sizes = np.full(b - a + 1, BIN)
        sizes[0], sizes[-1] = bins.head[i], bins.tail[i]
        least[a : b + 1] += np.maximum(sizes - wrong, 0)
        most[a : b + 1] += np.minimum(sizes, right)
    ends = [float(bins.cost(b, right)) for side in (least, most) for b, right in enumerate(side)]
    return max(ends)
