"""Devices made of known coefficients: what their calls take is known, which fits and advice are held against."""

from __future__ import annotations

from thrifty.device import DeviceProfile, Point, Timing
from thrifty.device.columns import Calls
from thrifty.device.grid import calls_to_time
from thrifty.device.law import ONE, SEVERAL, Form, Law, predict

DEVICE = {"name": "made up", "machine": "nowhere"}


def law_of(form: Form, **coefficients: float) -> Law:
    """Coefficients by name, with @ written as _; the others are 0."""
    given = {name.replace("_", "@"): value for name, value in coefficients.items()}
    assert set(given) <= set(form.names)
    return Law(form, tuple(given.get(name, 0.0) for name in form.names), 0.05)


def made(*, layer: float = 0.1, byte: float = 1e-7, overhead: float = 0.02, flop: float = 1e-8) -> tuple[Law, Law]:
    """Laws of a device whose layers cost so many milliseconds, and bytes and operations so many."""
    one = law_of(ONE[0], overhead=overhead, layers=layer, bytes_1=byte, cache=byte)
    several = law_of(SEVERAL[1], overhead=overhead, layers=layer, bytes_1=byte, cache=byte, operations=flop)
    return one, several


def times(points: list[Point], one: Law, several: Law) -> list[Timing]:
    """What the device takes for these calls."""
    ms = [float(predict(one if p.rows == 1 else several, Calls.of([p]))[0]) for p in points]
    return [Timing(**vars(p), ms=taken) for p, taken in zip(points, ms, strict=True)]


def profile_of(one: Law, several: Law, *, dtype_bytes: float = 4.0) -> DeviceProfile:
    """What calibrating such a device gives."""
    timings = times(calls_to_time(dtype_bytes), one, several)
    dtype = "f32" if dtype_bytes == 4 else "bf16"
    return DeviceProfile.fit(timings, device=DEVICE, backend="numpy", dtype=dtype)
