"""The optimizers beside torch's: rows without a gradient stand still, or move on as those of dense Adam do."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
import torch

from tests.slide.rows import random_rows
from tests.slide.test_linear import apart, batch, everything
from tests.slide.twin import Twin
from thrifty.slide import LSHConfig, LSHLinear, Trainer

RANDOM = LSHConfig(family="uniform", active=24)  # the same choices whatever the weights are


def gradient(head: LSHLinear, h: Any, labels: Any) -> Any:
    """Of a loss by the hidden values; its backward pass is done."""
    x = h.clone().requires_grad_()
    head.loss(x, labels).backward()
    return x.grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("config", [everything(70), LSHConfig(family="exact", active=30, each=3)])
def test_fused_steps_are_those_of_sparse_adam(config: LSHConfig, bias: bool) -> None:
    """Twenty steps, each over the same active neurons, with a learning rate that changes."""
    fused = LSHLinear(21, 70, bias, config, lr=0.01, seed=3)
    plain = LSHLinear(21, 70, bias, config, fused=False, seed=3)
    plain.load_state_dict(fused.state_dict())
    optimizer = torch.optim.SparseAdam(list(plain.parameters()), lr=0.01)
    touched = set()
    for step in range(20):
        rate = 0.01 / (1 + step)
        fused.lr = optimizer.param_groups[0]["lr"] = rate
        h, labels = batch(9, 21, 70, seed=step)
        optimizer.zero_grad()
        assert apart(*(gradient(head, h, labels) for head in (fused, plain))) < 1e-5
        touched.update(plain.weight.grad._indices()[0].tolist())
        optimizer.step()
        assert fused.stats()["active"] == plain.stats()["active"]
        assert apart(fused.weight.detach(), plain.weight.detach()) < 1e-5
        assert not bias or apart(fused.bias.detach(), plain.bias.detach()) < 1e-5
    assert len(touched) == 70 if config.active == 70 else 30 <= len(touched) <= 70
    assert bias or not fused._engine.no_bias.any()


def rms(got: Any, exact: Any) -> float:
    """Root of the mean square of differences, relative to that of the numbers."""
    return float((got.double() - exact.double()).norm() / exact.double().norm())


def with_zeros(parameter: Any) -> Any:
    """A sparse gradient that has every row."""
    grad = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
    ids = torch.arange(len(grad))[None]
    return torch.sparse_coo_tensor(ids, grad, grad.shape, is_coalesced=True, check_invariants=False)


@pytest.mark.parametrize("bias", [True, False])
def test_dense_steps_are_those_of_gradients_that_have_every_row(bias: bool) -> None:
    """Eighty steps that few rows have a gradient of; what is not read in between catches up."""
    fused = LSHLinear(21, 300, bias, RANDOM, lr=0.01, seed=3, adam="dense")
    plain = LSHLinear(21, 300, bias, RANDOM, fused=False, seed=3)
    plain.load_state_dict(fused.state_dict())
    optimizer = torch.optim.SparseAdam(list(plain.parameters()), lr=0.01)
    for step in range(80):
        fused.lr = optimizer.param_groups[0]["lr"] = 0.01 / (1 + step / 8)
        h, labels = batch(9, 21, 300, seed=step)
        optimizer.zero_grad()
        # Weights are held to 1e-5 in the mean square; the largest difference of what is computed from them is more.
        assert apart(*(gradient(head, h, labels) for head in (fused, plain))) < 1e-4
        for parameter in plain.parameters():
            parameter.grad = with_zeros(parameter)
        optimizer.step()
        if step in (0, 3, 50, 79):
            assert step == 0 or apart(fused.weight.detach(), plain.weight.detach()) > 1e-3  # rows lack steps
            fused.settle()
            assert rms(fused.weight.detach(), plain.weight.detach()) < 1e-5
            assert not bias or rms(fused.bias.detach(), plain.bias.detach()) < 1e-5


@pytest.mark.parametrize("use", ["predict", "forward", "state_dict", "copy", "to_linear", "recall", "half"])
def test_whatever_reads_all_rows_brings_them_up_to_date(use: str) -> None:
    config = LSHConfig(k=1, tables=4, active=40)
    heads = [LSHLinear(16, 400, config=config, lr=0.05, seed=1, adam="dense") for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    for step in range(5):
        for head in heads:
            h, labels = batch(6, 16, 400, seed=step)
            head.loss(h.requires_grad_(), labels).backward()
    h, _ = batch(6, 16, 400, seed=9)
    heads[1].settle()
    if use == "copy":
        heads = [copy.deepcopy(head) for head in heads]
    found = {
        "predict": lambda head: head.predict(h)[1],
        "forward": lambda head: head(h),
        "state_dict": lambda head: head.state_dict()["weight"].clone(),
        "copy": lambda head: head.weight.detach(),
        "to_linear": lambda head: head.to_linear()(h),
        "recall": lambda head: torch.tensor(head.recall(h)),
        "half": lambda head: head.to(torch.bfloat16).weight.detach(),
    }[use]
    assert torch.equal(found(heads[0]), found(heads[1]))
    assert torch.equal(heads[0].weight, heads[1].weight)


def test_weights_that_come_do_not_move() -> None:
    head = LSHLinear(16, 400, config=RANDOM, lr=0.05, adam="dense")
    other = {name: value.clone() for name, value in LSHLinear(16, 400).state_dict().items()}
    for step in range(3):
        h, labels = batch(6, 16, 400, seed=step)
        head.loss(h.requires_grad_(), labels).backward()
    head.load_state_dict(other)
    head.settle()
    assert torch.equal(head.weight, other["weight"])


def test_of_two_losses_before_their_backward_passes() -> None:
    """The second step finds the rows of its forward pass with the first step behind them."""
    lazy, eager = (LSHLinear(16, 60, config=RANDOM, lr=0.05, adam="dense") for _ in range(2))
    eager.load_state_dict(lazy.state_dict())
    for step in range(6):
        for head in (lazy, eager):
            losses = [head.loss(*batch(6, 16, 60, seed=2 * step + i)) for i in range(2)]
            for loss in losses:
                loss.backward()
                if head is eager:
                    head.settle()
    lazy.settle()
    assert apart(lazy.weight.detach(), eager.weight.detach()) < 1e-5


@pytest.mark.parametrize("precision", ["f32", "bf16", "bf16-stochastic"])
def test_the_trainer_moves_features_as_well(precision: Literal["f32", "bf16", "bf16-stochastic"]) -> None:
    """Each step has other features; those of the steps before move on."""
    steps = [random_rows(20, 200, 30, seed=seed) for seed in range(12)]
    settings: dict[str, Any] = {"hidden": 24, "head": everything(30), "batch": 20, "lr": 0.01, "precision": precision}
    trainer = Trainer(200, 30, adam="dense", **settings)
    still = Trainer(200, 30, **settings)
    twin = Twin(trainer.weights(), lr=0.01, dense=True)
    for inputs, targets in steps:
        assert trainer.fit(inputs, targets)[0].loss == pytest.approx(
            twin.step(inputs, targets), rel=1e-5 if precision == "f32" else 2e-2
        )
        still.fit(inputs, targets)
    near = 1e-5 if precision == "f32" else 2e-2
    for name, w in trainer.weights().items():
        assert rms(torch.tensor(w), torch.tensor(twin.w[name])) <= near, name
    assert rms(torch.tensor(still.weights()["input"]), torch.tensor(twin.w["input"])) > 2 * near


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="adam: 'both' is none of 'sparse', 'dense'"):
        Trainer(20, 30, adam="both")
    with pytest.raises(ValueError, match="adam: 'dense' is for the fused optimizer"):
        LSHLinear(16, 40, fused=False, adam="dense")
