"""Building an index in memory, document by document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from thrifty import _core
from thrifty.rambo.index import RamboIndex
from thrifty.rambo.items import Items, as_bytes, as_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from thrifty.rambo.plan import RamboPlan

__all__ = ["RamboBuilder"]


class RamboBuilder:
    """An index that documents are put into; :meth:`freeze` turns it into one that answers.

    Parameters
    ----------
    plan : RamboPlan
        Its room is the builder's: a document that does not fit is refused with ``CapacityError``.
    items : {"dna", "text"}
        What an item is; see :class:`Items` for ``k``, ``n`` and ``within``.
    shard : int, optional
        Build only this shard of a plan for several nodes; leaving out what belongs elsewhere is up to the caller.

    Examples
    --------
    >>> from thrifty.rambo import RamboBuilder, RamboPlan
    >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), items="text", n=2)
    >>> builder.add_text("greeting", "Hello, wide world!")
    >>> builder.freeze().search("hello wide").hits[0].document
    'greeting'
    """

    def __init__(
        self,
        plan: RamboPlan,
        *,
        items: Literal["dna", "text"] = "dna",
        k: int = 31,
        n: int = 13,
        within: Literal["document", "line"] = "document",
        shard: int | None = None,
    ) -> None:
        self.plan = plan
        self.items = Items(items, k=k, n=n, within=within)
        self._core = _core.RamboBuilder(plan.core(), self.items, shard)

    def __len__(self) -> int:
        return self._core.documents()

    def add_hashes(self, name: str, hashes: Any) -> None:
        """Add a document given by its item hashes (uint64; repeats do no harm).

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2))
        >>> builder.add_hashes("three", np.array([1, 2, 3], np.uint64))
        >>> len(builder)
        1
        """
        self._core.add(name, as_hashes(hashes, "hashes"))

    def add_sequence(self, name: str, sequence: str | bytes) -> int:
        """Add a document of DNA; returns the windows skipped for letters other than A, C, G, T.

        Examples
        --------
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5).add_sequence("a", "ACGTNACGT")
        5
        """
        if self.items.kind != "dna":
            raise ValueError("this builder takes text; use add_text")
        return self._core.add_bytes(name, as_bytes(sequence, "sequence"))

    def add_text(self, name: str, text: str | bytes) -> None:
        """Add a document of text."""
        if self.items.kind != "text":
            raise ValueError("this builder takes DNA; use add_sequence")
        self._core.add_bytes(name, as_bytes(text, "text"))

    def add_many(
        self,
        documents: Iterable[tuple[str, str | bytes]],
        *,
        threads: int = 0,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> int:
        """Add many documents, hashed and inserted on all cores; the index is that of adding them one by one.

        Parameters
        ----------
        documents : iterable of (name, sequence or text)
            All of them are held in memory during the call.
        threads : int
            0 for all cores.
        progress : callable, optional
            Called as ``progress(phase, done, total)``; an exception from it stops the call between documents.

        Returns
        -------
        skipped : int
            Windows with letters other than A, C, G, T.

        Raises
        ------
        DuplicateName, CapacityError
            At the first document that can't be added; those before it are in.

        Examples
        --------
        >>> from thrifty.rambo import RamboBuilder, RamboPlan
        >>> builder = RamboBuilder(RamboPlan.for_documents(10, documents=2), k=5)
        >>> builder.add_many([("a", "ACGTTGCA"), ("b", "ACNTTGCAGT")])
        3
        """
        pairs = [(name, as_bytes(data, f"document '{name}'")) for name, data in documents]
        return self._core.add_many(pairs, threads, progress)

    def freeze(
        self,
        path: str | PathLike[str] | None = None,
        *,
        threads: int = 0,
        progress: Callable[[str, int, int], object] | None = None,
    ) -> RamboIndex:
        """Finish: write the index to ``path``, or keep it in memory, and return it opened. The builder is used up."""
        return RamboIndex(self._core.freeze(path, threads, progress))
