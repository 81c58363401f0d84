"""Texts whose entropy is known: what the irreducible loss of a fitted law is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.stats import philox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = ["Entropy", "Grammar", "Markov", "Mixture"]

#: Texts are drawn as streams side by side, of so many symbols at least, and so many streams at most.
LEAST, STREAMS = 2048, 4096
#: Documents that a mixture's entropy is estimated from.
DOCUMENTS = 200_000


@dataclass(frozen=True, slots=True)
class Entropy:
    """Entropy of a source.

    Attributes
    ----------
    rate : float
        Nats a symbol, in the limit of long texts.
    error : float
        Standard error of the rate; 0 where it is computed exactly.
    """

    rate: float
    error: float = 0.0


class Markov:
    """Symbols that depend on the ``order`` before; what comes next is of few symbols, and contexts are unlike common.

    Parameters
    ----------
    symbols, order : int
    spread : float
        Of what comes next: the parameter of its Dirichlet distribution, around a Zipf distribution of the symbols.
    seed : int
        Of the table.

    Examples
    --------
    >>> from thrifty.scaling.sources import Markov
    >>> source = Markov(symbols=2, order=1, seed=1)
    >>> 0 < source.entropy().rate < 0.6931
    True
    >>> source.draw(5, seed=1).dtype
    dtype('uint8')
    """

    def __init__(self, symbols: int = 24, order: int = 3, *, spread: float = 4.0, seed: int = 0) -> None:
        self.symbols, self.order = symbols, order
        self.table = _table(symbols**order, _zipf(symbols), spread, philox(seed, 1))

    def entropy(self) -> Entropy:
        """Return the entropy rate: that of each context's row, by how often it comes (Cover and Thomas, chapter 4)."""
        return Entropy(float(self.stationary() @ _rows_entropy(self.table)))

    def stationary(self) -> Table:
        """Return how often each context comes."""
        share = np.full(len(self.table), 1 / len(self.table))
        for _ in range(10_000):
            before, share = share, self._after(share)
            if np.abs(share - before).sum() < 1e-14:
                break
        return share

    def _after(self, share: Table) -> Table:
        """Contexts after another symbol: the oldest is forgotten."""
        joint = share[:, None] * self.table
        found: Table = joint.reshape(self.symbols, -1).sum(0)
        return found

    def draw(self, n: int, *, seed: int) -> NDArray[np.uint8]:
        """Return a text of n symbols."""
        rng = philox(seed, 2)
        streams, length = _streams(n)
        context = rng.choice(len(self.table), streams, p=self.stationary())
        edges = np.cumsum(self.table, 1)[:, :-1].astype(np.float32)
        out = np.empty((length, streams), np.uint8)
        for i in range(length):
            out[i] = symbol = _drawn(edges[context], rng)
            context = (context * self.symbols + symbol) % len(self.table)
        return out.T.reshape(-1)[:n]


class Grammar:
    """Sentences of a grammar whose rules each begin with a symbol: it says which rule it was, so none has two parses.

    A rule is a symbol and the parts that follow it. The first symbol of the alphabet ends each sentence, and no rule
    has it. A sentence is as likely as its only derivation, so its entropy is the sum of those of the choices made.

    Parameters
    ----------
    symbols, parts, rules : int
        Of the alphabet, kinds of parts, rules of each kind.
    growth : float
        Parts that follow a symbol in the mean, below 1: sentences end.
    opening : int
        Parts that a sentence begins with.
    seed : int
    """

    def __init__(
        self,
        symbols: int = 32,
        parts: int = 16,
        rules: int = 8,
        *,
        growth: float = 0.75,
        opening: int = 3,
        seed: int = 0,
    ) -> None:
        if not 0 < growth < 1:
            raise ValueError(f"growth: {growth} is not between 0 and 1")
        if not 0 < rules < symbols:
            raise ValueError(f"rules: {rules} of a part need as many symbols beside the one that ends a sentence")
        rng = philox(seed, 1)
        self.symbols = symbols
        #: Chance of each rule, (parts, rules); its symbol; how many parts follow; which, (parts, rules, 2).
        self.chance = _table(parts, _zipf(rules), 8.0, rng)
        self.emits = np.stack([1 + rng.permutation(symbols - 1)[:rules] for _ in range(parts)]).astype(np.uint8)
        # 0, 1 or 2 follow; each part grows by itself as the whole does, so that every kind of sentence ends.
        self.follow = np.zeros((parts, rules), np.int64)
        for part in range(parts):
            order = rng.permutation(rules)
            for rule in np.tile(order, 2):
                if self.chance[part] @ self.follow[part] + self.chance[part, rule] <= growth:
                    self.follow[part, rule] += 1
        self.next = rng.choice(parts, (parts, rules, 2), p=_zipf(parts))
        self.opening = rng.choice(parts, opening)

    def entropy(self) -> Entropy:
        """Return a sentence's entropy over its length in the mean (renewal: sentences do not depend on each other)."""
        often = self.counts()
        return Entropy(float(often @ _rows_entropy(self.chance) / (1 + often.sum())))

    def counts(self) -> Table:
        """Return how often each part is in a sentence, in the mean; each is one symbol."""
        parts = len(self.chance)
        brings = np.zeros((parts, parts))
        for place in range(2):
            weight = self.chance * (self.follow > place)
            for part in range(parts):
                np.add.at(brings[part], self.next[part, :, place], weight[part])
        first = np.bincount(self.opening, minlength=parts).astype(np.float64)
        return np.asarray(np.linalg.solve(np.eye(parts) - brings.T, first), np.float64)

    def draw(self, n: int, *, seed: int) -> NDArray[np.uint8]:
        """Return a text of n symbols: sentences, each behind the symbol that ends the one before."""
        rng = philox(seed, 2)
        streams, length = _streams(n)
        edges = np.cumsum(self.chance, 1)[:, :-1].astype(np.float32)
        out, opening = np.zeros((length, streams), np.uint8), self.opening[::-1]
        # Parts that are still to come, the next one last.
        stack, size = np.zeros((streams, 64), np.int64), np.zeros(streams, np.int64)
        every = np.arange(streams)
        for i in range(length):
            fresh = size == 0
            part = stack[every, np.maximum(size - 1, 0)]
            rule = _drawn(edges[part], rng)
            out[i] = np.where(fresh, 0, self.emits[part, rule])
            size = np.where(fresh, len(opening), size - 1)
            stack[fresh, : len(opening)] = opening
            if size.max() + 2 > stack.shape[1]:
                stack = np.pad(stack, ((0, 0), (0, stack.shape[1])))
            follow = np.where(fresh, 0, self.follow[part, rule])
            # What comes first lies on top.
            for place in (1, 0):
                here = every[follow > place]
                stack[here, size[here]] = self.next[part[here], rule[here], place]
                size[here] += 1
        return out.T.reshape(-1)[:n]


class Mixture:
    """Documents, each wholly of one of two sources, which depend on two symbols before; who reads must find out which.

    The first symbol of the alphabet ends a document, after any symbol as likely.

    Parameters
    ----------
    symbols : int
    length : float
        Symbols of a document in the mean, its end among them.
    share : float
        Of documents that are of the first source.
    spread : float
        As for :class:`Markov`.
    seed : int
    """

    def __init__(
        self, symbols: int = 24, *, length: float = 64.0, share: float = 0.5, spread: float = 4.0, seed: int = 0
    ) -> None:
        if not length > 1 or not 0 < share < 1:
            raise ValueError(f"length, share: above 1, and between 0 and 1, are needed, got {length} and {share}")
        self.symbols, self.length, self.share = symbols, length, share
        self.tables = []
        for which in range(2):
            rest = _table(symbols**2, _zipf(symbols - 1), spread, philox(seed, 1, which))
            self.tables.append(np.concatenate([np.full((symbols**2, 1), 1 / length), rest * (1 - 1 / length)], 1))

    def entropy(self) -> Entropy:
        """Return a document's entropy over its length in the mean.

        H(document) = H(document | source) + H(source) - H(source | document). The first two are exact; the last is the
        mean entropy of what is left open at the end of a document, over drawn ones.
        """
        weights = np.array([self.share, 1 - self.share])
        known = sum(w * self._known(table) for w, table in zip(weights, self.tables, strict=True))
        source = -float(weights @ np.log(weights))
        left, error = self._left_open(weights)
        return Entropy(float(known + source - left) / self.length, error / self.length)

    def _known(self, table: Table) -> float:
        """Entropy of a document where the source is known: of each context's row, by how often it is met."""
        size, n = self.symbols, self.symbols**2
        share: Table = np.zeros(n)
        total = 0.0
        share[0] = 1.0  # behind two ends
        rows = _rows_entropy(table)
        # What has not ended is less by 1 / length with each symbol.
        while share.sum() > 1e-15:
            total += float(share @ rows)
            joint = (share[:, None] * table)[:, 1:].reshape(size, size, size - 1).sum(0)
            share = np.concatenate([np.zeros((size, 1)), joint], 1).reshape(-1)
        return total

    def _left_open(self, weights: Table) -> tuple[float, float]:
        """Mean entropy of the source given the document, and its standard error."""
        rng = philox(0, 3)
        which = (rng.random(DOCUMENTS) >= self.share).astype(np.int64)
        both = np.stack(self.tables)
        edges, logs = np.cumsum(both, 2)[..., :-1].astype(np.float32), np.log(np.maximum(both, 1e-300))
        context, odds = np.zeros(DOCUMENTS, np.int64), np.full(DOCUMENTS, np.log(weights[0] / weights[1]))
        open_ = np.arange(DOCUMENTS)
        while len(open_):
            at = context[open_]
            symbol = _drawn(edges[which[open_], at], rng)
            odds[open_] += logs[0, at, symbol] - logs[1, at, symbol]
            # Behind a document stands its end alone: nothing before it counts.
            context[open_] = at % self.symbols * self.symbols + symbol
            open_ = open_[symbol > 0]
        first = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
        left = -sum(p * np.log(np.maximum(p, 1e-300)) for p in (first, 1 - first))
        return float(left.mean()), float(left.std() / np.sqrt(DOCUMENTS))

    def draw(self, n: int, *, seed: int) -> NDArray[np.uint8]:
        """Return a text of n symbols: documents, one behind the other."""
        rng = philox(seed, 2)
        streams, length = _streams(n)
        edges = np.cumsum(np.stack(self.tables), 2)[..., :-1].astype(np.float32)
        which = (rng.random(streams) >= self.share).astype(np.int64)
        context = np.zeros(streams, np.int64)
        out = np.empty((length, streams), np.uint8)
        for i in range(length):
            out[i] = symbol = _drawn(edges[which, context], rng)
            ended = symbol == 0
            context = np.where(ended, 0, context % self.symbols * self.symbols + symbol)
            which = np.where(ended, rng.random(streams) >= self.share, which)
        return out.T.reshape(-1)[:n]


def _zipf(n: int) -> Table:
    share = 1 / np.arange(1, n + 1)
    found: Table = share / share.sum()
    return found


def _table(rows: int, base: Table, spread: float, rng: np.random.Generator) -> Table:
    """Rows of chances around a base, none of them nothing."""
    weights = rng.gamma(np.maximum(spread * base, 1e-2), size=(rows, len(base))) + 1e-4
    found: Table = weights / weights.sum(1, keepdims=True)
    return found


def _rows_entropy(table: Table) -> Table:
    found: Table = -(table * np.log(table)).sum(1)
    return found


def _streams(n: int) -> tuple[int, int]:
    if n < 1:
        raise ValueError(f"n: {n} symbols are no text")
    streams = min(STREAMS, max(1, n // LEAST))
    return streams, -(-n // streams)


def _drawn(edges: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a column from each row of cumulated chances."""
    found: NDArray[np.int64] = (edges < rng.random(len(edges), np.float32)[:, None]).sum(1)
    return found
