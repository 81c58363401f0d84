"""0.96 billion parameters: 7.5 million labels and 128 hidden units over four processes of this machine.

memory: what the processes take together at the peak, memory of their own (file pages that the system keeps for them
aside), 1,000 steps with a checkpoint in the end, two of them going on from it. loss: mean loss of the last 100 steps
beside that of the first 100. resumed: the loss of the first 50 steps after, beside the last 50 before.

--planted trains with a learning rate of nearly nothing and throws the checkpoint's weights away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.slide.shard_program import Task, environment

from cases import extreme

LABELS, FEATURES, HIDDEN, BATCH, STEPS = 7_500_000, 500_000, 128, 128, 1_000


def rank_main(out: Path) -> None:
    """One rank: steps, and a checkpoint or the way from it."""
    from thrifty.slide import LSHConfig, Trainer
    from thrifty.slide.data import rows as checked
    from thrifty.slide.torchrun import world

    task = json.loads(os.environ["TASK"])["network"]
    with world(600) as group:
        data = extreme.make(LABELS, features=FEATURES, rows=40_000, tests=10, seed=task["seed"])
        head = LSHConfig(active=1_000, each=4, pool=64, correction="logq")
        settings = {"hidden": HIDDEN, "head": head, "lr": task["lr"], "threads": 1, "process_group": group}
        trainer = Trainer(FEATURES, LABELS, **settings)
        core: Any = trainer._core
        x = checked(data.train[0], "inputs", FEATURES)
        y = checked(data.train[1], "targets", LABELS)[:2]
        order = core.core.order(y, 0)
        if task["resume"]:
            core.resume(Path(task["folder"]), x, y)
            if task["planted"]:
                core.core.read = None
        else:
            core.position["data"] = core.core.checksum(x, y)
        begin, losses, times = core.position["steps"], [], []
        for step in range(begin, begin + task["steps"]):
            at = step * BATCH % (len(order) - BATCH)
            begun, before = time.perf_counter(), core.local["loss"]
            core.step(x, y, order[at : at + BATCH])
            times.append(time.perf_counter() - begun)
            losses.append(core.local["loss"] - before)
        sums = core.ranks.sum(np.array(losses)) / BATCH
        if not task["resume"]:
            core.write(Path(task["folder"]), "{}")
    if os.environ["RANK"] == "0":
        out.write_text(json.dumps({"losses": sums.tolist(), "ms": 1e3 * float(np.median(times)), **trainer.traffic()}))


def own_memory(pid: int) -> int:
    """Bytes of a process' own memory; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def children(pid: int) -> list[int]:
    """A process and all that come from it."""
    try:
        own = [int(p) for t in Path(f"/proc/{pid}/task").iterdir() for p in (t / "children").read_text().split()]
    except OSError:
        own = []
    return [pid, *(q for p in own for q in children(p))]


def launch(task: dict[str, Any], ranks: int, out: Path) -> tuple[dict[str, Any], float]:
    """Run ranks; returns what rank 0 found, and the peak of all their memory in GiB."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environ = environment(Task(network=task)) | {"MALLOC_ARENA_MAX": "2"}
    process = subprocess.Popen([*command, __file__, "--rank", str(out)], env=environ)
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], sum(own_memory(pid) for pid in children(process.pid)))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait():
        raise SystemExit(f"ranks ended with {process.returncode}")
    watcher.join()
    return json.loads(out.read_text()), peak[0] / 2**30


def main() -> None:
    """Rows."""
    goal = Goal(__file__, __doc__, ("torch",))
    with tempfile.TemporaryDirectory() as folder:
        task = {
            "seed": goal.seed,
            "lr": 1e-9 if goal.planted else 0.01,
            "steps": 100 if goal.planted else STEPS,
            "resume": False,
            "folder": f"{folder}/checkpoint",
            "planted": goal.planted,
        }
        first, peak = launch(task, 4, Path(folder) / "out")
        goal.row("large/memory", "peak GiB of four processes with 0.96 billion parameters", "<= 20", peak, "GiB")
        losses = np.array(first["losses"])
        tenth = len(losses) // 10
        early, late = losses[:tenth].mean(), losses[-tenth:].mean()
        what = f"mean loss of the last tenth of {len(losses)} steps ({late:.3f}) over that of the first"
        goal.row("large/loss", what, "<= 0.9", late / early)
        what = f"ms of a step, {first['bytes_a_step']:,.0f} bytes of messages a rank"
        goal.row("large/step", what, "<= 1000", first["ms"], "ms")
        size = sum(f.stat().st_size for f in (Path(folder) / "checkpoint").rglob("*") if f.is_file()) / 1e9
        goal.row("large/checkpoint", "GB of the checkpoint", ">= 11", size, "GB")
        task |= {"resume": True, "steps": 50}
        if goal.planted:
            for file in (Path(folder) / "checkpoint").glob("step-*/*"):
                content = bytearray(file.read_bytes()[:5000])
                file.write_bytes(content)
        try:
            second, again = launch(task, 2, Path(folder) / "out2")
        except SystemExit:
            second, again = {"losses": [1e9]}, 0.0
        goal.row("large/memory of two", "peak GiB of the two processes that go on", "<= 20", again, "GiB")
        ratio = float(np.mean(second["losses"]) / losses[-50:].mean())
        goal.row("large/resumed", "mean loss of 50 steps of two processes over the last 50 of four", "0.9..1.1", ratio)
    goal.end()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--rank":
        rank_main(Path(sys.argv[2]))
    else:
        main()
