"""Rows of pairs in torch: the integers that the core computes, and what rows become together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch

if TYPE_CHECKING:
    from thrifty.pairconnect.spec import PairSpec

torch: Any = require_torch()

__all__ = ["grams", "pair_rows", "pooled", "rows_of_pairs"]

# Constants of rust/pairconnect/src/hash.rs as signed words; products wrap as theirs do.
GOLDEN, C1, C2 = (x - 2**64 for x in (0x9E3779B97F4A7C15, 0x9E3779B97F4A7C15, 0x91E10DA5C79E7B1D))
M1, M2 = (x - 2**64 for x in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
A1, A2, F1, F2 = 0x9E3779B1, 0x91E10DA5, 0x85EBCA6B, 0xC2B2AE35
LOW, M64 = 0xFFFFFFFF, 2**64 - 1


def _shift(x: Any, n: int) -> Any:
    """Shift right without the sign."""
    return (x >> n) & ((1 << (64 - n)) - 1)


def _mix64(x: Any) -> Any:
    x = x + GOLDEN
    x = (x ^ _shift(x, 30)) * M1
    x = (x ^ _shift(x, 27)) * M2
    return x ^ _shift(x, 31)


def _mix32(x: Any) -> Any:
    x = (x + A1) & LOW
    x = ((x ^ (x >> 16)) * F1) & LOW
    x = ((x ^ (x >> 13)) * F2) & LOW
    return x ^ (x >> 16)


def _signed(x: int) -> int:
    return x - 2**64 if x >= 2**63 else x


def _word(x: int) -> int:
    """Return mix64 of a number of Python."""
    # Not by tensors: compilers would have to leave their graph for a number of one.
    z = (x + GOLDEN) & M64
    z = ((z ^ (z >> 30)) * M1) & M64
    z = ((z ^ (z >> 27)) * M2) & M64
    return _signed(z ^ (z >> 31))


def grams(ids: Any, n: int) -> Any:
    """Make one of the last n ids up to each position."""
    if n == 1:
        return ids
    time = torch.arange(ids.shape[-1], device=ids.device)
    before = torch.minimum(time, torch.tensor(n - 1, device=ids.device))
    word = _mix64(before ^ C2).expand(ids.shape)
    for back in range(n - 1, -1, -1):
        id_ = torch.roll(ids, back, -1)
        word = torch.where(time >= back, _mix64(word ^ id_), word)
    return _shift(word, 32)


def pair_rows(ids: Any, spec: PairSpec) -> tuple[Any, Any]:
    """Return the rows that each position looks up, and which of them there are.

    Parameters
    ----------
    ids : int64 tensor of shape (sequences, tokens)
    spec : PairSpec
        With a window, or with None for all ids before a position.

    Returns
    -------
    rows : int64 tensor of shape (sequences, tokens, heads, pairs)
        Counted over all heads, nearest pairs first; the integers that the core computes.
    there : bool tensor of shape (tokens, pairs)
        False where the pair would begin before the sequence.

    Examples
    --------
    >>> import torch
    >>> from thrifty.pairconnect import PairSpec, PairTable
    >>> from thrifty.pairconnect.nn import pair_rows
    >>> spec = PairSpec(vocab=10, rows=100, heads=2, window=2)
    >>> rows, there = pair_rows(torch.tensor([[3, 1, 4]]), spec)
    >>> bool((rows[0, 2].numpy() == PairTable(spec).rows([3, 1, 4])).all())
    True
    """
    tokens = ids.shape[-1]
    first = 0 if spec.include_self else 1
    pairs = max(tokens - first, 0) if spec.window is None else spec.window
    distances = torch.arange(first, first + pairs, device=ids.device)
    time = torch.arange(tokens, device=ids.device)
    there = distances[None, :] <= time[:, None]
    place = (time[:, None] - distances[None, :]).clamp_min(0)
    query = grams(ids, spec.query_gram)[..., :, None]
    other = grams(ids, spec.key_gram)[..., place]
    o = distances if spec.offsets else torch.zeros_like(distances)
    return rows_of_pairs(query, other, o, spec), there


def rows_of_pairs(query: Any, other: Any, o: Any, spec: PairSpec) -> Any:
    """Return the rows of pairs: int64 ids of shape (..., tokens, pairs) give (..., tokens, heads, pairs)."""
    if spec.hash == "direct":
        first = 0 if spec.include_self else 1
        block = o - first if spec.offsets else o
        words = (block * spec.vocab + query) * spec.vocab + other
        return torch.stack([h * spec.rows + words for h in range(spec.heads)], -2)
    key = _word(spec.seed)
    if spec.hash == "mix64":
        words = _mix64(((query << 32) | other) * C1 ^ (o * C2) ^ key)
    else:
        q = _mix32(query ^ (key & LOW))
        words = _mix32(((q + other * A1) & LOW) ^ ((o * A2) & LOW))
    rows = []
    for h in range(spec.heads):
        odd = _word(spec.seed ^ (h * (C2 + 2**64))) | 1
        product = words * odd
        uniform = _shift(product, 32) if spec.hash == "mix64" else product & LOW
        rows.append(h * spec.rows + ((uniform * spec.rows) >> 32))
    return torch.stack(rows, -2)


def pooled(
    rows: Any, there: Any, values: Any, logits: Any, pool: str, weights: Any = None, *, sparse: bool = False
) -> Any:
    """Return the rows of each position as one.

    Parameters
    ----------
    rows : int64 tensor of shape (sequences, tokens, heads, pairs)
    there : bool tensor of shape (tokens, pairs)
        Of :func:`pair_rows`.
    values : float tensor of shape (rows, head_dim)
    logits : float tensor of shape (rows,) or None
        With ``pool="softmax"``.
    pool : str
        As in :class:`~thrifty.pairconnect.PairSpec`.
    weights : float tensor of shape (heads, pairs), optional
        Rows are multiplied by the weight of their distance; with softmax it is added to the logits.
    sparse : bool
        Whether the gradient of ``values`` is sparse.

    Returns
    -------
    float tensor of shape (sequences, tokens, heads * head_dim)
    """
    batch, tokens, heads, pairs = rows.shape
    if rows.numel() == 0:
        return values.new_zeros(batch, tokens, heads * values.shape[1])
    if pool == "softmax":
        found = logits[rows] if weights is None else logits[rows] + weights
        # A position without pairs has nothing to weigh.
        shares = torch.nan_to_num(torch.softmax(found.masked_fill(~there[:, None, :], -torch.inf), -1))
    else:
        shares = there.to(values.dtype)
        if pool == "mean":
            shares = shares / shares.sum(-1, keepdim=True).clamp_min(1)
        shares = shares[None, :, None, :].expand(rows.shape)
        shares = shares if weights is None else shares * weights
    bags = torch.nn.functional.embedding_bag(
        rows.reshape(-1, pairs), values, per_sample_weights=shares.reshape(-1, pairs), mode="sum", sparse=sparse
    )
    return bags.view(batch, tokens, heads * values.shape[1])
