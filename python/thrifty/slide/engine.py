"""What stands between the tensors of a head and Rust: when tables are stale, and what awaits a backward pass."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import finalize

import numpy as np

from thrifty import _core
from thrifty._torch import require_torch
from thrifty.errors import ModelError
from thrifty.slide.targets import checked

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from thrifty.slide.config import LSHConfig

    Floats: TypeAlias = NDArray[np.float32]
    Memory: TypeAlias = tuple[int, Floats, Floats, Floats | None]
else:
    torch = require_torch()

__all__ = ["PRECISIONS", "Engine"]

PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16, "bf16-stochastic": torch.bfloat16}
RANDOM = ("uniform", "log_uniform")


def _forget(core: _core.SlideHead, pending: dict[int, tuple[Floats, Floats, int]], token: int) -> None:
    pending.pop(token, None)
    core.forget(token)


class Engine:
    """The Rust side of one head; weight and bias come with each call."""

    def __init__(
        self,
        shape: tuple[int, int],
        config: LSHConfig,
        loss: str,
        precision: str,
        seed: int,
        threads: int,
        *,
        adam: str,
        bias: bool,
        fused: bool,
        first: int = 0,
        outputs: int | None = None,
    ) -> None:
        self.shape, self.config, self.precision, self.threads = shape, config, precision, threads
        self.master = fused and precision == "bf16"
        neurons, length = shape
        self.outputs = neurons if outputs is None else outputs
        self.core = _core.SlideHead(config, (first, neurons, self.outputs), length, loss, 1e-3, seed, bias, adam)
        self.dense = adam == "dense"
        self.no_bias = None if bias else np.zeros(neurons, np.float32)
        self.lock = RLock()
        self.pending: dict[int, tuple[Floats, Floats, int]] = {}
        self.last = (0, 0, 0, 0)
        self.seen: tuple[int, int] | None = None

    def numbers(self, weight: torch.Tensor) -> NDArray[Any]:
        """Return a weight as Rust takes it, over the same memory."""
        numbers = _memory("weight", weight, self.shape, PRECISIONS[self.precision]).view(-1)
        return numbers.view(torch.int16).numpy().view(np.uint16) if weight.dtype == torch.bfloat16 else numbers.numpy()

    def arrays(self, weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[NDArray[Any], Floats]:
        """Return weight and bias as Rust takes them, over the same memory."""
        if self.no_bias is not None:
            return self.numbers(weight), self.no_bias
        if bias is None:
            raise ValueError("bias: there was one when the head was made; make another head without")
        return self.numbers(weight), _memory("bias", bias, self.shape[:1], torch.float32).numpy()

    def refresh(self, weight: torch.Tensor) -> None:
        """Hash all rows."""
        with self.lock:
            self.core.refresh(self.numbers(weight), self.master, self.threads)
            self.seen = state(weight)

    def fresh(self, weight: torch.Tensor) -> None:
        """Hash all rows if others changed the weight."""
        if self.seen is None or state(weight) != self.seen:
            self.refresh(weight)

    def changed(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Tell torch that Rust changed the weights."""
        for tensor in (weight, bias):
            if tensor is not None:
                torch.autograd.graph.increment_version(tensor)
        self.seen = state(weight)

    def settle(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Bring all rows up to date, with dense Adam."""
        with self.lock:
            if self.dense:
                self.fresh(weight)
                if self.core.settle(*self.arrays(weight, bias), self.threads):
                    self.changed(weight, bias)

    def ahead(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        indptr: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean loss of a batch, and a token; what waits for its backward pass goes when the token does."""
        rows = len(hidden)
        x, targets = flat(hidden), checked(labels, indptr, rows, self.shape[0])
        with self.lock:
            self.fresh(weight)
            arrays, core = self.arrays(weight, bias), self.core
            asked, figures = self.asked(arrays, x, targets, rows)
            token, (most, sums, of_labels), active = core.forward(*arrays, x, targets, asked, self.threads)
            if self.dense:
                self.changed(weight, bias)
            self.last = (len(active), *figures)
            loss = core.loss(most, sums, of_labels)
            number = self.awaits(token, (most, sums, weight.data_ptr()))
        return self.told(loss, number)

    def asked(self, arrays: tuple[NDArray[Any], Floats], x: Floats, targets: Any, rows: int) -> Any:
        """Return what rows ask of the neurons here, and figures of it."""
        if self.config.family in RANDOM:
            return (np.zeros(rows, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint16)), (0, 0, 0)
        return self.core.ask(*arrays, x, targets, None, self.threads)

    def awaits(self, token: int, left: tuple[Floats, Floats, int]) -> NDArray[np.int64]:
        """Keep what a forward pass left until its backward pass, or until the number that this returns is gone."""
        self.pending[token] = left
        number = np.array(token)
        finalize(number, _forget, self.core, self.pending, token).atexit = False
        return number

    def told(self, loss: float, number: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and token as tensors; refuses a loss that is no number."""
        if not np.isfinite(loss):
            steps = self.core.stats()["steps"]
            raise ModelError(f"loss: {loss} after {steps} steps; the weights are no finite numbers any more")
        return torch.tensor(loss, dtype=torch.float32), torch.from_numpy(number)

    def sums(self, weight: torch.Tensor, grad: float, token: int) -> tuple[Floats, Floats]:
        """Return what a forward pass left, once."""
        if not np.isfinite(grad):
            raise ModelError(f"loss: its gradient is {grad}; nothing was updated")
        if token not in self.pending:
            raise ValueError("backward: the gradients of this loss were taken; a loss has one backward pass")
        most, sums, place = self.pending.pop(token)
        if place != weight.data_ptr():
            raise ValueError("backward: the head has another weight than when the loss was taken; take the loss again")
        return most, sums

    def back(
        self, weight: torch.Tensor, bias: torch.Tensor | None, grad: float, token: int, train: bool
    ) -> torch.Tensor:
        """Return the gradient of the hidden values; with ``train``, update active rows."""
        with self.lock:
            self.fresh(weight)
            arrays, (most, sums) = self.arrays(weight, bias), self.sums(weight, grad, token)
            if not train:
                return torch.from_numpy(self.core.gradients(token, *arrays, most, sums, grad, self.threads)[3])
            gradient = self.core.backward(token, *arrays, most, sums, grad, self.threads)
            self.changed(weight, bias)
            return torch.from_numpy(gradient)

    def gradients(
        self, weight: torch.Tensor, bias: torch.Tensor | None, grad: float, token: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return gradients of the hidden values, and sparse ones of weight and bias."""
        with self.lock:
            arrays, (most, sums) = self.arrays(weight, bias), self.sums(weight, grad, token)
            ids, rows, of_bias, hidden = self.core.gradients(token, *arrays, most, sums, grad, self.threads)
        at = torch.from_numpy(ids.astype(np.int64)).view(1, -1)

        def sparse(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
            return torch.sparse_coo_tensor(
                at, values.to(like.dtype), like.shape, is_coalesced=True, check_invariants=False
            )

        own = sparse(torch.from_numpy(rows).view(-1, self.shape[1]), weight)
        return torch.from_numpy(hidden), own, None if bias is None else sparse(torch.from_numpy(of_bias), bias)

    def after(self, weight: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        """See the step of an optimizer: if only rows of a sparse gradient changed, only those are hashed again."""
        grad, now = weight.grad, state(weight)
        if self.seen is None or now is None or now != (self.seen[0], self.seen[1] + 1) or grad is None:
            return
        groups = [group for group in optimizer.param_groups if any(p is weight for p in group["params"])]
        if grad.is_sparse and any(_touches_gradient_only(optimizer, group) for group in groups):
            with self.lock:
                self.core.touch(np.unique(grad._indices()[0].numpy()).astype(np.uint32))
                self.core.rehash(self.numbers(weight), False, self.threads)
                self.seen = now

    def best(
        self, weight: torch.Tensor, bias: torch.Tensor | None, hidden: torch.Tensor, k: int, candidates: int | None
    ) -> tuple[NDArray[np.uint32], Floats]:
        """Return ids and scores of the best ``k``, of all or of so many candidates of the tables."""
        self.settle(weight, bias)
        with self.lock:
            self.fresh(weight)
            ids, scores, _ = self.core.predict(*self.arrays(weight, bias), flat(hidden), k, candidates, self.threads)
        return ids, scores

    def recall(
        self, weight: torch.Tensor, bias: torch.Tensor | None, hidden: torch.Tensor, k: int, candidates: int
    ) -> float:
        """Return the share of the best ``k`` among so many candidates of the tables."""
        with self.lock:
            best, _ = self.best(weight, bias, hidden, k, None)
            arrays = self.arrays(weight, bias)
            self.core.rehash(arrays[0], True, self.threads)
            ends = np.arange(k, len(best) + 1, k, dtype=np.uint64)
            _, (_, found, labels) = self.core.ask(*arrays, flat(hidden), (ends, best), candidates, self.threads)
        return found / labels


def _memory(name: str, tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Without a gradient; refuses what Rust could not use where it lies."""
    if tensor.device.type != "cpu":
        raise ValueError(f"{name}: on {tensor.device}; LSHLinear works on the CPU")
    if tensor.dtype != dtype:
        raise TypeError(f"{name}: {dtype} is needed, got {tensor.dtype}")
    if tuple(tensor.shape) != shape or not tensor.is_contiguous():
        got = f"shape {tuple(tensor.shape)}, strides {tensor.stride()}"
        raise ValueError(f"{name}: contiguous memory of shape {shape} is needed, got {got}")
    return tensor.detach()


def state(weight: torch.Tensor) -> tuple[int, int] | None:
    """Tell one state of a tensor from another; None where nothing does."""
    return None if weight.is_inference() else (weight.data_ptr(), weight._version)


def flat(hidden: torch.Tensor) -> Floats:
    """Hidden values one after the other."""
    return hidden.detach().contiguous().view(-1).numpy()


def _touches_gradient_only(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> bool:
    """Whether a step changes no other rows than those of a sparse gradient."""
    if isinstance(optimizer, torch.optim.SGD):
        return not group["momentum"] and not group["weight_decay"]
    return type(optimizer) in (torch.optim.SparseAdam, torch.optim.Adagrad)
