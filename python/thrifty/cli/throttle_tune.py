"""``thrifty throttle tune`` and ``report``: a search over a real workload, and what became of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.throttle_devices import listed, put_back_first
from thrifty.errors import CounterFault, FormatError, NotPermitted, ResumeMismatch, ThriftyError

if TYPE_CHECKING:
    from thrifty.device import Meter
    from thrifty.throttle import Device, Evaluation, Knob, Tuner
    from thrifty.throttle.space import Value
    from thrifty.throttle.spec import Spec

    Measured = dict[str, float]

__all__ = ["report", "tune"]


def tune(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC.toml", help="Objective, knobs, limits, command; docs/formats.md.")
    ],
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=1, help="Settings to measure at most.")
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option("--max-slowdown", min=1.0, metavar="TIMES", help="A limit on seconds, in those of the default."),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option("--confirm", min=0, metavar="ROUNDS", help="Of default and best by turns at the end; 0: none."),
    ] = 4,
    out: Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write a report there.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    json_: common.Json = False,
) -> None:
    """Find the setting of least energy (or what the file names) within its limits; the same command goes on."""
    from thrifty.device import Meter
    from thrifty.throttle.spec import read_spec

    if not dry_run:
        put_back_first()
        if out is not None:
            common.writable(out, "the report", folder=True)
    wanted = read_spec(spec)
    slowdown = max_slowdown or wanted.max_slowdown
    knobs, device = knobs_of(wanted)
    meter = Meter()
    if wanted.objective in ("energy_j", "power_w") and not meter.counts:
        why = "; ".join(meter.notes) or "there is no counter"
        raise CounterFault(f'{spec}, objective: nothing here counts joules: {why}; write objective = "cpu_seconds"')
    wanted.command.meter = meter
    if dry_run:
        plan(wanted, knobs, device, meter)
        return
    about = {**wanted.command.about(), "counted_by": meter.source, "max_slowdown": slowdown}
    tuner, known = prepared(wanted, knobs, device, about)

    def work(setting: dict[str, Value]) -> Measured:
        # The default was measured already where a limit is so many times its seconds.
        found = known.pop() if known and not len(tuner) else wanted.command(setting)
        for name in (wanted.objective, *(limit.name for limit in tuner.constraints)):
            if name not in found:
                there = ", ".join(found)
                raise FormatError(f"{spec}: {name} is neither measured nor printed by the command; there are {there}")
        return found

    if not json_:
        head(tuner)
    why = tuner.run(
        work,
        device,
        evaluations=evaluations or wanted.evaluations,
        seconds=wanted.seconds,
        energy_j=wanted.energy_j,
        record=wanted.record,
        about=about,
        progress=None if json_ else lambda evaluation: line(tuner, evaluation),
    )
    best = tuner.recommend()
    assert best is not None  # run raises where nothing keeps the limits
    saving = confirmed(wanted, tuner, device, best, meter, rounds)
    if json_:
        common.emit(told(tuner, best, why, saving, meter, wanted.record))
    else:
        show(tuner, best, why, saving, meter, wanted.record)
    if out is not None:
        write(tuner, out, meter.source)


def knobs_of(spec: Spec) -> tuple[list[Knob], Device | None]:
    """Return the knobs of a file, and the devices that have some of them; the others are the command's."""
    from thrifty.throttle import Joined, Knob, find

    names = [knob["name"] for knob in spec.knobs]
    found, absent = find() if any(not spec.command.uses(name) for name in names) else ([], [])
    there = {knob.name: (knob, device) for device in found for knob in device.knobs()}
    knobs, used, refused = [], [], []
    for number, given in enumerate(spec.knobs, 1):
        place, name = f"{spec.path}, knob {number}", given["name"]
        if spec.command.uses(name):
            if "values" not in given:
                raise FormatError(f"{place}: {name}: values is missing; only knobs of devices may have none")
            arguments = given
        elif name in there:
            own, device = there[name]
            arguments = {"values": list(own.values), "unit": own.unit, "default": own.default, **given}
            unknown = [value for value in arguments["values"] if value not in own.values]
            if unknown:
                raise FormatError(
                    f"{place}: {name} of {device.id} can't be {unknown[0]}; it can be {listed(own.values)}"
                )
            if arguments["default"] not in arguments["values"]:
                raise FormatError(f"{place}: {name} is {own.default} now, which is none of the values; add it")
            used += [] if device in used else [device]
            if not (permission := device.can_set(name)):
                refused.append(f"{device.id}: {name}: {permission}")
        else:
            why = "; ".join(absent)
            raise FormatError(
                f"{place}: {name} is neither in the command, as {{{name}}}, nor a knob of a device: {why}"
            )
        try:
            knobs.append(Knob(**arguments))
        except (TypeError, ValueError) as error:
            raise FormatError(f"{place}: {error}") from None
    if refused:
        raise NotPermitted("; ".join(refused))
    return knobs, Joined(used) if used else None


def prepared(
    spec: Spec, knobs: list[Knob], device: Device | None, about: dict[str, Any]
) -> tuple[Tuner, list[Measured]]:
    """Return the tuner, and what the default took where that was measured to know a limit."""
    from thrifty.throttle import Constraint, Space, Tuner
    from thrifty.throttle.record import read

    limits, known, slowdown = list(spec.constraints), [], about["max_slowdown"]
    if slowdown is not None:
        if any(limit.name == "seconds" for limit in limits):
            raise FormatError(f"{spec.path}: seconds has a constraint; leave that or max_slowdown out")
        if spec.record.exists() and spec.record.stat().st_size:
            head, _ = read(spec.record)
            before = (head["about"] or {}).get("max_slowdown")
            if before != slowdown:
                raise ResumeMismatch(
                    f"{spec.record}: max_slowdown of the search in it is {before}, here it is {slowdown};"
                    " start with another file"
                )
            limits += [limit for limit in head["constraints"] if limit.name == "seconds"]
        else:
            common.writable(spec.record, "the search")
            space = Space(knobs)
            known = [spec.command(space.setting(space.default()))]
            limits.append(Constraint("seconds", slowdown * known[0]["seconds"]))
    try:
        rows = spec.prior_rows([limit.name for limit in limits])
        tuner = Tuner(knobs, spec.objective, limits, seed=spec.seed, groups=spec.groups, prior=rows)
    except ValueError as error:
        raise FormatError(f"{spec.path}: {error}") from None
    return tuner, known


def confirmed(
    spec: Spec, tuner: Tuner, device: Device | None, best: Evaluation, meter: Meter, rounds: int
) -> dict[str, float] | None:
    """Return what the best saves an item against the default, by turns; None where there is nothing to compare."""
    from thrifty.device import compare
    from thrifty.throttle.placed import Placed

    first = tuner.evaluations[0]
    if rounds == 0 or first.failed or first.setting == best.setting:
        return None
    with Placed(device, tuner.space.knobs) as placed:

        def runs(setting: dict[str, Value]) -> None:
            placed.set(setting)
            spec.command.once(setting)

        try:
            found = compare(
                lambda: runs(first.setting),
                lambda: runs(best.setting),
                meter=meter,
                rounds=max(rounds, 2),
                window=0.0,
                calls=1,
                warm=0.0,
            )
        except (ThriftyError, OSError) as fault:
            common.note(f"default and best could not be compared: {fault}")
            return None
    # Runs may have different numbers of items.
    more = first.measured.get("items", 1.0) / best.measured.get("items", 1.0)
    shares = {"share": found.share, "low": found.low, "high": found.high}
    return {name: 1 - (1 - share) * more for name, share in shares.items()}


def plan(spec: Spec, knobs: list[Knob], device: Device | None, meter: Meter) -> None:
    """Say what a search would do."""
    from thrifty.throttle import Space

    space = Space(knobs)
    default = space.setting(space.default())
    command, variables = spec.command.written(default)
    rows = [("settings", f"{len(space):,}, at most {spec.evaluations} are measured")]
    own = set() if device is None else {knob.name for knob in device.knobs()}
    for knob in knobs:
        where = "set on the device" if knob.name in own else "in the command"
        rows.append((knob.name, f"{listed(knob.values)} {knob.unit}; {knob.default} first; {where}"))
    rows += [(limit.name, f"at most {limit.upper:g}") for limit in spec.constraints]
    first = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join(command)])
    rows += [("first", first), ("counted by", meter.source), ("record", str(spec.record))]
    common.table(f"{spec.path}: nothing was set, run or written", rows)


def head(tuner: Tuner) -> None:
    """Name the columns of :func:`line`."""
    limits = [limit.name for limit in tuner.constraints if limit.name != tuner.objective]
    typer.echo(f"{'':>4}  {tuner.objective:>14}  {'  '.join(f'{name:>14}' for name in limits)}  setting")


def line(tuner: Tuner, evaluation: Evaluation) -> None:
    """Print an evaluation."""
    setting = ", ".join(f"{name} {value}" for name, value in evaluation.setting.items())
    if evaluation.failed:
        typer.echo(f"{len(tuner):>4}  failed: {evaluation.failed}  {setting}")
        return
    names = [tuner.objective, *(limit.name for limit in tuner.constraints if limit.name != tuner.objective)]
    values = "  ".join(f"{evaluation.measured[name]:>14.5g}" for name in names)
    mark = "over a limit" if not evaluation.feasible else "least so far" if evaluation is tuner.best else ""
    typer.echo(f"{len(tuner):>4}  {values}  {setting}  {mark}".rstrip())


def told(
    tuner: Tuner, best: Evaluation, why: str, saving: dict[str, float] | None, meter: Meter, record: Path
) -> dict[str, Any]:
    """Say what a search came to, for programs."""
    return {
        "best": best.setting,
        "measured": best.measured,
        "default": tuner.evaluations[0].setting,
        "evaluations": len(tuner),
        "violations": tuner.violations,
        "stopped": why,
        "limits": {limit.name: limit.upper for limit in tuner.constraints},
        "saving": saving,
        "counted_by": meter.source,
        "record": str(record),
    }


def show(tuner: Tuner, best: Evaluation, why: str, saving: dict[str, float] | None, meter: Meter, record: Path) -> None:
    """Print what a search came to."""
    rows = [(name, f"{value}") for name, value in best.setting.items()]
    rows += [(name, f"{value:.5g}") for name, value in best.measured.items()]
    if saving is not None:
        text = f"{saving['share']:.1%} (95 %: {saving['low']:.1%} to {saving['high']:.1%})"
        what = "joules" if meter.counts else "CPU-seconds"
        rows.append(("saves against the default", f"{text} of {what}, by turns"))
    elif best.setting == tuner.evaluations[0].setting:
        rows.append(("saves against the default", "nothing: the default is the best"))
    rows += [("ended", f"{why}, {len(tuner)} settings"), ("counted by", meter.source), ("record", str(record))]
    common.table("to keep", rows)


def report(
    record: Annotated[Path, typer.Argument(metavar="RECORD.jsonl", help="What tune wrote.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the report.")] = Path("throttle-report"),
    json_: common.Json = False,
) -> None:
    """Write report.html and results.json of a search: convergence, trade-offs, and what is believed of the rest."""
    from thrifty.throttle import Tuner
    from thrifty.throttle.record import read

    arguments, evaluations = read(record)
    if not evaluations:
        raise ThriftyError(f"{record}: nothing was measured yet")
    warm = arguments.pop("prior_key") is not None
    about = arguments.pop("about") or {}
    tuner = Tuner(**arguments)
    for one in evaluations:
        tuner.retell(one)
    if warm:
        common.note(f"{record}: its search knew another device's table; what the page says is believed does not")
    page = write(tuner, out, str(about.get("counted_by") or ""))
    if json_:
        common.emit({"report": str(page), "evaluations": len(tuner)})
    else:
        typer.echo(f"{page}: {len(tuner)} settings")


def write(tuner: Tuner, out: Path, source: str) -> Path:
    """Write a report."""
    from thrifty.report import write as written
    from thrifty.throttle.page import section

    return written(out, "A search", [section(tuner, source)])
