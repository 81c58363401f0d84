"""The slow twin of pair tables: one number after the other, from the formulas of the docs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thrifty.pairconnect import PairSpec

C1, C2 = 0x9E3779B97F4A7C15, 0x91E10DA5C79E7B1D
A1, A2 = 0x9E3779B1, 0x91E10DA5
M64, M32 = 2**64 - 1, 2**32 - 1


def mix64(word: int) -> int:
    z = (word + C1) & M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def mix32(word: int) -> int:
    z = (word + A1) & M32
    z = ((z ^ (z >> 16)) * 0x85EBCA6B) & M32
    z = ((z ^ (z >> 13)) * 0xC2B2AE35) & M32
    return z ^ (z >> 16)


def gram(ids: list[int], n: int) -> int:
    """The last n of ids as one."""
    if n == 1:
        return ids[-1]
    last = ids[-n:]
    word = mix64((len(last) - 1) ^ C2)
    for id_ in last:
        word = mix64(word ^ id_)
    return word >> 32


def row(spec: PairSpec, q: int, k: int, o: int, h: int) -> int:
    """The row of a pair in head h, counted over all heads."""
    if spec.hash == "direct":
        block = o - (0 if spec.include_self else 1) if spec.offsets else 0
        return h * spec.rows + (block * spec.vocab + q) * spec.vocab + k
    o = o if spec.offsets else 0
    odd = mix64(spec.seed ^ ((h * C2) & M64)) | 1
    if spec.hash == "mix64":
        word = mix64(((q << 32 | k) * C1 & M64) ^ (o * C2 & M64) ^ mix64(spec.seed))
        uniform = (word * odd & M64) >> 32
    else:
        seen = mix32(q ^ (mix64(spec.seed) & M32))
        uniform = mix32(((seen + k * A1) & M32) ^ (o * A2 & M32)) * odd & M32
    return h * spec.rows + (uniform * spec.rows >> 32)


def rows(spec: PairSpec, ids: list[int]) -> list[list[int]]:
    """Rows of the last of ids: a list a head."""
    first, t = (0 if spec.include_self else 1), len(ids) - 1
    last = t if spec.window is None else min(t, first + spec.window - 1)
    query = gram(ids, spec.query_gram)
    pairs = [(gram(ids[: t + 1 - o], spec.key_gram), o) for o in range(first, last + 1)]
    return [[row(spec, query, key, o, h) for key, o in pairs] for h in range(spec.heads)]


def lookup(
    spec: PairSpec, values: Any, logits: Any, ids: list[int], weights: Any = None
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the last of ids looks up in rows of float64."""
    out = np.zeros((spec.heads, spec.head_dim))
    for h, of_head in enumerate(rows(spec, ids)):
        factors = np.ones(len(of_head))
        if weights is not None and spec.pool != "softmax":
            factors = np.array(weights[h][: len(of_head)], np.float64)
        if spec.pool == "softmax" and of_head:
            exponents = np.array([logits[r] for r in of_head], np.float64)
            if weights is not None:
                exponents += weights[h][: len(of_head)]
            factors = np.exp(exponents - exponents.max())
            factors /= factors.sum()
        if spec.pool == "mean" and of_head:
            factors = factors / len(of_head)
        for factor, r in zip(factors, of_head, strict=True):
            out[h] += factor * values[r]
    return out.reshape(-1)
