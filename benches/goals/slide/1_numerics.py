"""LSHLinear's numbers against torch: autograd in float64, and torch.optim.SparseAdam.

all: gradients of weight, bias and hidden values with all neurons active, over rows, lengths and numbers of neurons that
are no multiples of anything, softmax and sigmoid, one to four labels a row; the largest difference relative to the
largest number. subset: the same where hash tables chose the neurons, against autograd over those alone. bf16: with a
weight rounded to bf16, against the gradients of the weight before. adam: 20 fused steps, the learning rate falling,
against SparseAdam over the sparse gradients of a head that makes the same choices: the largest difference of weights
and biases after any step. dense: 40 steps with ``adam="dense"``, a tenth of the neurons active, all brought up to date
at the end, against SparseAdam over gradients that have a row for every neuron: the root of the mean square, since a
gradient that is nothing but rounding moves its weight as much as any other.

--planted takes one neuron too many into the reference, doubles the gradient of a row, and gives SparseAdam another
beta.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
import torch
from tests.slide.test_adam import rms, with_zeros
from tests.slide.test_linear import apart, batch, everything, reference

from thrifty.slide import LSHConfig, LSHLinear

goal = Goal(__file__, __doc__, ("torch",))
SHAPES = ((7, 13, 50), (33, 16, 200), (128, 130, 1000), (256, 128, 5003))


def several(rows: int, neurons: int, seed: int) -> tuple[list[list[int]], Any]:
    """One to four labels a row, as lists and as a 0/1 matrix."""
    rng = np.random.default_rng(seed)
    labels = [rng.choice(neurons, int(n), replace=False).tolist() for n in rng.integers(1, 5, rows)]
    return labels, torch.stack([torch.nn.functional.one_hot(torch.tensor(row), neurons).sum(0) for row in labels])


def gradients(shape: tuple[int, int, int], config: LSHConfig, loss: Any, precision: Any) -> dict[str, float]:
    """Differences of one head's gradients from those of its active neurons in float64."""
    rows, length, neurons = shape
    plain = torch.nn.Linear(length, neurons)
    options: dict[str, Any] = {"loss": loss, "precision": precision, "fused": False, "seed": goal.seed}
    head = LSHLinear.from_linear(plain, config, **options)
    h, _ = batch(rows, length, neurons, goal.seed)
    labels, matrix = several(rows, neurons, goal.seed)
    h.requires_grad_()
    value = head.loss(h, labels)
    value.backward()
    ids = head.weight.grad._indices()[0]
    if goal.planted and len(ids) < neurons:
        others = np.setdiff1d(np.arange(neurons), ids.numpy())
        ids = torch.cat([ids, torch.tensor(others[:1])])
    elif goal.planted:
        head.weight.grad._values()[0] *= 2
    exact = reference(plain, h, matrix, ids, loss)
    got = {"w": head.weight.grad.to_dense(), "b": head.bias.grad.to_dense(), "h": h.grad, "loss": value.detach()}
    return {name: apart(got[name], exact[name]) for name in got}


def largest(cases: list[dict[str, float]]) -> dict[str, float]:
    return {name: max(case[name] for case in cases) for name in cases[0]}


NAMES = {"w": "dW", "b": "db", "h": "dh", "loss": "loss"}


def all_() -> None:
    """Rows of heads whose neurons are all active."""
    cases = [gradients(s, everything(s[2]), loss, "f32") for s in SHAPES for loss in ("softmax", "sigmoid")]
    for name, value in largest(cases).items():
        what = f"{NAMES[name]}, all neurons active, from autograd in float64, {len(cases)} heads, the farthest"
        goal.row(f"all/{NAMES[name]}", what, "<= 1e-5", value)


def subset() -> None:
    """Rows of heads whose tables chose."""
    cases = []
    for shape in SHAPES[1:]:
        for family in ("dwta", "simhash"):
            config = LSHConfig(family=family, k=2, tables=20, active=shape[2] // 4, each=2)
            cases += [gradients(shape, config, loss, "f32") for loss in ("softmax", "sigmoid")]
    for name, value in largest(cases).items():
        what = f"{NAMES[name]}, a quarter of the neurons active, from autograd over those in float64, the farthest"
        goal.row(f"subset/{NAMES[name]}", what, "<= 1e-5", value)


def bf16() -> None:
    """Rows of heads with weights in bf16."""
    cases = [gradients(s, everything(s[2]), "softmax", "bf16") for s in SHAPES]
    for name, value in largest(cases).items():
        what = (
            f"{NAMES[name]}, the weight rounded to bf16, from autograd in float64 without, the farthest of {len(cases)}"
        )
        goal.row(f"bf16/{NAMES[name]}", what, "<= 2e-2", value)


def adam() -> None:
    """A row of twenty steps."""
    most = 0.0
    for rows, length, neurons in SHAPES:
        for config in (everything(neurons), LSHConfig(family="exact", active=max(neurons // 5, 20), each=2)):
            linear = torch.nn.Linear(length, neurons)
            fused, plain = (LSHLinear.from_linear(linear, config, lr=0.01, fused=own) for own in (True, False))
            beta = 0.91 if goal.planted else 0.9
            optimizer = torch.optim.SparseAdam(list(plain.parameters()), lr=0.01, betas=(beta, 0.999))
            for step in range(20):
                fused.lr = optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
                optimizer.zero_grad()
                for head in (fused, plain):
                    head.loss(*batch(rows, length, neurons, seed=goal.seed * 100 + step)).backward()
                optimizer.step()
                pairs = zip(fused.parameters(), plain.parameters(), strict=True)
                most = max(most, *(apart(a.detach(), b.detach()) for a, b in pairs))
    what = "weights and biases after each of 20 fused steps from torch.optim.SparseAdam, 8 heads, the farthest"
    goal.row("adam/weights", what, "<= 1e-5", most)


def dense() -> None:
    """A row of forty steps that most neurons have no gradient of."""
    most = 0.0
    for rows, length, neurons in SHAPES:
        config = LSHConfig(family="uniform", active=max(neurons // 10, 20))
        linear = torch.nn.Linear(length, neurons)
        fused = LSHLinear.from_linear(linear, config, lr=0.01, adam="sparse" if goal.planted else "dense")
        plain = LSHLinear.from_linear(linear, config, fused=False)
        optimizer = torch.optim.SparseAdam(list(plain.parameters()), lr=0.01)
        for step in range(40):
            fused.lr = optimizer.param_groups[0]["lr"] = 0.01 / (1 + step / 10)
            optimizer.zero_grad()
            for head in (fused, plain):
                head.loss(*batch(rows, length, neurons, seed=goal.seed * 1000 + step)).backward()
            for parameter in plain.parameters():
                parameter.grad = with_zeros(parameter)
            optimizer.step()
        fused.settle()
        pairs = zip(fused.parameters(), plain.parameters(), strict=True)
        most = max(most, *(rms(a.detach(), b.detach()) for a, b in pairs))
    what = "weights and biases after 40 steps of adam=dense from SparseAdam with a gradient for every row, 4 heads"
    goal.row("dense/weights", what, "<= 1e-5", most)


torch.manual_seed(goal.seed)
for name, part in (("all", all_), ("subset", subset), ("bf16", bf16), ("adam", adam), ("dense", dense)):
    if goal.wants(name):
        part()
goal.end()
