"""Neurons of a head in slices: what the whole trains, the slices train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slide.ranks import Task, together, torchrun
from thrifty import _core
from thrifty.slide import LSHConfig

TASKS: list[dict[str, Any]] = [
    {},
    {"family": "simhash"},
    {"loss": "sigmoid"},
    {"correction": "logq"},
    {"family": "uniform", "correction": "logq"},
]


@pytest.mark.parametrize("change", TASKS, ids=str)
@pytest.mark.parametrize("ranks", [2, 3])
def test_slices_train_what_the_whole_trains(ranks: int, change: dict[str, Any]) -> None:
    """The same active neurons, losses and weights, but for the order of sums.

    Adam makes steps of about 0.01 of gradients of any size, so also of what rounding leaves of those that cancel.
    """
    task = Task(steps=20, **change)
    (whole,), slices = together(task, 1), together(task, ranks)
    assert 100 < len(whole.active[-1]) < task.neurons
    assert whole.losses[-1] < whole.losses[0]
    for part in slices:
        assert part.active == whole.active
        assert part.losses == pytest.approx(whole.losses, rel=1e-6)
        assert np.array_equal(part.input, slices[0].input)
    weights = {
        "input": (slices[0].input, whole.input),
        "output": (np.concatenate([part.output for part in slices]), whole.output),
        "bias": (np.concatenate([part.bias for part in slices]), whole.bias),
    }
    for name, (got, expected) in weights.items():
        assert np.abs(got - expected).max() <= 1e-5, name


def test_slices_that_do_not_sum_gradients_are_noticed() -> None:
    task = Task(steps=20)
    (whole,), (deaf, _) = together(task, 1), together(Task(steps=20, deaf=True), 2)
    assert deaf.losses != pytest.approx(whole.losses, rel=1e-4)


def test_two_ranks_train_what_one_process_trains(tmp_path: Path) -> None:
    """Two processes under torchrun, by plain gathers and reductions over loopback."""
    task = Task(steps=10)
    (whole,) = together(task, 1)
    ranks = torchrun(task, 2, tmp_path / "losses.json")
    assert ranks["active"] == whole.active
    assert ranks["losses"] == pytest.approx(whole.losses, rel=1e-5)


@pytest.mark.parametrize("neuron", [30, 2**32 - 1])
def test_neurons_that_are_none_are_refused(neuron: int) -> None:
    head = _core.SlideHead(LSHConfig(active=10), (0, 30, 30), 16, "softmax", 0.01, 1, True)
    weight, bias, hidden = np.zeros(480, np.float32), np.zeros(30, np.float32), np.zeros(16, np.float32)
    asked = np.array([1], np.uint32), np.array([neuron], np.uint32), np.array([1], np.uint16)
    targets = np.array([1], np.uint64), np.array([3], np.uint32)
    with pytest.raises(ValueError, match=f"asked: neuron {neuron} is not below 30"):
        head.forward(weight, bias, hidden, targets, asked, 1)
