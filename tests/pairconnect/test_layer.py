"""The paper's layer against a loop over pairs, and its fold."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pairconnect import twin
from tests.pairconnect.test_table import hashed
from thrifty.pairconnect import PairSpec
from thrifty.pairconnect.nn import PairLayer

PAPER: dict[str, Any] = {"window": None, "offsets": False, "pool": "sum"}


def made(spec: PairSpec, dim: int = 6, **options: Any) -> Any:
    layer = PairLayer(spec, dim, std=1.0, **options).double()
    if layer.logit is not None:
        torch.nn.init.normal_(layer.logit)
    return layer


def of_row(layer: Any, row: int) -> Any:
    """f of one row, from its formula."""
    network = layer.row_networks[row // layer.spec.rows]
    inner = torch.nn.functional.gelu(network[0].weight @ layer.weight[row])
    return network[3].weight @ inner


def slow(layer: Any, ids: list[int]) -> Any:
    """What heads give each position: pair after pair."""
    spec, out = layer.spec, []
    for i in range(len(ids)):
        for h in range(spec.heads):
            others = range(i + 1) if layer.causal else range(len(ids))
            pairs = [j for j in others if spec.include_self or j != i]
            if layer.causal:
                pairs = pairs[::-1][: spec.window]
            rows = [twin.row(spec, twin.gram(ids[: i + 1], spec.query_gram), twin.gram(ids[: j + 1], spec.key_gram),
                             abs(i - j), h) for j in pairs]  # fmt: skip
            factors = torch.ones(len(rows), dtype=torch.float64)
            if spec.pool == "mean" and rows:
                factors = factors / len(rows)
            if spec.pool == "softmax" and rows:
                factors = torch.softmax(layer.logit[rows], 0)
            each = [a * of_row(layer, r) for a, r in zip(factors, rows, strict=True)]
            out.append(sum(each, torch.zeros(spec.head_dim, dtype=torch.float64)))
    return torch.stack(out).reshape(len(ids), -1)


@given(hashed, st.lists(st.integers(0, 8), min_size=1, max_size=7), st.booleans())
def test_heads_are_sums_over_pairs(spec: PairSpec, ids: list[int], causal: bool) -> None:
    torch.manual_seed(0)
    if not causal:
        spec = PairSpec(**{**vars(spec), "window": None, "offsets": False})
    layer = made(spec, causal=causal)
    with torch.no_grad():
        wanted = slow(layer, ids)
    for found in (layer.lookup(torch.tensor([ids, ids])), layer.eval().lookup(torch.tensor([ids, ids]))):
        torch.testing.assert_close(found[0], wanted)
        torch.testing.assert_close(found[1], wanted)
    with torch.no_grad():  # by f of all rows
        torch.testing.assert_close(layer.lookup(torch.tensor([ids]))[0], wanted)


def test_the_layer_is_the_papers_formula() -> None:
    torch.manual_seed(0)
    layer = made(PairSpec(vocab=9, rows=40, heads=2, head_dim=5, **PAPER), dim=6, hidden=7, row_hidden=3)
    x, ids = torch.randn(2, 4, 6, dtype=torch.float64), torch.randint(0, 9, (2, 4))

    def mlp(network: Any, x: Any) -> Any:
        return torch.nn.functional.gelu(x @ network[0].weight.T) @ network[3].weight.T

    wanted = mlp(layer.out, mlp(layer.pairs, layer.lookup(ids)) + mlp(layer.stream, x))
    torch.testing.assert_close(layer(x, ids), wanted)
    assert layer.row_networks[0][0].weight.shape == (3, 5)


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
def test_a_fold_is_a_table(pool: Any) -> None:
    torch.manual_seed(0)
    spec = PairSpec(vocab=30, rows=200, heads=3, head_dim=24, window=5, pool=pool)
    layer = made(spec).float()
    ids = torch.randint(0, 30, (3, 20))
    with torch.no_grad():
        wanted = layer.lookup(ids).numpy()
    np.testing.assert_allclose(layer.fold().lookup(ids.numpy()), wanted, rtol=1e-5, atol=1e-5)


def test_what_is_folded_follows_the_parameters() -> None:
    torch.manual_seed(0)
    layer = made(PairSpec(vocab=9, rows=40, heads=2, head_dim=5, **PAPER)).eval()
    ids, other = torch.randint(0, 9, (1, 6)), copy.deepcopy(layer)
    with torch.no_grad():
        first = layer.lookup(ids)
        assert layer.folded() is layer.folded()
        layer.row_networks[1][3].weight.mul_(2)
        second = layer.lookup(ids)
        torch.testing.assert_close(second[..., 5:], 2 * first[..., 5:])
        torch.testing.assert_close(second[..., :5], first[..., :5])
        layer.load_state_dict(other.state_dict())
        assert (layer.lookup(ids) == first).all()


def test_gradients_and_rows_touched() -> None:
    torch.manual_seed(0)
    layer = made(PairSpec(vocab=5, rows=7, heads=2, head_dim=2, window=2), dim=3)
    x, ids = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([[1, 2, 1, 0]])
    names = [name for name, _ in layer.named_parameters()]

    def of(x: Any, *values: Any) -> Any:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, ids))

    assert torch.autograd.gradcheck(of, (x, *layer.parameters()))
    layer(x, ids).sum().backward()
    touched = {r for t in range(4) for rows in twin.rows(layer.spec, ids[0, : t + 1].tolist()) for r in rows}
    assert set(layer.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()) <= touched
    assert layer.weight.grad.abs().sum() > 0


def test_dropout_is_only_in_training() -> None:
    torch.manual_seed(0)
    layer = made(PairSpec(vocab=9, rows=40, heads=2, head_dim=5, **PAPER), dropout=0.5)
    x, ids = torch.randn(1, 5, 6, dtype=torch.float64), torch.randint(0, 9, (1, 5))
    assert (layer(x, ids) != layer(x, ids)).any()
    assert (layer.fold().get_rows(0, 80)[0] == layer.fold().get_rows(0, 80)[0]).all()
    layer.eval()
    torch.testing.assert_close(layer(x, ids), layer(x, ids))


def test_what_can_not_be() -> None:
    with pytest.raises(ValueError, match="causal: False pairs all positions"):
        PairLayer(PairSpec(vocab=9, rows=40), 6, causal=False)
    layer = PairLayer(PairSpec(vocab=9, rows=40, heads=2, head_dim=5, **PAPER), 6, causal=False)
    with pytest.raises(ValueError, match="looks ahead"):
        layer.fold()
    with pytest.raises(ValueError, match=r"x: shape .* got \(1, 2, 6\) and ids \(1, 3\)"):
        layer(torch.zeros(1, 2, 6), torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"ids: 3\.\.9 are not all below vocab = 9"):
        layer(torch.zeros(1, 2, 6), torch.tensor([[9, 3]]))
    assert layer(torch.zeros(2, 0, 6), torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, 6)
