"""Energy of a call: windows that fit the counter, repeated until the mean is known well enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.meter import Meter
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Measurement", "Run", "interval", "measure", "warm_up"]

#: A counter's step is at most this share of a window; a window takes at least so many seconds.
STEP_SHARE, LEAST_WINDOW = 0.02, 0.25
#: Warm is where so many readings of so many seconds in a row lie within this share.
READINGS, READING, WITHIN = 3, 0.5, 0.02
#: Windows that tell a spread.
SPREAD = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement:
    """What calls took.

    Attributes
    ----------
    energy_j : float or None
        Joules a call; None where nothing counts them.
    source : str
        What counted: printed wherever the joules are.
    seconds : float
        Of all that was measured.
    n : int
        Calls.
    latency_s : float64 array of shape (n,)
        Of each call.
    power_w, temperature_c : float or None
        Mean power; the last temperature.
    cpu_seconds : float
        A call, of the process and its children.
    costs : float64 array of shape (windows,)
        Joules a call in each window, or CPU-seconds where there are none.
    stderr : float or None
        Standard error of the mean cost; None for fewer than two windows.
    notes : tuple of str
        What to know about it.
    """

    energy_j: float | None
    source: str
    seconds: float
    n: int
    latency_s: NDArray[np.float64]
    power_w: float | None
    temperature_c: float | None
    cpu_seconds: float
    costs: NDArray[np.float64]
    stderr: float | None
    notes: tuple[str, ...] = field(default=())

    @property
    def cost(self) -> float:
        """Joules a call, or CPU-seconds where there are none."""
        return self.cpu_seconds if self.energy_j is None else self.energy_j

    @property
    def unit(self) -> str:
        """What :attr:`cost` is in."""
        return "CPU-s" if self.energy_j is None else "J"


class Run:
    """Windows of calls of one function, and what they come to."""

    def __init__(self, work: Callable[[], object], meter: Meter) -> None:
        self.work, self.meter = work, meter
        self.latency: list[float] = []
        self.costs: list[float] = []
        self.seconds = self.joules = self.cpu_seconds = 0.0
        self.celsius: float | None = None

    def window(self, seconds: float, most: int | None = None) -> float:
        """Call until the seconds are over, or so many calls were made; return the cost of a call."""
        meter, begun, calls = self.meter, self.meter.read(), 0
        while True:
            before = meter.clock()
            self.work()
            after = meter.clock()
            self.latency.append(after - before)
            calls += 1
            if after - begun.seconds >= seconds or calls == most:
                break
        ended = meter.read()
        self.seconds += ended.seconds - begun.seconds
        spent = ended.cpu_seconds - begun.cpu_seconds
        self.cpu_seconds += spent
        if begun.joules is not None and ended.joules is not None:
            spent = ended.joules - begun.joules
            self.joules += spent
        self.costs.append(spent / calls)
        self.celsius = meter.celsius()
        return self.costs[-1]

    @property
    def cost(self) -> float:
        """Mean cost of a call, of all windows."""
        return float(np.mean(self.costs))

    @property
    def stderr(self) -> float | None:
        """Standard error of the mean cost."""
        count = len(self.costs)
        return float(np.std(self.costs, ddof=1)) / math.sqrt(count) if count > 1 else None

    def measurement(self, *notes: str) -> Measurement:
        """Return what it came to; a CounterFault where a counter counted nothing."""
        counts, n = self.meter.counts, len(self.latency)
        if counts and self.joules <= 0:
            raise CounterFault(f"{self.meter.source}: nothing was counted in {self.seconds:.3g} s; measure for longer")
        return Measurement(
            energy_j=self.joules / n if counts else None,
            source=self.meter.source,
            seconds=self.seconds,
            n=n,
            latency_s=np.array(self.latency),
            power_w=self.joules / self.seconds if counts else None,
            temperature_c=self.celsius,
            cpu_seconds=self.cpu_seconds / n,
            costs=np.array(self.costs),
            stderr=self.stderr,
            notes=(*self.meter.notes, *notes),
        )


def measure(
    work: Callable[[], object],
    *,
    meter: Meter | None = None,
    error: float = 0.01,
    min_seconds: float = 0.0,
    min_reps: int = 1,
    max_seconds: float = 60.0,
    max_reps: int | None = None,
    window: float | None = None,
    warm: float = 10.0,
) -> Measurement:
    """Return what a call of ``work`` takes.

    Calls are made until the machine is warm, and then in windows, until the standard error of the mean cost is met.
    Where a card's total turns out broken, its power is summed up instead and all begins anew.

    Parameters
    ----------
    work : callable
        Must have done its work when it returns: on an accelerator, wait for it.
    meter : Meter, optional
        By default all that counts on this machine.
    error : float
        Standard error of the mean cost, as a share of it.
    min_seconds, min_reps, max_seconds, max_reps : float, int
        At least so long and so often; not beyond, whatever the error.
    window : float, optional
        Seconds of a window; by default 50 steps of the counter, which is polled for that. 0 for a call a window, or
        as many as take those 50 steps, since a counter tells nothing of a call that is shorter than its step.
    warm : float
        Seconds of warm-up at most; 0 for none.

    Raises
    ------
    CounterFault
        Where a counter tells what can't be and nothing can take its place.
    ValueError
        For seconds, numbers or an error that are not above 0.

    Examples
    --------
    >>> found = measure(lambda: sum(range(20_000)), meter=Meter("cpu"), max_seconds=0.5, warm=0)
    >>> found.energy_j, found.unit, found.cost > 0
    (None, 'CPU-s', True)
    """
    for name, value in (("error", error), ("max_seconds", max_seconds), ("min_reps", min_reps)):
        if not value > 0:
            raise ValueError(f"{name}: {value} is not above 0")
    if max_reps is not None and max_reps < min_reps:
        raise ValueError(f"max_reps: {max_reps} is below min_reps, {min_reps}")
    meter = meter or Meter()
    limits = (error, min_seconds, min_reps, max_seconds, max_reps)
    with meter:
        while True:
            try:
                return _measured(work, meter, limits, window, warm)
            except CounterFault as fault:
                if not meter.fall_back(fault):
                    raise


def _measured(
    work: Callable[[], object],
    meter: Meter,
    limits: tuple[float, float, int, float, int | None],
    window: float | None,
    warm: float,
) -> Measurement:
    error, min_seconds, min_reps, max_seconds, max_reps = limits
    step = meter.step()
    notes = [] if warm_up(work, meter, step, warm) else [f"not steady after {warm:g} s of warm-up"]
    window = fitting(step, window)
    run = Run(work, meter)
    while run.seconds < max_seconds:
        left = None if max_reps is None else max_reps - len(run.latency)
        run.window(min(window, max_seconds - run.seconds), left)
        if left is not None and len(run.latency) == max_reps:
            break
        enough = run.seconds >= min_seconds and len(run.latency) >= min_reps and len(run.costs) >= SPREAD
        # Where nothing was counted yet, nothing is known.
        if enough and run.cost > 0 and (run.stderr or 0.0) <= error * run.cost:
            break
    else:
        if len(run.costs) >= SPREAD and (run.stderr or 0.0) > error * run.cost:
            share = (run.stderr or 0.0) / run.cost
            notes.append(f"the standard error is {share:.1%} after {max_seconds:g} s, not {error:.1%}")
    if run.seconds * STEP_SHARE < step:
        notes.append(
            f"{run.seconds:.3g} s are {run.seconds / step:.1f} steps of the counter: joules are known to"
            f" {step / run.seconds:.0%}; measure for longer"
        )
    return run.measurement(*notes)


def fitting(step: float, window: float | None = None) -> float:
    """Return the seconds of a window for a counter's step, where they are not given; at least those it needs for 0."""
    if window is None:
        return max(LEAST_WINDOW, step / STEP_SHARE)
    return window or step / STEP_SHARE


def warm_up(work: Callable[[], object], meter: Meter, step: float, most: float) -> bool:
    """Call until power is steady, or so many seconds are over; return whether it is.

    Steady are readings of power where counters have them, joules where the counter's step is small enough for a
    reading, else CPU-seconds a call.
    """
    begun, readings = meter.clock(), []
    while most > 0 and meter.clock() - begun < most:
        before, calls = meter.read(), 0
        while meter.clock() - before.seconds < READING:
            work()
            calls += 1
        after, power = meter.read(), meter.watts()
        seconds = after.seconds - before.seconds
        if power is None and step <= READING * WITHIN and after.joules is not None and before.joules is not None:
            power = (after.joules - before.joules) / seconds
        readings.append((after.cpu_seconds - before.cpu_seconds) / calls if power is None else power)
        last = readings[-READINGS:]
        if len(last) == READINGS and max(last) - min(last) <= WITHIN * float(np.mean(last)):
            return True
    return most <= 0


def interval(values: Any, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's interval of a mean; infinite for one value.

    Examples
    --------
    >>> low, high = interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    from scipy.special import stdtrit

    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return -math.inf, math.inf
    half = float(stdtrit(len(x) - 1, 0.5 + confidence / 2)) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return float(x.mean()) - half, float(x.mean()) + half
