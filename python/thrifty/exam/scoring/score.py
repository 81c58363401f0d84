"""What a graded run comes to: accuracy and calibration with intervals, by subject, per second and per kilojoule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import CalibrationUndefined
from thrifty.exam.scoring.calibration import CalibrationError, calibration_error
from thrifty.exam.scoring.metrics import Metrics, metrics
from thrifty.exam.scoring.resampled import ERRORS, MEASURES, Resampled
from thrifty.stats import ClusteredMean, bca_interval, bootstrap, clustered_proportion, jackknife, norm_interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.exam.graded import Graded, GradedAnswer

__all__ = ["FEW", "Rate", "Score", "Subject", "clusters_of", "rates", "score"]

#: Widths below are rounding alone.
LEAST = 1e-12
#: Subjects with fewer answers are marked: their share says little.
FEW = 30


@dataclass(frozen=True, slots=True)
class Subject:
    """Answers of one subject: how many, how many are right, the Wilson interval, and whether they are too few."""

    name: str
    answers: int
    right: int
    accuracy: float
    low: float
    high: float
    few: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """Right answers for what they took, with the interval that the accuracy's gives."""

    value: float
    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Score:
    """Measures of a run.

    Attributes
    ----------
    name : str
        Of the run.
    questions, epochs : int
        Questions, and the most repeats of one.
    metrics : Metrics
        Of all answers; what nobody could grade counts as wrong.
    rmsce, rmsce_hle : CalibrationError or None
        Both modes with the envelope of ties; None where undefined, ``undefined`` then says why.
    clustered : ClusteredMean or None
        Accuracy with an interval that holds for answers that are not independent: of one question, or of one cluster.
    intervals : dict
        95 % bootstrap intervals (BCa, whole clusters) by measure; without those that are undefined or have no width.
        Calibration errors, which chance makes larger, have :func:`thrifty.stats.norm_interval`, that of ``rmsce_hle``
        with equal confidences shared out, and wide enough for the order of the rows.
    subjects : tuple of Subject
        In the order of their first answers.
    unscored : tuple of (str, int)
        (id, epoch) of answers that nobody could grade.
    statuses : dict
        How many answers have each status.
    per_second, per_kilojoule : Rate or None
        Right answers for a second of the run and for a kilojoule, where they are known.
    label_bounds : (float, float) or None
        Accuracy were the share ``label_noise`` of the reference answers wrong, at worst and at best.
    """

    name: str
    questions: int
    epochs: int
    metrics: Metrics
    rmsce: CalibrationError | None
    rmsce_hle: CalibrationError | None
    undefined: str
    clustered: ClusteredMean | None
    intervals: dict[str, tuple[float, float]]
    subjects: tuple[Subject, ...]
    unscored: tuple[tuple[str, int], ...]
    statuses: dict[str, int]
    per_second: Rate | None
    per_kilojoule: Rate | None
    label_bounds: tuple[float, float] | None = None


def clusters_of(answers: Sequence[GradedAnswer], others: Sequence[GradedAnswer] = ()) -> NDArray[np.str_] | None:
    """Name what each answer shares with others that it hangs together with; None where all are independent.

    ``others`` are those of another run to the same questions, which may know clusters that the first one does not. A
    cluster that all questions are in says nothing.
    """
    of = [a.cluster or b.cluster for a, b in zip(answers, others or answers, strict=True)]
    if len(set(of)) < 2:
        of = [""] * len(of)
    names = [f"cluster {c}" if c else f"question {a.id}" for a, c in zip(answers, of, strict=True)]
    return np.array(names) if len(set(names)) < len(names) else None


def score(graded: Graded, *, resamples: int = 10_000, seed: int = 0, label_noise: float = 0.0) -> Score:
    """Score a graded run.

    Parameters
    ----------
    graded : Graded
        At least one answer.
    resamples : int
        Of the bootstrap; 0 leaves its intervals out.
    seed : int
        Of the bootstrap.
    label_noise : float
        Share of reference answers that may be wrong, for ``label_bounds``.

    Raises
    ------
    ValueError
        When there is no answer, or an option is outside its range.

    Examples
    --------
    >>> from thrifty.exam import Graded, GradedAnswer, score
    >>> graded = Graded(tuple(GradedAnswer(f"q{i}", 0, i % 4 > 0, 0.9, category="maths") for i in range(40)))
    >>> found = score(graded, resamples=100)
    >>> found.metrics.accuracy, found.subjects[0].name, found.subjects[0].answers
    (0.75, 'maths', 40)
    """
    if not graded.answers:
        raise ValueError("graded: at least one answer is needed")
    if resamples < 0 or not 0 <= label_noise <= 1:
        raise ValueError(f"resamples, label_noise: 0 or more, and a share, are needed, got {resamples}, {label_noise}")
    confidence, correct = graded.confidence, graded.correct
    measured = metrics(confidence, correct)
    both: dict[str, CalibrationError | None] = {"all": None, "hle": None}
    undefined = ""
    for mode in both:
        try:
            both[mode] = calibration_error(confidence, correct, mode=mode)  # type: ignore[arg-type]
        except CalibrationUndefined as error:
            undefined = undefined or str(error)
    clusters = clusters_of(graded.answers)
    clustered = clustered_proportion(correct, clusters) if clusters is not None and len(set(clusters)) > 1 else None
    ids = [answer.id for answer in graded.answers]
    per_second, per_kilojoule = rates(graded, measured, clustered)
    statuses: dict[str, int] = {}
    for answer in graded.answers:
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    accuracy = measured.accuracy
    return Score(
        name=graded.name,
        questions=len(set(ids)),
        epochs=max(np.unique(ids, return_counts=True)[1].tolist()),
        metrics=measured,
        rmsce=both["all"],
        rmsce_hle=both["hle"],
        undefined=undefined,
        clustered=clustered,
        intervals=_intervals(confidence, correct, measured, clusters, resamples, seed) if resamples else {},
        subjects=_subjects(graded),
        unscored=tuple((answer.id, answer.epoch) for answer in graded.answers if answer.correct is None),
        statuses=statuses,
        per_second=per_second,
        per_kilojoule=per_kilojoule,
        label_bounds=(max(accuracy - label_noise, 0.0), min(accuracy + label_noise, 1.0)) if label_noise else None,
    )


def _intervals(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    measured: Metrics,
    clusters: NDArray[np.str_] | None,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    if clusters is not None and len(set(clusters)) < 2:
        return {}
    measure, n = Resampled(confidence, correct), len(correct)
    drawn = bootstrap(measure, n, resamples=resamples, clusters=clusters, seed=seed)
    left_out = jackknife(measure, n, clusters=clusters)
    values = measure(np.ones((n, 1)))[0]
    found = {}
    for i, name in enumerate(MEASURES):
        value = float(values[i])
        if name in ERRORS:
            low, high = norm_interval(drawn[:, i], value)
            shown = getattr(measured, name)
            low, high = min(low, shown), max(high, shown)
        else:
            low, high = bca_interval(drawn[:, i], value, left_out[:, i])
        if high - low > LEAST:
            found[name] = (low, high)
    return found


def _subjects(graded: Graded) -> tuple[Subject, ...]:
    counts: dict[str, list[int]] = {}
    for answer in graded.answers:
        both = counts.setdefault(answer.category, [0, 0])
        both[0] += 1
        both[1] += answer.correct is True
    return tuple(Subject(name, n, right, right / n, *wilson(right, n), n < FEW) for name, (n, right) in counts.items())


def rates(graded: Graded, measured: Metrics, clustered: ClusteredMean | None) -> tuple[Rate | None, Rate | None]:
    """Right answers for a second and for a kilojoule, each None where it is not known."""
    low, high = measured.wilson if clustered is None else (clustered.low, clustered.high)
    n, seconds, joules = measured.answers, graded.usage.get("seconds", 0.0), graded.joules or 0.0

    def rate(taken: float, source: str) -> Rate | None:
        if not (math.isfinite(taken) and taken > 0):
            return None
        return Rate(measured.right / taken, n * low / taken, n * high / taken, source)

    return rate(seconds, "wall time of the run"), rate(joules / 1000, graded.joules_source)
