"""A head of torch whose neurons are shared out among ranks (threads here), each with rows of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.slide.switchboard import together
from tests.slide.test_adam import rms, with_zeros
from tests.slide.test_linear import apart, everything
from thrifty.slide import LSHConfig, LSHLinear
from thrifty.slide.ranks import Ranks

F = torch.nn.functional
NEURONS, LENGTH = 90, 16


def rows(rank: int, step: int) -> tuple[Any, Any]:
    """As many rows as the rank has: they need not be alike."""
    g = torch.Generator().manual_seed(100 * step + rank)
    count = 5 + 2 * rank
    return torch.randn(count, LENGTH, generator=g), torch.randint(0, NEURONS, (count,), generator=g)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_steps_are_those_of_one_dense_head(size: int, bias: bool) -> None:
    """Losses of ranks, gradients of their hidden values, weights, and the best neurons: all neurons are active."""
    torch.manual_seed(1)
    plain = torch.nn.Linear(LENGTH, NEURONS, bias)
    start = {name: value.clone() for name, value in plain.state_dict().items()}

    def work(ranks: Ranks) -> Any:
        linear = torch.nn.Linear(LENGTH, NEURONS, bias)
        linear.load_state_dict(start)
        head = LSHLinear.from_linear(linear, everything(NEURONS), lr=0.01, process_group=ranks, threads=1)
        losses, gradients = [], []
        for step in range(8):
            h, labels = rows(ranks.rank, step)
            h.requires_grad_()
            loss = head.loss(h, labels)
            loss.backward()
            losses.append(loss.item())
            gradients.append(h.grad)
        h, _ = rows(ranks.rank, 99)
        return losses, gradients, head.to_linear().state_dict(), head.predict(h, 4)

    found = together(size, work)
    optimizer = torch.optim.SparseAdam(list(plain.parameters()), lr=0.01)
    for step in range(8):
        batches = [rows(rank, step) for rank in range(size)]
        h = [b[0].requires_grad_() for b in batches]
        each = [F.cross_entropy(plain(x), labels) for x, (_, labels) in zip(h, batches, strict=True)]
        total = sum(len(x) for x in h)
        own = torch.autograd.grad(sum(each), h, retain_graph=True)
        optimizer.zero_grad()
        sum(len(x) / total * loss for x, loss in zip(h, each, strict=True)).backward()
        for parameter in plain.parameters():
            parameter.grad = with_zeros(parameter)
        optimizer.step()
        for rank, (losses, gradients, _, _) in enumerate(found):
            assert losses[step] == pytest.approx(float(each[rank].detach()), rel=1e-5)
            assert apart(gradients[step], own[rank]) < 1e-5
    for rank, (_, _, weights, (ids, scores)) in enumerate(found):
        for name, value in plain.state_dict().items():
            assert rms(weights[name], value) < 1e-5, name
        with torch.no_grad():
            exact, order = plain(rows(rank, 99)[0]).topk(4, dim=1)
        assert torch.equal(ids, order)
        assert apart(scores, exact) < 1e-4


def test_ranks_learn_with_tables() -> None:
    """Rows near the centres of their labels; few neurons are active."""
    centres = np.random.default_rng(1).normal(size=(2_000, LENGTH))

    def work(ranks: Ranks) -> float:
        config = LSHConfig(k=2, tables=16, active=200)
        head = LSHLinear(LENGTH, 2_000, config=config, lr=0.05, process_group=ranks, threads=1)
        rng = np.random.default_rng(ranks.rank)
        for _ in range(300):
            labels = rng.integers(0, 2_000, 64)
            h = torch.from_numpy((centres[labels] + 0.1 * rng.normal(size=(64, LENGTH))).astype(np.float32))
            head.loss(h.requires_grad_(), torch.from_numpy(labels)).backward()
        ids, _ = head.predict(torch.from_numpy(centres[:300].astype(np.float32)), 1)
        return float((ids[:, 0].numpy() == np.arange(300)).mean())

    right = together(2, work)
    assert right[0] == right[1] > 0.6


def test_what_ranks_can_not_do_is_said() -> None:
    def work(ranks: Ranks) -> None:
        head = LSHLinear(LENGTH, NEURONS, process_group=ranks)
        h, labels = rows(0, 0)
        with pytest.raises(ValueError, match="forward: a rank has a part of the logits"):
            head(h)
        with pytest.raises(ValueError, match="recall: not over ranks"):
            head.recall(h)
        with pytest.raises(TypeError, match="can't be copied"):
            head.__getstate__()
        with pytest.raises(ValueError, match="process_group: ranks need the fused optimizer"):
            LSHLinear(LENGTH, NEURONS, process_group=ranks, fused=False)
        loss = head.loss(h.requires_grad_(), labels)
        with pytest.raises(ValueError, match="ranks scale it differently"):
            (loss * (1 + ranks.rank)).backward()

    together(2, work)
