"""Labels of a batch, from whatever holds them to what Rust takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty._torch import require_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
else:
    torch = require_torch()

__all__ = ["checked", "tensors"]


def _integers(values: Any, name: str) -> torch.Tensor:
    """As a flat int64 tensor."""
    tensor = values if isinstance(values, torch.Tensor) else torch.as_tensor(np.asarray(values))
    if tensor.device.type != "cpu":
        raise ValueError(f"{name}: a tensor on {tensor.device}; move it with {name}.cpu()")
    if tensor.dtype in (torch.bool,) or tensor.is_floating_point() or tensor.is_complex():
        raise TypeError(f"{name}: integers are needed, got {tensor.dtype}")
    return tensor.reshape(-1).to(torch.int64)


def tensors(labels: Any, shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the labels of rows of this shape one after the other, and where those of each row begin and the last end.

    The latter is None when each row has one label.
    """
    rows = math.prod(shape)
    if isinstance(labels, tuple) and len(labels) == 2:
        ids, indptr = _integers(labels[1], "labels"), _integers(labels[0], "labels indptr")
    elif hasattr(labels, "tocsr"):
        matrix = labels.tocsr()
        ids, indptr = _integers(matrix.indices, "labels"), _integers(matrix.indptr, "labels indptr")
    elif isinstance(labels, list) and labels and not isinstance(labels[0], int | np.integer):
        flat = [label for row in labels for label in row]
        ids = _integers(np.asarray(flat, dtype=None if flat else np.int64), "labels")
        indptr = torch.tensor(np.cumsum([0, *map(len, labels)]))
    else:
        ids = _integers(labels, "labels")
        if ids.shape[0] != rows:
            raise ValueError(f"labels: {ids.shape[0]} for {rows} rows of hidden values")
        return ids, None
    if indptr.shape[0] != rows + 1:
        raise ValueError(f"labels: {indptr.shape[0] - 1} rows of labels for {rows} rows of hidden values")
    return ids, indptr


def checked(
    labels: torch.Tensor, indptr: torch.Tensor | None, rows: int, neurons: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the end of each row and its labels, which must be numbers of neurons."""
    ids = labels.numpy()
    starts = np.arange(rows + 1) if indptr is None else indptr.numpy()
    if starts[0] != 0 or starts[-1] != len(ids) or np.any(np.diff(starts) < 0):
        raise ValueError(f"labels: indptr must ascend from 0 to the number of labels, {len(ids)}")
    if len(ids) and (ids.min() < 0 or ids.max() >= neurons):
        at = int(np.flatnonzero((ids < 0) | (ids >= neurons))[0])
        row = int(np.searchsorted(starts, at, side="right")) - 1
        raise ValueError(f"labels: row {row} has {ids[at]}; labels are from 0 to {neurons - 1}")
    return starts[1:].astype(np.uint64), ids.astype(np.uint32)
