"""The demo of slide: which noun is above this one? Four thousand answers, a few hundred of them trained at a time."""

from __future__ import annotations

import lzma
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.pipeline import demo_ranks as ranks
from thrifty.pipeline.data import nouns
from thrifty.report import Figure, Section, Series, Table
from thrifty.slide import LSHConfig, Trainer, read_xml

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], object]

__all__ = ["tell"]

#: Neurons that a batch trains.
ACTIVE = 256
#: Learning rate, for all three.
RATE = 0.005
EPOCHS = 4
#: The dense layer takes several times as long an epoch.
DENSE_EPOCHS = 2


@dataclass
class _Run:
    """A training, epoch by epoch."""

    name: str
    head: LSHConfig
    epochs: int
    cpu: list[float] = field(default_factory=list)
    p_at_1: list[float] = field(default_factory=list)
    active: float = 0.0
    step_ms: float = 0.0


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Train with hash tables, with random neurons and with all neurons, and compare them by CPU-seconds."""
    del folder  # nothing is kept
    train, test = _rows("train", threads), _rows("test", threads)
    labels = train[1].shape[1]
    runs = [
        _Run("hash tables", LSHConfig(active=ACTIVE), EPOCHS),
        _Run("random neurons", LSHConfig(family="uniform", active=ACTIVE), EPOCHS),
        _Run("all neurons", LSHConfig(family="uniform", active=labels), DENSE_EPOCHS),
    ]
    network = {"lr": RATE, "seed": seed, "threads": threads}
    trainers = [_train(run, train, test, network, progress) for run in runs]
    ours, uniform, dense = runs
    trainer = trainers[0]
    candidates = max(100, labels // 20)
    recall, share = _recall(trainer, test, candidates)
    sparse = trainer.evaluate(*test, candidates=candidates)["p_at_1"]
    return Section(
        "slide",
        f"slide: which of {labels:,} nouns is above this one?",
        f"{train[0].shape[0]:,} nouns of WordNet, as the words of their glosses, teach a network with 128 hidden units "
        f"and {labels:,} labels which noun is directly above each; {test[0].shape[0]:,} others ask. A batch trains "
        f"{ours.active:.0f} of the {labels:,} output neurons: its labels, and those that hash tables over the neurons "
        "return for the hidden values of its rows.\n\nBeside it are the same network, trained by the same code, with "
        "random neurons instead of returned ones, whose steps hash nothing and cost less, and with all neurons in each "
        "step: the dense layer. The curves show what each gets out of a CPU-second, on rows that none was trained on.",
        [
            Figure(
                "slide.p_at_1",
                f"P@1 after {EPOCHS} epochs",
                ours.p_at_1[-1],
                baseline=uniform.p_at_1[-1],
                source=f"of all labels; beside it random neurons, as many; dense has {dense.p_at_1[-1]:.3f} after "
                f"{DENSE_EPOCHS} epochs",
            ),
            Figure(
                "slide.active_share",
                "Neurons that a step trains",
                100 * ours.active / labels,
                "%",
                baseline=100.0,
                source="mean of the last epoch; beside it the dense layer",
            ),
            Figure(
                "slide.step_ms",
                "One step of 128 rows",
                ours.step_ms,
                "CPU-ms",
                baseline=dense.step_ms,
                ratio=dense.step_ms / ours.step_ms,
                source="hashing, query, weights and tables included; median of epochs; beside it a dense step",
            ),
            Figure(
                "slide.recall",
                "Labels that the tables return",
                100 * recall,
                "%",
                baseline=100 * share,
                ratio=recall / share,
                source="of test rows, by the tables alone; beside it as many random neurons",
            ),
            Figure(
                "slide.sparse_p_at_1",
                "P@1 of returned neurons alone",
                sparse,
                baseline=ours.p_at_1[-1],
                source=f"{100 * share:.1f} % of the neurons were scored; beside it all of them",
            ),
            *(ranks.figures(active=ACTIVE, rate=RATE, epochs=EPOCHS, seed=seed, alone=ours.p_at_1[-1]) if full else []),
            _curves(runs),
            Table(
                "slide.trainings",
                "Three trainings of one network",
                ["neurons of a step", "active", "CPU-ms a step", "epochs", "CPU-seconds", "P@1"],
                [(r.name, round(r.active), r.step_ms, r.epochs, r.cpu[-1], r.p_at_1[-1]) for r in runs],
            ),
            _examples(trainer, test, seed),
        ],
    )


def _rows(part: str, threads: int) -> tuple[Any, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{part}.txt"
        path.write_bytes(lzma.decompress((nouns() / f"{part}.txt.xz").read_bytes()))
        return read_xml(path, threads=threads)


def _train(run: _Run, train: Any, test: Any, network: dict[str, Any], progress: Progress | None) -> Trainer:
    inputs, targets = train
    trainer = Trainer(inputs.shape[1], targets.shape[1], head=run.head, **network)
    spent = []
    for _ in range(run.epochs):
        started = time.process_time()
        (epoch,) = trainer.fit(inputs, targets, progress=progress)
        spent.append(time.process_time() - started)
        run.cpu.append(sum(spent))
        run.p_at_1.append(trainer.evaluate(*test)["p_at_1"])
        run.active = epoch.active
    steps = trainer.stats()["steps"] / run.epochs
    run.step_ms = 1e3 * float(np.median(spent)) / steps
    return trainer


def _recall(trainer: Trainer, test: Any, candidates: int) -> tuple[float, float]:
    """Share of labels among what tables return for their rows, and the share of neurons that this is."""
    inputs, targets = test
    returned, _ = trainer.predict(inputs, candidates, candidates=candidates)
    pairs = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    found = (returned[pairs] == targets.indices[:, None]).any(axis=1)
    return float(found.mean()), float((returned >= 0).sum() / (len(returned) * trainer.labels))


def _curves(runs: list[_Run]) -> Series:
    """P@1 over CPU-seconds: one axis for all, with holes where a curve has no point."""
    x = sorted({seconds for run in runs for seconds in run.cpu})
    at = {run.name: dict(zip(run.cpu, run.p_at_1, strict=True)) for run in runs}
    return Series(
        "slide.curves",
        "P@1 on test rows after each epoch",
        x,
        {name: [known.get(seconds, float("nan")) for seconds in x] for name, known in at.items()},
        x_label="CPU-seconds of training",
        y_label="P@1",
    )


def _examples(trainer: Trainer, test: Any, seed: int) -> Table:
    inputs, targets = test
    names = (nouns() / "labels.txt").read_text(encoding="utf-8").splitlines()
    chosen = np.sort(np.random.default_rng(seed).choice(inputs.shape[0], 6, replace=False))
    best, _ = trainer.predict(inputs[chosen], 3)
    rows = [
        (
            int(row),
            ", ".join(names[label] for label in targets[row].indices),
            ", ".join(names[label] for label in ids),
        )
        for row, ids in zip(chosen, best, strict=True)
    ]
    return Table("slide.examples", "Six test rows", ["row", "what is above it", "first three guesses"], rows)
