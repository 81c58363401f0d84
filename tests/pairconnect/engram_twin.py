"""The slow twin of tables of n-grams: one number after the other, from the formulas of the docs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.pairconnect import EngramSpec, EngramTable

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What rounding a row to a dtype changes, relative to its largest number.
ROUNDING = {"f32": 0.0, "bf16": 2**-8, "i8": 0.51 / 127}


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def sizes(spec: EngramSpec) -> list[list[int]]:
    """Rows of each head of each order of the spec's layer."""
    dealt: set[int] = set()
    for layer in spec.layers or ():
        of_layer = []
        for size in spec.sizes:  # type: ignore[union-attr]
            candidate, found = size, []
            while len(found) < spec.heads:
                if is_prime(candidate) and candidate not in dealt:
                    found.append(candidate)
                    dealt.add(candidate)
                candidate += 1
            of_layer.append(found)
        if layer == spec.layer:
            return of_layer
    raise AssertionError("the layer is one of the layers")


def multipliers(spec: EngramSpec) -> np.ndarray[Any, np.dtype[np.int64]]:
    half = max(1, np.iinfo(np.int64).max // spec.vocab // 2)
    generator = np.random.default_rng(spec.seed + 10007 * spec.layer)
    return generator.integers(low=0, high=half, size=(max(spec.orders),), dtype=np.int64) * 2 + 1


def rows(spec: EngramSpec, ids: Sequence[int], remap: Sequence[int] | None = None) -> list[list[int]]:
    """Rows of all positions, counted over all heads: a list a position."""
    canonical = (lambda i: i) if remap is None else lambda i: remap[i]
    factors = [int(m) for m in multipliers(spec)]
    of_head = sizes(spec)
    out = []
    for t in range(len(ids)):
        row, first = [], 0
        for order, primes in zip(spec.orders, of_head, strict=True):
            key = 0
            for k in range(order):
                key ^= canonical(ids[t - k] if k <= t else spec.pad) * factors[k]
            assert 0 <= key < 2**63
            for prime in primes:
                row.append(first + key % prime)
                first += prime
        out.append(row)
    return out


def filled(spec: EngramSpec, seed: int = 0, remap: Any = None) -> tuple[EngramTable, Any]:
    """A table of random rows, and the rows as they are after rounding."""
    table = EngramTable(spec, remap=remap)
    values = np.random.default_rng(seed).normal(size=(int(table.sizes.sum()), spec.head_dim)).astype(np.float32)
    most, relative = table.set_rows(0, values)
    back = table.get_rows(0, len(values))
    assert (np.abs(back - values) <= ROUNDING[spec.dtype] * np.abs(values).max(1, keepdims=True)).all()
    assert most == np.abs(back - values).max()
    assert relative <= 1e-2
    return table, back


def small(**change: Any) -> EngramSpec:
    return dataclasses.replace(EngramSpec(vocab=50, heads=2, head_dim=16, sizes=30), **change)
