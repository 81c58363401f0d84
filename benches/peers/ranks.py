"""Training a wide network over ranks in torch, three ways that people have; each is one rank of it.

:class:`DataParallel` is torch's DistributedDataParallel: every rank has all weights and a part of the batch, and the
dense gradients are summed over all, as Horovod does. With :class:`ModelParallel` each rank has some hidden units and
some labels, and all the batch. It scores all its labels, or with ``active`` those of the batch and its share of so many
uniform negatives, and trains them with SparseAdam: what can be had with torch alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn import functional


def bags(inputs: Any) -> tuple[Any, Any, Any]:
    """Return sparse rows as torch's EmbeddingBag takes them."""
    offsets = torch.from_numpy(inputs.indptr[:-1].astype(np.int64))
    return torch.from_numpy(inputs.indices.astype(np.int64)), offsets, torch.from_numpy(inputs.data)


def part(total: int) -> tuple[int, int]:
    """Return the range that is this rank's."""
    rank, size = distributed.get_rank(), distributed.get_world_size()
    return rank * total // size, (rank + 1) * total // size


class DataParallel:
    """All weights on all ranks."""

    def __init__(self, features: int, hidden: int, labels: int, *, lr: float) -> None:
        torch.manual_seed(1)
        self.input = torch.nn.EmbeddingBag(features, hidden, mode="sum")
        self.head = torch.nn.Linear(hidden, labels)
        network = torch.nn.ModuleList([self.input, self.head])
        network.forward = self.forward  # type: ignore[method-assign]
        self.network = torch.nn.parallel.DistributedDataParallel(network)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True)

    def forward(self, ids: Any, offsets: Any, values: Any) -> Any:
        """All scores."""
        return self.head(functional.relu(self.input(ids, offsets, per_sample_weights=values)))

    def step(self, inputs: Any, targets: Any) -> float:
        """Train on this rank's rows of a batch."""
        begin, end = part(inputs.shape[0])
        scores = self.network(*bags(inputs[begin:end]))
        own = targets[begin:end]
        shares = torch.from_numpy(np.repeat(1 / np.diff(own.indptr), np.diff(own.indptr)).astype(np.float32))
        rows = torch.from_numpy(np.repeat(np.arange(end - begin), np.diff(own.indptr)))
        chosen = torch.from_numpy(own.indices.astype(np.int64))
        loss = -(functional.log_softmax(scores, 1)[rows, chosen] * shares).sum() / (end - begin)
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        self.optimizer.step()
        return float(loss)


class ModelParallel:
    """Units and labels in parts."""

    def __init__(self, features: int, hidden: int, labels: int, *, lr: float, active: int | None) -> None:
        size, rank = distributed.get_world_size(), distributed.get_rank()
        self.units, self.labels, self.hidden = part(hidden), part(labels), hidden
        self.active = None if active is None else active // size
        self.rng = np.random.default_rng(rank)
        torch.manual_seed(rank)
        self.input = torch.nn.EmbeddingBag(features, self.units[1] - self.units[0], mode="sum", sparse=True)
        self.input.weight.data.mul_(0.1)
        here = self.labels[1] - self.labels[0]
        self.head = torch.nn.Embedding(here, hidden, sparse=active is not None)
        self.head.weight.data.mul_(hidden**-0.5)
        own = [*self.head.parameters()]
        self.sparse = torch.optim.SparseAdam([*self.input.parameters(), *(own if active is not None else [])], lr=lr)
        self.dense = None if active is not None else torch.optim.Adam(own, lr=lr, fused=True)

    def step(self, inputs: Any, targets: Any) -> float:
        """Train on a batch that all ranks have."""
        rows = inputs.shape[0]
        own = functional.relu(self.input(*bags(inputs)[:2], per_sample_weights=bags(inputs)[2]))
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own.detach().contiguous())
        h = torch.cat(parts, 1).requires_grad_()
        of_row = np.repeat(np.arange(rows), np.diff(targets.indptr))
        shares = np.repeat(1 / np.diff(targets.indptr), np.diff(targets.indptr)).astype(np.float32)
        here = (targets.indices >= self.labels[0]) & (targets.indices < self.labels[1])
        wanted = targets.indices[here] - self.labels[0]
        if self.active is None:
            scores, places = h @ self.head.weight.T, wanted
        else:
            negatives = self.rng.integers(0, self.labels[1] - self.labels[0], self.active)
            ids = np.unique(np.concatenate([wanted, negatives]))
            scores, places = h @ self.head(torch.from_numpy(ids)).T, np.searchsorted(ids, wanted)
        most = scores.detach().max(1).values
        distributed.all_reduce(most, distributed.ReduceOp.MAX)
        exponentials = torch.exp(scores - most[:, None])
        sums = exponentials.detach().sum(1)
        distributed.all_reduce(sums)
        # The gradient of the loss of all ranks: what of it lies here.
        at = scores[torch.from_numpy(of_row[here]), torch.from_numpy(places.astype(np.int64))]
        local = (exponentials / sums[:, None]).sum() - (at * torch.from_numpy(shares[here])).sum()
        self.sparse.zero_grad()
        if self.dense is not None:
            self.dense.zero_grad(set_to_none=False)
        (local / rows).backward()
        gradient = h.grad
        distributed.all_reduce(gradient)
        own.backward(gradient[:, self.units[0] : self.units[1]].contiguous())
        self.sparse.step()
        if self.dense is not None:
            self.dense.step()
        return float((torch.log(sums) + most).mean())
