"""Joules of decoding steps: read from a named counter while they are repeated, and told by time, bytes and operations.

Joules of a call = watts of the device that waits for its memory and its host * seconds + joules a byte * bytes that are
read + joules an operation * operations; coefficients at least 0, fitted to relative errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.columns import Calls, amounts
from thrifty.device.least import nonnegative
from thrifty.device.timing import Point, runs
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.device.arrays import Numpy, Torch
    from thrifty.device.meter import Meter

__all__ = ["Energy", "EnergyLaw", "Joules", "fit_energy", "measure_energy"]

LEAST = 5
"""Steps of the counter that a reading takes at least, and readings of a law."""


@dataclass(frozen=True)
class Energy:
    """Joules of a call or a generation.

    Attributes
    ----------
    joules, low, high : float
        What the law says, and where nine of ten calls that were left out lie.
    token_joules : float
        Of each token of each sequence, of all that was asked for.
    source : str
        What counted.
    """

    joules: float
    low: float
    high: float
    token_joules: float
    source: str

    def __float__(self) -> float:
        return self.joules


@dataclass(frozen=True, kw_only=True)
class Joules(Point):
    """A call with its joules and milliseconds, means of ``calls`` that followed one another."""

    joules: float
    ms: float
    calls: int = 1

    def __post_init__(self) -> None:
        Point.__post_init__(self)
        for name in ("joules", "ms"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)} is not possible; a number above 0 is needed")


@dataclass(frozen=True)
class EnergyLaw:
    """What calls take of a counter.

    Attributes
    ----------
    source : str
        The counter's name.
    watts, byte, operation : float
        Joules of a second, of a byte that is read, of an operation.
    spread : float
        Of ten readings left out of the fit, nine lay within a factor of exp(spread) of what the others told.
    readings : tuple of Joules
    """

    source: str
    watts: float
    byte: float
    operation: float
    spread: float
    readings: tuple[Joules, ...]

    def joules(self, calls: Calls, ms: Any) -> Any:
        """Return joules of calls that take so many milliseconds, float64 (calls)."""
        return _columns(calls, ms) @ np.array([self.watts, self.byte, self.operation])


def fit_energy(readings: Sequence[Joules], source: str) -> EnergyLaw:
    """Return the law of readings, at least 5 of them.

    Raises
    ------
    ValueError
        When there are fewer.
    """
    if len(readings) < LEAST:
        raise ValueError(f"readings: {len(readings)} of energy; at least {LEAST} are needed")
    joules = np.array([one.joules for one in readings])
    whole = _columns(Calls.of(readings), np.array([one.ms for one in readings])) / joules[:, None]
    told = np.ones(len(joules))
    for i in range(len(joules)):
        others = np.arange(len(joules)) != i
        told[i] = whole[i] @ nonnegative(whole[others], np.ones(len(joules) - 1))
    spread = float(np.quantile(np.abs(np.log(np.maximum(told, 1e-9))), 0.9))
    watts, byte, operation = map(float, nonnegative(whole, np.ones(len(joules))))
    return EnergyLaw(source, watts, byte, operation, spread, tuple(readings))


def _columns(calls: Calls, ms: Any) -> Any:
    have = amounts(calls)
    return np.stack([np.asarray(ms) / 1e3, have["bytes"] + have["cache"], have["operations"]], 1)


def measure_energy(
    points: Sequence[Point],
    arrays: Numpy | Torch,
    meter: Meter,
    *,
    seconds: float,
    seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
) -> list[Joules]:
    """Return joules of each point's call: repeated for its part of the seconds, after a fifth of it unread.

    A reading of fewer than 5 steps of the counter is made longer.

    Raises
    ------
    CounterFault
        When the counter tells what can't be, or nothing in all that time.
    """
    found = []
    with meter:
        step = meter.step()
        each = max(seconds / len(points), LEAST * step)
        for number, (point, run) in enumerate(zip(points, runs(points, arrays, seed), strict=True)):
            if progress is not None:
                progress("energy", number, len(points))
            _repeat(run, meter, each / 5)
            before = meter.read()
            calls = _repeat(run, meter, each * 4 / 5)
            after = meter.read()
            joules = (after.joules or 0.0) - (before.joules or 0.0)
            if not joules > 0:
                raise CounterFault(f"{meter.source}: nothing was counted in {each:.3g} s of {point.shape}")
            taken = 1e3 * (after.seconds - before.seconds) / calls
            found.append(Joules(**vars(point), joules=joules / calls, ms=taken, calls=calls))
    return found


def _repeat(run: Callable[[], float], meter: Meter, seconds: float) -> int:
    begun, calls = meter.clock(), 0
    while calls == 0 or meter.clock() - begun < seconds:
        run()
        calls += 1
    return calls
