"""``thrifty slide train``: what it will take, the epochs, the model."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.cli import common
from thrifty.errors import CapacityError, DatasetError, MismatchError
from thrifty.slide.torchrun import ranks

if TYPE_CHECKING:
    from thrifty.slide import Epoch
    from thrifty.slide.data import Sizes

__all__ = ["run"]


def run(
    train: Path,
    model: Path,
    *,
    test: Path | None,
    network: dict[str, Any],
    epochs: int,
    checkpoint: Path | None,
    every: int,
    max_memory: int | None,
    as_json: bool,
) -> None:
    """Train and tell."""
    from thrifty.slide import Trainer, read_xml
    from thrifty.slide.data import sizes

    group = network.get("process_group")
    first = group is None or int(os.environ["RANK"]) == 0
    common.writable(model, "the model")
    files = [(path, sizes(path)) for path in (train, test) if path is not None]
    _agree(files)
    memory = _memory(files, network, checkpoint, ranks())
    shown = ", ".join(f"{name} {_mb(size)}" for name, size in memory.items() if name != "peak" and size)
    if first:
        each = "" if group is None else " a rank"
        common.note(f"takes about {_mb(memory['peak'])} of memory{each}: {shown}")
    if max_memory is not None and memory["peak"] > max_memory:
        raise CapacityError(
            f"about {_mb(memory['peak'])} of memory are needed, --max-memory allows {_mb(max_memory)}; take fewer "
            "--hidden or --tables, or --precision bf16-stochastic"
        )
    threads = network["threads"]
    with common.progress(first) as callback:
        read = [read_xml(path, threads=threads, progress=callback) for path, _ in files]
        inputs, targets = read[0]
        if targets.nnz == 0:
            raise DatasetError(f"{train}: no row has a label, so there is nothing to learn")
        trainer = Trainer(inputs.shape[1], targets.shape[1], **network)
        report = _Report(trainer, read[1] if test else None, first)
        started = time.perf_counter()
        report.begin()
        trainer.fit(
            inputs,
            targets,
            epochs=epochs,
            checkpoint=checkpoint,
            every=every,
            on_epoch=report.epoch,
            progress=callback,
        )
        trainer.save(model, progress=callback)
    result = {
        "model": str(model),
        "bytes": model.stat().st_size,
        "epochs": report.epochs(),
        "resumed_epochs": len(trainer.history) - len(report.done),
        "cpu_seconds": report.cpu_seconds,
        "seconds": time.perf_counter() - started,
        "bytes_on_the_wire": 0,
        "memory": memory,
    } | trainer.traffic()
    if not first:
        return
    if as_json:
        common.emit(result)
    else:
        _table(model, result)


class _Report:
    """Figures of epochs as they come."""

    def __init__(self, trainer: Any, test: tuple[Any, Any] | None, visible: bool) -> None:
        self.trainer, self.test, self.visible = trainer, test, visible
        self.cpu_seconds = 0.0
        self.done: list[dict[str, Any]] = []
        self.started = 0.0

    def begin(self) -> None:
        self.started = time.process_time()

    def epoch(self, epoch: Epoch) -> None:
        self.cpu_seconds += time.process_time() - self.started
        number = len(self.trainer.history)
        row = _figures(number, epoch) | {"cpu_seconds": self.cpu_seconds} | self.measured()
        self.done.append(row)
        if self.visible and sys.stderr.isatty():
            sys.stderr.write(_line(row) + "\n")
        self.begin()

    def measured(self) -> dict[str, float]:
        if self.test is None:
            return {}
        measured = self.trainer.evaluate(*self.test)
        return {name: value for name, value in measured.items() if name.startswith(("p_at", "ndcg_at"))}

    def epochs(self) -> list[dict[str, Any]]:
        """Of all epochs; those of an earlier run without what only that run knew."""
        history = self.trainer.history
        before = [_figures(i, epoch) for i, epoch in enumerate(history[: len(history) - len(self.done)], 1)]
        if before and not self.done:
            before[-1] |= self.measured()  # the model as it is
        return before + self.done


def _figures(number: int, epoch: Epoch) -> dict[str, Any]:
    return {
        "epoch": number,
        "loss": epoch.loss,
        "rows": epoch.rows,
        "returned": epoch.returned,
        "recall": epoch.recall,
        "active": epoch.active,
    }


def _agree(files: list[tuple[Path, Sizes]]) -> None:
    (path, first), *others = files
    for other, found in others:
        for what in ("features", "labels"):
            here, there = getattr(first, what), getattr(found, what)
            if here != there:
                raise MismatchError(f"{other}: the header says {there} {what}, that of {path} {here}; they must agree")


def _memory(
    files: list[tuple[Path, Sizes]], network: dict[str, Any], checkpoint: Path | None, ranks: int
) -> dict[str, int]:
    """Bytes of a process at the peak, and what they are for."""
    import scipy.sparse  # noqa: F401 - part of the program, which is measured here

    from thrifty.slide import Trainer

    shape, hidden, head, precision = files[0][1], network["hidden"], network["head"], network["precision"]
    given = {name: network[name] for name in ("hidden", "head", "precision", "adam")}
    model = Trainer.memory(shape.features, shape.labels, **given)
    model = {name: -(-size // ranks) for name, size in model.items()}
    active = min(head.active, shape.labels) + network["batch"]
    step = 4 * network["batch"] * (2 * active + (active // 384 + 6) * hidden)
    # A checkpoint is read beside the new weights, before there are tables.
    again = model["weights"] + (4 * shape.labels * hidden if precision == "bf16" else 0)
    resumes = checkpoint is not None and (checkpoint / "checkpoint.safetensors").exists()
    parts = {
        "program": _resident(),
        "data": sum(found.bytes for _, found in files),
        "weights": model["weights"],
        "moments": model["moments"],
        "tables": model["tables"],
        "step": step,
        "checkpoint": max(0, again - model["tables"] - step) if resumes else 0,
    }
    return parts | {"peak": sum(parts.values())}


def _resident() -> int:
    """Bytes that this process has in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _mb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _line(row: dict[str, Any]) -> str:
    parts = [f"epoch {row['epoch']}", f"loss {row['loss']:.4f}", f"recall {row['recall']:.3f}"]
    parts.append(f"active {row['active']:.0f}")
    parts += [f"P@{k} {row[f'p_at_{k}']:.4f}" for k in (1, 3, 5) if f"p_at_{k}" in row]
    if "cpu_seconds" in row:
        parts.append(f"{row['cpu_seconds']:.2f} CPU-seconds")
    return ", ".join(parts)


def _table(model: Path, result: dict[str, Any]) -> None:
    lines = [_line(row).split(", ", 1) for row in result["epochs"]]
    rows = [(name, text) for name, text in lines]
    rows.append(("CPU-seconds", f"{result['cpu_seconds']:.2f}"))
    rows.append(("seconds", f"{result['seconds']:.2f}"))
    rows.append(("file", _mb(result["bytes"])))
    if "ranks" in result:
        rows.append(("ranks", str(result["ranks"])))
        rows.append(("bytes a step that a rank sends", f"{result['bytes_a_step']:,.0f}"))
        parts = ", ".join(f"{name} {100 * result[name]:.0f} %" for name in ("compute", "collectives", "waiting"))
        rows.append(("time of a rank", parts))
    common.table(str(model), rows)
