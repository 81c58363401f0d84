"""``thrifty scaling calibrate`` and ``thrifty specdec calibrate``: one function behind two names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import said
from thrifty.device import DeviceProfile, calibration
from thrifty.device.grid import calls_to_time


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration of few small decoders."""
    every = [point for point in calls_to_time(4.0) if point.shape.parameters < 2e6]
    some = [*[p for p in every if p.rows == 1][:10], *[p for p in every if p.rows > 1][:10]]
    monkeypatch.setattr(calibration, "calls_to_time", lambda size, large: some)
    monkeypatch.setenv("THRIFTY_NVML", "/none")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", "/none")


def test_a_profile_is_written_and_told(tmp_path: Path) -> None:
    file, shape = tmp_path / "p.json", "layers=3,dim=64,heads=2,hidden=96,vocab=256,tied=1"
    done = said("scaling", "calibrate", "-o", file, "--seconds", 1, "--shape", shape, "--energy", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "note: no energy: nothing counts joules on this machine\n"
    told, profile = json.loads(done.stdout), DeviceProfile.load(file)
    assert told["timings"] == len(profile.timings) == 21
    assert told["mode"] == "eager"
    assert told["energy"] is None
    assert told["notes"] == ["no energy: nothing counts joules on this machine"]
    assert told["left_out_worst_error"] >= told["left_out_median_error"] > 0
    assert said("specdec", "calibrate", file, "--seconds", 1, "--json").returncode == 0


def test_what_is_told_to_people(tmp_path: Path) -> None:
    done = said("scaling", "calibrate", "--out", tmp_path / "p.json", "--seconds", 1, "--backend", "torch")
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())
    for words in (
        "torch, f32, eager, threads",
        "calls timed",
        "error for shapes left out",
        "in the median",
        "at worst",
    ):
        assert words in shown


def test_errors_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    for arguments, status, message in (
        ([], 2, "--out"),
        (["-o", tmp_path / "no" / "p.json"], 1, "No such folder for the profile"),
        (["-o", file, "--graphs"], 2, "graphs: numpy on 'cpu' has none"),
        (["-o", file, "--backend", "torch", "--graphs"], 2, "graphs: torch on 'cpu' has none"),
        (["-o", file, "--backend", "torch", "--device", "cuda:99"], 1, "torch can't use 'cuda:99'"),
        (["-o", file, "--seconds", "0"], 2, "--seconds"),
        (["-o", file, "--shape", "layers=2"], 2, "missing"),
    ):
        done = said("scaling", "calibrate", *arguments)
        assert (done.returncode, done.stdout) == (status, ""), (arguments, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not file.exists()
