"""Replays of traces: what must hold of any, what is known by hand, and files that are none."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thrifty.errors import DatasetError, OutOfBlocks
from thrifty.specdec import LatencyCurve, Replay, SimulatedDevice, Simulator, Trace, expected_tau

CURVE = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)
POLICIES = ["planner", "oracle", "fixed 0", "fixed 3", "table", "table 4:3,16:1", "tiers 1,3,7", "trim 4"]


def trace_of(n: int, gap: float = 5.0, seed: int = 0) -> Trace:
    rng = np.random.default_rng(seed)
    return Trace(np.arange(n) * gap, rng.integers(1, 200, n), rng.integers(1, 80, n))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(POLICIES),
    st.sampled_from([None, 1.0, 7.5]),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
    st.integers(20, 400),
)
def test_nobody_is_lost(seed: int, policy: str, speed: float | None, alphas: list[float], blocks: int) -> None:
    trace = trace_of(40, seed=seed)
    simulator = Simulator(trace, CURVE, alphas, fall=0.9, turn=0.5, blocks=blocks, max_running=16, token_budget=64)
    found = simulator.run(policy, speed=speed, seed=seed)
    assert (found.requests, found.lost, found.blocks_held) == (40, 0, 0)
    assert found.tokens == int(trace.new.sum())
    assert found.rows >= found.tokens - found.accepted
    assert found.accepted <= found.drafted
    assert found.busy_seconds <= found.seconds + 1e-9
    assert (found.first_ms > 0).all()
    assert (found.first_ms <= found.end_ms).all()
    again = simulator.run(policy, speed=speed, seed=seed)
    assert again.end_ms.tolist() == found.end_ms.tolist()


@pytest.mark.parametrize("gamma", [0, 1, 4])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_one_request_takes_what_it_must(gamma: int, alpha: float) -> None:
    """A prompt and 41 ids: a step with the prompt, then ids by the step, all drafts or none accepted."""
    device = SimulatedDevice([(1, 10.0), (1001, 20.0)], [(1, 0.5)], kv_ms=1e-3, host_ms=0.25)
    found = Simulator(Trace([0.0], [101], [41]), device, alpha, token_budget=512).run(f"fixed {gamma}")
    ids, known, wanted, first = 0, 101, 0.0, 0.0
    fresh = 101
    while ids < 41:
        drafts = min(gamma, 41 - ids - 1)
        # The step in which a prompt ends drafts already, if the scheduler says so: what it said is counted.
        tokens = fresh + drafts
        wanted += 0.25 + 0.5 * drafts + 10.0 + 0.01 * (tokens - 1) + 1e-3 * known
        first = first or wanted
        new = 1 + (drafts if alpha == 1 else 0)
        ids, known, fresh = ids + new, known + new, 1
    assert found.end_ms[0] == pytest.approx(wanted)
    assert found.first_ms[0] == pytest.approx(first)
    assert found.seconds == pytest.approx(wanted / 1e3)


def test_acceptance_is_what_was_asked() -> None:
    """Rows yield 1 + alpha + ... ids; 400 requests of 200 ids have a standard error of some 0.3 %."""
    n, gamma, alpha = 400, 4, 0.7
    trace = Trace(np.zeros(n), np.full(n, 10), np.full(n, 200))
    found = Simulator(trace, CURVE, alpha).run(f"fixed {gamma}", seed=3)
    assert found.tokens / found.rows == pytest.approx(expected_tau(alpha, gamma), rel=0.02)


def test_the_planner_is_near_the_best_fixed_length_at_every_load() -> None:
    trace = trace_of(300, gap=4.0)
    simulator = Simulator(trace, CURVE, [0.3, 0.6, 0.9], fall=0.97, turn=0.3, max_running=64)
    names = ["planner", *(f"fixed {gamma}" for gamma in (0, 1, 2, 4, 8))]
    found = simulator.compare(names, speeds=(0.1, 1.0, None))
    assert [r.speed for r in found] == [0.1] * 6 + [1.0] * 6 + [None] * 6
    for begin in (0, 6, 12):
        ours, *fixed = (float(r.end_ms.mean()) for r in found[begin : begin + 6])
        assert ours <= 1.06 * min(fixed), (ours, fixed)


def test_more_noise_and_a_shift_take_longer() -> None:
    rows: dict[str, Any] = {"verify": [(1, 10.0), (64, 12.0)], "draft": [(1, 0.8)]}
    trace = trace_of(50)
    plain, slow = (
        Simulator(trace, SimulatedDevice(**rows, shift=shift), 0.6).run().busy_seconds
        for shift in ((1.0, 1.0), (0.5, 2.0))
    )
    assert 1.3 * plain < slow < 1.7 * plain
    padded = SimulatedDevice([(8, 10.0), (64, 12.0)], [(1, 0.8)], padded=True)
    assert Simulator(trace, padded, 0.6).run("fixed 0", speed=0.01).tokens == int(trace.new.sum())


def test_several_drafters_and_who_was_used() -> None:
    """Each of two is good for one kind of requests; both together beat either, and what they did adds up."""
    trace, rows = trace_of(200, gap=0.0), [(1, 1.0), (64, 1.5)]
    verify = [(1, 20.0), (64, 24.0), (1024, 80.0)]

    def run(draft: Any, alphas: Any, policy: str = "planner") -> Replay:
        return Simulator(trace, SimulatedDevice(verify, draft), alphas, max_running=32).run(policy)

    both = run([rows, rows], [(0.9, 0.1), (0.1, 0.9)])
    assert len(both.used) == 2
    assert sum(used.drafted for used in both.used) == both.drafted
    assert sum(used.accepted for used in both.used) == both.accepted
    every = sum(used.rows for used in both.used) + both.alone
    assert min(used.rows for used in both.used) > every / 5
    assert all(used.ms > 0 for used in both.used)
    for alone in (run(rows, [0.9, 0.1]), run(rows, [0.1, 0.9])):
        assert both.seconds < 0.97 * alone.seconds
    # One number is for all drafters; those of other engines have the first alone.
    fixed = run([rows, rows], [0.9, 0.1], "fixed 3")
    assert (fixed.used[1].rows, fixed.used[0].drafted) == (0, fixed.drafted)
    assert fixed.end_ms.tolist() == run(rows, [0.9, 0.1], "fixed 3").end_ms.tolist()
    assert run([rows, rows], [(0.9, 0.1), (0.1, 0.9)], "oracle").seconds < 1.05 * both.seconds


def test_targets_are_counted_by_hand() -> None:
    """One request at a time, an id each 10 ms: all in time for a target of 10.1, none for one of 9."""
    device = SimulatedDevice([(1, 10.0), (2, 10.0)], [(1, 0.5)])
    trace = Trace([0.0, 1e4], [1, 1], [41, 31])
    for target, late in ((10.1, 0), (9.0, 70)):
        found = Simulator(trace, device, 0.5, tbt_ms=target).run("fixed 0")
        assert (found.paced, found.in_time) == (70, 70 - late)
    one = Simulator(trace, device, 0.5, tbt_ms=[9.0, np.nan]).run("fixed 0")
    assert (one.paced, one.in_time_share) == (40, 0.0)
    assert Simulator(trace, device, 0.5).run("fixed 0").in_time_share is None


def test_targets_change_plans_of_those_who_hear_of_them_alone() -> None:
    rng = np.random.default_rng(1)
    trace = Trace(np.arange(400) * 20.0, rng.integers(20, 320, 400), rng.integers(1, 200, 400))
    device = SimulatedDevice([(1, 10.0), (64, 11.0), (256, 16.0), (1024, 40.0)], [(1, 0.8), (64, 1.0)], noise=0.03)
    settings: dict[str, Any] = {
        "alphas": [0.3, 0.6, 0.9],
        "fall": 0.97,
        "turn": 0.3,
        "max_running": 64,
        "token_budget": 1024,
    }
    plain = Simulator(trace, device, **settings)
    some = Simulator(trace, device, tbt_ms=15.0, tbt_share=0.25, **settings)
    assert 0.15 < np.isfinite(some.tbt_ms).mean() < 0.35
    for policy in ("planner deaf", "fixed 3", "tiers 1,3,7"):
        told, without = some.run(policy), plain.run(policy.removesuffix(" deaf"))
        assert told.end_ms.tolist() == without.end_ms.tolist()
        assert (told.steps, told.drafted, told.used) == (without.steps, without.drafted, without.used)
        assert (told.paced > 0, without.paced) == (True, 0)
    ours, deaf = some.run("planner"), some.run("planner deaf")
    assert ours.in_time_share is not None
    assert deaf.in_time_share is not None
    assert ours.in_time_share > deaf.in_time_share + 0.06
    assert ours.busy_seconds < 1.1 * deaf.busy_seconds


def test_progress_counts_and_stops() -> None:
    trace = trace_of(3000, gap=1.0)
    seen: list[tuple[str, int, int]] = []
    Simulator(trace, CURVE, 0.7).compare(["fixed 2"], progress=lambda *now: seen.append(now))
    assert seen[-1] == ("fixed 2, 1x", int(trace.new.sum()), int(trace.new.sum()))

    def stop(phase: str, done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        Simulator(trace, CURVE, 0.7).run(progress=stop)


def test_ctrl_c_ends_it() -> None:
    n = 20_000
    simulator = Simulator(Trace(np.zeros(n), np.full(n, 3000), np.full(n, 3000)), CURVE, 0.7, blocks=100_000)
    timer = threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT))
    # What starts the tests may have had signals ignored, as shells do for jobs in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            simulator.run("fixed 1")
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


FILES = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 23:59:59.5000000,374,44\r\n2023-11-17 00:00:01.7500001,396,109\n",
    "seconds": "num_prefill_tokens,arrived_at,num_decode_tokens,pd\n374,3.5,44,1\n396,5.75,109,2\n\n",
    "ours": "\ufeffat_ms,prompt,new\n0,374,44\n2250,396.0,109",
    "zone": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 00:00:00.009930+00:00,374,44\n2024-05-10 01:00:02.259930+01:00,396,109\n",
}


@pytest.mark.parametrize("name", FILES)
def test_traces_are_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(FILES[name], encoding="utf-8")
    trace = Trace.read(file)
    assert trace.at_ms.tolist() == pytest.approx([0.0, 2250.0], abs=1e-3)
    assert trace.prompt.tolist() == [374, 396]
    assert trace.new.tolist() == [44, 109]
    assert trace.faster(2.0).at_ms[1] == pytest.approx(1125.0, abs=1e-3)
    assert trace.faster(None).at_ms.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: columns ''"),
        ("time,prompt,new\n1,2,3\n", "line 1: columns 'time,prompt,new'"),
        ("at_ms,prompt,new\n", "no request"),
        ("at_ms,prompt,new\n0,1,2\n1,2\n", "line 3: 2 fields, the header has 3"),
        ("at_ms,prompt,new\n0,1,2\nx,2,3\n", "line 3: at_ms is 'x'"),
        ("at_ms,prompt,new\nnan,2,3\n", "line 2: at_ms is 'nan'"),
        ("at_ms,prompt,new\n5,2,3\n4,2,3\n", "line 3: at_ms is '4', before the line above"),
        ("at_ms,prompt,new\n0,2,0\n", "line 2: new is '0'"),
        ("at_ms,prompt,new\n0,2.5,1\n", "line 2: prompt is '2.5'"),
        ("at_ms,prompt,new\n0,-1,1\n", "line 2: prompt is '-1'"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", "line 2: TIMESTAMP is 'yesterday'"),
    ],
)
def test_files_that_are_no_traces(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(DatasetError) as caught:
        Trace.read(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_bytes_are_no_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(b"at_ms,prompt,new\n0,\xff,1\n")
    with pytest.raises(DatasetError, match="UTF-8"):
        Trace.read(file)
    with pytest.raises(FileNotFoundError):
        Trace.read(tmp_path / "none.csv")


def test_wrong_arguments() -> None:
    trace = trace_of(3)
    wrong: list[tuple[str, Any]] = [
        ("at_ms", lambda: Trace([1.0, 0.0], [1, 1], [1, 1])),
        ("at_ms", lambda: Trace([0.0, np.nan], [1, 1], [1, 1])),
        ("new", lambda: Trace([0.0, 1.0], [1, 1], [1, 0])),
        ("prompt", lambda: Trace([0.0, 1.0], [1], [1, 1])),
        ("alphas", lambda: Simulator(trace, CURVE, 1.5)),
        ("alphas", lambda: Simulator(trace, CURVE, [])),
        ("alphas", lambda: Simulator(trace, CURVE, [(0.5, 0.6)])),
        ("draft", lambda: SimulatedDevice([(1, 1.0)], [])),
        ("draft", lambda: SimulatedDevice([(1, 1.0)], [[(1, 1.0)]] * 9)),
        ("draft", lambda: SimulatedDevice([(1, 1.0)], [[(1, 1.0)], []])),
        ("tbt_ms", lambda: Simulator(trace, CURVE, 0.5, tbt_ms=0.0)),
        ("tbt_ms", lambda: Simulator(trace, CURVE, 0.5, tbt_ms=[1.0, np.inf, np.nan])),
        ("tbt_ms", lambda: Simulator(trace, CURVE, 0.5, tbt_ms=[1.0, 2.0])),
        ("tbt_share", lambda: Simulator(trace, CURVE, 0.5, tbt_ms=1.0, tbt_share=1.5)),
        ("fall", lambda: Simulator(trace, CURVE, 0.5, fall=1.5)),
        ("turn", lambda: Simulator(trace, CURVE, 0.5, turn=float("nan"))),
        ("max_gamma", lambda: Simulator(trace, CURVE, 0.5, max_gamma=17)),
        ("token_budget", lambda: Simulator(trace, CURVE, 0.5, token_budget=10).run()),
        ("policy", lambda: Simulator(trace, CURVE, 0.5).run("ours")),
        ("policy", lambda: Simulator(trace, CURVE, 0.5).run("fixed 9")),
        ("speed", lambda: Simulator(trace, CURVE, 0.5).run(speed=0.0)),
        ("noise", lambda: SimulatedDevice([(1, 1.0)], [(1, 1.0)], noise=2.0)),
        ("verify", lambda: SimulatedDevice([], [(1, 1.0)])),
        ("sizes", lambda: Simulator(trace, SimulatedDevice([(2, 1.0), (1, 1.0)], [(1, 1.0)]), 0.5).run()),
        ("ms", lambda: Simulator(trace, SimulatedDevice([(1, 1.0)], [(1, -1.0)]), 0.5).run()),
        ("kv", lambda: Simulator(trace, SimulatedDevice([(1, 1.0)], [(1, 1.0)], kv_ms=-1.0), 0.5).run()),
        ("host_ms", lambda: Simulator(trace, SimulatedDevice([(1, 1.0)], [(1, 1.0)], host_ms=-0.5), 0.5).run()),
    ]
    for name, make in wrong:
        with pytest.raises(ValueError, match=name):
            make()
    with pytest.raises(TypeError, match="device"):
        Simulator(trace, "h100", 0.5)  # type: ignore[arg-type]
    with pytest.raises(OutOfBlocks):
        Simulator(Trace([0.0], [1000], [10]), CURVE, 0.5, blocks=2).run()


def test_told_as_json() -> None:
    found: Replay = Simulator(trace_of(20), CURVE, 0.7).run()
    told = found.to_dict()
    assert set(told["end_ms"]) == {"p50", "p90", "p99"}
    assert told["policy"] == "planner"
    assert told["tokens_per_second"] == found.tokens / found.busy_seconds
