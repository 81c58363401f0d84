"""Decoding with attention in torch, an id at a time with its keys and values kept: at its best on one thread."""

from __future__ import annotations

from typing import Any

import torch

functional = torch.nn.functional


class Attention:
    """A sublayer at a position behind a cache: queries, keys and values, attention, output."""

    def __init__(self, dim: int, heads: int, cache: int) -> None:
        self.heads, self.at = heads, cache
        self.qkv = torch.randn(3 * dim, dim) * dim**-0.5
        self.out = torch.randn(dim, dim) * dim**-0.5
        self.keys = torch.randn(1, heads, cache + 1, dim // heads)
        self.values = torch.randn(1, heads, cache + 1, dim // heads)

    def __call__(self, x: Any) -> Any:
        q, k, v = functional.linear(x, self.qkv).view(3, self.heads, -1)
        self.keys[0, :, self.at], self.values[0, :, self.at] = k, v
        mixed = functional.scaled_dot_product_attention(q[None, :, None], self.keys, self.values)
        return functional.linear(mixed.view(1, -1), self.out)


class Decoder:
    """Layers of attention and gated units, and the head; returns the likeliest id."""

    def __init__(self, vocab: int, dim: int, hidden: int, layers: int, heads: int, cache: int) -> None:
        self.embed = torch.randn(vocab, dim) * dim**-0.5
        self.norm = torch.ones(dim)
        self.layers = [
            (
                Attention(dim, heads, cache),
                torch.randn(2 * hidden, dim) * dim**-0.5,
                torch.randn(dim, hidden) * hidden**-0.5,
            )
            for _ in range(layers)
        ]

    def __call__(self, id_: int) -> int:
        x = self.embed[id_][None]
        for attention, gate_up, down in self.layers:
            x = x + attention(functional.rms_norm(x, x.shape[-1:], self.norm))
            gate, up = functional.linear(functional.rms_norm(x, x.shape[-1:], self.norm), gate_up).chunk(2, -1)
            x = x + functional.linear(functional.silu(gate) * up, down)
        return int(functional.linear(functional.rms_norm(x, x.shape[-1:], self.norm), self.embed).argmax())
