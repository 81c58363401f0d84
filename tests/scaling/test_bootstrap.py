"""Bootstraps, profiles and covariances, against published intervals, a slow twin and what they promise."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scaling import shipped, twins
from thrifty.errors import NotIdentifiable
from thrifty.scaling import Draws, ScalingLaw
from thrifty.stats import bootstrap


@pytest.fixture(scope="module")
def law() -> ScalingLaw:
    return ScalingLaw("chinchilla").fit(shipped.chinchilla())


@pytest.fixture(scope="module")
def draws(law: ScalingLaw) -> Draws:
    return law.bootstrap(4000)


def test_published_intervals(draws: Draws) -> None:
    published = json.loads((shipped.DATA / "published_fits.json").read_text())["epoch_2024_notebook"]["ci95"]
    for name, ends in published.items():
        assert draws.interval(name) == pytest.approx(ends, rel=0.12 if name == "B" else 0.05), name


def test_threads_do_not_change_draws(law: ScalingLaw) -> None:
    for kind in ("case", "residual"):
        one, three = (law.bootstrap(200, seed=7, kind=kind, threads=threads) for threads in (1, 3))  # type: ignore[arg-type]
        assert one.values.tobytes() == three.values.tobytes()
        assert one.values.tobytes() != law.bootstrap(200, seed=8, kind=kind).values.tobytes()  # type: ignore[arg-type]


def test_draws_are_fits_to_drawn_runs(law: ScalingLaw, draws: Draws) -> None:
    runs = law.runs_
    counts = bootstrap(lambda counts: counts.T, len(runs), resamples=4000, threads=1)
    for i in (0, 19, 2345):
        assert counts[i].sum() == len(runs)
        told = dict(zip(draws.names, draws.values[i].tolist(), strict=True))
        reached = twins.objective(law.form_, told, runs, delta=1e-3, weights=counts[i])
        assert reached <= twins.chinchilla_fit(runs, 1e-3, counts[i], told) * (1 + 1e-7)
        repeated = runs.take(np.repeat(np.arange(len(runs)), counts[i].astype(int)))
        assert reached == pytest.approx(ScalingLaw("chinchilla").fit(repeated).objective_, rel=1e-8)


def test_clusters_are_drawn_whole() -> None:
    runs = shipped.gemstones("cool_end")
    law = ScalingLaw("morph").fit(runs, groups="run_name")
    cluster, case = law.bootstrap(300, kind="cluster"), law.bootstrap(300)
    assert cluster.units == len(set(runs.columns["run_name"])) < case.units == len(runs)
    assert np.ptp(cluster.interval("E")) > 1.3 * np.ptp(case.interval("E"))
    assert cluster.theta.tobytes() == law.bootstrap(300, kind="cluster", threads=2).theta.tobytes()
    alone = ScalingLaw("morph").fit(runs, groups=np.arange(len(runs))).bootstrap(300, kind="cluster")
    assert alone.values == pytest.approx(case.values)
    for kind, says in (("cluster", "needs a fit with groups"), ("wild", "'case', 'cluster' or 'residual'")):
        with pytest.raises(ValueError, match=says):
            ScalingLaw("morph").fit(runs).bootstrap(10, kind=kind)  # type: ignore[arg-type]


def test_few_clusters_make_intervals_wider() -> None:
    values = np.linspace(1.0, 3.0, 201)[:, None]
    make = [Draws(("E",), values, values, np.array([2.0]), kind, 5, (False,)) for kind in ("case", "cluster")]
    (low, high), (lower, higher) = (one.interval("E", 0.9) for one in make)
    assert (low, high) == pytest.approx((1.1, 2.9))
    wider = 2.131847 / 1.644854 * math.sqrt(5 / 4)
    assert (lower, higher) == pytest.approx((2 - 0.9 * wider, 2 + 0.9 * wider), rel=1e-5)
    logs = Draws(("A",), values, values, np.array([2.0]), "cluster", 5, (True,))
    assert logs.interval("A", 0.9) == pytest.approx((2 * (1.1 / 2) ** wider, 2 * (2.9 / 2) ** wider), rel=1e-5)
    with pytest.raises(ValueError, match="'F' is none of E"):
        make[0].interval("F")
    with pytest.raises(ValueError, match="level"):
        make[0].interval("E", 1.0)


def test_residuals_are_drawn_around_the_fit() -> None:
    columns, _ = shipped.made(1, 60)
    law = ScalingLaw("chinchilla_tied", loss="lsq").fit(columns)
    cases, residuals = law.bootstrap(400), law.bootstrap(400, kind="residual")
    for name in ("E", "alpha"):
        assert np.ptp(residuals.interval(name)) == pytest.approx(np.ptp(cases.interval(name)), rel=0.5)
    wide = residuals.values[:, 0].std()
    assert wide == pytest.approx(math.sqrt(law.covariance()[0, 0]) * law.coef_["E"], rel=0.5)


def test_amounts_that_are_wrong(law: ScalingLaw) -> None:
    for n, threads in ((0, 0), (5, -1)):
        with pytest.raises(ValueError, match="n, threads"):
            law.bootstrap(n, threads=threads)


@pytest.mark.parametrize("name", ["chinchilla", "morph", "u_shape_drift"])
@pytest.mark.parametrize("loss", ["huber_log", "lsq"])
def test_profiles_and_covariances_are_of_one_size(name: str, loss: str) -> None:
    law = ScalingLaw(name, loss=loss).fit(shipped.gemstones("cool_end"))
    errors = np.sqrt(np.diag(law._scale.matrix @ law.covariance() @ law._scale.matrix.T))
    for coefficient, error in zip(law.form_.names, errors, strict=True):
        low, high = law.profile(coefficient)
        value = law.coef_[coefficient]
        assert low < value < high
        if low == 0:
            continue
        width = math.log(high / low) if coefficient in law.form_.linear else high - low
        assert 0.4 < width / (2 * 1.96 * error) < 2.5, coefficient


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.sampled_from(["E", "A", "alpha"]))
def test_profiles_end_where_held_fits_are_equally_worse(seed: int, name: str) -> None:
    columns, _ = shipped.made(seed, 40)
    law = ScalingLaw("chinchilla_tied", loss="lsq").fit(columns)
    ends = law.profile(name, 0.9)
    worse = []
    for end in ends:
        held = ScalingLaw("chinchilla_tied", loss="lsq", bounds={name: (end, end)}).fit(columns)
        worse.append(math.sqrt(held.objective_ - law.objective_))
    if not law.certificate_.at_bounds and ends[0] > 0 and ends[1] < math.inf:
        assert worse[0] == pytest.approx(worse[1], rel=1e-2)
    inner = law.profile(name, 0.5)
    assert ends[0] <= inner[0] < law.coef_[name] < inner[1] <= ends[1]


@pytest.mark.parametrize("loss", ["huber_log", "lsq"])
def test_profiles_cover(loss: str) -> None:
    inside = 0
    for seed in range(40):
        columns, truth = shipped.made(seed, 60, tied=True)
        low, high = ScalingLaw("chinchilla_tied", loss=loss).fit(columns).profile("alpha", 0.9)
        inside += low <= truth["alpha"] <= high
    assert 32 <= inside <= 39


def test_profiles_refuse_what_is_wrong(law: ScalingLaw) -> None:
    with pytest.raises(ValueError, match="'F' is none of"):
        law.profile("F")
    with pytest.raises(ValueError, match="level"):
        law.profile("E", 0.0)


def test_a_restored_law_is_the_same(law: ScalingLaw) -> None:
    again = ScalingLaw("chinchilla").restore(law.form_, law.runs_, law.weights_, None, law.theta_, law.centre_)
    assert again.objective_ == pytest.approx(law.objective_, rel=1e-12)
    assert again.coef_ == law.coef_
    assert again.refit(np.ones((1, 240))) == pytest.approx(law.theta_[None], abs=1e-9)


def test_residuals_cover_what_they_say() -> None:
    """Where a fit goes through some runs, what it leaves of the others is not what new runs would scatter by."""
    away = []
    for seed in range(40):
        columns, truth = shipped.made(seed, 30)
        draws = ScalingLaw("chinchilla").fit(columns).bootstrap(80, seed=seed, kind="residual")
        for name in ("alpha", "beta"):
            low, high = draws.interval(name)
            away.append((truth[name] - draws.estimate[draws.names.index(name)]) / (high - low) * 2 * 1.96)
    assert np.mean(np.square(away)) < 1.15**2


def test_runs_without_weight_are_not_there() -> None:
    runs = shipped.gemstones("cool_end")
    names = runs.columns["run_name"]
    weights = np.array([0.0 if name in sorted(set(names))[:4] else 1.0 for name in names])
    kept = runs.take(weights > 0)
    law = ScalingLaw("morph").fit(runs, weights, groups="run_name")
    alone = ScalingLaw("morph").fit(kept, groups="run_name")
    assert law.without_groups_ is not None
    assert alone.without_groups_ is not None
    assert law.without_groups_.shape == alone.without_groups_.shape
    for kind in ("case", "cluster"):
        one, other = (of.bootstrap(20, kind=kind) for of in (law, alone))  # type: ignore[arg-type]
        assert one.units == other.units
        assert one.values == pytest.approx(other.values, rel=1e-3, abs=1e-9)
    assert law.profile("alpha") == pytest.approx(alone.profile("alpha"), rel=5e-2)


def test_groups_of_one_value_are_refused() -> None:
    columns, _ = shipped.made(0, 40)
    for law in ("chinchilla", "auto"):
        with pytest.raises(NotIdentifiable, match="groups is '0.0' in all runs"):
            ScalingLaw(law).fit(columns, groups=np.zeros(40))
    groups = np.array(["a"] * 39 + ["b"])
    with pytest.raises(NotIdentifiable, match="'a' in all runs"):
        ScalingLaw("chinchilla").fit(columns, sample_weight=(groups == "a").astype(float), groups=groups)


def grouped(seed: int, groups: int, each: int = 10) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, float]]:
    """Checkpoints of models whose residuals are of one size for all of a model, but a fifth of it."""
    truth = {"E": 1.8, "A": 400.0, "B": 2000.0, "alpha": 0.34, "beta": 0.37}
    rng = np.random.default_rng(seed)
    n = np.repeat(np.exp(rng.uniform(np.log(1e7), np.log(1e10), groups)), each)
    d = n * np.tile(np.geomspace(2, 200, each), groups)
    of = np.repeat(np.arange(groups), each)
    noise = rng.normal(0, 0.01, groups)[of] + rng.normal(0, 0.002, len(n))
    loss = truth["E"] + truth["A"] * n ** -truth["alpha"] + truth["B"] * d ** -truth["beta"]
    return {"n_params": n, "n_tokens": d, "loss": loss * np.exp(noise)}, of, truth


def test_profiles_of_groups_cover() -> None:
    inside = []
    for seed in range(12):
        columns, of, truth = grouped(seed, 10)
        law = ScalingLaw("chinchilla").fit(columns, groups=of)
        for name in ("E", "alpha"):
            low, high = law.profile(name)
            inside.append(low <= truth[name] <= high)
    assert np.mean(inside) >= 0.9


def test_profiles_of_hardly_more_groups_than_coefficients_are_refused() -> None:
    columns, of, _ = grouped(1, 7)
    with pytest.raises(NotIdentifiable, match="needs 8 groups or more, got 7"):
        ScalingLaw("chinchilla").fit(columns, groups=of).profile("E")


def test_profiles_stay_within_bounds() -> None:
    runs = shipped.chinchilla()
    law = ScalingLaw("chinchilla", bounds={"E": (1.9, 2.0)}).fit(runs)
    low, high = law.profile("E")
    assert law.coef_["E"] == pytest.approx(1.9)
    assert low == 1.9 < high <= 2.0
    low, high = ScalingLaw("chinchilla", bounds={"E": (1.81, 1.82)}).fit(runs).profile("E")
    assert (low, high) == (1.81, 1.82)
