"""Laws that hold for any collection, on 600 random ones against plain Python sets; and rates as intervals.

cases: documents of random DNA, variants of each other, with other letters, in lower case, some empty; k from 5 to 63.
Counted are k-mers missed, counts other than the sum of single answers, answers that change with the reverse complement
of a query or with the order of its k-mers, documents that reach theta 1 and not 0.5, indexes that change with the order
of a document's k-mers, and k-mers missed or counted otherwise with the documents in another order.
rate: each of 100,000 absent k-mers is asked of one document drawn for it, which makes independent trials; is the
planned rate inside the exact (Clopper-Pearson) 99 % interval?

--planted leaves a k-mer or a document out, reverses without the complement, swaps the thetas, and halves the plan.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _genomes import mutated, random_dna
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.rambo import twin

from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan, hash_items
from thrifty.stats import clopper_pearson

goal = Goal(__file__, __doc__)
CASES, TRIALS = 600, 100_000
COMPLEMENT = bytes(range(256)) if goal.planted else bytes.maketrans(b"ACGTacgt", b"TGCAtgca")
LOW, HIGH = (1.0, 0.5) if goal.planted else (0.5, 1.0)
LEFT_OUT = 1 if goal.planted else 0


def collection(rng: np.random.Generator) -> dict[str, bytes]:
    """Sequences by name."""
    out: list[bytes] = []
    for _ in range(rng.integers(1, 40)):
        if out and rng.random() < 0.4:
            sequence = mutated(out[rng.integers(len(out))], 0.02, rng)
        else:
            sequence = random_dna(int(rng.integers(0, 300)), rng)
        if len(sequence) and rng.random() < 0.2:
            at = int(rng.integers(len(sequence)))
            sequence = sequence[:at] + b"NR-"[: rng.integers(1, 4)] + sequence[at:]
        out.append(sequence.lower() if rng.random() < 0.2 else sequence)
    return {f"d{i}": sequence for i, sequence in enumerate(out)}


def answers(index: RamboIndex, items: list[int]) -> list[set[str]]:
    """Names of the documents that are reported for each item."""
    starts, found = index.query_hashes(np.array(items, np.uint64), threads=1)
    return [{index.documents[d] for d in found[a:b]} for a, b in pairwise(starts.tolist())]


def missed(index: RamboIndex, sets: dict[str, set[int]]) -> int:
    """(item, document) pairs that are not reported."""
    items = sorted(set().union(*sets.values()))
    return sum(
        item in sets[name] and name not in answer
        for item, answer in zip(items, answers(index, items), strict=True)
        for name in sets
    )


def hits(index: RamboIndex, items: np.ndarray, theta: float = 0.5) -> dict[str, int]:
    """Items found in each document that reaches theta."""
    (result,) = index.search_hashes(items, [len(items)], theta=theta, threads=1)
    return {hit.document: hit.found for hit in result.hits}


def case(rng: np.random.Generator, folder: Path) -> Counter[str]:
    """Violations of each law by one collection and some queries."""
    k = int(rng.choice([5, 11, 21, 31, 32, 33, 63]))
    genomes = collection(rng)
    sets = {n: {twin.kmer_hash(x) for x in twin.kmers(s.decode(), k)} for n, s in genomes.items()}
    fpr, seed = float(rng.choice([0.3, 0.01, 1e-4])), int(rng.integers(2**63))
    plan = RamboPlan.for_documents([len(s) for s in sets.values()], fpr=fpr, seed=seed)

    def built(path: Path, parts: list[tuple[str, bytes | list[int]]]) -> RamboIndex:
        builder = RamboBuilder(plan, k=k)
        for name, content in parts:
            if isinstance(content, bytes):
                builder.add_sequence(name, content)
            else:
                builder.add_hashes(name, np.array(content, np.uint64))
        return builder.freeze(path, threads=1)

    index = built(folder / "a", list(genomes.items()))
    shuffled = [(n, rng.permutation(np.array(sorted(s), np.uint64)).tolist()) for n, s in sets.items()]
    shuffled = [(n, items[LEFT_OUT:]) for n, items in shuffled]
    built(folder / "b", shuffled)
    other = built(folder / "c", [shuffled[i] for i in rng.permutation(len(shuffled))])
    by_name = dict(zip(other.documents, other.item_counts().tolist(), strict=True))
    counts = {name: len(s) for name, s in sets.items()}
    wrong = Counter(
        {
            "missed": missed(other if goal.planted else index, sets),
            "k-mers in another order": (folder / "a").read_bytes() != (folder / "b").read_bytes(),
            "documents in another order": missed(other, sets) + (by_name != counts),
        }
    )
    for _ in range(3):
        source = genomes[f"d{rng.integers(len(genomes))}"]
        at = int(rng.integers(0, len(source) + 1))
        query = mutated(source[at : at + int(rng.integers(k, 4 * k))], 0.01, rng)
        items = np.unique(hash_items(query, index.items)[0])
        backwards = hash_items(query[::-1].translate(COMPLEMENT), index.items)[0]
        found = hits(index, items)
        single = Counter(name for answer in answers(index, items.tolist()) for name in answer)
        need = max(1, math.ceil(0.5 * len(items)))
        wrong["counts"] += found != {n: c + LEFT_OUT for n, c in single.items() if c >= need}
        wrong["reverse complement"] += found != hits(index, backwards)
        wrong["query in another order"] += found != hits(index, rng.permutation(items)[LEFT_OUT:])
        wrong["theta"] += not set(hits(index, items, HIGH)) <= set(hits(index, items, LOW))
    return wrong


def cases() -> None:
    """Rows of the laws."""
    rng = np.random.default_rng(goal.seed)
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        for _ in range(CASES):
            wrong.update(case(rng, Path(temporary)))
    for law, of in {
        "missed": "k-mers of documents that are not found in them",
        "counts": "searches that count otherwise than single answers do",
        "reverse complement": "queries that their reverse complement changes",
        "query in another order": "queries that the order of their k-mers changes",
        "theta": "queries with a hit at theta 1 that is none at 0.5",
        "k-mers in another order": "indexes that the order of a document's k-mers changes",
        "documents in another order": "k-mers missed, and counts that differ, with the documents in another order",
    }.items():
        goal.row(f"cases/{law.replace(' ', '-')}", f"{of}, of {CASES} collections", "== 0", wrong[law])


def rate() -> None:
    """Rows of planned rates against what is measured."""
    shapes = {
        "own-buckets": ([2_000] * 60, 1e-2),
        "shared-buckets": ([1_000] * 1_000, 3e-3),
        "spread": ([100 + 30 * i for i in range(400)], 1e-2),
    }
    for name, (sizes, fpr) in shapes.items():
        rng = np.random.default_rng(goal.seed)
        builder = RamboBuilder(RamboPlan.for_documents(sizes, fpr=fpr, seed=goal.seed))
        for d, size in enumerate(sizes):
            builder.add_hashes(f"d{d}", rng.integers(0, 2**64, size, np.uint64))
        index = builder.freeze(threads=1)
        starts, found = index.query_hashes(rng.integers(0, 2**64, TRIALS, np.uint64), threads=1)
        asked = np.repeat(rng.integers(0, len(sizes), TRIALS), np.diff(starts))
        false = int(np.count_nonzero(found == asked))
        low, high = clopper_pearson(false, TRIALS, confidence=0.99)
        planned = index.describe()["planned_fpr"] / (2 if goal.planted else 1)
        what = f"{len(sizes)} documents, {name}: planned rate {planned:.3g} inside {low:.3g}..{high:.3g} (1: yes)"
        goal.row(f"rate/{name}", what, "== 1", low <= planned <= high)


for part in (cases, rate):
    if goal.wants(part.__name__):
        part()
goal.end()
