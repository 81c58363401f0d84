"""A head whose neurons are shared out among ranks, each of which brings rows of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from thrifty._torch import require_torch
from thrifty.slide.engine import Engine, flat
from thrifty.slide.slices import best_of, merged
from thrifty.slide.targets import checked

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from thrifty.slide.ranks import Ranks

    Floats = NDArray[np.float32]
else:
    torch = require_torch()

__all__ = ["RankedEngine"]


class RankedEngine(Engine):
    """The Rust side of a rank's neurons; all ranks make the same calls.

    A loss gathers the rows of all ranks, takes the softmax over the active neurons of all, and is the mean over this
    rank's rows. The gradient of the hidden values is summed over ranks; weights move by the gradient of the mean over
    all rows. So a network before the head may be trained by DistributedDataParallel, which averages gradients. A rank's
    neurons are updated before the gradients of hidden values are exchanged: a step in which a rank is lost is made in
    part.
    """

    def __init__(self, ranks: Ranks, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ranks = ranks
        self.rows: dict[int, list[int]] = {}

    def ahead(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        indptr: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean loss of this rank's rows, and a token."""
        x, (ends, ids) = flat(hidden), checked(labels, indptr, len(hidden), self.outputs)
        with self.lock:
            self.fresh(weight)
            self.ranks.step = self.core.stats()["steps"]
            parts = self.ranks.gather_arrays((x, ends, ids), "rows")
            counts = [len(part[1]) for part in parts]
            before = np.cumsum([0, *(len(part[2]) for part in parts)])
            offsets = before[:-1].astype(np.uint64)
            x = np.concatenate([part[0] for part in parts])
            ends = np.concatenate([part[1] + offset for part, offset in zip(parts, offsets, strict=True)])
            targets = ends, np.concatenate([part[2] for part in parts])
            arrays, rows = self.arrays(weight, bias), sum(counts)
            asked, figures = self.asked(arrays, x, targets, rows)
            token, sums, active = self.core.forward(*arrays, x, targets, asked, self.threads, True)
            if self.dense:
                self.changed(weight, bias)
            self.last = (len(active), *figures)
            most, all_sums, of_labels = merged(self.ranks.gather_arrays(sums, "figures"))
            begin = sum(counts[: self.ranks.rank])
            own = slice(begin, begin + counts[self.ranks.rank])
            loss = self.core.loss(most[own], all_sums[own], of_labels[own])
            number = self.awaits(token, (most, all_sums, weight.data_ptr()))
            self.rows[token] = counts
            finalize(number, self.rows.pop, token, None).atexit = False
        # All ranks must stop together: what all have says it, and not this rank's loss alone.
        return self.told(loss if np.isfinite([most, all_sums]).all() else float("nan"), number)

    def back(
        self, weight: torch.Tensor, bias: torch.Tensor | None, grad: float, token: int, train: bool
    ) -> torch.Tensor:
        """Return the gradient of this rank's hidden values; with ``train``, update active rows."""
        with self.lock:
            self.fresh(weight)
            arrays, (most, sums) = self.arrays(weight, bias), self.sums(weight, grad, token)
            counts, rank = self.rows.pop(token), self.ranks.rank
            if train:
                gradient = self.core.backward(token, *arrays, most, sums, grad, self.threads)
                self.changed(weight, bias)
            else:
                gradient = self.core.gradients(token, *arrays, most, sums, grad, self.threads)[3]
            length = self.shape[1]
            factor = np.array([grad], np.float32)
            blocks = [
                np.concatenate([factor, rows])
                for rows in np.split(gradient, np.cumsum([n * length for n in counts])[:-1])
            ]
            comes = 4 * (1 + counts[rank] * length)
            sent = np.concatenate(blocks).view(np.uint8)
            got = self.ranks.start(sent, [block.nbytes for block in blocks], [comes] * self.ranks.size)()
            parts = got.view(np.float32).reshape(self.ranks.size, -1)
            if (parts[:, 0] != factor[0]).any():
                raise ValueError(f"loss: ranks scale it differently, by {parts[:, 0].tolist()}; scale it alike")
            total = parts[:, 1:].sum(axis=0, dtype=np.float32) * np.float32(sum(counts) / counts[rank])
            return torch.from_numpy(total)

    def best(
        self, weight: torch.Tensor, bias: torch.Tensor | None, hidden: torch.Tensor, k: int, candidates: int | None
    ) -> tuple[NDArray[np.uint32], Floats]:
        """Return ids and scores of the best ``k`` of all ranks' neurons."""
        self.settle(weight, bias)
        with self.lock:
            self.fresh(weight)
            parts = [part[0] for part in self.ranks.gather_arrays((flat(hidden),), "predicted")]
            x = np.concatenate(parts)
            ids, scores, _ = self.core.predict(*self.arrays(weight, bias), x, k, candidates, self.threads)
            best, most = best_of(self.ranks.gather_arrays((ids, scores), "best"), k)
        begin = sum(len(part) for part in parts[: self.ranks.rank]) // self.shape[1]
        own = slice(begin, begin + len(hidden))
        return best[own].ravel(), most[own].ravel()
