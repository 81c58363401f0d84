"""One rank of a measurement over hosts: ``python rank.py MODE OUT ...``; what it found is JSON in OUT.rank."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from torch import distributed

from cases import extreme, hosts
from peers import ranks as peers

WIDTH, BATCH = 128, 128


def batches(data: Any) -> Any:
    """Yield batches of training rows for ever."""
    inputs, targets = data.train
    while True:
        for begin in range(0, inputs.shape[0] - BATCH + 1, BATCH):
            yield inputs[begin : begin + BATCH], targets[begin : begin + BATCH]


def ours(group: Any, data: Any, arguments: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Return what makes a step of ours, what tells of its messages, and the trainer."""
    from thrifty.slide import LSHConfig, Trainer
    from thrifty.slide.data import rows as checked
    from thrifty.slide.ranks import Ranks

    features, labels = data.train[0].shape[1], data.train[1].shape[1]
    head = LSHConfig(active=arguments.active, each=arguments.each, pool=64, correction="logq")
    ranked = {"process_group": group or Ranks(0, 1), "messages": arguments.messages}
    trainer = Trainer(features, labels, hidden=WIDTH, head=head, lr=0.01, threads=1, seed=arguments.seed, **ranked)
    core: Any = trainer._core
    x, y = checked(data.train[0], "inputs", features), checked(data.train[1], "targets", labels)[:2]
    each = -(-len(x[0]) // BATCH)

    def rows() -> Any:
        for epoch in itertools.count():
            order = core.core.order(y, epoch)
            yield from (order[at : at + BATCH] for at in range(0, each * BATCH, BATCH))

    stream = rows()

    def step() -> None:
        core.step(x, y, next(stream))

    return step, trainer.traffic, trainer


def steps_of(mode: str, group: Any, data: Any, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Return what makes a step, and what tells of its messages: bytes sent until now, hidden values and shares."""
    if mode == "ours":
        step, _, trainer = ours(group, data, arguments)
        core: Any = trainer._core
        return step, lambda: {**trainer.traffic(), "active": int(core.bits[0]), "all": int(core.bits[1])}
    features, labels = data.train[0].shape[1], data.train[1].shape[1]
    network: Any
    if mode == "ddp":
        network = peers.DataParallel(features, WIDTH, labels, lr=0.01)
    else:
        active = arguments.active if mode == "sparse" else None
        network = peers.ModelParallel(features, WIDTH, labels, lr=0.01, active=active)
    stream = batches(data)
    return lambda: network.step(*next(stream)), dict


def learn(group: Any, data: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """P@1 as training goes on, and the seconds of it: a pass, or until a P@1 is reached."""
    step, traffic, trainer = ours(group, data, arguments)
    each, steps, seconds = 32, 0, 0.0
    all_steps = -(-data.train[0].shape[0] // BATCH)
    course: list[dict[str, float]] = []
    while steps < (3 * all_steps if arguments.until else all_steps):
        begun = time.perf_counter()
        for _ in range(min(each, all_steps - steps) if arguments.until is None else each):
            step()
            steps += 1
        seconds += time.perf_counter() - begun
        if arguments.until is None and steps < all_steps:
            continue
        if arguments.until is not None and steps < all_steps * 3 // 4:
            continue
        p_at_1 = trainer.evaluate(*data.test)["p_at_1"]
        course.append({"seconds": seconds, "passes": steps / all_steps, "p_at_1": p_at_1})
        if arguments.until is not None and p_at_1 >= arguments.until:
            break
    return {"course": course, **traffic()}


def main() -> None:
    """Time steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("ours", "ddp", "dense", "sparse", "learn"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=int, default=262_144)
    parser.add_argument("--active", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--messages", default="bf16")
    parser.add_argument("--warm", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--until", type=float, help="P@1 that is enough, with learn")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    from thrifty.slide.torchrun import world

    with world(600) as group:
        tests = 1_000 if arguments.mode == "learn" else 10
        data = extreme.make(arguments.labels, rows=arguments.rows, tests=tests, seed=arguments.seed)
        if arguments.mode == "learn":
            found = learn(group, data, arguments)
            Path(f"{arguments.out}.{distributed.get_rank() if group else 0}").write_text(json.dumps(found))
            return
        step, traffic = steps_of(arguments.mode, group, data, arguments)
        for _ in range(arguments.warm):
            step()
        distributed.barrier()
        before, told, times = hosts.sent(), traffic(), []
        for _ in range(arguments.steps):
            begun = time.perf_counter()
            step()
            times.append(time.perf_counter() - begun)
        sent = hosts.sent() - before
        found = {"mode": arguments.mode, "ms": 1e3 * float(np.median(times)), "interface": sent / arguments.steps}
        if told:
            # Hidden values grow rarer as training goes on: figures are of these steps alone.
            found |= (now := traffic())
            found["payload"] = (now["bytes_on_the_wire"] - told["bytes_on_the_wire"]) / arguments.steps
            found["density"] = (now["active"] - told["active"]) / (now["all"] - told["all"])
        rank = distributed.get_rank()
        Path(f"{arguments.out}.{rank}").write_text(json.dumps(found))
        distributed.barrier()


if __name__ == "__main__":
    main()
