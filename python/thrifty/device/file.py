"""Profiles as JSON: written whole, checked number by number when read."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.device.columns import known
from thrifty.device.energy import EnergyLaw, Joules
from thrifty.device.law import Form, Law
from thrifty.device.machine import describe
from thrifty.device.shape import ModelShape, whole
from thrifty.device.timing import Timing
from thrifty.errors import FormatError, MismatchError, MissingExtra

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.device.profile import DeviceProfile

__all__ = ["load", "save"]

FORMAT, VERSION = "thrifty.device-profile", 2
MOST = 10_000
"""Timings that are read at most."""
MOST_NAMES = 64


def save(profile: DeviceProfile, path: str | PathLike[str]) -> None:
    """Write beside the name, sync, rename."""
    values = {
        "format": FORMAT,
        "version": VERSION,
        "device": profile.device,
        "backend": profile.backend,
        "dtype": profile.dtype,
        "threads": profile.threads,
        "versions": profile.versions,
        "mode": profile.mode,
        "notes": list(profile.notes),
        "laws": {"one": _law_out(profile.one), "several": _law_out(profile.several)},
        "timings": [asdict(timing) for timing in profile.timings],
        "energy": None if profile.joules is None else asdict(profile.joules),
    }
    file = Path(path)
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as out:
            out.write(json.dumps(values, indent=1, allow_nan=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def load(path: str | PathLike[str], *, any_device: bool) -> DeviceProfile:
    """Read what :func:`save` wrote; ``DeviceProfile.load`` has what it raises."""
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: no JSON: {error}") from None
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise FormatError(f"{path}: no profile of a device: no format '{FORMAT}'; thrifty scaling calibrate writes one")
    version = given.get("version")
    if isinstance(version, bool) or version not in (1, VERSION):
        raise MismatchError(f"{path}: version {version}, and this thrifty reads versions 1 and {VERSION}")
    try:
        profile = _profile(given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: {type(error).__name__}: {error}; calibrate again") from None
    if not any_device:
        _check_device(path, profile)
    return profile


def _check_device(path: str | PathLike[str], profile: DeviceProfile) -> None:
    """Refuse a profile whose times are not this machine's."""
    candidates = [describe()]
    if profile.backend == "torch":
        try:
            torch: Any = require_torch()
            candidates += [describe(f"cuda:{i}") for i in range(torch.cuda.device_count())]
        except MissingExtra:
            pass
    if profile.device not in candidates:
        here = "; ".join(f"{c['name']} ({c['machine']})" for c in candidates)
        raise MismatchError(
            f"{path}: measured on {profile.device['name']} ({profile.device['machine']}), and here is {here}; "
            "calibrate here, or allow another device's profile (any_device=True, --any-device)"
        )


def _profile(given: dict[str, Any]) -> DeviceProfile:
    from thrifty.device.profile import MODES, DeviceProfile

    if not isinstance(given["timings"], list) or len(given["timings"]) > MOST:
        raise ValueError(f"timings: a list of at most {MOST:,} is needed")
    timings = tuple(_timing(values) for values in given["timings"])
    sizes = {timing.shape.dtype_bytes for timing in timings}
    if len(sizes) != 1:
        raise ValueError(f"timings: dtype_bytes {sorted(sizes)}, one is needed")
    if not any(t.rows == 1 for t in timings) or not any(t.rows > 1 for t in timings):
        raise ValueError("timings: calls of one row and of several are needed")
    threads = given["threads"]
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads: {threads!r}")
    device = _texts("device", given["device"])
    told: dict[str, Any] = {
        "device": {"name": device["name"], "machine": device["machine"]},
        "backend": str(given["backend"]),
        "dtype": str(given["dtype"]),
        "threads": threads,
        "versions": _texts("versions", given["versions"]),
    }
    if given["version"] == 1:
        # Its laws were of other amounts; the timings that they were fitted to are all there.
        return DeviceProfile.fit(timings, **told)
    if given["mode"] not in MODES:
        raise ValueError(f"mode: {given['mode']!r} is none of {', '.join(MODES)}")
    if not isinstance(given["notes"], list) or not all(isinstance(note, str) for note in given["notes"]):
        raise ValueError("notes: a list of texts is needed")
    return DeviceProfile(
        **told,
        dtype_bytes=sizes.pop(),
        timings=timings,
        one=_law_in("one", given["laws"]["one"]),
        several=_law_in("several", given["laws"]["several"]),
        mode=given["mode"],
        joules=None if given["energy"] is None else _energy_in(given["energy"]),
        notes=tuple(given["notes"]),
    )


def _timing(values: dict[str, Any]) -> Timing:
    return Timing(**_call(values), ms=_number("ms", values["ms"]))


def _call(values: dict[str, Any]) -> dict[str, Any]:
    """Return the call of a timing or a reading, and how often it was made; other names are refused."""
    rest = {name: value for name, value in values.items() if name not in ("ms", "joules")}
    return rest | {"shape": ModelShape(**values["shape"]), "calls": whole("calls", values["calls"], 1)}


def _energy_in(given: dict[str, Any]) -> EnergyLaw:
    if not isinstance(given["source"], str) or len(given["readings"]) > MOST:
        raise ValueError(f"energy: a source and at most {MOST:,} readings are needed")
    numbers = {name: _number(f"energy.{name}", given[name]) for name in ("watts", "byte", "operation", "spread")}
    readings = tuple(
        Joules(**_call(one), joules=_number("joules", one["joules"]), ms=_number("ms", one["ms"]))
        for one in given["readings"]
    )
    return EnergyLaw(source=given["source"], **numbers, readings=readings)


def _law_out(law: Law) -> dict[str, Any]:
    told = dict(zip(law.form.names, law.coefficients, strict=True))
    return {"ms": told, "groups": law.form.groups, "join": law.form.join, "spread": law.spread}


def _law_in(what: str, given: dict[str, Any]) -> Law:
    names = tuple(given["ms"])
    wrong = [name for name in names if not known(name)]
    if not names or wrong or len(names) > MOST_NAMES:
        raise ValueError(f"laws.{what}: amounts {wrong or len(names)}, and names of amounts are needed")
    coefficients = tuple(_number(f"laws.{what}.{name}", given["ms"][name]) for name in names)
    if not any(coefficients):
        raise ValueError(f"laws.{what}: all coefficients are 0")
    groups = tuple(tuple(map(str, group)) for group in given["groups"])
    try:
        form = Form(names, groups, _number("join", given["join"]))
    except ValueError as error:
        raise ValueError(f"laws.{what}: {error}") from None
    return Law(form, coefficients, _number(f"laws.{what}.spread", given["spread"]))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {value!r} is no number of at least 0")
    return float(value)


def _texts(name: str, values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        raise ValueError(f"{name}: names and texts are needed")
    return dict(values)
