"""Measures against other programs' results, readable twins, and their own identities."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exam.calibrated import cases, tied
from thrifty.exam import isotonic, isotonic_band, metrics, reliability, risk_coverage
from thrifty.exam.scoring.resampled import MEASURES, Resampled
from thrifty.stats import bootstrap

CASES = {case["name"]: case for case in cases()}


@pytest.mark.parametrize("name", CASES)
def test_other_programs_results(name: str) -> None:
    case = CASES[name]
    found, expected = metrics(case["confidence"], case["correct"]), case["expected"]
    assert found.accuracy == pytest.approx(expected["accuracy"], abs=1e-12)
    assert found.brier == pytest.approx(expected["brier"], abs=1e-9)
    assert found.ece == pytest.approx(expected["ece_equal_width_15"], abs=1e-9)
    assert found.wilson == pytest.approx(expected["wilson95"], abs=1e-9)
    assert found.clopper_pearson == pytest.approx(expected["clopper_pearson95"], abs=1e-9)
    assert 50 * (found.wald[1] - found.wald[0]) == pytest.approx(expected["hle_wald_half_width_pct"], abs=6e-3)
    if expected["auroc"] is None:
        assert math.isnan(found.auroc)
    else:
        assert found.auroc == pytest.approx(expected["auroc"], abs=1e-9)


def slow(confidence: np.ndarray, correct: np.ndarray) -> dict[str, float]:
    """The same, as definitions say it."""
    c, y = confidence.tolist(), correct.tolist()
    n, base = len(c), sum(y) / len(y)
    pairs = [(a, b) for a, p in zip(c, y, strict=True) if p for b, q in zip(c, y, strict=True) if not q]
    bins: dict[int, list[int]] = {}
    for i, value in enumerate(c):
        bins.setdefault(next(k for k in range(15) if value <= (k + 1) / 15), []).append(i)
    risks = []
    for value in c:
        above = [i for i in range(n) if c[i] >= value]
        risks.append(sum(not y[i] for i in above) / len(above))
    clipped = [min(max(value if p else 1 - value, 1e-6), 1 - 1e-6) for value, p in zip(c, y, strict=True)]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    return {
        "brier": sum((value - p) ** 2 for value, p in zip(c, y, strict=True)) / n,
        "log_loss": -sum(map(math.log, clipped)) / n,
        "auroc": wins / len(pairs) if pairs else math.nan,
        "ece": sum(abs(sum(c[i] for i in b) - sum(y[i] for i in b)) for b in bins.values()) / n,
        "aurc": sum(risks) / n,
        "uncertainty": base * (1 - base),
        "mean_confidence": sum(c) / n,
    }


@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([1, 3, 15, 30, 10**6]))
def test_equal_to_definitions(seed: int, n: int, values: int) -> None:
    confidence, correct = tied(np.random.default_rng(seed), n, values)
    found = metrics(confidence, correct)
    for name, value in slow(confidence, correct).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12, nan_ok=True), name
    assert found.reliability - found.resolution + found.uncertainty == pytest.approx(found.brier, abs=1e-12)
    assert found.aurc_excess >= -1e-12
    assert found.ece_adaptive <= 1
    assert found.rmsce_debiased <= found.rmsce + 1e-12


@given(st.integers(0, 10**6), st.integers(1, 400), st.sampled_from([3, 100, 10**6]))
def test_the_order_of_rows_does_not_matter(seed: int, n: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = tied(rng, n, values)
    confidence[rng.random(n) < 0.1] = np.nan
    order = rng.permutation(n)

    def measured(c: np.ndarray, y: np.ndarray) -> str:
        found = metrics(c, y)
        parts = [found] if found.certain is None else [found, found.certain]
        return repr([dataclasses.replace(part, rmsce_hle=0.0, certain=None) for part in parts])

    assert measured(confidence, correct) == measured(confidence[order], correct[order])


def test_confidences_that_are_not_stated() -> None:
    found = metrics([0.5, np.nan, 0.7], [True, False, True])
    assert (found.answers, found.not_stated, found.accuracy) == (3, 1, pytest.approx(2 / 3))
    assert found.brier == metrics([0.5, 0.7], [True, True]).brier
    assert found.certain == metrics([0.5, 1.0, 0.7], [True, False, True])
    nothing = metrics([np.nan], [True])
    assert math.isnan(nothing.brier)
    assert nothing.accuracy == 1
    with pytest.raises(ValueError, match="at least one"):
        metrics([], [])
    with pytest.raises(ValueError, match="percent"):
        metrics([95], [True])
    with pytest.raises(ValueError, match=r"got 1\.0000000001: divide percent"):
        metrics([1.0000000001], [True])


def test_curves() -> None:
    rng = np.random.default_rng(1)
    confidence, correct = tied(rng, 500, 50)
    bins = reliability(confidence, correct)
    found = metrics(confidence, correct)
    assert sum(b.answers for b in bins) == 500
    assert sum(b.answers * abs(b.confidence - b.accuracy) for b in bins) / 500 == pytest.approx(found.ece)
    assert all(b.low <= b.accuracy <= b.high for b in bins)
    coverage, risk = risk_coverage(confidence, correct)
    assert np.sum(np.diff(coverage, prepend=0) * risk) == pytest.approx(found.aurc)
    assert risk[-1] == pytest.approx(1 - found.accuracy)
    values, fit = isotonic(confidence, correct)
    assert (np.diff(fit) >= 0).all()
    assert (np.diff(values) > 0).all()
    assert np.average(fit, weights=np.unique(confidence, return_counts=True)[1]) == pytest.approx(found.accuracy)
    nothing = [np.nan], [True]
    assert reliability(*nothing) == []
    assert len(risk_coverage(*nothing)[0]) == len(isotonic(*nothing)[0]) == 0


def test_the_band_of_the_fit() -> None:
    rng = np.random.default_rng(6)
    confidence = rng.integers(0, 11, 2000) / 10
    confidence[::50] = np.nan
    correct = rng.random(2000) < np.nan_to_num(confidence) ** 2
    values, fit = isotonic(confidence, correct)
    low, high = isotonic_band(confidence, correct, resamples=300)
    assert ((low <= fit) & (fit <= high)).all()
    assert np.mean((low <= values**2) & (values**2 <= high)) > 0.8
    assert (high - low).max() < 0.2
    few = isotonic_band(confidence[:200], correct[:200], resamples=300)
    assert np.mean(few[1] - few[0]) > 1.5 * np.mean(high - low)
    assert len(isotonic_band([np.nan], [True])[0]) == 0


@given(st.integers(0, 10**6), st.integers(2, 700), st.sampled_from([1, 20, 100, 10**6]), st.booleans())
def test_resamples_are_measured_as_their_rows_would_be(seed: int, n: int, values: int, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = tied(rng, n, values)
    if gaps:
        confidence[rng.random(n) < 0.3] = np.nan
    counts = np.stack([np.bincount(rng.integers(0, n, int(m)), minlength=n) for m in (n, n, 2 * n + 1)], axis=1)
    measured = Resampled(confidence, correct)(counts.astype(float))
    for column, row in zip(counts.T, measured, strict=True):
        c, y = np.repeat(confidence, column), np.repeat(correct, column)
        order = rng.permutation(len(c))
        found = metrics(c[order], y[order])
        for name, value in zip(MEASURES, row, strict=True):
            if name != "rmsce_hle" or values == 10**6:
                assert value == pytest.approx(getattr(found, name), abs=1e-9, nan_ok=True), name


def test_resampled_hle_is_the_published_one_without_ties() -> None:
    rng = np.random.default_rng(2)
    confidence, correct = rng.permutation(900) / 900, rng.random(900) < 0.3
    found = Resampled(confidence, correct, ("rmsce_hle", "rmsce"))(np.ones((900, 1)))[0]
    expected = metrics(confidence, correct)
    assert found == pytest.approx([expected.rmsce_hle, expected.rmsce], abs=1e-12)


def test_threads_do_not_change_resamples() -> None:
    rng = np.random.default_rng(5)
    confidence, correct = tied(rng, 400, 30)
    measure = Resampled(confidence, correct)
    one, three = (bootstrap(measure, 400, resamples=300, seed=9, threads=threads) for threads in (1, 3))
    assert one.tobytes() == three.tobytes()
    assert one.tobytes() != bootstrap(measure, 400, resamples=300, seed=10).tobytes()
