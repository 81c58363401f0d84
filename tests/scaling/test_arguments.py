"""What laws are given is checked, kept and never ignored unsaid."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.scaling.test_choosing import ladder
from thrifty.scaling import Runs, ScalingLaw, choose


def test_labels_of_groups_are_checked() -> None:
    columns = ladder(0)
    for law in (ScalingLaw("chinchilla"), ScalingLaw("auto")):
        with pytest.raises(ValueError, match=r"groups: 24 labels are needed, got an array of shape \(2,\)"):
            law.fit(columns, groups=[1, 2])
        with pytest.raises(ValueError, match="groups: a label is missing in row 3, got nan"):
            law.fit(columns, groups=np.where(np.arange(24) == 3, np.nan, 1.0))
        with pytest.raises(ValueError, match="groups: the runs have no column 'seed'"):
            law.fit(columns, groups="seed")


def test_what_a_choice_does_not_take_is_refused() -> None:
    columns = ladder(0)
    with pytest.raises(ValueError, match="tie: 'auto'"):
        ScalingLaw("auto", tie=("alpha", "beta")).fit(columns)
    with pytest.raises(ValueError, match="bounds: 'auto'"):
        ScalingLaw("auto", bounds={"E": (1, 2)}).fit(columns)
    with pytest.raises(ValueError, match="sample_weight: 'auto'"):
        ScalingLaw("auto").fit(columns, sample_weight=np.ones(24))
    with pytest.raises(ValueError, match="runs: there are none"):
        ScalingLaw("auto").fit({"n_params": [], "n_tokens": [], "loss": []})


def test_what_a_law_was_made_with_stays() -> None:
    for delta in (None, 0.02):
        law = ScalingLaw("auto", delta=delta)
        before = law.get_params()
        law.fit(ladder(1))
        assert law.get_params() == before
        assert (law.delta_ == 0.02) is (delta == 0.02)


def test_a_choice_says_how_far_it_is() -> None:
    said: list[tuple[str, int, int]] = []
    ScalingLaw("auto").fit(ladder(1), progress=lambda *told: said.append(told))
    assert said[:2] == [("laws tried", 1, 2), ("laws tried", 2, 2)]


@pytest.mark.parametrize("labels", [np.zeros(24), np.arange(24) % 3])
def test_few_groups_choose_by_runs_left_out(labels: Any) -> None:
    columns = ladder(3)
    choice = choose(columns, labels)
    said = [text for text in choice.advice if "one group" in text]
    assert len(said) == (len(set(labels)) == 1)
    missing = [text for text in choice.advice if text.startswith("too few runs, groups of them or sizes to leave")]
    assert len(missing) == (len(set(labels)) == 3)
    assert all(row.error > 0 for row in choice.table)
    told = choice.law.predict({"n_params": [2e9], "n_tokens": [4e10]})
    assert told.lo[0] < told.loss[0] < told.hi[0]


def test_nine_runs_leave_no_larger_ones_out() -> None:
    some = np.flatnonzero(ladder(2)["n_params"] < 1e8)[:9]
    few = {name: values[some] for name, values in ladder(2).items()}
    choice = choose(few, laws=["chinchilla_tied"])
    assert not choice.table[0].largest
    assert any(text.startswith("too few runs") for text in choice.advice)


def test_scores_are_of_predictions() -> None:
    columns = ladder(2)
    source = np.resize(["x", "y", "z"], len(columns["loss"]))
    shift = np.select([source == "x", source == "y"], [-0.03, 0.0], 0.03)
    given_ = columns | {"source": source, "loss": columns["loss"] * np.exp(shift)}
    law = choose(given_).law
    assert law.shifts_ is not None
    wrong = law.predict(given_).loss - given_["loss"]
    assert law.score(given_)["mse"] == pytest.approx((wrong**2).mean(), rel=1e-9)


def test_a_law_without_a_fit_says_so() -> None:
    for ask in (lambda law: law.coef_, lambda law: law.predict(ladder(0)), lambda law: law.bootstrap(5)):
        with pytest.raises(ValueError, match="call fit first"):
            ask(ScalingLaw())
    assert not hasattr(ScalingLaw(), "coef_")
    assert copy.deepcopy(ScalingLaw("morph")).law == "morph"
    with pytest.raises(AttributeError, match="no attribute 'coeff'"):
        _ = ScalingLaw().coeff  # type: ignore[attr-defined]


def test_columns_are_checked() -> None:
    good = {"n_params": [1e8, 2e8], "n_tokens": [1e9, 2e9]}
    for wrong, says in (
        ({"loss": [3.0]}, r"loss of shape \(1,\)"),
        ({"n_tokens": [[1e9, 2e9]]}, r"n_tokens of shape \(1, 2\)"),
        ({"n_tokens": ["many", "few"]}, "n_tokens has what is no number"),
    ):
        with pytest.raises(ValueError, match=f"runs: .*{says}"):
            Runs.of(good | wrong)
    with pytest.raises(ValueError, match="runs: the column n_tokens is missing"):
        Runs.of({"n_params": [1e8]})
