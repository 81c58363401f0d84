"""What searches give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Hit", "Matches", "SearchResult"]


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


class Matches(NamedTuple):
    """Answers to many queries: query i has the hits ``starts[i]`` to ``starts[i + 1]``, most items found first."""

    starts: NDArray[np.int64]
    """Shape (queries + 1,)."""
    documents: NDArray[np.uint32]
    """Ids into :attr:`thrifty.rambo.RamboIndex.documents`, one a hit."""
    found: NDArray[np.uint64]
    """See :attr:`Hit.found`, one a hit."""
    expected_false: NDArray[np.float64]
    """See :attr:`Hit.expected_false`, one a hit."""
    items: NDArray[np.uint64]
    """Distinct items of each query."""
    expected_false_documents: NDArray[np.float64]
    """See :attr:`SearchResult.expected_false_documents`, one a query."""
