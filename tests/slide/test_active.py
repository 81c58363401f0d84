"""Steps over a part of the neurons against the twin, for random shapes: losses, gradients, weights, corrections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slide.rows import random_rows
from tests.slide.twin import Twin
from thrifty import _core
from thrifty.slide import LSHConfig, Trainer

FEATURES = 30
FAMILIES = ("dwta", "simhash", "doph", "minhash", "uniform", "log_uniform", "exact")


@dataclass(frozen=True)
class Case:
    """A shape and settings."""

    neurons: int
    hidden: int
    rows: int
    head: LSHConfig
    loss: str
    seed: int


@st.composite
def cases(draw: Any, families: tuple[str, ...] = FAMILIES) -> Case:
    neurons = draw(st.integers(4, 200))
    family = draw(st.sampled_from(families))
    head = LSHConfig(
        family=family,
        k=draw(st.integers(1, 3)),
        tables=draw(st.integers(1, 12)),
        bucket=draw(st.sampled_from([2, 128])),
        active=draw(st.integers(1, neurons + 5)),
        each=draw(st.integers(1, 8)),
        pool=draw(st.sampled_from([0, 16])),
        rehash=neurons,
        random="uniform",
        # Chances of log-uniform draws are another formula, which the crate's own tests hold to the mean.
        correction="none" if family == "log_uniform" else draw(st.sampled_from(["none", "logq"])),
    )
    hidden, rows = draw(st.sampled_from([8, 13, 32, 50])), draw(st.sampled_from([1, 5, 16, 37]))
    return Case(neurons, hidden, rows, head, draw(st.sampled_from(["softmax", "sigmoid"])), draw(st.integers(0, 99)))


def certain(case: Case, targets: Any, asked: tuple[Any, Any, Any]) -> set[int]:
    """Neurons that are active whatever the draws: labels, then what rows ask for, rank by rank."""
    ends, ids, _ = asked
    lists = np.split(ids, ends[:-1])
    out = set(targets.indices.tolist())
    for rank in range(max(map(len, lists), default=0)):
        for wishes in lists:
            if rank < len(wishes) and len(out) < min(case.head.active, case.neurons):
                out.add(int(wishes[rank]))
    return out


def shifts(case: Case, active: Any, sure: set[int]) -> Any:
    """What scores of drawn neurons are raised by, so that they stand for those that were not."""
    drawn = np.array([neuron not in sure for neuron in active.tolist()])
    if case.head.correction == "none" or not drawn.any():
        return 0.0
    return np.where(drawn, -np.log(drawn.sum() / (case.neurons - len(sure))), 0.0)


def close(got: Any, expected: Any, largest: float) -> bool:
    return bool(np.abs(got - expected).max(initial=0) <= 1e-5 * largest)


def first_weights(case: Case) -> dict[str, Any]:
    rng = np.random.default_rng(case.seed)
    return {
        "input": rng.normal(size=(FEATURES, case.hidden)).astype(np.float32),
        "input_bias": np.full(case.hidden, 0.1, np.float32),
        "output": (rng.normal(size=(case.neurons, case.hidden)) / case.hidden**0.5).astype(np.float32),
        "output_bias": (0.1 * rng.normal(size=case.neurons)).astype(np.float32),
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_a_head_is_the_twin_over_its_active_neurons(case: Case) -> None:
    """Three steps, the twin going on from the head's weights each time."""
    inputs, targets = random_rows(case.rows, FEATURES, case.neurons, seed=case.seed)
    w = first_weights(case)
    weight, bias = w["output"].ravel().copy(), w["output_bias"].copy()
    new = (case.head, (0, case.neurons, case.neurons), case.hidden, case.loss, 0.01, case.seed, True)
    trains, tells = _core.SlideHead(*new), _core.SlideHead(*new)
    trains.refresh(weight, False, 1)
    pairs = targets.indptr[1:].astype(np.uint64), targets.indices.astype(np.uint32)
    twin = Twin(w, lr=0.01)
    for _ in range(3):
        twin.w["output"] = weight.reshape(case.neurons, -1).astype(np.float64)
        twin.w["output_bias"] = bias.astype(np.float64)
        hidden = twin.hidden(inputs.toarray().astype(np.float64)).astype(np.float32).ravel()
        tells.refresh(weight, False, 1)
        asked, _ = tells.ask(weight, bias, hidden, pairs, None, 1)
        again, _ = trains.ask(weight, bias, hidden, pairs, None, 1)  # of tables that were kept up
        assert [x.tolist() for x in again] == [x.tolist() for x in asked]
        token, (most, sums, scores), active = tells.forward(weight, bias, hidden, pairs, asked, 1)
        sure = certain(case, targets, asked)
        assert sure <= set(active.tolist())
        assert len(active) == max(min(case.head.active, case.neurons), len(set(targets.indices.tolist())))
        expected = twin.step(inputs, targets, active, shifts(case, active, sure), case.loss)
        assert abs(tells.loss(most, sums, scores) - expected) <= 1e-5 * max(expected, 1e-3)
        ids, rows, biases, of_hidden = tells.gradients(token, weight, bias, most, sums, 1.0, 1)
        assert np.array_equal(ids, active)
        # Gradients are sums over rows of what is at most this large; some cancel.
        scale = 1.0 if case.loss == "softmax" else float(np.abs(twin.gradients["output_bias"]).max() + 1)
        assert close(rows.reshape(len(ids), -1), twin.gradients["output"][ids], scale * np.abs(hidden).max())
        assert close(biases, twin.gradients["output_bias"][ids], scale)
        assert close(of_hidden.reshape(case.rows, -1), twin.gradients["hidden"], scale * np.abs(weight).max())
        before = weight.reshape(case.neurons, -1).copy()
        token, (most, sums, scores), same = trains.forward(weight, bias, hidden, pairs, asked, 1)
        assert np.array_equal(same, active)
        assert np.array_equal(trains.backward(token, weight, bias, most, sums, 1.0, 1), of_hidden)
        others = np.setdiff1d(np.arange(case.neurons), active)
        assert np.array_equal(weight.reshape(case.neurons, -1)[others], before[others])
        if twin.steps == 1:  # Adam's means of one gradient: 0.1 of it, and 0.001 of its square
            g = rows.reshape(len(ids), -1).astype(np.float64)
            step = 0.01 * g / (np.abs(g) + 1e-8 / 0.001**0.5)
            assert close(weight.reshape(case.neurons, -1)[ids], before[ids] - step, 0.1)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(cases(families=("uniform",)))
def test_a_trainer_is_the_twin_over_its_active_neurons(case: Case) -> None:
    """Three steps; which neurons are active a head of the same seed tells, as their draws depend on nothing else."""
    inputs, targets = random_rows(case.rows, FEATURES, case.neurons, seed=case.seed)
    trainer = Trainer(
        FEATURES,
        case.neurons,
        hidden=case.hidden,
        head=case.head,
        loss=case.loss,
        batch=case.rows,
        seed=case.seed,
        lr=0.01,
    )
    tells = _core.SlideHead(case.head, (0, case.neurons, case.neurons), case.hidden, case.loss, 0.01, case.seed, True)
    twin = Twin(trainer.weights(), lr=0.01)
    pairs = targets.indptr[1:].astype(np.uint64), targets.indices.astype(np.uint32)
    zeros = np.zeros(case.rows * case.hidden, np.float32)
    for _ in range(3):
        weight, bias = trainer.weights()["output"].ravel(), trainer.weights()["output_bias"]
        asked, _ = tells.ask(weight, bias, zeros, pairs, None, 1)
        token, (most, sums, _), active = tells.forward(weight, bias, zeros, pairs, asked, 1)
        tells.gradients(token, weight, bias, most, sums, 1.0, 1)
        expected = twin.step(inputs, targets, active, shifts(case, active, certain(case, targets, asked)), case.loss)
        (epoch,) = trainer.fit(inputs, targets)
        assert epoch.active == len(active)
        assert abs(epoch.loss - expected) <= 1e-5 * max(expected, 1e-3)
    for name, got in trainer.weights().items():
        assert np.abs(got - twin.w[name]).max() <= 1e-5, name
