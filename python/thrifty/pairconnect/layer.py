"""The paper's layer: pairs and the stream of hidden values, each through a small network, added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty._torch import require_torch
from thrifty.pairconnect.table import PairTable
from thrifty.pairconnect.torch_rows import grams, pair_rows, pooled, rows_of_pairs

if TYPE_CHECKING:
    from thrifty.pairconnect.spec import PairSpec

torch: Any = require_torch()
nn: Any = torch.nn

__all__ = ["PairLayer"]


def network(inputs: int, hidden: int, outputs: int, dropout: float) -> Any:
    """Return the paper's two-layer network, drop(drop(GELU(x W0)) W1)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs, bias=False),
        nn.Dropout(dropout),
    )


class PairLayer(nn.Module):  # type: ignore[misc]
    """A layer of PairConnect (arXiv 2106.08235, section 3).

    Each head has a table W and a network f of two layers. A position gets ``g = sum over its pairs of f(row of the
    pair)`` of each head, side by side, and the layer is ``mlp_out(mlp_pairs(g) + mlp_stream(x))``. The paper's pairs
    are those of all positions, without distances: ``PairSpec(window=None, offsets=False, pool="sum")``, here those
    before a position unless ``causal=False``. Distances in the key and a window, which language models need, are the
    same layer of another spec.

    f sees rows and nothing else, so it is applied once to each row that a batch touches, never once a pair; dropout in
    it is drawn once a row as well. Where no gradient is wanted and the layer is not training, f of all rows is computed
    once and kept until a parameter changes.

    Parameters
    ----------
    spec : PairSpec
        The tables. All layers of a network look up the ids of the text.
    dim : int
        Numbers of a hidden vector.
    hidden : int, optional
        Of the networks behind the lookup; by default ``dim``.
    row_hidden : int, optional
        Of f; by default ``spec.head_dim``.
    causal : bool
        False also pairs a position with those behind it, for masked language models.
    dropout : float
        Behind both layers of each network, in training.
    std : float
        Standard deviation of the rows at the beginning.

    Raises
    ------
    ValueError
        With ``causal=False`` for a spec with offsets or a window.

    Examples
    --------
    >>> import torch
    >>> from thrifty.pairconnect import PairSpec
    >>> from thrifty.pairconnect.nn import PairLayer
    >>> spec = PairSpec(vocab=50, rows=1000, heads=2, head_dim=16, window=None, offsets=False, pool="sum")
    >>> layer = PairLayer(spec, dim=32).eval()
    >>> ids = torch.tensor([[3, 1, 4]])
    >>> layer(torch.randn(1, 3, 32), ids).shape
    torch.Size([1, 3, 32])
    >>> layer.fold().lookup(ids).shape  # what the heads give, in the core, without f
    torch.Size([1, 3, 32])
    """

    def __init__(
        self,
        spec: PairSpec,
        dim: int,
        *,
        hidden: int | None = None,
        row_hidden: int | None = None,
        causal: bool = True,
        dropout: float = 0.0,
        std: float = 0.02,
    ) -> None:
        super().__init__()
        if not causal and (spec.offsets or spec.window is not None):
            raise ValueError("causal: False pairs all positions, without distances; take offsets=False and window=None")
        hidden, row_hidden = hidden or dim, row_hidden or spec.head_dim
        self.spec, self.causal = spec, causal
        self.weight = nn.Parameter(torch.randn(spec.heads * spec.rows, spec.head_dim) * std)
        self.logit = nn.Parameter(torch.zeros(spec.heads * spec.rows)) if spec.pool == "softmax" else None
        self.row_networks = nn.ModuleList(
            [network(spec.head_dim, row_hidden, spec.head_dim, dropout) for _ in range(spec.heads)]
        )
        self.pairs = network(spec.width, hidden, dim, dropout)
        self.stream = network(dim, hidden, dim, dropout)
        self.out = network(dim, hidden, dim, dropout)
        self._kept: tuple[Any, Any] | None = None

    def forward(self, x: Any, ids: Any) -> Any:
        """Return hidden values of shape (sequences, tokens, dim).

        Parameters
        ----------
        x : float tensor of shape (sequences, tokens, dim)
            In a first layer the embeddings of the ids, else what the layer before returned.
        ids : int64 tensor of shape (sequences, tokens)
            Below ``vocab``.
        """
        if ids.ndim != 2 or x.shape[:-1] != ids.shape:
            raise ValueError(f"x: shape (*ids.shape, dim) is needed; got {tuple(x.shape)} and ids {tuple(ids.shape)}")
        return self.out(self.pairs(self.lookup(ids)) + self.stream(x))

    def lookup(self, ids: Any) -> Any:
        """Return what the heads give: a float tensor of shape (sequences, tokens, heads * head_dim)."""
        if ids.device.type == "cpu" and ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.spec.vocab:
            raise ValueError(f"ids: {int(ids.min())}..{int(ids.max())} are not all below vocab = {self.spec.vocab}")
        rows, there = pair_rows(ids, self.spec) if self.causal else self._all_pairs(ids)
        if not self.training and not torch.is_grad_enabled():
            return pooled(rows, there, self.folded(), self.logit, self.spec.pool)
        touched, inverse = torch.unique(rows, return_inverse=True)
        logits = None if self.logit is None else self.logit[touched]
        return pooled(inverse, there, self._of_rows(touched), logits, self.spec.pool)

    def folded(self) -> Any:
        """Return f of all rows: a tensor of shape (heads * rows, head_dim), without a gradient."""
        parts = [self.weight, *self.row_networks.parameters()]
        key = [(p.data_ptr(), p._version, p.dtype) for p in parts]
        if self._kept is None or self._kept[0] != key:
            blocks = self.weight.split(self.spec.rows)
            with torch.no_grad():
                # Linear, GELU, linear: no dropout, even where the layer is training.
                f = [n[3](n[1](n[0](w))) for w, n in zip(blocks, self.row_networks, strict=True)]
                self._kept = key, torch.cat(f)
        return self._kept[1]

    def fold(self) -> PairTable:
        """Return f of all rows as a table of the core: its lookups are those of :meth:`lookup`, to rounding.

        Raises
        ------
        ValueError
            Without ``causal``: a table looks back only.
        """
        if not self.causal:
            raise ValueError("causal: this layer looks ahead, and a table looks back only")
        table = PairTable(self.spec)
        logits = None if self.logit is None else self.logit.detach().cpu().float().numpy()
        table.set_rows(0, self.folded().cpu().float().numpy(), logits)
        return table

    def _of_rows(self, touched: Any) -> Any:
        """Return f of some rows, which are sorted: heads come one after the other."""
        ends = torch.arange(1, self.spec.heads, device=touched.device) * self.spec.rows
        blocks = self.weight[touched].tensor_split(torch.searchsorted(touched, ends).tolist())
        return torch.cat([f(block) for f, block in zip(self.row_networks, blocks, strict=True)])

    def _all_pairs(self, ids: Any) -> tuple[Any, Any]:
        """Return rows of the pairs with all positions, and which of them are pairs."""
        spec, tokens = self.spec, ids.shape[-1]
        query = grams(ids, spec.query_gram)[..., :, None]
        other = grams(ids, spec.key_gram)[..., None, :].expand(*ids.shape, tokens)
        there = torch.ones(tokens, tokens, dtype=torch.bool, device=ids.device)
        if not spec.include_self:
            there.fill_diagonal_(False)
        return rows_of_pairs(query, other, torch.zeros_like(other), spec), there
