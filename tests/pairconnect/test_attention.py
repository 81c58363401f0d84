"""Attention as a table, against attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thrifty.errors import CapacityError
from thrifty.pairconnect import PairTable
from thrifty.pairconnect.nn import from_attention


@pytest.mark.parametrize(("heads", "include_self"), [(1, True), (3, True), (2, False)])
def test_a_table_is_attention(heads: int, include_self: bool) -> None:
    torch.manual_seed(0)
    vocab, dim, d = 11, 12, 16
    x = torch.randn(vocab, dim, dtype=torch.float64)
    wq, wk, wv = torch.randn(3, heads * d, dim, dtype=torch.float64) / dim**0.5
    table = from_attention(wq, wk, wv, x, heads=heads, include_self=include_self)
    ids = torch.randint(0, vocab, (5, 20))
    q, k, v = (torch.nn.functional.linear(x[ids], w).view(5, 20, heads, d).transpose(1, 2) for w in (wq, wk, wv))
    mask = torch.ones(20, 20, dtype=torch.bool).tril(0 if include_self else -1)
    first = 0 if include_self else 1
    wanted = torch.nn.functional.scaled_dot_product_attention(q[:, :, first:], k, v, attn_mask=mask[first:])
    found = table.lookup(ids)
    np.testing.assert_allclose(found[:, first:], wanted.transpose(1, 2).reshape(5, 20 - first, -1), atol=1e-5)
    assert (found[:, :first] == 0).all()


def test_it_goes_into_a_file(tmp_path: object) -> None:
    rng = np.random.default_rng(0)
    wq, wk, wv, x = (rng.normal(size=shape) for shape in ((4, 3), (4, 3), (20, 3), (7, 3)))
    table = from_attention(wq, wk, wv, x)
    table.save(f"{tmp_path}/table")
    again = PairTable.load(f"{tmp_path}/table", verify=True)
    assert again.spec == table.spec
    assert again.spec.hash == "direct"
    assert (again.lookup([3, 1, 6, 0]) == table.lookup([3, 1, 6, 0])).all()


def test_what_can_not_be() -> None:
    w, x = np.ones((4, 3)), np.ones((7, 3))
    with pytest.raises(ValueError, match=r"embeddings: shape \(vocab, dim\)"):
        from_attention(w, w, w, x[0])
    with pytest.raises(ValueError, match=r"wk: shape \(heads \* d, 3\) with heads = 1 is needed, got \(3, 4\)"):
        from_attention(w, w.T, w, x)
    with pytest.raises(ValueError, match="wq: shape .* with heads = 3"):
        from_attention(w, w, w, x, heads=3)
    with pytest.raises(ValueError, match="wk: 2 rows, and wq has 4"):
        from_attention(w, w[:2], w, x)
    with pytest.raises(ValueError, match="heads: 0 is not at least 1"):
        from_attention(w, w, w, x, heads=0)
    with pytest.raises(CapacityError, match="max_bytes allows 100"):
        from_attention(w, w, w, x, max_bytes=100)
