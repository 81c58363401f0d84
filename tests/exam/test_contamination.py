"""Questions that stand in a corpus are found, those that do not are not, however files are cut into pieces."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
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


def words_of_all_scripts(text: str) -> list[str]:
    """Letter by letter: marks stay with what they are on, letters of Thai and Han are words."""
    found: list[str] = []
    state = "between"
    for character in text:
        mark = unicodedata.category(character) in ("Mn", "Mc")
        if mark and state != "between":
            found[-1] += character
        elif character.isalnum() and ("\u0e00" <= character <= "\u0eff" or "\u4e00" <= character <= "\u9fff"):
            found.append(character)
            state = "alone"
        elif mark or (character.isalnum() and state != "word"):
            found.append(character)
            state = "word"
        elif character.isalnum():
            found[-1] += character
        else:
            state = "between"
    return found


def twin(text: str, words: Words) -> set[str]:
    """N-grams by a regular expression over the whole text."""
    found = set()
    for block in text.split("\n") if words.within == "line" else [text]:
        if words.alphabet == "ascii":
            own = re.findall("[a-z0-9]+", block.lower())
        else:
            own = words_of_all_scripts(unicodedata.normalize("NFKC", block).lower())
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


LETTERS = "abK\u212aé\u0130ß7 \n-.e\u0301\u0915\u093f\u094d\u0e01\u0e34\u0e3f\u4e2d"
TEXT = st.text(st.sampled_from(LETTERS), max_size=200)


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


def zstd(text: bytes) -> bytes:
    import pyarrow

    return bytes(pyarrow.compress(text, "zstd", asbytes=True))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress, zstd])
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
    path.write_text("a b c d f\n" * 30)
    with pytest.raises(MismatchError, match=r"not of this corpus: .*read\.txt"):
        contamination([question("b c d")], path, n=3, index=index)


def test_an_index_of_files_without_ngrams_is_used_again(tmp_path: Path) -> None:
    folder, index = tmp_path / "texts", tmp_path / "index"
    folder.mkdir()
    (folder / "a.txt").write_text("a b c d e\n")
    (folder / "b.txt").write_text("tiny\n")
    first = contamination([question("b c d")], folder, n=3, index=index)
    assert contamination([question("b c d")], folder, n=3, index=index).hits == first.hits
    (folder / "b.txt").write_text("b c d\n")
    with pytest.raises(MismatchError, match=r"b\.txt differs"):
        contamination([question("b c d")], folder, n=3, index=index)


def test_the_same_file_twice_and_odd_names(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a|\xff b.txt")
    path.write_text("a b c d e\n")
    (tmp_path / "again.txt").symlink_to(path)
    found = contamination([question("b c d")], [tmp_path, path], n=3)
    assert found.corpus_bytes == 10
    assert found.hits[0].hit_ngrams == 1


SCRIPTS = {
    "Devanagari": "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e " * 8,
    "Thai": "\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 " * 8,
    "Han": "\u6211\u4eec\u5b66\u4e60\u6570\u5b66" * 9,
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_text_of_another_script_is_found_in_itself(tmp_path: Path, script: str) -> None:
    path = tmp_path / "read.txt"
    path.write_text(SCRIPTS[script])
    found = contamination([question(SCRIPTS[script])], path, alphabet="unicode")
    assert found.hits[0].hit_ngrams == found.hits[0].ngrams > 0
    assert found.foreign == 1


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "read.txt"
    path.write_bytes("some words of a text".encode("utf-16"))
    with pytest.raises(DatasetError, match=r"read\.txt: holds zero bytes"):
        contamination([question("some words of a text")], path, n=2)
    path.write_bytes(bz2.compress(b"some words of a text " * 5000)[:-9])
    with pytest.raises(DatasetError, match=r"read\.txt: can't be unpacked"):
        contamination([question("some words of a text")], path, n=2)
    path.write_bytes(b"BZh is how such files begin")
    assert contamination([question("such files begin")], path, n=2).hits[0].hit_ngrams == 2


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
