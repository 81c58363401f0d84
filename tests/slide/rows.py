"""Rows to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, random_array

from thrifty.slide import write_xml


def random_rows(rows: int, features: int, labels: int, seed: int) -> tuple[Any, Any]:
    """Sparse rows with one to three labels each."""
    rng = np.random.default_rng(seed)
    inputs = random_array((rows, features), density=0.1, format="csr", dtype=np.float32, rng=rng)
    inputs.data -= 0.5
    owners = np.repeat(np.arange(rows), rng.integers(1, 4, rows))
    ids = rng.integers(0, labels, len(owners))
    targets = csr_matrix((np.ones(len(owners), np.float32), (owners, ids)), shape=(rows, labels))
    targets.data[:] = 1
    return csr_matrix(inputs), targets


def clusters(rows: int, features: int, labels: int, seed: int) -> tuple[Any, Any]:
    """Rows with six features that tell their label."""
    centres = np.random.default_rng(7).integers(0, features, (labels, 6))
    ids = np.random.default_rng(seed).integers(0, labels, rows)
    columns = centres[ids].ravel()
    values, ends = np.full(len(columns), 0.4, np.float32), np.arange(0, len(columns) + 1, 6)
    inputs = csr_matrix((values, columns, ends), shape=(rows, features))
    inputs.sum_duplicates()
    return inputs, csr_matrix((np.ones(rows, np.float32), ids, np.arange(rows + 1)), shape=(rows, labels))


def written(path: Path, rows: tuple[Any, Any]) -> Path:
    """The rows as a file."""
    write_xml(path, *rows)
    return path
