"""An optimizer of torch for tables: steps of the rows that have a gradient, in the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import require_torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

torch: Any = require_torch()

__all__ = ["LazyAdam"]


class LazyAdam(torch.optim.Optimizer):  # type: ignore[misc]
    """Adam for parameters with sparse gradients: the update of ``torch.optim.SparseAdam``, in place, in one pass.

    Rows without a gradient stand still, and their moments as well; corrections for the bias of the moments count all
    steps. A step costs what the rows touched do, whatever the size of the table.

    Parameters
    ----------
    params : iterable of float32 tensors or groups
        On the CPU; of gradients that are sparse by rows, as :class:`~thrifty.pairconnect.nn.PairLookup` gives with
        ``sparse=True``.
    lr, betas, eps : float
        As for ``torch.optim.SparseAdam``.

    Examples
    --------
    >>> import torch
    >>> from thrifty.pairconnect import PairSpec
    >>> from thrifty.pairconnect.nn import PairLookup
    >>> from thrifty.pairconnect.torch_optim import LazyAdam
    >>> layer = PairLookup(PairSpec(vocab=10, rows=100), sparse=True)
    >>> optimizer = LazyAdam(layer.parameters(), lr=0.1)
    >>> layer(torch.tensor([[3, 1, 4]])).sum().backward()
    >>> optimizer.step()
    >>> int((layer.weight.detach() != 0).any(1).sum())  # three pairs in four heads
    12
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        for group in self.param_groups:
            for p in group["params"]:
                if p.device.type != "cpu" or p.dtype != torch.float32 or not p.is_contiguous():
                    raise ValueError(
                        f"params: contiguous float32 tensors on the CPU are needed, got {p.dtype} on {p.device}"
                    )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the rows that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._one(p, group)
        return loss

    def _one(self, p: Any, group: dict[str, Any]) -> None:
        if p.grad.layout != torch.sparse_coo or p.grad.sparse_dim() != 1:
            raise ValueError("params: a gradient is not sparse by rows; make the layer with sparse=True")
        rows, values = p.grad._indices()[0], p.grad._values()
        if not (rows[1:] > rows[:-1]).all():
            # Sums of several passes; the rows of one ascend, which torch does not remember.
            grad = p.grad.coalesce()
            rows, values = grad.indices()[0], grad.values()
        state = self.state[p]
        length = p[0].numel() if len(p) else 1
        if not state:
            state["step"] = torch.zeros((), dtype=torch.int64)
            # Beside each other, a row at a time: the mean of gradients, and of their squares.
            state["moments"] = torch.zeros(len(p), 2, length)
        state["step"] += 1
        _core.pair_update(
            "adam",
            group["betas"],
            group["eps"],
            float(group["lr"]),
            int(state["step"]),
            p.detach().view(-1).numpy(),
            length,
            state["moments"].view(-1).numpy(),
            rows.contiguous().numpy().view(np.uint64),
            values.contiguous().view(-1).numpy(),
            torch.get_num_threads(),
        )
        torch.autograd.graph.increment_version(p)
