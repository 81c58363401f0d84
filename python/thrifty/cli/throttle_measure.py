"""``thrifty throttle measure``: joules, watts and seconds of a command."""

from __future__ import annotations

import math
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import typer

from thrifty.cli import common
from thrifty.errors import ThriftyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.device import Measurement, Saving

__all__ = ["measure"]

#: Repetitions at least, and seconds after which they end, where --repeat says nothing.
LEAST, LONGEST = 5, 60.0


def measure(
    command: list[str],
    *,
    repeat: int | None,
    against: str | None,
    warm: float,
    source: str,
    card: int | None,
    as_json: bool,
) -> None:
    """Measure and tell."""
    from thrifty.device import Meter, compare
    from thrifty.device import measure as measured

    meter = Meter(source, card=card)  # type: ignore[arg-type]
    with common.progress() as callback:
        work = runs(command, repeat, callback)
        if against is None:
            limits = {"min_reps": repeat, "max_reps": repeat} if repeat else {"min_reps": LEAST}
            seconds = math.inf if repeat else LONGEST
            found = measured(work, meter=meter, window=0.0, warm=warm, max_seconds=seconds, **limits)
            saving = None
        else:
            other = split(against)
            rounds = max(2, math.ceil((repeat or LEAST) / 2))
            saving = compare(
                runs(other, repeat, None), work, meter=meter, rounds=rounds, window=0.0, calls=1, warm=warm
            )
            found = saving.b
    if as_json:
        told = {"command": command, **numbers(found)}
        if saving is not None:
            told["against"] = {"command": other, **numbers(saving.a)}
            told["saving"] = {"share": saving.share, "low": saving.low, "high": saving.high}
        common.emit(told)
        return
    show(shlex.join(command), found)
    if saving is not None:
        show(shlex.join(other), saving.a)
        tell_saving(saving)


def split(text: str) -> list[str]:
    """Read a command as a shell would, without one."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"--against '{text}': {error}") from None
    if not words:
        raise typer.BadParameter("--against is empty; give a command")
    return words


def runs(
    command: list[str], repeat: int | None, callback: Callable[[str, int, int], None] | None
) -> Callable[[], None]:
    """Return what runs a command once, to its end; its output goes nowhere, its errors where ours go.

    What it leaves in the background is killed: it would be counted with the next run.
    """
    from thrifty.throttle.group import group

    done = 0

    def run() -> None:
        nonlocal done
        done += 1
        if callback is not None:
            callback("runs, warm-up included", done, max(repeat or 0, done))
        with group(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
            status = process.wait()
        if status:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise ThriftyError(f"{shlex.join(command)}: run {done} {how}; a command that fails can't be measured")

    return run


def numbers(found: Measurement) -> dict[str, Any]:
    """Say a measurement, for programs; what is not known is null."""
    return {
        "runs": found.n,
        "source": found.source,
        "unit": found.unit,
        "energy_j": found.energy_j,
        "cost": mean(found.costs),
        "seconds": mean(found.latency_s),
        "watts": found.power_w,
        "cpu_seconds": found.cpu_seconds,
        "temperature_c": found.temperature_c,
        "notes": list(found.notes),
    }


def mean(values: Any) -> dict[str, float | None]:
    """Return a mean with its 95 % interval."""
    from thrifty.device.windows import interval

    low, high = interval(values)
    known = math.isfinite(low)
    return {"mean": float(values.mean()), "low": low if known else None, "high": high if known else None}


def show(title: str, found: Measurement) -> None:
    """Print a measurement."""
    rows = [
        ("counted by", found.source),
        (f"{found.unit} a run", between(found.costs)),
        ("seconds a run", between(found.latency_s)),
        ("watts", "none" if found.power_w is None else f"{found.power_w:.4g}"),
        ("CPU-seconds a run", f"{found.cpu_seconds:.4g}"),
        ("runs", str(found.n)),
    ]
    if found.temperature_c is not None:
        rows.insert(5, ("temperature", f"{found.temperature_c:.0f} °C"))
    common.table(title, rows)
    for text in found.notes:
        common.note(text)


def between(values: Any) -> str:
    """Print a mean with its interval."""
    found = mean(values)
    if found["low"] is None:
        return f"{found['mean']:.4g}"
    return f"{found['mean']:.4g} (95 %: {found['low']:.4g} to {found['high']:.4g})"


def tell_saving(saving: Saving) -> None:
    """Print a saving, and whether it is one."""
    text = f"{saving.share:.1%} (95 %: {saving.low:.1%} to {saving.high:.1%})"
    if saving.low > 0:
        verdict = "the first command takes less"
    elif saving.high < 0:
        verdict = "the first command takes more"
    else:
        verdict = "no difference can be told"
    common.table("saving by turns (ABBA)", [("saving", text), ("verdict", verdict)])
