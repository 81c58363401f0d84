"""Answers against plain Python sets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import frozen
from tests.rambo import twin
from thrifty.rambo import Items, RamboBuilder, RamboIndex, RamboPlan, hash_items


def answers(index: RamboIndex, hashes: np.ndarray) -> list[set[str]]:
    starts, documents = index.query_hashes(hashes)
    names = index.documents
    return [{names[d] for d in documents[a:b]} for a, b in pairwise(starts.tolist())]


def test_no_kmer_of_any_document_is_missed(genomes: dict[str, bytes], index: RamboIndex) -> None:
    for name, sequence in genomes.items():
        hashes, _ = hash_items(sequence)
        assert all(name in answer for answer in answers(index, hashes)), name


def test_rows_are_sorted_and_without_repeats(index: RamboIndex, genomes: dict[str, bytes]) -> None:
    starts, documents = index.query_hashes(hash_items(genomes["g2"])[0])
    for a, b in pairwise(starts.tolist()):
        assert (np.diff(documents[a:b].astype(np.int64)) > 0).all()


@st.composite
def collections(draw: st.DrawFn) -> dict[str, list[int]]:
    """Documents of few to hundreds of items, some empty, some alike, over few or many distinct items."""
    seed = draw(st.integers(0, 2**32))
    documents = draw(st.integers(1, 120))
    most = draw(st.integers(0, 300))
    universe = draw(st.sampled_from([50, 5_000, 10**9]))
    rng = np.random.default_rng(seed)
    return {
        f"d{i}": [twin.mix64(int(x)) for x in rng.integers(0, universe, int(rng.integers(0, most + 1)))]
        for i in range(documents)
    }


@given(collections(), st.sampled_from([0.3, 0.01, 1e-4]), st.integers(0, 2**63))
def test_any_collection(documents: dict[str, list[int]], fpr: float, seed: int) -> None:
    plan = RamboPlan.for_documents([len(set(d)) for d in documents.values()], fpr=fpr, seed=seed)
    builder = RamboBuilder(plan)
    for name, items in documents.items():
        builder.add_hashes(name, items)
    index = builder.freeze()
    assert sorted(index.documents) == sorted(documents)
    every = sorted({item for items in documents.values() for item in items})
    for item, answer in zip(every, answers(index, np.array(every, np.uint64)), strict=True):
        holders = {name for name, items in documents.items() if item in items}
        assert holders <= answer


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.3, 0.5, 0.8, 1.0]))
@settings(max_examples=25)
def test_found_is_the_number_of_single_answers(
    index: RamboIndex, genomes: dict[str, bytes], seed: int, theta: float
) -> None:
    """A search counts, for each document, for how many of the query's distinct items it answers."""
    rng = np.random.default_rng(seed)
    pieces = [genomes[f"g{i}"] for i in rng.integers(0, 300, 2)]
    query = b"N".join(p[(a := int(rng.integers(0, 300))) : a + int(rng.integers(31, 400))] for p in pieces)
    hashes = np.unique(hash_items(query)[0])
    counts: dict[str, int] = {}
    for answer in answers(index, hashes):
        for name in answer:
            counts[name] = counts.get(name, 0) + 1
    need = next(n for n in range(1, len(hashes) + 1) if n / len(hashes) >= theta)
    result = index.search(query, theta=theta)
    assert result.items == len(hashes)
    assert {h.document: h.found for h in result.hits} == {n: c for n, c in counts.items() if c >= need}
    assert [h.found for h in result.hits] == sorted((h.found for h in result.hits), reverse=True)
    assert all(0 <= h.expected_false <= h.found for h in result.hits)


@given(st.integers(0, 10**6))
def test_laws_of_queries(index: RamboIndex, genomes: dict[str, bytes], seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = int(rng.integers(0, 200))
    query = genomes[f"g{rng.integers(0, 300)}"][at : at + 250]
    hits = {theta: index.search(query, theta=theta).hits for theta in (0.5, 1.0)}
    assert {h.document for h in hits[1.0]} <= {h.document for h in hits[0.5]}
    complement = query[::-1].translate(bytes.maketrans(b"ACGT", b"TGCA"))
    found = [(h.document, h.found) for h in hits[0.5]]
    assert [(h.document, h.found) for h in index.search(complement, theta=0.5).hits] == found
    # The order of items does not matter.
    hashes = rng.permutation(hash_items(query)[0])
    shuffled = next(iter(index.search_hashes(hashes, [len(hashes)], theta=0.5)))
    assert [(h.document, h.found) for h in shuffled.hits] == found
    assert index.search(query, theta=0.5, top=1).hits == hits[0.5][:1]


def test_a_query_does_not_depend_on_the_others(index: RamboIndex, genomes: dict[str, bytes]) -> None:
    queries = [s[:200] for s in list(genomes.values())[:40]] + [b"", b"ACG", b"N" * 100]
    together = index.search_many(queries, theta=0.5, threads=2)
    assert together == [index.search(q, theta=0.5) for q in queries]
    assert together[-1].items == 0
    assert together[-1].hits == ()


def test_threads_and_batches_do_not_matter(index: RamboIndex) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 40_000, np.uint64)
    one = index.query_hashes(hashes, threads=1)
    for threads in (2, 3, 0):
        assert all((a == b).all() for a, b in zip(index.query_hashes(hashes, threads=threads), one, strict=True))
    parts = [index.query_hashes(part, threads=1)[1] for part in np.array_split(hashes, 17)]
    assert (np.concatenate(parts) == one[1]).all()


def test_seeds_differ_and_repeat(genomes: dict[str, bytes]) -> None:
    absent = np.random.default_rng(0).integers(0, 2**64, 20_000, np.uint64)
    few = dict(list(genomes.items())[:100])
    one, again, other = (answers(frozen(few, seed=s), absent) for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_share_of_exactly_theta_is_enough() -> None:
    builder = RamboBuilder(RamboPlan.for_documents(100, documents=2))
    items = np.random.default_rng(1).integers(0, 2**64, 100, np.uint64)
    builder.add_hashes("half", items[:55])
    index = builder.freeze()
    (result,) = index.search_hashes(items, [100], theta=0.55)  # 0.55 * 100 is above 55
    assert [hit.found for hit in result.hits] == [55]


@pytest.mark.parametrize("theta", [0.0, -1.0, 1.5, float("nan")])
def test_impossible_theta(index: RamboIndex, theta: float) -> None:
    with pytest.raises(ValueError, match="theta"):
        index.search("ACGT" * 20, theta=theta)


def test_k_of_the_index_is_used(genomes: dict[str, bytes]) -> None:
    few = dict(list(genomes.items())[:20])
    for k in (5, 32, 33, 63):
        index = frozen(few, k=k)
        assert index.items == Items(k=k)
        assert "g7" in {h.document for h in index.search(genomes["g7"], theta=1.0).hits}
