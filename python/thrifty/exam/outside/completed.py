"""What a file of answers does not have, from the data set that they are to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.exam.graded import Graded, GradedAnswer
from thrifty.exam.grading import GRADER, grade_answer
from thrifty.exam.outside.checked import NOT_GRADED

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.exam.question import Dataset, Question

__all__ = ["completed"]


def completed(path: Path, graded: Graded, dataset: Dataset) -> Graded:
    """Return an answer to every question: rules grade what nobody graded, what is not there counts as wrong.

    Raises
    ------
    DatasetError
        Where an answer is to no question of the data set.
    """
    known = {question.id for question in dataset}
    for answer in graded.answers:
        if answer.id not in known:
            raise DatasetError(f"{path}: {answer.id[:60]!a} is no question of {dataset.source or 'the data set'}")
    found = {(answer.id, answer.epoch): answer for answer in graded.answers}
    epochs = sorted({answer.epoch for answer in graded.answers})
    answers = []
    for question in dataset:
        for epoch in epochs:
            absent = GradedAnswer(question.id, epoch, False, status="failed", rule="not answered")
            answers.append(_completed(found.get((question.id, epoch), absent), question))
    grader = str(graded.provenance["grader"])
    if any(answer.rule == NOT_GRADED for answer in graded.answers):
        grader = GRADER if grader == NOT_GRADED else f"{grader}, else {GRADER}"
    provenance = graded.provenance | {"dataset_sha256": dataset.sha256, "grader": grader}
    return replace(graded, answers=tuple(answers), provenance=provenance, canary=dataset.canary)


def _completed(answer: GradedAnswer, question: Question) -> GradedAnswer:
    correct, rule = answer.correct, answer.rule
    if rule == NOT_GRADED and answer.status != "answered":
        correct, rule = False, answer.status
    elif rule == NOT_GRADED:
        said = grade_answer(answer.response, question.answer, question.answer_type)
        correct, rule = {"equal": True, "different": False}.get(said.verdict), said.rule
    category = question.category or question.raw_subject
    return replace(answer, correct=correct, rule=rule, category=category, cluster=question.author_name)
