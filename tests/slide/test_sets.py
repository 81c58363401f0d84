"""Rows with sets of their own."""

from __future__ import annotations

import numpy as np
import pytest

from thrifty import _core
from thrifty.slide import LSHConfig, Trainer

from .rows import random_rows

ROWS, NEURONS, HIDDEN = 20, 200, 24


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_a_row_sees_its_own_neurons_and_the_random_ones(loss: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(NEURONS, HIDDEN)).astype(np.float32)
    bias = rng.normal(size=NEURONS).astype(np.float32)
    hidden = np.maximum(rng.normal(size=(ROWS, HIDDEN)), 0).astype(np.float32)
    labels = rng.integers(0, NEURONS, ROWS).astype(np.uint32)
    targets = np.arange(1, ROWS + 1, dtype=np.uint64), labels
    head = LSHConfig(k=1, tables=6, active=160, each=3, pool=0, sets="row", random="uniform")
    core = _core.SlideHead(head, (0, NEURONS, NEURONS), HIDDEN, loss, 0.01, 1, True)
    flat = weight.ravel().copy()
    core.refresh(flat, False, 1)
    asked, _ = core.ask(flat, bias, hidden.ravel(), targets, None, 1)
    token, (most, sums, own), active = core.forward(flat, bias, hidden.ravel(), targets, asked, 1)
    lists = np.split(asked[1], asked[0][:-1].astype(int))
    random = np.setdiff1d(active, np.concatenate([asked[1], labels]))
    assert len(random) > 10
    scores = (hidden.astype(np.float64) @ weight.T) + bias
    gradient = np.zeros((ROWS, NEURONS))
    for row in range(ROWS):
        mine = np.intersect1d(np.union1d(np.append(lists[row], labels[row]), random), active)
        assert len(mine) < len(active)
        if loss == "softmax":
            assert most[row] + np.log(sums[row]) == pytest.approx(np.log(np.exp(scores[row, mine]).sum()), rel=1e-5)
            gradient[row, mine] = np.exp(scores[row, mine] - most[row]) / sums[row]
        else:
            assert sums[row] == pytest.approx(np.logaddexp(0, scores[row, mine]).sum(), rel=1e-5)
            gradient[row, mine] = 1 / (1 + np.exp(-scores[row, mine]))
        gradient[row, labels[row]] -= 1
        assert own[row] == pytest.approx(scores[row, labels[row]], abs=1e-4)
    ids, rows, _, of_hidden = core.gradients(token, flat, bias, most, sums, 1.0, 1)
    assert np.array_equal(ids, active)
    exact = gradient.T @ hidden / ROWS
    assert np.abs(rows.reshape(-1, HIDDEN) - exact[active]).max() < 1e-5 * np.abs(exact).max()
    assert np.abs(of_hidden.reshape(ROWS, HIDDEN) - gradient @ weight / ROWS).max() < 1e-5


def test_such_rows_learn() -> None:
    inputs, targets = random_rows(300, 100, 80, seed=2)
    trainer = Trainer(100, 80, hidden=32, head=LSHConfig(k=1, tables=8, active=60, sets="row"), batch=30, threads=2)
    epochs = trainer.fit(inputs, targets, epochs=12)
    assert epochs[-1].loss < 0.9 * epochs[0].loss
    assert epochs[-1].recall > 0.5 > epochs[0].recall
    with pytest.raises(ValueError, match="sets: 'all' is none of 'batch', 'row'"):
        Trainer(100, 80, head=LSHConfig(sets="all"))
