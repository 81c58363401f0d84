"""Two graded runs on the same questions: whether the second one lost anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import MismatchError
from thrifty.exam.graded import Graded
from thrifty.exam.scoring.metrics import metrics
from thrifty.exam.scoring.paired import ALPHA, Decision, Word, decide
from thrifty.exam.scoring.resampled import ERRORS, MEASURES, Resampled
from thrifty.exam.scoring.score import FEW, Rate, clusters_of, rates
from thrifty.stats import bootstrap, clustered_proportion, holm, percentile_interval

if TYPE_CHECKING:
    from thrifty.exam.graded import GradedAnswer

__all__ = ["Change", "Comparison", "SubjectChange", "compare"]

#: What must be the same in both runs, where both say it.
SAME = ("dataset_sha256", "prompt_id", "prompt_sha256", "grader")
#: What tells judges apart; the same one may have another address.
SAME_JUDGE = ("model", "prompt_id", "prompt_sha256")


@dataclass(frozen=True, slots=True)
class Change:
    """One measure of both runs, second less first, and its 95 % interval by a paired bootstrap."""

    name: str
    first: float
    second: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SubjectChange:
    """Both accuracies of one subject, and the p-value of their difference, also as of all subjects' (Holm 1979)."""

    name: str
    pairs: int
    first: float
    second: float
    p: float
    p_holm: float
    few: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """A second run against a first one, paired by (id, epoch).

    Attributes
    ----------
    first, second : str
        Names of the runs.
    verdict : str
        That of ``decision``, or ``"identical"`` where all responses are equal byte by byte, and so are all grades,
        and no answer is left out.
    delta : float
        Loss of accuracy that would matter.
    first_accuracy, second_accuracy : float
        Over pairs.
    decision : Decision
        The statistics of pairs.
    texts, equal_texts : int
        Pairs that have a response in both runs, and those whose responses are equal byte by byte.
    first_diverging : str
        Id of the first question with other bytes; empty where there is none.
    changes : tuple of Change
        Measures of calibration, without those that are undefined, and without the published calibration error where
        confidences are equal.
    subjects : tuple of SubjectChange
        In the order of their first pairs.
    only_first, only_second : int
        Answers that the other run does not have: they are left out.
    unscored : (int, int)
        Answers of both runs, among the pairs, that nobody could grade: they count as wrong.
    per_second, per_kilojoule : (Rate or None, Rate or None)
        Right answers of both runs for what they took.
    """

    first: str
    second: str
    verdict: Word
    delta: float
    first_accuracy: float
    second_accuracy: float
    decision: Decision
    texts: int
    equal_texts: int
    first_diverging: str
    changes: tuple[Change, ...]
    subjects: tuple[SubjectChange, ...]
    only_first: int
    only_second: int
    unscored: tuple[int, int]
    per_second: tuple[Rate | None, Rate | None]
    per_kilojoule: tuple[Rate | None, Rate | None]

    @property
    def sentence(self) -> str:
        """The verdict in words, with what it rests on."""
        d, points = self.decision, 100 * self.delta
        if self.verdict == "identical":
            return f"identical: all {self.texts:,} responses are equal byte by byte"
        limit = f"{points:g} point" + "s" * (points != 1)
        between = f"{100 * d.score_low:+.2f} to {100 * d.score_high:+.2f}"
        gap = f"{100 * d.difference:+.2f} points, {between}, over {d.pairs:,} answers"
        if self.only_first or self.only_second:
            gap += f"; {self.only_first + self.only_second:,} answers of one run alone are left out"
        if self.verdict == "equivalent":
            return f"equivalent: accuracies differ by less than {limit} ({gap})"
        if self.verdict == "cannot tell":
            less = f"; a loss of {limit} is excluded, a gain is not" if d.p_loss < ALPHA else ""
            # With so many questions a difference near the limit is still open.
            count = (
                f"about {d.needed:,} questions" if d.needed > d.questions else f"more than {d.questions:,} questions"
            )
            return f"cannot tell: {gap}{less}; {count} would tell {limit}"
        return f"{self.verdict}: {gap} (p = {d.p:.2g})"


def compare(
    first: Graded, second: Graded, *, delta: float = 0.01, resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare two graded runs on the same questions.

    Parameters
    ----------
    first, second : Graded
        The plain system and the one that is to be as good.
    delta : float
        Loss of accuracy that would matter, a share.
    resamples, seed : int
        Of the bootstrap of calibration; 0 resamples leave it out.

    Raises
    ------
    MismatchError
        When data set, prompt, grader or judge differ, or no answer is in both; the message names the field.
    ValueError
        When a run has an answer twice, or an option is outside its range.

    Examples
    --------
    >>> from thrifty.exam import Graded, GradedAnswer, compare
    >>> plain = Graded(tuple(GradedAnswer(f"q{i}", 0, i % 4 > 0, 0.9, response=f"{i}") for i in range(40)), "plain")
    >>> compare(plain, plain, resamples=0).sentence
    'identical: all 40 responses are equal byte by byte'
    """
    if resamples < 0:
        raise ValueError(f"resamples: 0 or more are needed, got {resamples}")
    _agree(first, second)
    a, b = _paired(first, second)
    clusters = clusters_of(a.answers, b.answers)
    right = a.correct, b.correct
    decision = decide(*right, delta=delta, clusters=clusters, questions=len({answer.id for answer in a.answers}))
    pairs = list(zip(a.answers, b.answers, strict=True))
    apart = next((x.id for x, y in pairs if x.response != y.response), "")
    texts = sum(bool(x.response) and bool(y.response) for x, y in pairs)
    whole = len(pairs) == len(first.answers) == len(second.answers)
    whole = whole and all(x.response or x.status != "answered" for x in a.answers)
    same = (
        whole and bool(texts) and not apart and all(x.correct is y.correct and x.status == y.status for x, y in pairs)
    )
    (a_second, a_joule), (b_second, b_joule) = _rates(first), _rates(second)
    return Comparison(
        first=first.name,
        second=second.name,
        verdict="identical" if same else decision.verdict,
        delta=delta,
        first_accuracy=float(right[0].mean()),
        second_accuracy=float(right[1].mean()),
        decision=decision,
        texts=texts,
        equal_texts=sum(bool(x.response) and x.response == y.response for x, y in pairs),
        first_diverging=apart,
        changes=_changes(a, b, clusters, resamples, seed) if resamples else (),
        subjects=_subjects(a, b, clusters, delta),
        only_first=len(first.answers) - len(pairs),
        only_second=len(second.answers) - len(pairs),
        unscored=(sum(x.correct is None for x, _ in pairs), sum(y.correct is None for _, y in pairs)),
        per_second=(a_second, b_second),
        per_kilojoule=(a_joule, b_joule),
    )


def _agree(first: Graded, second: Graded) -> None:
    """Refuse runs that were asked or graded otherwise."""
    names = first.name or "first", second.name or "second"
    for field in SAME:
        was, now = first.provenance.get(field), second.provenance.get(field)
        if was and now and was != now:
            raise MismatchError(f"{field}: {names[0]} has {str(was)[:80]!a}, {names[1]} has {str(now)[:80]!a}")
    judges = [run.provenance.get("judge") for run in (first, second)]
    known = [
        {field: judge.get(field) for field in SAME_JUDGE} if isinstance(judge, dict) else judge for judge in judges
    ]
    if all(judges) and known[0] != known[1]:
        raise MismatchError(f"judge: {names[0]} has {str(known[0])[:120]}, {names[1]} has {str(known[1])[:120]}")
    for run, name, judge, other in zip((first, second), names, judges, judges[::-1], strict=True):
        open_ = sum(answer.correct is None for answer in run.answers)
        if other and not judge and open_:
            raise MismatchError(
                f"judge: {name} has none and {open_} answers that nobody could grade; grade both runs alike"
            )


def _paired(first: Graded, second: Graded) -> tuple[Graded, Graded]:
    """Keep answers that both runs have, in the order of the first."""
    there: list[dict[tuple[str, int], GradedAnswer]] = []
    for run in (first, second):
        there.append({(answer.id, answer.epoch): answer for answer in run.answers})
        if len(there[-1]) < len(run.answers):
            raise ValueError(f"{run.name or 'answers'}: an (id, epoch) is there twice")
    both = [key for key in there[0] if key in there[1]]
    if not both:
        raise MismatchError(f"ids: {first.name or 'first'} and {second.name or 'second'} have no answer in common")
    return Graded(tuple(there[0][key] for key in both)), Graded(tuple(there[1][key] for key in both))


def _rates(run: Graded) -> tuple[Rate | None, Rate | None]:
    clusters = clusters_of(run.answers)
    mean = None if clusters is None or len(set(clusters)) < 2 else clustered_proportion(run.correct, clusters)
    return rates(run, metrics(run.confidence, run.correct), mean)


def _changes(a: Graded, b: Graded, clusters: np.ndarray | None, resamples: int, seed: int) -> tuple[Change, ...]:
    if clusters is not None and len(set(clusters)) < 2:
        return ()
    names = MEASURES[1:]
    measures = [Resampled(run.confidence, run.correct, names) for run in (a, b)]
    n, width = len(a.answers), len(names)

    def both(counts: np.ndarray) -> np.ndarray:
        return np.concatenate([measure(counts) for measure in measures], axis=1)

    drawn = bootstrap(both, n, resamples=resamples, clusters=clusters, seed=seed)
    gaps = drawn[:, width:] - drawn[:, :width]
    values = both(np.ones((n, 1)))[0]
    found = []
    for i, name in enumerate(names):
        was, now = float(values[i]), float(values[width + i])
        if math.isnan(was) or math.isnan(now) or (name == "rmsce_hle" and (_tied(a) or _tied(b))):
            continue
        low, high = percentile_interval(gaps[:, i])
        if name in ERRORS:
            # What chance adds to an error differs between the runs: resamples have it once more than the data.
            bias = float(np.nanmean(gaps[:, i])) - (now - was)
            low, high = low - max(bias, 2 * bias), high - min(bias, 2 * bias)
        found.append(Change(name, was, now, now - was, low, high))
    return tuple(found)


def _tied(run: Graded) -> bool:
    """Whether confidences are equal: the published estimator then depends on the order of the rows."""
    stated = run.confidence[~np.isnan(run.confidence)]
    return len(np.unique(stated)) < len(stated)


def _subjects(a: Graded, b: Graded, clusters: np.ndarray | None, delta: float) -> tuple[SubjectChange, ...]:
    names = np.array([answer.category for answer in a.answers])
    order = list(dict.fromkeys(names.tolist()))
    first, second = a.correct, b.correct
    rows = []
    for name in order:
        here = names == name
        own = None if clusters is None else clusters[here]
        rows.append((name, first[here], second[here], decide(first[here], second[here], delta=delta, clusters=own).p))
    adjusted = holm([p for *_, p in rows])
    return tuple(
        SubjectChange(name, len(x), float(x.mean()), float(y.mean()), p, float(q), len(x) < FEW)
        for (name, x, y, p), q in zip(rows, adjusted, strict=True)
    )
