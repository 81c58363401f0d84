"""The frozen index: open it, ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from thrifty import _core
from thrifty._torch import like
from thrifty.rambo.items import Items, as_bytes, as_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    Progress = Callable[[str, int, int], object]

__all__ = ["Hit", "RamboIndex", "SearchResult"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One document that holds enough of a query.

    Attributes
    ----------
    document : str
        Its name.
    found : int
        Distinct items of the query that were found in it, false positives included.
    expected_false : float
        How many of those found are expected to be false positives: ``found - expected_false`` estimates the overlap.
    """

    document: str
    found: int
    expected_false: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answer to one query.

    Attributes
    ----------
    items : int
        Distinct items of the query.
    hits : tuple of Hit
        Most items found first.
    expected_false_documents : float
        How many documents that hold nothing of the query chance alone would report.
    """

    items: int
    hits: tuple[Hit, ...]
    expected_false_documents: float


class RamboIndex:
    """An immutable index over documents; threads and processes may share it.

    Open one with :meth:`open`, make one with :func:`thrifty.rambo.build` or :class:`thrifty.rambo.RamboBuilder`.
    A document that holds an item is always among the answers; one that does not is with the planned rate.
    """

    def __init__(self, core: _core.RamboIndex) -> None:
        self._core = core
        #: What the build did, when this index comes from one.
        self.report: dict[str, Any] = {}

    @classmethod
    def open(cls, path: str | PathLike[str], *, load: bool = False) -> RamboIndex:
        """Open an index file.

        Parameters
        ----------
        path : path
            The file.
        load : bool
            Copy it into memory on huge pages: faster queries, a slower start, memory of its size. Without it the file is
            mapped: it opens at once, may be larger than the memory, and processes share its pages.

        Raises
        ------
        FormatError
            When the file is damaged, cut short, or of a newer version.
        OSError
            When it can't be read.
        """
        return cls(_core.RamboIndex.open(path, load, None))

    @property
    def path(self) -> Path | None:
        """The file, or None when the index is in memory only."""
        return self._core.path

    @cached_property
    def documents(self) -> list[str]:
        """Names by id. Ids hold for this opened index; names are what stays when an index changes."""
        return self._core.names()

    @cached_property
    def items(self) -> Items:
        """How documents and queries are cut."""
        return Items(**self.describe()["items_are"])

    def __len__(self) -> int:
        return len(self.documents)

    def item_counts(self) -> NDArray[np.uint64]:
        """Distinct items of each document, by id."""
        return self._core.item_counts()

    def describe(self) -> dict[str, Any]:
        """Size, rates planned and present, and the shape of each segment."""
        return dict(json.loads(self._core.describe()))

    def query_hashes(
        self, hashes: Any, *, threads: int = 0, progress: Progress | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Ask for single items, many at once.

        Parameters
        ----------
        hashes : uint64 array of shape (n,)
            Item hashes, as :func:`thrifty.rambo.hash_items` gives them. CPU tensors of int64 are taken too.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the query.

        Returns
        -------
        starts : int64 array of shape (n + 1,)
            Query i has ``documents[starts[i]:starts[i + 1]]``.
        documents : uint32 array
            Ids into :attr:`documents`, ascending within a query. Tensors when tensors came.

        Examples
        --------
        >>> from thrifty.rambo import Items, RamboBuilder, RamboPlan, hash_items
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        >>> _ = builder.add_sequence("a", "ACGTTGCA")
        >>> index = builder.freeze()
        >>> hashes, _ = hash_items("ACGTT", Items(k=5))
        >>> starts, documents = index.query_hashes(hashes)
        >>> documents.tolist()
        [0]
        """
        starts, documents = self._core.query(as_hashes(hashes, "hashes"), threads, progress)
        return like(starts, hashes), like(documents, hashes)

    @overload
    def search(
        self, query: str | bytes, *, theta: float = ..., top: int | None = ..., threads: int = ...
    ) -> SearchResult: ...
    @overload
    def search(
        self, query: Sequence[str | bytes], *, theta: float = ..., top: int | None = ..., threads: int = ...
    ) -> list[SearchResult]: ...
    def search(
        self,
        query: str | bytes | Sequence[str | bytes],
        *,
        theta: float = 0.8,
        top: int | None = None,
        threads: int = 0,
    ) -> SearchResult | list[SearchResult]:
        """Search for a sequence or text, or for many.

        Parameters
        ----------
        query : str, bytes, or a sequence of them
            DNA or text, as the index was built for.
        theta : float
            Share of the query's distinct items that a hit must hold, above 0 and at most 1.
        top : int, optional
            At most so many hits a query, best first.
        threads : int
            0 for all cores.

        Returns
        -------
        SearchResult, or a list of them
            A query without items (shorter than k, say) has no hits.

        Examples
        --------
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        >>> _ = builder.add_sequence("a", "ACGTTGCA")
        >>> builder.freeze().search("ACGTTG", theta=1.0).hits[0].found
        2
        """
        single = isinstance(query, (str, bytes))
        queries = [query] if isinstance(query, (str, bytes)) else list(query)
        cut = [_core.rambo_hashes(as_bytes(q, f"query {i}"), self.items)[0] for i, q in enumerate(queries)]
        ends = np.cumsum([len(c) for c in cut], dtype=np.int64)
        hashes = np.concatenate(cut) if cut else np.empty(0, np.uint64)
        results = list(self.search_hashes(hashes, ends, theta=theta, top=top, threads=threads))
        return results[0] if single else results

    def search_hashes(
        self,
        hashes: Any,
        ends: Any,
        *,
        theta: float = 0.8,
        top: int | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[SearchResult]:
        """Search for queries given by item hashes: query i is ``hashes[ends[i - 1]:ends[i]]``; else as :meth:`search`."""
        ends = np.ascontiguousarray(ends, np.int64)
        starts, documents, found, expected, items, chance = self._core.search(
            as_hashes(hashes, "hashes"), ends, theta, top, threads, progress
        )
        names = self.documents
        hits = [
            Hit(names[d], f, e) for d, f, e in zip(documents.tolist(), found.tolist(), expected.tolist(), strict=True)
        ]
        bounds = starts.tolist()
        for i, (n, by_chance) in enumerate(zip(items.tolist(), chance.tolist(), strict=True)):
            yield SearchResult(n, tuple(hits[bounds[i] : bounds[i + 1]]), by_chance)

    def verify(self, *, progress: Progress | None = None) -> list[tuple[str, int, int]]:
        """Read every byte; returns (section, offset, length) of each damaged stretch, nothing when all is well."""
        return self._core.verify(progress)
