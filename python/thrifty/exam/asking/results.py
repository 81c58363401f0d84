"""The folder of a run: what was asked, what was answered, and what it took."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError, ThriftyError
from thrifty.exam.asking.journal import STATUSES, sync
from thrifty.exam.question import Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from thrifty.exam.asking.journal import Journal
    from thrifty.exam.question import Dataset

__all__ = [
    "JOURNAL",
    "Answer",
    "Run",
    "open_run",
    "question_lines",
    "refuse_foreign",
    "write_json",
    "write_lines",
    "write_results",
]

#: Names of the files.
MANIFEST, JOURNAL, QUESTIONS = "manifest.json", "journal.jsonl", "questions.jsonl"
RESULTS, SUMMARY = "results.jsonl", "summary.json"
#: Bytes of a line that is read back: an answer of the longest body, each of whose bytes is written as six.
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a question.

    Attributes
    ----------
    id : str
        Of the question.
    epoch : int
        Which repeat, from 0.
    response : str
        The whole text; empty where it failed.
    status : str
        ``"answered"``; ``"length"`` or ``"content_filter"`` where the model was stopped; ``"failed"``.
    finish_reason : str
        As the endpoint said it.
    prompt_tokens, completion_tokens : int or None
        As the endpoint counts them.
    error : str
        Why it failed.
    """

    id: str
    epoch: int
    response: str
    status: str
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, as its folder has it.

    Attributes
    ----------
    folder : Path
    manifest : dict
        ``dataset_sha256``, ``questions``, ``epochs``, ``prompt_id``, ``prompt_sha256``, ``model``, ``endpoint``,
        ``parameters``, ``canary``, ``source``, ``rejected``, ``thrifty``, ``questions_sha256``.
    questions : tuple of Question
        What grading needs of them; pictures and rationales are left out.
    answers : tuple of Answer
        One for each (question, epoch), in that order.
    summary : dict
        Counts, tokens, requests, time and energy.
    """

    folder: Path
    manifest: dict[str, Any]
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]
    summary: dict[str, Any]

    @property
    def usage(self) -> dict[str, float]:
        """``prompt_tokens``, ``completion_tokens``, ``seconds``, ``requests`` and ``usd``, where known."""
        names = ("prompt_tokens", "completion_tokens", "seconds", "requests", "usd")
        return {name: self.summary[name] for name in names if self.summary.get(name) is not None}

    @property
    def joules(self) -> float | None:
        """Energy of the run; None where nothing counted it."""
        return self.summary.get("joules")

    @property
    def joules_source(self) -> str:
        """What counted it."""
        return str(self.summary.get("joules_source", ""))

    @property
    def canary(self) -> str:
        """Not empty: texts stay out of reports."""
        return str(self.manifest.get("canary", ""))


#: Fields of a question that a run keeps, since graders and tables need them.
KEPT = ("id", "question", "answer", "answer_type", "category", "raw_subject", "author_name", "canary")


#: What manifests and summaries hold: counts, numbers, texts.
_COUNTS = (*STATUSES, "requests", "prompt_tokens", "completion_tokens")
_HASHES = ("dataset_sha256", "questions_sha256", "prompt_sha256")
_TEXTS = (*_HASHES, "prompt_id", "model", "endpoint", "canary", "source", "thrifty")
_MANIFEST: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_TEXTS, (str,)),
    **dict.fromkeys(("questions", "epochs", "rejected"), (int,)),
    "parameters": (dict,),
}
_SUMMARY: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_COUNTS, (int,)),
    **dict.fromkeys(("results_sha256", "joules_source", "canary"), (str,)),
    **dict.fromkeys(("seconds", "cpu_seconds"), (float, int)),
    **dict.fromkeys(("joules", "usd"), (float, int, type(None))),
}


def question_lines(dataset: Dataset) -> Iterator[bytes]:
    """Yield what grading needs of questions, a line each."""
    for question in dataset:
        yield _line({name: getattr(question, name) for name in KEPT})


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that has files of a run's names, but no run.

    Raises
    ------
    FormatError
        The message names the file.
    """
    journal = folder / JOURNAL
    if journal.exists() and journal.stat().st_size:
        return
    for name in (MANIFEST, QUESTIONS, RESULTS, SUMMARY):
        if (folder / name).exists():
            raise FormatError(f"{folder / name}: it is there without the journal of a run; give another folder")


def write_json(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write one object, for people too."""
    write_lines(folder / name, [json.dumps(values, indent=2, allow_nan=False).encode() + b"\n"])


def write_results(folder: Path, dataset: Dataset, epochs: int, journal: Journal) -> dict[str, Any]:
    """Write the answers in the order of (question, epoch), without times; return counts and sums.

    The summary goes away before: it is of other answers.
    """
    counts = dict.fromkeys(STATUSES, 0)
    sums = {"requests": journal.requests, "prompt_tokens": 0, "completion_tokens": 0}
    digest = hashlib.sha256()

    def rows() -> Iterator[bytes]:
        for question in dataset:
            for epoch in range(epochs):
                values = journal.read((question.id, epoch))
                counts[values["status"]] += 1
                for name in ("prompt_tokens", "completion_tokens"):
                    sums[name] += values[name] or 0
                row = {name: values[name] for name in Answer.__dataclass_fields__}
                line = _line({**row, "canary": question.canary} if question.canary else row)
                digest.update(line)
                yield line

    with contextlib.suppress(FileNotFoundError):
        (folder / SUMMARY).unlink()
        sync(folder)
    write_lines(folder / RESULTS, rows())
    return {**counts, **sums, "results_sha256": digest.hexdigest()}


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, allow_nan=False).encode() + b"\n"


def write_lines(path: Path, pieces: Iterable[bytes]) -> None:
    """Write beside a file that only its owner reads, sync, rename."""
    partial = path.with_name(path.name + ".partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with open(os.open(partial, flags, 0o600), "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open the folder of a finished run.

    Raises
    ------
    ThriftyError
        Where the run is not finished.
    FormatError
        Where a file is not what a run writes, or was changed since; the message names file and line or field.
    FileNotFoundError
        Where no run is there.
    """
    folder = Path(folder)
    manifest = _object(folder / MANIFEST, _MANIFEST)
    if not (folder / RESULTS).exists() or not (folder / SUMMARY).exists():
        raise ThriftyError(f"{folder}: its run is not finished; the command that began it goes on")
    summary = _object(folder / SUMMARY, _SUMMARY)
    hashes = hashlib.sha256(), hashlib.sha256()
    questions = tuple(_made(folder / QUESTIONS, Question, KEPT, hashes[0]))
    answers = tuple(_made(folder / RESULTS, Answer, tuple(Answer.__dataclass_fields__), hashes[1]))
    found = [(answer.id, answer.epoch) for answer in answers]
    epochs = manifest["epochs"]
    if len(found) != len(questions) * epochs or found != [
        (one.id, epoch) for one in questions for epoch in range(epochs)
    ]:
        raise FormatError(f"{folder / RESULTS}: its answers are not those to {QUESTIONS}; run the same command again")
    named = (QUESTIONS, MANIFEST, manifest["questions_sha256"]), (RESULTS, SUMMARY, summary["results_sha256"])
    for digest, (name, by, wanted) in zip(hashes, named, strict=True):
        if digest.hexdigest() != wanted:
            raise FormatError(f"{folder / name}: it was changed, {by} names another hash; run the same command again")
    return Run(folder, manifest, questions, answers, summary)


def _object(path: Path, kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes()[: MOST_BYTES + 1])
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise FormatError(f"{path}: it is no JSON object")
    for name, kind in kinds.items():
        value = values.get(name)
        if name not in values and name != "usd":
            raise FormatError(f"{path}: {name} is missing")
        if name in values and type(value) not in kind:
            raise FormatError(f"{path}: {name} is {type(value).__name__}, not {kind[0].__name__}")
        if isinstance(value, (int, float)) and not 0 <= value < math.inf:
            raise FormatError(f"{path}: {name} is out of range; 0 or more")
    return values


def _made(path: Path, kind: Any, names: tuple[str, ...], digest: Any) -> Iterator[Any]:
    """Yield an object a line, each of whose fields is of the type that the field's default has; hash the lines."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_BYTES):
            number += 1
            digest.update(line)
            try:
                values = json.loads(line)
                chosen = {name: values[name] for name in names}
            except (ValueError, RecursionError, KeyError, TypeError) as error:
                what = f"{error} is missing" if isinstance(error, KeyError) else "it is no JSON object"
                raise FormatError(f"{path}, line {number}: {what}") from None
            for name, value in chosen.items():
                count = name == "epoch" or name.endswith("_tokens")
                if type(value) is not (int if count else str) and not (value is None and name.endswith("_tokens")):
                    raise FormatError(f"{path}, line {number}: {name} is {type(value).__name__}")
            yield kind(**chosen)
