"""A head whose neurons are spread over ranks: what one process trains, in slices that exchange messages.

A rank's part of training is a generator: it yields messages and is sent what all ranks yielded. :func:`together` runs
any number of ranks in one process; ``torchrun --nproc-per-node 2 tests/slide/ranks.py OUT`` runs one a process, over
gloo, and rank 0 writes its losses there as JSON. All ranks have the input layer and train it alike.

Slices choose the neurons that the whole would where ranks can tell which those are from what tables returned: buckets
are not cut short, rows are ranked by counts alone (``pool=0``), random neurons are drawn alike, and no row waits to be
hashed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thrifty import _core
from thrifty.slide import LSHConfig, slices

Floats = NDArray[np.float32]
Messages = Generator[tuple[str, Any], Any, Any]


@dataclass(frozen=True)
class Task:
    """What is trained; ``deaf`` is a fault: ranks do not sum the gradient of the hidden values."""

    neurons: int = 3000
    features: int = 64
    hidden: int = 40
    rows: int = 64
    steps: int = 50
    family: str = "dwta"
    loss: str = "softmax"
    correction: str = "none"
    seed: int = 1
    deaf: bool = False

    def head(self) -> LSHConfig:
        """How neurons are chosen."""
        return LSHConfig(
            family=self.family,
            k=2 if self.family == "dwta" else 6,
            tables=20,
            bucket=1 << 30,
            active=self.neurons // 8,
            pool=0,
            rehash=self.neurons,
            random="uniform",
            correction=self.correction,
        )

    def batch(self, step: int) -> tuple[Floats, NDArray[np.uint32]]:
        """Return dense rows near the centres of their labels, and the labels."""
        centres = np.random.default_rng((self.seed, 1)).normal(size=(self.neurons, self.features))
        rng = np.random.default_rng((self.seed, 2, step))
        labels = rng.integers(0, self.neurons, self.rows)
        x = centres[labels] + 0.3 * rng.normal(size=(self.rows, self.features))
        return x.astype(np.float32), labels.astype(np.uint32)

    def weights(self) -> tuple[Floats, Floats]:
        """Return the first weights: features by hidden units, neurons by hidden units."""
        rng = np.random.default_rng((self.seed, 3))
        first = rng.normal(size=(self.features, self.hidden)) / self.features**0.5
        second = rng.uniform(-1, 1, (self.neurons, self.hidden)) / self.hidden**0.5
        return first.astype(np.float32), second.astype(np.float32)


@dataclass
class Trained:
    """What a rank has in the end."""

    losses: list[float] = field(default_factory=list)
    active: list[list[int]] = field(default_factory=list)
    input: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    output: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    bias: Floats = field(default_factory=lambda: np.zeros(0, np.float32))


def deaf(messages: Messages) -> Messages:
    """Let a slice take its own array for the sum of all."""
    answer: Any = None
    while True:
        try:
            kind, content = messages.send(answer)
        except StopIteration as end:
            return end.value
        answer = content if kind == "sum" else (yield kind, content)


def rank(task: Task, number: int, ranks: int, *, rate: float = 0.01) -> Messages:
    """Train the slice of a rank; yields ``("gather", message)`` and ``("sum", array)``."""
    begin, end = (i * task.neurons // ranks for i in (number, number + 1))
    first, second = task.weights()
    weight, bias = second[begin:end].ravel().copy(), np.zeros(end - begin, np.float32)
    settings = task.head()
    head = _core.SlideHead(settings, (begin, end - begin, task.neurons), task.hidden, task.loss, rate, task.seed, True)
    head.refresh(weight, False, 1)
    out = Trained()
    ends = np.arange(1, task.rows + 1, dtype=np.uint64)
    for step in range(task.steps):
        x, labels = task.batch(step)
        hidden = np.maximum(x @ first, 0)
        messages = slices.step(head, weight, bias, hidden, (ends, labels), settings.each, threads=1)
        loss, gradient, active = yield from deaf(messages) if task.deaf else messages
        out.losses.append(loss)
        out.active.append(active.tolist())
        first -= np.float32(0.5) * (x.T @ (gradient * (hidden > 0)))
    out.input, out.output, out.bias = first, weight.reshape(-1, task.hidden), bias
    return out


def together(task: Task, ranks: int) -> list[Trained]:
    """Run ranks in this process, message by message."""
    programs = [rank(task, number, ranks) for number in range(ranks)]
    messages = [next(program) for program in programs]
    done: list[Trained] = []
    while not done:
        contents = [content for _, content in messages]
        answer = np.sum(contents, axis=0, dtype=np.float32) if messages[0][0] == "sum" else contents
        messages = []
        for program in programs:
            try:
                messages.append(program.send(answer.copy()))
            except StopIteration as end:
                done.append(end.value)
    return done


def distributed(task: Task) -> Trained:
    """Run this process's rank; torch carries the messages."""
    import torch
    from torch import distributed as dist

    dist.init_process_group("gloo")
    program = rank(task, dist.get_rank(), dist.get_world_size())
    try:
        kind, content = next(program)
        while True:
            if kind == "sum":
                answer: Any = torch.from_numpy(content)
                dist.all_reduce(answer)
                kind, content = program.send(answer.numpy())
            else:
                answer = [None] * dist.get_world_size()
                dist.all_gather_object(answer, content)
                kind, content = program.send(answer)
    except StopIteration as end:
        trained: Trained = end.value
        return trained
    finally:
        dist.destroy_process_group()


def torchrun(task: Task, ranks: int, out: Path) -> dict[str, Any]:
    """Run ranks as processes of this machine; returns losses and active neurons of rank 0."""
    import os
    import subprocess

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    program = Path(__file__).resolve()
    paths = [str(program.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "TASK": json.dumps(asdict(task)),
    }
    done = subprocess.run([*command, program, out], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"torchrun ended with {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


if __name__ == "__main__":
    import os

    trained = distributed(Task(**json.loads(os.environ.get("TASK", "{}"))))
    if os.environ.get("RANK", "0") == "0":
        Path(sys.argv[1]).write_text(json.dumps({"losses": trained.losses, "active": trained.active}))
