"""Text: planted overlaps are found, and the contamination check gives the known answer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests.rambo import twin
from thrifty.rambo import Items, RamboIndex, build


def documents(rng: np.random.Generator, count: int) -> dict[str, list[str]]:
    vocabulary = [f"w{i}" for i in range(3000)]
    return {f"doc{i}": [vocabulary[j] for j in rng.zipf(1.3, 400) % 3000] for i in range(count)}


def test_planted_overlaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    docs = documents(rng, 300)
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, words in docs.items():
        (folder / f"{name}.txt").write_text(" ".join(words).capitalize() + ".\n")
    index = build(tmp_path / "i", folder, items=Items("text", n=13))
    assert sorted(index.documents) == sorted(docs)
    names = list(docs)
    for share in (0.0, 0.1, 0.5, 1.0):
        for i in range(50):
            own = docs[names[i]]
            overlap = int(share * 100) + (12 if share else 0)
            fresh = [f"x{i}y{j}" for j in range(112 - min(overlap, 112))]
            query = " ".join(own[50 : 50 + min(overlap, 112)] + fresh)
            hits = index.search(query, theta=0.5).hits
            if share >= 0.5:
                assert names[i] in {h.document for h in hits}
            else:
                assert hits == ()


@pytest.mark.parametrize("by", ["file", "record"])
def test_contamination_of_gsm8k(by: str, data: Path, tmp_path: Path) -> None:
    """Exactly the questions and counts that were computed apart from this code."""
    expected = json.loads((data / "exam" / "contamination_expected.json").read_text())
    corpus = data / "exam" / "gsm8k_train_questions.txt.gz"
    lines = gzip.decompress((data / "exam" / "gsm8k_test_questions.tsv.gz").read_bytes()).decode().splitlines()
    ids, questions = zip(*(line.split("\t") for line in lines), strict=True)
    index = build(
        tmp_path / "i",
        corpus,
        by=by,
        items=Items("text", n=13, within="line"),
        fpr=1e-3,  # type: ignore[arg-type]
    )
    if by == "file":
        # The reference counted letters of ASCII only; lines of ASCII are all but 308.
        corpus_lines = gzip.decompress(corpus.read_bytes()).decode().split("\n")
        ascii_only = tmp_path / "ascii.txt"
        ascii_only.write_text("\n".join(line if line.isascii() else "" for line in corpus_lines))
        plain = build(tmp_path / "a", ascii_only, items=Items("text", n=13, within="line"))
        distinct = {g for line in corpus_lines if line.isascii() for g in twin.ngrams(line, 13, "line")}
        assert plain.item_counts().tolist() == [len(distinct)]
        assert 0 <= expected["corpus_distinct_13grams"] - index.item_counts()[0] < 20
    else:
        assert len(index) == 7473
        assert index.documents != sorted(index.documents)  # ids follow buckets; names are what counts
    results = index.search_many(questions, theta=1e-9, exact=corpus)
    hits = []
    for name, question, result in zip(ids, questions, results, strict=True):
        assert result.items == len(set(twin.ngrams(question, 13, "line")))
        if result.hits:
            # By record the overlap may be spread over lines; each line's count is exact.
            hits.append({"id": name, "hit_ngrams": result.hits[0].found, "ngrams": result.items})
    assert hits == expected["hits"]
    assert expected["questions"] == len(questions)


def test_lines_of_files_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("the first line of three\nthe second line\n\nthe last line of all")
    index = build(tmp_path / "i", path, by="record", items=Items("text", n=2))
    assert sorted(index.documents) == ["notes:1", "notes:2", "notes:3", "notes:4"]
    assert [h.document for h in index.search("second line", theta=1.0).hits] == ["notes:2"]
    assert {h.document for h in index.search("LAST line of", theta=1.0).hits} == {"notes:4"}


def test_ngrams_over_lines_only_within_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one two\nthree four\n")
    over = build(tmp_path / "d", path, items=Items("text", n=3))
    inside = build(tmp_path / "l", path, items=Items("text", n=3, within="line"))
    assert over.item_counts().tolist() == [2]
    assert inside.item_counts().tolist() == [0]
    assert over.search("two three four").hits
    assert not inside.search("two three four").hits


def test_exact_needs_the_documents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name} says the same words as the other")
    index = build(tmp_path / "i", [tmp_path / "a.txt", tmp_path / "b.txt"], items=Items("text", n=3))
    query = "says the same words as"
    assert len(index.search(query, exact=[tmp_path / "a.txt", tmp_path / "b.txt"]).hits) == 2
    with pytest.raises(ValueError, match="document 'b' has a hit and is not in the files"):
        index.search(query, exact=tmp_path / "a.txt")


def test_exact_drops_false_hits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    docs = {f"d{i}": [f"w{j}" for j in rng.integers(0, 10**6, 300)] for i in range(60)}
    for name, words in docs.items():
        (tmp_path / f"{name}.txt").write_text(" ".join(words))
    files = [tmp_path / f"{name}.txt" for name in docs]
    index: RamboIndex = build(tmp_path / "i", files, items=Items("text", n=1), fpr=0.3)
    sets = {name: set(words) for name, words in docs.items()}
    query = docs["d7"][:20] + [f"v{i}" for i in range(20)]
    loose = index.search(" ".join(query), theta=0.4).hits
    exact = index.search(" ".join(query), theta=0.4, exact=files).hits
    assert len(loose) > len(exact)
    truth = {n: len(s & set(query)) for n, s in sets.items() if len(s & set(query)) >= 16}
    assert {h.document: h.found for h in exact} == truth
    assert all(h.expected_false == 0 for h in exact)
    assert len(index.search(" ".join(query), theta=0.4, top=1, exact=files).hits) == 1
