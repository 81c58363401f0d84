"""Interpolated modified Kneser-Ney (Chen and Goodman 1998) of ids: the language model of counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Order:
    """N-grams of one length: each is a number, its ids are the digits."""

    grams: NDArray[np.int64]
    taken: NDArray[np.float64]
    """Count of each less its discount."""
    contexts: NDArray[np.int64]
    total: NDArray[np.float64]
    """Of the counts behind each context."""
    left: NDArray[np.float64]
    """Share of each context that discounts leave to shorter ones."""


class KneserNey:
    """Probabilities of the next id from the last ``n`` - 1.

    Counts of the longest n-grams are how often they come; of shorter ones, before how many different ids they come.
    """

    def __init__(self, ids: NDArray[Any], n: int, vocab: int) -> None:
        if float(vocab) ** n >= 2.0**63:
            raise ValueError(f"n: {n} ids of {vocab} are no 64-bit number")
        self.n, self.vocab = n, vocab
        whole = ids.astype(np.int64)
        raw = []
        for length in range(1, n + 1):
            keys = np.zeros(len(whole) - length + 1, np.int64)
            for i in range(length):
                keys = keys * vocab + whole[i : len(whole) - length + 1 + i]
            raw.append(np.unique(keys, return_counts=True))
        self.orders = []
        for length in range(1, n + 1):
            grams, counts = raw[length - 1]
            if length < n:
                grams, counts = np.unique(raw[length][0] % vocab**length, return_counts=True)
            self.orders.append(self._order(grams, counts))

    def _order(self, grams: NDArray[np.int64], counts: NDArray[np.int64]) -> Order:
        n1, n2, n3, n4 = (max(int((counts == c).sum()), 1) for c in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        discounts = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        off = np.minimum(np.clip(discounts, 0, None)[np.minimum(counts, 3)], counts)
        contexts, which = np.unique(grams // self.vocab, return_inverse=True)
        total = np.bincount(which, counts)
        return Order(grams, counts - off, contexts, total, np.bincount(which, off) / total)

    def probabilities(self, contexts: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.float64]:
        """Of ids after contexts of shape (ids, n - 1)."""
        found = np.full(len(ids), 1.0 / self.vocab)
        key = np.zeros(len(ids), np.int64)
        for length, order in enumerate(self.orders, 1):
            if length > 1:
                key += contexts[:, -(length - 1)].astype(np.int64) * self.vocab ** (length - 2)
            at, there = _find(order.contexts, key)
            gram, counted = _find(order.grams, key * self.vocab + ids.astype(np.int64))
            own = np.where(counted, order.taken[gram], 0.0) / order.total[at]
            found = np.where(there, own + order.left[at] * found, found)
        return found

    def losses(self, ids: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Minus the logarithms of the probabilities of the ids at positions that have n - 1 ids before them."""
        before = at[:, None] - np.arange(self.n - 1, 0, -1)
        return -np.log(self.probabilities(ids[before], ids[at]))

    @property
    def size(self) -> int:
        """How many n-grams of all lengths there are."""
        return sum(len(order.grams) for order in self.orders)


def _find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted
