"""What the scheduler costs a request and step, and what a call from Python costs.

cost/: plan and commit, nanoseconds of the processor a request and step, with prefix hashing, statistics and the
planner; and the same with a fixed length, which is all but the policy. Requests get up to 8 drafts, end and are
replaced. p99/: the 99th of 100 steps of 10,000 requests. boundary/: a call of plan and of commit from Python with one
request, whose own share is below a microsecond. copies/: arrays of plans and of drafts that are not the memory that
Rust wrote them to, or that move from plan to plan. vllm/: its scheduler's cost over ours at the same number of
requests, no drafts, in this run where THRIFTY_VLLM names a Python that has it (benches/peers/vllm_scheduler.py); else
its figure of a quiet machine, 9.65, 9.58 and 10.9 us a request and step at 64, 256 and 1,024 requests (vLLM 0.33.0,
100-token prompts, steady decoding, no GPU).

--planted lets each row of a plan hash 4 KB more, and each call from Python copy its arrays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.specdec import Engine

goal = Goal(__file__, __doc__)
FAULT = "4096" if goal.planted else "0"
QUIET_US = {64: 9.65, 256: 9.58, 1024: 10.9}


def cost() -> dict[int, float]:
    """Rows of the Rust side; returns nanoseconds by number of requests, policy included."""
    command = ["cargo", "run", "--release", "--quiet", "-p", "thrifty-specdec", "--example", "scheduler_cost", "--"]
    done = subprocess.run([*command, FAULT], cwd=ROOT, capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        n, ours = row["requests"], row["policy"] == "planner"
        what = f"{n:,} requests, {'planner' if ours else 'fixed length'}: plan and commit, a request and step"
        what += f", mean of steps (median {row['median_ns']:.0f})"
        goal.row(f"cost/{n}{'' if ours else ' fixed'}", what, "<= 150", row["ns"], "ns")
        if ours:
            found[n] = row["ns"]
        if n == 10_000:
            what = f"10,000 requests, {row['policy']}: 99th of 100 steps"
            goal.row(f"p99/{n}{'' if ours else ' fixed'}", what, "<= 3", row["p99_ms"], "ms")
    return found


def boundary() -> None:
    """Rows of calls from Python."""

    def target(step: Any) -> Any:
        raise NotImplementedError

    engine = Engine(target, vocab=1000, max_length=65_536, max_running=64, blocks=8192)
    engine.submit([1, 2, 3], max_new=60_000)
    core = engine._core
    accepted, tokens = np.zeros(1, np.int64), np.ones((1, 1), np.int64)
    times: dict[str, list[float]] = {"plan": [], "commit": []}
    copy: Any = np.array if goal.planted else (lambda array: array)
    large = np.zeros(1 << 20) if goal.planted else np.zeros(0)
    for _ in range(20_000):
        begun = time.perf_counter_ns()
        number, *_ = core.plan(True)
        copy(large)
        planned = time.perf_counter_ns()
        core.commit(number, accepted, tokens, None)
        copy(large)
        times["plan"].append(planned - begun)
        times["commit"].append(time.perf_counter_ns() - planned)
    for name, took in times.items():
        us = float(np.median(took[1000:])) / 1e3
        goal.row(f"boundary/{name}", f"a call of {name} with one request, median of 19,000", "<= 5", us, "us")


def copies() -> None:
    """Rows of arrays that do not lie where Rust wrote them."""

    def target(step: Any) -> Any:
        return np.zeros((len(step.outputs), 50), np.float32)

    engine = Engine(target, vocab=50, max_running=16, max_length=64)
    for i in range(40):
        engine.submit([1 + i], max_new=20)
    copied, before, step = 0, {}, None
    for _ in range(30):
        if step is not None:
            verified, proposed = engine.verify(step, target(step), engine.draft(step))
            engine.commit(step, verified, proposed)
        step = engine.plan()
        for name in engine._arrays:
            array = getattr(step, name)
            array = np.array(array) if goal.planted else array
            place = array.__array_interface__["data"][0]
            copied += bool(array.flags.owndata) or before.setdefault(name, place) != place
    goal.row("copies/plans", "arrays of 30 plans that were copied or moved", "== 0", copied, "arrays")


def vllm(ours: dict[int, float]) -> None:
    """Rows beside vLLM's scheduler."""
    python = os.environ.get("THRIFTY_VLLM")
    if python is None:
        print("vllm: THRIFTY_VLLM names no Python that has it; figures of a quiet machine are quoted", file=sys.stderr)
    for n, quiet in QUIET_US.items():
        us, how = quiet, "quoted, a quiet machine"
        if python is not None:
            peer = [python, str(ROOT / "benches" / "peers" / "vllm_scheduler.py"), str(n)]
            done = subprocess.run(peer, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            us, how = row["us"], f"vLLM {row['vllm']} in this run"
        what = f"{n:,} requests: vLLM's scheduler without drafts ({us:.2f} us, {how}) over ours with policy and drafts"
        goal.row(f"vllm/{n}", what, ">= 60", us * 1e3 / ours[n], "times")


found = cost() if goal.wants("cost") or goal.wants("vllm") else {}
for part in (boundary, copies):
    if goal.wants(part.__name__):
        part()
if goal.wants("vllm"):
    vllm(found)
goal.end()
