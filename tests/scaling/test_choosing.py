"""Laws are chosen by how they predict larger runs, with the rows that let them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scaling.shipped import gemstones, made, morph
from thrifty.errors import NotIdentifiable
from thrifty.scaling import Runs, ScalingLaw, choose, load_fit, save_fit
from thrifty.scaling.domain import Domain
from thrifty.scaling.holdouts import folds, holdouts, size_classes
from thrifty.scaling.shifts import shift_columns

if TYPE_CHECKING:
    from pathlib import Path


def ladder(seed: int, *, noise: float = 0.003, tokens: tuple[float, ...] = (10, 20, 40, 160)) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n, ratio = (x.ravel() for x in np.meshgrid(np.geomspace(2e7, 1e9, 6), tokens))
    loss = (1.8 + 420 * n**-0.34 + 3000 * (n * ratio) ** -0.37) * np.exp(rng.normal(0, noise, len(n)))
    return {"n_params": n, "n_tokens": n * ratio, "loss": loss}


def test_size_classes_are_apart() -> None:
    n = np.array([80e6, 78e6, 86e6, 116e6, 112e6, 160e6])
    assert size_classes(n).tolist() == [0, 0, 0, 1, 1, 2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e6, 1e11), min_size=8, max_size=60), st.integers(0, 100))
def test_cuts_leave_out_what_is_larger(sizes: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = np.array(sizes)
    runs = Runs(n, n * rng.choice([10.0, 20.0, 80.0], len(n)), np.ones(len(n)))
    for cut in holdouts(runs, False):
        x = getattr(runs, cut.column)
        assert 8 <= cut.fitted.sum() < len(n)
        assert x[cut.fitted].max() < x[~cut.fitted].min() == cut.beyond


def test_each_group_is_left_out_once() -> None:
    labels = ["a", "b", "a", "c", "d", "e", "f", "f"]
    kept = np.array(folds(labels, 3))
    assert ((~kept).sum(0) == 1).all()
    assert (kept[:, 0] == kept[:, 2]).all()
    assert (kept[:, 6] == kept[:, 7]).all()
    assert folds(["a", "a"], 5) == [], "nothing would be left to fit"


@pytest.mark.parametrize("name", ["gemstones", "morph"])
def test_larger_runs_of_the_shipped_tables(name: str) -> None:
    runs = gemstones("cool_end") if name == "gemstones" else morph()
    known = size_classes(runs.n_params) < size_classes(runs.n_params).max()
    choice = choose(runs.take(known), "run_name" if name == "gemstones" else None)
    assert choice.law.name_ in ("width_depth", "gemstones")
    larger = runs.take(~known)
    told = choice.law.predict(larger)
    assert larger.loss is not None
    wrong = np.abs(told.loss / larger.loss - 1)
    assert wrong.max() < (0.04 if name == "gemstones" else 0.012)
    assert ((told.lo < larger.loss) & (larger.loss < told.hi)).mean() >= 0.85
    errors = [row.error for row in choice.table if np.isfinite(row.error)]
    assert errors == sorted(errors)
    assert len(choice.table) == 8
    assert (name == "gemstones") or choice.table[0].largest, "errors of the largest runs are in the table"


def test_fitting_error_does_not_choose() -> None:
    columns, _ = made(3, 60, 0.01, tied=True)
    flat = {name: columns[name] for name in ("n_params", "n_tokens", "loss")}
    table = {row.law: row for row in choose(flat).table}
    assert set(table) == {"chinchilla", "chinchilla_tied"}
    tight = ScalingLaw("chinchilla", delta=0.1).fit(flat).objective_
    assert tight <= ScalingLaw("chinchilla_tied", delta=0.1).fit(flat).objective_


def test_a_shape_is_found_where_there_is_one() -> None:
    with_, _ = made(1, 80, 0.002, shape=0.02)
    assert choose(with_).law.name_ in ("u_shape", "u_shape_drift")


def test_auto_is_the_choice() -> None:
    columns = ladder(1)
    law = ScalingLaw("auto").fit(columns)
    choice = choose(columns)
    assert law.name_ == choice.law.name_
    assert law.law == "auto"
    assert law.coef_ == choice.law.coef_
    assert law.choice_ == choice.table
    assert law.advice_ == choice.advice
    far = {"n_params": [1e10], "n_tokens": [1e12]}
    np.testing.assert_array_equal(law.predict(far).hi, choice.law.predict(far).hi)


def test_the_order_of_rows_does_not_matter() -> None:
    columns = ladder(4)
    order = np.random.default_rng(0).permutation(len(columns["loss"]))
    one, other = choose(columns), choose({name: values[order] for name, values in columns.items()})
    assert one.law.name_ == other.law.name_
    assert one.law.coef_ == pytest.approx(other.law.coef_, rel=1e-6)


def test_values_of_a_column_that_shift_losses_are_found() -> None:
    columns = ladder(2)
    source = np.resize(["x", "y", "z"], len(columns["loss"]))
    shift = np.select([source == "x", source == "y"], [-0.03, 0.0], 0.03)
    assert choose(columns | {"source": source}).law.shifts_ is None
    choice = choose(columns | {"loss": columns["loss"] * np.exp(shift), "source": source})
    assert choice.law.shifts_ is not None
    assert choice.law.shifts_.by == pytest.approx({"x": -0.03, "y": 0, "z": 0.03}, abs=0.004)
    assert any("source" in text for text in choice.advice)
    told = choice.law.predict({"n_params": [2e9] * 2, "n_tokens": [4e10] * 2, "source": ["x", "z"]}).loss
    assert told[1] / told[0] == pytest.approx(np.exp(0.06), abs=0.01)


def test_columns_that_can_shift() -> None:
    n = np.repeat(np.geomspace(1e7, 1e9, 5), 4)
    runs = Runs.of(
        {
            "n_params": n,
            "n_tokens": 20 * n,
            "loss": np.ones(20),
            "run": np.resize(["a", "b"], 20),
            "set": np.resize(["a", "b"], 20),
            "class": np.repeat(["1M", "2M", "3M", "4M", "5M"], 4),
            "digits": np.resize(["1", "2"], 20),
            "same": ["x"] * 20,
            "each": [f"r{i}" for i in range(20)],
        }
    )
    assert shift_columns(runs) == ["set"]


def test_under_trained_runs_stay_out_where_they_mislead() -> None:
    columns = ladder(5, tokens=(2, 20, 40, 160))
    assert len(choose(columns).law.runs_) == 24
    poor = columns["n_tokens"] < 19 * columns["n_params"]
    worse = columns | {"loss": columns["loss"] * np.where(poor, 1.15 + 0.1 * np.sin(np.arange(24.0)), 1)}
    choice = choose(worse)
    assert len(choice.law.runs_) == 18
    assert any("20 tokens a parameter" in text for text in choice.advice)


def test_runs_of_a_kind_that_stayed_out_are_told_by_how_the_law_missed_them(tmp_path: Path) -> None:
    columns = ladder(5, tokens=(2, 8, 20, 40, 160))
    below = np.log(np.maximum(20 * columns["n_params"] / columns["n_tokens"], 1))
    runs = Runs.of(columns | {"loss": columns["loss"] * np.exp(0.06 * below**2)})
    largest = runs.n_params > 5e8
    law = choose(runs.take(~largest)).law
    assert law.domain_ is not None
    assert law.domain_.rows == 10
    assert law.domain_.slope == pytest.approx(0.06, abs=0.02)
    told, loss = law.predict(runs.take(largest)), runs.take(largest).loss
    assert loss is not None
    assert np.abs(told.loss / loss - 1).max() < 0.03, "the law alone is off by 37 %"
    assert ((told.lo < loss) & (loss < told.hi)).all()
    assert (told.hi / told.lo)[0] > 1.5 * (told.hi / told.lo)[2], "what does not hold is less sure"
    assert [text for text in told.notes if text.startswith("2 of 5 runs (rows 0, 1) have fewer than 20 tokens")]
    assert not law.predict(runs.take(largest & (below == 0))).notes
    save_fit(law, tmp_path / "fit.json")
    again = load_fit(tmp_path / "fit.json")
    assert again.domain_ == law.domain_
    assert again.predict(runs.take(largest)).hi == pytest.approx(told.hi, rel=1e-9)


def test_a_run_at_the_edge_tells_nothing_of_what_lies_beyond() -> None:
    runs = Runs.of({"n_params": [1e8, 2e8], "n_tokens": [1.9999e9, 3.9999e9], "loss": [3.0, 2.9]})
    domain = Domain.of(runs, np.array([0.003, -0.002]))
    off, variance = domain.off(Runs.of({"n_params": [1e8, 1e8], "n_tokens": [1e9, 2e9]}))
    assert abs(off[0]) < 0.05
    assert 0 < variance[0] < 0.5**2
    assert (off[1], variance[1]) == (0.0, 0.0)


def test_parameters_are_counted_as_predicts_better() -> None:
    columns = ladder(6)
    inner, total = columns["n_params"], columns["n_params"] + 3e7
    for truth, kind in (("non_embedding", "non_embedding"), ("total", "total")):
        n = inner if truth == "non_embedding" else total
        loss = 1.8 + 420 * n**-0.34 + 3000 * columns["n_tokens"] ** -0.37
        runs = Runs(total, columns["n_tokens"], loss, sizes={"total": total, "non_embedding": inner})
        assert choose(runs).law.runs_.counted == kind


def test_what_is_too_little_is_said() -> None:
    columns = ladder(7)
    two = np.flatnonzero(columns["n_params"] < 5e7)
    choice = choose({name: values[two] for name, values in columns.items()}, laws=["chinchilla_tied"])
    assert any(text.startswith("2 size classes") for text in choice.advice)
    n = np.geomspace(1e7, 1e9, 12)
    line = {"n_params": n, "n_tokens": 20 * n, "loss": 1.8 + 420 * n**-0.34 + 3000 * (20 * n) ** -0.34}
    choice = choose(line)
    assert choice.law.name_ == "chinchilla_tied"
    assert any("same tokens a parameter" in text for text in choice.advice)
    assert {row.law: bool(row.why) for row in choice.table} == {"chinchilla_tied": False, "chinchilla": True}


def test_nothing_to_choose_from() -> None:
    few = {name: values[:4] for name, values in ladder(0).items()}
    with pytest.raises(NotIdentifiable, match="runs or more"):
        choose(few)
    with pytest.raises(ValueError, match="laws: one or more"):
        choose(ladder(0), laws=[])
    with pytest.raises(ValueError, match="needs the column loss"):
        choose({"n_params": [1e8], "n_tokens": [1e9]})
    with pytest.raises(ValueError, match="no column 'seed'"):
        choose(ladder(0), "seed")
