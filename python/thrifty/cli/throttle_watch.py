"""``thrifty throttle watch``: readings, their state, and a file for Prometheus."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import typer

from thrifty.cli import common
from thrifty.errors import CounterFault, DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.throttle import Constraint, Watcher

__all__ = ["expected", "watch"]

#: Seconds between writes where the state stays: a file that is replaced costs more than a reading, and is read seldom.
WRITTEN = 10.0
#: Rises with the room's; it is told and not watched.
TOLD = "temperature_c"


def expected(texts: list[str] | None) -> dict[str, float | None]:
    """Read what is expected: latency_s=0.05."""
    found: dict[str, float | None] = {}
    for text in texts or []:
        name, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not sign or not name or not 0 < number < math.inf:
            raise typer.BadParameter(f"--expect '{text}'; a name and a number above 0, as latency_s=0.05")
        if name in found:
            raise typer.BadParameter(f"--expect {name} is there twice")
        found[name] = number
    return found


def watch(
    wanted: dict[str, float | None],
    *,
    read: Path | None,
    constraints: list[Constraint],
    sd: float,
    interval: float,
    readings: int,
    prometheus: Path | None,
    source: str,
    card: int | None,
    as_json: bool,
) -> None:
    """Read until told to stop."""
    from thrifty.device import Meter
    from thrifty.throttle import Watcher
    from thrifty.throttle.live import Live, totals

    if prometheus is not None:
        common.writable(prometheus, "the state")
    meter = Meter(source, card=card)  # type: ignore[arg-type]
    if not meter.counts and read is None:
        why = "; ".join(meter.notes) or "this machine has no counter of energy"
        raise CounterFault(f"there is nothing to watch: {why}; give what a server writes by --from")
    with meter:
        live, begun = Live(meter, read), time.monotonic()
        time.sleep(interval)
        first = live.measure()
        for limit in constraints:
            if limit.name not in first:
                raise DatasetError(
                    f"--constraint {limit.name}: no reading has it; there are {', '.join(first) or 'none'}"
                )
        if not wanted:
            # Learned from readings: there is nothing else to hold them to.
            rising = {TOLD} if read is None else {TOLD, *totals(read)}
            wanted = dict.fromkeys(name for name, value in first.items() if value > 0 and name not in rising)
            if not wanted:
                raise DatasetError(f"{read}: no value above 0 that can stay as it is; there is nothing to watch")
        time.sleep(interval)
        watcher = Watcher(wanted, live, sd=sd, constraints=constraints)
        if not as_json:
            for text in meter.notes:
                common.note(text)
            typer.echo(f"watching {', '.join(wanted)}{'; joules by ' + meter.source if meter.counts else ''}")
        limits = [limit.name for limit in constraints]
        state, written = "", -math.inf
        while True:
            watcher.step()
            tell(watcher, limits, time.monotonic() - begun, meter.source, as_json)
            last = watcher.readings == readings
            if prometheus is not None and (last or watcher.state != state or time.monotonic() - written >= WRITTEN):
                write(watcher, prometheus)
                state, written = watcher.state, time.monotonic()
            if last:
                return
            # From the begin on, so that readings do not fall behind by what they take.
            time.sleep(max(0.0, interval - (time.monotonic() - begun) % interval))


def tell(watcher: Watcher, limits: list[str], seconds: float, source: str, as_json: bool) -> None:
    """Print a reading."""
    values = {name: value for name, value in watcher.values.items() if math.isfinite(value)}
    if as_json:
        told = {"seconds": round(seconds, 3), "state": watcher.state, "reason": watcher.reason, "source": source}
        common.emit({**told, "values": values, "expected": watcher.expected, "levels": watcher.levels})
        return
    text = ", ".join(
        f"{name} {value:.4g}" for name, value in values.items() if name in {*watcher.levels, *limits, TOLD}
    )
    typer.echo(f"{seconds:>9.1f} s  {watcher.state:<6}  {text}{'  ' + watcher.reason if watcher.reason else ''}")


def write(watcher: Watcher, path: Path) -> None:
    """Replace the file that a collector reads."""
    from thrifty.throttle.prometheus import prometheus

    with common.replaced(path, lasting=False) as file:
        file.write(prometheus(watcher))
