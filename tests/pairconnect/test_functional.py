"""The lookup as an operator of torch: the core's against torch's own, under compilers, and its sparse gradients."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pairconnect.test_table import specs
from tests.pairconnect.test_training import texts
from thrifty.pairconnect import PairSpec
from thrifty.pairconnect.functional import by_torch, pair_lookup
from thrifty.pairconnect.nn import PairLookup
from thrifty.pairconnect.torch_optim import LazyAdam


def tensors(spec: PairSpec, seed: int, weighed: bool) -> list[Any]:
    """Rows, logits and weights of distances, or None in their place."""
    made = torch.Generator().manual_seed(seed)
    shape = (spec.heads * spec.rows, spec.head_dim)
    weight = torch.randn(*shape, generator=made).requires_grad_()
    logit = torch.randn(shape[0], generator=made).requires_grad_() if spec.pool == "softmax" else None
    wanted = weighed and spec.window is not None
    pos = torch.randn(spec.heads, spec.window or 0, generator=made).requires_grad_() if wanted else None
    return [weight, logit, pos]


def ids_of(ids: list[list[int]]) -> Any:
    return torch.tensor(ids, dtype=torch.int64).reshape(len(ids), len(ids[0]) if ids else 0)


@settings(max_examples=60)
@given(specs, texts, st.integers(0, 99), st.booleans(), st.booleans())
def test_the_core_and_torch_agree(spec: PairSpec, ids: list[list[int]], seed: int, weighed: bool, sparse: bool) -> None:
    batch = ids_of(ids)
    found: list[list[Any]] = []
    for function in (pair_lookup, by_torch):
        weight, logit, pos = given_ = tensors(spec, seed, weighed)
        out = function(weight, logit, batch, spec, pos, sparse=sparse)
        grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
        if out.requires_grad:
            out.backward(grad)
        grads = [None if t is None or t.grad is None else t.grad.to_dense() for t in given_]
        found.append([out.detach(), *grads])
    (out, *ours), (wanted, *theirs) = found
    torch.testing.assert_close(out, wanted, rtol=1e-5, atol=2e-5)
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:  # nothing was looked up: no gradient, or one of zeros
            assert all(x is None or (x == 0).all() for x in (a, b))
        else:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
@pytest.mark.parametrize("weighed", [False, True])
def test_gradients_agree_closely(pool: Any, weighed: bool) -> None:
    """Relative to the largest: 1e-5, on a batch of training."""
    spec = PairSpec(vocab=300, rows=4096, pool=pool)
    ids = torch.randint(0, 300, (8, 64), generator=torch.Generator().manual_seed(0))
    weight, logit, pos = tensors(spec, 1, weighed)
    grad = torch.randn(8, 64, spec.width, generator=torch.Generator().manual_seed(2))
    pair_lookup(weight, logit, ids, spec, pos).backward(grad)
    exact = [None if t is None else t.detach().double().requires_grad_() for t in (weight, logit, pos)]
    by_torch(exact[0], exact[1], ids, spec, exact[2]).backward(grad.double())  # type: ignore[arg-type]
    for a, b in zip((weight, logit, pos), exact, strict=True):
        if a is not None and b is not None:
            assert (a.grad.double() - b.grad).abs().max() <= 1e-5 * b.grad.abs().max()


@pytest.mark.parametrize("pool", ["mean", "softmax"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which torch's own check asks for
def test_the_operator_is_what_torch_asks_of_one(pool: Any, sparse: bool) -> None:
    spec = PairSpec(vocab=9, rows=20, heads=2, head_dim=16, window=3, pool=pool)
    ids = torch.randint(0, 9, (2, 7), generator=torch.Generator().manual_seed(0))
    operators = torch.ops.thrifty
    for weighed in (False, True):
        weight, logit, pos = tensors(spec, 0, weighed)
        args = (weight, logit, ids, pos, spec.to_json(), sparse)
        # Compilers have no sparse gradients, so theirs is not asked of an operator that has.
        tests = ("test_schema", "test_autograd_registration", "test_faketensor")
        torch.library.opcheck(
            operators.pair_lookup.default, args, test_utils=tests if sparse else (*tests, "test_aot_dispatch_dynamic")
        )
        grad = torch.ones(2, 7, 32)
        plain = [None if t is None else t.detach() for t in (weight, logit)]
        rest = (*plain, ids, None if pos is None else pos.detach(), spec.to_json())
        for gradients in (operators.pair_gradients.default, operators.pair_gradients_dense.default):
            torch.library.opcheck(gradients, (grad, *rest))


@pytest.mark.parametrize("pool", ["mean", "softmax"])
@pytest.mark.parametrize("double", [False, True])
def test_compilers_see_one_graph(pool: Any, double: bool) -> None:
    """The core's operator and, in double precision, torch's."""
    spec = PairSpec(vocab=9, rows=20, heads=2, head_dim=16, window=3, pool=pool)
    torch.manual_seed(0)
    plain = torch.nn.Sequential(PairLookup(spec, std=1.0), torch.nn.Linear(32, 4))
    plain = plain.double() if double else plain
    compiled = torch.compile(plain, fullgraph=True, backend="aot_eager")
    for tokens in (5, 7, 9):
        ids = torch.randint(0, 9, (2, tokens))
        grads = []
        for model in (plain, compiled):
            plain.zero_grad()
            out = model(ids)
            (out**2).sum().backward()
            grads.append([out.detach(), *(p.grad.clone() for p in plain.parameters())])
        for a, b in zip(*grads, strict=True):
            torch.testing.assert_close(a, b)


def test_gradients_of_means_need_no_rows() -> None:
    """They may change between the passes, as those of torch's embeddings may; where they are needed, torch says so."""
    spec = PairSpec(vocab=9, rows=20)
    ids = torch.randint(0, 9, (2, 7))
    weight, _, _ = tensors(spec, 0, False)
    out = pair_lookup(weight, None, ids, spec)
    with torch.no_grad():
        weight.add_(1)
    out.sum().backward()
    weight, logit, _ = tensors(dataclasses.replace(spec, pool="softmax"), 0, False)
    out = pair_lookup(weight, logit, ids, dataclasses.replace(spec, pool="softmax"))
    with torch.no_grad():
        weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@pytest.mark.parametrize("pool", ["mean", "softmax"])
def test_lazy_adam_is_sparse_adam(pool: Any) -> None:
    spec = PairSpec(vocab=50, rows=300, head_dim=20, pool=pool)
    torch.manual_seed(0)
    layers = [PairLookup(spec, std=1.0, sparse=True) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    ours = LazyAdam(layers[0].parameters(), lr=0.1, betas=(0.8, 0.95))
    theirs = torch.optim.SparseAdam(list(layers[1].parameters()), lr=0.1, betas=(0.8, 0.95))
    for step in range(6):
        if step == 3:
            again = LazyAdam(layers[0].parameters(), lr=0.1, betas=(0.8, 0.95))
            again.load_state_dict(ours.state_dict())
            ours = again
        ids = torch.randint(0, 50, (3, 9))
        for layer, optimizer in zip(layers, (ours, theirs), strict=True):
            optimizer.zero_grad()
            # Two passes, whose gradients add up.
            (layer(ids) ** 2).sum().backward()
            layer(ids[:1]).sum().backward()
            optimizer.step()
        for a, b in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_results_do_not_depend_on_threads() -> None:
    spec = PairSpec(vocab=9, rows=300)
    ids = torch.randint(0, 9, (4, 500))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            weight, _, _ = tensors(spec, 0, False)
            out = pair_lookup(weight, None, ids, spec, sparse=True)
            (out**2).sum().backward()
            found.append((out.detach(), weight.grad.to_dense()))
    finally:
        torch.set_num_threads(before)
    for out, grad in found[1:]:
        assert (out == found[0][0]).all()
        assert (grad == found[0][1]).all()


def test_arguments_that_can_not_be() -> None:
    spec = PairSpec(vocab=9, rows=20, heads=2, head_dim=16, window=3)
    ids, weight = torch.tensor([[1, 2]]), torch.zeros(40, 16)
    with pytest.raises(ValueError, match=r"weight: shape \(heads \* rows, head_dim\) = \(40, 16\)"):
        pair_lookup(weight[1:], None, ids, spec)
    with pytest.raises(ValueError, match="logit: one a row is needed"):
        pair_lookup(weight, torch.zeros(40), ids, spec)
    with pytest.raises(ValueError, match=r"logit: shape \(heads \* rows,\)"):
        pair_lookup(weight, torch.zeros(39), ids, dataclasses.replace(spec, pool="softmax"))
    with pytest.raises(ValueError, match="ids: int32 or int64"):
        pair_lookup(weight, None, ids[0], spec)
    with pytest.raises(ValueError, match="pos_weight: shape"):
        pair_lookup(weight, None, ids, spec, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="9 at 1 is not below vocab = 9"):
        pair_lookup(weight, None, torch.tensor([[1, 9]]), spec)
    small = pair_lookup(torch.ones(40, 16), None, ids.int(), spec)
    assert torch.equal(small, by_torch(torch.ones(40, 16), None, ids.int(), spec))
    # Rows that do not lie close are copied, and rows of another dtype looked up by torch.
    wide = torch.randn(40, 32)[:, ::2]
    assert torch.equal(pair_lookup(wide, None, ids, spec), pair_lookup(wide.contiguous(), None, ids, spec))
    assert pair_lookup(weight.bfloat16(), None, ids, spec).dtype == torch.bfloat16
    layer = PairLookup(spec)
    layer(ids).sum().backward()
    with pytest.raises(ValueError, match="make the layer with sparse=True"):
        LazyAdam(layer.parameters()).step()
    with pytest.raises(ValueError, match=r"float32 tensors on the CPU are needed, got torch\.float64"):
        LazyAdam(layer.double().parameters())
    assert np.isfinite(layer.weight.detach().numpy()).all()
