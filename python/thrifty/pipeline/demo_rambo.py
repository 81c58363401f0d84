"""The demo of rambo: 367 virus genomes, and four questions to them."""

from __future__ import annotations

import lzma
import time
from typing import TYPE_CHECKING

import numpy as np

from thrifty.pipeline.data import viruses
from thrifty.rambo import Items, build, hash_items
from thrifty.report import Figure, Section, Table
from thrifty.stats import wilson

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from thrifty.rambo import RamboIndex

    Progress = Callable[[str, int, int], object]

__all__ = ["tell"]

K = 31
#: Random items asked for the rate of false positives: with 367 documents, 73 million (item, document) pairs.
ABSENT = 200_000


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Index the genomes, ask, measure, and compare with an exact index in numpy."""
    del full  # the whole part takes seconds
    path = folder / "viruses.rambo"
    started = time.perf_counter()
    index = build(path, viruses(), by="record", items=Items(k=K), threads=threads, seed=seed, progress=progress)
    build_seconds = time.perf_counter() - started
    state = index.describe()
    genomes = _genomes()
    exact = _Exact(genomes)
    missed = _missed(index, genomes)
    rng = np.random.default_rng(seed)
    absent = rng.integers(0, 2**64, ABSENT, np.uint64)
    false = len(index.query_hashes(absent, threads=threads)[1])
    pairs = ABSENT * len(index)
    low, high = wilson(false, pairs)
    held = rng.permutation(exact.hashes)[: ABSENT // 2]
    mixed = np.concatenate([absent[: ABSENT // 2], held])
    ours, theirs = _race(index, exact, mixed)
    questions = _questions(index, genomes, rng)
    return Section(
        "rambo",
        "rambo: which of 367 virus genomes hold this?",
        f"{len(index)} genomes with {state['items']:,} distinct 31-mers in all were indexed in {build_seconds:.2f} s. "
        f"No 31-mer of any genome was missed ({missed} of {state['items']:,}). Below, a gene with one letter in a "
        "hundred changed, its reverse complement, a random sequence and a chimera of two genomes are looked up; the "
        "search asks for half of a query's 31-mers.\n\nThe baseline is an exact index in numpy: all distinct 31-mers "
        "sorted, each with the list of its genomes, looked up by binary search, one thread. It never errs, and takes "
        "the memory for it.",
        [
            Figure(
                "rambo.bytes",
                "Size of the index",
                state["bytes"] / 1e6,
                "MB",
                baseline=exact.nbytes() / 1e6,
                ratio=exact.nbytes() / state["bytes"],
                source=f"file, everything included; {state['bits_per_item']:.1f} bits a (genome, 31-mer) pair",
            ),
            Figure(
                "rambo.query_ns",
                "One 31-mer",
                ours,
                "ns",
                baseline=theirs,
                ratio=theirs / ours,
                source="half absent, half present; one thread, median of 5 batches in turn",
            ),
            Figure(
                "rambo.fpr",
                "False positives, absent 31-mers",
                1e3 * false / pairs,
                "per 1000 pairs",
                baseline=1e3 * state["planned_fpr"],
                interval=(1e3 * low, 1e3 * high),
                source=f"{pairs:,} pairs; beside it the plan; 95 % Wilson interval",
            ),
            Figure(
                "rambo.missed",
                "31-mers missed",
                missed,
                "",
                source=f"of all {state['items']:,} (genome, 31-mer) pairs",
            ),
            Figure("rambo.build_seconds", "Build", build_seconds, "s", source="reading, planning, inserting, writing"),
            Table(
                "rambo.questions",
                "Four questions",
                ["query", "31-mers", "genomes found", "best hit", "its 31-mers found", "expected by chance"],
                questions,
            ),
        ],
    )


def _genomes() -> dict[str, bytes]:
    text = lzma.decompress(viruses().read_bytes())
    out = {}
    for record in text.split(b">")[1:]:
        header, _, sequence = record.partition(b"\n")
        out[header.split()[0].decode()] = sequence.replace(b"\n", b"")
    return out


class _Exact:
    """All distinct 31-mers, sorted, each with its genomes."""

    def __init__(self, genomes: dict[str, bytes]) -> None:
        distinct = [np.unique(hash_items(sequence, Items(k=K))[0]) for sequence in genomes.values()]
        every = np.concatenate(distinct)
        owner = np.repeat(np.arange(len(distinct), dtype=np.uint16), [len(d) for d in distinct])
        order = np.argsort(every, kind="stable")
        self.hashes, first = np.unique(every[order], return_index=True)
        self.starts = np.append(first, len(every)).astype(np.uint32)
        self.owners = owner[order]

    def nbytes(self) -> int:
        return self.hashes.nbytes + self.starts.nbytes + self.owners.nbytes

    def query(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
        at = np.searchsorted(self.hashes, hashes)
        at[at == len(self.hashes)] = 0
        found = self.hashes[at] == hashes
        counts = np.where(found, self.starts[at + 1] - self.starts[at], 0).astype(np.int64)
        ends = np.cumsum(counts)
        inside = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        return ends, self.owners[np.repeat(self.starts[at].astype(np.int64), counts) + inside]


def _missed(index: RamboIndex, genomes: dict[str, bytes]) -> int:
    """(genome, 31-mer) pairs that the index does not report: every 31-mer of every genome is asked for."""
    missed = 0
    ids = {name: i for i, name in enumerate(index.documents)}
    for name, sequence in genomes.items():
        hashes, _ = hash_items(sequence, Items(k=K))
        found = int((index.query_hashes(hashes)[1] == ids[name]).sum())
        missed += len(hashes) - found
    return missed


def _race(index: RamboIndex, exact: _Exact, hashes: NDArray[np.uint64]) -> tuple[float, float]:
    """Nanoseconds an item of both, in turn: medians of five."""

    def seconds(ask: Callable[[], object]) -> float:
        started = time.perf_counter()
        ask()
        return time.perf_counter() - started

    rounds = [
        (seconds(lambda: index.query_hashes(hashes, threads=1)), seconds(lambda: exact.query(hashes))) for _ in range(5)
    ]
    ours, theirs = np.median(np.array(rounds), axis=0) * 1e9 / len(hashes)
    return float(ours), float(theirs)


def _questions(
    index: RamboIndex, genomes: dict[str, bytes], rng: np.random.Generator
) -> list[tuple[str, int, int, str, int, float]]:
    names = sorted(genomes)
    one, two = (genomes[names[i]] for i in rng.choice(len(names), 2, replace=False))
    letters = np.frombuffer(b"ACGT", np.uint8)
    at = int(rng.integers(0, len(one) - 1500))
    gene = np.frombuffer(one[at : at + 1500], np.uint8).copy()
    changed = rng.random(len(gene)) < 0.01
    gene[changed] = letters[rng.integers(0, 4, int(changed.sum()))]
    mutated = gene.tobytes()
    queries = {
        "gene of 1,500 letters, 1 % changed": mutated,
        "its reverse complement": mutated.translate(bytes.maketrans(b"ACGTacgt", b"TGCAtgca"))[::-1],
        "random sequence of 1,500 letters": letters[rng.integers(0, 4, 1500)].tobytes(),
        "chimera: 750 letters of each of two genomes": one[:750] + two[:750],
    }
    rows = []
    for name, query in queries.items():
        result = index.search(query, theta=0.5 if "chimera" not in name else 0.4)
        best = result.hits[0] if result.hits else None
        rows.append(
            (
                name,
                result.items,
                len(result.hits),
                best.document if best else "none",
                best.found if best else 0,
                round(best.expected_false, 3) if best else 0.0,
            )
        )
    return rows
