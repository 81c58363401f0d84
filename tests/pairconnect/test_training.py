"""Gradients of rows against their slow twin, steps against torch's, and what must not change either."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pairconnect import training_twin, twin
from tests.pairconnect.test_table import filled, specs
from tests.pairconnect.training_twin import batch, optimiser, whole
from thrifty.pairconnect import PairSpec, PairTable
from thrifty.pairconnect.optim import SGD, LazyAdam, RowAdagrad

trained = specs.map(lambda spec: dataclasses.replace(spec, dtype="f32"))
texts = st.integers(0, 9).flatmap(lambda n: st.lists(st.lists(st.integers(0, 8), min_size=n, max_size=n), max_size=3))


@given(trained, texts, st.integers(0, 99), st.booleans())
def test_gradients_are_those_of_the_twin(spec: PairSpec, ids: list[list[int]], seed: int, weighed: bool) -> None:
    table, values, logits = filled(spec, seed)
    ids_, grad, weights = batch(spec, ids, seed, weighed)
    rows, found, of_logits, of_weights = table.backward(ids_, grad, weights=weights)
    wanted, wanted_logits, wanted_weights = training_twin.gradients(spec, values, logits, ids, grad, weights)
    assert rows.tolist() == sorted(wanted)
    assert found.shape == (len(wanted), spec.head_dim)
    for row, g in zip(rows.tolist(), found, strict=True):
        np.testing.assert_allclose(g, wanted[row], rtol=1e-5, atol=2e-5)
    assert (of_logits is not None) == (spec.pool == "softmax")
    if of_logits is not None:
        np.testing.assert_allclose(of_logits, [wanted_logits[r] for r in rows.tolist()], rtol=1e-4, atol=2e-4)
    assert (of_weights is not None) == (weights is not None)
    if of_weights is not None:
        np.testing.assert_allclose(of_weights, wanted_weights, rtol=1e-4, atol=5e-4)


def of_torch(rule: str, parameters: list[Any], lr: float) -> Any:
    if rule == "adam":
        return torch.optim.SparseAdam(parameters, lr=lr, betas=(0.8, 0.95), eps=1e-6)
    return torch.optim.SGD(parameters, lr=lr)


@given(trained, texts, st.integers(0, 99), st.sampled_from(["sgd", "adam"]), st.booleans())
def test_steps_are_those_of_torch(spec: PairSpec, ids: Any, seed: int, rule: str, weighed: bool) -> None:
    table, values, logits = filled(spec, seed)
    parameters = [torch.nn.Parameter(torch.from_numpy(values.copy()))]
    if logits is not None:
        parameters.append(torch.nn.Parameter(torch.from_numpy(logits.copy())))
    lr = 0.1
    optimizer, peer = optimiser(rule, table, lr), of_torch(rule, parameters, lr)
    for step in range(3):
        ids_, grad, weights = batch(spec, ids, seed + step, weighed)
        rows, found, of_logits, of_weights = table.backward(ids_, grad, weights=weights)
        for parameter, g in zip(parameters, (found, of_logits), strict=False):
            if g is not None:
                at = torch.from_numpy(rows.astype(np.int64))[None]
                parameter.grad = torch.sparse_coo_tensor(
                    at, torch.from_numpy(g.copy()), parameter.shape, check_invariants=True
                )
        optimizer.lr = peer.param_groups[0]["lr"] = lr / (1 + step)
        peer.step()
        told = optimizer.step(ids_, grad, weights=weights)
        assert told is None if of_weights is None else (told == of_weights).all()
        now, now_logits = whole(table)
        np.testing.assert_allclose(now, parameters[0].detach().numpy(), rtol=1e-5, atol=1e-5)
        if now_logits is not None:
            np.testing.assert_allclose(now_logits, parameters[1].detach().numpy(), rtol=1e-5, atol=1e-5)
    assert optimizer.steps == 3


@given(trained, texts, st.integers(0, 99))
def test_rowwise_adagrad_is_that_of_the_twin(spec: PairSpec, ids: Any, seed: int) -> None:
    table, values, logits = filled(spec, seed)
    optimizer = RowAdagrad(table, 0.3, 1e-6)
    exact = {int(r): [values[r].astype(np.float64), 0.0] for r in range(len(values))}
    exact_logits = {int(r): [float(logits[r]), 0.0] for r in range(len(values))} if logits is not None else {}
    for step in range(3):
        ids_, grad, _ = batch(spec, ids, seed + step, False)
        rows, found, of_logits, _ = table.backward(ids_, grad)
        optimizer.step(ids_, grad)
        for i, r in enumerate(rows.tolist()):
            exact[r] = list(training_twin.adagrad(*exact[r], found[i].astype(np.float64), 0.3, 1e-6))
            if of_logits is not None:
                exact_logits[r] = list(training_twin.adagrad(*exact_logits[r], float(of_logits[i]), 0.3, 1e-6))
    now, now_logits = whole(table)
    np.testing.assert_allclose(now, np.array([exact[r][0] for r in range(len(now))]), rtol=1e-5, atol=1e-5)
    sums = optimizer.state()["sum"]
    np.testing.assert_allclose(sums, [exact[r][1] for r in range(len(now))], rtol=1e-5)
    if now_logits is not None:
        np.testing.assert_allclose(now_logits, [exact_logits[r][0] for r in range(len(now))], rtol=1e-4, atol=1e-4)


@given(trained, texts, st.sampled_from(["sgd", "adagrad", "adam"]), st.integers(0, 9))
def test_steps_in_one_and_in_two_and_states(spec: PairSpec, ids: Any, rule: str, seed: int) -> None:
    """A step is its gradients applied; an optimiser that got a state goes on as the one that gave it."""
    tables = [filled(spec, seed)[0] for _ in range(3)]
    one, two, other = (optimiser(rule, table, 0.1) for table in tables)
    for step in range(4):
        ids_, grad, _ = batch(spec, ids, seed + step, False)
        one.step(ids_, grad)
        two.apply(*tables[1].backward(ids_, grad)[:3])
        if step == 1:
            tables[2].set_rows(0, *whole(tables[0]))
            other.load(one.state())
        if step > 1:
            other.step(ids_, grad)
    for table in tables[1:]:
        assert all((a == b).all() for a, b in zip(whole(tables[0]), whole(table), strict=True) if a is not None)
    assert one.steps == two.steps == other.steps == 4
    for name, array in one.state().items():
        assert np.array_equal(array, two.state()[name])
        assert np.array_equal(array, other.state()[name])


def test_rows_that_no_pair_has_stand_still() -> None:
    spec = PairSpec(vocab=9, rows=4000, pool="softmax")
    for rule in ("sgd", "adagrad", "adam"):
        table, values, logits = filled(spec, 0)
        optimizer = optimiser(rule, table, 0.1)
        rng = np.random.default_rng(0)
        touched: set[int] = set()
        for _ in range(3):
            ids = rng.integers(0, 9, (2, 10))
            optimizer.step(ids, rng.normal(size=(2, 10, spec.width)).astype(np.float32))
            for row in ids.tolist():
                touched |= {r for t in range(10) for head in twin.rows(spec, row[: t + 1]) for r in head}
        now, now_logits = whole(table)
        changed = (now != values).any(1)
        assert set(np.flatnonzero(changed).tolist()) == touched
        assert set(np.flatnonzero(now_logits != logits).tolist()) <= touched


def test_threads_and_instruction_sets_give_the_same_bits() -> None:
    code = (
        "import numpy as np, hashlib, sys; sys.path.insert(0, '.')\n"
        "from tests.pairconnect.test_table import filled\n"
        "from tests.pairconnect.training_twin import batch, optimiser, whole\n"
        "from thrifty.pairconnect import PairSpec\n"
        "ids = np.random.default_rng(0).integers(0, 9, (3, 300))\n"
        "ids[:, ::3] = 1\n"
        "for pool in ('sum', 'mean', 'softmax'):\n"
        "  for dim in (17, 64):\n"
        "    for weighed in (False, True):\n"
        "      for rule in ('sgd', 'adagrad', 'adam'):\n"
        "        spec = PairSpec(vocab=9, rows=500, head_dim=dim, window=5, pool=pool)\n"
        "        told = []\n"
        "        for threads in (1, 2, 3):\n"
        "          table = filled(spec, 3)[0]\n"
        "          i, g, w = batch(spec, ids, 1, weighed)\n"
        "          found = [*table.backward(i, g, weights=w, threads=threads)]\n"
        "          optimizer = optimiser(rule, table, 0.1)\n"
        "          found += [optimizer.step(i, g, weights=w, threads=threads) for _ in range(2)]\n"
        "          found += whole(table)\n"
        "          told.append(hashlib.sha256(b''.join(x.tobytes() for x in found if x is not None)).hexdigest())\n"
        "        assert len(set(told)) == 1\n"
        "        print(told[0])\n"
    )
    told = set()
    for path in ("scalar", "avx2", "avx512"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"THRIFTY_SIMD": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if "no such instructions" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


@pytest.mark.parametrize("pool", ["sum", "softmax"])
def test_ten_million_terms_of_one_row(pool: Any) -> None:
    """A tenth ten million times: in single precision, term by term, that is 1,087,937."""
    spec = PairSpec(vocab=1, rows=1, heads=1, head_dim=16, window=10, offsets=False, pool=pool)
    table = PairTable(spec)
    grad = np.full((1000, 1010, 16), 0.1, np.float32)
    weights = np.zeros((1, 10), np.float32) if pool == "softmax" else np.ones((1, 10), np.float32)
    rows, found, logits, of_weights = table.backward(np.zeros((1000, 1010), np.uint32), grad, weights=weights)
    assert rows.tolist() == [0]
    terms = sum(min(t, 10) for t in range(1010)) if pool == "sum" else 1009
    np.testing.assert_allclose(found[0], 1000 * terms * float(np.float32(0.1)), rtol=1e-6)
    assert of_weights is not None
    assert (of_weights == 0).all()  # rows are zeros
    assert logits is None if pool == "sum" else (logits == 0).all()


def test_what_can_not_be_trained(tmp_path: Any) -> None:
    spec = PairSpec(vocab=9, rows=10, heads=2, head_dim=16, window=3)
    table = PairTable(spec)
    ids, grad = [[1, 2]], np.zeros((1, 2, 32), np.float32)
    for dtype in ("bf16", "i8"):
        other = PairTable(dataclasses.replace(spec, dtype=dtype))
        with pytest.raises(ValueError, match="table: rows of f32 are trained"):
            other.backward(ids, grad)
        with pytest.raises(ValueError, match="table: rows of f32 are trained"):
            LazyAdam(other)
    table.save(tmp_path / "table")
    opened = PairTable.load(tmp_path / "table")
    assert opened.backward(ids, grad)[0].size == 2
    with pytest.raises(ValueError, match="only read"):
        SGD(opened, 0.1).step(ids, grad)
    optimizer = LazyAdam(table)
    with pytest.raises(ValueError, match="9 at 1 is not below vocab = 9"):
        optimizer.step([[1, 9]], grad)
    with pytest.raises(ValueError, match=r"grad: shape \(1, 2, 32\)"):
        optimizer.step(ids, grad[:, :1])
    with pytest.raises(TypeError, match="grad: float32 is needed, got float64"):
        optimizer.step(ids, grad.astype(float))
    with pytest.raises(ValueError, match=r"weights: shape \(heads, window\)"):
        optimizer.step(ids, grad, weights=np.ones((2, 2)))
    everything = PairTable(dataclasses.replace(spec, window=None))
    with pytest.raises(ValueError, match="weights: shape"):
        everything.backward(ids, grad, weights=np.ones((2, 3)))
    optimizer.lr = float("nan")
    with pytest.raises(ValueError, match="lr: NaN is not a number"):
        optimizer.step(ids, grad)
    assert optimizer.steps == 0
    assert (whole(table)[0] == 0).all()
    with pytest.raises(ValueError, match="betas: 1 is not"):
        LazyAdam(table, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="eps: -1"):
        RowAdagrad(table, eps=-1)
    with pytest.raises(ValueError, match="rows ascend, none twice"):
        SGD(table, 0.1).apply([3, 3], np.zeros((2, 16)))
    with pytest.raises(ValueError, match="20 is not below the table's 20 rows"):
        SGD(table, 0.1).apply([3, 20], np.zeros((2, 16)))
    with pytest.raises(ValueError, match="grads: shape"):
        SGD(table, 0.1).apply([3], np.zeros((1, 8)))
    with pytest.raises(ValueError, match="logit_grads: 1 numbers; 0 are needed"):
        SGD(table, 0.1).apply([3], np.zeros((1, 16)), np.zeros(1))
    with pytest.raises(ValueError, match="state: is of the rule 'sgd'"):
        LazyAdam(table).load(SGD(table, 0.1).state())
    with pytest.raises(ValueError, match="state: 'exp_avg' of shape"):
        LazyAdam(table).load({"rule": "adam", "step": 1})


@settings(max_examples=5)
@given(st.integers(0, 9))
def test_what_is_no_number_passes_through(seed: int) -> None:
    spec = PairSpec(vocab=9, rows=50, heads=1, head_dim=16, window=2)
    table, _, _ = filled(spec, seed)
    grad = np.zeros((1, 4, 16), np.float32)
    grad[0, 3, 5] = np.nan
    rows, found, _, _ = table.backward([[1, 2, 3, 4]], grad)
    of_last = {r for head in twin.rows(spec, [1, 2, 3, 4]) for r in head}
    for row, g in zip(rows.tolist(), found, strict=True):
        assert np.isnan(g[5]) == (row in of_last)
        assert not np.isnan(np.delete(g, 5)).any()
