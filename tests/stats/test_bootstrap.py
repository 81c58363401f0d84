"""Resamples: their law, their seeds, and intervals beside scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap as peer
from scipy.stats import multinomial

from thrifty.stats import bca_interval, bootstrap, jackknife, norm_interval, percentile_interval, philox


def counts_of(rows: int, resamples: int, **options: object) -> np.ndarray:
    return bootstrap(lambda counts: counts.T, rows, resamples=resamples, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [1, 7, 3000])
def test_counts_are_those_of_draws(rows: int) -> None:
    counts = counts_of(rows, 500)
    assert counts.shape == (500, rows)
    assert (counts.sum(1) == rows).all()
    assert counts.mean() == 1
    if rows == 7:
        law = multinomial(7, np.full(7, 1 / 7))
        assert np.cov(counts_of(7, 20_000).T) == pytest.approx(law.cov(), abs=0.04)
    if rows == 3000:
        # Mean counts of rows would differ by less than this if all rows are as likely.
        assert ((counts.mean(0) - 1) ** 2).mean() * 500 == pytest.approx(1, abs=0.15)


def test_clusters_are_drawn_whole() -> None:
    clusters = ["a", "b", "a", "c", "b", "a"]
    counts = counts_of(6, 300, clusters=clusters)
    assert (counts[:, [0, 2, 5]] == counts[:, [0]]).all()
    assert (counts[:, 1] == counts[:, 4]).all()
    assert (counts[:, [0, 1, 3]].sum(1) == 3).all()


def test_seeds_streams_threads_and_lengths() -> None:
    one = counts_of(50, 300, seed=4, threads=1)
    assert (one == counts_of(50, 300, seed=4, threads=3)).all()
    assert (one[:100] == counts_of(50, 100, seed=4)).all()
    assert (one != counts_of(50, 300, seed=5)).any()
    assert (one != counts_of(50, 300, seed=4, stream=1)).any()


def test_philox_is_a_function_of_its_position() -> None:
    a = philox(1, 2, 3).integers(2**62, size=8)
    assert (a == philox(1, 2, 3).integers(2**62, size=8)).all()
    others = [philox(2, 2, 3), philox(1, 3, 3), philox(1, 2, 4), philox(2**64 - 1, 0, 0)]
    assert all((a != other.integers(2**62, size=8)).any() for other in others)
    for wrong in ((-1, 0, 0), (0, 2**64, 0), (0, 0, -1)):
        with pytest.raises(ValueError, match="2\\^64"):
            philox(*wrong)


@pytest.mark.parametrize(("ours", "method"), [("percentile", "percentile"), ("bca", "BCa")])
def test_intervals_are_near_those_of_scipy(ours: str, method: str) -> None:
    values = np.random.default_rng(3).exponential(size=60)

    def mean(counts: np.ndarray) -> np.ndarray:
        return (values @ counts / counts.sum(0))[:, None]

    drawn = bootstrap(mean, 60, resamples=20_000)[:, 0]
    expected = peer((values,), np.mean, n_resamples=20_000, method=method, rng=np.random.default_rng(1))
    found = (
        percentile_interval(drawn)
        if ours == "percentile"
        else bca_interval(drawn, values.mean(), jackknife(mean, 60)[:, 0])
    )
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.02)


def test_bca_mends_a_bias() -> None:
    """The variance of a resample is too small by a factor; so would its quantiles be."""
    values = np.random.default_rng(5).exponential(size=25)

    def variance(counts: np.ndarray) -> np.ndarray:
        mean = values @ counts / counts.sum(0)
        return ((values**2) @ counts / counts.sum(0) - mean**2)[:, None]

    drawn = bootstrap(variance, 25, resamples=40_000)[:, 0]
    found = bca_interval(drawn, values.var(), jackknife(variance, 25)[:, 0])
    expected = peer((values,), np.var, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1))
    assert found == pytest.approx(tuple(expected.confidence_interval), rel=0.03)
    assert found[0] > percentile_interval(drawn)[0] * 1.1


def test_what_is_undefined_does_not_count() -> None:
    assert percentile_interval([1.0, np.nan, 1.0]) == (1.0, 1.0)
    assert all(map(math.isnan, percentile_interval([np.nan])))
    assert all(map(math.isnan, bca_interval([np.nan], 1.0, [1.0])))
    assert bca_interval([2.0, 2.0], 1.0, [1.0, 1.0]) == (2.0, 2.0)


def test_a_norm_of_nothing_but_chance() -> None:
    """Percentiles of resamples never reach down to the truth, 0; a norm far from 0 has about their width."""
    rng = np.random.default_rng(3)
    for true in (0.0, 5.0):
        inside = 0
        for _ in range(300):
            seen = rng.normal(true, 1, 10)
            drawn = np.linalg.norm(seen + rng.normal(0, 1, (300, 10)), axis=1)
            low, high = norm_interval(drawn, float(np.linalg.norm(seen)))
            assert 0 <= low <= np.linalg.norm(seen) <= high
            inside += low <= true * math.sqrt(10) <= high
            if true == 0:
                assert percentile_interval(drawn)[0] > 0
            else:
                assert high - low == pytest.approx(np.diff(percentile_interval(drawn))[0], rel=0.35)
        assert inside / 300 >= 0.93
    assert all(map(math.isnan, norm_interval([np.nan], 1.0)))
    assert all(map(math.isnan, norm_interval([1.0], math.nan)))


def test_wrong_arguments() -> None:
    for name, value in (("resamples", 0), ("threads", -1), ("clusters", ["a"])):
        with pytest.raises(ValueError, match=name):
            bootstrap(lambda counts: counts.T, 3, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        bootstrap(lambda counts: counts.T, 0)
