"""Answers with their grades: what metrics, comparisons and reports are made from, whoever ran the exam."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Graded", "GradedAnswer"]


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """One answer to one question, graded.

    Attributes
    ----------
    id : str
        Of the question.
    epoch : int
        Which repeat, from 0.
    correct : bool or None
        None where nobody could tell: it counts as wrong, and is listed.
    confidence : float or None
        Stated probability to be right, 0 to 1; None where not stated.
    status : str
        ``"answered"``, or why there is no whole answer: ``"length"``, ``"content_filter"``, ``"failed"``.
    rule : str
        The rule, or the judge, that decided.
    category, cluster : str
        Subject for tables; and what answers that are not independent share (author, passage), empty where all are.
    response : str
        The text; empty where the source has none.
    """

    id: str
    epoch: int
    correct: bool | None
    confidence: float | None = None
    status: str = "answered"
    rule: str = ""
    category: str = ""
    cluster: str = ""
    response: str = ""


@dataclass(frozen=True, slots=True)
class Graded:
    """All graded answers of a run, in the order of (question, epoch), with where they come from.

    Attributes
    ----------
    answers : tuple of GradedAnswer
        Exactly one for each (id, epoch).
    name : str
        Of the run, for tables.
    provenance : dict
        ``model``, ``prompt_id``, ``prompt_sha256``, ``dataset_sha256``, ``grader``, ``judge``, versions: what must
        agree before runs are compared, and what a report shows.
    usage : dict
        ``prompt_tokens``, ``completion_tokens``, ``seconds`` of wall time, ``usd``: numbers, where known.
    joules, joules_source : float or None, str
        Energy of the run and the counter that told it.
    canary : str
        Not empty: texts stay out of reports.
    """

    answers: tuple[GradedAnswer, ...]
    name: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    joules: float | None = None
    joules_source: str = ""
    canary: str = ""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each answer is right, bool[n]; what nobody could grade is not."""
        return np.array([answer.correct is True for answer in self.answers], bool)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Stated confidences, float64[n] in [0, 1]; nan where not stated."""
        return np.array([np.nan if a.confidence is None else a.confidence for a in self.answers], np.float64)
