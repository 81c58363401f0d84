"""Times of decoding steps, of many shapes in turn, so that a loaded minute falls on all of them alike."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.decoder import StepDecoder, memory_for, weights_in
from thrifty.device.shape import ModelShape, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from thrifty.device.arrays import Numpy, Torch

__all__ = ["Point", "Timing", "busy", "measure", "runs"]

VISIT = 0.004
"""Seconds of a visit, where its calls are shorter."""
DOUBTS = (0.6, 0.8, 1.0)
"""Shares of the seconds after which is asked what is in doubt."""
SOME = 3
"""Visits that have a median to tell."""
SELDOM = 3
"""Calls of several rows, which are long and steady, are visited once in so many rounds."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A call of a decoder.

    Parameters
    ----------
    shape : ModelShape
    batch, tokens : int
        Sequences, and tokens of each in the call.
    context : int
        Tokens of each in the cache.
    """

    shape: ModelShape
    batch: int = 1
    tokens: int = 1
    context: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("tokens", 1), ("context", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))

    @property
    def rows(self) -> int:
        """Hidden vectors of the call."""
        return self.batch * self.tokens


@dataclass(frozen=True, kw_only=True)
class Timing(Point):
    """A call of a decoder with its milliseconds, of which ``calls`` were timed.

    Parameters
    ----------
    ms : float
        The least.
    calls : int
    usual_ms : float, optional
        Median of the least of each visit, where there were some: far above ``ms`` on a machine that is busy.
    """

    ms: float
    calls: int = 1
    usual_ms: float | None = None

    def __post_init__(self) -> None:
        Point.__post_init__(self)
        if not 0 < self.ms < float("inf"):
            raise ValueError(f"ms: {self.ms} is not possible; milliseconds above 0 are needed")
        if self.usual_ms is not None and not self.ms <= self.usual_ms < float("inf"):
            raise ValueError(f"usual_ms: {self.usual_ms} is not possible; at least ms, {self.ms}, is needed")


def measure(
    points: Sequence[Point],
    arrays: Numpy | Torch,
    *,
    seconds: float,
    seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
    doubt: Callable[[list[Timing]], Sequence[int]] | None = None,
) -> list[Timing]:
    """Return what each point takes, visiting all in turn and in another order each time.

    A visit makes one call that brings the weights to the caches and is not timed. Of all others the least counts: what
    else the machine does only ever adds (fits to quantiles from 0.05 to 0.5 were tried under load, and told shapes that
    were left out worse). Every point is visited once even where ``seconds`` are over before. ``doubt`` says which ones
    look as if the machine did something else whenever they were called: the last two fifths of the seconds are theirs.
    """
    begun = time.perf_counter()
    rng = np.random.default_rng(seed)
    some = []
    for number, run in enumerate(runs(points, arrays, seed)):
        if progress is not None:
            progress("first calls", number, len(points))
        # The first call takes what happens once (memory, a library's choice of kernels).
        run()
        some.append(run)
    visits: list[list[float]] = [[] for _ in points]
    calls = [0] * len(points)

    def timings() -> list[Timing]:
        return [_timing(*each) for each in zip(points, visits, calls, strict=True)]

    def visit(turns: Iterator[tuple[int, int]], until: float) -> None:
        for turn, i in turns:
            spent = time.perf_counter() - begun
            if turn > 0 and spent > until:
                break
            if progress is not None:
                progress("measuring", min(int(spent), int(seconds)), int(seconds))
            least, count = _visit(some[i])
            visits[i].append(1e3 * least)
            calls[i] += count

    if doubt is None:
        visit(_turns(points, rng), seconds)
        return timings()
    visit(_turns(points, rng), DOUBTS[0] * seconds)
    for share in DOUBTS[1:]:
        doubtful = doubt(timings()) or range(len(points))
        again = ((1, int(i)) for _ in itertools.count() for i in rng.permutation(list(doubtful)))
        visit(again, share * seconds)
    return timings()


def _timing(point: Point, visits: list[float], calls: int) -> Timing:
    usual = max(float(np.median(visits)), min(visits)) if len(visits) >= SOME else None
    return Timing(**vars(point), ms=min(visits), calls=calls, usual_ms=usual)


def busy(timings: Sequence[Timing]) -> float:
    """Return the share by which usual visits of a call took more than the best: the median over calls, 0 of none."""
    over = [timing.usual_ms / timing.ms - 1 for timing in timings if timing.usual_ms is not None]
    return float(np.median(over)) if over else 0.0


def _turns(points: Sequence[Point], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield turns and points without end: all in the first turn, then those of several rows seldom."""
    for turn in itertools.count():
        some = [i for i, point in enumerate(points) if turn == 0 or point.rows == 1 or (i + turn) % SELDOM == 0]
        for i in rng.permutation(some):
            yield turn, int(i)


def _visit(run: Callable[[], float]) -> tuple[float, int]:
    """Return the least time of calls that take ``VISIT`` together, and their number."""
    begun = time.perf_counter()
    run()
    times = [run()]
    while time.perf_counter() - begun < VISIT:
        times.append(run())
    return min(times), len(times)


def runs(points: Sequence[Point], arrays: Numpy | Torch, seed: int = 0) -> Iterator[Callable[[], float]]:
    """Yield for each point what makes its call once and gives its seconds; all share one memory of weights."""
    rng = np.random.default_rng(seed)
    memory = memory_for([point.shape for point in points], arrays, rng)
    for point in points:
        weights = weights_in(memory, point.shape, arrays)
        decoder = StepDecoder(point.shape, arrays, weights, batch=point.batch, positions=point.context + point.tokens)
        decoder.prepare(point.tokens, point.context)
        ids = arrays.ids(rng.integers(0, point.shape.vocab, (point.batch, point.tokens)))
        yield _timed(arrays, decoder, ids, point.context)


def _timed(arrays: Numpy | Torch, decoder: StepDecoder, ids: Any, at: int) -> Callable[[], float]:
    step = arrays.repeatable(lambda: decoder.step(ids, at))
    return lambda: arrays.timed(step)
