"""Text: overlaps of word 13-grams are found, and a contamination check gives the known answer.

overlap: 1,000 documents cut from novels, Wikipedia and Shakespeare. Every document is asked for 13-grams of which 0,
10, 50 or 100 % are its own and the rest are made of words that occur nowhere; what each document truly holds of a query
is counted with Python sets. All documents with half of a query must be found; those reported that hold less are false
hits. And every document is asked for itself: all its 13-grams must be found.

contamination: questions of GSM8K's test set against those of its training set, counted exactly in the corpus after the
search; ids and counts are those of contamination_expected.json. That reference knows words of ASCII only, so its count
of distinct 13-grams is compared on the corpus cut into such words beforehand.

``--planted``: one document is indexed with another text, and the corpus of training questions is cut in half.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal

from thrifty.rambo import Items, build

DOCUMENTS, N, GRAMS = 1000, 13, 100
THETA = 0.5


def words(text: str) -> list[str]:
    """Maximal runs of letters and digits, lower case."""
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())


def grams(tokens: list[str]) -> set[tuple[str, ...]]:
    return set(zip(*(tokens[i:] for i in range(N)), strict=False))


def documents(folder: Path) -> dict[str, str]:
    """All texts one after the other, cut at blanks into documents of as many words."""
    novels = [lzma.decompress((folder / "pgnovels" / "train.txt.xz").read_bytes()).decode()]
    others = ["pgnovels/valid.txt", "pgnovels/test.txt", "wikitext-2/valid.txt", "wikitext-2/test.txt"]
    texts = novels + [(folder / name).read_text() for name in [*others, "tinyshakespeare/input.txt"]]
    pieces = re.findall(r"\S+\s*", "\n".join(texts))
    bounds = np.linspace(0, len(pieces), DOCUMENTS + 1).astype(int)
    return {f"document-{i}": "".join(pieces[bounds[i] : bounds[i + 1]]) for i in range(DOCUMENTS)}


def overlaps(goal: Goal, texts: dict[str, str], folder: Path) -> None:
    tokens = {name: words(text) for name, text in texts.items()}
    holders = defaultdict(list)
    for name, own in tokens.items():
        for gram in grams(own):
            holders[gram].append(name)
    for name, text in texts.items():
        changed = goal.planted and name == "document-7"
        (folder / f"{name}.txt").write_text(text[::-1] if changed else text)
    index = build(folder / "index.rambo", folder, items=Items("text", n=N), threads=1)
    goal.row("overlap/documents", "documents in the index", f"== {DOCUMENTS}", len(index))
    counts = dict(zip(index.documents, index.item_counts().tolist(), strict=True))
    other = sum(counts[name] != len(grams(own)) for name, own in tokens.items())
    goal.row("overlap/counts", "documents whose distinct 13-grams are not those that Python counts", "== 0", other)

    rng = np.random.default_rng(goal.seed)
    whole = index.search_many(list(texts.values()), theta=1.0, threads=1)
    missed = sum(name not in {h.document for h in r.hits} for name, r in zip(texts, whole, strict=True))
    goal.row("overlap/missed", "documents not found by their own text with all its 13-grams", "== 0", missed)

    for percent in (0, 10, 50, 100):
        queries = []
        for i, own in enumerate(tokens.values()):
            # So many grams of its own in a row, and behind them as many as are left that cross into unknown words.
            run = GRAMS * percent // 100 + N - 1 if percent else 0
            at = int(rng.integers(0, len(own) - run))
            fresh = GRAMS + N - 1 - run
            queries.append(own[at : at + run] + [f"unheard{i}x{j}" for j in range(fresh)])
        results = index.search_many([" ".join(q) for q in queries], theta=THETA, threads=1)
        true = found = false = 0
        for query, result in zip(queries, results, strict=True):
            asked = grams(query)
            held = Counter(name for gram in asked for name in holders.get(gram, ()))
            right = {name for name, count in held.items() if count >= THETA * len(asked)}
            hits = {h.document: h.found for h in result.hits}
            true += len(right)
            found += sum(hits.get(name, 0) >= held[name] for name in right)
            false += len(hits.keys() - right)
        if percent >= 100 * THETA:
            what = f"of {true:,} documents that hold half of a query with {percent} % overlap, found"
            goal.row(f"overlap/recall_{percent}", what, "== 1", found / true)
        else:
            what = f"documents that hold half of a query with {percent} % overlap"
            goal.row(f"overlap/true_{percent}", what, "== 0", true)
        goal.row(
            f"overlap/false_{percent}", f"false hits of {DOCUMENTS:,} queries with {percent} % overlap", "== 0", false
        )


def contamination(goal: Goal, exam: Path, folder: Path) -> None:
    expected = json.loads((exam / "contamination_expected.json").read_text())
    questions = [json.loads(line) for line in (exam / "gsm8k_test.jsonl").read_text().splitlines()]
    corpus = exam / expected["corpus"]
    lines = gzip.decompress(corpus.read_bytes()).decode().split("\n")
    if goal.planted:
        lines = lines[len(lines) // 2 :]
        corpus = folder / "half.txt"
        corpus.write_text("\n".join(lines))
    items = Items("text", n=N, within="line")
    index = build(folder / "corpus", corpus, items=items, threads=1)
    results = index.search_many([q["question"] for q in questions], theta=1e-9, exact=corpus, threads=1)
    hits = {(q["id"], r.hits[0].found, r.items) for q, r in zip(questions, results, strict=True) if r.hits}
    known = {(hit["id"], hit["hit_ngrams"], hit["ngrams"]) for hit in expected["hits"]}
    goal.row("contamination/questions", "questions asked", f"== {expected['questions']}", len(questions))
    what = "questions found with the known counts of 13-grams after exact verification"
    goal.row("contamination/hits", what, f"== {len(known)}", len(hits & known))
    goal.row(
        "contamination/others", "questions found that are not known, or with other counts", "== 0", len(hits - known)
    )
    ascii_words = folder / "ascii.txt"
    ascii_words.write_text("\n".join(" ".join(re.findall("[a-z0-9]+", line.lower())) for line in lines))
    distinct = build(folder / "ascii", ascii_words, items=items, threads=1).item_counts()[0]
    goal.row(
        "contamination/distinct",
        "distinct 13-grams of the corpus, cut into words of ASCII",
        f"== {expected['corpus_distinct_13grams']}",
        distinct,
    )


def main() -> None:
    goal = Goal(__file__, __doc__)
    text, exam = goal.data("text"), goal.data("exam")
    with tempfile.TemporaryDirectory() as folder:
        if goal.wants("overlap"):
            (Path(folder) / "texts").mkdir()
            overlaps(goal, documents(text), Path(folder) / "texts")
        if goal.wants("contamination"):
            contamination(goal, exam, Path(folder))
    goal.end()


if __name__ == "__main__":
    main()
