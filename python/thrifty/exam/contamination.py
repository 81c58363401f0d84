"""Which questions of an exam stand in a text that a model may have learned from."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote

import numpy as np

from thrifty.errors import DatasetError, MismatchError
from thrifty.exam.corpus import Piece, Words, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from thrifty.exam.graded import Graded
    from thrifty.exam.question import Question
    from thrifty.rambo import RamboIndex

    Progress = Callable[[str, int, int], object]

__all__ = ["Contamination", "Overlap", "Part", "contamination"]

#: Pieces that are hashed together; n-grams up to which distinct ones are counted; places that are kept a question.
BATCH, COUNTED, PLACES = 256, 1 << 25, 3
#: Of an n-gram and a piece: few enough that hardly a piece is read in vain.
FPR = 1e-5


@dataclass(frozen=True, slots=True)
class Overlap:
    """A question that shares n-grams with the corpus.

    Attributes
    ----------
    id : str
    hit_ngrams, ngrams : int
        Distinct n-grams of the question that stand in the corpus, and all of them.
    places : tuple of str
        The first places, as ``file:line``.
    """

    id: str
    hit_ngrams: int
    ngrams: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Accuracy on some of the questions: ``correct`` of ``answers``, and Wilson's interval of 95 %."""

    answers: int
    correct: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Contamination:
    """What an exam shares with a corpus.

    Attributes
    ----------
    questions : int
        That were looked for; those shorter than ``n`` words can't be found.
    too_short : int
        How many those are.
    hits : tuple of Overlap
        Questions with at least one n-gram in the corpus, in the order of the exam.
    candidates, verified : int
        Distinct n-grams of the questions that the index answered for, and those that were then read in the corpus.
    corpus_bytes, corpus_distinct : int or None
        Unpacked size; distinct n-grams, where there are not too many to count. None with an index that was there.
    words : Words
        What an n-gram was.
    foreign : float
        Share of the questions' letters beyond ASCII, which the alphabet ``ascii`` does not see.
    """

    questions: int
    too_short: int
    hits: tuple[Overlap, ...]
    candidates: int
    verified: int
    corpus_bytes: int | None
    corpus_distinct: int | None
    words: Words
    foreign: float

    @property
    def dirty(self) -> frozenset[str]:
        """Ids of the questions that were found."""
        return frozenset(hit.id for hit in self.hits)

    def split(self, graded: Graded) -> dict[str, Part | None]:
        """Return the accuracy on ``clean`` and on ``dirty`` questions; None where there are none."""
        from thrifty.stats import wilson

        out: dict[str, Part | None] = {}
        for name, wanted in (("clean", False), ("dirty", True)):
            marks = [a.correct is True for a in graded.answers if (a.id in self.dirty) is wanted]
            out[name] = Part(len(marks), sum(marks), *wilson(sum(marks), len(marks))) if marks else None
        return out


def contamination(
    dataset: Iterable[Question],
    corpus: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    n: int = 13,
    alphabet: Literal["ascii", "unicode"] = "ascii",
    within: Literal["line", "document"] = "line",
    index: str | PathLike[str] | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Contamination:
    r"""Find questions that share word n-grams with a corpus.

    A RAMBO index of the corpus tells in which pieces an n-gram may stand; those pieces are read, and only what stands
    there counts. The practice is that of GPT-3 (2005.14165, appendix C), with n = 13.

    Parameters
    ----------
    dataset : iterable of Question
    corpus : path or sequence of paths
        Text files in UTF-8, plain or packed by gzip, xz, bzip2 or zstd (extra ``exam``), or folders of them.
    n, alphabet, within
        What an n-gram is, see :class:`thrifty.exam.corpus.Words`.
    index : path, optional
        File of the index: made when it is not there, else used again. Without it the index is kept in memory.
    threads : int
        0 for all cores.
    progress : callable, optional
        Called as ``progress(phase, done, total)``.

    Raises
    ------
    DatasetError
        When the corpus has no n-gram, can't be unpacked, or is no text.
    MismatchError
        When ``index`` is of another corpus, or of other n-grams.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from thrifty.exam import Question, contamination
    >>> question = Question("q", "Who was it that ate all of the cake?", "I", "exactMatch")
    >>> with TemporaryDirectory() as folder:
    ...     with open(f"{folder}/read.txt", "w") as file:
    ...         _ = file.write("They asked:\nwho was it that ate all of the CAKE\n")
    ...     found = contamination([question], f"{folder}/read.txt", n=8)
    >>> found.hits[0].hit_ngrams, found.hits[0].ngrams
    (2, 2)
    """
    from pathlib import Path

    from thrifty.rambo import Items, RamboIndex, list_inputs

    words = Words(n, alphabet, within)
    paths = list({path.resolve(): path for path, _ in list_inputs(corpus, Items("text"))[0]}.values())
    questions = [(question.id, question.question) for question in dataset]
    asked = {id_: _distinct(words, text) for id_, text in questions}
    if len(asked) < len(questions):
        raise ValueError("dataset: two questions have one id")
    file = None if index is None else Path(index)
    counted = _Corpus(paths, words)
    if file is not None and file.exists():
        opened = RamboIndex.open(file)
        _same(file, opened, counted)
    else:
        opened = counted.index(file, threads, progress)
    grams = sorted({gram for own in asked.values() for gram in own})
    candidates, wanted = _candidates(opened, grams, words, threads)
    found = _verified(counted, wanted, progress)
    hits = []
    for id_, own in asked.items():
        places = [place for gram in own for place in found.get(gram, ())]
        hit = sum(gram in found for gram in own)
        if hit:
            hits.append(Overlap(id_, hit, len(own), tuple(dict.fromkeys(places))[:PLACES]))
    letters = [c for _, text in questions for c in text if c.isalpha()]
    return Contamination(
        questions=len(questions),
        too_short=sum(not own for own in asked.values()),
        hits=tuple(hits),
        candidates=candidates,
        verified=len(found),
        corpus_bytes=counted.bytes,
        corpus_distinct=counted.distinct,
        words=words,
        foreign=sum(not c.isascii() for c in letters) / max(len(letters), 1),
    )


def _distinct(words: Words, text: str) -> dict[str, None]:
    """N-grams of a question, each once, in their order."""
    return dict.fromkeys(gram for _, gram in words.grams(text.encode(errors="replace")))


class _Corpus:
    """Files as pieces, each a document of the index."""

    def __init__(self, paths: Sequence[Path], words: Words) -> None:
        from thrifty.rambo import Items

        self.paths, self.words = paths, words
        self.items = Items("text", n=words.n, within=words.within)
        self._keys: dict[Path, str] = {}
        self.bytes: int | None = None
        self.distinct: int | None = None

    def name(self, piece: Piece) -> str:
        """Name of a piece in the index."""
        return f"{self.key(piece.path)}|{piece.number}"

    def key(self, path: Path) -> str:
        """Name of a file in the index, by which a changed corpus is noticed."""
        if path not in self._keys:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._keys[path] = f"{self.words.alphabet}|{digest[:32]}|{quote(os.fsencode(path))}"
        return self._keys[path]

    def batches(self, phase: str, progress: Progress | None) -> Iterator[list[Piece]]:
        """Yield pieces in lists."""
        total = sum(path.stat().st_size for path in self.paths)
        batch: list[Piece] = []
        read = 0
        for piece in pieces(self.paths, self.words):
            batch.append(piece)
            read += len(piece.text)
            if len(batch) == BATCH:
                yield batch
                batch = []
                if progress is not None:
                    progress(phase, min(read, total), total)
        if batch:
            yield batch

    def index(self, file: Path | None, threads: int, progress: Progress | None) -> RamboIndex:
        """Count n-grams, then put them in."""
        from thrifty.rambo import RamboBuilder, RamboPlan

        counts: dict[tuple[Path, int], int] = {}
        seen: list[NDArray[np.uint64]] | None = []
        kept = read = 0
        for batch in self.batches("count", progress):
            for piece, own in zip(batch, self._hashes(batch), strict=True):
                counts[piece.path, piece.number] = len(own)
                read += len(piece.text)
                kept += len(own)
                if seen is not None:
                    seen.append(own)
                if kept > COUNTED:
                    seen = None
        if not any(counts.values()):
            raise DatasetError(f"{self.paths[0] if self.paths else 'corpus'}: no {self.words.n}-gram of words in it")
        self.bytes = read
        self.distinct = None if seen is None else len(_sorted(np.concatenate(seen)))
        plan = RamboPlan.for_documents([count for count in counts.values() if count], fpr=FPR)
        builder = RamboBuilder(plan, items="text", n=self.words.n, within=self.words.within)
        for batch in self.batches("index", progress):
            named = [(self.name(p), self.words.plain(p.text)) for p in batch if counts[p.path, p.number]]
            builder.add_many(named, threads=threads)
        return builder.freeze(file, threads=threads)

    def may_hold(self, piece: Piece, grams: set[str]) -> bool:
        """Whether a hash of the piece is that of one of the n-grams: what the filter took for one is mostly none."""
        from thrifty.rambo import hash_many

        (own,) = self._hashes([piece])
        asked, _, _ = hash_many([self.words.plain(gram.encode()) for gram in grams], self.items)
        return bool(np.isin(asked, own).any())

    def _hashes(self, batch: list[Piece]) -> Iterator[NDArray[np.uint64]]:
        from thrifty.rambo import hash_many

        hashes, ends, _ = hash_many([self.words.plain(piece.text) for piece in batch], self.items)
        return (_sorted(part) for part in np.split(hashes, ends[:-1]))


def _sorted(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each once, ascending; numpy's own way is a hash table, which is slower here."""
    hashes = np.sort(hashes)
    return hashes[np.append(True, hashes[1:] != hashes[:-1])] if len(hashes) else hashes


def _same(file: Path, index: RamboIndex, corpus: _Corpus) -> None:
    """Refuse an index of something else."""
    are, words = index.items, corpus.words
    if (are.kind, are.n, are.within) != ("text", words.n, words.within):
        raise MismatchError(
            f"{file}: is of {are.describe()}; asked for are word {words.n}-grams within a {words.within}"
        )
    there = {name.rsplit("|", 1)[0] for name in index.documents}
    here = {corpus.key(path): path for path in corpus.paths}
    if gone := sorted(there - here.keys()):
        other = unquote(gone[0].split("|")[-1])
        raise MismatchError(f"{file}: is not of this corpus: {other} differs; take another file")
    for key, path in here.items():
        # Files without an n-gram are no documents.
        if key not in there and any(True for piece in pieces([path], words) for _ in words.grams(piece.text)):
            raise MismatchError(f"{file}: is not of this corpus: {path} differs; take another file")


def _candidates(
    index: RamboIndex, grams: list[str], words: Words, threads: int
) -> tuple[int, dict[tuple[str, int], set[str]]]:
    """Ask for all n-grams: how many may be there, and which in which piece of which file, by its key."""
    from thrifty.rambo import hash_many

    wanted: dict[tuple[str, int], set[str]] = defaultdict(set)
    if not grams:
        return 0, wanted
    hashes, ends, _ = hash_many([words.plain(gram.encode()) for gram in grams], index.items)
    if ends.tolist() != list(range(1, len(grams) + 1)):
        raise AssertionError("an n-gram is one item")
    starts, documents = index.query_hashes(hashes, threads=threads)
    names = [name.rsplit("|", 1) for name in index.documents]
    for i in np.flatnonzero(np.diff(starts)).tolist():
        for document in documents[starts[i] : starts[i + 1]].tolist():
            key, number = names[document]
            wanted[key, int(number)].add(grams[i])
    return int(np.count_nonzero(np.diff(starts))), wanted


def _verified(
    corpus: _Corpus, wanted: dict[tuple[str, int], set[str]], progress: Progress | None
) -> dict[str, list[str]]:
    """Read the pieces that may hold n-grams; return those that stand there, with their places."""
    found: dict[str, list[str]] = defaultdict(list)
    keys = {key for key, _ in wanted}
    chosen = [path for path in corpus.paths if corpus.key(path) in keys]
    for done, path in enumerate(chosen):
        if progress is not None:
            progress("verify", done, len(chosen))
        for piece in pieces([path], corpus.words):
            ours = wanted.get((corpus.key(path), piece.number))
            if ours is None or not corpus.may_hold(piece, ours):
                continue
            for line, gram in corpus.words.grams(piece.text):
                if gram in ours and len(found[gram]) < PLACES:
                    found[gram].append(f"{path}:{piece.line + line}")
    return dict(found)
