"""Pair tables as modules of torch: for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.pairconnect.table import PairTable

if TYPE_CHECKING:
    import numpy as np

    from thrifty.pairconnect.spec import PairSpec

torch: Any = require_torch()

__all__ = ["PairLookup", "pair_rows"]

# Constants of rust/pairconnect/src/hash.rs as signed words; products wrap as theirs do.
GOLDEN, C1, C2 = (x - 2**64 for x in (0x9E3779B97F4A7C15, 0x9E3779B97F4A7C15, 0x91E10DA5C79E7B1D))
M1, M2 = (x - 2**64 for x in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
A1, A2, F1, F2 = 0x9E3779B1, 0x91E10DA5, 0x85EBCA6B, 0xC2B2AE35
LOW = 0xFFFFFFFF


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
    return int(_mix64(torch.tensor(_signed(x & (2**64 - 1)))).item())


def _grams(ids: Any, n: int) -> Any:
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
    query = _grams(ids, spec.query_gram)[..., :, None]
    other = _grams(ids, spec.key_gram)[..., place]
    o = distances if spec.offsets else torch.zeros_like(distances)
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
    return torch.stack(rows, -2), there


class PairLookup(torch.nn.Module):  # type: ignore[misc]
    """What positions look up, as a layer: rows are its parameters.

    Parameters
    ----------
    spec : PairSpec
        Its dtype is that of the table that :meth:`table` makes.
    std : float
        Standard deviation of the rows at the beginning. With 0, rows of pairs that were never seen add nothing.
    """

    def __init__(self, spec: PairSpec, *, std: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        self.weight = torch.nn.Parameter(torch.randn(spec.heads * spec.rows, spec.head_dim) * std)
        logits = torch.zeros(spec.heads * spec.rows) if spec.pool == "softmax" else None
        self.logit = torch.nn.Parameter(logits) if logits is not None else None

    def forward(self, ids: Any) -> Any:
        """Return a float tensor of shape (sequences, tokens, heads * head_dim) for ids of shape (sequences, tokens)."""
        spec = self.spec
        rows, there = pair_rows(ids, spec)
        batch, tokens, heads, pairs = rows.shape
        if self.logit is not None:
            logits = self.logit[rows].masked_fill(~there[:, None, :], -torch.inf)
            # A position without pairs has nothing to weigh.
            shares = torch.nan_to_num(torch.softmax(logits, -1))
        else:
            shares = there.to(self.weight.dtype)
            if spec.pool == "mean":
                shares = shares / shares.sum(-1, keepdim=True).clamp_min(1)
            shares = shares[None, :, None, :].expand(rows.shape)
        bags = torch.nn.functional.embedding_bag(
            rows.reshape(-1, pairs), self.weight, per_sample_weights=shares.reshape(-1, pairs), mode="sum"
        )
        return bags.view(batch, tokens, heads * spec.head_dim)

    def table(self) -> PairTable:
        """Return the rows as a table of the core."""
        table = PairTable(self.spec)
        logits = None if self.logit is None else self.logit.detach().cpu().float().numpy()
        values: np.ndarray[Any, Any] = self.weight.detach().cpu().float().numpy()
        table.set_rows(0, values, logits)
        return table
