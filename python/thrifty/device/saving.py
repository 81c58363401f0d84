"""What one way saves against another: both by turns, ABBA, so that what drifts befalls them alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.device.meter import Meter
from thrifty.device.windows import Measurement, Run, fitting, interval, warm_up
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Saving", "compare"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Saving:
    """How much less ``b`` takes than ``a``.

    Attributes
    ----------
    share, low, high : float
        1 - cost of b / cost of a, and its interval.
    a, b : Measurement
        Of the same windows.
    ratios : float64 array of shape (rounds,)
        Logarithm of b's cost over a's, in each round.
    """

    share: float
    low: float
    high: float
    a: Measurement
    b: Measurement
    ratios: NDArray[np.float64]


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    meter: Meter | None = None,
    rounds: int = 5,
    window: float | None = None,
    calls: int | None = None,
    confidence: float = 0.95,
    warm: float = 10.0,
) -> Saving:
    """Return what ``b`` saves against ``a``.

    A round is A, B, B, A, and the next one B, A, A, B: a drift that is a line over a round cancels. The interval is
    Student's, of the logarithms of the rounds' ratios.

    Parameters
    ----------
    a, b : callable
        As for :func:`~thrifty.device.windows.measure`.
    meter : Meter, optional
        By default all that counts on this machine.
    rounds : int
        At least 2.
    window : float, optional
        Seconds of each visit; by default 50 steps of the counter. 0 for a call a visit, or as many as take those 50
        steps, whatever ``calls`` is.
    calls : int, optional
        Of each visit at most.
    confidence : float
        Of the interval.
    warm : float
        Seconds of warm-up at most, of each.

    Raises
    ------
    CounterFault
        Where a counter tells what can't be and nothing can take its place.
    ValueError
        For fewer than 2 rounds.

    Examples
    --------
    >>> found = compare(lambda: sum(range(40_000)), lambda: sum(range(10_000)), meter=Meter("cpu"), window=0.05, warm=0)
    >>> 0.5 < found.share < 0.9
    True
    """
    if rounds < 2:
        raise ValueError(f"rounds: {rounds}; at least 2 are needed for an interval")
    meter = meter or Meter()
    with meter:
        while True:
            try:
                return _compared(a, b, meter, rounds, window, calls, confidence, warm)
            except CounterFault as fault:
                if not meter.fall_back(fault):
                    raise


def _compared(
    a: Callable[[], object],
    b: Callable[[], object],
    meter: Meter,
    rounds: int,
    window: float | None,
    calls: int | None,
    confidence: float,
    warm: float,
) -> Saving:
    step = meter.step()
    steady = [warm_up(work, meter, step, warm) for work in (a, b)]
    notes = [] if all(steady) else [f"not steady after {warm:g} s of warm-up"]
    calls = calls if window is None or window > 0 else None
    window = fitting(step, window)
    runs = Run(a, meter), Run(b, meter)
    ratios = []
    for number in range(rounds):
        sums = [0.0, 0.0]
        for which in (0, 1, 1, 0) if number % 2 == 0 else (1, 0, 0, 1):
            sums[which] += runs[which].window(window, calls)
        if min(sums) <= 0:
            raise CounterFault(f"{meter.source}: nothing was counted in a window of {window:.3g} s; take longer ones")
        ratios.append(math.log(sums[1] / sums[0]))
    low, high = interval(ratios, confidence)
    return Saving(
        share=-math.expm1(float(np.mean(ratios))),
        low=-math.expm1(high),
        high=-math.expm1(low),
        a=runs[0].measurement(*notes),
        b=runs[1].measurement(*notes),
        ratios=np.array(ratios),
    )
