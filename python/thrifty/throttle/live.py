"""What can be read of a machine and of a server on it while they work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thrifty.errors import CounterFault, DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.device import Meter

__all__ = ["Live", "metrics", "totals"]

#: Bytes of a file of metrics that are read at most.
MOST = 1 << 20
#: Ends of names of what only ever rises.
RISING = ("_total", "_count", "_sum", "_bucket")


class Live:
    """Mean power since the last reading, temperature, and the values of a file of metrics.

    Parameters
    ----------
    meter : Meter
        Entered.
    path : path, optional
        Written by somebody else; read anew each time. Once it was read, its values are left out where it is missing
        or half written, which passes.
    """

    def __init__(self, meter: Meter, path: Path | None = None) -> None:
        self._meter, self._path = meter, path
        self._last = meter.read()
        self._was_read = False

    def measure(self) -> dict[str, float]:
        """Return values by name; ``power_w`` and ``temperature_c`` where there are counters of them.

        Raises
        ------
        CounterFault
            Where a counter tells what can't be and no power can take its place.
        OSError, DatasetError
            Where the file can't be read for the first time.
        """
        try:
            now = self._meter.read()
        except CounterFault as fault:
            if not self._meter.fall_back(fault):
                raise
            now = self._last = self._meter.read()
        values = {} if self._path is None else self._metrics(self._path)
        if now.joules is not None and self._last.joules is not None and now.seconds > self._last.seconds:
            values["power_w"] = (now.joules - self._last.joules) / (now.seconds - self._last.seconds)
        celsius = self._meter.celsius()
        if celsius is not None:
            values["temperature_c"] = celsius
        self._last = now
        return values

    def _metrics(self, path: Path) -> dict[str, float]:
        try:
            found = metrics(path)
        except (OSError, DatasetError):
            if not self._was_read:
                raise
            return {}
        self._was_read = True
        return found


def metrics(path: Path) -> dict[str, float]:
    """Read lines of a name (with its labels), a value and perhaps a time, as Prometheus writes them.

    Raises
    ------
    DatasetError
        For more than a megabyte, or a line that is none; the message names file and line.
    """
    found: dict[str, float] = {}
    for number, line in enumerate(_lines(path), 1):
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


def totals(path: Path) -> set[str]:
    """Return the names of a file of metrics that only ever rise, by what it says of them or by their ends."""
    words = [line.split() for line in _lines(path)]
    said = {one[2] for one in words if one[:2] == ["#", "TYPE"] and one[3:] == ["counter"]}
    bare = {name: name.partition("{")[0] for name in metrics(path)}
    return {name for name, plain in bare.items() if plain in said or plain.endswith(RISING)}


def _lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise DatasetError(f"{path}: more than {MOST:,} bytes; a file of metrics is small")
    return data.decode(errors="replace").splitlines()
