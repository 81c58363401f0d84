"""Questions to the scale sets and the exact truth about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cases import scale
from thrifty.rambo import Items, hash_items

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

K = 31
DNA = Items(k=K)
LENGTHS = {"reads": 150, "genes": 1_500, "wholes": 20_000}
"""Letters of the sequence queries; a whole is a document as long as it is."""
MUTATED = 0.01
"""Share of the letters of a sequence query that are drawn anew."""
THETA = 0.5


@dataclass
class Questions:
    """What is asked, by workload: single items as k-mers and as hashes, sequences as letters."""

    documents: int
    singles: dict[str, list[bytes]] = field(default_factory=dict)
    hashes: dict[str, NDArray[np.uint64]] = field(default_factory=dict)
    sequences: dict[str, list[bytes]] = field(default_factory=dict)

    def items(self, workload: str) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Distinct item hashes of each query, and which query each belongs to."""
        if workload in self.hashes:
            return self.hashes[workload], np.arange(len(self.hashes[workload]))
        each = [np.unique(hash_items(s, DNA)[0]) for s in self.sequences[workload]]
        return np.concatenate(each), np.repeat(np.arange(len(each)), [len(e) for e in each])


def ask(documents: list[bytes], *, singles: int, sequences: dict[str, int], seed: int) -> Questions:
    """Draw k-mers, random ones and ones from the documents, and sequences from the documents, mutated."""
    rng = np.random.default_rng(seed)
    q = Questions(len(documents))
    q.singles["absent"] = [scale.BASES[rng.integers(0, 4, K)].tobytes() for _ in range(singles)]
    q.singles["present"] = [_window(documents, rng, K) for _ in range(singles)]
    for name, kmers in q.singles.items():
        q.hashes[name] = np.concatenate([hash_items(kmer, DNA)[0] for kmer in kmers])
    for name, count in sequences.items():
        q.sequences[name] = [_mutated(_window(documents, rng, LENGTHS[name]), rng) for _ in range(count)]
    return q


def _window(documents: list[bytes], rng: np.random.Generator, length: int) -> bytes:
    document = documents[rng.integers(len(documents))]
    at = int(rng.integers(0, max(1, len(document) - length + 1)))
    return document[at : at + length]


def _mutated(sequence: bytes, rng: np.random.Generator) -> bytes:
    letters = np.frombuffer(sequence, np.uint8).copy()
    changed = rng.integers(0, len(letters), rng.binomial(len(letters), MUTATED))
    letters[changed] = scale.BASES[rng.integers(0, 4, len(changed))]
    return letters.tobytes()


def write(folder: Path, documents: list[bytes], questions: Questions) -> None:
    """Write the files that the program in ``peers`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sequences in {"documents": documents, **questions.sequences}.items():
        (folder / f"{name}.seq").write_bytes(b"".join(sequences))
        np.cumsum([len(s) for s in sequences], dtype=np.uint64).tofile(folder / f"{name}.ends")
    for name, hashes in questions.hashes.items():
        hashes.tofile(folder / f"{name}.u64")


@dataclass(frozen=True)
class Pairs:
    """(query, document) pairs as ``query * documents + document``, sorted, with counts of items."""

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]


class Truth:
    """Which documents hold the items of all questions, from scanning the documents."""

    def __init__(self, documents: list[bytes], questions: Questions) -> None:
        self.questions = questions
        asked = {w: questions.items(w) for w in (*questions.hashes, *questions.sequences)}
        every = np.unique(np.concatenate([h for h, _ in asked.values()]))
        # Most k-mers of the documents are not asked for: a bitmap of hash prefixes drops them before the search.
        wanted = np.zeros(1 << 27, np.bool_)
        wanted[every >> np.uint64(37)] = True
        places, holders = [], []
        for d, sequence in enumerate(documents):
            hashes = hash_items(sequence, DNA)[0]
            hashes = hashes[wanted[hashes >> np.uint64(37)]]
            at = np.searchsorted(every, hashes)
            at[at == len(every)] = 0
            at = np.unique(at[every[at] == hashes])
            places.append(at)
            holders.append(np.full(len(at), d))
        place, holder = np.concatenate(places), np.concatenate(holders)
        order = np.argsort(place, kind="stable")
        self._holder = holder[order]
        self._starts = np.searchsorted(place[order], np.arange(len(every) + 1))
        self._asked = {w: (np.searchsorted(every, h), query) for w, (h, query) in asked.items()}
        self._pairs: dict[str, Pairs] = {}

    def pairs(self, workload: str) -> Pairs:
        """All pairs that share an item, with the number of distinct items shared."""
        if workload not in self._pairs:
            place, query = self._asked[workload]
            counts = self._starts[place + 1] - self._starts[place]
            ends = np.cumsum(counts)
            inside = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
            holder = self._holder[np.repeat(self._starts[place], counts) + inside]
            keys, shared = np.unique(np.repeat(query, counts) * self.questions.documents + holder, return_counts=True)
            self._pairs[workload] = Pairs(keys, shared)
        return self._pairs[workload]

    def needed(self, workload: str, *, windows: bool = False) -> NDArray[np.int64]:
        """Items that a hit of each query must hold; of its distinct ones, or of all its windows."""
        if workload in self.questions.hashes:
            return np.ones(len(self.questions.hashes[workload]), np.int64)
        if windows:
            items = np.array([len(s) - K + 1 for s in self.questions.sequences[workload]])
        else:
            items = np.bincount(self._asked[workload][1], minlength=len(self.questions.sequences[workload]))
        return np.maximum(1, np.ceil(THETA * items)).astype(np.int64)

    def judge(self, workload: str, keys: NDArray[np.int64], *, windows: bool = False) -> tuple[int, float]:
        """Pairs that an answer misses, and its rate of false ones among all that are not due.

        With ``windows`` the answer counts repeated k-mers too; pairs that only repeats bring over the threshold are
        neither missed nor false then.
        """
        true, needed = self.pairs(workload), self.needed(workload)
        query = true.keys // self.questions.documents
        due = true.keys[true.counts >= needed[query]]
        must = true.keys[true.counts >= self.needed(workload, windows=True)[query]] if windows else due
        missed = len(must) - int(np.isin(must, keys).sum())
        may = true.keys if windows else due
        false = len(keys) - int(np.isin(keys, may).sum())
        return missed, false / max(1, len(needed) * self.questions.documents - len(due))
