"""Profiles as JSON: written whole, checked number by number when read."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.device.law import JOINS, ONE, SEVERAL, Law
from thrifty.device.machine import describe
from thrifty.device.shape import ModelShape
from thrifty.device.timing import Timing
from thrifty.errors import FormatError, MismatchError, MissingExtra

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.device.profile import DeviceProfile

__all__ = ["load", "save"]

FORMAT, VERSION = "thrifty.device-profile", 1


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
        "laws": {
            "one": _law_out(profile.one, ONE),
            "several": _law_out(profile.several, SEVERAL),
        },
        "timings": [asdict(timing) for timing in profile.timings],
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
        raise FormatError(f"{path}: no profile of a device: no format '{FORMAT}'; thrifty specdec calibrate writes one")
    if given.get("version") != VERSION:
        raise MismatchError(f"{path}: version {given.get('version')}, and this thrifty reads version {VERSION}")
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
    from thrifty.device.profile import DeviceProfile

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
    return DeviceProfile(
        device={"name": device["name"], "machine": device["machine"]},
        backend=str(given["backend"]),
        dtype=str(given["dtype"]),
        dtype_bytes=sizes.pop(),
        threads=threads,
        versions=_texts("versions", given["versions"]),
        timings=timings,
        one=_law_in("one", given["laws"]["one"], ONE),
        several=_law_in("several", given["laws"]["several"], SEVERAL),
    )


def _timing(values: dict[str, Any]) -> Timing:
    rest = dict(values)
    shape = ModelShape(**rest.pop("shape"))
    ms = _number("ms", rest.pop("ms"))
    return Timing(shape=shape, ms=ms, **rest)


def _law_out(law: Law, names: tuple[str, ...]) -> dict[str, Any]:
    told = dict(zip(names, law.coefficients, strict=True))
    return {"ms": told, "join": law.join, "spread": law.spread}


def _law_in(what: str, given: dict[str, Any], names: tuple[str, ...]) -> Law:
    if set(given["ms"]) != set(names):
        raise ValueError(f"laws.{what}: coefficients {sorted(given['ms'])}, and {sorted(names)} are needed")
    coefficients = tuple(_number(f"laws.{what}.{name}", given["ms"][name]) for name in names)
    if not any(coefficients):
        raise ValueError(f"laws.{what}: all coefficients are 0")
    join = _number(f"laws.{what}.join", given["join"])
    if join not in JOINS:
        raise ValueError(f"laws.{what}.join: {join:g} is none of {', '.join(f'{j:g}' for j in JOINS)}")
    return Law(coefficients, join, _number(f"laws.{what}.spread", given["spread"]))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {value!r} is no number of at least 0")
    return float(value)


def _texts(name: str, values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        raise ValueError(f"{name}: names and texts are needed")
    return dict(values)
