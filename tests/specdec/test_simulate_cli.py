"""``thrifty specdec simulate`` and ``explain`` on the command line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.command import ok
from thrifty.cli.app import main
from thrifty.specdec import SimulatedDevice, Simulator, Trace

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = ["--verify", "1:10,64:11,1024:40", "--draft", "1:0.8,64:1"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path / "trace.csv"
    lines = zip(np.arange(120) * 15.0, rng.integers(20, 300, 120), rng.integers(5, 90, 120), strict=True)
    path.write_text("at_ms,prompt,new\n" + "".join(f"{at},{prompt},{new}\n" for at, prompt, new in lines))
    return path


def test_it_tells_what_the_simulator_does(trace: Path, tmp_path: Path) -> None:
    arguments = [trace, *DEVICE, "--alpha", 0.3, "--alpha", 0.9, "--fall", 0.95, "--speed", "2x", "--speed", "closed"]
    arguments += ["--policy", "planner", "--policy", "fixed 3", "--seed", 5]
    told = json.loads(ok("specdec", "simulate", *arguments, "--json", "--out", tmp_path / "report"))
    read = Trace.read(trace)
    device = SimulatedDevice(verify=[(1, 10), (64, 11), (1024, 40)], draft=[(1, 0.8), (64, 1)])
    found = Simulator(read, device, [0.3, 0.9], fall=0.95).compare(["planner", "fixed 3"], speeds=[2.0, None], seed=5)
    expected = json.loads(json.dumps([replay.to_dict() for replay in found]))
    for one in told["replays"] + expected:
        assert one.pop("scheduler_seconds") >= 0
    assert told == {"requests": 120, "tokens": int(read.new.sum()), "replays": expected}
    assert (tmp_path / "report" / "report.html").read_text().count("<svg") == 0  # one speed has no curve
    more = ["--speed", 1, "--speed", 4, "--requests", 50, "--out", tmp_path / "report"]
    shown = ok("specdec", "simulate", trace, *DEVICE, *more)
    assert (tmp_path / "report" / "report.html").read_text().count("<svg") == 2
    words = " ".join(shown.split())
    assert "No request was lost." in words
    assert re.search(r"1x: requests end soonest with \S+", words)


def test_drafts_and_targets(trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--draft", "1:0.4", "--alpha", "0.8,0.3", "--alpha", "0.2,0.6", "--tbt-ms", "14", "--tbt-share", "0.3"]

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["thrifty", "specdec", "simulate", str(trace), *DEVICE, *more, *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code in (None, 0)
        return capsys.readouterr().out

    told = json.loads(run("--json"))["replays"]
    assert [replay["policy"] for replay in told] == ["planner", "planner deaf", "fixed 0", "table"]
    device = SimulatedDevice([(1, 10), (64, 11), (1024, 40)], [[(1, 0.8), (64, 1)], [(1, 0.4)]])
    found = Simulator(Trace.read(trace), device, [(0.8, 0.3), (0.2, 0.6)], tbt_ms=14.0, tbt_share=0.3).run("planner")
    assert told[0]["used"] == [used._asdict() for used in found.used]
    assert told[0]["in_time_share"] == found.in_time_share
    assert told[1]["paced"] == told[0]["paced"] > 0
    shown = run("--policy", "planner")
    assert "in time" in " ".join(shown.split()) or "time" in shown
    assert f"{found.in_time_share:.1%}" in shown.replace("\n", "")


def test_a_plan_is_explained() -> None:
    pays = ["--draft-ms", 0.8, "--weights-ms", 20, "--token-ms", 0.05, "--alpha", 0.7, "--batch", 64]
    told = json.loads(ok("specdec", "explain", *pays, "--json"))
    assert told["gammas"] == {str(told["best_gamma"]): 64}
    assert told["throughput"][told["best_gamma"]] == max(told["throughput"]) == told["tokens_per_second"]
    # By hand: 64 sequences of 6 ids take 19.2 ms, less than the weights.
    assert told["throughput"][5] == pytest.approx(64e3 * sum(0.7**i for i in range(6)) / (5 * 0.8 + 20))
    assert "bound by" in told["explanation"]
    # The most that options allow: all drafts are right and cost nothing.
    free = ["--draft-ms", 0, "--weights-ms", 10, "--token-ms", 0, "--alpha", 1, "--batch", 4096, "--max-gamma", 16]
    told = json.loads(ok("specdec", "explain", *free, "--json"))
    assert (told["gammas"], told["best_gamma"]) == ({"16": 4096}, 16)
    dear = ["--draft-ms", 3, "--weights-ms", 20, "--token-ms", 0.5, "--alpha", 0.2, "--batch", 64]
    told = json.loads(ok("specdec", "explain", *dear, "--json"))
    assert (told["gammas"], told["best_gamma"], told["alpha_break_even"]) == ({"0": 64}, 0, None)
    shown = ok("specdec", "explain", *dear)
    assert "never" in shown
    assert "bound by acceptance" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (["--verify", "10,64:11"], 2, "'10' of '10,64:11'"),
        (["--verify", "64:11,1:10"], 2, "'1:10' of"),
        (["--draft", "1:nan"], 2, "'1:nan'"),
        (["--alpha", "0.5,1.5"], 2, "'0.5,1.5' is no chance"),
        (["--alpha", "0.5,0.6"], 2, "alphas: 2 of a kind for 1 drafters"),
        (["--tbt-share", "0.5"], 2, "--tbt-share is for --tbt-ms"),
        (["--tbt-ms", "-3"], 2, "tbt_ms"),
        (["--speed", "soon"], 2, "'soon' is no speed"),
        (["--policy", "best"], 2, "best"),
        (["--blocks", "2"], 1, "blocks"),
    ],
)
def test_errors_are_one_line(
    trace: Path,
    change: list[str],
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["thrifty", "specdec", "simulate", str(trace), *DEVICE, *change])
    with pytest.raises(SystemExit) as stopped:
        main()
    told = capsys.readouterr()
    assert (stopped.value.code, told.out) == (status, "")
    assert message in told.err
    assert "Traceback" not in told.err


def test_a_line_that_is_none_is_named(
    trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trace.write_text(trace.read_text() + "1e9,5,\n")
    monkeypatch.setattr("sys.argv", ["thrifty", "specdec", "simulate", str(trace), *DEVICE])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "trace.csv, line 122: new" in capsys.readouterr().err.replace("\n", " ")
