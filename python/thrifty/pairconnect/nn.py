"""Pair tables as modules of torch: for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.pairconnect.attention import from_attention
from thrifty.pairconnect.functional import pair_lookup
from thrifty.pairconnect.layer import PairLayer
from thrifty.pairconnect.table import PairTable
from thrifty.pairconnect.torch_rows import pair_rows

if TYPE_CHECKING:
    import numpy as np

    from thrifty.pairconnect.spec import PairSpec

torch: Any = require_torch()

__all__ = ["PairLayer", "PairLookup", "from_attention", "pair_rows"]


class PairLookup(torch.nn.Module):  # type: ignore[misc]
    """What positions look up, as a layer: rows are its parameters.

    Parameters
    ----------
    spec : PairSpec
        Its dtype is that of the table that :meth:`table` makes.
    std : float
        Standard deviation of the rows at the beginning. With 0, rows of pairs that were never seen add nothing.
    sparse : bool
        Whether gradients are sparse (see :func:`~thrifty.pairconnect.functional.pair_lookup`).
    """

    def __init__(self, spec: PairSpec, *, std: float = 0.0, sparse: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.sparse = sparse
        self.weight = torch.nn.Parameter(torch.randn(spec.heads * spec.rows, spec.head_dim) * std)
        logits = torch.zeros(spec.heads * spec.rows) if spec.pool == "softmax" else None
        self.logit = torch.nn.Parameter(logits) if logits is not None else None

    def forward(self, ids: Any) -> Any:
        """Return a float tensor of shape (sequences, tokens, heads * head_dim) for ids of shape (sequences, tokens)."""
        return pair_lookup(self.weight, self.logit, ids, self.spec, sparse=self.sparse)

    def table(self) -> PairTable:
        """Return the rows as a table of the core."""
        table = PairTable(self.spec)
        logits = None if self.logit is None else self.logit.detach().cpu().float().numpy()
        values: np.ndarray[Any, Any] = self.weight.detach().cpu().float().numpy()
        table.set_rows(0, values, logits)
        return table
