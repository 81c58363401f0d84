"""Searches that run by themselves: why they end, devices put back, records to go on from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from thrifty.errors import Infeasible, JournalCorrupt, LockedError, ResumeMismatch
from thrifty.throttle import Call, Constraint, Evaluation, Knob, Space, Tuner
from thrifty.throttle.record import Record, line_of, read, values_of

KNOBS = [Knob("clock", [600, 800, 1000, 1200, 1400]), Knob("batch", [1, 2, 4, 8, 16])]
LIMIT = Constraint("seconds", 0.03)


def work(setting: dict) -> dict[str, float]:
    seconds = 0.004 + 3.0 * setting["batch"] / setting["clock"]
    return {"energy_j": seconds * (20 + (setting["clock"] / 400) ** 3) / setting["batch"], "seconds": seconds}


def tuner(seed: int = 0, limit: Constraint = LIMIT) -> Tuner:
    return Tuner(KNOBS, "energy_j", [limit], seed=seed)


def settings(found: Tuner) -> list[dict]:
    return [evaluation.setting for evaluation in found.evaluations]


def test_why_it_ends() -> None:
    assert tuner().run(work, evaluations=4) == "4 evaluations are made"
    assert tuner(limit=Constraint("seconds", 1.0)).run(work, energy_j=1e-9) == "1e-09 joules are spent"
    with pytest.raises(Infeasible, match="no setting was measured"):
        tuner().run(work, seconds=0.0)
    found = tuner()
    assert found.run(work) == "little is promised by any other setting"
    assert len(found) < 20
    small = Tuner([Knob("batch", [1, 2])], "energy_j")
    assert small.run(lambda s: {"energy_j": 1.0 / s["batch"]}) == "all settings are measured"


def test_a_device_is_set_and_put_back() -> None:
    now = {"clock": 1400, "batch": 16}
    before = dict(now)
    seen: list[dict] = []

    def measured(setting: dict) -> dict[str, float]:
        seen.append(dict(now))
        assert now == setting
        return work(setting)

    device = Call({knob: lambda value, name=knob.name: now.__setitem__(name, value) for knob in KNOBS})
    tuner().run(measured, device, evaluations=6)
    assert len({tuple(one.values()) for one in seen}) == 6
    assert now == before

    def breaks(setting: dict) -> dict[str, float]:
        if len(seen) == 9:
            raise KeyboardInterrupt
        return measured(setting)

    with pytest.raises(KeyboardInterrupt):
        tuner(1).run(breaks, device)
    assert now == before


class Clocked:
    """A device of one clock, whose cap shows while it works."""

    id = "clocked"

    def __init__(self, cap: float) -> None:
        self.cap, self.now, self.writes = cap, None, []

    def knobs(self) -> list[Knob]:
        return [Knob("gpu_mhz", [1000, 1200, 1400, 1600, 1800, 2000])]

    def read(self) -> dict:
        return {"gpu_mhz": self.now, "gpu_now_mhz": min(self.now or 2000, self.cap)}

    def can_set(self, name: str) -> bool:
        return True

    def apply(self, setting: dict) -> dict:
        self.writes.append(dict(setting))
        self.now = setting["gpu_mhz"]
        return setting

    def restore(self) -> None:
        self.now = None


def test_a_default_is_the_device_as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    device, seen = Clocked(5000), []
    found = Tuner(device.knobs(), "energy_j")

    def measured(setting: dict) -> dict[str, float]:
        seen.append((setting["gpu_mhz"], device.now))
        return {"energy_j": setting["gpu_mhz"] / 100}

    found.run(measured, device)
    assert seen[0] == (2000, None)
    assert all(now == asked for asked, now in seen[1:])
    assert {"gpu_mhz": 2000} not in device.writes
    assert device.now is None


def test_a_search_may_begin_elsewhere_than_the_device_was_found() -> None:
    device, seen = Clocked(5000), []
    found = Tuner([Knob("gpu_mhz", [1000, 1400, 2000], default=1400)], "energy_j")

    def measured(setting: dict) -> dict[str, float]:
        seen.append((setting["gpu_mhz"], device.now))
        return {"energy_j": setting["gpu_mhz"] / 100}

    found.run(measured, device)
    assert seen[0] == (1400, 1400)
    assert (2000, None) in seen


def test_caps_are_seen_while_work_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from thrifty.throttle import placed

    monkeypatch.setattr(placed, "PERIOD", 0.005)
    device = Clocked(1300)
    found = Tuner(device.knobs(), "energy_j", seed=1)

    def measured(setting: dict) -> dict[str, float]:
        time.sleep(0.04)
        return {"energy_j": abs(min(setting["gpu_mhz"], 1300) - 1100) + 1.0}

    found.run(measured, device)
    asked = [evaluation.setting["gpu_mhz"] for evaluation in found.evaluations]
    above = [evaluation for evaluation in found.evaluations if 1300 < evaluation.setting["gpu_mhz"] < 2000]
    assert all(evaluation.effective == {"gpu_mhz": 1300.0} for evaluation in above)
    assert len(above) <= 1
    assert {1000, 1200} <= set(asked)


def test_clocks_of_an_idle_card_are_no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    from thrifty.throttle import placed

    class Idle(Clocked):
        def read(self) -> dict:
            return {**super().read(), "clock_limits": "idle"}

    monkeypatch.setattr(placed, "PERIOD", 0.005)
    device = Idle(300)
    found = Tuner(device.knobs(), "energy_j")

    def measured(setting: dict) -> dict[str, float]:
        time.sleep(0.02)
        return {"energy_j": 1.0 + abs(setting["gpu_mhz"] - 1400)}

    found.run(measured, device)
    assert all(evaluation.effective == {} for evaluation in found.evaluations)
    assert found.best is not None
    assert found.best.setting == {"gpu_mhz": 1400}


def test_groups_take_turns_in_a_run() -> None:
    knobs = [Knob("a", list(range(1, 11))), Knob("b", list(range(1, 11)))]
    found = Tuner(knobs, "energy_j", groups=[["a"], ["b"]])
    found.run(lambda s: {"energy_j": 1 + (s["a"] - 4) ** 2 + (s["b"] - 7) ** 2})
    assert found.finished
    assert found.best is not None
    assert found.best.setting == {"a": 4, "b": 7}


def test_what_fails_is_no_end_unless_all_does() -> None:
    def small(setting: dict) -> dict[str, float]:
        if setting["batch"] == 16 and setting["clock"] < 1400:
            raise MemoryError("no room")
        if setting["batch"] == 8:
            return {"energy_j": float("nan"), "seconds": 1.0}
        return work(setting)

    found = tuner()
    found.run(small)
    reasons = {evaluation.failed for evaluation in found.evaluations if evaluation.failed}
    assert reasons <= {"MemoryError: no room", "ValueError: measured: energy_j is nan; it must be finite and above 0"}
    assert found.best is not None
    calls = []

    def never(setting: dict) -> dict[str, float]:
        calls.append(setting)
        raise RuntimeError("no such program")

    with pytest.raises(RuntimeError, match="no such program"):
        tuner().run(never)
    assert len(calls) == 3


def test_where_no_setting_keeps_the_limit_it_says_which_is_nearest() -> None:
    found = tuner(limit=Constraint("seconds", 1e-3))
    nearest = r"no setting of \d+ keeps seconds <= 0.001; the nearest is .*'batch': 1} with seconds 0.006"
    with pytest.raises(Infeasible, match=nearest):
        found.run(work)
    assert len(found) < 25  # It gives up before it has tried all.


def test_a_search_goes_on_from_its_record(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    whole = tuner(3)
    whole.run(work, evaluations=8, record=path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 9
    for kept in (1, 2, 5, 8):
        path.write_bytes(b"".join(lines[:kept]) + lines[kept][:7] if kept < 8 else b"".join(lines[:kept]))
        measured: list[dict] = []

        def counted(setting: dict, measured: list[dict] = measured) -> dict[str, float]:
            measured.append(setting)
            return work(setting)

        again = tuner(3)
        again.run(counted, evaluations=8, record=path)
        assert settings(again) == settings(whole)
        assert measured == settings(whole)[kept - 1 :]
        assert path.read_bytes() == b"".join(lines)
    resumed = Tuner.resume(path)
    assert resumed.evaluations == whole.evaluations
    assert resumed.ask() == whole.ask()


def test_a_record_says_all_that_was_told(tmp_path: Path) -> None:
    """Categories, groups, settings that are not all, failures and effective values."""
    knobs = [Knob("mode", ["a", "b"]), Knob("mhz", [100, 200, 400], unit="MHz", default=200)]
    space = Space(knobs, [{"mode": m, "mhz": v} for m, v in (("a", 100), ("a", 200), ("b", 200), ("b", 400))])
    found = Tuner(space, "e", [Constraint("t", 2.0, prob=0.8)], seed=5, groups=[["mode"], ["mhz"]])
    with Record(tmp_path / "r", found) as record:
        record.add(found.tell({"mode": "a", "mhz": 200}, {"e": 1.0, "t": 1.5}, effective={"mhz": 180.5}))
        record.add(found.fail({"mode": "b", "mhz": 400}, "no\nroom"))
    again = Tuner.resume(tmp_path / "r")
    assert again.evaluations == found.evaluations
    assert again.evaluations[0].effective == {"mhz": 180.5}
    assert again.constraints == found.constraints
    assert again.space.knobs == found.space.knobs
    assert (again.space.levels == space.levels).all()
    assert again.groups == [["mode"], ["mhz"]]
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o600


def test_a_record_of_another_search_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r"
    tuner().run(work, evaluations=3, record=path)
    before = path.read_bytes()
    for other, name in (
        (tuner(1), "seed"),
        (Tuner(KNOBS, "energy_j"), "constraints"),
        (Tuner(KNOBS[:1], "e"), "objective"),
    ):
        with pytest.raises(ResumeMismatch, match=f"{name} of the search in it is"):
            other.run(work, record=path)
    rows = [({"clock": 600, "batch": 1}, {"energy_j": 1.0, "seconds": 1.0})]
    with pytest.raises(ResumeMismatch, match="prior of the search in it is None"):
        Tuner.resume(path, prior=rows)
    assert path.read_bytes() == before


def test_what_was_told_before_is_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "r"
    found = tuner()
    found.tell({"clock": 600, "batch": 1}, work({"clock": 600, "batch": 1}))
    found.run(work, evaluations=3, record=path)
    assert Tuner.resume(path).evaluations == found.evaluations
    found.run(work, evaluations=5, record=path)
    assert read(path)[1] == found.evaluations
    other = tuner()
    other.tell({"clock": 800, "batch": 1}, work({"clock": 800, "batch": 1}))
    with pytest.raises(ResumeMismatch, match="its evaluations are not this tuner's"):
        other.run(work, record=path)


def test_two_searches_do_not_write_one_record(tmp_path: Path) -> None:
    with Record(tmp_path / "r", tuner()), pytest.raises(LockedError, match="another search writes it"):
        Record(tmp_path / "r", tuner())
    Record(tmp_path / "r", tuner()).close()


def test_a_record_cut_at_any_byte_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "r"
    tuner().run(work, evaluations=3, record=path)
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        if cut < ends[0]:
            with pytest.raises(JournalCorrupt, match="line 1"):
                read(path)
        else:
            assert len(read(path)[1]) == sum(end <= cut for end in ends) - 1


def test_flipped_bytes_are_found_by_line(tmp_path: Path) -> None:
    path = tmp_path / "r"
    tuner().run(work, evaluations=3, record=path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.choice(len(data) - 1, 200, replace=False):
        bad = bytearray(data)
        bad[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(bad))
        with pytest.raises(JournalCorrupt, match=r"line \d"):
            read(path)


@pytest.mark.parametrize("text", ["", "x\n", "{}\n", '{"format": "thrifty.throttle.record", "crc": "00000000"}\n'])
def test_what_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(JournalCorrupt, match="line 1"):
        Tuner.resume(tmp_path / "r")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measured": [1]}, "line 2: it is no evaluation"),
        ({"measured": {"energy_j": "abc"}}, "line 2: it is no evaluation: measured: energy_j is 'abc', no number"),
        ({"setting": {"clock": 1, "batch": 1}}, "line 2: it is no evaluation: knob clock: 1 is none of"),
        ({"setting": 3}, "line 2: it is no evaluation"),
        ({"other": 3}, "line 2: it is no evaluation"),
        ({"measured": {}}, "line 2: it is no evaluation: nothing was measured"),
        ({"seed": -3}, "line 1: it is no record of a search: seed -3"),
        ({"groups": 3}, "line 1: it is no record of a search: 3 is no list"),
        ({"knobs": [{"name": "a", "values": "ab"}]}, "line 1: it is no record of a search: 'ab' is no list"),
    ],
)
def test_lines_that_were_made_by_others(tmp_path: Path, change: dict, message: str) -> None:
    with Record(tmp_path / "r", tuner()) as file:
        file.add(tuner().tell({"clock": 600, "batch": 1}, work({"clock": 600, "batch": 1})))
    lines = [values_of(line) for line in (tmp_path / "r").read_text().splitlines()]
    which = 0 if set(change) & {"seed", "groups", "knobs"} else 1
    assert lines[which] is not None
    lines[which] |= change
    (tmp_path / "r").write_text("".join(line_of(line) for line in lines if line is not None))
    with pytest.raises(JournalCorrupt, match=message):
        Tuner.resume(tmp_path / "r")


def test_a_full_disk_ends_the_search_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = tmp_path / "r", tuner()
    real, calls = os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        found.run(work, record=path)
    assert caught.value.filename == str(path)
    monkeypatch.undo()
    again = tuner()
    again.run(work, record=path)
    assert again.best is not None
    assert settings(again)[:3] == settings(found)[:3]


def test_lines_are_json(tmp_path: Path) -> None:
    tuner().run(work, evaluations=3, record=tmp_path / "r")
    head, *lines = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert head["objective"] == "energy_j"
    assert lines[0]["setting"] == {"clock": 1400, "batch": 16}
    assert Evaluation(**{k: v for k, v in lines[0].items() if k != "crc"}).feasible is False
