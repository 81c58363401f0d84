"""Items against the twin: every k-mer and n-gram, spelled out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rambo import twin
from thrifty.rambo import Items, hash_items


@given(st.text("ACGTacgtNnUR-\r\n", max_size=120), st.integers(1, 63))
def test_kmers_equal_the_twin(text: str, k: int) -> None:
    hashes, skipped = hash_items(text, Items(k=k))
    expected = [twin.kmer_hash(kmer) for kmer in twin.kmers(text, k)]
    assert hashes.tolist() == expected
    letters = len(text.replace("\r", "").replace("\n", ""))
    assert skipped == max(letters - k + 1, 0) - len(expected)


@given(st.text("ACGT", max_size=100), st.integers(1, 63))
def test_the_strand_does_not_matter(text: str, k: int) -> None:
    other = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert hash_items(text, Items(k=k))[0].tolist() == hash_items(other, Items(k=k))[0].tolist()[::-1]


@given(
    st.text("abcXYZ019 ,.;'\n\r-", max_size=200),
    st.integers(1, 5),
    st.sampled_from(["document", "line"]),
)
def test_ngrams_equal_the_twin(text: str, n: int, within: str) -> None:
    hashes, skipped = hash_items(text, Items("text", n=n, within=within))
    assert hashes.tolist() == [twin.ngram_hash(gram) for gram in twin.ngrams(text, n, within)]
    assert skipped == 0


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("ﬁne Ⅻ", ["fine", "xii"]),  # compatibility forms
        ("Straße ΟΔΟΣ", ["straße", "οδος"]),  # lower case with a final sigma
        ("don’t", ["don", "t"]),
        ("a\u00a0b", ["a", "b"]),
        ("", []),
    ],
)
def test_unicode_words(text: str, grams: list[str]) -> None:
    hashes, _ = hash_items(text, Items("text", n=1))
    assert hashes.tolist() == [twin.ngram_hash(gram) for gram in grams]


def test_invalid_utf8_is_no_letter() -> None:
    hashes, _ = hash_items(b"one\xff\xfetwo", Items("text", n=1))
    assert hashes.tolist() == [twin.ngram_hash("one"), twin.ngram_hash("two")]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (Items(k=0), "k: 0"),
        (Items(k=64), "k: 64"),
        (Items("text", n=0), "n: 0"),
        (Items("text", within="page"), "within: 'page'"),  # type: ignore[arg-type]
        (Items("protein"), "items: 'protein'"),  # type: ignore[arg-type]
    ],
)
def test_impossible_items_name_the_argument(items: Items, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hash_items("ACGT", items)


def test_other_types_name_the_argument() -> None:
    with pytest.raises(TypeError, match="data: str or bytes is needed, got ndarray"):
        hash_items(np.zeros(3))  # type: ignore[arg-type]
