"""Joules of decoding steps: read from a counter of a machine that is not there, and told by a law."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.device.devices import DEVICE, made, times
from tests.device.h100 import CALIBRATIONS
from tests.device.machine import Clock, Counting
from thrifty.device import DeviceProfile, Joules, Meter, ModelShape, Point, calibrate, calibration
from thrifty.device.arrays import arrays_of
from thrifty.device.columns import Calls, amounts
from thrifty.device.energy import fit_energy, measure_energy
from thrifty.device.grid import calls_to_meter, calls_to_time, of_size
from thrifty.errors import CounterFault, FormatError

H100 = Path(__file__).resolve().parents[1] / "data" / "device" / "h100_joules.json"
WATTS, BYTE, OPERATION = 80.0, 4e-10, 2e-11


def readings(watts: float = WATTS) -> list[Joules]:
    """Of a device whose coefficients are known."""
    found = []
    for timing in times(calls_to_meter(4.0), *made()):
        have = amounts(Calls.of([timing]))
        joules = watts * timing.ms / 1e3 + BYTE * (have["bytes"] + have["cache"]) + OPERATION * have["operations"]
        point = {name: getattr(timing, name) for name in ("shape", "batch", "tokens", "context")}
        found.append(Joules(**point, joules=float(joules[0]), ms=timing.ms, calls=7))
    return found


def profile_with(some: list[Joules]) -> DeviceProfile:
    timings = times(calls_to_time(4.0), *made())
    source = "counting" if some else ""
    return DeviceProfile.fit(timings, device=DEVICE, backend="numpy", dtype="f32", readings=some, source=source)


def test_coefficients_are_found_again() -> None:
    law = fit_energy(readings(), "counting")
    assert (law.watts, law.byte, law.operation) == pytest.approx((WATTS, BYTE, OPERATION), rel=1e-3)
    assert law.spread < 1e-3
    with pytest.raises(ValueError, match="readings: 4 of energy; at least 5"):
        fit_energy(readings()[:4], "counting")


def test_joules_of_a_generation_are_those_of_its_calls() -> None:
    profile, shape = profile_with(readings()), of_size(3e6, 5)
    calls = [profile.energy(shape, batch=2, context=20 + done) for done in range(29)]
    first = Point(shape=shape, batch=2, tokens=20)
    assert profile.joules is not None
    ms = np.array([profile.latency(shape, batch=2, tokens=20).ms])
    whole = float(profile.joules.joules(Calls.of([first]), ms)[0]) + sum(float(c) for c in calls if c is not None)
    told = profile.energy(shape, batch=2, prompt=20, new_tokens=30)
    assert told is not None
    assert told.joules == pytest.approx(whole, rel=1e-3)
    assert told.token_joules == pytest.approx(told.joules / 60)
    assert told.low <= told.joules <= told.high
    assert told.source == "counting"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration of few small decoders."""
    every = [point for point in calls_to_time(4.0) if point.shape.parameters < 2e6]
    some = [*[p for p in every if p.rows == 1][:10], *[p for p in every if p.rows > 1][:10]]
    monkeypatch.setattr(calibration, "calls_to_time", lambda size, large: some)
    meter = [Point(shape=of_size(0.2e6 * batch, 2), batch=batch) for batch in range(1, 7)]
    monkeypatch.setattr(calibration, "calls_to_meter", lambda size, large: meter)


@pytest.mark.usefixtures("few")
def test_without_a_counter_there_are_no_joules() -> None:
    assert profile_with([]).energy(of_size(3e6, 5)) is None
    for change, message in (
        ({"new_tokens": 5}, "new_tokens: without prompt"),
        ({"prompt": 5, "context": 3}, "with new_tokens it is of a generation|context: with prompt"),
        ({"prompt": 0}, "prompt: 0 is not possible"),
        ({"prompt": 10**7}, "prompt: 10000000 is not possible; at most"),
        ({"prompt": 5, "new_tokens": 0}, "new_tokens: 0 is not possible"),
    ):
        with pytest.raises(ValueError, match=message):
            profile_with([]).energy(of_size(3e6, 5), **change)


def test_joules_are_no_surer_than_the_milliseconds_they_go_with() -> None:
    shape = of_size(300e6, 12, multiple=64, dtype_bytes=2)
    whole = DeviceProfile.load(CALIBRATIONS["graph"], any_device=True)
    assert whole.joules is not None
    told = whole.energy(shape, prompt=8, new_tokens=20)
    assert told is not None
    assert told.high / told.joules > 1.001 * np.exp(whole.joules.spread)
    profile = calibrate(seconds=0.2, energy=Meter("cpu"))
    assert profile.notes == ("no energy: nothing counts joules on this machine",)


def metered(watts: float) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter(counters=[Counting(clock, lambda: watts, 0.01)], clock=clock, sleep=clock.sleep), clock


def test_readings_are_what_the_counter_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls take 0.02 s of a clock of ours, at 100 W."""
    meter, clock = metered(100.0)
    points = [Point(shape=of_size(0.2e6, layers), batch=batch) for layers in (1, 3) for batch in (1, 4)]

    def call() -> float:
        clock.sleep(0.02)
        return 0.02

    monkeypatch.setattr("thrifty.device.energy.runs", lambda points, arrays, seed: [call] * len(points))
    found = measure_energy(points, arrays_of("numpy"), meter, seconds=8.0)
    assert [(one.shape, one.batch) for one in found] == [(p.shape, p.batch) for p in points]
    for one in found:
        assert one.joules == pytest.approx(100.0 * 0.02, rel=0.03)
        assert one.ms == pytest.approx(20.0, rel=0.01)
        assert one.calls == pytest.approx(0.8 * 8.0 / 4 / 0.02, abs=2)


@pytest.mark.usefixtures("few")
def test_a_counter_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a calibration it is a note; its times are as good as ever."""
    fault = CounterFault("counting: nothing was counted in 1 s of a shape")

    def measured(*arguments: Any, **named: Any) -> None:
        raise fault

    monkeypatch.setattr(calibration, "measure_energy", measured)
    meter, _ = metered(100.0)
    profile = calibrate(seconds=0.2, energy=meter)
    assert profile.notes == (f"no energy: {fault}",)
    meter, _ = metered(0.0)
    meter.step = lambda: 0.01  # type: ignore[method-assign]
    with pytest.raises(CounterFault, match="counting: nothing was counted in"):
        measure_energy([Point(shape=of_size(0.2e6, 1))], arrays_of("numpy"), meter, seconds=0.01)


@pytest.mark.usefixtures("few")
def test_a_calibration_reads_a_counter(tmp_path: Path) -> None:
    meter = Meter(counters=[Counting(Clock(), lambda: 1.0)])
    meter.read = _growing(meter)  # type: ignore[method-assign]
    meter.step = lambda: 0.01  # type: ignore[method-assign]
    profile = calibrate(seconds=0.5, energy=meter)
    assert profile.joules is not None
    assert profile.joules.source == "counting"
    assert [one.batch for one in profile.joules.readings] == [1, 2, 3, 4, 5, 6]
    profile.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == profile
    whole = json.loads((tmp_path / "p.json").read_text())
    for name, value, message in (
        ("watts", -1, "energy.watts: -1 is no number"),
        ("source", 3, "energy: a source"),
        ("readings", [{}], "KeyError"),
        ("spread", float("inf"), "energy.spread"),
    ):
        text = json.dumps(whole | {"energy": whole["energy"] | {name: value}})
        (tmp_path / "q.json").write_text(text)
        with pytest.raises(FormatError, match=message):
            DeviceProfile.load(tmp_path / "q.json")


def _growing(meter: Meter) -> Any:
    """Joules that grow by ten a second of the machine's clock."""
    real = Meter.read

    def read() -> Any:
        found = real(meter)
        return type(found)(found.seconds, 10.0 * found.seconds, found.cpu_seconds)

    return read


def test_joules_of_a_card_are_told() -> None:
    """Nine batches of one model on an H100: from 0.46 joules a token alone to a thirtieth of it at 256."""
    shape = ModelShape(layers=16, dim=2304, heads=36, hidden=6144, vocab=32_000)
    rows = json.loads(H100.read_text())
    some = [
        Joules(shape=shape, batch=row["B"], context=row["S"], joules=row["J_per_token"] * row["B"], ms=row["graph_ms"])
        for row in rows
    ]
    assert len(some) == 9
    law = fit_energy(some, "nvml")
    told = law.joules(Calls.of(some), np.array([one.ms for one in some]))
    wrong = np.abs(told / np.array([one.joules for one in some]) - 1)
    assert wrong.max() < 0.10
    assert law.spread < 0.15
    # What it draws while it waits for its memory, and a byte of that memory: of the size that is known of such cards.
    assert 100 < law.watts < 400
