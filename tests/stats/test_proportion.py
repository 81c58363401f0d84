"""Intervals against scipy, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from thrifty.stats import clopper_pearson, wilson


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.999]))
def test_equal_to_scipy(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    test = binomtest(successes, trials)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = test.proportion_ci(confidence, method=method)
        assert ours(successes, trials, confidence=confidence) == pytest.approx(
            (expected.low, expected.high), rel=1e-9, abs=1e-12
        )


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5])
def test_coverage(p: float) -> None:
    """Exact coverage at 200 trials: Clopper-Pearson never below its word, Wilson near it."""
    k = np.arange(201)
    weights = binom.pmf(k, 200, p)
    inside = {
        f.__name__: sum(w for s, w in zip(k, weights, strict=True) if f(int(s), 200)[0] <= p <= f(int(s), 200)[1])
        for f in (wilson, clopper_pearson)
    }
    assert inside["clopper_pearson"] >= 0.95
    assert abs(inside["wilson"] - 0.95) < 0.035


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_impossible_counts(interval: object) -> None:
    for successes, trials, confidence in [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)]:
        with pytest.raises(ValueError, match="successes|confidence"):
            interval(successes, trials, confidence=confidence)  # type: ignore[operator]
