"""``thrifty throttle``: settings of least energy under limits."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common, throttle_devices, throttle_tune

if TYPE_CHECKING:
    from thrifty.throttle import Replay, Tuner

__all__ = ["app"]

app = typer.Typer(help="Find the settings that take the least energy under a latency limit.", no_args_is_help=True)


class Source(StrEnum):
    """What counts joules."""

    auto = "auto"
    rapl = "rapl"
    nvml = "nvml"
    nvml_power = "nvml-power"
    hwmon = "hwmon"
    cpu = "cpu"


@app.callback()
def throttle() -> None:
    """Find the settings that take the least energy under a latency limit."""


app.command()(throttle_devices.devices)
app.command()(throttle_devices.apply)
app.command()(throttle_devices.restore)
app.command()(throttle_tune.tune)
app.command()(throttle_tune.report)


@app.command()
def replay(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.csv", help="Settings that were measured, with a line of names.")
    ],
    knobs: Annotated[list[str], typer.Option("--knob", metavar="COLUMN", help="What can be set; may repeat.")],
    objective: Annotated[str, typer.Option("--objective", metavar="COLUMN", help="What is to be least.")],
    constraints: Annotated[
        list[str] | None,
        typer.Option("--constraint", metavar='"COLUMN<=VALUE"', help="A limit to keep; may repeat."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Only these lines of the table; may repeat."),
    ] = None,
    default: Annotated[
        list[str] | None,
        typer.Option(
            "--default", metavar="COLUMN=VALUE", help="Of a knob, asked first; may repeat.  [default: the largest]"
        ),
    ] = None,
    prior: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv[:COLUMN=VALUE,...]",
            help="What another device measured, with the same columns; after a colon, which lines, instead of --where.",
        ),
    ] = None,
    evaluations: Annotated[int, typer.Option("--evaluations", min=1, help="Settings to ask for at most.")] = 20,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many searches, from --seed on.")] = 1,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Tune over a table of measurements that were made before, as if the device were here."""
    from thrifty.throttle import Constraint, Replay

    limits = [Constraint(*limit(text)) for text in constraints or []]
    measured = list(dict.fromkeys([objective, *(constraint.name for constraint in limits)]))
    lines = common.pairs("--where", where)
    found = Replay(table, knobs, measured, where=lines, default=dict(common.pairs("--default", default)))
    before = None if prior is None else read_prior(prior, knobs, measured, lines)
    optimum = found.measure(found.best(objective, limits))[objective]
    if not json_:
        print_heads(knobs, objective)
    for one in range(seed, seed + seeds):
        tuner = found.tune(objective, limits, evaluations=evaluations, seed=one, prior=before)
        if json_:
            common.emit(told(tuner, one))
        else:
            print_one(tuner, one, optimum)


def limit(text: str) -> tuple[str, float]:
    """Read a limit: time_s<=0.5."""
    name, sign, value = text.partition("<=")
    try:
        upper = float(value)
    except ValueError:
        upper = math.nan
    if not sign or not name.strip() or not upper > 0:
        raise typer.BadParameter(f"--constraint '{text}'; a column and a number above 0, as \"time_s<=0.5\"")
    return name.strip(), upper


def read_prior(text: Path, knobs: list[str], measured: list[str], where: dict[str, str]) -> Replay:
    """Read what --prior names: a file, and after a colon which of its lines.

    Without a colon they are those of --where, as far as the file has such lines: another device is called otherwise.
    """
    from thrifty.errors import DatasetError
    from thrifty.throttle import Replay
    from thrifty.throttle.replay import read_lines

    path, colon, chosen = str(text).rpartition(":")
    if colon and "=" in chosen and not text.exists():
        return Replay(path, knobs, measured, where=common.pairs("--prior", chosen.split(",")))
    kept: dict[str, str] = {}
    for name, value in where.items():
        try:
            read_lines(text, [name], kept | {name: value})
        except DatasetError:
            common.note(f"--prior {text}: no line with {name} = {value} there; that condition is left out")
        else:
            kept[name] = value
    return Replay(text, knobs, measured, where=kept)


def told(tuner: Tuner, seed: int) -> dict[str, Any]:
    """Say what a search did, for programs."""
    best = tuner.best
    return {
        "seed": seed,
        "asked": [evaluation.setting for evaluation in tuner.evaluations],
        "best": None if best is None else best.setting,
        "violations": tuner.violations,
        "energy": sum(evaluation.measured[tuner.objective] for evaluation in tuner.evaluations),
    }


HEAD = "{:>6}  {:>6}  {:>10}  {:>12}  {}"


def print_heads(knobs: list[str], objective: str) -> None:
    """Name the columns of what :func:`print_one` writes."""
    typer.echo(HEAD.format("seed", "asked", "violations", "over optimum", f"best {', '.join(knobs)} by {objective}"))


def print_one(tuner: Tuner, seed: int, optimum: float) -> None:
    """Write a search as a line."""
    best = tuner.best
    if best is None:
        over, setting = "none kept", "-"
    else:
        over = f"{best.measured[tuner.objective] / optimum - 1:.1%}"
        setting = ", ".join(f"{name} {value}" for name, value in best.setting.items())
        setting += f": {best.measured[tuner.objective]:,.6g}"
    typer.echo(HEAD.format(seed, len(tuner), tuner.violations, over, setting))


@app.command(context_settings={"allow_interspersed_args": False})
def measure(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run; it must end with 0.")],
    repeat: Annotated[
        int | None,
        typer.Option(
            "--repeat",
            min=1,
            help="Runs; more by turns where a counter is slow.  [default: until the error is 1 %, or a minute]",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar='"COMMAND"', help="Run this one by turns, and tell the saving."),
    ] = None,
    warm: Annotated[float, typer.Option("--warm-up", min=0, help="Seconds of runs that are not counted.")] = 5.0,
    source: Annotated[Source, typer.Option("--source", help="What counts the joules.")] = Source.auto,
    card: Annotated[int | None, typer.Option("--card", min=0, help="Count this card alone.")] = None,
    json_: common.Json = False,
) -> None:
    """Measure the joules (or CPU-seconds, where nothing counts joules), watts and seconds of a command."""
    from thrifty.cli import throttle_measure

    throttle_measure.measure(
        command, repeat=repeat, against=against, warm=warm, source=source.value, card=card, as_json=json_
    )


@app.command()
def watch(
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="NAME=VALUE", help="What was measured of the setting; may repeat."),
    ] = None,
    read: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Lines of names and values, as Prometheus has them.")
    ] = None,
    constraints: Annotated[
        list[str] | None, typer.Option("--constraint", metavar='"NAME<=VALUE"', help="A limit to keep; may repeat.")
    ] = None,
    sd: Annotated[float, typer.Option("--sd", min=1e-6, help="Noise of readings, as a share of them.")] = 0.02,
    interval: Annotated[
        float, typer.Option("--interval", min=0.01, callback=common.waitable, help="Seconds between readings.")
    ] = 1.0,
    readings: Annotated[int, typer.Option("--readings", min=0, help="End after so many; 0 for never.")] = 0,
    prometheus: Annotated[
        Path | None,
        typer.Option("--prometheus", metavar="FILE", help="Write the state there, every 10 s at least."),
    ] = None,
    source: Annotated[Source, typer.Option("--source", help="What counts the joules.")] = Source.auto,
    card: Annotated[int | None, typer.Option("--card", min=0, help="Count this card alone.")] = None,
    json_: common.Json = False,
) -> None:
    """Watch whether power, and what a server tells of itself, stay as they were measured: ok, over, drift or retune."""
    from thrifty.cli import throttle_watch
    from thrifty.throttle import Constraint

    throttle_watch.watch(
        throttle_watch.expected(expect),
        read=read,
        constraints=[Constraint(*limit(text)) for text in constraints or []],
        sd=sd,
        interval=interval,
        readings=readings,
        prometheus=prometheus,
        source=source.value,
        card=card,
        as_json=json_,
    )
