"""Real data: nouns of WordNet and what they are kinds of (65,683 rows, 44,605 features, 15,792 labels).

CPU-seconds are those of training on one thread, evaluation apart. Epochs that are compared have the same learning rate,
batch and number of active neurons. Recall is that of what hash tables return for a test row alone, at most 3 % of the
neurons by how many tables return them, before labels, other rows' neurons or random ones are added; random neurons
would have their share as recall. Label trees (omikuji, napkinXC) stand beside, and what was tried to come closer to
them: each try has a row, asked to be no worse than the plain network.

``--planted``: the tables are asked with other hash functions than those that rows were put in with.
"""

from __future__ import annotations

import lzma
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal

from thrifty.slide import LSHConfig, Trainer, read_xml, write_xml

goal = Goal(__file__, __doc__, ("omikuji", "napkinxc", "scipy"))
ACTIVE, LR = 512, 0.01
HEAD = LSHConfig(active=ACTIVE, pool=256)
SEEDS = 3


def load(folder: Path) -> tuple[Any, Any]:
    """Training and test rows."""
    with tempfile.TemporaryDirectory() as scratch:
        out = []
        for name in ("train", "test"):
            file = Path(scratch) / name
            file.write_bytes(lzma.decompress((folder / f"{name}.txt.xz").read_bytes()))
            out.append(read_xml(file))
    return out[0], out[1]


def network(head: LSHConfig, seed: int, **settings: Any) -> Trainer:
    """An untrained network."""
    return Trainer(44_605, 15_792, head=head, threads=1, seed=seed, **{"lr": LR, **settings})


def trained(trainer: Trainer, epochs: int) -> list[tuple[float, float]]:
    """CPU-seconds so far and P@1 on the test rows, after each epoch."""
    seconds, out = 0.0, []
    for _ in range(epochs):
        begun = time.process_time()
        trainer.fit(*train)
        seconds += time.process_time() - begun
        out.append((seconds, trainer.evaluate(*test)["p_at_1"]))
    return out


def reached(course: list[tuple[float, float]], least: float) -> float:
    """CPU-seconds after which P@1 was that good; a large number if it never was."""
    return next((seconds for seconds, p in course if p >= least), 999.0)


def recall(trainer: Trainer) -> tuple[float, float]:
    """Share of test labels in what the tables return for their row, and the mean share of neurons returned."""
    inputs, targets = test
    most = int(0.03 * trainer.labels)
    found, _ = trainer.predict(inputs, most, candidates=most)
    if goal.planted:
        found = np.random.default_rng(goal.seed).permutation(found)
    owners = np.repeat(np.arange(len(found)), np.diff(targets.indptr))
    hits = (found[owners] == targets.indices[:, None]).any(axis=1)
    return float(hits.mean()), float((found >= 0).sum(axis=1).mean() / trainer.labels)


def p_at_1(scores: Any) -> float:
    """Share of test rows whose best label is right."""
    best = scores.argmax(axis=1)
    return float(np.mean([best[i] in test[1].indices[a:b] for i, (a, b) in enumerate(pairs)]))


def logits(trainer: Trainer) -> Any:
    """Log-probabilities of all labels for all test rows."""
    w = trainer.weights()
    hidden = np.maximum(test[0] @ w["input"] + w["input_bias"], 0)
    scores = hidden @ w["output"].T + w["output_bias"]
    scores -= scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


train, test = load(goal.data("slide/wn"))
pairs = list(zip(test[1].indptr[:-1], test[1].indptr[1:], strict=True))

if goal.wants("P@1") or goal.wants("recall") or goal.planted:
    courses = {}
    trainers = [network(HEAD, goal.seed + i) for i in range(1 if goal.planted else SEEDS)]
    courses["tables"] = [trained(trainer, 4) for trainer in trainers]
    found, share = recall(trainers[0])
    what = f"recall {found:.3f} of test labels by the tables of training, over their share of neurons ({share:.4f})"
    goal.row("recall/training tables", what, ">= 15", found / share)
    trainers[0].choose(LSHConfig.for_prediction(15_792))
    found, share = recall(trainers[0])
    goal.row("recall/tables", "recall of test labels by what tables for prediction return alone", ">= 0.45", found)
    goal.row("recall/share", "mean share of neurons that they return", "<= 0.03", share)
    goal.row("recall/random", "recall of as many random neurons", "<= 0.03", share)
    if goal.planted:
        goal.end()
    random = LSHConfig(family="uniform", active=ACTIVE)
    courses["uniform"] = [trained(network(random, goal.seed + i), 4) for i in range(SEEDS)]
    middle = statistics.median
    for least, most in ((0.35, 5), (0.38, 12)):
        seconds = middle(reached(course, least) for course in courses["tables"])
        goal.row(
            f"P@1/{least}",
            f"CPU-s of training until test P@1 >= {least} (median of 3 seeds)",
            f"<= {most}",
            seconds,
            "s",
        )
    for epoch in (1, 4):
        ours, theirs = (middle(c[epoch - 1][1] for c in courses[name]) for name in ("tables", "uniform"))
        what = (
            f"P@1 after epoch {epoch} less that of random neurons, both {ACTIVE} active ({ours:.4f} and {theirs:.4f})"
        )
        goal.row(f"P@1/uniform {epoch}", what, ">= 0.02", ours - theirs)
    plain = middle(c[3][1] for c in courses["tables"])

if goal.wants("tries"):
    if not goal.wants("P@1"):
        plain = trained(network(HEAD, goal.seed), 4)[3][1]

    def told(name: str, what: str, seconds: float, p: float) -> None:
        goal.row(f"tries/{name}", f"P@1 of {what}, {seconds:.1f} CPU-s", f">= {plain:.4f}", p)

    wide = trained(network(LSHConfig(active=1024, pool=256), goal.seed, hidden=256, lr=0.005), 5)
    told("wider", "256 hidden units, 1,024 active, 5 epochs", *wide[-1])
    longer = trained(network(LSHConfig(active=1024, pool=256), goal.seed, lr=0.005), 6)
    told("longer", "1,024 active, 6 epochs", *longer[-1])
    members = [network(LSHConfig(active=1024, pool=256), goal.seed + i, lr=0.005) for i in range(4)]
    seconds = sum(trained(member, 4)[-1][0] for member in members)
    told("ensemble", "four networks together, mean of log-probabilities", seconds, p_at_1(sum(map(logits, members))))

if goal.wants("peers"):
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / name for name in ("train.txt", "test.txt")]
        for file, rows in zip(files, (train, test), strict=True):
            write_xml(file, *rows)
        for name in ("omikuji", "napkinxc"):
            program = Path(__file__).resolve().parents[2] / "peers" / "trees.py"
            done = subprocess.run(
                [sys.executable, str(program), name, *map(str, files)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"slide 3: {name} not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            seconds, p = map(float, done.stdout.split()[-2:])
            goal.row(f"peers/{name}", f"P@1 of {name}, a label tree, {seconds:.1f} CPU-s of training", ">= 0.4", p)

goal.end()
