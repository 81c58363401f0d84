"""Ranks over slow links: hosts of this machine (network namespaces, ``tc tbf``), beside what people have.

step: milliseconds of a step of 128 rows, 128 hidden units and 1,000 active neurons, medians; ours with live hash tables
(query, re-hash and Adam in the time) and messages of bf16 and i8; torch's DistributedDataParallel, which sums dense
gradients as Horovod does; the same network with units and labels in parts in torch, all labels scored, or uniform
negatives and SparseAdam. All on one thread a rank; hosts share two cores. bytes: what ours sends beside its formula,
and what the interface sent, means over ranks. accuracy: seconds of four hosts at 100 Mbit/s until the P@1 that one
machine has after one pass over the generated set, and passes that they took.

--planted measures our ranks with messages twice as long as they say.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from rows import Goal

from cases.hosts import Hosts
from thrifty.slide.shards import payload

RANK = Path(__file__).resolve().parents[2] / "cases" / "rank.py"
PARAMETERS = argparse.Namespace(hidden=128, batch=128)


def measured(hosts: int, mbit: int, mode: str, **options: Any) -> list[dict[str, Any]]:
    """What each rank found."""
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder, Hosts(hosts, mbit) as there:
        out = Path(folder) / "out"
        command = [sys.executable, str(RANK), mode, str(out), *given]
        started = [there.start(i, command, {}) for i in range(hosts)]
        statuses = [process.wait() for process in started]
        if any(statuses):
            raise SystemExit(f"{mode} on {hosts} hosts ended with {statuses}")
        return [json.loads(Path(f"{out}.{i}").read_text()) for i in range(hosts)]


def steps(goal: Goal) -> None:
    """Times and bytes."""
    for hosts in (2, 4):
        for mbit in (100, 1_000):
            for labels in (262_144, 670_091):
                where = f"{hosts} hosts, {mbit} Mbit/s, {labels} labels"
                ours = {}
                for messages in ("bf16", "i8"):
                    found = measured(hosts, mbit, "ours", labels=labels, messages=messages, warm=100, seed=goal.seed)
                    ours[messages] = max(f["ms"] for f in found)
                    density, sent, interface = (
                        sum(f[name] for f in found) / hosts for name in ("density", "payload", "interface")
                    )
                    told = payload(hosts, PARAMETERS.batch, PARAMETERS.hidden, density, messages)
                    sent *= 2 if goal.planted else 1
                    name = f"{hosts} {mbit} {labels} {messages}"
                    what = f"{where}, {messages}: {sent:,.0f} bytes a step and rank over those of the formula"
                    goal.row(f"bytes/formula {name}", what, "0.99..1.01", sent / told)
                    what = f"{where}, {messages}: bytes of the interface ({interface:,.0f}) over these"
                    goal.row(f"bytes/interface {name}", what, "<= 1.15", interface / sent)
                    if hosts == 4 and messages == "i8":
                        goal.row(f"bytes/step {name}", f"{where}: bytes a step and rank", "<= 35000", sent, "bytes")
                    if goal.planted:
                        return
                    parts = ", ".join(f"{n} {100 * found[0][n]:.0f} %" for n in ("compute", "collectives", "waiting"))
                    print(f"{where}, {messages}: {ours[messages]:.1f} ms; {parts}", file=sys.stderr, flush=True)
                best = min(ours.values())
                sparse = max(f["ms"] for f in measured(hosts, mbit, "sparse", labels=labels, seed=goal.seed))
                what = f"{where}: ms of torch's sparse ranks ({sparse:.1f}) over ours ({best:.1f})"
                goal.row(f"step/sparse {hosts} {mbit} {labels}", what, ">= 1.5", sparse / best, "times")
                few = {"warm": 2, "steps": 8, "rows": 4_000}
                dense = max(f["ms"] for f in measured(hosts, mbit, "dense", labels=labels, seed=goal.seed, **few))
                what = f"{where}: ms of torch's dense ranks ({dense:.0f}) over ours"
                goal.row(f"step/dense {hosts} {mbit} {labels}", what, ">= 10", dense / best, "times")
                few = {"warm": 1, "steps": 2, "rows": 2_000}
                ddp = max(f["ms"] for f in measured(hosts, mbit, "ddp", labels=labels, seed=goal.seed, **few))
                what = f"{where}: ms of DistributedDataParallel ({ddp:.0f}) over ours"
                asked = ">= 800" if mbit == 100 else ">= 100"
                goal.row(f"step/ddp {hosts} {mbit} {labels}", what, asked, ddp / best, "times")


def accuracy(goal: Goal) -> None:
    """Time until the accuracy of one machine."""
    options = {"labels": 262_144, "rows": 49_045, "seed": goal.seed}
    alone = measured(1, 1_000, "learn", **options)[0]
    wanted = alone["course"][-1]
    for messages in ("bf16", "i8"):
        found = measured(4, 100, "learn", messages=messages, until=wanted["p_at_1"], **options)[0]
        last = found["course"][-1]
        what = (
            f"4 hosts, 100 Mbit/s, {messages}: passes until P@1 {wanted['p_at_1']:.3f}, which one machine has after "
            f"one pass of {wanted['seconds']:.1f} s; they took {last['seconds']:.1f} s"
        )
        goal.row(f"accuracy/{messages}", what, "<= 2", last["passes"], "passes")


def main() -> None:
    """Rows."""
    goal = Goal(__file__, __doc__, ("torch",))
    why = Hosts.absent()
    if why is not None:
        raise goal.absent(why)
    if goal.wants("step") or goal.wants("bytes"):
        steps(goal)
    if goal.wants("accuracy") and not goal.planted:
        accuracy(goal)
    goal.end()


if __name__ == "__main__":
    main()
