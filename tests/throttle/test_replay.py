"""Tables in the place of a device, and the command line over them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import ok, said
from tests.throttle.zeus import DATA, problems
from thrifty.errors import DatasetError, Infeasible
from thrifty.throttle import Constraint, Replay

TABLE = """gpu,clock,mode,energy_j,time_s
a,600,x,1.0,0.4
a,600,y,1.5,0.3
a,900,x,1.2,0.25
b,900,x,9,9
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    return path


def test_what_the_table_has(table: Path) -> None:
    replay = Replay(table, ["clock", "mode"], ["energy_j", "time_s"], where={"gpu": "a"})
    assert [knob.values for knob in replay.space.knobs] == [(600, 900), ("x", "y")]
    assert [knob.kind for knob in replay.space.knobs] == ["log", "category"]
    assert len(replay.space) == 3
    assert replay.measure({"clock": 600, "mode": "y"}) == {"energy_j": 1.5, "time_s": 0.3}
    with pytest.raises(ValueError, match="none of those that can be measured"):
        replay.measure({"clock": 900, "mode": "y"})
    assert replay.best("energy_j", []) == {"clock": 600, "mode": "x"}
    assert replay.best("energy_j", [Constraint("time_s", 0.3)]) == {"clock": 900, "mode": "x"}
    with pytest.raises(Infeasible, match=r"no setting keeps time_s <= 0.2 \(least: 0.25\)"):
        replay.best("energy_j", [Constraint("time_s", 0.2)])
    tuner = replay.tune("energy_j", [Constraint("time_s", 0.3)], evaluations=9)
    assert len(tuner) == 3
    assert tuner.best is not None
    assert tuner.best.setting == {"clock": 900, "mode": "x"}


def test_numbers_of_where_and_default_are_numbers(table: Path) -> None:
    replay = Replay(table, ["gpu", "mode"], ["energy_j"], where={"clock": "9e2"}, default={"gpu": "a"})
    assert len(replay.space) == 2
    assert replay.space.setting(replay.space.default()) == {"gpu": "a", "mode": "x"}
    replay = Replay(table, ["clock"], ["energy_j"], where={"gpu": "a", "mode": "x"}, default={"clock": "600.0"})
    assert replay.space.setting(replay.space.default()) == {"clock": 600}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (("energy_j", "joules"), {}, "line 1: there is no column energy_j; there are gpu, clock, mode, joules, time_s"),
        (("1.2,0.25", "none,0.25"), {}, "line 4: energy_j is 'none', no number above 0"),
        (("1.2,0.25", "-1.2,0.25"), {}, "line 4: energy_j is '-1.2'"),
        (("1.2,0.25", "inf,0.25"), {}, "line 4: energy_j is 'inf'"),
        (("1.2,0.25", "1.2"), {}, "line 4: it has not as many cells as line 1"),
        (("1.2,0.25", "1.2,0.25,7"), {}, "line 4: it has not as many cells as line 1"),
        (("900,x,1.2", "600,x,1.2"), {}, "line 4: the setting .* is on line 2 as well"),
        (("", ""), {"where": {"gpu": "c"}}, "there is no line with gpu = c"),
    ],
)
def test_errors_name_the_place(table: Path, change: tuple[str, str], options: dict, message: str) -> None:
    table.write_text(TABLE.replace(*change))
    with pytest.raises(DatasetError, match=message):
        Replay(table, ["clock", "mode"], ["energy_j", "time_s"], **({"where": {"gpu": "a"}} | options))


def test_a_default_that_no_line_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,e\n1,1,1\n1,2,2\n2,1,3\n")
    with pytest.raises(ValueError, match="has no line with a = 2, b = 2"):
        Replay(tmp_path / "t.csv", ["a", "b"], ["e"], default={"a": 2, "b": 2})
    found = Replay(tmp_path / "t.csv", ["a", "b"], ["e"], default={"a": 2, "b": 1})
    assert found.tune("e").evaluations[0].setting == {"a": 2, "b": 1}


def test_heads_with_a_mark_or_a_name_twice_and_numbers_with_underscores(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfa,e\n1,1\n2,2\n")
    assert len(Replay(tmp_path / "t.csv", ["a"], ["e"]).space) == 2
    (tmp_path / "t.csv").write_text("a,e,e\n1,1,1\n")
    with pytest.raises(DatasetError, match="line 1: the column e is there twice"):
        Replay(tmp_path / "t.csv", ["a"], ["e"])
    (tmp_path / "t.csv").write_text("a,e\n1_0,1\n2,1_0\n")
    with pytest.raises(DatasetError, match="line 3: e is '1_0'"):
        Replay(tmp_path / "t.csv", ["a"], ["e"])


def test_what_is_no_table(tmp_path: Path) -> None:
    for data in (b"\xff\xfe\x00", b'a,b\n"x', b""):
        (tmp_path / "t").write_bytes(data)
        with pytest.raises(DatasetError):
            Replay(tmp_path / "t", ["a"], ["b"])


def test_replay_prints_a_line_a_seed() -> None:
    problem = next(p for p in problems() if p.name == "v100 imagenet/resnet50/adadelta throughput")
    options = ["--knob", "batch", "--knob", "power_limit_w", "--objective", "energy_per_epoch_j"]
    options += ["--where", "gpu=v100", "--where", "job=imagenet/resnet50/adadelta"]
    options += ["--constraint", f"time_per_epoch_s<={problem.limit.upper!r}"]
    lines = ok("throttle", "replay", DATA / "zeus.csv", *options, "--seeds", 2, "--evaluations", 15, "--json")
    told = [json.loads(line) for line in lines.splitlines()]
    assert [one["seed"] for one in told] == [0, 1]
    for one in told:
        assert one["best"] == problem.answer
        assert len(one["asked"]) == 15
        spent = [problem.measured[problem.space.index(setting)] for setting in one["asked"]]
        assert one["energy"] == pytest.approx(sum(values["energy"] for values in spent))
        assert one["violations"] == sum(values["time"] > problem.limit.upper for values in spent)
    shown = said("throttle", "replay", DATA / "zeus.csv", *options, "--evaluations", 15, "--default", "batch=64")
    assert shown.returncode == 0
    assert "0.0%" in shown.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (["--constraint", "time_s<0.3"], 2, "a column and a number above 0"),
        (["--constraint", "time_s<=0"], 2, "a column and a number above 0"),
        (["--constraint", "time_s<=0.1"], 1, "no setting keeps time_s <= 0.1 (least: 0.25)"),
        (["--constraint", "watts<=1"], 1, "there is no column watts"),
        (["--where", "gpu"], 2, "--where 'gpu'; a column and a value"),
        (["--where", "gpu=a"], 2, "--where gpu is there twice"),
        (["--default", "clock=700"], 2, "knob clock: the default 700 is none of [600, 900]"),
        (["--default", "speed=700"], 2, "default: speed is none of the knobs clock, mode"),
        (["--evaluations", "0"], 2, "--evaluations"),
    ],
)
def test_errors_are_one_line(table: Path, change: list[str], status: int, message: str) -> None:
    options = ["--knob", "clock", "--knob", "mode", "--objective", "energy_j", "--where", "gpu=a"]
    done = said("throttle", "replay", table, *options, *change)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = said("throttle", "replay", tmp_path / "none.csv", "--knob", "a", "--objective", "b")
    assert done.returncode == 1
    assert done.stderr == f"thrifty: error: {tmp_path}/none.csv: No such file or directory\n"


@pytest.mark.parametrize(
    ("given", "noted"),
    [
        ("{other}", "no line with gpu = a40 there; that condition is left out"),
        ("{whole}:gpu=v100,job=imagenet/resnet50/adadelta", ""),
    ],
)
def test_another_devices_table_on_the_command_line(tmp_path: Path, given: str, noted: str) -> None:
    """A file of the other card alone, or lines of one file."""
    whole, other = DATA / "zeus.csv", tmp_path / "v100.csv"
    lines = whole.read_text().splitlines(keepends=True)
    other.write_text(lines[0] + "".join(line for line in lines if line.startswith("v100,imagenet")))
    problem = next(p for p in problems() if p.name == "a40 imagenet/resnet50/adadelta throughput")
    command = ["throttle", "replay", str(whole), "--knob", "batch", "--knob", "power_limit_w", "--evaluations", "6"]
    command += ["--objective", "energy_per_epoch_j", "--constraint", f"time_per_epoch_s<={problem.limit.upper}"]
    command += ["--where", "gpu=a40", "--where", "job=imagenet/resnet50/adadelta", "--json"]
    done = said(*command, "--prior", given.format(other=other, whole=whole))
    cold, warm = json.loads(said(*command).stdout), json.loads(done.stdout)
    assert warm["asked"][0] == cold["asked"][0]
    assert warm["asked"][1:] != cold["asked"][1:]
    assert warm["best"] == problem.answer
    assert noted in done.stderr
    assert bool(noted) == bool(done.stderr)
