"""The output layer in torch: dense, and sampled softmax with uniform negatives. One step: forward, backward,
optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional


class Dense:
    """All labels; Adam on all weights. bf16: weights, products and moments in bf16."""

    def __init__(self, weight: Any, *, lr: float, bf16: bool = False) -> None:
        dtype = torch.bfloat16 if bf16 else torch.float32
        self.weight = torch.nn.Parameter(torch.from_numpy(weight).to(dtype, copy=True))
        self.bias = torch.nn.Parameter(torch.zeros(len(weight), dtype=dtype))
        self.optimizer = torch.optim.Adam([self.weight, self.bias], lr=lr, fused=True)

    def step(self, hidden: Any, labels: Any) -> Any:
        """Train on a batch; return the gradient of the hidden values."""
        h = torch.from_numpy(hidden).to(self.weight.dtype).requires_grad_()
        loss = functional.cross_entropy(functional.linear(h, self.weight, self.bias).float(), torch.from_numpy(labels))
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        self.optimizer.step()
        return h.grad.float().numpy()


class Uniform:
    """The batch's labels and uniform negatives; SparseAdam on the rows of those (what PyTorch users write
    themselves)."""

    def __init__(self, weight: Any, *, lr: float, active: int, seed: int) -> None:
        labels, width = weight.shape
        self.weight = torch.nn.Embedding(labels, width, sparse=True, _weight=torch.from_numpy(weight.copy()))
        self.bias = torch.nn.Embedding(labels, 1, sparse=True, _weight=torch.zeros(labels, 1))
        parameters = [*self.weight.parameters(), *self.bias.parameters()]
        self.optimizer = torch.optim.SparseAdam(parameters, lr=lr)
        self.active, self.rng = active, np.random.default_rng(seed)

    def choose(self, labels: Any) -> Any:
        """Return active labels, ascending."""
        own = np.unique(labels)
        while len(own) < self.active:
            more = self.rng.integers(0, self.weight.num_embeddings, self.active - len(own))
            own = np.unique(np.concatenate([own, more]))
        return own

    def step(self, hidden: Any, labels: Any, shares: Any = None) -> Any:
        """Train on a batch: one label a row, or several (rows, labels) with their shares."""
        ids = self.choose(labels if shares is None else labels[1])
        chosen = torch.from_numpy(ids)
        h = torch.from_numpy(hidden).requires_grad_()
        scores = functional.linear(h, self.weight(chosen), self.bias(chosen)[:, 0])
        if shares is None:
            loss = functional.cross_entropy(scores, torch.from_numpy(np.searchsorted(ids, labels)))
        else:
            at = torch.from_numpy(np.searchsorted(ids, labels[1]))
            own = functional.log_softmax(scores, dim=1)[torch.from_numpy(labels[0]), at]
            loss = -(own * torch.from_numpy(shares)).sum() / len(hidden)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return h.grad.numpy()
