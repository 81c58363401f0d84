"""Sparse rows in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

__all__ = ["read_xml"]


def read_xml(path: str | PathLike[str], *, threads: int = 0) -> tuple[csr_matrix, csr_matrix]:
    r"""Read a file of the Extreme Classification Repository: a header ``rows features labels``, then a line a row.

    Parameters
    ----------
    path : path
        Lines are ``label,label feature:value feature:value``; ids count from 0.
    threads : int
        0 for all cores.

    Returns
    -------
    inputs : scipy csr_matrix of float32, shape (rows, features)
    targets : scipy csr_matrix of float32, shape (rows, labels)
        1 at the labels of each row.

    Raises
    ------
    DatasetError
        At the first line that is not as it should be; the message names it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.slide import read_xml
    >>> with TemporaryDirectory() as folder:
    ...     with open(f"{folder}/train.txt", "w") as file:
    ...         _ = file.write("2 5 3\n0,2 1:0.5 4:1\n1 0:2\n")
    ...     inputs, targets = read_xml(f"{folder}/train.txt")
    >>> inputs.shape, targets.indices.tolist()
    ((2, 5), [0, 2, 1])
    """
    from scipy.sparse import csr_matrix

    (ends, features, values), (label_ends, labels), (columns, label_count) = _core.slide_read_xml(path, threads)

    def matrix(ends: NDArray[np.uint64], indices: NDArray[np.uint32], values: Any, columns: int) -> csr_matrix:
        starts = np.append(0, ends).astype(np.int64)
        return csr_matrix((values, indices.astype(np.int64), starts), shape=(len(ends), columns))

    ones = np.ones(len(labels), np.float32)
    return matrix(ends, features, values, columns), matrix(label_ends, labels, ones, label_count)


def rows(matrix: Any, name: str, columns: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]:
    """Where rows end, columns and values of a sparse matrix, as the core takes them."""
    if not hasattr(matrix, "tocsr"):
        raise TypeError(f"{name}: a scipy sparse matrix is needed, got {type(matrix).__name__}")
    csr = matrix.tocsr()
    if csr.shape[1] != columns:
        raise ValueError(f"{name}: {csr.shape[1]} columns for a network with {columns}")
    indices = csr.indices.astype(np.uint32)
    return csr.indptr[1:].astype(np.uint64), indices, np.ascontiguousarray(csr.data, np.float32)
