"""The scale set: windows of real bacterial contigs with 1 % of their letters overwritten."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BASES = np.frombuffer(b"ACGT", np.uint8)


def contigs(bacteria: Path) -> list[NDArray[np.uint8]]:
    """Contigs longer than 100 kb, in the order of files and records."""
    out = []
    for file in sorted(bacteria.glob("*.fa.gz")):
        for record in gzip.decompress(file.read_bytes()).split(b">")[1:]:
            sequence = np.frombuffer(record.split(b"\n", 1)[1].replace(b"\n", b"").upper(), np.uint8)
            if len(sequence) > 100_000:
                out.append(sequence)
    return out


def documents(bacteria: Path, count: int, length: int = 20_000, seed: int = 42) -> Iterator[bytes]:
    """Documents of the set, one after the other."""
    rng = np.random.default_rng(seed)
    source = contigs(bacteria)
    sizes = np.array([len(c) for c in source], float)
    weights = sizes / sizes.sum()
    for _ in range(count):
        contig = source[rng.choice(len(source), p=weights)]
        at = int(rng.integers(0, len(contig) - length + 1))
        window = contig[at : at + length].copy()
        changed = rng.integers(0, length, rng.binomial(length, 0.01))
        window[changed] = BASES[rng.integers(0, 4, len(changed))]
        yield window.tobytes()
