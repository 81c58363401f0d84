"""What can be read of a machine and of a server on it while they work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.errors import CounterFault, DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.device import Meter

__all__ = ["Live", "metrics"]

#: Bytes of a file of metrics that are read at most.
MOST = 1 << 20


class Live:
    """Mean power since the last reading, temperature, and the values of a file of metrics.

    Parameters
    ----------
    meter : Meter
        Entered.
    path : path, optional
        Written by somebody else; read anew each time.
    """

    def __init__(self, meter: Meter, path: Path | None = None) -> None:
        self._meter, self._path = meter, path
        self._last = meter.read()

    def measure(self) -> dict[str, float]:
        """Return values by name; ``power_w`` and ``temperature_c`` where there are counters of them.

        Raises
        ------
        CounterFault
            Where a counter tells what can't be and no power can take its place.
        OSError, DatasetError
            Where the file can't be read.
        """
        try:
            now = self._meter.read()
        except CounterFault as fault:
            if not self._meter.fall_back(fault):
                raise
            now = self._last = self._meter.read()
        values = {} if self._path is None else metrics(self._path)
        if now.joules is not None and self._last.joules is not None and now.seconds > self._last.seconds:
            values["power_w"] = (now.joules - self._last.joules) / (now.seconds - self._last.seconds)
        celsius = self._meter.celsius()
        if celsius is not None:
            values["temperature_c"] = celsius
        self._last = now
        return values


def metrics(path: Path) -> dict[str, float]:
    """Read lines of a name (with its labels), a value and perhaps a time, as Prometheus writes them.

    Raises
    ------
    DatasetError
        For more than a megabyte, or a line that is none; the message names file and line.
    """
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DatasetError(f"{path}: more than {MOST:,} bytes; a file of metrics is small")
    found: dict[str, float] = {}
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, brace, rest = text.partition("{")
        if brace:
            labels, end, rest = rest.rpartition("}")
            name, words = f"{name}{{{labels}}}", rest.split() if end else []
        else:
            name, *words = text.split()
        try:
            found[name] = float(words[0]) if len(words) in (1, 2) else math.nan
        except ValueError:
            words = []
        if len(words) not in (1, 2):
            raise DatasetError(f"{path}, line {number}: {text[:60]!r} is no name and value")
    return found
