"""The grades of a run on disk, and the graded answers that they make (docs/formats.md)."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError, LockedError, MismatchError
from thrifty.exam.agreement import agreement
from thrifty.exam.asking.journal import line_of, values_of
from thrifty.exam.asking.results import MOST_BYTES, Run, open_run, write_lines
from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.percentage import states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["GRADES", "grading_of", "read_grades", "write_grades"]

GRADES, LOCK = "grades.jsonl", "grades.lock"
FORMAT, VERSION = "thrifty.exam.grades", 1
#: Bytes of a line. The first repeats the canary, others an id, with which lines of a run are read too.
MOST_LINE = 2 * MOST_BYTES
#: Answers that are listed where rules and judge disagree, and reasons why a judge had no verdict.
MOST_LISTED, MOST_REASONS = 100, 10
#: What a verdict of the rules makes of an answer; ``none`` is of one that is not whole.
CORRECT = {"equal": True, "different": False, "none": False, "abstain": None}
#: The fields of a grade, and of what a judge says.
_ROW = {
    "id": str,
    "epoch": int,
    "verdict": str,
    "rule": str,
    "gold": str,
    "answer": str,
    "confidence_percent": int | float | None,
    "judge": dict | None,
}
_JUDGE = {
    "correct": bool | None,
    "answer": str,
    "reasoning": str,
    "confidence_percent": int | float | None,
    "why": str,
}


@contextmanager
def grading_of(run: Run) -> Iterator[None]:
    """Keep others from grading the same run.

    Raises
    ------
    LockedError
        Where another process does.
    """
    file = os.open(run.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"{run.folder}: another process grades this run; wait for it") from None
        yield
    finally:
        os.close(file)


def write_grades(run: Run, about: dict[str, Any], rows: list[dict[str, Any]]) -> Graded:
    """Write the grades of a run, one for each of its answers in their order, and return what they make.

    Parameters
    ----------
    run : Run
    about : dict
        ``grader``, ``judge``, ``judge_on``.
    rows : list of dict
        With the fields that docs/formats.md names.
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "canary": run.canary,
        "results_sha256": str(run.summary.get("results_sha256", "")),
        "answers": len(rows),
        **about,
    }
    write_lines(run.folder / GRADES, (line_of(values) for values in (head, *rows)))
    return _graded(run, head, rows)


def read_grades(run: Run | str | os.PathLike[str]) -> Graded:
    """Read the grades of a run, as :func:`thrifty.exam.grade` returned them.

    Parameters
    ----------
    run : Run or path
        A run, or its folder.

    Raises
    ------
    FileNotFoundError
        Where it was not graded.
    FormatError
        Where the file is damaged or of a newer version; the message names the line.
    MismatchError
        Where the run went on since.
    """
    found = run if isinstance(run, Run) else open_run(run)
    path = found.folder / GRADES
    if not path.exists():
        raise FileNotFoundError(2, "No grades there; thrifty exam grade makes them of a run", str(path))
    lines = _lines(path)
    head = next(lines, {})
    if head.get("format") != FORMAT or not isinstance(head.get("judge"), dict):
        raise FormatError(f"{path}, line 1: it does not begin as {FORMAT} does")
    if head.get("version") != VERSION:
        raise FormatError(f"{path}: version {str(head.get('version'))[:20]!a}; this thrifty reads {VERSION}")
    rows = list(lines)
    if head.get("answers") != len(rows):
        wanted = str(head.get("answers"))[:20]
        raise FormatError(f"{path}: {len(rows)} grades, not {wanted}: cut off; grade the run again")
    before, now = head.get("results_sha256"), str(found.summary.get("results_sha256", ""))
    if before != now:
        raise MismatchError(
            f"{path}: results_sha256 {str(before)[:12]!a}, the answers have {now[:12]!a}: the run went on; "
            "grade it again"
        )
    for number, (row, answer) in enumerate(zip(rows, found.answers, strict=False), 2):
        _check(f"{path}, line {number}", row)
        if (row["id"], row["epoch"]) != (answer.id, answer.epoch):
            raise FormatError(f"{path}, line {number}: {row['id'][:60]!a} is not the answer there; grade the run again")
    if len(rows) != len(found.answers):
        raise FormatError(f"{path}: {len(rows)} grades of {len(found.answers)} answers; grade the run again")
    return _graded(found, head, rows)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE):
            number += 1
            values = values_of(line)
            if values is None:
                raise FormatError(f"{path}, line {number}: its checksum is wrong; grade the run again")
            yield values


def _check(place: str, row: dict[str, Any]) -> None:
    judge = row.get("judge")
    parts = [("", row, _ROW)] if judge is None else [("", row, _ROW), ("judge.", judge, _JUDGE)]
    for prefix, values, kinds in parts:
        for name, kind in kinds.items():
            if not isinstance(values, dict) or name not in values or not isinstance(values[name], kind):
                raise FormatError(f"{place}: field {prefix}{name} is missing or of another kind; grade the run again")
    if row["verdict"] not in CORRECT:
        raise FormatError(f"{place}: field verdict: {row['verdict'][:60]!a}; grade the run again")
    percent = row["confidence_percent"]
    if percent is not None and not 0 <= percent <= 100:
        raise FormatError(f"{place}: field confidence_percent: {percent}; grade the run again")


def _graded(run: Run, head: dict[str, Any], rows: list[dict[str, Any]]) -> Graded:
    questions = {question.id: question for question in run.questions}
    answers: list[GradedAnswer] = []
    both: list[tuple[bool, bool]] = []
    disagree: list[dict[str, Any]] = []
    for answer, row in zip(run.answers, rows, strict=True):
        question, judge = questions[answer.id], row["judge"] or {"correct": None, "confidence_percent": None}
        correct, rule = CORRECT[row["verdict"]], row["rule"]
        if correct is None and judge["correct"] is not None:
            correct, rule = judge["correct"], "judge"
        elif correct is not None and judge["correct"] is not None:
            both.append((correct, judge["correct"]))
            if correct != judge["correct"] and len(disagree) < MOST_LISTED:
                disagree.append({"id": answer.id, "epoch": answer.epoch, "rules": correct, "judge": judge["correct"]})
        percent, read = row["confidence_percent"], judge["confidence_percent"]
        # A judge that names a percentage where none is stated has made it up.
        if percent is None and read is not None and states(answer.response, read):
            percent = read
        answers.append(
            GradedAnswer(
                answer.id,
                answer.epoch,
                correct,
                confidence=None if percent is None else percent / 100,
                status=answer.status,
                rule=rule,
                category=question.category or question.raw_subject,
                cluster=question.author_name,
                response=answer.response,
            )
        )
    asked = [row["judge"] for row in rows if row["judge"] is not None]
    # Without what a reply had in the place of a verdict: that may be text of an answer.
    useless = Counter(judge["why"].partition(": ")[0] for judge in asked if judge["correct"] is None)
    compared = agreement([one for one, _ in both], [other for _, other in both])
    provenance = {
        **run.manifest,
        **{name: head.get(name) for name in ("grader", "judge", "judge_on")},
        "verdicts": dict(Counter(row["verdict"] for row in rows)),
        "decided_by": dict(Counter(answer.rule for answer in answers).most_common()),
        "judged": len(asked),
        "no_verdict": dict(useless.most_common(MOST_REASONS)),
        "agreement": None if compared is None else asdict(compared),
        "disagree": disagree,
    }
    return Graded(
        tuple(answers),
        name=run.folder.resolve().name,
        provenance=provenance,
        usage=run.usage,
        joules=run.joules,
        joules_source=run.joules_source,
        canary=run.canary,
    )
