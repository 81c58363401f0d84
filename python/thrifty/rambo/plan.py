"""Plans: from documents and a rate or a size to the shape of an index."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core
from thrifty._torch import to_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["RamboPlan", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to plan for; see :meth:`RamboPlan.for_documents`."""

    fpr: float = 1e-3
    max_bytes: int | None = None
    multiplicity: float = 1.0
    nodes: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RamboPlan:
    """Shape of an index: buckets B, repetitions R, hashes eta and rows, by size class of the documents.

    ``buckets``, ``repetitions``, ``hashes`` and ``rows`` describe the largest segment; ``hashes`` and ``rows`` are
    means over its repetitions, which may differ: R * B * rows are its bits.

    Attributes
    ----------
    documents, items : int
        Documents, and (document, distinct item) pairs, that the plan holds.
    bytes : int
        Predicted size of the file.
    fpr : float
        Predicted rate of false positives for an item that no document holds.
    fpr_at_multiplicity : float
        The same for an item that ``multiplicity`` other documents hold.
    lines_per_item : float
        Cache lines that a query reads for one item.
    warnings : tuple of str
        What to know before building.
    """

    documents: int
    items: int
    buckets: int
    repetitions: int
    hashes: float
    rows: int
    bytes: int
    fpr: float
    fpr_at_multiplicity: float
    multiplicity: float
    lines_per_item: float
    warnings: tuple[str, ...]
    plan: dict[str, Any] = field(repr=False)

    @classmethod
    def for_documents(
        cls,
        items: int | Sequence[int] | NDArray[np.integer[Any]],
        *,
        documents: int | None = None,
        fpr: float = 1e-3,
        max_bytes: int | None = None,
        multiplicity: float = 1.0,
        nodes: int = 1,
        seed: int = 0,
    ) -> RamboPlan:
        """Plan an index.

        Parameters
        ----------
        items : int or sequence of int
            Distinct items of each document; one number when ``documents`` of equal size are planned.
        documents : int, optional
            Number of documents, when ``items`` is one number.
        fpr : float
            Rate of false positives of a (item, document) pair, for items that no document holds.
        max_bytes : int, optional
            Largest file; the best rate within it is planned, and ``fpr`` is not looked at.
        multiplicity : float
            Mean number of documents that hold an item (V).
        nodes : int
            Shards that the index is built in.
        seed : int
            Key of hashes and partitions.

        Raises
        ------
        Infeasible
            When ``max_bytes`` is too small for any rate.

        Examples
        --------
        >>> from thrifty.rambo import RamboPlan
        >>> plan = RamboPlan.for_documents(20_000, documents=1_000, fpr=3.5e-3, multiplicity=2)
        >>> plan.fpr <= 3.5e-3
        True

        Notes
        -----
        Paper sections 4 and 5; docs/architecture.md has the formulas as they are used.
        """
        if isinstance(items, (int, np.integer)):
            items = int(items)
            if documents is None:
                raise ValueError("documents: give their number, or a sequence of item counts")
            if items < 1 or documents < 1:
                raise ValueError(f"documents and items must be at least 1, got {documents} and {items}")
            counts = np.full(documents, items, np.uint64)
        else:
            if documents is not None:
                raise ValueError("documents: give it with one number of items only")
            counts = np.ascontiguousarray(to_numpy(items, "items"))
            if counts.size == 0:
                raise ValueError("documents: none to plan for")
            if counts.dtype.kind not in "ui" or counts.ndim != 1:
                raise TypeError(f"items: a sequence of whole numbers is needed, got {counts.dtype} of {counts.shape}")
            if counts.min() < 0:
                raise ValueError("items: counts can't be negative")
            counts = counts.astype(np.uint64)
        wish = Wish(fpr=fpr, max_bytes=max_bytes, multiplicity=multiplicity, nodes=nodes, seed=seed)
        return cls.from_json(_core.rambo_plan(counts, wish))

    @classmethod
    def from_json(cls, text: str) -> RamboPlan:
        """Read what :meth:`to_json` wrote."""
        try:
            values = json.loads(text)
            return cls(**{**values, "warnings": tuple(values["warnings"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"plan: not a plan as `thrifty rambo plan --json` prints it: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values; ``plan`` in it is what a build takes."""
        return {name: getattr(self, name) for name in self.__slots__} | {"warnings": list(self.warnings)}

    def to_json(self) -> str:
        """Return the plan as JSON text."""
        return json.dumps(self.to_dict())

    def core(self) -> str:
        """Return the part that the core reads, as JSON."""
        return json.dumps(self.plan)
