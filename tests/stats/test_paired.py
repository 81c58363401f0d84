"""Tests of pairs against scipy, against the likelihood itself, and their error rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial

from thrifty.stats import (
    equivalence,
    equivalence_trials,
    holm,
    mcnemar,
    paired_difference,
    paired_power,
    paired_score,
    paired_trials,
)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    mid = mcnemar(first, second, mid=True)
    assert mid <= mcnemar(first, second)
    if first + second:
        fewer, n = min(first, second), first + second
        twin = 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5)
        assert mid == pytest.approx(min(1.0, twin), rel=1e-8)


@pytest.mark.parametrize(("first", "second"), [(0, 30_000), (1, 30_000), (14_800, 15_300), (15_000, 15_000)])
def test_mcnemar_of_many_pairs(first: int, second: int) -> None:
    n = first + second
    assert mcnemar(first, second) == pytest.approx(binomtest(first, n).pvalue, rel=1e-9)
    twin = 2 * binom.cdf(first, n, 0.5) - binom.pmf(first, n, 0.5)
    assert mcnemar(first, second, mid=True) == pytest.approx(min(1.0, twin), rel=1e-6)


def likeliest(first: int, second: int, trials: int, difference: float) -> float:
    """The share that only the first gets right, where the likelihood is largest with this difference."""

    def minus(q: float) -> float:
        both = 1 - 2 * q - difference
        if q < 0 or q + difference < 0 or both < 0:
            return math.inf
        parts = ((first, q), (second, q + difference), (trials - first - second, both))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    return float(minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200), st.floats(-0.9, 0.9))
def test_score_takes_the_likeliest_share(first: int, second: int, rest: int, difference: float) -> None:
    n = first + second + rest
    q = likeliest(first, second, n, difference)
    spread = math.sqrt(n * max(2 * q + difference - difference**2, 0.0))
    away = second - first - n * difference
    if spread > 1e-3:
        assert paired_score(first, second, n, difference) == pytest.approx(away / spread, rel=2e-3, abs=1e-4)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_score_interval_ends_where_the_score_rejects(first: int, second: int, rest: int) -> None:
    n = first + second + rest or 1
    difference, low, high = paired_difference(first, second, n, method="score")
    assert -1 <= low <= difference <= high <= 1
    for end in (low, high):
        if -1 + 1e-9 < end < 1 - 1e-9:
            assert abs(paired_score(first, second, n, end)) == pytest.approx(1.959964, abs=1e-4)


def test_published_differences() -> None:
    assert [round(100 * x, 3) for x in paired_difference(63, 237, 1000)] == [17.4, 14.181, 20.619]
    assert [round(100 * x, 3) for x in paired_difference(111, 163, 1000)] == [5.2, 1.972, 8.428]
    assert mcnemar(163, 111) == pytest.approx(0.002007770658613176, rel=1e-12)


@pytest.mark.parametrize(("n", "first", "second"), [(150, 0.02, 0.0), (400, 0.03, 0.02), (1200, 0.06, 0.05)])
def test_a_loss_of_delta_is_rarely_called_equivalent(n: int, first: float, second: float) -> None:
    """Exact chance at the edge, where few questions differ: the interval by the normal law errs there."""
    delta = first - second
    chance = 0.0
    for b in range(int(n * first) * 3 + 12):
        for c in range(int(n * second) * 3 + 12):
            if b + c <= n and equivalence(b, c, n, delta).p < 0.05:
                chance += multinomial.pmf([b, c, n - b - c], n, [first, second, 1 - first - second])
    assert chance <= 0.062


def test_power_is_what_simulation_finds() -> None:
    rng = np.random.default_rng(2)
    n, difference, discordant = 1140, 0.03, 0.1
    draws = rng.multinomial(n, [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant], 4000)
    found = np.mean([mcnemar(int(b), int(c), mid=True) < 0.05 for b, c, _ in draws])
    assert paired_power(n, difference, discordant) == pytest.approx(found, abs=0.025)
    assert paired_power(paired_trials(0.03, 0.1), 0.03, 0.1) == pytest.approx(0.8, abs=1e-3)


def test_needed_trials_find_equal_systems_equivalent() -> None:
    n = equivalence_trials(0.02, 0.1)
    rng = np.random.default_rng(3)
    draws = rng.multinomial(n, [0.05, 0.05, 0.9], 3000)
    found = np.mean([equivalence(int(b), int(c), n, 0.02).p < 0.05 for b, c, _ in draws])
    assert found == pytest.approx(0.8, abs=0.03)


def test_holm_never_falls() -> None:
    assert holm([0.012, 0.01, 0.011]).tolist() == [0.03, 0.03, 0.03]


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_steps_down(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if p_values[i] * (len(p_values) - rank) > level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mcnemar(-1, 2), "first, second"),
        (lambda: paired_difference(5, 6, 10), "first, second"),
        (lambda: paired_difference(1, 1, 10, method="other"), "method"),
        (lambda: paired_difference(1, 1, 10, confidence=1.0), "confidence"),
        (lambda: equivalence(1, 1, 10, 0.0), "delta"),
        (lambda: paired_trials(0.0, 0.1), "difference"),
        (lambda: paired_trials(0.2, 0.1), "difference"),
        (lambda: paired_power(0, 0.1, 0.1), "trials"),
        (lambda: equivalence_trials(2.0, 0.1), "delta"),
        (lambda: holm([1.5]), "p_values"),
        (lambda: holm([math.nan]), "p_values"),
    ],
)
def test_wrong_arguments(call: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()  # type: ignore[operator]
