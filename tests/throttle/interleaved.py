"""One processor that serves requests and, between them, does the steps of a fine-tuning job."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from thrifty.throttle import Admission, LatencyModel, Work


class Products:
    """Real work: products of matrices, one after the other."""

    def __init__(self, rows: int, size: int, count: int) -> None:
        rng = np.random.default_rng(size)
        self._x = rng.normal(size=(rows, size)).astype(np.float32)
        self._weights = [rng.normal(size=(size, size)).astype(np.float32) / math.sqrt(size) for _ in range(count)]
        self.work = Work(2.0 * rows * size * size * count, 4.0 * count * size * (size + 2 * rows))

    def __call__(self) -> None:
        x = self._x
        for weight in self._weights:
            x = x @ weight


class Pretended:
    """Work of some seconds on a clock that it moves on, with noise."""

    def __init__(self, clock: Callable[[float], object], rng: np.random.Generator, seconds: float) -> None:
        self._pass, self._rng, self._seconds = clock, rng, seconds
        self.work = Work(seconds * 1e12)

    def __call__(self) -> None:
        self._pass(self._seconds * float(self._rng.lognormal(0, 0.03)))


Load = Products | Pretended


@dataclass
class Log:
    """What happened."""

    latency_s: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)


@dataclass
class Station:
    """The processor; it learns from every request."""

    model: LatencyModel
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def serve(
        self,
        arrivals: Iterable[float],
        request: Load,
        step: Load | None,
        admit: Callable[[float], bool] = lambda _: True,
        completed: Callable[[], object] = lambda: None,
        steps: int = 10,
    ) -> Log:
        """Serve requests that come so many seconds from now; a job of so many steps starts where it is let in."""
        log, begun, left = Log(), self.clock(), 0
        waiting = [begun + arrival for arrival in sorted(arrivals)]
        while waiting:
            now = self.clock()
            if step is not None and not left and admit(now - begun):
                left = steps
                log.started.append(now - begun)
            if waiting[0] <= now:
                arrived, beside = waiting.pop(0), left > 0
                request()
                log.latency_s.append(self.clock() - arrived)
                log.at.append(arrived - begun)
                self.model.update(request.work, step.work if beside and step is not None else None, log.latency_s[-1])
            elif left:
                assert step is not None
                step()
                left -= 1
                if not left:
                    log.ended.append(self.clock() - begun)
                    completed()
            else:
                self.sleep(waiting[0] - now)
        return log


def arrivals(rng: np.random.Generator, seconds: float, gap: float) -> list[float]:
    """Times at which requests come, so that none waits for another often."""
    return np.cumsum(rng.uniform(0.5 * gap, 1.5 * gap, int(seconds / gap))).tolist()


@dataclass
class Stream:
    """A stream whose limit is low in the first half and high in the second, as measured before it."""

    low: float
    high: float
    half: float
    log: Log

    def p95(self, second: bool) -> float:
        """95th percentile of the requests that came in a half."""
        there = [s for s, at in zip(self.log.latency_s, self.log.at, strict=True) if (at >= self.half) == second]
        return float(np.quantile(there, 0.95))

    def jobs(self, second: bool) -> int:
        """How many started in a half."""
        return sum((at >= self.half) == second for at in self.log.started)

    def idle(self) -> float:
        """The longest time between the end of a job and the start of the next one."""
        pairs = zip(self.log.ended, self.log.started[1:], strict=False)
        return max((begin - end for end, begin in pairs), default=math.inf)


def calibrated(
    station: Station, rng: np.random.Generator, requests: list[Load], steps: list[Load], seconds: float, gap: float
) -> tuple[list[float], list[float]]:
    """Latencies of the last request, alone and beside the last step; the model has seen all of them."""
    each = seconds / (len(requests) * (1 + len(steps)))
    alone: list[float] = []
    beside: list[float] = []
    for request in requests:
        alone = station.serve(arrivals(rng, each, gap), request, None).latency_s
        for step in steps:
            beside = station.serve(arrivals(rng, each, gap), request, step).latency_s
    return alone, beside


def stream(
    station: Station,
    rng: np.random.Generator,
    requests: list[Load],
    steps: list[Load],
    *,
    half: float,
    calibration: float,
    gap: float,
    careless: bool = False,
) -> Stream:
    """Calibrate, choose both limits between and beyond what was measured, and serve.

    The low limit is midway (by ratio) between what requests take alone and what they take at times beside a job; the
    high one is twice the latter. ``careless`` lets every job in.
    """
    alone, _ = calibrated(station, rng, requests, steps, calibration, gap)
    request, step = requests[-1], steps[-1]
    told = station.model.predict(request.work, step.work)
    admission = Admission(station.model)
    often = told.seconds + admission.z * told.sd
    low, high = math.sqrt(float(np.quantile(alone, 0.95)) * often), 2 * often

    def admit(at: float) -> bool:
        return admission.admit(step.work, request.work, math.inf if careless else high if at >= half else low)

    log = station.serve(arrivals(rng, 2 * half, gap), request, step, admit, admission.completed)
    return Stream(low, high, half, log)
