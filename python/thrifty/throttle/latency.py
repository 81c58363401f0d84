"""How long a request takes, alone and beside fine-tuning: a line in what both have to do, learned as requests pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.device.least import nonnegative

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["LatencyModel", "Prediction", "Work"]

COLUMNS = 5
#: Errors of predictions that tell a spread, and what each older one counts less.
ERRORS, ERRORS_FADE = 5, 0.99
#: A direction in which nothing was seen, as a share of the length of its column.
UNSEEN = 1e-6


@dataclass(frozen=True)
class Work:
    """What a piece of work has to do: floating-point operations, and bytes to move; both at least 0.

    A request is one piece; of fine-tuning it is the step that a request may have to wait for.
    """

    flops: float
    bytes: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flops", "bytes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)} is not a number of at least 0")


@dataclass(frozen=True)
class Prediction:
    """Seconds, and their standard deviation: infinite where nothing like it was seen yet."""

    seconds: float
    sd: float


class LatencyModel:
    """Seconds of a request: fixed time, operations and bytes of its own, and those of fine-tuning beside it.

    Coefficients are at least 0, by least squares over all requests so far, older ones counting less. Operations count
    by the clock of the processor, bytes by that of the memory, so that what was learned at one clock holds at another.
    What it says of spread is that of its own errors: each request is predicted before it is learned from. Source:
    arXiv 2310.19991, appendix C; that both pieces of work add up is our reading.

    Parameters
    ----------
    fade : float
        What each older request counts less: 1 for all alike.

    Raises
    ------
    ValueError
        For a fade that is not above 0 and at most 1.

    Examples
    --------
    >>> model = LatencyModel()
    >>> for n in range(1, 21):
    ...     model.update(Work(n * 1e9), None, 0.001 + n * 0.002)
    >>> round(model.predict(Work(30e9)).seconds, 3)
    0.061
    >>> model.predict(Work(30e9), Work(5e9)).sd  # nothing was ever seen beside fine-tuning
    inf
    """

    def __init__(self, *, fade: float = 0.999) -> None:
        if not 0 < fade <= 1:
            raise ValueError(f"fade: {fade} is not above 0 and at most 1")
        self.fade = fade
        # The triangle of a QR factorisation of all rows: as good as the rows, and of one size.
        self._triangle = np.zeros((COLUMNS + 1, COLUMNS + 1))
        self._solution = np.zeros(COLUMNS)
        # Weights, and sums of squares of relative errors: alone, beside fine-tuning.
        self._counts, self._squares = [0.0, 0.0], [0.0, 0.0]

    @property
    def coefficients(self) -> Floats:
        """Seconds, then seconds an operation and a byte of the request, then of fine-tuning; float64 (5,)."""
        return self._solution.copy()

    def predict(
        self, inference: Work, fine_tuning: Work | None = None, *, clock: float = 1.0, memory_clock: float = 1.0
    ) -> Prediction:
        """Return what a request will take.

        Parameters
        ----------
        inference : Work
            Of the request.
        fine_tuning : Work, optional
            A step of what runs beside it.
        clock, memory_clock : float
            Of processor and memory, in any unit that is always the same.
        """
        return self._predicted(_row(inference, fine_tuning, clock, memory_clock), int(fine_tuning is not None))

    def _predicted(self, row: Floats, which: int) -> Prediction:
        mean = float(row @ self._solution)
        if self._counts[which] < ERRORS * ERRORS_FADE**ERRORS:
            return Prediction(mean, math.inf)
        spread = self._squares[which] / self._counts[which] * (1 + self._leverage(row))
        return Prediction(mean, mean * math.sqrt(spread))

    def _leverage(self, row: Floats) -> float:
        """Return how far a request is from those that were seen, by their spread; infinite where none was like it."""
        lengths = np.sqrt((self._triangle[:, :COLUMNS] ** 2).sum(0))
        if ((lengths == 0) & (row > 0)).any():
            return math.inf
        used = lengths > 0
        _, sizes, ways = np.linalg.svd(self._triangle[:, :COLUMNS][:, used] / lengths[used], full_matrices=False)
        x = row[used] / lengths[used]
        parts, seen = ways @ x, sizes > UNSEEN * sizes[0]
        beyond = math.sqrt(max(0.0, float(x @ x - (parts[seen] ** 2).sum())))
        if beyond > UNSEEN**0.5 * math.sqrt(float(x @ x)):
            return math.inf
        return float(((parts[seen] / sizes[seen]) ** 2).sum())

    def update(
        self,
        inference: Work,
        fine_tuning: Work | None,
        seconds: float,
        *,
        clock: float = 1.0,
        memory_clock: float = 1.0,
    ) -> None:
        """Learn from a request that took so many seconds.

        Raises
        ------
        ValueError
            For seconds or a clock that are not finite and above 0; nothing is learned then.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds: {seconds} is not finite and above 0")
        row, which = _row(inference, fine_tuning, clock, memory_clock), int(fine_tuning is not None)
        mean = float(row @ self._solution)
        if mean > 0 and self._leverage(row) < math.inf:
            self._counts[which] = ERRORS_FADE * self._counts[which] + 1
            self._squares[which] = ERRORS_FADE * self._squares[which] + (seconds / mean - 1) ** 2
        rows = np.vstack([math.sqrt(self.fade) * self._triangle, [*row, seconds]])
        self._triangle = np.asarray(np.linalg.qr(rows, mode="r"), np.float64)
        self._solution = nonnegative(self._triangle[:, :COLUMNS], self._triangle[:, COLUMNS])


def _row(inference: Work, fine_tuning: Work | None, clock: float, memory_clock: float) -> Floats:
    for name, value in (("clock", clock), ("memory_clock", memory_clock)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: {value} is not finite and above 0")
    beside = fine_tuning or Work(0.0)
    work = [inference.flops / clock, inference.bytes / memory_clock, beside.flops / clock, beside.bytes / memory_clock]
    return np.array([1.0, *work])
