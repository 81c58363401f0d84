"""Output layers that take the same steps: ours, and torch's dense and uniformly sampled ones.

As a program: ``heads.py LABELS SEED`` prints CPU-milliseconds of a step of ours with every neuron in every table, and
the peak of the process' memory in GB.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thrifty import _core
from thrifty.slide import LSHConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """Hidden values and labels of some rows."""

    hidden: NDArray[np.float32]
    ends: NDArray[np.uint64]
    labels: NDArray[np.uint32]

    @property
    def owners(self) -> NDArray[np.int64]:
        """Return the row of each label."""
        return np.repeat(np.arange(len(self.ends)), np.diff(np.append(0, self.ends).astype(np.int64)))


def batches(weights: dict[str, Any], inputs: Any, targets: Any, size: int) -> list[Batch]:
    """Rows in order, as the hidden layer of a network sees them."""
    out = []
    for first in range(0, inputs.shape[0] - size + 1, size):
        hidden = np.maximum(inputs[first : first + size] @ weights["input"] + weights["input_bias"], 0)
        own = targets[first : first + size]
        out.append(
            Batch(
                np.ascontiguousarray(hidden, np.float32),
                own.indptr[1:].astype(np.uint64),
                own.indices.astype(np.uint32),
            )
        )
    return out


class Ours:
    """A head of this library over weights that it changes."""

    def __init__(self, weight: Any, bias: Any, settings: LSHConfig, *, seed: int, lr: float = 1e-3) -> None:
        labels, width = weight.shape
        self.weight, self.bias = weight.reshape(-1), bias
        self.core = _core.SlideHead(settings, (0, labels, labels), width, "softmax", lr, seed, True)
        self.core.refresh(self.weight, False, 0)
        self.labels = labels

    def step(self, batch: Batch) -> Any:
        """Train on a batch: query, forward, backward, Adam, re-hash."""
        hidden, targets = batch.hidden.reshape(-1), (batch.ends, batch.labels)
        asked, _ = self.core.ask(self.weight, self.bias, hidden, targets, None, 1)
        token, (most, sums, _), _ = self.core.forward(self.weight, self.bias, hidden, targets, asked, 1)
        return self.core.backward(token, self.weight, self.bias, most, sums, 1.0, 1)

    def stats(self) -> dict[str, int]:
        """Return figures of the tables."""
        return self.core.stats()

    def _asked(self, batch: Batch) -> tuple[Any, Any]:
        (ends, ids, _), _ = self.core.ask(
            self.weight, self.bias, batch.hidden.reshape(-1), (batch.ends, batch.labels), None, 1
        )
        return ends, ids

    def recall(self, held_back: list[Batch], *, shuffled: bool) -> tuple[float, float, float]:
        """Share of labels in what their batch asks for, that set's share of all neurons, and its size."""
        found, total, sizes = 0, 0, []
        for i, batch in enumerate(held_back):
            asked = np.unique(self._asked(batch)[1])
            labels = held_back[i - 1].labels[::-1] if shuffled else batch.labels
            labels = np.random.default_rng(i).integers(0, self.labels, len(labels)) if shuffled else labels
            found += int(np.isin(labels, asked).sum())
            total += len(labels)
            sizes.append(len(asked))
        return found / total, statistics.mean(sizes) / self.labels, statistics.mean(sizes)

    def recall_of_rows(self, held_back: list[Batch], *, shuffled: bool) -> tuple[float, float]:
        """Share of labels in what their own row asks for, and how many that are."""
        found, total, sizes = 0, 0, []
        for batch in held_back:
            ends, ids = self._asked(batch)
            lists = np.split(ids, ends[:-1].astype(int))
            owners = np.roll(batch.owners, 7) if shuffled else batch.owners
            found += sum(int(label in lists[row]) for row, label in zip(owners, batch.labels, strict=True))
            total += len(batch.labels)
            sizes += [len(own) for own in lists]
        return found / total, statistics.mean(sizes)


class TorchUniform:
    """Sampled softmax with uniform negatives and SparseAdam."""

    def __init__(self, weight: Any, *, active: int, seed: int, lr: float = 1e-3) -> None:
        import torch

        from peers.sampled import Uniform

        torch.set_num_threads(1)
        self.layer = Uniform(weight, lr=lr, active=active, seed=seed)

    def step(self, batch: Batch) -> Any:
        """Train on a batch, the labels of a row as equal shares."""
        owners = batch.owners
        shares = (1 / np.bincount(owners)[owners]).astype(np.float32)
        return self.layer.step(batch.hidden, (owners, batch.labels.astype(np.int64)), shares)


class TorchDense:
    """All labels and Adam; trains on the first label of each row."""

    def __init__(self, weight: Any, *, bf16: bool, lr: float = 1e-3) -> None:
        import torch

        from peers.sampled import Dense

        torch.set_num_threads(1)
        self.layer = Dense(weight, lr=lr, bf16=bf16)

    def step(self, batch: Batch) -> Any:
        """Train on a batch."""
        first = np.append(0, batch.ends[:-1]).astype(np.int64)
        return self.layer.step(batch.hidden, batch.labels[first].astype(np.int64))


class TorchNetwork:
    """A whole network with a uniformly sampled output, all of it sparse."""

    def __init__(self, features: int, labels: int, width: int, *, lr: float, active: int, seed: int) -> None:
        import torch

        from peers.sampled import Uniform

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        bound = width**-0.5
        rng = np.random.default_rng(seed)
        weight = rng.uniform(-bound, bound, (labels, width)).astype(np.float32)
        self.layer = Uniform(weight, lr=lr, active=active, seed=seed)
        self.input = torch.nn.EmbeddingBag(features, width, mode="sum", sparse=True)
        torch.nn.init.uniform_(self.input.weight, -bound, bound)
        self.bias = torch.nn.Parameter(torch.zeros(width))
        self.optimizers = [torch.optim.SparseAdam(self.input.parameters(), lr=lr), torch.optim.Adam([self.bias], lr=lr)]

    def hidden(self, rows: Any) -> Any:
        """Return the rectified hidden values of sparse rows."""
        import torch

        indices, offsets = (
            torch.from_numpy(rows.indices.astype(np.int64)),
            torch.from_numpy(rows.indptr[:-1].astype(np.int64)),
        )
        return torch.relu(self.input(indices, offsets, per_sample_weights=torch.from_numpy(rows.data)) + self.bias)

    def train(self, data: tuple[Any, Any], size: int, budget: float, tests: tuple[Any, Any]) -> float:
        """Train for so many CPU-seconds; return the best P@1 at any epoch's end or the end of time."""
        import torch

        inputs, targets = data
        rng, best, seconds = np.random.default_rng(0), 0.0, 0.0
        while seconds < budget:
            order = rng.permutation(inputs.shape[0])
            for first in range(0, len(order) - size + 1, size):
                begun = time.process_time()
                own = order[first : first + size]
                batch = batches_of(targets[own])
                hidden = self.hidden(inputs[own])
                shares = (1 / np.bincount(batch[0])[batch[0]]).astype(np.float32)
                gradient = self.layer.step(hidden.detach().numpy(), batch, shares)
                for optimizer in self.optimizers:
                    optimizer.zero_grad()
                hidden.backward(torch.from_numpy(gradient))
                for optimizer in self.optimizers:
                    optimizer.step()
                seconds += time.process_time() - begun
                if seconds >= budget:
                    break
            best = max(best, self.precision(tests))
        return best

    def precision(self, tests: tuple[Any, Any]) -> float:
        """Return P@1 over all labels."""
        import torch

        right = 0
        with torch.no_grad():
            for first in range(0, tests[0].shape[0], 250):
                scores = (
                    self.hidden(tests[0][first : first + 250]) @ self.layer.weight.weight.T
                    + self.layer.bias.weight[:, 0]
                )
                targets = tests[1][first : first + 250]
                for row, label in enumerate(scores.argmax(dim=1).tolist()):
                    right += label in targets.indices[targets.indptr[row] : targets.indptr[row + 1]]
        return right / tests[0].shape[0]


def batches_of(targets: Any) -> tuple[Any, Any]:
    """Row and label of each entry."""
    return np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr)), targets.indices.astype(np.int64)


def race(contestants: dict[str, Any], data: list[Batch], *, rounds: int, block: int = 4) -> dict[str, float]:
    """CPU-milliseconds of a step of each, medians over rounds in which they take turns, ``block`` steps each."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            begun = time.process_time()
            for i in range(block):
                contestant.step(data[(turn * block + i) % len(data)])
            times[name].append((time.process_time() - begun) / block * 1e3)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def traffic(active: int, width: int) -> int:
    """Bytes of weights and moments that a step must read and write: rows twice read, moments read, all written."""
    return active * width * 4 * (1 + 3 + 3)


def bandwidth() -> float:
    """GB/s that a copy of a large array reads and writes on one thread."""
    a = np.ones(1 << 27, np.float32)
    b = np.empty_like(a)
    best = 0.0
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(b, a)
        best = max(best, 2 * a.nbytes / (time.perf_counter() - begun) / 1e9)
    return best


def synthetic(labels: int, width: int, size: int, count: int, weight: Any, seed: int) -> list[Batch]:
    """Rows near the weights of labels that Zipf's law draws."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        ids = np.minimum(np.exp(rng.random(size) * np.log(labels)).astype(np.int64), labels - 1)
        near = weight[ids] * width**0.5 / 4 + rng.normal(0, 0.4, (size, width))
        hidden = np.maximum(near, 0).astype(np.float32)
        out.append(Batch(hidden, np.arange(1, size + 1, dtype=np.uint64), ids.astype(np.uint32)))
    return out


def main(labels: int, seed: int) -> None:
    """Print a step's milliseconds and the peak of memory."""
    width, rng = 128, np.random.default_rng(seed)
    weight = np.empty((labels, width), np.float32)
    for first in range(0, labels, 1 << 20):
        part = weight[first : first + (1 << 20)]
        part[:] = (rng.random(part.shape, np.float32) - 0.5) * np.float32(8 * width**-0.5)
    settings = LSHConfig(active=1_000, each=4, pool=64)
    data = synthetic(labels, width, 128, 200, weight, seed)
    bias = np.zeros(labels, np.float32)
    ours = Ours(weight, bias, settings, seed=seed)
    for batch in data[:100]:
        ours.step(batch)
    milliseconds = race({"ours": ours}, data, rounds=50)["ours"]
    print(milliseconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
