"""What the measured decoder needs of numpy or torch: the two have the same operators, and differ in these few names."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch
from thrifty.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Numpy", "Torch", "arrays_of"]

EPSILON = 1e-5
LINE = 16
"""Numbers of a cache line, at which matrices begin."""
WARM = 3
"""Calls before one is recorded: libraries choose kernels and take memory in them."""
ENVIRONMENT = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Numpy:
    """Arrays of numpy, in f32: what a plain install has."""

    backend, device, dtype, dtype_bytes = "numpy", "cpu", "f32", 4.0

    def __init__(self) -> None:
        self.versions = {"numpy": np.__version__}
        told = [os.environ[name] for name in ENVIRONMENT if os.environ.get(name, "").isdigit()]
        self.threads = int(told[0]) if told and int(told[0]) else cores()
        self.clock = clock_of(self.threads)

    def array(self, values: Any) -> Any:
        """Return f32 values as numbers of this kind."""
        return values

    def random(self, length: int, rng: np.random.Generator) -> Any:
        """Return so many small random numbers of this kind."""
        return small(length, rng)

    def ids(self, values: Any) -> Any:
        """Return ids as what picks rows."""
        return values

    def back(self, values: Any) -> Any:
        """Return numbers of this kind as f32 of numpy."""
        return values

    def norm(self, x: Any, gain: Any) -> Any:
        """RMS norm over the last axis."""
        mean = np.einsum("...d,...d->...", x, x)[..., None] / np.float32(x.shape[-1])
        return x / np.sqrt(mean + np.float32(EPSILON)) * gain

    def linear(self, x: Any, weight: Any) -> Any:
        """``x`` times the transpose of ``weight``."""
        return x @ weight.T

    def gated(self, x: Any) -> Any:
        """Return silu of the first half of the last axis, times the second."""
        gate, up = np.split(x, 2, -1)
        return gate / (1 + np.exp(-gate)) * up

    def joined(self, *parts: Any) -> Any:
        """Parts side by side along the last axis."""
        return np.concatenate(parts, -1)

    def attended(self, q: Any, k: Any, v: Any, mask: Any) -> Any:
        """Attention of (batch, keys, group * tokens, width) over (batch, keys, positions, width)."""
        scores = q @ k.swapaxes(-1, -2)
        scores *= np.float32(q.shape[-1] ** -0.5)
        if mask is not None:
            scores += mask
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(-1, keepdims=True)
        return scores @ v

    def repeatable(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return what makes the same call again and again."""
        return call

    def timed(self, call: Callable[[], object]) -> float:
        """Return seconds that a call takes."""
        clock = self.clock
        begun = clock()
        call()
        return clock() - begun


class Torch:
    """Tensors of torch on a device; with ``graphs`` calls are recorded once as CUDA graphs, and replayed."""

    backend = "torch"

    def __init__(self, device: str, dtype: str, *, graphs: bool = False) -> None:
        torch: Any = require_torch()
        self.torch, self.device, self.dtype, self.graphs = torch, device, dtype, graphs
        self.place = place_of(torch, device)
        self._first: Any = None
        self.dtype_bytes = {"f32": 4.0, "bf16": 2.0, "f16": 2.0}[dtype]
        self.kind = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
        self.versions = {"numpy": np.__version__, "torch": str(torch.__version__)}
        self.threads = int(torch.get_num_threads())
        self.clock = clock_of(self.threads) if device == "cpu" else time.perf_counter

    def array(self, values: Any) -> Any:
        """Return f32 values as numbers of this kind."""
        return self.torch.from_numpy(values).to(self.place, self.kind)

    def random(self, length: int, rng: np.random.Generator) -> Any:
        """Return so many small random numbers of this kind, drawn where they stay."""
        if self.device == "cpu":
            return self.array(small(length, rng))
        drawn = self.torch.Generator(self.place).manual_seed(int(rng.integers(2**63)))
        return self.torch.empty(length, dtype=self.kind, device=self.place).uniform_(-0.05, 0.05, generator=drawn)

    def ids(self, values: Any) -> Any:
        """Return ids as what picks rows."""
        return self.torch.from_numpy(values).to(self.place)

    def back(self, values: Any) -> Any:
        """Return numbers of this kind as f32 of numpy."""
        return values.float().cpu().numpy()

    def norm(self, x: Any, gain: Any) -> Any:
        """RMS norm over the last axis."""
        return self.torch.nn.functional.rms_norm(x, x.shape[-1:], gain, EPSILON)

    def linear(self, x: Any, weight: Any) -> Any:
        """``x`` times the transpose of ``weight``."""
        return self.torch.nn.functional.linear(x, weight)

    def gated(self, x: Any) -> Any:
        """Return silu of the first half of the last axis, times the second."""
        gate, up = x.chunk(2, -1)
        return self.torch.nn.functional.silu(gate) * up

    def joined(self, *parts: Any) -> Any:
        """Parts side by side along the last axis."""
        return self.torch.cat(parts, -1)

    def attended(self, q: Any, k: Any, v: Any, mask: Any) -> Any:
        """Attention of (batch, keys, group * tokens, width) over (batch, keys, positions, width)."""
        return self.torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def repeatable(self, call: Callable[[], object]) -> Callable[[], object]:
        """Return what makes the same call again: the call itself, or its kernels as a graph of the card."""
        if not self.graphs:
            return call
        cuda = self.torch.cuda
        with self.torch.inference_mode(), cuda.device(self.device):
            beside = cuda.Stream()
            beside.wait_stream(cuda.current_stream())
            with cuda.stream(beside):
                for _ in range(WARM):
                    call()
            cuda.current_stream().wait_stream(beside)
            graph = cuda.CUDAGraph()
            # Graphs that are replayed in turn, and whose results nobody reads, may share memory: the first one's.
            with cuda.graph(graph, pool=None if self._first is None else self._first.pool()):
                call()
        self._first = self._first or graph

        def replay(kept: object = call) -> None:
            """Replay what reads and writes the memory of the call, which is kept for that."""
            graph.replay()

        return replay

    def timed(self, call: Callable[[], object]) -> float:
        """Return seconds that a call takes, what it left to an accelerator included."""
        clock = self.clock
        with self.torch.inference_mode():
            begun = clock()
            call()
            if self.device != "cpu":
                self.torch.cuda.synchronize(self.device)
            return clock() - begun


def small(length: int, rng: np.random.Generator) -> Any:
    """Return random f32 numbers around 0 that begin at a line of the caches."""
    whole = np.empty(length + LINE, np.float32)
    whole = whole[(-whole.ctypes.data // 4) % LINE :][:length]
    rng.random(dtype=np.float32, out=whole)
    whole -= np.float32(0.5)
    whole *= np.float32(0.1)
    return whole


def place_of(torch: Any, device: str) -> Any:
    """Return where tensors of a device lie, or say why torch has none."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"device: torch can't use '{device}': {str(error).splitlines()[0]}") from None
    return torch.device(device)


def clock_of(threads: int) -> Callable[[], float]:
    """Return the clock of calls: a single thread's own time, which others' work does not enter, or that of the wall."""
    return time.thread_time if threads == 1 else time.perf_counter


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def arrays_of(backend: str, device: str = "cpu", dtype: str = "f32", *, graphs: bool = False) -> Numpy | Torch:
    """Return the arrays of a backend, or say why it has none."""
    if backend not in ("numpy", "torch"):
        raise ValueError(f"backend: '{backend}' is not numpy or torch")
    if dtype not in ("f32", "bf16", "f16"):
        raise ValueError(f"dtype: '{dtype}' is not f32, bf16 or f16")
    if device != "cpu" and device.partition(":")[0] != "cuda":
        raise ValueError(f"device: '{device}' is not cpu or cuda")
    if graphs and (backend != "torch" or device == "cpu"):
        raise ValueError(f"graphs: {backend} on '{device}' has none; they are for torch on cuda")
    if backend == "torch":
        return Torch(device, dtype, graphs=graphs)
    if device != "cpu":
        raise ValueError(f"device: '{device}' is not for numpy, which computes on the cpu; take backend='torch'")
    if dtype != "f32":
        raise ValueError(f"dtype: '{dtype}' is not for numpy, which computes in f32; take backend='torch'")
    return Numpy()
