"""The frozen index: open it, ask it."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty import _core
from thrifty._torch import like
from thrifty.rambo.items import Items, as_bytes, as_hashes
from thrifty.rambo.results import Hit, Matches, SearchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from thrifty.rambo.build import Inputs

    Progress = Callable[[str, int, int], object]

__all__ = ["RamboIndex"]


class RamboIndex:
    """An immutable index over documents; threads and processes may share it.

    Open one with :meth:`open`, make one with :func:`thrifty.rambo.build` or :class:`thrifty.rambo.RamboBuilder`.
    A document that holds an item is always among the answers; one that does not is with the planned rate.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan
    >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
    >>> builder.add_many([("a", "ACGTTGCA"), ("b", "TTTTTTCC")])
    0
    >>> with TemporaryDirectory() as folder:
    ...     _ = builder.freeze(f"{folder}/index")
    ...     index = RamboIndex.open(f"{folder}/index")
    ...     smaller = index.remove(["b"])
    ...     damage = index.verify()
    >>> index.documents, smaller.documents, damage
    (['a', 'b'], ['a'], [])
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
            Copy it into memory on huge pages: faster queries, a slower start, memory of its size. Without it the file
            is mapped: it opens at once, may be larger than the memory, and processes share its pages.

        Raises
        ------
        FormatError
            When the file is damaged, cut short, or of a newer version.
        OSError
            When it can't be read.
        """
        return cls(_core.RamboIndex.open(path, load, None))

    @classmethod
    def stack(
        cls,
        path: str | PathLike[str],
        indexes: Sequence[str | PathLike[str]],
        *,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> RamboIndex:
        """Join index files that were built apart into a new file, their buckets side by side.

        Parameters
        ----------
        path : path
            The new index.
        indexes : sequence of paths
            All shards of one plan, in any order, or indexes of equal plans over different documents.

        Raises
        ------
        MismatchError
            When they were not built by one plan; the message names what differs, or the shard that is missing.
        DuplicateName
            When two of them hold documents of one name.

        Notes
        -----
        Nothing is hashed again, and the shards of a plan give the very bytes that one build of the whole gives
        (two-level hash, paper section 5.3).

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan
        >>> with TemporaryDirectory() as folder:
        ...     shards = [f"{folder}/a", f"{folder}/b"]
        ...     for path, name in zip(shards, ["one", "two"]):
        ...         builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        ...         _ = builder.add_sequence(name, "ACGTTGCA")
        ...         _ = builder.freeze(path)
        ...     both = RamboIndex.stack(f"{folder}/both", shards)
        >>> both.documents
        ['one', 'two']
        """
        return cls(_core.rambo_stack(path, list(indexes), threads, progress))

    def fold(
        self,
        path: str | PathLike[str],
        *,
        buckets: int | None = None,
        rows: int | None = None,
        max_bytes: int | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> RamboIndex:
        """Write a smaller index of the same documents, at a higher rate of false positives. Give one of three targets.

        Segments that `add` opened are put side by side with their like first, which costs nothing.

        Parameters
        ----------
        path : path
            The new index.
        buckets : int, optional
            Buckets of the first repetition, a divisor of those that there are: buckets are laid on each other.
        rows : int, optional
            Rows of the first repetition, a divisor likewise: neighbouring rows are laid on each other.
        max_bytes : int, optional
            Largest file; the folding with the least loss of rate is taken.

        Raises
        ------
        ValueError
            When the number is not possible; the message lists those that are.
        Infeasible
            When ``max_bytes`` is below what folding can reach.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(1_000, documents=2), k=5)
        >>> _ = builder.add_sequence("a", "ACGTTGCA")
        >>> with TemporaryDirectory() as folder:
        ...     index = builder.freeze(f"{folder}/index")
        ...     rows = index.describe()["segments"][0]["repetitions"][0]["rows"]
        ...     half = index.fold(f"{folder}/half", rows=rows // 2)
        >>> half.search("ACGTT").hits[0].document
        'a'
        """
        return RamboIndex(_core.rambo_fold(self._file("fold"), path, buckets, rows, max_bytes, threads, progress))

    def add(
        self,
        inputs: Inputs,
        *,
        by: Literal["file", "record"] | None = None,
        list_file: str | PathLike[str] | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> RamboIndex:
        r"""Add documents to this index's file, and return it opened anew; this object stays as it was.

        Segments are filled up to their planned load; what does not fit goes to new segments planned for the same rate.

        Parameters
        ----------
        inputs : path or sequence of paths
            As for :func:`thrifty.rambo.build`.
        by : {"file", "record"}, optional
            As the index was built by default.

        Raises
        ------
        DuplicateName
            When the index has a document of that name.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from thrifty.rambo import Items, build
        >>> with TemporaryDirectory() as folder:
        ...     for name in "ab":
        ...         with open(f"{folder}/{name}.fa", "w") as file:
        ...             _ = file.write(">x\nACGTTGCAAC\n")
        ...     index = build(f"{folder}/index", f"{folder}/a.fa", items=Items(k=5))
        ...     more = index.add(f"{folder}/b.fa")
        >>> more.documents
        ['a', 'b']
        """
        from thrifty.rambo.build import list_inputs

        pairs, _ = list_inputs(inputs, self.items, list_file)
        core, (documents, segments, elsewhere) = _core.rambo_add(
            self._file("add"), pairs, by or self.by, threads, progress
        )
        index = RamboIndex(core)
        index.report = {"documents_added": documents, "segments_opened": segments, "documents_elsewhere": elsewhere}
        return index

    def remove(self, names: Sequence[str], *, threads: int = 0, progress: Progress | None = None) -> RamboIndex:
        """Take documents out of this index's file, and return it opened anew; this object stays as it was.

        Their bits stay, as Bloom filters can't forget: a new build gets rid of them.

        Raises
        ------
        UnknownDocument
            When there is no document of a name; nothing is removed then.
        """
        return RamboIndex(_core.rambo_remove(self._file("remove"), list(names), threads, progress))

    def _file(self, verb: str) -> Path:
        path = self.path
        if path is None:
            raise ValueError(f"{verb}: this index is in memory only; freeze it to a file")
        return path

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

    @cached_property
    def by(self) -> Literal["file", "record"]:
        """What one document was when the index was built from files."""
        return "record" if self.describe()["by"] == "record" else "file"

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

    def search(
        self,
        query: str | bytes,
        *,
        theta: float = 0.8,
        top: int | None = None,
        exact: Inputs | None = None,
    ) -> SearchResult:
        """Search for a sequence or text.

        Parameters
        ----------
        query : str or bytes
            DNA or text, as the index was built for.
        theta : float
            Share of the query's distinct items that a hit must hold, above 0 and at most 1.
        top : int, optional
            At most so many hits, best first.
        exact : path or sequence of paths, optional
            Files of the documents: hits are counted in them, and those that fall below the threshold are dropped.

        Returns
        -------
        SearchResult
            A query without items (shorter than k, say) has no hits.

        Examples
        --------
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        >>> _ = builder.add_sequence("a", "ACGTTGCA")
        >>> builder.freeze().search("ACGTTG", theta=1.0).hits[0].found
        2
        """
        return self.search_many([query], theta=theta, top=top, exact=exact, threads=1)[0]

    def search_many(
        self,
        queries: Sequence[str | bytes],
        *,
        theta: float = 0.8,
        top: int | None = None,
        exact: Inputs | None = None,
        threads: int = 0,
    ) -> list[SearchResult]:
        """Search for many sequences or texts, hashed on one core and searched on all; else as :meth:`search`.

        Examples
        --------
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        >>> _ = builder.add_sequence("a", "ACGTTGCA")
        >>> [len(result.hits) for result in builder.freeze().search_many(["ACGTTG", "GGGGGGG"], theta=1.0)]
        [1, 0]
        """
        if isinstance(queries, (str, bytes)):
            raise TypeError("queries: a sequence of queries is needed; use search for a single one")
        cut = [as_bytes(query, f"query {i}") for i, query in enumerate(queries)]
        hashes, ends, _ = _core.rambo_hashes_many(cut, self.items)
        return list(self.search_hashes(hashes, ends, theta=theta, top=top, exact=exact, threads=threads))

    def search_hashes(
        self,
        hashes: Any,
        ends: Any,
        *,
        theta: float = 0.8,
        top: int | None = None,
        exact: Inputs | None = None,
        by: Literal["file", "record"] | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[SearchResult]:
        """Search for queries given by item hashes; else as :meth:`search`.

        Parameters
        ----------
        hashes : uint64 array
            Query i is ``hashes[ends[i - 1]:ends[i]]``; repeats are dropped.
        ends : int64 array
            Where each query ends.
        exact : path or sequence of paths, optional
            Files of the documents: hits are counted in them, and those that fall below the threshold are dropped.
        by : {"file", "record"}, optional
            What a document of ``exact`` is; as the index was built by default.

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2))
        >>> builder.add_hashes("three", np.array([1, 2, 3], np.uint64))
        >>> results = builder.freeze().search_hashes(np.array([1, 2, 9, 3], np.uint64), [3, 4], theta=0.5)
        >>> [result.hits[0].found for result in results]
        [2, 1]
        """
        m = self.match_hashes(
            hashes, ends, theta=theta, top=top, exact=exact, by=by, threads=threads, progress=progress
        )
        return self._results(m)

    def _results(self, m: Matches) -> Iterator[SearchResult]:
        names = self.documents
        hits = [
            Hit(names[d], f, e)
            for d, f, e in zip(m.documents.tolist(), m.found.tolist(), m.expected_false.tolist(), strict=True)
        ]
        bounds = m.starts.tolist()
        chances = m.expected_false_documents.tolist()
        for i, (n, by_chance) in enumerate(zip(m.items.tolist(), chances, strict=True)):
            yield SearchResult(n, tuple(hits[bounds[i] : bounds[i + 1]]), by_chance)

    def match_hashes(
        self,
        hashes: Any,
        ends: Any,
        *,
        theta: float = 0.8,
        top: int | None = None,
        exact: Inputs | None = None,
        by: Literal["file", "record"] | None = None,
        threads: int = 0,
        progress: Progress | None = None,
    ) -> Matches:
        """Search as :meth:`search_hashes` does, with arrays for an answer: much faster where hits are many.

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2))
        >>> builder.add_hashes("three", np.array([1, 2, 3], np.uint64))
        >>> matches = builder.freeze().match_hashes(np.array([1, 2, 9, 3], np.uint64), [3, 4], theta=0.5)
        >>> matches.starts.tolist(), matches.found.tolist()
        ([0, 1, 2], [2, 1])
        """
        pairs = None
        if exact is not None:
            from thrifty.rambo.build import list_inputs

            pairs, _ = list_inputs(exact, self.items)
        ends = np.ascontiguousarray(ends, np.int64)
        return Matches(
            *self._core.search(as_hashes(hashes, "hashes"), ends, theta, top, pairs, by or self.by, threads, progress)
        )

    def verify(self, *, progress: Progress | None = None) -> list[tuple[str, int, int]]:
        """Read every byte; returns (section, offset, length) of each damaged stretch, nothing when all is well."""
        return self._core.verify(progress)
