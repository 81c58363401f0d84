"""What is recorded once and replayed is the call itself; on a card that is not there, and on one where there is one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.device.cards import NAME, Graph, card
from tests.device.machine import nvml
from tests.device.replays import SHAPE, replays_are_calls
from thrifty.device import DeviceProfile, Point, calibrate, calibration
from thrifty.device.arrays import Torch, arrays_of
from thrifty.device.grid import calls_to_time, of_size
from thrifty.device.timing import measure


def test_replays_are_calls() -> None:
    with card():
        arrays = arrays_of("torch", "cuda", graphs=True)
        assert isinstance(arrays, Torch)
        replays_are_calls(arrays)


def test_what_makes_the_host_wait_is_refused_while_recording() -> None:
    with card():
        arrays = arrays_of("torch", "cuda", graphs=True)
        value = arrays.array(np.ones(3, np.float32))
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            arrays.repeatable(value.nonzero)


@pytest.mark.parametrize("graphs", [False, True])
def test_every_call_is_recorded_once_and_replayed(graphs: bool) -> None:
    points = [Point(shape=SHAPE, context=3), Point(shape=SHAPE, tokens=4), Point(shape=SHAPE, batch=3)]
    with card():
        recorded, replayed = Graph.captured, Graph.replayed
        timings = measure(points, arrays_of("torch", "cuda", "bf16", graphs=graphs), seconds=0.1)
        assert Graph.captured - recorded == (3 if graphs else 0)
        assert (Graph.replayed - replayed >= sum(t.calls for t in timings)) == graphs
    assert [t.shape for t in timings] == [SHAPE] * 3
    assert all(t.ms > 0 for t in timings)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that do not take a CPU too long."""
    every = [point for point in calls_to_time(2.0) if point.shape.parameters < 2e6]
    some = [*[p for p in every if p.rows == 1][:10], *[p for p in every if p.rows > 1][:10]]
    monkeypatch.setattr(calibration, "calls_to_time", lambda size, large: some)
    meter = [Point(shape=of_size(0.2e6 * batch, 2, dtype_bytes=2), batch=batch) for batch in range(1, 7)]
    monkeypatch.setattr(calibration, "calls_to_meter", lambda size, large: meter)


@pytest.mark.usefixtures("few")
def test_a_profile_says_how_calls_were_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of a calibration of a card but its sizes."""
    monkeypatch.setenv("THRIFTY_NVML", str(tmp_path / "none"))
    with card():
        profile = calibrate("torch", seconds=0.5, device="cuda", dtype="bf16", graphs=True, energy=True)
        assert profile.mode == "graph"
        assert profile.device["name"] == NAME
        assert profile.joules is None
        assert len(profile.notes) == 1
        assert profile.notes[0].startswith("no energy: ")
        profile.save(tmp_path / "p.json")
        assert DeviceProfile.load(tmp_path / "p.json") == profile


@pytest.mark.usefixtures("few")
def test_joules_are_those_of_the_card_that_computes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its UUID, from the management library, while its graphs are replayed."""
    monkeypatch.setenv("THRIFTY_NVML", str(nvml(tmp_path)))
    monkeypatch.setenv("FAKE_NVML", str(tmp_path / "told"))
    with card(), counted(tmp_path / "told"):
        profile = calibrate("torch", seconds=0.5, device="cuda", dtype="bf16", graphs=True, energy=True)
    assert profile.notes == ()
    assert profile.joules is not None
    assert profile.joules.source == "nvml:GPU-fake"
    assert all(one.joules > 0 for one in profile.joules.readings)


@contextlib.contextmanager
def counted(file: Path) -> Iterator[None]:
    """A card of 5 W, whose total moves every few milliseconds, or later where this machine has much to do."""
    stop, begun = threading.Event(), time.monotonic()

    def write() -> None:
        beside = file.with_name("next")
        beside.write_text(f"{1000 + int(5e3 * (time.monotonic() - begun))} 5000 40 0")
        beside.replace(file)

    def keep_writing() -> None:
        while not stop.wait(0.004):
            write()

    write()
    thread = threading.Thread(target=keep_writing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_graphs_are_for_cards() -> None:
    for backend in ("numpy", "torch"):
        with pytest.raises(ValueError, match=f"graphs: {backend} on 'cpu' has none"):
            calibrate(backend, graphs=True)  # type: ignore[arg-type]
