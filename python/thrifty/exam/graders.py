"""Grading a run: by rules, and by a judge where they can't tell."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from thrifty.exam.asking.results import Run, open_run
from thrifty.exam.grades import grading_of, write_grades
from thrifty.exam.grading import GRADER, grade_answer, parse_confidence
from thrifty.exam.maths.workers import WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from thrifty.exam.asking.results import Answer
    from thrifty.exam.graded import Graded
    from thrifty.exam.judging import Judge
    from thrifty.exam.question import Question

__all__ = ["JUDGE_ON", "grade"]

#: What a judge is asked about.
JUDGE_ON = ("abstain", "all", "never")
JUDGEMENTS = "judgements.jsonl"
#: Letters that are kept of what rules compared.
MOST_KEPT = 1_000


def grade(
    run: Run | str | PathLike[str],
    *,
    judge: Judge | None = None,
    judge_on: str = "abstain",
    progress: Callable[[str, int, int], object] | None = None,
) -> Graded:
    """Grade the answers of a run and keep the grades in its folder.

    Rules decide where they can. An answer that is not whole (cut off, filtered, failed) is wrong. What rules can't tell
    is asked of the judge; what it can't tell either stays unscored: listed, and counted as wrong.

    Parameters
    ----------
    run : Run or path
        A run, or its folder.
    judge : Judge, optional
        Its canaries are asked first.
    judge_on : str
        ``"abstain"``: it is asked where rules can't tell. ``"all"``: about every whole answer; rules still decide where
        they can, and how far both agree is told. ``"never"``.
    progress : callable, optional
        Hears what is done (``"rules"``, ``"judge"``), how much and of how much.

    Returns
    -------
    Graded
        ``provenance`` has, beside what was run: ``grader``, ``judge`` (empty, or its ``model``, ``endpoint``,
        ``prompt_id``, ``prompt_sha256``), ``judge_on``, counts of ``verdicts`` and of ``decided_by``, ``judged``,
        ``no_verdict`` (why replies of the judge were of no use, and how many), ``agreement``, ``disagree`` (the first
        100 answers on which rules and judge do) and, of this call alone, ``judge_used``: ``requests``,
        ``prompt_tokens`` and ``completion_tokens`` of the judge.

    Raises
    ------
    ValueError
        For another ``judge_on``.
    ModelError
        Where the judge does not call every canary wrong; grades that were there stay.
    EndpointError
        Where the judge does not answer; judgements so far are kept for the next call.
    LockedError
        Where another process grades the same run.

    Examples
    --------
    >>> import tempfile
    >>> from thrifty.exam import Dataset, Question, grade, run
    >>> exam = Dataset((Question("q1", "How many legs has a spider?", "8", "exactMatch"),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     graded = grade(run(exam, lambda messages: "Answer: eight", folder))
    >>> graded.answers[0].correct
    True
    """
    if judge_on not in JUDGE_ON:
        raise ValueError(f"judge_on: {str(judge_on)[:60]!a} is none of {', '.join(JUDGE_ON)}")
    found = run if isinstance(run, Run) else open_run(run)
    with grading_of(found):
        return _grade(found, judge, judge_on, progress)


def _grade(
    found: Run, judge: Judge | None, judge_on: str, progress: Callable[[str, int, int], object] | None
) -> Graded:
    questions = {question.id: question for question in found.questions}
    rows = []
    for number, answer in enumerate(found.answers, 1):
        rows.append(_by_rules(questions[answer.id], answer))
        if progress is not None:
            progress("rules", number, len(found.answers))
    asking = judge if judge_on != "never" else None
    used: dict[str, Any] = {}
    if asking is not None:
        wanted = ("abstain",) if judge_on == "abstain" else ("abstain", "equal", "different")
        before = dict(asking.used)
        _by_judge(found, rows, [n for n, row in enumerate(rows) if row["verdict"] in wanted], asking, progress)
        now = asking.used.items()
        used = {"judge_used": {name: None if count is None else count - (before[name] or 0) for name, count in now}}
    about = {
        "grader": GRADER,
        "judge": {} if asking is None else asking.identity,
        "judge_on": "never" if asking is None else judge_on,
    }
    graded = write_grades(found, about, rows)
    return replace(graded, provenance=graded.provenance | used)


def _by_rules(question: Question, answer: Answer) -> dict[str, Any]:
    """Return a grade as it is kept, without what a judge says."""
    row: dict[str, Any] = {"id": answer.id, "epoch": answer.epoch, "verdict": "none", "rule": answer.status}
    row |= {"gold": "", "answer": "", "confidence_percent": None, "judge": None}
    if answer.status != "answered" or not answer.response.strip():
        row["rule"] = "empty" if answer.status == "answered" else answer.status
        row["confidence_percent"] = parse_confidence(answer.response)
        return row
    cold = WORKERS.cold
    said = grade_answer(answer.response, question.answer, question.answer_type)
    if WORKERS.cold > cold and WORKERS.warm():
        # Its time went into the start of a worker.
        said = grade_answer(answer.response, question.answer, question.answer_type)
    row |= {"verdict": said.verdict, "rule": said.rule, "confidence_percent": said.confidence_percent}
    return row | {"gold": said.gold_normalised[:MOST_KEPT], "answer": said.answer_normalised[:MOST_KEPT]}


def _by_judge(
    run: Run,
    rows: list[dict[str, Any]],
    asked: list[int],
    judge: Judge,
    progress: Callable[[str, int, int], object] | None,
) -> None:
    """Add what a judge says to the rows of these numbers."""
    from thrifty.exam.judging.judge import Asked
    from thrifty.exam.judging.kept import Kept

    if not asked:
        return
    questions = {question.id: question for question in run.questions}
    items = []
    for number in asked:
        question = questions[run.answers[number].id]
        items.append(Asked(question.question, question.answer, run.answers[number].response))
    told = None if progress is None else lambda done, of: progress("judge", done, of)
    judge.check()
    with Kept(run.folder / JUDGEMENTS, run.canary) as kept:
        said = judge.ask(items, kept=kept, progress=told)
    for number, judgement in zip(asked, said, strict=True):
        # Without how often it was asked: the same grades are the same bytes.
        rows[number]["judge"] = {name: value for name, value in asdict(judgement).items() if name != "attempts"}
