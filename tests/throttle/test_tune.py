"""`thrifty throttle tune` and `report`: a file, a real command, and devices of a false tree of files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import said, wait_for
from tests.throttle.trees import plant, texts
from thrifty.errors import FormatError, ThriftyError
from thrifty.throttle import CpuFreq, Permission
from thrifty.throttle.command import Command, printed
from thrifty.throttle.spec import read_spec

WORK = """
import json, sys, time
batch, threads = int(sys.argv[1]), int(sys.argv[2])
if batch == 32:
    sys.exit("no room for 32")
begun = time.process_time()
while time.process_time() - begun < 0.004 + 0.03 / batch + 0.004 * (threads - 1):
    pass
print("warming up")
print(json.dumps({"items": 64, "call_s": 0.001 * batch, "name": "x", "flag": True}))
"""
SPEC = """
objective = "cpu_seconds"
evaluations = 6
seed = 1
[workload]
command = ["{python}", "work.py", "{{batch}}", "{{threads}}"]
runs = 1
seconds = 0.1
warm = 0
items = "items"
[[knob]]
name = "batch"
values = [1, 2, 4, 8, 16, 32]
default = 1
[[knob]]
name = "threads"
values = [1, 2]
[[constraint]]
name = "call_s"
upper = 0.009
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THRIFTY_STATE", str(tmp_path / "state"))
    (tmp_path / "work.py").write_text(WORK)
    path = tmp_path / "spec.toml"
    path.write_text(SPEC.format(python=sys.executable))
    return path


def test_a_command_is_tuned_and_the_same_command_goes_on(spec: Path) -> None:
    done = said("throttle", "tune", spec, "--json", "--confirm", 2, "--report", spec.parent / "out")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["default"] == {"batch": 1, "threads": 2}
    assert told["best"]["threads"] == 1
    assert 2 <= told["best"]["batch"] <= 8
    assert told["measured"]["call_s"] <= 0.009
    assert told["evaluations"] == 6
    assert 0 < told["saving"]["low"] < told["saving"]["share"] < 1
    assert "CPU-seconds" in told["counted_by"]
    record = (spec.parent / "spec.jsonl").read_bytes()
    assert len(record.splitlines()) == 7
    again = said("throttle", "tune", spec, "--json", "--confirm", 0)
    assert json.loads(again.stdout)["best"] == told["best"]
    assert (spec.parent / "spec.jsonl").read_bytes() == record
    page = (spec.parent / "out" / "report.html").read_text()
    for words in ("Least so far within the limits", "cpu_seconds against call_s", "What is believed of cpu_seconds"):
        assert words in page
    shown = said("throttle", "report", spec.parent / "spec.jsonl", "--out", spec.parent / "two", "--json")
    assert json.loads(shown.stdout)["evaluations"] == 6
    one, two = (json.loads((spec.parent / name / "results.json").read_text()) for name in ("out", "two"))
    tables = [[r for s in x["sections"] for r in s["records"] if r["id"] == "tried"] for x in (one, two)]
    assert tables[0] == tables[1]
    assert len(tables[0][0]["rows"]) == 6


def test_what_is_shown(spec: Path) -> None:
    done = said("throttle", "tune", spec, "--evaluations", 3, "--confirm", 0, "--max-slowdown", 50)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["cpu_seconds", "call_s", "seconds", "setting"]
    assert lines[1].split()[0] == "1"
    assert "batch 1, threads 2  least so far" in lines[1]
    # The limit of seconds is that of the first measurement, also when the search goes on.
    head = json.loads((spec.parent / "spec.jsonl").read_text().splitlines()[0])
    first = json.loads((spec.parent / "spec.jsonl").read_text().splitlines()[1])
    assert head["constraints"][1]["upper"] == pytest.approx(50 * first["measured"]["seconds"])
    assert said("throttle", "tune", spec, "--evaluations", 4, "--confirm", 0, "--max-slowdown", 50).returncode == 0


def test_a_dry_run_writes_and_runs_nothing(spec: Path) -> None:
    (spec.parent / "work.py").write_text("open('ran', 'w')")
    before = sorted(spec.parent.rglob("*"))
    done = said("throttle", "tune", "spec.toml", "--dry-run")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "nothing was set, run or written" in shown
    assert "work.py 1 2" in shown
    assert sorted(spec.parent.rglob("*")) == before


def test_failures_are_settings_that_failed(spec: Path) -> None:
    text = spec.read_text().replace("[1, 2, 4, 8, 16, 32]", "[1, 32]").replace("evaluations = 6", "evaluations = 4")
    spec.write_text(text)
    done = said("throttle", "tune", spec, "--json", "--confirm", 0)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (spec.parent / "spec.jsonl").read_text().splitlines()[1:]]
    failed = [line for line in lines if line["failed"]]
    assert {line["setting"]["batch"] for line in failed} == {32}
    assert all(line["failed"].endswith("it ended with status 1: no room for 32") for line in failed)
    assert "ThriftyError" in failed[0]["failed"]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (("evaluations = 6", "evaluation = 6"), 1, "spec.toml, evaluation: there is no such key; known are objective"),
        (("evaluations = 6", "evaluations = 0"), 1, "evaluations: 0; it must be finite and at least 1"),
        (("evaluations = 6", "evaluations = true"), 1, "evaluations: True is no whole number"),
        (("seed = 1", 'seed = "1"'), 1, "seed: '1' is no whole number"),
        (('objective = "cpu_seconds"', ""), 1, "objective is missing"),
        (('objective = "cpu_seconds"', 'objective = "energy_j"'), 1, "nothing here counts joules"),
        (
            ('objective = "cpu_seconds"', 'objective = "watts"'),
            1,
            "watts is neither measured nor printed by the command; there are seconds, cpu_seconds",
        ),
        (("upper = 0.009", "upper = 0"), 1, "constraint 1: constraint call_s: upper is 0"),
        (("upper = 0.009", "upper = 1e-9"), 1, "keeps call_s <= 1e-09; the nearest is"),
        (("values = [1, 2]", "values = []"), 1, "knob 2: knob threads: it has no values"),
        (("values = [1, 2]", ""), 1, "knob 2: threads: values is missing"),
        (
            ('name = "threads"', 'name = "gpu_mhz"'),
            1,
            "knob 2: gpu_mhz is neither in the command, as {gpu_mhz}, nor a knob",
        ),
        (("seed = 1", "seed = -1"), 1, "seed: -1; it must be finite and at least 0"),
        (("seed = 1", "groups = [1]"), 1, "groups: 1 is no list of names of knobs"),
        (("seed = 1", 'groups = ["batch"]'), 1, "groups: 'batch' is no list of names of knobs"),
        (("seed = 1", 'groups = [["batch"]]'), 1, "are not the knobs batch, threads, each once"),
        (("runs = 1", "runs = 0"), 1, "workload, runs: 0; it must be finite and at least 1"),
        (("runs = 1", "warm = nan"), 1, "this is no TOML file"),
        (("warm = 0", "warm = nan"), 1, "workload, warm: nan; it must be finite and at least 0"),
        (("warm = 0", "timeout = -1"), 1, "workload, timeout: -1; it must be finite"),
        (('"work.py"', "1"), 1, "workload.command: 1 is no text; write it in quotes"),
        (('"work.py"', '"none.py"'), 1, "it ended with status 2"),
        (("[workload]", "[workload"), 1, "this is no TOML file"),
        (('items = "items"', 'items = "rows"'), 1, "items: rows is None; it must be a number above 0"),
    ],
)
def test_errors_are_one_line(spec: Path, change: tuple[str, str], status: int, message: str) -> None:
    spec.write_text(spec.read_text().replace(*change))
    done = said("throttle", "tune", spec, "--json", "--confirm", 0, "--evaluations", 4)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_record_of_another_file_is_refused(spec: Path) -> None:
    assert said("throttle", "tune", spec, "--json", "--confirm", 0, "--evaluations", 2).returncode in (0, 1)
    spec.write_text(spec.read_text().replace("seed = 1", "seed = 2"))
    done = said("throttle", "tune", spec)
    assert done.returncode == 1
    assert "spec.jsonl: seed of the search in it is 1, here it is 2; start with another file" in done.stderr


def test_a_record_of_another_command_or_limit_is_refused(spec: Path) -> None:
    options = ("--json", "--confirm", 0, "--evaluations", 2)
    assert said("throttle", "tune", spec, *options).returncode == 0
    done = said("throttle", "tune", spec, *options, "--max-slowdown", 2)
    assert done.returncode == 1
    assert "max_slowdown of the search in it is None, here it is 2.0; start with another file" in done.stderr
    text = spec.read_text()
    spec.write_text(text.replace('"{threads}"]', '"{threads}", "more"]'))
    done = said("throttle", "tune", spec, *options)
    assert done.returncode == 1
    assert "about of the search in it is" in done.stderr


def test_what_a_command_leaves_running_is_killed(tmp_path: Path) -> None:
    text = "import subprocess, sys; print(subprocess.Popen(['sleep', '97'], stdout=subprocess.DEVNULL).pid, flush=True)"
    command = Command([sys.executable, "-c", f"{text}; print('{{}}')"])
    seen: list[int] = []
    original = os.killpg

    def kill(group: int, number: int) -> None:
        seen.append(group)
        original(group, number)

    os.killpg = kill
    try:
        command.once({})
    finally:
        os.killpg = original
    for _ in range(500):
        try:
            os.killpg(seen[0], 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("the group lives on")


def test_a_command_that_fails_at_the_end_costs_no_answer(spec: Path) -> None:
    """The comparison by turns fails: what was found is told all the same."""
    flag = spec.parent / "flag"
    text = (spec.parent / "work.py").read_text()
    (spec.parent / "work.py").write_text(f"import os, sys\nif os.path.exists({str(flag)!r}): sys.exit('late')\n{text}")
    assert said("throttle", "tune", spec, "--json", "--confirm", 0).returncode == 0
    flag.touch()
    done = said("throttle", "tune", spec, "--json", "--confirm", 2)
    assert done.returncode == 0
    assert "could not be compared" in done.stderr
    assert json.loads(done.stdout)["saving"] is None
    (spec.parent / "file").write_text("")
    done = said("throttle", "tune", spec, "--json", "--report", spec.parent / "file")
    assert done.returncode != 0
    assert "file" in done.stderr


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_kills_the_command_and_keeps_the_record(spec: Path) -> None:
    (spec.parent / "work.py").write_text(
        "import os, sys, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(0.05 if sys.argv[1] == '1' else 60)"
    )
    spec.write_text(spec.read_text().replace('items = "items"', "").replace("call_s", "seconds").replace("0.009", "90"))
    command = [sys.executable, "-m", "thrifty", "throttle", "tune", str(spec)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(spec.parent / "spec.jsonl")
    while len((spec.parent / "spec.jsonl").read_text().splitlines()) < 2:
        assert process.poll() is None
    first = (spec.parent / "pid").read_text()
    while (spec.parent / "pid").read_text() in ("", first):
        assert process.poll() is None
    child = int((spec.parent / "pid").read_text())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "least so far" in out
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert len((spec.parent / "spec.jsonl").read_text().splitlines()) == 2


def test_time_runs_out(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
    with pytest.raises(TimeoutError, match=r"it took longer than 0.3 s"):
        command.once({})
    with pytest.raises(ThriftyError, match="signal 9"):
        Command([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).once({})


def test_only_names_of_knobs_are_replaced() -> None:
    command = Command(["sh", "-c", '{"a": {batch}} {other} ${HOME}'], environment={"T": "{batch}{x}"})
    words, variables = command.written({"batch": 4, "x": "y"})
    assert words == ["sh", "-c", '{"a": 4} {other} ${HOME}']
    assert variables == {"T": "4y"}
    assert command.uses("batch")
    assert command.uses("x")
    assert not command.uses("y")


@pytest.mark.parametrize(
    ("output", "numbers"),
    [
        (b'{"a": 1, "b": 2.5, "c": "x", "d": true, "e": null}', {"a": 1.0, "b": 2.5}),
        (b'noise\n{"a": NaN, "b": Infinity, "c": 3}\n\n', {"c": 3.0}),
        (b'{"a": 1}\nlast', {}),
        (b"[1]", {}),
        (b"", {}),
        (b"\xff\xfe{", {}),
    ],
)
def test_what_is_read_of_the_last_line(output: bytes, numbers: dict) -> None:
    assert printed(output) == numbers


def test_a_prior_and_groups_of_a_file(spec: Path) -> None:
    (spec.parent / "other.csv").write_text("card,batch,threads,cpu_seconds,call_s\na,1,2,9,1\nb,1,2,9,1\nb,8,1,3,2\n")
    more = 'groups = [["batch"], ["threads"]]\n[prior]\ntable = "other.csv"\nwhere = { card = "b" }\n[workload]'
    spec.write_text(spec.read_text().replace("[workload]", more))
    found = read_spec(spec)
    assert found.groups == [["batch"], ["threads"]]
    assert found.prior_rows(["call_s"]) == [
        ({"batch": 1, "threads": 2}, {"cpu_seconds": 9.0, "call_s": 1.0}),
        ({"batch": 8, "threads": 1}, {"cpu_seconds": 3.0, "call_s": 2.0}),
    ]
    spec.write_text(spec.read_text().replace("table", "tables"))
    with pytest.raises(FormatError, match="prior, tables: there is no such key; known are table, where"):
        read_spec(spec)


def test_clocks_of_a_device_are_set_and_put_back(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A false tree of files: the command reads the clock that it runs at."""
    root = plant(spec.parent / "sys", "cpufreq")
    monkeypatch.setenv("THRIFTY_SYSFS_ROOT", str(root))
    before = texts(root)
    name = next(knob.name for knob in CpuFreq(root).knobs())
    policy = next(root.rglob("scaling_max_freq"))
    (spec.parent / "work.py").write_text(
        f"import json\nkhz = int(open({str(policy)!r}).read())\n"
        "print(json.dumps({'mhz': khz / 1e3, 'cost': abs(khz / 1e3 - 1400) + 100, 's': 1e6 / khz}))"
    )
    spec.write_text(
        f'objective = "cost"\n[workload]\ncommand = ["{sys.executable}", "work.py"]\nruns = 1\nseconds = 0.01\n'
        f'warm = 0\n[[knob]]\nname = "{name}"\n[[constraint]]\nname = "s"\nupper = 1.0\n'
    )
    done = said("throttle", "tune", "spec.toml", "--json", "--confirm", 0)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    lines = [json.loads(line) for line in (spec.parent / "spec.jsonl").read_text().splitlines()[1:]]
    assert len({line["measured"]["mhz"] for line in lines}) >= 3  # The clocks were really set.
    assert all(line["measured"]["mhz"] == pytest.approx(line["setting"][name], rel=0.01) for line in lines)
    # The default is the device as it was found, which no clock was written to.
    assert lines[0]["setting"][name] == max(line["setting"][name] for line in lines)
    assert told["measured"]["cost"] == min(line["measured"]["cost"] for line in lines if line["feasible"])
    assert texts(root) == before
    # Without permission nothing is run, and the file is named.
    monkeypatch.setattr(
        CpuFreq, "can_set", lambda self, knob: Permission(False, f"{policy}: Permission denied", "sudo")
    )
    (spec.parent / "spec.jsonl").unlink()
    done = said("throttle", "tune", "spec.toml")
    assert done.returncode == 1
    assert f"{policy}: Permission denied; sudo" in done.stderr
    assert not (spec.parent / "spec.jsonl").exists()
