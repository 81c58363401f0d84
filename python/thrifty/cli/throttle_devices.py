"""``thrifty throttle devices``, ``apply`` and ``restore``: what can be set, setting it for a while, putting it back."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.errors import DatasetError, NotPermitted, ThriftyError

if TYPE_CHECKING:
    from thrifty.throttle import Device, Recovered
    from thrifty.throttle.space import Value

    Parts = list[tuple[Device, dict[str, Value]]]

__all__ = ["apply", "devices", "put_back_first", "restore"]

#: Seconds that a process has to put back and end.
PATIENCE = 10.0
MOST_BYTES = 1 << 24


def put_back_first() -> list[Recovered]:
    """Put back what processes left that are gone, and say so; every command that sets or shows devices begins so."""
    from thrifty.throttle import recover

    done = recover()
    for one in done:
        if one.error is not None:
            common.note(str(one.error))
        elif one.outcome == "restored":
            common.note(f"{one.device}: a process that is gone left it changed; {one.values} values are as they were")
    return done


def devices(json_: common.Json = False) -> None:
    """List devices, their knobs, what is set, and what can be set or who refuses it."""
    from thrifty.throttle import find

    put_back_first()
    found, absent = find()
    there: list[tuple[str, Any]] = []
    for device in found:
        try:
            there.append((device.id, told(device) if json_ else rows(device)))
        except (ThriftyError, OSError) as error:  # the others do answer
            absent.append(f"{device.id}: {error}")
    if json_:
        common.emit({"devices": [one for _, one in there], "absent": absent})
        return
    for title, lines in there:
        common.table(title, lines)
    for why in absent:
        common.note(why)


def rows(device: Device) -> list[tuple[str, str]]:
    """Say what a device is, for people."""
    reading = device.read()
    knobs = {knob.name: knob for knob in device.knobs()}
    found = []
    for name in {**reading, **knobs}:
        text = f"{reading.get(name, 'unknown')}"
        if name in knobs:
            text += f" {knobs[name].unit}, of {listed(knobs[name].values)}"
            permission = device.can_set(name)
            text += "; can be set" if permission else f"; can't be set: {permission}"
        found.append((name, text))
    return found


def told(device: Device) -> dict[str, Any]:
    """Say what a device is, for programs."""
    reading = device.read()
    knobs = []
    for knob in device.knobs():
        permission = device.can_set(knob.name)
        knobs.append(
            {
                "name": knob.name,
                "unit": knob.unit,
                "values": list(knob.values),
                "now": reading.get(knob.name),
                "can_set": permission.allowed,
                "refused_by": permission.refused_by or None,
                "fix": permission.fix or None,
            }
        )
    return {"id": device.id, "knobs": knobs, "read": reading}


def listed(values: Any) -> str:
    """Name values, or the ends of many."""
    texts = [str(value) for value in values]
    return ", ".join(texts) if len(texts) <= 8 else f"{texts[0]}, {texts[1]}, ..., {texts[-1]} ({len(texts)})"


def apply(
    best: Annotated[
        Path, typer.Argument(metavar="BEST.json", help='Knobs and values, or what a search printed, with its "best".')
    ],
    device: Annotated[
        list[str] | None, typer.Option("--device", metavar="ID", help="Of these devices only; may repeat.")
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option("--ttl", min=0.001, callback=common.waitable, metavar="SECONDS", help="Put back after so long."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be set, and write nothing.")] = False,
    json_: common.Json = False,
) -> None:
    """Set knobs of devices, and put back what was found after --ttl, at Ctrl-C, or when the command ends otherwise."""
    wanted = setting(best)
    if not dry_run:
        put_back_first()
    parts, ignored = chosen(best, wanted, device)
    for name in ignored:
        common.note(f"{best}: {name} is no knob of a device here; it is left to the workload")
    refused = [
        f"{one.id}: {name}: {permission}"
        for one, part in parts
        for name in part
        if not (permission := one.can_set(name))
    ]
    if dry_run:
        show([(one.id, part, one.read()) for one, part in parts], "would_set", json_)
    if refused:
        raise NotPermitted("; ".join(refused))
    if not dry_run:
        hold(parts, ttl, json_)


def hold(parts: Parts, ttl: float | None, json_: bool) -> None:
    """Set, wait, put back."""
    with ExitStack() as stack, suppress(KeyboardInterrupt):  # Ctrl-C is the usual end
        rows = []
        for one, part in parts:
            stack.callback(one.restore)
            was = one.read()
            rows.append((one.id, one.apply(part), was))
        show(rows, "set", json_)
        sys.stdout.flush()
        threading.Event().wait(ttl)


def show(rows: list[tuple[str, dict[str, Value], dict[str, Value]]], what: str, json_: bool) -> None:
    """Tell knobs of devices: what was there, and what is or would be."""
    told = [
        {"device": device, "knob": name, "was": was.get(name), what: value}
        for device, values, was in rows
        for name, value in values.items()
    ]
    if json_:
        common.emit({what: told})
    else:
        common.table(what.replace("_", " "), [(f"{r['device']} {r['knob']}", f"{r['was']} -> {r[what]}") for r in told])


def setting(path: Path) -> dict[str, Value]:
    """Read knobs and values.

    Raises
    ------
    DatasetError
        Where the file is no object of numbers and names.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: it is no JSON: {error}") from None
    for key in ("best", "setting"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise DatasetError(f'{path}: it has no knobs; they are an object of names and values, alone or as "best"')
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise DatasetError(f"{path}: {name} is {value!r}, neither a number nor a name")
    return found


def chosen(path: Path, wanted: dict[str, Value], ids: list[str] | None) -> tuple[Parts, list[str]]:
    """Return what is wanted of each device, and the names that are knobs of none.

    Raises
    ------
    DatasetError
        Where no device has a knob of any name, or has not the value.
    ValueError
        Where several devices have the knob, or there is no device of an id.
    """
    from thrifty.throttle import find
    from thrifty.throttle.device import check

    found, absent = find()
    for one in ids or []:
        if one not in [device.id for device in found]:
            raise ValueError(f"--device {one}: there is no such device; `thrifty throttle devices` lists them")
    parts: Parts = [(device, {}) for device in found if ids is None or device.id in ids]
    ignored = []
    for name, value in wanted.items():
        having = [(device, part) for device, part in parts if name in [knob.name for knob in device.knobs()]]
        if len(having) > 1 and ids is None:
            raise ValueError(
                f"--device: {' and '.join(device.id for device, _ in having)} have a knob {name}; name one"
            )
        if not having:
            ignored.append(name)
        for device, part in having:
            try:
                check(device.knobs(), {name: value}, device.id)
            except ValueError as error:
                raise DatasetError(f"{path}: {error}") from None
            part[name] = value
    parts = [(device, part) for device, part in parts if part]
    if not parts:
        raise DatasetError(f"{path}: no device here has a knob {' or '.join(wanted)} ({'; '.join(absent)})")
    return parts, ignored


def restore(
    everything: Annotated[
        bool, typer.Option("--all", help="What running processes hold as well: they are ended with SIGTERM.")
    ] = False,
    json_: common.Json = False,
) -> None:
    """Put back what processes left changed that are gone."""
    from thrifty.throttle import recover

    done = recover()
    if everything:
        for one in done:
            if one.outcome == "in use":
                end_owner(one.journal)
        done = [one for one in done if one.outcome != "in use"] + recover()
    if json_:
        common.emit({"journals": [outcome(one) for one in done]})
    elif not done:
        typer.echo("nothing to put back")
    else:
        common.table(
            "restore", [(one.device or one.journal.name, f"{one.outcome}, {one.values} values") for one in done]
        )
    for one in done:
        if one.error is not None:
            raise one.error


def outcome(one: Recovered) -> dict[str, Any]:
    """Say what was done about a journal, for programs."""
    error = None if one.error is None else str(one.error)
    told = {"device": one.device, "journal": str(one.journal), "outcome": one.outcome}
    return {**told, "values": one.values, "error": error}


def end_owner(path: Path) -> None:
    """Have the process that holds a device put it back and end."""
    from thrifty.throttle.journal import Journal

    journal, _ = Journal.read(path)
    if journal is None or not journal.owner.alive():
        return
    if not journal.owner.here():
        raise NotPermitted(
            f"{path}: process {journal.owner.pid} of another container or the host holds it; end it there, then restore"
            " again"
        )
    os.kill(journal.owner.pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    while path.exists() and journal.owner.alive():
        if time.monotonic() > until:
            raise NotPermitted(
                f"{path}: process {journal.owner.pid} did not end by SIGTERM; end it, then restore again"
            )
        time.sleep(0.01)
