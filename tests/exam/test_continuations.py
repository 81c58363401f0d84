"""Exams of continuations give nothing away but what a model knows of the text."""

from __future__ import annotations

import lzma
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import thrifty
from thrifty.errors import DatasetError, ModelError
from thrifty.exam import continuations
from thrifty.stats import wilson

NOVELS = Path(thrifty.__file__).parent / "data" / "pairconnect"


@pytest.fixture(scope="module")
def text() -> str:
    return lzma.decompress((NOVELS / "novels.txt.xz").read_bytes()).decode()


@pytest.mark.parametrize("same_word", [False, True])
def test_options_are_alike(text: str, same_word: bool) -> None:
    half = len(text) // 2
    books = {"first": text[:half], "second": text[half:]}
    exam = continuations(books, 401, same_word=same_word, seed=3)
    plain = {name: " ".join(book.split()) for name, book in books.items()}
    assert len(exam) == 401
    counts = Counter(item.answer for item in exam)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert abs(Counter(item.book for item in exam)["first"] - 200) <= 2
    assert len({item.id for item in exam}) == 401
    for item in exam:
        book = plain[item.book]
        assert book.count(item.context + item.options[item.answer]) >= 1
        assert len(set(item.options)) == 4
        assert len({len(option) for option in item.options}) == 1
        assert 40 <= len(item.options[0]) <= 64
        assert len({option.split()[0] if same_word else option[1].isupper() for option in item.options}) == 1
        for option in item.options:
            at = book.index(option)
            assert option[0] == " "
            assert book[at + len(option) : at + len(option) + 1] in ("", " ")
        wrong = [o for i, o in enumerate(item.options) if i != item.answer]
        assert not any(item.context + option in book for option in wrong)


def test_clusters_hold_neighbours_that_share_text(text: str) -> None:
    plain = " ".join(text[:60_000].split())
    exam = continuations(plain, 400)
    at = [(plain.index(item.context + item.options[item.answer]), item) for item in exam]
    assert len({begin for begin, _ in at}) == 400
    at.sort(key=lambda pair: pair[0])
    overlapping = [(a, b) for (i, a), (j, b) in pairwise(at) if j < i + len(a.context) + len(a.options[0])]
    parted = sum(a.cluster != b.cluster for a, b in overlapping)
    assert len(overlapping) > 200
    assert parted < 0.2 * len(overlapping)
    assert max(Counter(item.cluster for item in exam).values()) == 8
    sparse = continuations(plain, 200)
    assert len({item.cluster for item in sparse}) > 190


def test_same_seed_same_exam(text: str) -> None:
    first, again, other = (continuations(text[:60_000], 50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.dataset.sha256 == again.dataset.sha256
    assert first.dataset.sha256 != other.dataset.sha256


def test_who_knows_nothing_is_right_by_chance(text: str) -> None:
    """Guesses by what an option looks like alone: all of them cover a quarter."""
    exam = continuations(text, 1000, seed=7)
    rng = np.random.default_rng(1)
    guesses = {
        "alike": lambda pairs: -np.ones(len(pairs)),
        "random": lambda pairs: -rng.random(len(pairs)),
        "short words": lambda pairs: [-float(len(o.split())) for _, o in pairs],
        "marks": lambda pairs: [-float(sum(not c.isalnum() for c in o)) for _, o in pairs],
    }
    for name, guess in guesses.items():
        right = int(exam.grade(guess, against=0).correct.sum())
        low, high = wilson(right, len(exam), confidence=0.999)
        assert low < 0.25 < high, name


def test_confidence_is_the_share_of_the_likelihood(text: str) -> None:
    exam = continuations(text[:60_000], 12)
    rng = np.random.default_rng(2)
    table = {}

    def known(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [table.setdefault(pair, -float(rng.exponential(3))) for pair in pairs]

    plain = exam.grade(known, against=0)
    for item, answer in zip(exam, plain.answers, strict=True):
        likelihoods = np.exp([table[item.context, option] for option in item.options])
        best = int(likelihoods.argmax())
        assert answer.response == "ABCD"[best]
        assert answer.correct == (best == item.answer)
        assert answer.confidence == pytest.approx(likelihoods[best] / likelihoods.sum())
    relative = exam.grade(known, against=2)
    for i, (item, answer) in enumerate(zip(exam, relative.answers, strict=True)):
        others = [exam.items[(i + shift) % 12].context for shift in (4, 8)]
        gains = [table[item.context, o] - np.mean([table[c, o] for c in others]) for o in item.options]
        assert answer.response == "ABCD"[int(np.argmax(gains))]
        assert answer.confidence == pytest.approx(np.exp(max(gains)) / np.exp(gains).sum())
    assert plain.provenance["prompt_id"] != relative.provenance["prompt_id"]


def test_asked_in_words(text: str) -> None:
    exam = continuations(text[:60_000], 5, options=3)
    for item, question in zip(exam, exam.dataset, strict=True):
        assert item.context in question.question
        lines = question.question.splitlines()[-3:]
        assert lines["ABC".index(question.answer)] == f"{question.answer}. ...{item.options[item.answer]}"


def test_refusals(text: str) -> None:
    with pytest.raises(DatasetError, match="too short"):
        continuations("Only a few words are here.", 3)
    with pytest.raises(DatasetError, match="empty"):
        continuations("", 3)
    with pytest.raises(DatasetError, match="too short for 2000 questions"):
        continuations(" ".join(f"word{i % 97}" for i in range(500)), 2000)
    with pytest.raises(DatasetError, match="no place is left that has 3 others"):
        continuations("word " * 80, 1)
    with pytest.raises(ValueError, match="n, options"):
        continuations(text, 3, options=1)
    with pytest.raises(ValueError, match="length"):
        continuations(text, 3, length=(9, 8))
    with pytest.raises(TypeError, match="text"):
        continuations(["a"], 3)  # type: ignore[arg-type]
    exam = continuations(text[:60_000], 4)
    with pytest.raises(ModelError, match="16 log-likelihoods"):
        exam.grade(lambda pairs: [-1.0], against=1)
    with pytest.raises(ModelError, match="continuation 0 is 0.5"):
        exam.grade(lambda pairs: [0.5] * len(pairs), against=1)
    with pytest.raises(ModelError, match="nan"):
        exam.grade(lambda pairs: [float("nan")] * len(pairs), against=1)
    with pytest.raises(ValueError, match="against"):
        exam.grade(lambda pairs: [-1.0] * len(pairs), against=4)
