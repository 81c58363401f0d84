"""What goes wrong with ranks, and what comes of it.

kill: one of three ranks is killed (-9) in the middle of a training; seconds until all others say so, naming it; two
ranks then go on from the checkpoint, and their losses are compared with those of a training that nothing happened to.
link: on hosts of their own (network namespaces) the link of one goes down; seconds until the others give up, the
timeout being ten. damage: a bit of a file of the checkpoint, and of its manifest, is flipped. settings: a rank has
another seed. restart: a rank is killed under torchrun with restarts allowed; the training ends as if nothing happened.

--planted lets the others wait for a minute, flips no bit, gives all ranks the same seed and allows no restarts.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.slide.shard_program import HERE, Task, environment, processes, ran, torchrun

from cases.hosts import Hosts

HEAD: dict[str, Any] = {"k": 2, "tables": 8, "active": 120, "random": "uniform"}
NETWORK: dict[str, Any] = {"deterministic": True, "lr": 0.02}


def told(out: Path, rank: int) -> dict[str, Any]:
    """What a rank said before it ended; nothing where it said nothing."""
    file = Path(f"{out}.{rank}")
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"error": "", "message": "", "at": 1e18}
    return found


def killed(goal: Goal, folder: Path) -> None:
    """A rank is lost; two go on."""
    out, place = folder / "out", str(folder / "checkpoints")
    task = Task(rows=1_200, head=HEAD, network=NETWORK, epochs=8, checkpoint=place, every=5, kill=[1, 37])
    if goal.planted:
        task.kill = None
    processes(task, 3, out)
    at = float(Path(f"{out}.killed").read_text()) if not goal.planted else time.time()
    names = sum(told(out, rank).get("rank") == 1 for rank in (0, 2))
    goal.row("kill/named", "of two ranks, those that say WorkerLost and which", "== 2", names)
    seconds = max(told(out, rank)["at"] for rank in (0, 2)) - at
    goal.row("kill/seconds", "seconds from the kill until both said so", "<= 5", min(seconds, 60), "s")
    if goal.planted:
        return
    whole = ran(Task(rows=1_200, head=HEAD, network=NETWORK, epochs=8), 1, out)["losses"]
    after = ran(Task(rows=1_200, head=HEAD, network=NETWORK, epochs=8, checkpoint=place, every=5), 2, out)["losses"]
    far = float(np.abs(np.array(after) / np.array(whole) - 1).max())
    goal.row(
        "kill/losses", "losses of two ranks that went on, from those of a whole training, the farthest", "<= 0.01", far
    )


def damaged(goal: Goal, folder: Path) -> None:
    """A bit of the checkpoint is flipped."""
    out, place = folder / "damage", folder / "damaged"
    task = Task(head=HEAD, network=NETWORK, epochs=1, checkpoint=str(place))
    ran(task, 2, out)
    named, files = 0, [Path("manifest.json"), *(f.relative_to(place) for f in sorted(place.glob("step-*/*")))]
    for number, name in enumerate(files):
        # Another copy for each: what is whole is trained on, and then is another checkpoint.
        copy = folder / f"damaged-{number}"
        shutil.copytree(place, copy)
        more = Task(head=HEAD, network=NETWORK, epochs=2, checkpoint=str(copy))
        file = copy / name
        content = bytearray(file.read_bytes())
        content[len(content) * 2 // 3] ^= 0 if goal.planted else 4
        file.write_bytes(content)
        for rank in range(2):
            Path(f"{out}.{rank}").unlink(missing_ok=True)
        torchrun(more, 2, out)
        said = told(out, 0), told(out, 1)
        named += any(s["error"] == "FormatError" and file.name in s["message"] for s in said)
    what = f"of {len(files)} files with a flipped bit, those that are named in a FormatError"
    goal.row("damage/named", what, f"== {len(files)}", named)


def mismatched(goal: Goal, folder: Path) -> None:
    """A rank has other settings."""
    out = folder / "settings"
    task = Task(head=HEAD, network=NETWORK, by_rank={} if goal.planted else {"1": {"seed": 6}})
    processes(task, 3, out)
    refused = sum(
        told(out, rank)["error"] == "MismatchError" and "seed" in told(out, rank)["message"] for rank in range(3)
    )
    goal.row(
        "settings/refused",
        "of three ranks, one with another seed, those that refuse to start, naming it",
        "== 3",
        refused,
    )


def restarted(goal: Goal, folder: Path) -> None:
    """Torchrun starts ranks again."""
    out = folder / "restart"
    base = {"head": HEAD | {"random": "length"}, "epochs": 6, "every": 4}
    options = ["--max-restarts=0" if goal.planted else "--max-restarts=2", "--monitor-interval=0.1"]
    done = torchrun(Task(**base, checkpoint=str(folder / "r1"), kill=[1, 25]), 2, out, *options)
    same = 0
    if done.returncode == 0:
        found = json.loads(out.read_text())
        plain = ran(Task(**base, checkpoint=str(folder / "r2")), 2, out)
        same = int(found["losses"] == plain["losses"] and found["ids"] == plain["ids"])
    what = "a rank killed under torchrun --max-restarts 2: losses and predictions are those of a quiet training"
    goal.row("restart/same", what, "== 1", same)


def cut(goal: Goal, folder: Path) -> None:
    """The link of a host goes down."""
    why = Hosts.absent()
    if why is not None:
        print(f"link: {why}", file=sys.stderr)
        return
    out, limit = folder / "link", 10.0
    task = Task(rows=20_000, head=HEAD, network=NETWORK, epochs=200, timeout=limit, predict=False)
    with Hosts(3, 100) as hosts:
        started = [hosts.start(i, [sys.executable, str(HERE), str(out)], environment(task)) for i in range(3)]
        time.sleep(15)
        if not goal.planted:
            hosts.down(2)
        at = time.time()
        while time.time() - at < 60 and not all(Path(f"{out}.{rank}").exists() for rank in range(3)):
            time.sleep(0.2)
        for process in started:
            process.kill()
    said = [told(out, rank) for rank in range(3)]
    lost = sum(s["error"] == "WorkerLost" for s in said)
    goal.row("link/lost", "of three ranks, one with its link down, those that say WorkerLost", "== 3", lost)
    seconds = min(60.0, max(s["at"] for s in said) - at)
    goal.row("link/seconds", "seconds until all said so (the timeout is 10)", "5..20", seconds, "s")


def main() -> None:
    """All of them."""
    goal = Goal(__file__, __doc__, ("torch",))
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (
            ("kill", killed),
            ("damage", damaged),
            ("settings", mismatched),
            ("restart", restarted),
            ("link", cut),
        ):
            if goal.wants(name):
                part(goal, Path(folder))
    goal.end()


if __name__ == "__main__":
    main()
