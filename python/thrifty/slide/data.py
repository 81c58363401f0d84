"""Sparse rows in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Progress = Callable[[str, int, int], object]

__all__ = ["read_xml", "write_xml"]


def read_xml(
    path: str | PathLike[str], *, threads: int = 0, progress: Progress | None = None
) -> tuple[csr_matrix, csr_matrix]:
    r"""Read a file of the Extreme Classification Repository: a header ``rows features labels``, then a line a row.

    Parameters
    ----------
    path : path
        Lines are ``label,label feature:value feature:value``; ids count from 0. A row without labels begins with a
        blank.
    threads : int
        0 for all cores.
    progress : callable, optional
        Called as ``progress(phase, done, total)``; an exception from it stops the reading.

    Returns
    -------
    inputs : scipy csr_matrix of float32, shape (rows, features)
        Each value the float32 nearest to what the file says; the order within a row is the file's.
    targets : scipy csr_matrix of float32, shape (rows, labels)
        1 at the labels of each row.

    Raises
    ------
    DatasetError
        At the first line that is not as it should be, features and labels that a row has twice included; the message
        names it.

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

    (ends, features, values), (label_ends, labels), shape = _core.slide_read_xml(path, threads, progress)

    def matrix(ends: NDArray[np.uint64], ids: Any, values: Any, columns: int) -> csr_matrix:
        # scipy takes 32 bits where they do, and then no array is copied.
        short = max(len(ids), columns) < 1 << 31
        starts: Any = np.zeros(len(ends) + 1, np.int32 if short else np.int64)
        starts[1:] = ends
        indices: Any = ids.view(np.int32) if short else ids.astype(np.int64)
        return csr_matrix((values, indices, starts), shape=(len(ends), columns))

    ones = np.ones(len(labels), np.float32)
    return matrix(ends, features, values, shape[0]), matrix(label_ends, labels, ones, shape[1])


def write_xml(
    path: str | PathLike[str], inputs: Any, targets: Any, *, threads: int = 0, progress: Progress | None = None
) -> None:
    """Write a file of the Extreme Classification Repository, which :func:`read_xml` reads back as it was.

    The file appears under its name when it is complete.

    Parameters
    ----------
    path : path
        An older file is replaced.
    inputs : scipy sparse matrix, shape (rows, features)
        Values are written as float32, with the fewest digits that read back as the same number; entries that are stored
        as 0 are written.
    targets : scipy sparse matrix, shape (rows, labels)
        The stored entries of a row are its labels; their values do not matter.
    threads : int
        0 for all cores.
    progress : callable, optional
        As for :func:`read_xml`.

    Raises
    ------
    ValueError
        When numbers of rows differ or a value is not finite.
    LockedError
        When another process writes the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scipy.sparse import csr_matrix
    >>> from thrifty.slide import write_xml
    >>> inputs, targets = csr_matrix([[0, 0.5], [3, 0.1]]), csr_matrix([[1, 0, 1], [0, 0, 0]])
    >>> with TemporaryDirectory() as folder:
    ...     write_xml(f"{folder}/train.txt", inputs, targets)
    ...     Path(folder, "train.txt").read_text().splitlines()
    ['2 2 3', '0,2 1:0.5', ' 0:3 1:0.1']
    """
    shape = tuple(_csr(matrix, name).shape[1] for matrix, name in ((inputs, "inputs"), (targets, "targets")))
    x = rows(_once(inputs, "inputs"), "inputs", shape[0])
    y = rows(_once(targets, "targets"), "targets", shape[1])[:2]
    _core.slide_write_xml(path, x, y, (shape[0], shape[1]), threads, progress)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a file holds, and the bytes that its rows take in memory while a network learns from them."""

    rows: int
    features: int
    labels: int
    bytes: int


def sizes(path: str | PathLike[str]) -> Sizes:
    """Count what a file of the Extreme Classification Repository holds, without taking memory for it.

    Raises
    ------
    DatasetError
        When the header is not three numbers.
    """
    counts = {b":": 0, b",": 0, b"\n": 0}
    with Path(path).open("rb") as file:
        header = file.readline(1000)
        words = header.split()
        if len(words) != 3 or not all(word.isdigit() for word in words):
            raise DatasetError(f"{path}, line 1: the header must be three numbers: rows, features, labels")
        while block := file.read(1 << 20):
            for sign in counts:
                counts[sign] += block.count(sign)
    rows, features, labels = (int(word) for word in words)
    if max(features, labels) > 1 << 32:
        raise DatasetError(f"{path}, line 1: the header says {max(features, labels)} columns; ids have 32 bits")
    pairs, lines = counts[b":"], counts[b"\n"] + 1
    # Values and columns, columns as the core takes them; ends of rows twice, their order, its keys.
    taken = 12 * (pairs + counts[b","] + lines) + 56 * lines
    return Sizes(rows, features, labels, taken)


def _csr(matrix: Any, name: str) -> Any:
    if not hasattr(matrix, "tocsr"):
        raise TypeError(f"{name}: a scipy sparse matrix is needed, got {type(matrix).__name__}")
    return matrix.tocsr()


def _once(matrix: Any, name: str) -> Any:
    """Rows in which no column is stored twice; scipy means the sum where one is."""
    csr = _csr(matrix, name)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def rows(matrix: Any, name: str, columns: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.float32]]:
    """Where rows end, columns and values of a sparse matrix, as the core takes them."""
    csr = _csr(matrix, name)
    if csr.shape[1] != columns:
        raise ValueError(f"{name}: {csr.shape[1]} columns for a network with {columns}")
    indices = csr.indices.astype(np.uint32)
    with np.errstate(over="ignore"):  # the core refuses what is not finite, and says where it is
        values = np.ascontiguousarray(csr.data, np.float32)
    return csr.indptr[1:].astype(np.uint64), indices, values
