"""``thrifty exam contamination``: which questions stand in a text that a model may have learned from."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common, exam_run
from thrifty.errors import MismatchError

if TYPE_CHECKING:
    from thrifty.exam import Contamination
    from thrifty.exam.contamination import Part

__all__ = ["contamination"]

#: Questions that are printed; with --json all are.
SHOWN = 20
#: Share of letters beyond ASCII from which on the alphabet matters.
FOREIGN = 0.02


class Alphabet(StrEnum):
    """What a word is of."""

    ascii = "ascii"
    unicode = "unicode"


class Within(StrEnum):
    """What n-grams stay within."""

    line = "line"
    document = "document"


def contamination(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Parquet, JSONL or CSV in the layout of the exam, or a folder.")
    ],
    corpus: Annotated[
        list[Path], typer.Argument(metavar="CORPUS...", help="Text files, plain, .gz, .xz or .bz2, or folders of them.")
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="Words of an n-gram.")] = 13,
    alphabet: Annotated[
        Alphabet, typer.Option("--alphabet", help="Words of a-z and 0-9, or of the letters of all scripts.")
    ] = Alphabet.ascii,
    within: Annotated[Within, typer.Option("--within", help="Whether n-grams run over line ends.")] = Within.line,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="FILE", help="Keep the index of the corpus there, or use it.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="A graded run of the data set: its accuracy on both parts is told."),
    ] = None,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Find questions that share runs of words with a corpus: an index tells where to look, and what counts is read."""
    from thrifty.exam import contamination as looked_for
    from thrifty.exam import load, read_graded

    if index is not None:
        common.writable(index.absolute(), "the index")
    exam = load(dataset)
    exam_run.remarks(exam)
    graded = None if run is None else read_graded(run)
    if graded is not None and not {answer.id for answer in graded.answers} <= {question.id for question in exam}:
        raise MismatchError(f"{run}: has answers to questions that {dataset} does not have")
    with common.progress() as progress:
        found = looked_for(
            exam,
            corpus,
            n=n,
            alphabet=alphabet.value,
            within=within.value,
            index=index,
            threads=threads,
            progress=progress,
        )
    if found.too_short:
        common.note(
            f"{found.too_short:,} questions have fewer than {n} words and can't be found; a smaller --n finds more"
        )
    if alphabet is Alphabet.ascii and found.foreign > FOREIGN:
        common.note(f"{found.foreign:.0%} of the questions' letters are not seen; --alphabet unicode sees all scripts")
    split = {} if graded is None else found.split(graded)
    if json_:
        common.emit(told(found) | {name: None if part is None else asdict(part) for name, part in split.items()})
    else:
        show(found)
        if split:
            common.table("accuracy", [(name, accuracy(part)) for name, part in split.items()])


def told(found: Contamination) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "questions": found.questions,
        "contaminated": len(found.hits),
        "n": found.words.n,
        "alphabet": found.words.alphabet,
        "within": found.words.within,
        "too_short": found.too_short,
        "corpus_bytes": found.corpus_bytes,
        "corpus_distinct_ngrams": found.corpus_distinct,
        "candidate_ngrams": found.candidates,
        "verified_ngrams": found.verified,
        "hits": [
            {"id": hit.id, "hit_ngrams": hit.hit_ngrams, "ngrams": hit.ngrams, "places": list(hit.places)}
            for hit in found.hits
        ],
    }


def accuracy(part: Part | None) -> str:
    """Say it with its interval."""
    if part is None:
        return "no answers"
    share = f"{100 * part.correct / part.answers:.2f} %"
    return f"{share} of {part.answers:,}, {100 * part.low:.2f} to {100 * part.high:.2f} %"


def show(found: Contamination) -> None:
    """Print how many, and the worst."""
    share = len(found.hits) / max(found.questions, 1)
    common.table(
        f"word {found.words.n}-grams",
        [
            ("questions", f"{found.questions:,}"),
            ("contaminated", f"{len(found.hits):,} ({share:.1%})"),
            ("n-grams of questions that the index answered for", f"{found.candidates:,}"),
            ("of them read in the corpus", f"{found.verified:,}"),
        ],
    )
    worst = sorted(found.hits, key=lambda hit: hit.hit_ngrams / hit.ngrams, reverse=True)
    rows = [(hit.id, f"{hit.hit_ngrams} of {hit.ngrams}  {', '.join(hit.places)}") for hit in worst[:SHOWN]]
    if rows:
        common.table("contaminated questions", rows)
    if len(worst) > SHOWN:
        common.note(f"{len(worst) - SHOWN:,} more; --json lists all")
