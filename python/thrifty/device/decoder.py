"""The decoder whose steps are measured: like Llama's, with random weights and a cache of keys and values.

It is the function of ``thrifty.models.Decoder`` (a test holds them side by side), written for one step after the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device.arrays import LINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thrifty.device.arrays import Numpy, Torch
    from thrifty.device.shape import ModelShape

__all__ = ["StepDecoder", "memory_for", "sizes_of", "weights_in"]

LAYER = ("mixer_norm", "qkv", "out", "norm", "gate_up", "down")


class StepDecoder:
    """Steps of a decoder over a cache.

    Parameters
    ----------
    shape : ModelShape
        Without biases and norms of heads, which cost next to nothing.
    arrays : Numpy or Torch
        What computes it.
    weights : dict of arrays, as ``arrays.array`` makes them
        ``embed`` (vocab, dim), ``norm`` (dim), ``head`` (vocab, dim) where it is not tied, and of layer i
        ``layers.i.mixer_norm`` and ``.norm`` (dim), ``.qkv`` ((heads + 2 kv_heads) head_dim, dim), ``.out`` (dim, heads
        head_dim), ``.gate_up`` (2 hidden, dim), ``.down`` (dim, hidden).
    batch, positions : int
        Sequences, and the tokens of each that the cache has room for.
    """

    def __init__(
        self, shape: ModelShape, arrays: Numpy | Torch, weights: dict[str, Any], *, batch: int = 1, positions: int = 128
    ) -> None:
        self.shape, self.arrays, self.batch, self.positions = shape, arrays, batch, positions
        self.embed, self.norm = weights["embed"], weights["norm"]
        self.head = weights["embed"] if shape.tied else weights["head"]
        self.layers = [tuple(weights[f"layers.{i}.{name}"] for name in LAYER) for i in range(shape.layers)]
        room = np.zeros((batch, shape.keys, positions, shape.width), np.float32)
        self.cache = [(arrays.array(room.copy()), arrays.array(room.copy())) for _ in range(shape.layers)]
        half = shape.width // 2
        angles = np.arange(positions)[:, None] * 10_000.0 ** (-np.arange(half) / half)
        self.cos = arrays.array(np.cos(angles).astype(np.float32))
        self.sin = arrays.array(np.sin(angles).astype(np.float32))
        self._masks: dict[tuple[int, int], Any] = {}

    def prepare(self, tokens: int, at: int) -> None:
        """Make beforehand what calls of so many tokens at a position share."""
        if at + tokens > self.positions:
            raise ValueError(f"at: {at} and {tokens} tokens are more than the {self.positions} positions of the cache")
        if tokens > 1 and (tokens, at) not in self._masks:
            group = self.shape.heads // self.shape.keys
            seen = np.arange(at + tokens)[None, :] <= at + np.arange(tokens)[:, None]
            mask = np.where(seen, np.float32(0), np.float32(-np.inf))
            self._masks[tokens, at] = self.arrays.array(np.tile(mask, (group, 1)))

    def step(self, ids: Any, at: int) -> Any:
        """Return scores, (batch * tokens, vocab), of what follows ids of shape (batch, tokens) that stand at ``at``."""
        arrays, shape = self.arrays, self.shape
        batch, tokens = ids.shape
        self.prepare(tokens, at)
        mask, end = self._masks.get((tokens, at)), at + tokens
        cos, sin = self.cos[at:end], self.sin[at:end]
        x = self.embed[ids.reshape(-1)]
        queries, keys = shape.heads * shape.width, shape.keys * shape.width
        for (mixer_norm, qkv, out, norm, gate_up, down), (k, v) in zip(self.layers, self.cache, strict=True):
            y = arrays.linear(arrays.norm(x, mixer_norm), qkv)
            q = self._turned(y[:, :queries], cos, sin, shape.heads)
            k[:, :, at:end] = self._turned(y[:, queries : queries + keys], cos, sin, shape.keys)
            v[:, :, at:end] = y[:, queries + keys :].reshape(batch, tokens, shape.keys, shape.width).swapaxes(1, 2)
            # Queries of a group stand below each other: one product with the keys that they share.
            q = q.reshape(batch, shape.keys, -1, shape.width)
            mixed = arrays.attended(q, k[:, :, :end], v[:, :, :end], mask)
            mixed = mixed.reshape(batch, shape.heads, tokens, shape.width).swapaxes(1, 2)
            x = x + arrays.linear(mixed.reshape(batch * tokens, queries), out)
            x = x + arrays.linear(arrays.gated(arrays.linear(arrays.norm(x, norm), gate_up)), down)
        return arrays.linear(arrays.norm(x, self.norm), self.head)

    def _turned(self, x: Any, cos: Any, sin: Any, heads: int) -> Any:
        """Vectors of heads, (batch, heads, tokens, width), their halves turned by the angles of their positions."""
        x = x.reshape(self.batch, -1, heads, self.shape.width).swapaxes(1, 2)
        half = self.shape.width // 2
        a, b = x[..., :half], x[..., half:]
        return self.arrays.joined(a * cos - b * sin, a * sin + b * cos)


def weights_in(memory: Any, shape: ModelShape, arrays: Numpy | Torch) -> dict[str, Any]:
    """Return weights of a shape that lie one after the other in memory, as a server's do.

    Matrices made one by one would be on huge pages (numpy asks for them from 4 MiB on) in one shape and on small ones
    in another, which made steps of equal bytes differ by half.
    """
    ones = arrays.array(np.ones(shape.dim, np.float32))
    weights, begin = {}, 0
    for name, size in sizes_of(shape).items():
        if len(size) == 1:
            weights[name] = ones
        else:
            weights[name] = memory[begin : begin + math.prod(size)].reshape(size)
            begin += _padded(size)
    return weights


def numbers_of(shape: ModelShape) -> int:
    """Return how many numbers of memory the matrices of a shape take."""
    return sum(_padded(size) for size in sizes_of(shape).values() if len(size) == 2)


def memory_for(shapes: Sequence[ModelShape], arrays: Numpy | Torch, rng: np.random.Generator) -> Any:
    """Return random numbers that are enough for each of the shapes, which share them: they are computed in turn."""
    return arrays.random(max(map(numbers_of, shapes)), rng)


def sizes_of(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Return the sizes of a shape's weights by their names."""
    queries, keys = shape.heads * shape.width, shape.keys * shape.width
    sizes: dict[str, tuple[int, ...]] = {"embed": (shape.vocab, shape.dim), "norm": (shape.dim,)}
    if not shape.tied:
        sizes["head"] = (shape.vocab, shape.dim)
    layer = {
        "mixer_norm": (shape.dim,),
        "qkv": (queries + 2 * keys, shape.dim),
        "out": (shape.dim, queries),
        "norm": (shape.dim,),
        "gate_up": (2 * shape.hidden, shape.dim),
        "down": (shape.dim, shape.hidden),
    }
    for i in range(shape.layers):
        sizes |= {f"layers.{i}.{name}": size for name, size in layer.items()}
    return sizes


def _padded(size: tuple[int, ...]) -> int:
    return -(-math.prod(size) // LINE) * LINE
