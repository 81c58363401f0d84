"""Layers of torch against the core: the same integers, the same sums."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pairconnect import twin
from tests.pairconnect.test_table import specs
from thrifty.pairconnect import PairSpec
from thrifty.pairconnect.nn import PairLookup, pair_rows


@given(specs, st.lists(st.integers(0, 8), min_size=1, max_size=10))
def test_rows_are_those_of_the_core(spec: PairSpec, ids: list[int]) -> None:
    rows, there = pair_rows(torch.tensor([ids, ids[::-1]]), spec)
    for given_, found in ((ids, rows[0]), (ids[::-1], rows[1])):
        for t in range(len(ids)):
            wanted = twin.rows(spec, given_[: t + 1])
            assert there[t].sum() == len(wanted[0])
            assert found[t][:, there[t]].tolist() == wanted


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
@pytest.mark.parametrize("window", [None, 3])
def test_lookups_are_those_of_the_table(pool: Any, window: Any) -> None:
    torch.manual_seed(0)
    spec = PairSpec(vocab=20, rows=64, heads=3, head_dim=16, window=window, pool=pool)
    layer = PairLookup(spec, std=1.0)
    if layer.logit is not None:
        torch.nn.init.normal_(layer.logit)
    ids = torch.randint(0, 20, (2, 12))
    found = layer(ids).detach().numpy()
    np.testing.assert_allclose(found, layer.table().lookup(ids.numpy()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
def test_the_first_id_of_all_has_no_pairs(pool: Any) -> None:
    spec = PairSpec(vocab=20, rows=64, heads=3, head_dim=16, window=None, pool=pool)
    assert (PairLookup(spec, std=1.0)(torch.tensor([[4], [5]])) == torch.zeros(2, 1, 48)).all()


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
def test_gradients(pool: Any) -> None:
    torch.manual_seed(0)
    spec = PairSpec(vocab=5, rows=4, heads=2, head_dim=2, window=2, pool=pool)
    layer = PairLookup(spec, std=1.0).double()
    ids = torch.randint(0, 5, (2, 5))
    names = [name for name, _ in layer.named_parameters()]

    def of(*values: Any) -> Any:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (ids,))

    assert torch.autograd.gradcheck(of, tuple(layer.parameters()))


def test_order_matters_only_with_offsets() -> None:
    spec = PairSpec(vocab=20, rows=10_000, window=None, include_self=True, pool="sum")
    for offsets, same in ((False, True), (True, False)):
        layer = PairLookup(dataclasses.replace(spec, offsets=offsets), std=1.0)
        with torch.no_grad():
            a, b = layer(torch.tensor([[1, 2, 3, 4]]))[0, -1], layer(torch.tensor([[3, 2, 1, 4]]))[0, -1]
        assert torch.allclose(a, b, atol=1e-6) == same
