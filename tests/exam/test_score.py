"""Scores of runs: intervals, subjects, what is not graded, and what answers cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.cli.exam_score import show
from thrifty.exam import Graded, GradedAnswer, calibration_error, metrics, score
from thrifty.stats import clustered_proportion, wilson


def run(n: int = 600, epochs: int = 1, **changes: object) -> Graded:
    rng = np.random.default_rng(n)
    hard = rng.random(n) < 0.5
    answers = [
        GradedAnswer(
            f"q{i}", epoch, bool(rng.random() < (0.2 if hard[i] else 0.9)), float(rng.integers(5, 11) / 10),
            category="rare" if i < 20 else "common",
        )
        for i in range(n)
        for epoch in range(epochs)
    ]  # fmt: skip
    return dataclasses.replace(Graded(tuple(answers), "a run"), **changes)  # type: ignore[arg-type]


def test_measures_and_intervals() -> None:
    graded = run()
    found = score(graded, resamples=500)
    assert found.metrics == metrics(graded.confidence, graded.correct)
    assert found.rmsce == calibration_error(graded.confidence, graded.correct, mode="all")
    assert found.rmsce_hle == calibration_error(graded.confidence, graded.correct)
    assert (found.questions, found.epochs, found.clustered, found.undefined) == (600, 1, None, "")
    low, high = found.intervals["accuracy"]
    assert (low, high) == pytest.approx(found.metrics.wilson, abs=0.01)
    for name in ("brier", "ece", "auroc", "aurc"):
        low, high = found.intervals[name]
        assert low < getattr(found.metrics, name) < high
    assert found == score(graded, resamples=500)
    assert score(graded, resamples=0).intervals == {}


def test_repeats_are_clustered_by_question() -> None:
    graded = run(150, epochs=4)
    found = score(graded, resamples=300)
    ids = [answer.id for answer in graded.answers]
    assert (found.questions, found.epochs) == (150, 4)
    assert found.clustered == clustered_proportion(graded.correct, ids)
    assert found.clustered.high - found.clustered.low > 1.3 * (found.metrics.wilson[1] - found.metrics.wilson[0])
    low, high = found.intervals["accuracy"]
    assert high - low == pytest.approx(found.clustered.high - found.clustered.low, rel=0.25)


def test_clusters_of_the_source() -> None:
    answers = tuple(dataclasses.replace(a, cluster=f"passage {i // 5}") for i, a in enumerate(run(100).answers))
    found = score(Graded(answers), resamples=50)
    assert found.clustered is not None
    assert found.clustered.clusters == 20
    alone = tuple(dataclasses.replace(a, cluster="one") for a in answers)
    found = score(Graded(alone), resamples=50)
    assert found.clustered is None
    assert found.intervals["accuracy"][0] < found.metrics.accuracy


def test_clusters_that_are_all_right_are_not_certain() -> None:
    answers = tuple(GradedAnswer(f"q{i}", epoch, True, 0.9) for i in range(20) for epoch in range(3))
    found = score(Graded(answers, usage={"seconds": 2.0}), resamples=50)
    assert found.clustered is not None
    assert found.clustered.low == pytest.approx(wilson(20, 20)[0], abs=0.03)
    assert found.clustered.high == 1
    assert found.per_second is not None
    assert found.per_second.low == pytest.approx(30 * found.clustered.low)
    assert not any(low == high for low, high in found.intervals.values())


@given(st.integers(0, 10**6), st.integers(2, 500), st.sampled_from([3, 20, 10**6]), st.floats(0, 0.5))
def test_intervals_hold_what_is_printed(seed: int, n: int, values: int, off: float) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, values + 1, n) / values
    correct = rng.random(n) < confidence - off
    answers = zip(correct.tolist(), confidence.tolist(), strict=True)
    found = score(Graded(tuple(GradedAnswer(f"q{i}", 0, *answer) for i, answer in enumerate(answers))), resamples=60)
    for name in ("ece", "rmsce", "rmsce_hle"):
        if name in found.intervals:
            low, high = found.intervals[name]
            assert 0 <= low <= getattr(found.metrics, name) <= high


@pytest.mark.slow
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("off", [0.0, 0.02, 0.05, 0.1, 0.3])
def test_intervals_cover_the_true_calibration_error(ties: bool, off: float) -> None:
    """The truth is that of the chances with which answers were made; where it is small, what is seen is more."""
    rng = np.random.default_rng(1)
    inside, times, n = np.zeros(2), 250, 600
    for _ in range(times):
        confidence = rng.choice([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0], n) if ties else rng.beta(5, 2, n)
        chance = confidence - off
        graded = zip((rng.random(n) < chance).tolist(), confidence.tolist(), strict=True)
        found = score(Graded(tuple(GradedAnswer(f"q{i}", 0, *g) for i, g in enumerate(graded))), resamples=300)
        # Every answer is as much too sure as every other one.
        for i, name in enumerate(("ece", "rmsce")):
            low, high = found.intervals[name]
            inside[i] += low <= off <= high
    assert inside.min() / times >= 0.93


def test_subjects_and_those_with_few_answers() -> None:
    rare, common = score(run(), resamples=0).subjects
    assert (rare.name, rare.answers, rare.few) == ("rare", 20, True)
    assert (common.name, common.answers, common.few) == ("common", 580, False)
    assert (rare.low, rare.high) == wilson(rare.right, 20)


def test_what_nobody_could_grade_counts_as_wrong() -> None:
    answers = (
        GradedAnswer("a", 0, None),
        GradedAnswer("b", 0, True, 0.9),
        GradedAnswer("c", 0, False, None, status="length"),
    )
    found = score(Graded(answers), resamples=50)
    assert found.unscored == (("a", 0),)
    assert found.statuses == {"answered": 2, "length": 1}
    assert found.metrics.accuracy == pytest.approx(1 / 3)
    assert found.metrics.not_stated == 2
    assert found.rmsce_hle is None
    assert "200" in found.undefined


def test_right_answers_for_seconds_and_kilojoules() -> None:
    graded = run(usage={"seconds": 30.0}, joules=1500.0, joules_source="rapl package-0")
    found = score(graded, resamples=0)
    right = found.metrics.right
    assert found.per_second is not None
    assert found.per_kilojoule is not None
    assert found.per_second.value == right / 30
    assert found.per_kilojoule.value == pytest.approx(right / 1.5)
    assert found.per_kilojoule.source == "rapl package-0"
    assert found.per_kilojoule.low == pytest.approx(600 * found.metrics.wilson[0] / 1.5)
    nothing = score(run(usage={"seconds": 0.0}, joules=float("nan")), resamples=0)
    assert (nothing.per_second, nothing.per_kilojoule) == (None, None)


def test_people_are_shown_the_worst_subjects(capsys: pytest.CaptureFixture[str]) -> None:
    answers = tuple(
        GradedAnswer(f"q{s}-{i}", 0, i < s, category=f"subject-{s:02}") for s in range(20) for i in range(40)
    )
    found = score(Graded(answers, "a run"), resamples=0)
    show(found)
    said = capsys.readouterr()
    assert [s for s in range(20) if f"subject-{s:02}" in said.out] == list(range(15))
    assert said.out.index("subject-03") < said.out.index("subject-04")
    assert "the 15 worst of 20 subjects; --json has all" in said.err
    show(score(Graded(answers[-600:], "a run"), resamples=0))
    said = capsys.readouterr()
    assert said.out.count("subject-") == 15
    assert "subjects" not in said.err


def test_noise_of_labels() -> None:
    found = score(run(), resamples=0, label_noise=0.1)
    accuracy = found.metrics.accuracy
    assert found.label_bounds == pytest.approx((accuracy - 0.1, accuracy + 0.1))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score(Graded(()))
    with pytest.raises(ValueError, match="resamples"):
        score(run(), resamples=-1)
    with pytest.raises(ValueError, match="label_noise"):
        score(run(), label_noise=2)
