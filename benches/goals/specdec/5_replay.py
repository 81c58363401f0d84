"""An hour of a conversation service (Azure, 19,366 requests) through the scheduler, on a simulated H100.

The device's times are fitted to measured steps of a 7B target and a 300M draft of six layers (CUDA graphs). Sizes are
padded to those that graphs are usually made for, times have 3 % of noise, and all takes 20 % longer once half of all
ids are out. The policies are told two numbers a model and learn the rest. Requests are of three kinds of acceptance,
which nobody is told; it falls with the position of a draft, and three of ten requests change theirs half way.

A phase is a speed of the trace (1, 4 and 16 times; or all requests waiting from the beginning, 10,000 of them running)
and a mix: requests that are much alike, or mixed ones. Where the device keeps up (1x) and at 4x, what counts is the
time from arrival to end, for the first half of all requests and for the second. Where it never does, that is how long
all work takes: time of the device, less what prompts add to it under any policy, before it slows down and after.

exact/: all ids are emitted, no request is lost, no block is held at the end.
cost/: seconds of a processor for planning and committing, policy and prefixes included.
policy/: what counts, under the other rule over ours: fixed lengths; a table by batch, made with the true times and the
true mean acceptance; tiers, the better of two sets; drafts of one length whose verification is trimmed, the better of
two lengths.
oracle/: ours over a plan that knows each request's true acceptance and the true times of the moment.
limit/: tiers over the oracle. At 1x six requests run at a time and share the passes of the draft, and in the closed
loop prompts fill most steps, which leaves no room for drafts: there even the oracle is not 5 % better than tiers, which
is asked of ours at 4x and 16x.
off/: what counts where no draft pays, ours over an engine that never drafts.

--planted: the trace lacks its last line, and our policy is the rule `fixed 6`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from device import h100

goal = Goal(__file__, __doc__, ("scipy",))
EMITTED, REQUESTS = 4_088_665, 19_366
MIXES = {"alike": "0.55,0.65,0.75", "mixed": "0.2,0.6,0.95"}
NO_DRAFT_PAYS = "0.02,0.05,0.08"
FIXED = [f"fixed {gamma}" for gamma in (0, 1, 2, 3, 4, 6, 8)]
# The better one of each counts.
TIERS, TRIM = ["tiers 1,3,7", "tiers 1,2,4"], ["trim 3", "trim 5"]
OURS = "fixed 6" if goal.planted else "planner"
HALVES = ("first half", "second half")
MEASURE = {False: "time from arrival to end", True: "device time without prompts"}
SPEEDS = {"1x": 1.0, "4x": 4.0, "16x": 16.0, "closed": 0.0}


class Contest:
    """Policies on one trace and device, two processes at a time."""

    def __init__(self, folder: Path, trace: Path) -> None:
        self.trace, self.device = trace, folder / "device.json"
        self.device.write_text(json.dumps(h100(goal)))
        command = ["cargo", "build", "--release", "--quiet", "-p", "thrifty-specdec", "--example", "replay"]
        subprocess.run(command, cwd=ROOT, check=True)

    def run(self, speed: float, alphas: str, policies: list[str]) -> dict[str, dict[str, Any]]:
        command = [str(ROOT / "target/release/examples/replay"), str(self.trace), str(self.device), str(speed), alphas]
        halves = [policies[::2], policies[1::2]]
        running = [subprocess.Popen([*command, *half], stdout=subprocess.PIPE, text=True) for half in halves if half]
        found: dict[str, dict[str, Any]] = {}
        for process in running:
            out, _ = process.communicate()
            if process.returncode:
                sys.exit(f"replay ended with {process.returncode}")
            rows = [json.loads(line) for line in out.splitlines()]
            found |= {row["policy"]: row for row in rows}
        return found


def saturated(speed: float) -> bool:
    """Whether requests come faster than any policy serves them."""
    return speed in (0.0, 16.0)


def counts(row: dict[str, Any], speed: float) -> np.ndarray:
    """What counts of a run, in its two halves."""
    return np.array(row["busy_ms"]) - row["prompt_ms"] if saturated(speed) else np.array(row["waited_ms"])


def exact(name: str, ours: dict[str, Any]) -> None:
    goal.row(f"exact/{name} ids", f"{name}: of {EMITTED:,} ids not emitted", "== 0", EMITTED - ours["emitted"], "ids")
    goal.row(f"exact/{name} requests", f"{name}: of {REQUESTS:,} requests lost", "== 0", REQUESTS - ours["requests"])
    goal.row(f"exact/{name} blocks", f"{name}: blocks held at the end", "== 0", ours["held"], "blocks")


def judge(name: str, speed: float, mix: str, found: dict[str, dict[str, Any]]) -> None:
    what = MEASURE[saturated(speed)]
    ours = counts(found[OURS], speed)
    rules = {rule: counts(found[rule], speed) for rule in (*FIXED, "table")}
    rules["tiers"] = min((counts(found[rule], speed) for rule in TIERS), key=np.sum)
    rules["trim"] = min((counts(found[rule], speed) for rule in TRIM), key=np.sum)
    for rule, theirs in rules.items():
        for half, ratio in zip(HALVES, theirs / ours, strict=True):
            asked = ">= 1.05" if rule == "tiers" and mix == "mixed" and speed in (4.0, 16.0) else ">= 0.995"
            goal.row(f"policy/{name} {half} {rule}", f"{name}, {half}: {what}, {rule} over ours", asked, ratio, "times")
    oracle = counts(found["oracle"], speed)
    if mix == "mixed":
        limit = rules["tiers"].sum() / oracle.sum()
        goal.row(f"limit/{name}", f"{name}: {what}, tiers over the oracle", ">= 1", limit, "times")
    for half, ratio in zip(HALVES, oracle / ours, strict=True):
        goal.row(f"oracle/{name} {half}", f"{name}, {half}: {what}, oracle over ours", ">= 0.95", ratio, "times")


def main() -> None:
    trace = goal.data("specdec/azure_llm_2023_conv.csv")
    with tempfile.TemporaryDirectory() as folder:
        if goal.planted:
            short = Path(folder) / "short.csv"
            short.write_text("\n".join(trace.read_text().splitlines()[:-1]))
            trace = short
        contest = Contest(Path(folder), trace)
        alone = contest.run(1.0, MIXES["alike"], [OURS])[OURS]
        what = f"1x: seconds of planning and committing {alone['rows']:,} rows in {alone['steps']:,} steps"
        goal.row("cost/1x", what, "<= 2", alone["cpu_s"], "s")
        for speed_name, speed in SPEEDS.items():
            for mix, alphas in MIXES.items():
                name = f"{speed_name} {mix}"
                found = contest.run(speed, alphas, [OURS, "oracle", "table", *TIERS, *TRIM, *FIXED])
                exact(name, found[OURS])
                judge(name, speed, mix, found)
        for name in ("1x", "16x"):
            found = contest.run(SPEEDS[name], NO_DRAFT_PAYS, [OURS, "fixed 0"])
            ours, plain = (counts(found[rule], SPEEDS[name]).sum() for rule in (OURS, "fixed 0"))
            what = f"{name}, no draft pays: {MEASURE[saturated(SPEEDS[name])]}, ours over an engine that never drafts"
            goal.row(f"off/{name}", what, "<= 1.01", ours / plain, "times")


main()
goal.end()
