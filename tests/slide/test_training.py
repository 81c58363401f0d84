"""Training steps against the twin, and what the weights may depend on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tests.slide.rows import random_rows
from tests.slide.twin import Twin
from thrifty.errors import CapacityError, ModelError
from thrifty.slide import LSHConfig, Trainer


@pytest.mark.parametrize(("hidden", "labels", "rows"), [(16, 30, 20), (24, 100, 33), (130, 57, 128)])
def test_steps_are_those_of_the_twin(hidden: int, labels: int, rows: int) -> None:
    inputs, targets = random_rows(rows, 50, labels, seed=hidden)
    trainer = Trainer(50, labels, hidden=hidden, head=LSHConfig(k=1, tables=4, active=labels), batch=rows, lr=0.01)
    twin = Twin(trainer.weights(), lr=0.01)
    for epoch in trainer.fit(inputs, targets, epochs=5):
        assert epoch.loss == pytest.approx(twin.step(inputs, targets), rel=1e-5)
        assert epoch.active == labels
    for name, w in trainer.weights().items():
        assert np.abs(w - twin.w[name]).max() <= 2e-5 * np.abs(twin.w[name]).max(), name
    ids, scores = trainer.predict(inputs, 3)
    exact = twin.scores(inputs.toarray())
    assert np.allclose(scores, np.take_along_axis(exact, ids, axis=1), atol=1e-4)
    assert np.allclose(scores, -np.sort(-exact, axis=1)[:, :3], atol=1e-4)


def trained(threads: int) -> Trainer:
    inputs, targets = random_rows(700, 300, 900, seed=1)
    head = LSHConfig(k=2, tables=8, active=120, rehash=40)
    trainer = Trainer(300, 900, hidden=40, head=head, batch=90, threads=threads)
    trainer.fit(inputs, targets, epochs=2)
    return trainer


def digest(threads: int) -> str:
    weights = trained(threads).weights()
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()


def test_weights_do_not_depend_on_threads() -> None:
    assert digest(1) == digest(2)


def test_weights_do_not_depend_on_the_instruction_set() -> None:
    program = "import tests.slide.test_training as t; print(t.digest(2))"
    seen = set()
    for path in ("scalar", "avx2", ""):
        environment = {**os.environ, "THRIFTY_SIMD": path}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=path != "avx2"
        )
        seen |= {done.stdout} - {""}  # nothing where there is no AVX2
    assert len(seen) == 1


def test_active_neurons_are_learned() -> None:
    """Sixty clusters of labels, told apart by their features: a tenth of the neurons is enough to learn them."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2_000, (600, 6))
    labels = rng.integers(0, 600, 6_000)
    columns = centres[labels].ravel()
    inputs = csr_matrix(
        (np.full(len(columns), 0.4, np.float32), columns, np.arange(0, len(columns) + 1, 6)), shape=(6_000, 2_000)
    )
    targets = csr_matrix((np.ones(6_000, np.float32), labels, np.arange(6_001)), shape=(6_000, 600))
    trainer = Trainer(2_000, 600, hidden=64, head=LSHConfig(k=2, tables=20, active=160), batch=64)
    epochs = trainer.fit(inputs[:5_000], targets[:5_000], epochs=4)
    assert trainer.evaluate(inputs[5_000:], targets[5_000:])["p_at_1"] > 0.95
    assert epochs[-1].recall > 0.8 > epochs[0].recall


def test_rows_without_labels_are_left_out() -> None:
    inputs, targets = random_rows(50, 30, 20, seed=3)
    targets = targets.multiply(np.where((np.arange(50) >= 10) & (np.arange(50) < 30), 0, 1)[:, None]).tocsr()
    targets.eliminate_zeros()
    trainer = Trainer(30, 20, hidden=16)
    seen: list[Any] = []
    assert [epoch.rows for epoch in trainer.fit(inputs, targets, epochs=2, on_epoch=seen.append)] == [30, 30]
    assert [epoch.rows for epoch in seen] == [30, 30]
    assert trainer.evaluate(inputs, targets)["rows"] == 30


def test_training_that_diverges_stops_at_its_step() -> None:
    inputs, targets = random_rows(200, 30, 20, seed=3)
    trainer = Trainer(30, 20, hidden=16, lr=1e38, batch=50)
    with pytest.raises(ModelError, match="the loss is .* at step"):
        trainer.fit(inputs, targets, epochs=20)


def test_bad_input_names_its_argument() -> None:
    inputs, targets = random_rows(50, 30, 20, seed=3)
    trainer = Trainer(30, 20, hidden=16)
    with pytest.raises(ValueError, match="inputs: 30 columns for a network with 31"):
        Trainer(31, 20).fit(inputs, targets)
    with pytest.raises(ValueError, match="targets: 49 rows for 50 rows of inputs"):
        trainer.fit(inputs, targets[:49])
    with pytest.raises(ValueError, match="batch: 0 is not possible"):
        Trainer(30, 20, batch=0).fit(inputs, targets)
    inputs.data[7] = np.nan
    with pytest.raises(ValueError, match="inputs: row .* has the value NaN"):
        trainer.fit(inputs, targets)
    with pytest.raises(TypeError, match="inputs: a scipy sparse matrix"):
        trainer.predict([[1.0]])
    with pytest.raises(ValueError, match="hidden: 3 is not possible"):
        Trainer(30, 20, hidden=3)
    with pytest.raises(CapacityError, match="GB are free"):
        Trainer(4_000_000_000, 20, hidden=65_536)
    with pytest.raises(ValueError, match="lr: NaN is not possible"):
        Trainer(30, 20, lr=float("nan"))
    for rate in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="lr: .* is not possible"):
            trainer.lr = rate
    with pytest.raises(ValueError, match="k: 17 is not possible"):
        Trainer(30, 20, head=LSHConfig(k=17))
