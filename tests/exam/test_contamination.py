"""Questions that stand in a corpus are found, those that do not are not, however files are cut into pieces."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import DatasetError, MismatchError
from thrifty.exam import Graded, GradedAnswer, Question, contamination, corpus
from thrifty.exam.corpus import Words, pieces


def question(text: str, id_: str = "q") -> Question:
    return Question(id_, text, "", "exactMatch")


def twin(text: str, words: Words) -> set[str]:
    """N-grams by a regular expression over the whole text."""
    found = set()
    for block in text.split("\n") if words.within == "line" else [text]:
        if words.alphabet == "ascii":
            own = re.findall("[a-z0-9]+", block.lower())
        else:
            own = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", block).lower())
        found |= {" ".join(own[i : i + words.n]) for i in range(len(own) - words.n + 1)}
    return found


def test_gsm8k(data: Path) -> None:
    """Exactly what was counted apart from this code."""
    expected = json.loads((data / "exam" / "contamination_expected.json").read_text())
    lines = gzip.decompress((data / "exam" / "gsm8k_test_questions.tsv.gz").read_bytes()).decode().splitlines()
    questions = [question(text, id_) for id_, text in (line.split("\t") for line in lines)]
    found = contamination(questions, data / "exam" / "gsm8k_train_questions.txt.gz", n=13)
    hits = [{"id": h.id, "hit_ngrams": h.hit_ngrams, "ngrams": h.ngrams} for h in found.hits]
    assert hits == expected["hits"]
    assert found.corpus_distinct == expected["corpus_distinct_13grams"]
    assert found.questions == expected["questions"]
    assert found.candidates > found.verified == 23  # the filter errs, and is not believed


TEXT = st.text(st.sampled_from("abK\u212aé\u0130ß7 \n-."), max_size=200)


@given(TEXT, TEXT, st.sampled_from(["ascii", "unicode"]), st.sampled_from(["line", "document"]), st.integers(1, 4))
def test_is_what_a_regular_expression_finds(
    tmp_path_factory: pytest.TempPathFactory, asked: str, read: str, alphabet: str, within: str, n: int
) -> None:
    words = Words(n, alphabet, within)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("c") / "read.txt"
    path.write_text(read, newline="")
    own, there = twin(asked, words), twin(read, words)
    if not there:
        with pytest.raises(DatasetError, match="no .*-gram"):
            contamination([question(asked)], path, n=n, alphabet=alphabet, within=within)  # type: ignore[arg-type]
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "PIECE", 16)
        patch.setattr(corpus, "MOST", 64)
        found = contamination([question(asked)], path, n=n, alphabet=alphabet, within=within)  # type: ignore[arg-type]
    assert [h.hit_ngrams for h in found.hits] == [len(own & there)] * bool(own & there)
    assert found.corpus_distinct == len(there)
    for hit in found.hits:
        assert hit.ngrams == len(own)
        for place in hit.places:
            assert 1 <= int(place.rsplit(":", 1)[1]) <= read.count("\n") + 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress])
def test_packed_files(pack: object, tmp_path: Path) -> None:
    path = tmp_path / "read.txt.gz"
    text = b"one\n" * 40_000 + b"the quick brown fox\n"
    path.write_bytes(pack(text))  # type: ignore[operator]
    found = contamination([question("Quick, brown fox!")], tmp_path, n=3)
    assert found.hits[0].places == (f"{path}:40001",)
    assert b"".join(piece.text for piece in pieces([path], Words(3))) == text


def test_a_line_longer_than_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "read.txt"
    text = " ".join(str(i) for i in range(400_000))
    path.write_text(text)
    asked = [question(" ".join(str(j) for j in range(i, i + 13)), str(i)) for i in range(0, 399_000, 997)]
    found = contamination(asked, path)
    assert len(found.hits) == len(asked)
    assert found.corpus_distinct == 400_000 - 12


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "read.txt.gz"
    path.write_bytes(gzip.compress(b"some words of a text " * 5000)[:-20])
    with pytest.raises(DatasetError, match=r"read\.txt\.gz: can't be unpacked"):
        contamination([question("some words of a text")], path, n=2)


def test_index_is_used_again_and_refused_for_another_corpus(tmp_path: Path) -> None:
    path, index = tmp_path / "read.txt", tmp_path / "index"
    path.write_text("a b c d e\n" * 30)
    first = contamination([question("b c d")], path, n=3, index=index)
    before = index.read_bytes()
    again = contamination([question("b c d"), question("c d f", "r")], path, n=3, index=index)
    assert again.hits == first.hits
    assert index.read_bytes() == before
    with pytest.raises(MismatchError, match="3-grams.*4-grams"):
        contamination([question("b c d")], path, n=4, index=index)
    with pytest.raises(MismatchError, match="not of this corpus"):
        contamination([question("b c d")], path, n=3, index=index, alphabet="unicode")
    path.write_text("a b c d e\n" * 31)
    with pytest.raises(MismatchError, match=r"not of this corpus: .*read\.txt"):
        contamination([question("b c d")], path, n=3, index=index)


def test_accuracy_of_both_parts(tmp_path: Path) -> None:
    path = tmp_path / "read.txt"
    path.write_text("who wrote the book of love\n")
    asked = [question("Who wrote the book of love?", "a"), question("Where do all the flowers go?", "b")]
    found = contamination(asked, path, n=4)
    split = found.split(Graded((GradedAnswer("a", 0, True), GradedAnswer("b", 0, False), GradedAnswer("b", 1, None))))
    dirty, clean = split["dirty"], split["clean"]
    assert dirty is not None
    assert clean is not None
    assert (dirty.answers, dirty.correct, clean.answers, clean.correct) == (1, 1, 2, 0)
    assert clean.low == 0 < clean.high < 1
    assert contamination(asked[1:], path, n=4).split(Graded(()))["dirty"] is None


def test_arguments() -> None:
    with pytest.raises(ValueError, match="n: at least 1"):
        contamination([], ".", n=0)
    with pytest.raises(ValueError, match="alphabet: 'latin'"):
        contamination([], ".", alphabet="latin")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="within: 'file'"):
        contamination([], ".", within="file")  # type: ignore[arg-type]
