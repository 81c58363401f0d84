"""Queries from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thrifty import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from thrifty.rambo.items import Items

__all__ = ["QueryBatch", "read_queries"]


@dataclass(frozen=True, slots=True)
class QueryBatch:
    """Some queries of a file: query i is ``hashes[ends[i - 1]:ends[i]]``.

    Attributes
    ----------
    names : list of str
        First word of the header; for text, the number of the line.
    hashes : uint64 array
        Item hashes, repeats included.
    ends : int64 array
        Where each query ends.
    skipped : list of int
        Windows skipped in each for letters other than A, C, G, T.
    """

    names: list[str]
    hashes: NDArray[np.uint64]
    ends: NDArray[np.int64]
    skipped: list[int]


def read_queries(path: str | PathLike[str], items: Items, *, letters: int = 4 << 20) -> Iterator[QueryBatch]:
    r"""Read queries from FASTA or FASTQ, or text with one a line; ``-`` is standard input.

    Parameters
    ----------
    path : path
        Plain or compressed (gzip, bgzip, zstd, xz, bzip2).
    items : Items
        How they are cut; an index's own are its ``items``.
    letters : int
        About how many letters a batch has.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.rambo import Items, read_queries
    >>> with TemporaryDirectory() as folder:
    ...     with open(f"{folder}/reads.fa", "w") as file:
    ...         _ = file.write(">x\nACGTTGCAAC\n>y\nACGTT\n")
    ...     batches = list(read_queries(f"{folder}/reads.fa", Items(k=5)))
    >>> batches[0].names, batches[0].ends.tolist()
    (['x', 'y'], [6, 7])
    """
    core = _core.RamboQueries(path, items)  # opened now: a missing file is told before the first batch is asked for
    return _batches(core, letters)


def _batches(core: _core.RamboQueries, letters: int) -> Iterator[QueryBatch]:
    while (batch := core.next_batch(letters)) is not None:
        yield QueryBatch(*batch)
