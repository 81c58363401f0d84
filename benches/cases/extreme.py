"""Rows like those of Amazon-670K, of any number of labels, from a seed: what labels mean is known, so accuracy has a
sense.

A label is 30 features drawn by Zipf's law with exponent 1.1. A row has one to five labels, drawn by Zipf's law with
exponent 1, and about 76 features: seven tenths from its labels, the others noise from the same law as a label's. Values
are tf-idf, rows have length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix, diags_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROTOTYPE = 30
FROM_LABELS, NOISE = 53, 23
MOST_LABELS = 5


@dataclass(frozen=True)
class Extreme:
    """Training and test rows."""

    train: tuple[csr_matrix, csr_matrix]
    test: tuple[csr_matrix, csr_matrix]


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64-bit words (the finaliser of SplitMix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Zipf:
    """Numbers from 0 with chances proportional to 1 / (number + 1)^exponent."""

    def __init__(self, exponent: float, size: int) -> None:
        weights = np.arange(1, size + 1, dtype=np.float64) ** -exponent
        self.sums = np.cumsum(weights / weights.sum())

    def of(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the numbers of some uniform draws."""
        return np.minimum(np.searchsorted(self.sums, uniform), len(self.sums) - 1)


def make(labels: int, *, features: int = 135_909, rows: int = 49_045, tests: int = 15_303, seed: int = 1) -> Extreme:
    """Return rows of a seed."""
    rng = np.random.default_rng(seed)
    of_features, of_labels = Zipf(1.1, features), Zipf(1.0, labels)
    total = rows + tests
    counts = rng.integers(1, MOST_LABELS + 1, total)
    owners = np.repeat(np.arange(total), counts)
    # Labels are numbered at random, not by their frequency.
    ids = rng.permutation(labels)[of_labels.of(rng.random(len(owners)))]
    targets = csr_matrix((np.ones(len(ids), np.float32), (owners, ids)), shape=(total, labels))
    targets.data[:] = 1
    which = targets.indptr[:-1, None] + (rng.random((total, FROM_LABELS)) * np.diff(targets.indptr)[:, None]).astype(
        int
    )
    key = targets.indices[which].astype(np.uint64) * np.uint64(PROTOTYPE)
    key += rng.integers(0, PROTOTYPE, which.shape).astype(np.uint64)
    uniform = (mix(mix(key) ^ np.uint64(seed)) >> np.uint64(11)).astype(np.float64) / 2**53
    columns = np.hstack([of_features.of(uniform), of_features.of(rng.random((total, NOISE)))])
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    inputs = csr_matrix((np.ones(columns.size), columns.ravel(), starts), shape=(total, features))
    inputs.sum_duplicates()
    seen = np.bincount(inputs[:rows].indices, minlength=features)
    inputs.data = (1 + np.log(inputs.data)) * np.log(rows / np.maximum(seen, 1))[inputs.indices]
    norms = np.sqrt(np.asarray(inputs.multiply(inputs).sum(axis=1)).ravel())
    inputs: Any = csr_matrix(diags_array(1 / np.maximum(norms, 1e-12)) @ inputs).astype(np.float32)
    return Extreme((inputs[:rows], targets[:rows]), (inputs[rows:], targets[rows:]))
