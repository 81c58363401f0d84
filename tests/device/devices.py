"""Devices made of known coefficients: what their calls take is known, which fits and advice are held against."""

from __future__ import annotations

from thrifty.device import DeviceProfile, Point, Timing
from thrifty.device.grid import calls_to_time
from thrifty.device.law import ONE, SEVERAL, Law, predict

DEVICE = {"name": "made up", "machine": "nowhere"}


def law_of(names: tuple[str, ...], join: float = 1.0, **coefficients: float) -> Law:
    """Coefficients by name, with @ written as _; the others are 0."""
    given = {name.replace("_", "@"): value for name, value in coefficients.items()}
    assert set(given) <= set(names)
    return Law(tuple(given.get(name, 0.0) for name in names), join, 0.05)


def made(*, layer: float = 0.1, byte: float = 1e-7, overhead: float = 0.02, flop: float = 1e-8) -> tuple[Law, Law]:
    """Laws of a device whose layers cost so many milliseconds, and bytes and operations so many."""
    one = law_of(ONE, overhead=overhead, layers=layer, byte_1=byte, cache=byte)
    several = law_of(SEVERAL, 8.0, overhead=overhead, layers=layer, byte_1=byte, cache=byte, operations=flop)
    return one, several


def times(points: list[Point], one: Law, several: Law) -> list[Timing]:
    return [Timing(**vars(p), ms=float(predict(one if p.rows == 1 else several, [p])[0])) for p in points]


def profile_of(one: Law, several: Law, *, dtype_bytes: float = 4.0) -> DeviceProfile:
    """What calibrating such a device gives."""
    timings = times(calls_to_time(dtype_bytes), one, several)
    dtype = "f32" if dtype_bytes == 4 else "bf16"
    return DeviceProfile.fit(timings, device=DEVICE, backend="numpy", dtype=dtype)
