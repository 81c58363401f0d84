"""Counters of energy: joules since they were made, from what a machine counts or from power that is summed up."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thrifty.device.nvml import Card

__all__ = ["CardEnergy", "Counter", "Integrated", "Rapl", "hwmon", "packages"]

#: No package and no card takes so much. A counter that steps lags by up to so many seconds.
MOST_WATTS, LAG = 5_000.0, 1.0
#: Silicon never takes nothing: a counter that stands still for so many seconds, seen by several reads, is broken.
STILL, STILL_READS = 2.0, 3
#: Seconds between readings of power, what counts as its step (10 Hz), and what is too late.
PERIOD, STEP, LATE = 0.05, 0.1, 1.0


class Counter(Protocol):
    """Something that counts joules.

    Attributes
    ----------
    name : str
        Printed with the joules.
    period : float or None
        Somebody must call :meth:`joules` at least so often, in seconds; None where nothing is lost between calls.
    step : float or None
        Seconds between its changes; None where that must be found by polling.
    """

    name: str
    period: float | None
    step: float | None

    def again(self) -> Counter:
        """Return one of the same source that begins now."""

    def joules(self) -> float:
        """Return joules since it was made; CounterFault where that can't be told."""

    def watts(self) -> float | None:
        """Return the power of now where that can be read by itself."""

    def celsius(self) -> float | None:
        """Return the temperature where that can be read."""


class Raw:
    """Sums up differences of a raw count, and sees what no energy can do.

    Parameters
    ----------
    name : str
        For messages.
    read : callable
        Returns the raw count in joules.
    wraps : float or None
        The count goes on from 0 behind this.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, name: str, read: Callable[[], float], wraps: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self._read, self._wraps, self._clock = name, read, wraps, clock
        self._last, self._at = read(), clock()
        self._moved, self._still = self._at, 0
        self._total = 0.0

    def joules(self) -> float:
        """Return joules since it was made."""
        raw, now = self._read(), self._clock()
        most = MOST_WATTS * (now - self._at + LAG)
        more = raw - self._last
        if more < 0:
            wrapped = more + self._wraps if self._wraps else math.inf
            if not 0 <= wrapped <= most:
                raise CounterFault(
                    f"{self.name}: the energy counter went back from {self._last:.6g} J to {raw:.6g} J and has not"
                    " wrapped; the device or its driver was reset"
                )
            more = wrapped
        if more > most:
            raise CounterFault(
                f"{self.name}: the energy counter jumped by {more:.6g} J in {now - self._at:.3g} s, more than"
                f" {MOST_WATTS:,.0f} W"
            )
        if more > 0:
            self._moved, self._still = now, 0
        else:
            self._still += 1
            if now - self._moved > STILL and self._still >= STILL_READS:
                raise CounterFault(
                    f"{self.name}: the energy counter stood still for {now - self._moved:.1f} s; choose another source"
                )
        self._last, self._at, self._total = raw, now, self._total + more
        return self._total


class Rapl:
    """A package's counter of Linux powercap (RAPL), which wraps.

    Parameters
    ----------
    zone : path
        A folder such as /sys/class/powercap/intel-rapl:0.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    OSError
        Where it can't be read: mostly it is the superuser's alone.
    CounterFault
        Where its files hold no numbers.
    """

    #: A package of 500 W wraps after 9 minutes.
    period: float | None = 10.0
    step: float | None = None

    def __init__(self, zone: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._zone, self._clock = zone, clock
        self.name = f"rapl:{_text(zone / 'name')}"
        wraps = _number(zone / "max_energy_range_uj") / 1e6
        self._raw = Raw(self.name, lambda: _number(zone / "energy_uj") / 1e6, wraps, clock)
        self.joules = self._raw.joules
        self._thermal = _package_sensor(zone)

    def again(self) -> Rapl:
        """Return one of the same package that begins now."""
        return Rapl(self._zone, self._clock)

    def watts(self) -> float | None:
        """Nothing: a package has no reading of power."""
        return None

    def celsius(self) -> float | None:
        """Return the temperature of the first package, where the kernel tells it."""
        return None if self._thermal is None else _number(self._thermal) / 1e3


class CardEnergy:
    """The total that a card counts itself."""

    period: float | None = None
    step: float | None = None

    def __init__(self, card: Card, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = f"nvml:{card.uuid}"
        self._raw = Raw(self.name, lambda: card.millijoules() / 1e3, None, clock)
        self.joules, self.watts, self.celsius = self._raw.joules, card.watts, card.celsius
        self._card, self._clock = card, clock

    def again(self) -> CardEnergy:
        """Return one of the same card that begins now."""
        return CardEnergy(self._card, self._clock)


class Integrated:
    """Power that is read again and again, summed up by trapezoids.

    Parameters
    ----------
    name : str
        Of what is read.
    watts : callable
        Returns the power of now.
    celsius : callable, optional
        Returns the temperature.
    clock : callable
        Monotonic seconds.
    """

    period: float | None = PERIOD
    step: float | None = STEP

    def __init__(
        self,
        name: str,
        watts: Callable[[], float],
        celsius: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.watts, self.celsius, self._clock = f"{name} (power, integrated)", watts, celsius, clock
        self._what = name
        self._power, self._at, self._total = self._plausible(), clock(), 0.0

    def again(self) -> Integrated:
        """Return one of the same readings that begins now."""
        return Integrated(self._what, self.watts, self.celsius, self._clock)

    def joules(self) -> float:
        """Return joules since it was made; a CounterFault where nobody read it for too long."""
        power, now = self._plausible(), self._clock()
        if now - self._at > LATE:
            gap = now - self._at
            self._power, self._at = power, now
            raise CounterFault(f"{self.name}: no power was read for {gap:.1f} s; the machine is too busy to integrate")
        self._total += (self._power + power) / 2 * (now - self._at)
        self._power, self._at = power, now
        return self._total

    def _plausible(self) -> float:
        power = self.watts()
        if not 0 <= power <= MOST_WATTS:
            raise CounterFault(f"{self.name}: the power is {power:.6g} W, which can't be")
        return power


def packages(root: Path, clock: Callable[[], float] = time.monotonic) -> tuple[list[Rapl], list[str]]:
    """Return counters of all packages, and why others are left out.

    Zones of a whole platform hold the packages already, and sub-zones are parts of them.
    """
    found, out = [], []
    for zone in sorted((root / "class" / "powercap").glob("*-rapl:[0-9]*")):
        if ":" in zone.name.partition(":")[2]:
            continue
        try:
            if _text(zone / "name").startswith("package"):
                found.append(Rapl(zone, clock))
        except PermissionError as error:
            out.append(f"{error.filename}: permission denied; run as the superuser, or make it readable")
        except (OSError, CounterFault) as error:
            out.append(str(error))
    return found, out


def hwmon(root: Path, clock: Callable[[], float] = time.monotonic) -> tuple[list[Integrated], list[str]]:
    """Return power readings of the kernel's monitoring chips (microwatts), and why others are left out."""
    found, out = [], []
    for chip in sorted((root / "class" / "hwmon").glob("hwmon*")):
        # A chip with several readings mostly tells inputs and what they feed: their sum would count twice.
        files = sorted(chip.glob("power[0-9]*_average")) or sorted(chip.glob("power[0-9]*_input"))
        for file in files[:1]:
            try:
                name = f"hwmon:{_text(chip / 'name')}/{file.name}"
                found.append(Integrated(name, lambda file=file: _number(file) / 1e6, clock=clock))  # type: ignore[misc]
            except (OSError, CounterFault) as error:
                out.append(str(error))
    return found, out


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(256).decode(errors="replace").strip()


def _number(path: Path) -> int:
    text = _text(path)
    if not text.isascii() or not text.isdigit():
        raise CounterFault(f"{path}: {text[:40]!r} is no number")
    return int(text)


def _package_sensor(zone: Path) -> Path | None:
    if not _text(zone / "name").endswith("-0"):
        return None
    for sensor in sorted((zone.parent.parent / "thermal").glob("thermal_zone*")):
        try:
            if _text(sensor / "type") == "x86_pkg_temp" and _number(sensor / "temp") > 0:
                return sensor / "temp"
        except (OSError, CounterFault):
            continue
    return None
