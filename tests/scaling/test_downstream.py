"""Accuracies from losses: curves that are known are found again, and models held out lie in their intervals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit

from thrifty.errors import DatasetError, NotIdentifiable
from thrifty.scaling import Downstream, Runs, accuracy_column

CHANCE = {"hellaswag_zeroshot": 0.25, "arc_easy": 0.25, "piqa": 0.5, "lambada_openai": 0.0, "copa": 0.5}


def sigmoid(x: Any, middle: float, slope: float) -> Any:
    return 0.25 + 0.75 / (1 + np.exp(slope * (x - middle)))


def exponential(x: Any, middle: float, slope: float) -> Any:
    return 0.25 + 0.75 * np.exp(-slope * np.maximum(x - middle, 0))


@pytest.mark.parametrize("curve", [sigmoid, exponential])
def test_a_known_curve_is_found_with_its_errors(curve: Any) -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(2.8, 4.5, 60)
    y = curve(x, 2.5, 1.7) + 0.004 * rng.standard_normal(60)
    found = Downstream.fit(x, y, chance=0.25)
    assert found.curve == curve.__name__
    wanted, covariance = curve_fit(curve, x, y, p0=[2.4, 1.5])
    assert (found.middle, found.slope) == pytest.approx(wanted, rel=1e-4)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-2)
    assert found.spread == pytest.approx(0.004, rel=0.4)
    below = np.linspace(2.6, 2.8, 5)
    told = found.at(below)
    truth = curve(below, 2.5, 1.7)
    assert ((told.lo <= truth) & (truth <= told.hi)).all()


def test_intervals_cover_new_models_at_their_level() -> None:
    rng = np.random.default_rng(2)
    x = np.linspace(2.5, 4.0, 25)
    covered = []
    for _ in range(300):
        found = Downstream.fit(x, sigmoid(x, 2.6, 2.0) + 0.01 * rng.standard_normal(25), chance=0.25)
        told = found.at(x[::6])
        new = sigmoid(x[::6], 2.6, 2.0) + 0.01 * rng.standard_normal(len(x[::6]))
        covered += ((told.lo <= new) & (new <= told.hi)).tolist()
    assert 0.92 <= np.mean(covered) <= 0.98


def openlm(data: Path) -> tuple[Runs, Any, Any]:
    with (data / "scaling" / "openlm_small_runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    runs = Runs.of({name: [row[name] for row in rows] for name in ("n_params", "n_tokens", "downstream_acc_json")})
    return runs, np.array([float(row["loss_c4_val"]) for row in rows]), np.array([row["train_set"] for row in rows])


def test_the_largest_models_of_a_testbed_lie_in_their_intervals(data: Path) -> None:
    runs, loss, sets = openlm(data)
    largest = runs.n_params == runs.n_params.max()
    covered, away = [], []
    for task, chance in CHANCE.items():
        accuracy = accuracy_column(runs, "downstream_acc_json", task)
        for name in np.unique(sets):
            known, asked = (sets == name) & ~largest, (sets == name) & largest
            told = Downstream.fit(loss[known], accuracy[known], chance=chance, task=task).at(loss[asked])
            covered += ((told.lo <= accuracy[asked]) & (accuracy[asked] <= told.hi)).tolist()
            away += np.abs(told.value - accuracy[asked]).tolist()
    assert np.mean(covered) >= 0.85
    assert np.median(away) <= 0.015


def test_what_losses_do_not_tell(data: Path) -> None:
    runs, loss, _ = openlm(data)
    with pytest.raises(NotIdentifiable, match="accuracy of boolq does not rise as the loss falls from"):
        Downstream.fit(loss, accuracy_column(runs, "downstream_acc_json", "boolq"), chance=0.5, task="boolq")
    with pytest.raises(NotIdentifiable, match="at least 5"):
        Downstream.fit([3.0, 2.9, 2.8, 2.7], [0.3, 0.31, 0.32, 0.33])
    with pytest.raises(NotIdentifiable, match="1 losses"):
        Downstream.fit([3.0] * 9, np.linspace(0.3, 0.4, 9))
    with pytest.raises(NotIdentifiable):
        Downstream.fit(np.linspace(2, 4, 9), np.full(9, 0.25), chance=0.25)
    with pytest.raises(ValueError, match="25 is not possible"):
        Downstream.fit(np.linspace(2, 4, 9), np.full(9, 25.0))
    with pytest.raises(ValueError, match="chance"):
        Downstream.fit(np.linspace(2, 4, 9), np.full(9, 0.5), chance=1.0)
    with pytest.raises(ValueError, match="one for each loss"):
        Downstream.fit([3.0, 2.0], [0.5])


def test_an_uncertain_loss_widens_the_interval() -> None:
    x = np.linspace(2.5, 4.0, 25)
    found = Downstream.fit(x, sigmoid(x, 2.6, 2.0) + 0.01 * np.resize([1, -1, 0.5], 25), chance=0.25)
    at, half = np.array([2.8]), 0.1
    sure, unsure = found.columns(at, at, at), found.columns(at, at - half, at + half)
    assert unsure["accuracy"] == sure["accuracy"] == found.at(at).value
    own = sure["accuracy_hi"] - sure["accuracy"]
    whole = np.hypot(own, found.at(at - half).value - found.at(at).value)
    assert unsure["accuracy_hi"] - unsure["accuracy"] == pytest.approx(whole)
    assert unsure["accuracy_lo"] < sure["accuracy_lo"]


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("{", "no JSON object"),
        ("[1]", "a JSON object"),
        ('{"t": "x"}', "0 to 1"),
        ('{"t": 2}', "0 to 1"),
        ('{"t": NaN}', "0 to 1"),
        ('{"t": true}', "0 to 1"),
        ("[" * 90_000, "no JSON object"),
        ("x" * 200_000, "a JSON object"),
        (7, "a JSON object"),
    ],
)
def test_cells_that_can_not_be_read(cell: Any, what: str) -> None:
    runs = Runs.of({"n_params": [1.0, 1.0], "n_tokens": [1.0, 1.0], "a": np.array(["", cell], object)})
    with pytest.raises(DatasetError, match=f"row 1, column a: .*{what}"):
        accuracy_column(runs, "a", "t")


def test_columns_of_accuracies() -> None:
    some = {
        "n_params": [1.0, 1.0],
        "n_tokens": [1.0, 1.0],
        "plain": ["0.5", ""],
        "cells": [json.dumps({"t": 0.25}), "{}"],
    }
    runs = Runs.of({**some, "none": ["", ""]})
    np.testing.assert_array_equal(accuracy_column(runs, "plain"), [0.5, np.nan])
    np.testing.assert_array_equal(accuracy_column(runs, "cells", "t"), [0.25, np.nan])
    with pytest.raises(DatasetError, match="column 'other' is not there"):
        accuracy_column(runs, "other")
    with pytest.raises(DatasetError, match="has no accuracy of 'u'"):
        accuracy_column(runs, "cells", "u")
    with pytest.raises(DatasetError, match="has no accuracy"):
        accuracy_column(runs, "none")
