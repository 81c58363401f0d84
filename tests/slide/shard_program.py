"""What a rank runs in tests of distributed training: ``torchrun ... shard_program.py OUT``, with a task in TASK."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Task:
    """What is trained, and what goes wrong."""

    rows: int = 600
    features: int = 300
    labels: int = 900
    network: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    epochs: int = 3
    checkpoint: str | None = None
    every: int = 1000
    save: str | None = None
    predict: bool = True
    sparse: int | None = None
    by_rank: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Settings of single ranks, by their numbers."""
    kill: list[int] | None = None
    """(rank, step): this rank is killed there, unless it was started again."""
    timeout: float = 60.0


def train(task: Task, group: Any) -> dict[str, Any]:
    """Train with a group, or alone without."""
    from tests.slide.rows import clusters
    from thrifty.slide import LSHConfig, Trainer

    rank = 0 if group is None else __import__("torch").distributed.get_rank(group)
    inputs, targets = clusters(task.rows, task.features, task.labels, 1)
    settings = {"hidden": 40, "batch": 90, "seed": 5, "threads": 1} | task.network | task.by_rank.get(str(rank), {})
    trainer = Trainer(task.features, task.labels, head=LSHConfig(**task.head), process_group=group, **settings)
    steps = [0]

    def progress(phase: str, done: int, total: int) -> None:
        steps[0] += phase == "train"
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if group is not None and first and phase == "train" and [rank, steps[0]] == task.kill:
            Path(f"{sys.argv[1]}.killed").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)

    options: dict[str, Any] = {} if task.checkpoint is None else {"checkpoint": task.checkpoint, "every": task.every}
    trainer.fit(inputs, targets, epochs=task.epochs, progress=progress, **options)
    out: dict[str, Any] = {
        "losses": [epoch.loss for epoch in trainer.history],
        "active": [epoch.active for epoch in trainer.history],
        "recall": [epoch.recall for epoch in trainer.history],
        "stats": trainer.stats(),
    }
    if task.predict:
        ids, scores = trainer.predict(inputs[:200], 5, candidates=task.sparse)
        out |= {"ids": ids.tolist(), "scores": scores.tolist(), **trainer.evaluate(inputs, targets)}
    if task.save is not None:
        trainer.save(task.save)
    if group is not None:
        out["traffic"] = trainer.traffic()
    return out


def alone(task: Task) -> dict[str, Any]:
    """Train in this process without ranks."""
    return train(task, None)


HERE = Path(__file__).resolve()


def environment(task: Task) -> dict[str, str]:
    """What ranks need in their environment."""
    paths = [str(HERE.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, **own, "TASK": json.dumps(asdict(task))}


def torchrun(task: Task, ranks: int, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run ranks as processes of this machine; rank 0 leaves what it found in ``out``."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *options]
    command += [str(HERE), str(out)]
    return subprocess.run(command, env=environment(task), capture_output=True, text=True, check=False, timeout=300)


def processes(task: Task, ranks: int, out: Path) -> list[int]:
    """Run ranks without anybody who ends the others when one fails; returns their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    started = [
        subprocess.Popen([sys.executable, str(HERE), str(out)], env=environment(task) | meet | {"RANK": str(rank)})
        for rank in range(ranks)
    ]
    return [process.wait(timeout=120) for process in started]


def ran(task: Task, ranks: int, out: Path, *options: str) -> dict[str, Any]:
    """Run ranks that all end well; returns what rank 0 found."""
    done = torchrun(task, ranks, out, *options)
    if done.returncode:
        raise RuntimeError(f"torchrun ended with {done.returncode}:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def main() -> None:
    """One rank."""
    from thrifty.errors import ThriftyError, WorkerLost
    from thrifty.slide.torchrun import world

    task = Task(**json.loads(os.environ["TASK"]))
    rank = int(os.environ["RANK"])
    with world(task.timeout) as group:
        try:
            found = train(task, group)
        except ThriftyError as error:
            told = {"error": type(error).__name__, "message": str(error), "at": time.time()}
            if isinstance(error, WorkerLost):
                told |= {"rank": error.rank, "step": error.step}
            Path(f"{sys.argv[1]}.{rank}").write_text(json.dumps(told))
            os._exit(3)  # without waiting for those that are lost
    if rank == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
