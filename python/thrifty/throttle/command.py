"""A command as a workload: run for a setting, measured, and read for what it prints."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING, Any

from thrifty.errors import ThriftyError
from thrifty.throttle.group import group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thrifty.device import Meter
    from thrifty.throttle.space import Value

__all__ = ["Command"]

#: Bytes of output that are looked at, from the end.
TAIL = 1 << 16


class Command:
    """Runs a command for a setting and returns what it took.

    Measured are ``seconds``, ``cpu_seconds`` and, where a counter is, ``energy_j``, of a run, or of an item where
    ``items`` says how many a run has; ``latency_p95_s``, the 95th percentile of the runs' seconds; ``power_w``. Where
    the last line that a run prints is a JSON object, its numbers are measured as well, as means over runs, and count
    in the place of those: a server knows its own latency better.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; ``{name}`` of a knob is replaced by its value.
    environment : mapping of str to str
        Variables beside those of this process, replaced alike.
    items : float or str, optional
        How many items a run has: a number, the name of a knob, or of what the command prints.
    timeout : float
        Seconds of a run at most.
    runs, seconds, error, warm : int, float, float, float
        Runs at least, seconds of all at most, relative standard error of the mean that is enough, and seconds of
        warm-up at most, for each setting.
    meter : Meter, optional

    Examples
    --------
    >>> from thrifty.device import Meter
    >>> run = Command(["echo", '{"rows": {batch}}'], runs=2, seconds=0.1, warm=0, meter=Meter("cpu"))
    >>> run({"batch": 8})["rows"]
    8.0
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        items: float | str | None = None,
        timeout: float = 600.0,
        runs: int = 5,
        seconds: float = 30.0,
        error: float = 0.01,
        warm: float = 5.0,
        meter: Meter | None = None,
    ) -> None:
        self.command, self.environment, self.items = list(command), dict(environment or {}), items
        self.timeout, self.runs, self.seconds, self.error, self.warm = timeout, runs, seconds, error, warm
        self.meter = meter

    def about(self) -> dict[str, Any]:
        """Return what must be the same for measurements to be of one kind."""
        return {"command": self.command, "environment": self.environment, "items": self.items}

    def uses(self, name: str) -> bool:
        """Whether a knob is written anywhere."""
        return any(f"{{{name}}}" in text for text in (*self.command, *self.environment.values()))

    def written(self, setting: Mapping[str, Value]) -> tuple[list[str], dict[str, str]]:
        """Return arguments and variables for a setting."""

        def filled(text: str) -> str:
            for name, value in setting.items():
                text = text.replace(f"{{{name}}}", str(value))
            return text

        return [filled(text) for text in self.command], {k: filled(v) for k, v in self.environment.items()}

    def once(self, setting: Mapping[str, Value]) -> dict[str, float]:
        """Run it once, and return the numbers that it prints."""
        arguments, variables = self.written(setting)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
            with group(arguments, env=os.environ | variables, **streams) as process:
                try:
                    process.wait(self.timeout)
                except subprocess.TimeoutExpired:
                    raise TimeoutError(f"{shlex.join(arguments)}: it took longer than {self.timeout:g} s") from None
            if process.returncode:
                said = tail(err).decode(errors="replace").strip().splitlines()
                how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
                raise ThriftyError(f"{shlex.join(arguments)}: it ended with {how}{': ' + said[-1] if said else ''}")
            return printed(tail(out))

    def __call__(self, setting: Mapping[str, Value]) -> dict[str, float]:
        """Run it again and again, and return what a run takes."""
        from thrifty.device import measure

        told: list[dict[str, float]] = []
        found = measure(
            lambda: told.append(self.once(setting)),
            meter=self.meter,
            error=self.error,
            min_reps=self.runs,
            max_seconds=self.seconds,
            window=0.0,
            warm=self.warm,
        )
        told = told[-found.n :]
        said = {
            name: sum(one[name] for one in told) / len(told) for name in told[-1] if all(name in one for one in told)
        }
        items = self._items(setting, said)
        measured = {"seconds": float(found.latency_s.mean()) / items, "cpu_seconds": found.cpu_seconds / items}
        measured["latency_p95_s"] = float(sorted(found.latency_s)[math.ceil(0.95 * found.n) - 1])
        if found.energy_j is not None and found.power_w is not None:
            measured |= {"energy_j": found.energy_j / items, "power_w": found.power_w}
        if self.items is not None:
            measured["items"] = items
        return measured | said

    def _items(self, setting: Mapping[str, Value], said: Mapping[str, float]) -> float:
        if self.items is None:
            return 1.0
        value: Any = self.items
        if isinstance(value, str):
            value = setting.get(value, said.get(value))
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ThriftyError(
                f"items: {self.items} is {value!r}; it must be a number above 0, a knob or what is printed"
            )
        return float(value)


def tail(file: IO[bytes]) -> bytes:
    """Return the end of what was written to a file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    return file.read()


def printed(output: bytes) -> dict[str, float]:
    """Return the numbers of the last line, where that is a JSON object."""
    lines = output.decode(errors="replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    numbers = {k: v for k, v in found.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}
