"""Clusters, agreement of graders, and shares that erring graders give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from thrifty.stats import clustered_mean, clustered_proportion, cohen_kappa, rogan_gladen, wilson

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.stats import ClusteredMean


def test_clusters_of_one_are_independent_rows() -> None:
    y = np.random.default_rng(1).random(200) < 0.4
    found = clustered_mean(y, np.arange(200))
    assert found.error == pytest.approx(y.std(ddof=1) / math.sqrt(200))
    assert found.clusters == 200


def test_few_clusters_have_wide_intervals() -> None:
    found = clustered_mean([1, 0, 0.5, 0.5, 0, 0], [1, 1, 2, 2, 3, 3])
    assert (found.high - found.value) / found.error == pytest.approx(4.302653, abs=1e-5)
    assert found.error == pytest.approx(math.sqrt(1.5 * (1 / 9 + 1 / 9 + 4 / 9)) / 6)


def test_repeats_add_nothing() -> None:
    y = np.random.default_rng(1).random(100) < 0.4
    once = clustered_mean(y, np.arange(100))
    thrice = clustered_mean(np.repeat(y, 3), np.repeat(np.arange(100), 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


@pytest.mark.parametrize("interval", [clustered_mean, clustered_proportion])
@pytest.mark.parametrize(("groups", "size"), [(40, 10), (15, 20)])
def test_coverage_with_clusters(groups: int, size: int, interval: Callable[..., ClusteredMean]) -> None:
    rng = np.random.default_rng(7)
    of, inside, naive = np.repeat(np.arange(groups), size), 0, 0
    for _ in range(1500):
        chance = rng.beta(3, 3, groups)
        y = rng.random(groups * size) < chance[of]
        found = interval(y, of)
        inside += found.low <= 0.5 <= found.high
        naive += abs(y.mean() - 0.5) <= 1.96 * math.sqrt(0.25 / len(y))
    assert 0.93 <= inside / 1500 <= 0.97
    assert naive / 1500 < 0.9


def test_coverage_of_rare_errors_in_clusters() -> None:
    """Of 30 questions asked 3 times, nearly all are right: no interval is without width, or leaves 0 to 1."""
    rng = np.random.default_rng(8)
    of, inside = np.repeat(np.arange(30), 3), 0
    for _ in range(1500):
        y = rng.random(90) < np.where(rng.random(30) < 0.06, 0.5, 1.0)[of]
        found = clustered_proportion(y, of)
        assert 0 <= found.low < found.high <= 1
        inside += found.low <= 0.97 <= found.high
    assert inside / 1500 >= 0.93


def test_a_share_in_clusters_is_no_surer_than_one_of_rows() -> None:
    rng = np.random.default_rng(9)
    y = rng.random(300) < 0.3
    found, rows = clustered_proportion(y, np.arange(300) // 2), wilson(int(y.sum()), 300)
    assert found.low <= rows[0] + 1e-3
    assert found.high >= rows[1] - 1e-3
    uneven = clustered_proportion([True] * 60, [0] * 50 + list(range(1, 11)))
    assert uneven.low < clustered_proportion([True] * 60, np.arange(60) % 11).low


def test_kappa() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 400)
    other = np.where(rng.random(400) < 0.8, truth, rng.integers(0, 3, 400))
    found = cohen_kappa(truth, other)
    table = np.zeros((3, 3))
    for a, b in zip(truth, other, strict=True):
        table[a, b] += 1
    chance = sum(table[i].sum() * table[:, i].sum() for i in range(3)) / 400**2
    assert found.value == pytest.approx((np.trace(table) / 400 - chance) / (1 - chance))
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.15
    assert (found.table == table).all()
    assert found.labels == ("0", "1", "2")
    assert (found.low, found.high) == (cohen_kappa(truth, other).low, cohen_kappa(truth, other).high)


def test_kappa_of_one_word_is_undefined() -> None:
    found = cohen_kappa(["yes"] * 5, ["yes"] * 5)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert found.agreement == 1
    assert cohen_kappa(["a", "b"], ["b", "a"]).value == -1


def test_true_is_one() -> None:
    assert cohen_kappa([True] * 3, [1] * 3).agreement == 1
    mixed = cohen_kappa([True, False, True], [1.0, 0.0, 0.0])
    assert (mixed.agreement, mixed.labels) == (pytest.approx(2 / 3), ("0.0", "1.0"))
    assert cohen_kappa([1, 0] * 10, ["1", "0"] * 10).value == 1


def test_rogan_gladen_undoes_errors() -> None:
    for truth in (0.0, 0.2, 0.9):
        seen = truth * 0.9 + (1 - truth) * 0.05
        assert rogan_gladen(seen, 0.9, 0.95) == pytest.approx(truth, abs=1e-12)
    assert rogan_gladen(0.0, 0.9, 0.95) == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: clustered_mean([1, 0], ["a", "a"]), "at least 2"),
        (lambda: clustered_mean([1, 0], ["a"]), "clusters"),
        (lambda: clustered_mean([], []), "at least 2"),
        (lambda: clustered_mean([1, 0], ["a", "b"], confidence=0), "confidence"),
        (lambda: cohen_kappa([], []), "first, second"),
        (lambda: cohen_kappa(["a"], ["a", "b"]), "first, second"),
        (lambda: rogan_gladen(0.5, 0.5, 0.5), "above 1"),
        (lambda: rogan_gladen(1.5, 0.9, 0.9), "rate"),
    ],
)
def test_wrong_arguments(call: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()  # type: ignore[operator]
