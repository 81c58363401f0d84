"""Scale: the head's step at 670,091 labels and more, with what its sets are worth.

step: hidden values and labels are those of a network that was trained on the generated set (benches/cases/extreme.py, a
tenth of its rows); a step is query, forward, backward, Adam and re-hashing over live tables. Ours, torch's uniform
sampled softmax with SparseAdam and torch's dense layers take turns in one process on one thread; times are
CPU-milliseconds, medians. The sets that were timed are then judged: of batches of held-back rows, the share of their
labels in what their rows ask for, before labels and random neurons are added, as a multiple of that set's share of
all neurons.

growth: a step with weights so long that every neuron is in every table, the most that tables can cost, at 65,536,
670,091 and 7.5 million labels (0.96 billion parameters), 1,000 active.

accuracy: 262,144 labels. What ours reaches in a time, beside the best that our own and torch's uniform sampler reach
within the same CPU-seconds, at any epoch's end and in the better of their settings.

sparse: on the nouns of WordNet, P@1 over at most a twentieth of the neurons.

``--planted``: the sets are judged with the labels of other rows.
"""

from __future__ import annotations

import itertools
import lzma
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
# The dense layers at their best: memory that was freed is kept.
WARM = {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "OMP_NUM_THREADS": "1"}
if any(os.environ.get(name) != value for name, value in WARM.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | WARM)

from rows import Goal  # noqa: E402

from cases import extreme, heads  # noqa: E402
from thrifty.slide import LSHConfig, Trainer, read_xml  # noqa: E402

LABELS, WIDTH, BATCH = 670_091, 128, 128
SETTINGS = {
    1_000: LSHConfig(active=1_000, each=4, pool=64, correction="logq"),
    3_350: LSHConfig(active=3_350, each=24, pool=64, rehash=400, correction="logq"),
}


def steps(goal: Goal) -> None:
    """Times and sets at 670,091 labels."""
    data = extreme.make(LABELS, seed=goal.seed)
    trainer = Trainer(data.train[0].shape[1], LABELS, head=SETTINGS[1_000], lr=0.01, seed=goal.seed)
    trainer.fit(*data.train, epochs=2)
    weights = trainer.weights()
    del trainer
    train = heads.batches(weights, *data.train, BATCH)
    held_back = heads.batches(weights, *data.test, BATCH)[:40]
    for active, settings in SETTINGS.items():
        ours = heads.Ours(weights["output"].copy(), weights["output_bias"].copy(), settings, seed=goal.seed)
        for batch in train[:60]:
            ours.step(batch)
        peers: dict[str, Any] = {"uniform": heads.TorchUniform(weights["output"], active=active, seed=goal.seed)}
        times = heads.race({"ours": ours, **peers}, train[60:], rounds=40)
        mine = times["ours"]
        what = f"{active} active: ms of torch's uniform sampled softmax ({times['uniform']:.2f}) over ours ({mine:.2f})"
        goal.row(f"step/uniform {active}", what, ">= 2", times["uniform"] / mine)
        recall, share, size = ours.recall(held_back, shuffled=goal.planted)
        what = (
            f"{active} active: recall {recall:.3f} of held-back labels in a set of {size:.0f}, over that of random ones"
        )
        goal.row(f"step/recall {active}", what, ">= 20", recall / share)
        own, returned = ours.recall_of_rows(held_back, shuffled=goal.planted)
        what = (
            f"{active} active: recall {own:.3f} of a row's labels in the {returned:.1f} it asks for, over random ones"
        )
        goal.row(f"step/row recall {active}", what, ">= 20", own / (returned / LABELS))
        if goal.planted:
            continue
        gigabytes, limit = heads.traffic(active, WIDTH) / 1e9 / (mine / 1e3), heads.bandwidth()
        what = f"{active} active: GB/s of rows and moments ({gigabytes:.1f}) over those of a copy ({limit:.1f})"
        goal.row(f"step/bandwidth {active}", what, ">= 0.05", gigabytes / limit)
        goal.row(f"step/queue {active}", "rows that wait to be hashed again", "<= 670091", ours.stats()["queue"])
        for name, (factor, bf16) in {
            "f32": ({1_000: 260, 3_350: 130}[active], False),
            "bf16": ({1_000: 135, 3_350: 68}[active], True),
        }.items():
            dense = heads.race({"dense": heads.TorchDense(weights["output"], bf16=bf16)}, train, rounds=5, block=1)[
                "dense"
            ]
            what = f"{active} active: ms of torch's dense {name} ({dense:.0f}) over ours ({mine:.2f})"
            goal.row(f"step/dense {name} {active}", what, f">= {factor}", dense / mine)


def growth(goal: Goal) -> None:
    """Times by the number of labels, each in a process of its own."""
    milliseconds, peak = {}, 0.0
    for labels in (65_536, LABELS, 7_500_000):
        done = subprocess.run(
            [sys.executable, heads.__file__, str(labels), str(goal.seed)], capture_output=True, text=True, check=True
        )
        milliseconds[labels], peak = map(float, done.stdout.split()[-2:])
    sizes = list(milliseconds)
    for small, large in itertools.pairwise(sizes):
        tens = np.log10(large / small)
        ratio = (milliseconds[large] / milliseconds[small]) ** (1 / tens)
        times = f"{milliseconds[small]:.2f} to {milliseconds[large]:.2f} ms"
        what = f"{small} to {large} labels ({times}): factor per ten times"
        goal.row(f"growth/{large}", what, "<= 1.5", ratio)
    goal.row("growth/memory", "peak GB with 7.5 million labels", "<= 20", peak, "GB")


def accuracy(goal: Goal) -> None:
    """P@1 at equal CPU-seconds."""
    labels = 262_144
    data = extreme.make(labels, seed=goal.seed)
    tests = (data.test[0][:4_000], data.test[1][:4_000])

    def network(head: LSHConfig, lr: float) -> Trainer:
        return Trainer(data.train[0].shape[1], labels, head=head, lr=lr, threads=1, seed=goal.seed)

    def course(trainer: Any, budget: float, epochs: int) -> list[tuple[float, float]]:
        seconds, out = 0.0, []
        while len(out) < epochs and seconds < budget:
            begun = time.process_time()
            trainer.fit(*data.train)
            seconds += time.process_time() - begun
            out.append((seconds, trainer.evaluate(*tests)["p_at_1"]))
        return [c for c in out if c[0] <= budget] or [(seconds, 0.0)]

    ours = course(network(SETTINGS[1_000], 0.01), 1e9, 4)
    budget, mine = ours[-1]
    own = {}
    for lr in (0.01, 0.003):
        for correction in ("none", "logq"):
            head = LSHConfig(family="uniform", active=1_000, correction=correction)
            own[lr, correction] = max(p for _, p in course(network(head, lr), 1.15 * budget, 50))
    best = max(own.values())
    what = f"P@1 after {budget:.1f} CPU-s ({mine:.4f}) less the best of our uniform sampler by then ({best:.4f})"
    goal.row("accuracy/own uniform", what, ">= 0.02", mine - best)
    peers = {
        lr: heads.TorchNetwork(data.train[0].shape[1], labels, WIDTH, lr=lr, active=1_000, seed=goal.seed)
        for lr in (0.01, 0.003)
    }
    theirs = max(peer.train(data.train, BATCH, budget, tests) for peer in peers.values())
    what = f"P@1 after {budget:.1f} CPU-s ({mine:.4f}) less the best of torch's uniform sampler by then ({theirs:.4f})"
    goal.row("accuracy/torch uniform", what, ">= 0.02", mine - theirs)


def sparse(goal: Goal) -> None:
    """What is lost where only candidates are scored."""
    folder = goal.data("slide/wn")
    with tempfile.TemporaryDirectory() as scratch:
        sets = []
        for name in ("train", "test"):
            (Path(scratch) / name).write_bytes(lzma.decompress((folder / f"{name}.txt.xz").read_bytes()))
            sets.append(read_xml(Path(scratch) / name))
    trainer = Trainer(44_605, 15_792, head=LSHConfig(active=512, pool=256), seed=goal.seed)
    trainer.fit(*sets[0], epochs=3)
    dense = trainer.evaluate(*sets[1])["p_at_1"]
    trainer.choose(LSHConfig.for_prediction(trainer.labels))
    some = trainer.evaluate(*sets[1], candidates=trainer.labels // 20)
    goal.row("sparse/share", "share of neurons scored on wn", "<= 0.05", some["scored_share"])
    goal.row("sparse/loss", f"points of P@1 lost by it ({dense:.4f} dense)", "<= 0.02", dense - some["p_at_1"])


goal = Goal(__file__, __doc__, ("torch", "scipy"))
# Growth first: what dense layers took is kept by malloc, and 7.5 million labels need the memory.
for section in (growth, steps, accuracy, sparse):
    if goal.wants({"steps": "step"}.get(section.__name__, section.__name__)) and not (
        goal.planted and section is not steps
    ):
        section(goal)
goal.end()
