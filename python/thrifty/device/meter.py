"""A meter: what the machine's counters of energy, or its processors' time, tell about a piece of work."""

from __future__ import annotations

import os
import resource
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

from thrifty.device.sources import Found, Source, find
from thrifty.errors import CounterFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thrifty.device.counters import Counter

__all__ = ["CPU_SECONDS", "Meter", "Reading"]

#: What is printed where there are no joules.
CPU_SECONDS = "CPU-seconds of the process and its children"


@dataclass(frozen=True)
class Reading:
    """Monotonic seconds, joules since the meter was entered (None where nothing counts them), CPU-seconds."""

    seconds: float
    joules: float | None
    cpu_seconds: float


class Meter:
    """Counters of energy of this machine, read together.

    Enter it, so that counters that wrap and powers that must be summed up are read often enough by a thread.

    Parameters
    ----------
    source : {"auto", "rapl", "nvml", "nvml-power", "hwmon", "cpu"}
        ``auto`` takes what counts: processor packages (RAPL) and cards (NVML), else powers of the kernel's monitoring
        chips, else CPU-seconds, which are no joules and are called by their name. ``nvml-power`` sums up a card's power
        instead of reading its total.
    card : int or str, optional
        One card alone, by its number or UUID.
    root : path, optional
        Of sysfs; ``THRIFTY_SYSFS_ROOT``, or /sys.
    library : str, optional
        NVIDIA's management library, another than the driver's.
    counters : sequence of Counter, optional
        Counters of yours; the sources above are left aside.
    clock, sleep : callable
        Monotonic seconds, and what waits.

    Attributes
    ----------
    source : str
        Names of what counts, as they are printed with the joules.
    counts : bool
        Whether there are joules.
    notes : list of str
        What could not be read and why; what was replaced.

    Raises
    ------
    ValueError
        For an unknown source or card.
    CounterFault
        Where the source that was asked for is not there; the message says why.

    Examples
    --------
    >>> with Meter("cpu") as meter:
    ...     before = meter.read()
    ...     _ = sum(range(100_000))
    ...     after = meter.read()
    >>> after.joules is None and after.cpu_seconds > before.cpu_seconds
    True
    """

    def __init__(
        self,
        source: Source = "auto",
        *,
        card: int | str | None = None,
        root: str | os.PathLike[str] | None = None,
        library: str | None = None,
        counters: Sequence[Counter] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.clock, self.sleep = clock, sleep
        path = Path(root or os.environ.get("THRIFTY_SYSFS_ROOT") or "/sys")
        found = Found(list(counters or []))
        if counters is None:
            found = find(source, card=card, root=path, library=library, clock=clock)
        self.notes, self._counters, self._twins = found.notes, found.counters, found.twins
        self._steps: dict[str, float] = {}
        self._lock = threading.RLock()
        self._depth, self._stop = 0, threading.Event()
        self._thread: threading.Thread | None = None
        self._fault: CounterFault | None = None
        self._broken = ""

    @property
    def source(self) -> str:
        """Names of what counts."""
        return " + ".join(counter.name for counter in self._counters) or CPU_SECONDS

    @property
    def counts(self) -> bool:
        """Whether there are joules."""
        return bool(self._counters)

    def __enter__(self) -> Self:
        """Begin to count, unless it does already."""
        if self._depth == 0:
            self._begin()
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Stop counting where this was the outermost."""
        self._depth -= 1
        if self._depth == 0:
            self._end()

    def _begin(self) -> None:
        self._fault = None
        self._counters = [counter.again() for counter in self._counters]
        periods = [counter.period for counter in self._counters if counter.period is not None]
        if periods:
            self._stop = threading.Event()
            arguments = (min(periods), self._stop)
            self._thread = threading.Thread(target=self._keep_reading, args=arguments, daemon=True)
            self._thread.start()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _keep_reading(self, period: float, stop: threading.Event) -> None:
        while not stop.wait(period):
            with self._lock:
                try:
                    self._joules()
                except CounterFault as fault:
                    self._fault = fault
                    return

    def _joules(self) -> float | None:
        return sum(self._read(counter) for counter in self._counters) if self._counters else None

    def _read(self, counter: Counter) -> float:
        """Read one, and remember which one fails."""
        try:
            return counter.joules()
        except CounterFault:
            self._broken = counter.name
            raise
        except OSError as error:
            self._broken = counter.name
            raise CounterFault(f"{error.filename}: {error.strerror}") from None

    def read(self) -> Reading:
        """Return what is counted by now.

        Raises
        ------
        CounterFault
            Where a counter tells what can't be, or nothing.
        RuntimeError
            Outside of ``with``.
        """
        if self._depth == 0:
            raise RuntimeError("meter: it is read inside 'with meter:' alone")
        with self._lock:
            if self._fault is not None:
                raise self._fault
            joules = self._joules()
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = time.process_time() + children.ru_utime + children.ru_stime
            return Reading(self.clock(), joules, spent)

    def watts(self) -> float | None:
        """Return the power of now, where every counter can tell it."""
        with self._lock:
            powers = [_told(counter.watts) for counter in self._counters]
        known = [power for power in powers if power is not None]
        return sum(known) if known and len(known) == len(powers) else None

    def celsius(self) -> float | None:
        """Return the highest temperature that counters tell."""
        with self._lock:
            told = [_told(counter.celsius) for counter in self._counters]
        return max((one for one in told if one is not None), default=None)

    def step(self) -> float:
        """Return how many seconds pass between changes of the slowest counter; 0 where CPU-seconds are read.

        Counters that don't say it are polled until they have changed some times.
        """
        slowest = 0.0
        for counter in self._counters:
            known = counter.step if counter.step is not None else self._steps.get(counter.name)
            if known is None:
                known = self._steps[counter.name] = self._polled(counter)
            slowest = max(slowest, known)
        return slowest

    def _polled(self, counter: Counter) -> float:
        """Return the median time between changes; a counter that stands still is a fault of its own."""
        changes: list[float] = []
        last, begun = None, self.clock()
        while len(changes) < CHANGES and (len(changes) < 2 or self.clock() - begun < LONGEST):
            with self._lock:
                joules = self._read(counter)
            if last is not None and joules != last:
                changes.append(self.clock())
            last = joules
            self.sleep(POLL)
        between = sorted(b - a for a, b in pairwise(changes))
        return between[len(between) // 2]

    def fall_back(self, fault: CounterFault) -> bool:
        """Replace the total that failed last by its card's power, and note why; False where that can't be."""
        twin = self._twins.pop(self._broken, None)
        if twin is None:
            return False
        self._counters = [twin if counter.name == self._broken else counter for counter in self._counters]
        self.notes.append(f"{fault}; power is summed up instead")
        if self._depth:
            self._end()
            self._begin()
        return True


#: Changes of a counter that tell its step, seconds of polling after the second one, and between polls.
CHANGES, LONGEST, POLL = 8, 1.0, 0.0005


def _told(read: Callable[[], float | None]) -> float | None:
    """Return what is good to know and no reason to fail."""
    try:
        return read()
    except (CounterFault, OSError):
        return None
