"""A decoder in torch that serves a batch: an id of each sequence behind a full cache, as a graph or not."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

functional = torch.nn.functional
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BACKENDS = {
    "math": SDPBackend.MATH,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}


@dataclass(frozen=True)
class Sizes:
    """Of a decoder: ids, numbers of a hidden vector, layers, heads, gated units, positions of the cache."""

    vocab: int
    dim: int
    layers: int
    heads: int
    hidden: int
    cache: int


def weights(sizes: Sizes, device: str, seed: int) -> dict[str, Any]:
    """Random weights in float32 by name."""
    generator = torch.Generator(device).manual_seed(seed)

    def drawn(*shape: int) -> Any:
        return torch.randn(*shape, device=device, generator=generator) * shape[-1] ** -0.5

    return {
        "embed": drawn(sizes.vocab, sizes.dim),
        "qkv": [drawn(3 * sizes.dim, sizes.dim) for _ in range(sizes.layers)],
        "out": [drawn(sizes.dim, sizes.dim) for _ in range(sizes.layers)],
        "gate_up": [drawn(2 * sizes.hidden, sizes.dim) for _ in range(sizes.layers)],
        "down": [drawn(sizes.dim, sizes.hidden) for _ in range(sizes.layers)],
    }


class Server:
    """Steps of a batch: each takes an id of every sequence and gives the likeliest next ones.

    ``attention`` is a name of BACKENDS or "auto", torch's own choice. Whatever torch can't do raises, here or in the
    first step.
    """

    def __init__(
        self, sizes: Sizes, kept: dict[str, Any], *, batch: int, dtype: str, graph: bool, attention: str
    ) -> None:
        self.sizes, self.batch, self.attention = sizes, batch, attention
        kind = DTYPES[dtype]
        self.weights = {
            name: [one.to(kind) for one in of] if isinstance(of, list) else of.to(kind) for name, of in kept.items()
        }
        device = self.weights["embed"].device
        shape = (sizes.layers, 2, batch, sizes.heads, sizes.cache, sizes.dim // sizes.heads)
        self.cache = torch.randn(shape, device=device, dtype=kind)
        self.norm = torch.ones(sizes.dim, device=device, dtype=kind)
        self.ids = torch.arange(batch, device=device) % sizes.vocab
        self.cuda = device.type == "cuda"
        self._graph = self._recorded() if graph else None

    def step(self) -> None:
        """Make a step; on a card it is on its way when this returns."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._step()

    def wait(self) -> None:
        """Wait until all steps are done."""
        if self.cuda:
            torch.cuda.synchronize()

    @torch.inference_mode()
    def _step(self) -> None:
        with nullcontext() if self.attention == "auto" else sdpa_kernel(BACKENDS[self.attention]):
            x = self.weights["embed"][self.ids]
            for layer in range(self.sizes.layers):
                x = x + self._attend(layer, self._normed(x))
                linear = functional.linear(self._normed(x), self.weights["gate_up"][layer])
                gate, up = linear.chunk(2, -1)
                x = x + functional.linear(functional.silu(gate) * up, self.weights["down"][layer])
            scores = functional.linear(self._normed(x), self.weights["embed"])
            self.ids.copy_(scores.argmax(-1))

    def _normed(self, x: Any) -> Any:
        return functional.rms_norm(x, x.shape[-1:], self.norm)

    def _attend(self, layer: int, x: Any) -> Any:
        q, k, v = functional.linear(x, self.weights["qkv"][layer]).view(self.batch, 3, self.sizes.heads, -1).unbind(1)
        keys, values = self.cache[layer]
        keys[:, :, -1], values[:, :, -1] = k, v
        mixed = functional.scaled_dot_product_attention(q[:, :, None], keys, values)
        return functional.linear(mixed.reshape(self.batch, -1), self.weights["out"][layer])

    def _recorded(self) -> Any:
        if not self.cuda:
            raise RuntimeError("a graph needs a card")
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(beside)
        recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recorded):
            self._step()
        return recorded
