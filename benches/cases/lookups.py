"""Lookups of pairs in torch: the same integers and rows as ours, at their best."""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.pairconnect import PairSpec

Name = TypeVar("Name")

torch.set_num_threads(1)
C1, C2 = (x - 2**64 for x in (0x9E3779B97F4A7C15, 0x91E10DA5C79E7B1D))
M1, M2 = (x - 2**64 for x in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def huge(length: int, dtype: Any) -> Any:
    """A tensor of zeros on huge pages."""
    memory = mmap.mmap(-1, length * dtype.itemsize)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype)


def mix64(x: Any) -> Any:
    x = x + C1
    x = (x ^ ((x >> 30) & (2**34 - 1))) * M1
    x = (x ^ ((x >> 27) & (2**37 - 1))) * M2
    return x ^ ((x >> 31) & (2**33 - 1))


def word(x: int) -> int:
    x &= 2**64 - 1
    return int(mix64(torch.tensor(x - 2**64 if x >= 2**63 else x)).item())


class TorchHash:
    """Rows of a position: all that does not change is computed beforehand."""

    def __init__(self, spec: PairSpec) -> None:
        assert spec.window is not None
        self.rows = spec.rows
        self.odd = torch.tensor([word(spec.seed ^ (h * (C2 + 2**64))) | 1 for h in range(spec.heads)])[:, None]
        self.key = torch.arange(1, spec.window + 1) * C2 ^ word(spec.seed)
        self.first = torch.arange(spec.heads)[:, None] * spec.rows

    def __call__(self, query: int, others: Any) -> Any:
        """Rows of shape (heads, window) for the ids before a position, nearest first."""
        words = mix64(((query << 32) | others) * C1 ^ self.key)
        return ((((words * self.odd) >> 32) & 0xFFFFFFFF) * self.rows >> 32) + self.first


def best(calls: dict[Name, Callable[[int], object]], count: int, rounds: int) -> dict[Name, float]:
    """Microseconds of a call: blocks of ``count`` calls take turns; medians of rounds, of CPU time."""
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            begun = time.process_time()
            for i in range(count):
                call(i)
            if round_:
                times[name].append((time.process_time() - begun) / count * 1e6)
    return {name: float(np.median(t)) for name, t in times.items()}
