"""Attention over a small vocabulary as a pair table."""

from __future__ import annotations

from typing import Any

import numpy as np

from thrifty._torch import to_numpy
from thrifty.pairconnect.spec import PairSpec
from thrifty.pairconnect.table import PairTable

__all__ = ["from_attention"]


def from_attention(
    wq: Any,
    wk: Any,
    wv: Any,
    embeddings: Any,
    *,
    heads: int = 1,
    include_self: bool = True,
    max_bytes: int | None = None,
) -> PairTable:
    """Return the table whose lookups are what causal attention without positions gives, to rounding.

    The row of ids (a, b) has the logit q_a . k_b / sqrt(d) and the values v_b; pooling by softmax makes of them what
    attention makes (arXiv 2106.08235, section 3, where the denominator of the softmax is left out). There is a row for
    each of the vocab**2 pairs. Attention over hidden values, which are no function of one id, has no such table.

    Parameters
    ----------
    wq, wk, wv : float array or tensor of shape (heads * d, dim)
        Weights of the layer, as those of torch.nn.Linear; wv may have another number of rows than the others.
    embeddings : float array or tensor of shape (vocab, dim)
        What the layer sees of each id.
    heads : int
        Heads, whose rows of the weights follow each other.
    include_self : bool
        Whether a position attends to itself. Without, the first one gets zeros.
    max_bytes : int, optional
        Refuse to be larger.

    Raises
    ------
    ValueError
        For shapes that do not fit.
    CapacityError
        When the rows would take more than ``max_bytes``, or than there is.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.pairconnect.nn import from_attention
    >>> rng = np.random.default_rng(0)
    >>> wq, wk, wv, x = (rng.normal(size=shape) for shape in ((16, 8), (16, 8), (16, 8), (50, 8)))
    >>> table = from_attention(wq, wk, wv, x)
    >>> ids = [3, 1, 4]
    >>> shares = np.exp((wk @ x[ids].T).T @ (wq @ x[4]) / 4)
    >>> attention = shares / shares.sum() @ (wv @ x[ids].T).T
    >>> bool(np.allclose(table.lookup(ids)[-1], attention, atol=1e-5))
    True
    """
    given = {"wq": wq, "wk": wk, "wv": wv, "embeddings": embeddings}
    arrays = {name: np.asarray(to_numpy(array, name), np.float64) for name, array in given.items()}
    x = arrays.pop("embeddings")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"embeddings: shape (vocab, dim) is needed, got {x.shape}")
    if heads < 1:
        raise ValueError(f"heads: {heads} is not at least 1")
    for name, weight in arrays.items():
        if weight.ndim != 2 or weight.shape[1] != x.shape[1] or len(weight) == 0 or len(weight) % heads:
            raise ValueError(
                f"{name}: shape (heads * d, {x.shape[1]}) with heads = {heads} is needed, got {weight.shape}"
            )
    if len(arrays["wq"]) != len(arrays["wk"]):
        raise ValueError(f"wk: {len(arrays['wk'])} rows, and wq has {len(arrays['wq'])}")
    # Of shape (heads, vocab, d).
    q, k, v = ((x @ w.T).reshape(len(x), heads, -1).swapaxes(0, 1) for w in arrays.values())
    spec = PairSpec(
        vocab=len(x),
        rows=len(x) ** 2,
        heads=heads,
        head_dim=v.shape[2],
        window=None,
        offsets=False,
        include_self=include_self,
        pool="softmax",
        hash="direct",
    )
    table = PairTable(spec, max_bytes=max_bytes)
    for h in range(heads):
        for a in range(len(x)):
            table.set_rows(h * spec.rows + a * len(x), v[h], k[h] @ q[h, a] / q.shape[2] ** 0.5)
    return table
