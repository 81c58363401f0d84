"""Rates of false positives: at fixed seeds, inside their binomial intervals around plan and present state."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import random_dna
from tests.rambo import twin
from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan, hash_items
from thrifty.stats import wilson


def absent(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def build(counts: list[int], *, fpr: float, multiplicity: float = 1.0, shared: int = 0, seed: int = 3) -> RamboIndex:
    """Documents of unlike items; `shared` of them hold each of 200 more items."""
    plan = RamboPlan.for_documents(counts, fpr=fpr, multiplicity=multiplicity, seed=seed)
    builder = RamboBuilder(plan)
    rng = np.random.default_rng(seed)
    owners = [set(rng.choice(len(counts), shared, replace=False)) if shared else set() for _ in range(200)]
    for d, n in enumerate(counts):
        own = [twin.mix64(10**12 + j) for j, o in enumerate(owners) if d in o]
        fresh = rng.integers(0, 2**64, n - len(own), np.uint64)
        builder.add_hashes(f"d{d}", np.concatenate([fresh, np.array(own, np.uint64)]))
    return builder.freeze()


@pytest.mark.parametrize(
    ("counts", "fpr"),
    [
        ([2000] * 60, 1e-2),
        ([2000] * 700, 3e-3),
        ([1000] * 2500, 1e-3),
        ([100 + 37 * i for i in range(400)], 1e-2),  # a spread of 150 in size
    ],
    ids=["60", "700", "2500", "spread"],
)
def test_absent_items(counts: list[int], fpr: float) -> None:
    index = build(counts, fpr=fpr)
    state = index.describe()
    queries = absent(60_000, 11)
    false = len(index.query_hashes(queries)[1])
    pairs = len(queries) * len(counts)
    # What the set bits say is exact up to sampling of the queries: a 99.99 % interval, widened by the 3 % by which
    # documents of a bucket answer together.
    low, high = wilson(false, pairs, confidence=0.9999)
    assert low * 0.97 <= state["fpr"] <= high * 1.03
    # The plan expects the load of a bucket; the documents that came have it to a few percent.
    assert 0.8 <= false / pairs / state["planned_fpr"] <= 1.25
    assert state["planned_fpr"] <= fpr * 1.0001


@pytest.mark.parametrize("holders", [1, 4, 15])
def test_items_that_others_hold(holders: int) -> None:
    """A document is wrongly reported more often for items that share its buckets: the formula says how often."""
    index = build([1000] * 800, fpr=3e-3, multiplicity=4, shared=holders)
    held = np.array([twin.mix64(10**12 + j) for j in range(200)], np.uint64)
    reported = len(index.query_hashes(held)[1])
    false, pairs = reported - 200 * holders, 200 * (800 - holders)
    (segment,) = index.describe()["segments"]
    fill = segment["fpr"] ** (1 / sum(r["hashes"] for r in segment["repetitions"]))
    expected = np.prod(
        [1 - (1 - fill ** r["hashes"]) * (1 - r["collision"]) ** holders for r in segment["repetitions"]]
    )
    # 160,000 pairs at a rate of 3e-3 and up: the standard deviation is below 5 % of the count.
    assert 0.8 <= false / pairs / expected <= 1.25


def test_repetitions_tell_documents_apart() -> None:
    """With one partition for all repetitions, documents that share a bucket would share their answers."""
    index = build([500] * 300, fpr=1e-2, multiplicity=3)
    rng = np.random.default_rng(3)
    first = rng.integers(0, 2**64, 500, np.uint64)  # the items of d0
    _, documents = index.query_hashes(first)
    counts = np.bincount(documents, minlength=300)
    assert counts.max() == 500
    assert np.sort(counts)[-2] < 100


def test_expected_false_is_calibrated_on_reads() -> None:
    """Over many reads the false positives that are expected among the items found are those that are there."""
    rng = np.random.default_rng(8)
    genomes = {f"g{i}": random_dna(rng, 3000) for i in range(400)}
    builder = RamboBuilder(RamboPlan.for_documents(2970, documents=400, fpr=5e-2, seed=2))
    for name, sequence in genomes.items():
        builder.add_sequence(name, sequence)
    index = builder.freeze()
    sets = {name: set(hash_items(s)[0].tolist()) for name, s in genomes.items()}
    reads = []
    for i in rng.integers(0, 400, 3000):
        at = int(rng.integers(0, 2900))
        read = np.frombuffer(genomes[f"g{i}"][at : at + 100], np.uint8).copy()
        hit = rng.random(len(read)) < 0.01
        read[hit] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, int(hit.sum()))]
        reads.append(read.tobytes())
    expected = seen = 0.0
    for read, result in zip(reads, index.search_many(reads, theta=0.4), strict=True):
        own = set(hash_items(read)[0].tolist())
        for hit in result.hits:
            expected += hit.expected_false
            seen += hit.found - len(own & sets[hit.document])
    assert seen > 500
    assert 0.85 <= expected / seen <= 1.15


def test_expected_false_documents_is_calibrated_on_single_items() -> None:
    index = build([1000] * 500, fpr=5e-3)
    queries = absent(4000, 5)
    results = list(index.search_hashes(queries, np.arange(1, 4001)))
    seen = sum(len(r.hits) for r in results)
    expected = sum(r.expected_false_documents for r in results)
    assert seen > 5000
    assert 0.9 <= expected / seen <= 1.1
