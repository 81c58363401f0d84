"""Training over ranks: each has some of the hidden units and of the neurons, and all go through the same batches.

What travels in a step: the hidden values of the batch, two numbers a row for the softmax, and the gradient of the
hidden values (D-SLIDE, arXiv 2201.12667). Weights, moments and hash tables stay where they are.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.errors import MismatchError, ResumeMismatch
from thrifty.slide import shard_files
from thrifty.slide.ranks import HEADER, ROOM, STEP, bounds, ranks_of
from thrifty.slide.slices import best_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from thrifty.slide.config import LSHConfig

    Rows = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]
    Labels = tuple[NDArray[np.uint64], NDArray[np.uint32]]
    Progress = Callable[[str, int, int], object]

__all__ = ["Shards", "payload"]

CHUNK = 512
"""Rows that are predicted together."""
FIGURES = ("loss", "returned", "found", "labels", "active", "rows")


def payload(ranks: int, batch: float, hidden: int, density: float, messages: str) -> float:
    """Return the bytes that a rank sends in a step.

    Each of ``ranks`` sends all others its hidden values (a bit each, and those that are not zero), two numbers a row of
    the softmax, and each its gradient where hidden values are not zero. Hidden values have a place that is a little
    larger than they were last. (The scheme is D-SLIDE's, arXiv 2201.12667; the formula is that of the code here.)

    Parameters
    ----------
    ranks, batch, hidden : numbers
        N, B and H.
    density : float
        Share of hidden values that are not zero.
    messages : str
        ``"i8"``, ``"bf16"`` or ``"f32"``.

    Examples
    --------
    >>> round(payload(4, 128, 128, 0.5, "bf16"))
    29568
    """
    values = batch * hidden / ranks
    each, of_row = {"i8": (1, 4), "bf16": (2, 0), "f32": (4, 0)}[messages]
    numbers = of_row * batch + density * values * each
    return (ranks - 1) * (HEADER + (values / 8 + numbers) * ROOM + STEP + 8 * batch + numbers)


def speed(hidden: int, threads: int) -> float:
    """Return steps a second of a small head: what ranks are compared by."""
    from thrifty.slide.config import LSHConfig

    rng = np.random.default_rng(0)
    neurons, rows = 16_384, 64
    head = _core.SlideHead(LSHConfig(active=1024), (0, neurons, neurons), hidden, "softmax", 1e-3, 0, True)
    weight, bias = rng.normal(size=neurons * hidden).astype(np.float32), np.zeros(neurons, np.float32)
    head.refresh(weight, False, threads)
    x = np.maximum(rng.normal(size=rows * hidden), 0).astype(np.float32)
    targets = np.arange(1, rows + 1, dtype=np.uint64), rng.integers(0, neurons, rows).astype(np.uint32)
    times = []
    for _ in range(12):
        begun = time.perf_counter()
        asked, _figures = head.ask(weight, bias, x, targets, None, threads)
        token, (most, sums, _), _ids = head.forward(weight, bias, x, targets, asked, threads)
        head.backward(token, weight, bias, most, sums, 1.0, threads)
        times.append(time.perf_counter() - begun)
    return 1 / float(np.median(times))


class Shards:
    """What :class:`thrifty.slide.Trainer` drives when there are ranks; has the calls of ``_core.SlideTrainer``."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        head: LSHConfig,
        loss: str,
        precision: str,
        adam: str,
        rate: float,
        batch: int,
        seed: int,
        *,
        threads: int,
        group: Any,
        deterministic: bool,
        messages: str | None,
        shares: str | Sequence[float],
    ) -> None:
        if deterministic and head.random == "length" and head.family not in ("uniform", "log_uniform"):
            raise ValueError("random: 'length' needs the lengths of all rows; deterministic ranks need 'uniform'")
        if batch < 1:
            raise ValueError(f"batch: {batch} is not possible; at least 1")
        self.ranks = ranks_of(group)
        self.shape, self.batch, self.deterministic, self.threads = shape, batch, deterministic, threads
        self.head = head
        self.messages = messages or ("f32" if deterministic else "bf16")
        self.rate = rate
        self.settings = {
            "features": shape[0],
            "hidden": shape[1],
            "labels": shape[2],
            "head": asdict(head),
            "loss": loss,
            "precision": precision,
            "adam": adam,
            "lr": rate,
            "batch": batch,
            "seed": seed,
            "messages": self.messages,
            "deterministic": deterministic,
        }
        # Ranks must have been told the same shares; a checkpoint goes on with others.
        self._agree_on(self.settings | {"shares": shares if isinstance(shares, str) else list(shares)})
        if isinstance(shares, str):
            if shares not in ("equal", "measured"):
                raise ValueError(f"shares: {shares!r} is none of 'equal', 'measured'; or give a number for each rank")
            own = speed(shape[1], threads) if shares == "measured" else 1.0
            self.speeds = [float(s) for s in self.ranks.objects(own)]
        else:
            self.speeds = [float(s) for s in shares]
            if len(self.speeds) != self.ranks.size or min(self.speeds) <= 0:
                raise ValueError(f"shares: {self.ranks.size} numbers above 0 are needed, got {list(shares)}")
        self.units, self.neurons = bounds(shape[1], self.speeds), bounds(shape[2], self.speeds)
        rank = self.ranks.rank
        self.here = self.neurons[rank + 1] - self.neurons[rank]
        layout = rank, self.units, self.neurons
        self.core = _core.SlideShard(
            shape,
            layout,
            self._own(head),
            deterministic,
            loss,
            precision,
            adam,
            rate,
            seed,
            self.messages,
            threads,
        )
        self.position: dict[str, Any] = {"steps": 0, "epoch": 0, "batches": 0, "data": 0, "rate": None, "totals": {}}
        self.local = dict.fromkeys(FIGURES, 0.0)
        self.steps = self.trained = 0  # of this process, and the bytes that they sent
        self.bits = [0, 0]  # hidden values that were not zero, and all
        self.done: tuple[float, int, float, float, float] | None = None

    def _own(self, head: LSHConfig) -> LSHConfig:
        """How this rank chooses neurons: as many as its share of the layer."""
        if self.deterministic:  # no row may wait: which ones do would depend on the ranks
            return replace(head, rehash=self.shape[2])
        return head.part(self.here / self.shape[2])

    def _agree_on(self, settings: dict[str, Any]) -> None:
        """Refuse ranks that were started with different settings."""
        for rank, other in enumerate(self.ranks.objects(settings)):
            for name, value in settings.items():
                if other[name] != value:
                    here = self.ranks.rank
                    raise MismatchError(f"{name}: {value!r} for rank {here}, {other[name]!r} for rank {rank}")

    @contextmanager
    def _computing(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.ranks.seconds["compute"] += time.perf_counter() - begun

    def spec(self) -> tuple[tuple[int, int, int], int, float, int, int]:
        """(sizes), rows a step, learning rate, complete epochs, steps."""
        return self.shape, self.batch, self.rate, self.position["epoch"], self.position["steps"]

    def set_rate(self, rate: float) -> None:
        """Another learning rate from now on."""
        if not (np.isfinite(rate) and rate > 0):
            raise ValueError(f"lr: {rate} is not possible; a number above 0")
        self.core.set_rate(rate)
        self.rate = self.position["rate"] = float(rate)

    def set_head(self, head: LSHConfig) -> None:
        """Choose neurons in another way from now on."""
        self.head = head
        self.core.set_head(self._own(head), self.deterministic)

    def weights(self, threads: int) -> dict[str, NDArray[np.float32]]:
        """Return copies of this rank's weights by name."""
        return dict(self.core.weights())

    def check_tables(self, drain: bool, threads: int) -> tuple[int, int]:
        """Of this rank's buckets, those that differ from new ones, and all."""
        return self.core.check_tables(drain)

    def stats(self) -> dict[str, int]:
        """Figures of this rank's tables."""
        return dict(self.core.stats())

    def last(self) -> tuple[float, int, float, float, float] | None:
        """Of the last complete epoch."""
        return self.done

    def report(self) -> dict[str, float]:
        """Bytes of messages, and where the time went, of this rank."""
        sent = {"bytes_on_the_wire": self.ranks.sent, "bytes_a_step": self.trained / max(1, self.steps)}
        density = {"density": self.bits[0] / max(1, self.bits[1])}
        return {"ranks": self.ranks.size, **sent, **density, **self.ranks.shares()}

    def epoch(
        self, x: Rows, y: Labels, threads: int, place: tuple[Path, int, str] | None, progress: Progress | None
    ) -> None:
        """Train to the end of the epoch; ``place``: folder of checkpoints, steps between two, note."""
        data = self.core.checksum(x, y)
        if any(data != other for other in self.ranks.objects(data)):
            raise MismatchError("inputs, targets: the ranks do not have the same data")
        if self.position["batches"] and data != self.position["data"]:
            raise ResumeMismatch("the checksum of the data: an epoch is unfinished; give the data that it began with")
        self.position["data"] = data
        order = self.core.order(y, self.position["epoch"])
        total = len(order)
        for begin in range(self.position["batches"] * self.batch, total, self.batch):
            rows = order[begin : begin + self.batch]
            self.step(x, y, rows)
            self.position["batches"] += 1
            if place is not None and self.position["steps"] % place[1] == 0:
                self.write(place[0], place[2])
            if progress is not None:
                progress("train", begin + len(rows), total)
        self._sync()
        totals, batches = self.position["totals"], max(1, self.position["batches"])
        rows_done = max(1, totals["rows"])
        self.done = (
            totals["loss"] / rows_done,
            int(totals["rows"]),
            totals["returned"] / rows_done,
            totals["found"] / max(1, totals["labels"]),
            totals["active"] / batches,
        )
        self.position |= {"epoch": self.position["epoch"] + 1, "batches": 0, "totals": {}}

    def _sync(self) -> None:
        """Add what ranks counted to the totals that all have."""
        sums = self.ranks.sum(np.array([self.local[name] for name in FIGURES]))
        for name, value in zip(FIGURES, sums, strict=True):
            self.position["totals"][name] = self.position["totals"].get(name, 0.0) + float(value)
        self.local = dict.fromkeys(FIGURES, 0.0)

    def step(self, x: Rows, y: Labels, rows: NDArray[np.uint32]) -> None:
        """Make a step over some rows."""
        core, ranks, before = self.core, self.ranks, self.ranks.sent
        ranks.step = self.position["steps"]
        self._retune()
        with self._computing():
            message = core.begin(x, rows)
        wait = ranks.start_gather(message, "hidden")
        values = len(rows) * (self.units[ranks.rank + 1] - self.units[ranks.rank])
        bytes_of_values = len(message) - -(-values // 8) - (4 * len(rows) if self.messages == "i8" else 0)
        self.bits[0] += bytes_of_values // {"i8": 1, "bf16": 2, "f32": 4}[self.messages]
        self.bits[1] += values
        with self._computing():
            core.rehash()
        self._take_hidden(wait())
        if self.deterministic:
            self._choose_together(y)
        else:
            with self._computing():
                core.choose(y)
        with self._computing():
            sums = core.forward(y)
        all_sums = ranks.gather(sums.view(np.uint8)).view(np.float32)
        with self._computing():
            blocks, sizes, comes = core.gradient(y, list(all_sums))
        received = ranks.start(blocks, sizes, [comes] * ranks.size)
        with self._computing():
            core.prepare(y)
        gradients = received()
        with self._computing():
            common, of_labels, active, returned, found, labels = core.finish(x, (gradients, [comes] * ranks.size))
        self.position["steps"] += 1
        self.steps += 1
        self.trained += ranks.sent - before
        first = ranks.rank == 0
        figures = (first * common - of_labels, returned, found, labels, active, first * len(rows))
        for name, value in zip(FIGURES, figures, strict=True):
            self.local[name] += value

    def _take_hidden(self, blocks: list[NDArray[np.uint8]]) -> None:
        with self._computing():
            self.core.hidden((np.concatenate(blocks), [len(block) for block in blocks]))

    def _choose_together(self, y: Labels) -> None:
        """Choose the neurons that one rank with all of them would."""
        with self._computing():
            sizes = self.core.bucket_sizes(y)
        sizes = self.ranks.sum(sizes)
        with self._computing():
            asked = self.core.ask_agreed(y, sizes)
        lists = self.ranks.gather_arrays(asked, "asked")
        head = self.head
        with self._computing():
            wanted = _core.SlideHead.merge(lists, max(head.pool, head.each))
        if head.pool > head.each or head.family == "exact":
            with self._computing():
                scored = self.core.score_agreed(y, wanted)
            ranked = self.ranks.gather_arrays(scored, "scored")
            with self._computing():
                wanted = _core.SlideShard.best(ranked, head.each)
        with self._computing():
            self.core.choose_agreed(y, wanted)

    def _retune(self) -> None:
        """After 16, 32, 64, ... steps: another K if tables return too many neurons or too few."""
        steps = self.position["steps"]
        if steps < 16 or steps & (steps - 1):
            return
        _, _, returned, rows = self.core.tuned()
        if self.deterministic:
            returned = int(self.ranks.sum(np.array([returned], np.uint64))[0])
        if rows:
            self.core.retune(returned / rows, self.shape[2] if self.deterministic else self.here)

    def predict(
        self, x: Rows, k: int, candidates: int | None, threads: int, progress: Progress | None
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int]:
        """Ids and scores of the best ``k`` of all neurons for each row, the same on all ranks."""
        self.core.check(x)
        rows = np.arange(len(x[0]), dtype=np.uint32)
        if candidates is not None:
            candidates = max(k, round(candidates * self.here / self.shape[2]))
        self.core.settle()
        ids, scores, scored = [], [], 0
        for begin in range(0, len(rows), CHUNK):
            chunk = rows[begin : begin + CHUNK]
            self._take_hidden(self.ranks.start_gather(self.core.begin(x, chunk), "predicted")())
            found, values, count = self.core.predict(k, candidates)
            block = np.concatenate([found.view(np.uint8), values.view(np.uint8), np.array([count]).view(np.uint8)])
            parts = self.ranks.gather(block)
            n = len(chunk) * k * 4
            pairs = [(part[:n].copy().view(np.uint32), part[n : 2 * n].copy().view(np.float32)) for part in parts]
            scored += sum(int(part[2 * n :].copy().view(np.int64)[0]) for part in parts)
            best, most = best_of(pairs, k)
            ids.append(best.ravel())
            scores.append(most.ravel())
            if progress is not None:
                progress("predict", begin + len(chunk), len(rows))
        if not ids:
            return np.zeros(0, np.uint32), np.zeros(0, np.float32), 0
        return np.concatenate(ids), np.concatenate(scores), scored

    def write(self, folder: Path, note: str) -> None:
        """Write a checkpoint: a file of each rank, then what says that they are complete."""
        self._sync()
        position = self.position | {"neurons": self.neurons, "tuned": self.ranks.objects(self.core.tuned())}
        shard_files.write(self.ranks, self.core, folder, self.settings, position, note)

    def resume(self, folder: Path, x: Rows, y: Labels) -> str | None:
        """Take the state of a checkpoint, of any number of ranks; returns its note, or None where there is none."""
        manifest = shard_files.read(self.ranks, folder)
        if manifest is None:
            return None
        for name, value in self.settings.items():
            there = manifest["settings"].get(name)
            if there != value:
                hint = "give the same settings, or another folder for checkpoints"
                raise ResumeMismatch(f"{folder}: {name} there is {there!r}, here {value!r}; {hint}")
        data = self.core.checksum(x, y)
        if manifest["position"]["data"] != data:
            raise ResumeMismatch(f"{folder}: the data are not those of its training; give the same data")
        self.core.read([folder / name for name in manifest["files"]])
        self.position = manifest["position"]
        self._go_on(self.position.pop("neurons"), self.position.pop("tuned"))
        if self.position["rate"] is not None:
            self.set_rate(self.position["rate"])
        note: str = manifest["note"]
        return note

    def _go_on(self, neurons: list[int], tuned: list[tuple[int, int, int, int]]) -> None:
        """Take the K that ranks had come to: each its own, or what all have, where they agree on it."""
        rank = self.ranks.rank
        if neurons == self.neurons:
            k, range_, returned, rows = tuned[rank]
            self.core.set_tuned((k, range_, returned, rows))
        elif self.deterministic:
            k, range_, _, rows = tuned[0]
            returned = sum(each[2] for each in tuned) if rank == 0 else 0
            self.core.set_tuned((k, range_, returned, rows))

    def save(
        self, path: str | PathLike[str], note: str, training: bool, threads: int, progress: Progress | None
    ) -> None:
        """Write a model as one process does, or with ``training`` a checkpoint: where all ranks see it."""
        if training:
            self.write(Path(path), note)
        else:
            shard_files.assemble(self.ranks, self.core, self.head, Path(path), note, self.batch)
