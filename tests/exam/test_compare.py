"""Verdicts of pairs: words for what is there, how often they err, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.cli.exam_compare import show
from thrifty.errors import MismatchError
from thrifty.exam import Decision, Graded, GradedAnswer, compare, decide, metrics, score
from thrifty.stats import equivalence_trials, paired_difference, paired_trials


def graded(correct: np.ndarray, name: str = "plain", **changes: object) -> Graded:
    """A run of one subject in two, with confidences."""
    rng = np.random.default_rng(len(correct))
    confidence = rng.integers(50, 101, len(correct)) / 100
    answers = [
        GradedAnswer(f"q{i}", 0, bool(y), float(c), category=("maths", "law")[i % 2], response=f"Answer: {i} {y}")
        for i, (y, c) in enumerate(zip(correct, confidence, strict=True))
    ]
    return dataclasses.replace(Graded(tuple(answers), name), **changes)  # type: ignore[arg-type]


def flipped(correct: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    """Right answers made wrong: this share of all."""
    out = correct.copy()
    right = np.random.default_rng(seed).permutation(np.flatnonzero(correct))
    out[right[: round(share * len(correct))]] = False
    return out


PLAIN = np.random.default_rng(3).random(1140) < 0.6


def test_the_same_bytes_are_identical() -> None:
    found = compare(graded(PLAIN), graded(PLAIN, "twin"), resamples=200)
    assert (found.verdict, found.texts, found.equal_texts, found.first_diverging) == ("identical", 1140, 1140, "")
    assert all(change.difference == change.low == change.high == 0 for change in found.changes)
    assert [change.name for change in found.changes][:3] == ["mean_confidence", "brier", "ece"]


def test_other_grades_of_the_same_bytes_are_not_identical() -> None:
    first = graded(PLAIN)
    other = dataclasses.replace(first.answers[5], correct=not first.answers[5].correct)
    second = Graded((*first.answers[:5], other, *first.answers[6:]))
    assert compare(first, second, resamples=0).verdict == "equivalent"


def test_without_texts_nothing_is_identical() -> None:
    run = Graded(tuple(dataclasses.replace(answer, response="") for answer in graded(PLAIN).answers))
    found = compare(run, run, resamples=0)
    assert (found.verdict, found.texts) == ("equivalent", 0)
    part = Graded((*graded(PLAIN).answers[:500], *run.answers[500:]))
    assert compare(part, part, resamples=0).verdict == "equivalent"
    failed = Graded((*part.answers[:500], *(dataclasses.replace(a, status="failed") for a in part.answers[500:])))
    assert compare(failed, failed, resamples=0).verdict == "identical"


def test_a_twin_with_flipped_answers_lost_accuracy() -> None:
    found = compare(graded(PLAIN), graded(flipped(PLAIN, 0.03), "cheap"), resamples=200)
    assert found.verdict == "lost accuracy"
    assert found.decision.p_exact < 0.01
    assert found.decision.difference == pytest.approx(-34 / 1140)
    assert found.decision.low < found.decision.difference < found.decision.high < 0
    assert found.first_diverging
    assert "lost accuracy" in found.sentence
    assert [subject.name for subject in found.subjects] == ["maths", "law"]
    assert all(subject.p <= subject.p_holm <= 1 for subject in found.subjects)
    back = compare(graded(flipped(PLAIN, 0.03), "cheap"), graded(PLAIN), resamples=0)
    assert back.verdict == "gained accuracy"
    assert back.decision.difference == -found.decision.difference


def test_people_are_shown_the_subjects_that_changed(capsys: pytest.CaptureFixture[str]) -> None:
    def by_subject(lost: int, name: str) -> Graded:
        """The subject with the highest number loses most."""
        answers = [
            GradedAnswer(f"q{s}-{i}", 0, i >= s * lost, category=f"subject-{s:02}")
            for s in range(20)
            for i in range(40)
        ]
        return Graded(tuple(answers), name)

    show(compare(by_subject(0, "plain"), by_subject(2, "cheap"), resamples=0))
    said = capsys.readouterr()
    assert [s for s in range(20) if f"subject-{s:02}" in said.out] == list(range(5, 20))
    assert said.out.index("subject-19") < said.out.index("subject-18")
    assert "the 15 of 20 subjects that changed most clearly; --json has all" in said.err


def test_few_answers_cannot_tell() -> None:
    found = compare(graded(PLAIN[:60]), graded(PLAIN[60:120], "other"), resamples=0)
    assert found.verdict == "cannot tell"
    assert found.decision.needed > 10_000
    assert f"{found.decision.needed:,}" in found.sentence
    tenth = decide(np.arange(400) % 20 > 0, np.arange(400) % 20 < 19)
    assert tenth.needed == max(equivalence_trials(0.01, 0.1), paired_trials(0.01, 0.1))


def test_changes_of_calibration_come_with_intervals() -> None:
    first = graded(PLAIN)
    sure = tuple(dataclasses.replace(answer, confidence=1.0) for answer in first.answers)
    found = {change.name: change for change in compare(first, Graded(sure, "sure"), resamples=500).changes}
    brier = found["brier"]
    assert brier.first == pytest.approx(metrics(first.confidence, first.correct).brier)
    assert brier.second == pytest.approx(1 - PLAIN.mean())
    assert brier.low < brier.difference < brier.high
    assert brier.low > 0
    silent = tuple(dataclasses.replace(answer, confidence=None) for answer in first.answers)
    assert compare(first, Graded(silent), resamples=100).changes == ()


def test_one_name_has_one_value() -> None:
    """The published calibration error of equal confidences depends on their order: resamples have another one."""
    first = graded(PLAIN)
    assert "rmsce_hle" not in {change.name for change in compare(first, first, resamples=50).changes}
    distinct = tuple(
        dataclasses.replace(answer, confidence=(i + 1) / 2000) for i, answer in enumerate(first.answers[::-1])
    )
    run = Graded(distinct)
    (change,) = [c for c in compare(run, run, resamples=50).changes if c.name == "rmsce_hle"]
    assert change.first == pytest.approx(score(run, resamples=0).metrics.rmsce_hle)
    assert "rmsce_hle" not in {c.name for c in compare(run, first, resamples=50).changes}


def test_a_difference_of_errors_lies_in_its_interval() -> None:
    """One system is calibrated, so that chance alone makes its error; the other one is not."""
    rng = np.random.default_rng(6)
    for _ in range(20):
        chance = rng.beta(5, 2, 500)
        both = []
        for off in (0.0, 0.2):
            right = rng.random(500) < chance - off
            both.append(Graded(tuple(GradedAnswer(f"q{i}", 0, bool(y), float(chance[i])) for i, y in enumerate(right))))
        for change in compare(*both, resamples=200).changes:
            if change.name in ("ece", "rmsce"):
                assert change.low < change.difference < change.high
                assert change.low < 0.2 < change.high or change.high < 0.25


@pytest.mark.parametrize("field", ["dataset_sha256", "prompt_id", "prompt_sha256", "grader"])
def test_what_must_agree(field: str) -> None:
    with pytest.raises(MismatchError, match=f"{field}.*'one'.*'two'"):
        compare(graded(PLAIN, provenance={field: "one"}), graded(PLAIN, provenance={field: "two"}))
    assert compare(graded(PLAIN, provenance={field: "one"}), graded(PLAIN), resamples=0).verdict == "identical"


def test_judges_must_agree() -> None:
    one, two = ({"model": name, "prompt_sha256": "p", "endpoint": name} for name in ("one", "two"))
    with pytest.raises(MismatchError, match="judge.*one.*two"):
        compare(graded(PLAIN, provenance={"judge": one}), graded(PLAIN, provenance={"judge": two}))
    moved = one | {"endpoint": "http://elsewhere"}
    first = graded(PLAIN, provenance={"judge": one})
    assert compare(first, graded(PLAIN, provenance={"judge": moved}), resamples=0).verdict == "identical"
    without = graded(PLAIN, provenance={"judge": {}})
    assert compare(first, without, resamples=0).verdict == "identical"
    unscored = dataclasses.replace(without.answers[0], correct=None)
    with pytest.raises(MismatchError, match="judge: plain has none and 1 answers"):
        compare(first, dataclasses.replace(without, answers=(unscored, *without.answers[1:])))


def test_answers_that_one_run_lacks() -> None:
    whole, part = graded(PLAIN), graded(PLAIN)
    part = Graded(part.answers[100:900])
    found = compare(whole, part, resamples=0)
    assert (found.decision.pairs, found.only_first, found.only_second) == (800, 340, 0)
    assert (found.verdict, found.equal_texts) == ("equivalent", 800)
    assert "340 answers of one run alone are left out" in found.sentence
    assert compare(part, whole, resamples=0).verdict != "identical"
    with pytest.raises(MismatchError, match="no answer in common"):
        compare(Graded(whole.answers[:10]), Graded(whole.answers[10:]))
    with pytest.raises(ValueError, match="twice"):
        compare(Graded(whole.answers + whole.answers[:1]), whole)


def test_the_order_of_answers_does_not_matter() -> None:
    first, second = graded(PLAIN), graded(flipped(PLAIN, 0.01))
    turned = Graded(second.answers[::-1], second.name)
    assert compare(first, second, resamples=100) == compare(first, turned, resamples=100)


@given(st.integers(0, 10**6), st.integers(2, 80), st.integers(2, 5))
def test_repeats_of_a_question_tell_no_more_than_it(seed: int, n: int, repeats: int) -> None:
    """Answers that are all the same in each repeat give the intervals of one."""
    rng = np.random.default_rng(seed)
    a, b = rng.random(n) < 0.6, rng.random(n) < 0.5
    once = decide(a, b, clusters=np.arange(n))
    often = decide(np.repeat(a, repeats), np.repeat(b, repeats), clusters=np.repeat(np.arange(n), repeats))
    assert often.clusters == n
    assert often.difference == pytest.approx(once.difference)
    assert often.high - often.low >= (once.high - once.low) * 0.99
    assert often.p >= min(once.p * 0.3, 0.01)


def test_repeats_that_are_all_alike_need_as_many_questions() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(2000) < 0.6, rng.random(2000) < 0.6
    often = decide(np.repeat(a, 4), np.repeat(b, 4), clusters=np.repeat(np.arange(2000), 4), questions=2000)
    assert often.questions == 2000
    assert often.needed == pytest.approx(decide(a, b).needed, rel=0.01)


@pytest.mark.parametrize("size", [4, 127])
def test_questions_that_are_independent_in_clusters_need_as_many(size: int) -> None:
    """Whether the clusters are many, or too few to tell how much their questions hang together."""
    rng = np.random.default_rng(4)
    a = rng.random(1140) < 0.6
    b = np.where(rng.random(1140) < 0.1, ~a, a)
    alone, grouped = decide(a, b), decide(a, b, clusters=np.arange(1140) // size)
    assert alone.needed <= grouped.needed <= 1.5 * alone.needed
    run = graded(a), graded(b, "other")
    named = [
        Graded(tuple(dataclasses.replace(x, cluster=f"{i // size}") for i, x in enumerate(r.answers))) for r in run
    ]
    assert compare(*named, resamples=0).decision.needed == grouped.needed


def test_needed_questions_find_a_loss_that_repeats_show() -> None:
    """Repeats of a question agree in part; the loss is found with about the chance that was promised, or more."""
    rng = np.random.default_rng(5)

    def asked(n: int, loss: float) -> Decision:
        chance = rng.beta(0.5, 0.5, n)[:, None]
        a, b = rng.random((n, 4)) < chance, (rng.random((n, 4)) < chance) & (rng.random((n, 4)) >= loss)
        return decide(a.ravel(), b.ravel(), delta=0.03, clusters=np.repeat(np.arange(n), 4), questions=n)

    needed = asked(2000, 0.0).needed
    found = np.mean([asked(needed, 0.06).verdict == "lost accuracy" for _ in range(60)])
    assert needed < 4000
    assert found >= 0.75


def test_one_question_asked_often_tells_nothing() -> None:
    found = decide([True] * 50, [False] * 50, clusters=["a"] * 50)
    assert (found.verdict, found.p, found.low, found.high) == ("cannot tell", 1.0, -1.0, 1.0)
    found = decide([True] * 50, [False] * 50, clusters=["a", "b"] * 25)
    assert found.verdict == "cannot tell"


def test_clusters_without_a_difference_are_not_certain() -> None:
    """No error is seen where no pair differs; few clusters still can't exclude a loss."""
    found = decide([True] * 60, [True] * 60, clusters=np.repeat(np.arange(20), 3))
    assert found.verdict == "cannot tell"
    assert min(found.p_loss, found.p_gain) > 0.05
    assert decide([True] * 3000, [True] * 3000, clusters=np.repeat(np.arange(1000), 3)).verdict == "equivalent"
    assert found.low < -0.1
    assert found.high > 0.1
    _, low, high = paired_difference(0, 0, 20, method="score")
    assert (found.low, found.high) == pytest.approx((low, high))


def test_pairs_without_a_difference_are_not_certain() -> None:
    found = decide([True] * 40, [True] * 40)
    assert (found.low, found.high) == paired_difference(0, 0, 40, method="score")[1:]
    assert found.high > 0.05
    run = Graded(tuple(dataclasses.replace(answer, response="") for answer in graded(PLAIN[:40]).answers))
    assert "-8.76 to +8.76" in compare(run, run, resamples=0).sentence


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 6), st.floats(0, 0.3))
def test_clusters_are_never_narrower_than_independent_pairs(seed: int, groups: int, size: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    a = rng.random(groups * size) < 0.6
    b = np.where(rng.random(groups * size) < share, ~a, a)
    alone, found = decide(a, b), decide(a, b, clusters=np.repeat(np.arange(groups), size))
    assert -1 <= found.low <= alone.score_low + 1e-9
    assert alone.score_high - 1e-9 <= found.high <= 1
    assert found.p_loss >= min(alone.p_loss, 0.5) - 1e-9
    assert math.isnan(found.p_exact)
    assert not math.isnan(alone.p_exact)


@pytest.mark.parametrize(("groups", "size"), [(6, 400), (40, 60), (600, 4)])
def test_a_loss_in_clusters_is_rarely_called_equivalent(groups: int, size: int) -> None:
    rng = np.random.default_rng(9)
    of, said = np.repeat(np.arange(groups), size), 0
    for _ in range(300):
        loss = np.clip(rng.normal(0.02, 0.01, groups), 0, 0.1)[of]
        a = rng.random(groups * size) < 0.6
        differ = rng.random(groups * size)
        b = np.where(differ < 0.03, True, np.where(differ < 0.06 + loss, False, a))
        a = np.where(differ < 0.03, False, np.where(differ < 0.06 + loss, True, a))
        said += decide(a, b, delta=0.02, clusters=of).verdict == "equivalent"
    assert said <= 0.08 * 300


def test_many_questions_in_few_clusters_can_be_equivalent() -> None:
    rng = np.random.default_rng(9)
    a = rng.random(40_000) < 0.6
    b = np.where(rng.random(40_000) < 0.05, rng.random(40_000) < 0.5, a)
    assert decide(a, b, delta=0.01, clusters=np.arange(40_000) // 2000).verdict == "equivalent"


@pytest.mark.parametrize(
    ("loss", "n", "word", "low", "high"),
    [
        (0.0, 400, "lost accuracy", 0.0, 0.05),
        (0.0, 2500, "lost accuracy", 0.0, 0.05),
        (0.01, 2500, "equivalent", 0.0, 0.05),
        (0.03, 1140, "lost accuracy", 0.8, 1.0),
        (0.0, 400, "cannot tell", 0.9, 1.0),
        (0.0, 20_000, "equivalent", 0.9, 1.0),
    ],
)
def test_how_often_words_are_said(loss: float, n: int, word: str, low: float, high: float) -> None:
    rng = np.random.default_rng(8)
    said = 0
    for _ in range(300):
        kind = rng.choice(4, n, p=[0.6, 0.3, (0.1 + loss) / 2, (0.1 - loss) / 2])
        said += decide((kind == 0) | (kind == 2), (kind == 0) | (kind == 3)).verdict == word
    assert low <= said / 300 <= high


@pytest.mark.parametrize(
    ("first", "second", "delta"), [([], [], 0.01), ([True], [True, False], 0.01), ([True], [True], 0)]
)
def test_wrong_arguments(first: list[bool], second: list[bool], delta: float) -> None:
    with pytest.raises(ValueError, match="first, second|delta"):
        decide(first, second, delta=delta)


def test_more_questions_than_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="questions: 1 to 2"):
        decide([True, False], [True, True], questions=3)
