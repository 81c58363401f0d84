"""Runs that move a fit are found."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.scaling.shipped import runs
from thrifty.scaling import Runs, ScalingLaw, influence, law


def grid(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    return {
        "n_params": n,
        "n_tokens": d,
        "loss": (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.exp(rng.normal(0, 0.003, 25)),
    }


def test_the_outliers_of_the_published_table_come_first() -> None:
    table = runs("chinchilla_245.csv")
    excluded = {(i,) for i, value in enumerate(table.columns["epoch_excluded"]) if value == "1"}
    found = influence(ScalingLaw("chinchilla").fit(table))
    assert set(found.rows[:5]) == excluded
    assert found.flagged[:5].all()
    assert found.flagged.sum() < 12
    assert len(found.notes) == 6
    assert "standard deviations" in found.notes[0]


def test_what_moves_is_the_fit_without_the_run() -> None:
    columns = grid()
    columns["loss"][7] *= 1.1
    found = influence(ScalingLaw("chinchilla", loss="lsq").fit(columns), {"n_params": [1e10], "n_tokens": [1e12]})
    assert found.rows[0] == (7,)
    assert found.labels[0] == "row 7"
    rest = {name: np.delete(values, 7) for name, values in columns.items()}
    target = Runs.of({"n_params": [1e10], "n_tokens": [1e12]})
    one, other = (ScalingLaw("chinchilla", loss="lsq").fit(c).loss_at(target)[0] for c in (columns, rest))
    assert found.moved[0] == pytest.approx(np.log(other / one), rel=1e-4)


def test_groups_are_left_out_whole() -> None:
    columns = grid(1)
    group = np.array(list("abcde"))[(np.arange(25) + np.arange(25) // 5) % 5]
    columns["loss"][group == "e"] *= 1.05
    found = influence(ScalingLaw("chinchilla").fit(columns, groups=group))
    assert len(found.rows) == 5
    assert found.labels[0] == "e"
    assert found.rows[0] == tuple(np.flatnonzero(group == "e").tolist())


def test_clean_runs_are_not_flagged() -> None:
    flagged = [influence(ScalingLaw("chinchilla", loss="lsq").fit(grid(seed))).flagged.sum() for seed in range(10)]
    assert sum(flagged) <= 3  # of 250 runs


@pytest.mark.parametrize("loss", ["huber_log", "lsq"])
def test_one_step_leads_to_nearly_the_fit_without(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = runs("chinchilla_245.csv", epoch_excluded="0")
    fit = ScalingLaw("chinchilla", loss=loss, delta=0.1).fit(table)
    group = np.arange(len(table)) // 4
    fits = fit.without(group)
    monkeypatch.setattr(law, "REFITTED", 0)
    steps = fit.without(group)
    moved = np.abs(fits - fit.theta_).max(0)
    assert (moved > 0).all()
    assert (np.abs(steps - fits).max(0) < 0.2 * moved).all()
    some = np.where(group < 30, group, -1)
    assert fit.without(some) == pytest.approx(steps[:30], abs=1e-12)
    assert not influence(fit).refitted


def test_memory_does_not_grow_as_groups_times_runs() -> None:
    rng = np.random.default_rng(0)
    n, d = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 8000)), np.exp(rng.uniform(np.log(1e9), np.log(1e12), 8000))
    loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.exp(rng.normal(0, 0.01, 8000))
    loss[7] *= 1.5
    fit = ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss}, groups=np.arange(8000) // 2)
    tracemalloc.start()
    try:
        found, theta = influence(fit), fit.without_groups_
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert theta is not None
    assert len(theta) == 4000
    assert peak < 1e8  # one array of 4,000 times 8,000 numbers is 2.6e8
    assert 7 in found.rows[int(np.argmax(np.abs(found.residual)))]
