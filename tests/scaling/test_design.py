"""Designs beside trying all sets, and what their runs are worth once trained."""

from __future__ import annotations

import sys
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from thrifty.errors import Infeasible
from thrifty.scaling import Runs, ScalingLaw, design

TRUTH = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}


def loss(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    told: np.ndarray = TRUTH["E"] + TRUTH["A"] * n ** -TRUTH["alpha"] + TRUTH["B"] * d ** -TRUTH["beta"]
    return told


def measured(rng: np.random.Generator, n: np.ndarray, d: np.ndarray) -> Runs:
    return Runs(n, d, loss(n, d) * np.exp(0.01 * rng.standard_normal(len(n))))


@pytest.fixture(scope="module")
def law() -> ScalingLaw:
    rng = np.random.default_rng(3)
    n = np.exp(rng.uniform(np.log(2e7), np.log(1e9), 20))
    return ScalingLaw("chinchilla").fit(measured(rng, n, n * np.exp(rng.uniform(np.log(5), np.log(100), 20))))


TARGET = Runs(np.array([2e10]), np.array([4e11]))


def few() -> Runs:
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(2e7, 2e9, 4), [3.0, 30.0, 300.0]))
    return Runs(n, n * ratio)


def spread(law: ScalingLaw, some: Runs, chosen: tuple[int, ...]) -> float:
    """Variance at the target by plain matrices, up to the noise."""
    rows = np.concatenate([law.gradient(law.runs_), law.gradient(some)[list(chosen)]])
    aim = law.gradient(TARGET)[0]
    return float(aim @ np.linalg.inv(rows.T @ rows) @ aim)


def volume(law: ScalingLaw, some: Runs, chosen: tuple[int, ...]) -> float:
    rows = np.concatenate([law.gradient(law.runs_), law.gradient(some)[list(chosen)]])
    return -float(np.linalg.slogdet(rows.T @ rows)[1])


@pytest.mark.parametrize("criterion", ["prediction", "D"])
@pytest.mark.parametrize("budget", [3e20, 3e21, 3e22])
def test_near_the_best_of_all_sets(law: ScalingLaw, criterion: str, budget: float) -> None:
    some, cost = few(), 6 * few().n_params * few().n_tokens
    found = design(law, some, budget, target=TARGET, criterion=criterion, count=3)  # type: ignore[arg-type]
    value = spread if criterion == "prediction" else volume
    sets = [c for k in (1, 2, 3) for c in combinations(range(len(some)), k) if cost[list(c)].sum() <= budget]
    values = sorted(value(law, some, c) for c in sets)
    assert found.flops <= budget
    assert len(set(found.chosen)) == len(found.chosen) <= 3
    mine, best, middle = value(law, some, found.chosen), values[0], values[len(values) // 2]
    assert mine <= best + 0.02 * (middle - best)


def test_what_it_says_is_what_matrices_say(law: ScalingLaw) -> None:
    found = design(law, few(), 1e22, target=TARGET, count=4)
    ratio = (spread(law, few(), found.chosen) / spread(law, few(), ())) ** 0.5
    assert found.after / found.before == pytest.approx(ratio, rel=1e-5)
    assert found.cut == pytest.approx(1 - ratio, abs=1e-5)
    # The noise is one percent, and 20 runs tell the far loss to a few times that at best.
    assert 0.002 < found.before < 0.2


def test_spread_of_the_coefficients_is_what_the_determinant_says(law: ScalingLaw) -> None:
    found = design(law, few(), 1e22, criterion="D", count=4)
    shrunk = np.exp((volume(law, few(), found.chosen) - volume(law, few(), ())) / (2 * len(law.coef_)))
    assert found.after / found.before == pytest.approx(shrunk, rel=1e-5)
    assert found.cut > 0.1


@pytest.mark.parametrize("criterion", ["prediction", "D"])
def test_one_by_one_as_plain_matrices_say(law: ScalingLaw, criterion: Any) -> None:
    """Beyond what is exchanged, runs are the greedy ones, worked out from whole matrices each time."""
    rng = np.random.default_rng(1)
    n = np.exp(rng.uniform(np.log(1e7), np.log(1e9), 150))
    some, value = Runs(n, n * rng.uniform(3, 300, 150)), spread if criterion == "prediction" else volume
    found = design(law, some, 1e30, target=TARGET, criterion=criterion, count=80)
    assert (len(found.chosen), len(set(found.chosen)), found.notes) == (80, 80, ())
    for k in (0, 1, 30, 63, 64, 65, 79):
        before, rest = found.chosen[:k], sorted(set(found.chosen[k:]))
        values = [value(law, some, (*before, i)) for i in rest]
        assert value(law, some, found.chosen[: k + 1]) <= min(values) + 1e-7 * abs(min(values))


def test_thousands_of_candidates_end(law: ScalingLaw, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    n = np.exp(rng.uniform(np.log(1e7), np.log(1e9), 400))
    some = Runs(n, 20 * n)
    monkeypatch.setattr(sys.modules["thrifty.scaling.design"], "MOST", 300)
    found = design(law, some, 1e30, target=TARGET)
    assert len(found.chosen) == 300
    assert found.notes == ("the budget pays for up to 400 runs; without a count 300 are chosen at most",)
    assert len(design(law, some, 1e30, target=TARGET, count=350).chosen) == 350
    assert design(law, some, float(np.sort(120 * n**2)[:200].sum()), target=TARGET).notes == ()


def test_more_money_never_tells_less(law: ScalingLaw) -> None:
    afters = [design(law, few(), budget, target=TARGET).after for budget in np.geomspace(1e19, 1e23, 9)]
    assert (np.diff(afters) <= 1e-9).all()


def test_suggested_runs_are_worth_more_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 2e9, 16), np.geomspace(2, 500, 16)))
    some, cost = Runs(n, n * ratio), 6 * n * n * ratio
    cuts = []
    for _ in range(12):
        sizes = np.exp(rng.uniform(np.log(2e7), np.log(1e9), 20))
        law = ScalingLaw("chinchilla").fit(
            measured(rng, sizes, sizes * np.exp(rng.uniform(np.log(5), np.log(100), 20)))
        )
        budget = 0.5 * float((6 * law.runs_.n_params * law.runs_.n_tokens).sum())
        found = design(law, some, budget, target=TARGET, count=5)
        fives = [rng.choice(len(n), 5, replace=False) for _ in range(400)]
        alike = [tuple(five) for five in fives if 0.8 * budget <= cost[five].sum() <= budget]
        random = np.median([spread(law, some, five) for five in alike])
        cuts.append(1 - (spread(law, some, found.chosen) / random) ** 0.5)
    assert np.median(cuts) >= 0.3


def test_what_is_not_possible(law: ScalingLaw) -> None:
    with pytest.raises(Infeasible, match="pays for none of the candidates; the cheapest takes"):
        design(law, few(), 1e10, target=TARGET)
    with pytest.raises(Infeasible, match="there are none"):
        design(law, few().take([False] * 12), 1e20, target=TARGET)
    with pytest.raises(ValueError, match="target"):
        design(law, few(), 1e20)
    with pytest.raises(ValueError, match="criterion"):
        design(law, few(), 1e20, criterion="A")  # type: ignore[arg-type]
    for budget in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="budget_flops"):
            design(law, few(), budget, target=TARGET)
    with pytest.raises(ValueError, match="count"):
        design(law, few(), 1e20, target=TARGET, count=0)
