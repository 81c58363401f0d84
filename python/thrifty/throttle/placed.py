"""A device under a search: set where a setting differs from what was found, and read while work runs."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thrifty.throttle.device import Device
    from thrifty.throttle.space import Knob, Value

__all__ = ["Placed"]

#: Seconds between readings while work runs.
PERIOD = 0.25


class Placed:
    """Sets a device for one setting after the other; leaves it as it was found.

    A knob at the device's default is not set: what was found may be a range of clocks, which a setting would pin.

    Parameters
    ----------
    device : Device or None
        None where all knobs are the workload's.
    knobs : sequence of Knob
        Of the search; those of the device are its own.
    """

    def __init__(self, device: Device | None, knobs: tuple[Knob, ...]) -> None:
        self.device = device
        searched = {knob.name for knob in knobs}
        # What was found is the device's default; a search may begin elsewhere.
        own = [] if device is None else device.knobs()
        self._found = {knob.name: knob.default for knob in own if knob.name in searched}
        self._set: set[str] = set()

    def set(self, setting: Mapping[str, Value]) -> None:
        """Set what differs from what was found, and put back the rest."""
        if self.device is None:
            return
        wanted = {name: setting[name] for name, found in self._found.items() if setting[name] != found}
        if self._set - set(wanted):
            self.device.restore()
            self._set.clear()
        if wanted:
            self._set |= set(wanted)
            self.device.apply(wanted)

    @contextmanager
    def at_work(self) -> Iterator[dict[str, Value]]:
        """Read clocks meanwhile; what is yielded then holds the most that each was at, where a device tells."""
        effective: dict[str, Value] = {}
        if self.device is None or not self._set:
            yield effective
            return
        stop, most = threading.Event(), dict[str, float]()

        def look() -> None:
            while not stop.wait(PERIOD):
                self._look(most)

        thread = threading.Thread(target=look, name="thrifty-clocks", daemon=True)
        thread.start()
        try:
            yield effective
        finally:
            stop.set()
            thread.join()
            effective |= most

    def _look(self, most: dict[str, float]) -> None:
        try:
            reading = self.device.read() if self.device is not None else {}
        except Exception:  # a reading that fails is one less; setting tells what is wrong
            return
        if "idle" in str(reading.get("clock_limits", "")):
            return  # a card lowers its clocks by itself then, which says nothing of a cap
        for name in self._set:
            value = reading.get(name.replace("_mhz", "_now_mhz"), reading.get(name))
            if isinstance(value, (int, float)) and value > 0:
                most[name] = max(most.get(name, 0.0), value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.device is not None:
            self.device.restore()
