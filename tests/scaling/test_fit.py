"""Fits against published figures, a slow twin and their own identities; and what they must refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from tests.scaling import shipped, twins
from thrifty.errors import NotIdentifiable
from thrifty.scaling import Form, Power, Runs, ScalingLaw, Term, named


def coefficients(law: ScalingLaw) -> list[float]:
    return list(law.coef_.values())


def test_the_published_optimum() -> None:
    law = ScalingLaw("chinchilla").fit(shipped.chinchilla())
    assert law.objective_ <= 0.0010182741
    assert law.objective_ == pytest.approx(0.0010182740178, rel=1e-9)
    expected = {"E": 1.81722, "A": 477.83, "B": 2143.4, "alpha": 0.347311, "beta": 0.367172}
    for name, value in expected.items():
        assert law.coef_[name] == pytest.approx(value, rel=2e-3 if name in "AB" else 1e-4), name
    certificate = law.certificate_
    assert certificate.sound
    assert (certificate.reached, certificate.basins, certificate.at_bounds, certificate.notes) == (8, 8, (), ())
    assert certificate.gradient < 1e-8
    assert 10 < certificate.condition < 100
    every = ScalingLaw("chinchilla").fit(shipped.runs("chinchilla_245.csv"))
    assert every.objective_ == pytest.approx(0.00182601052, rel=1e-6)
    assert every.coef_["E"] == pytest.approx(1.8913, rel=1e-3)
    assert every.coef_["beta"] == pytest.approx(0.4530, rel=1e-3)


def test_objectives_are_the_formula() -> None:
    runs = shipped.morph(in_paper_fit="1")
    for loss, delta in (("huber_log", 1e-3), ("huber_log", 0.02), ("lsq", None)):
        law = ScalingLaw("morph", loss=loss, delta=delta or 1e-3).fit(runs)
        expected = twins.objective(law.form_, law.coef_, runs, delta=delta)
        assert law.objective_ == pytest.approx(expected, rel=1e-9)


def test_the_papers_table() -> None:
    fitted, runs = shipped.morph(in_paper_fit="1"), shipped.morph()
    kinds = ("size_class", "tokens_multiple")
    for name, mse, r2, within in (("morph", 0.000545, 0.99798, 0.931), ("chinchilla_tied", 0.002792, 0.98965, -0.401)):
        law = ScalingLaw(name, loss="lsq").fit(fitted)
        score = law.score(runs, kinds)
        assert score["mse"] == pytest.approx(mse, rel=0.01)
        assert score["r2"] == pytest.approx(r2, rel=0.01)
        assert score["spearman_within"] == pytest.approx(within, abs=0.005)
    morph = ScalingLaw("morph", loss="lsq").fit(fitted)
    assert morph.coef_["gamma"] == pytest.approx(0.0011, abs=5e-5)
    assert morph.coef_["alpha"] == pytest.approx(0.615, rel=0.01)
    assert morph.coef_["E"] == pytest.approx(2.448, rel=0.01)


@pytest.mark.parametrize(
    ("name", "most"), [("u_shape", 0.00018), ("morph", 0.00030), ("chinchilla", 0.00171), ("u_shape_drift", 0.00018)]
)
def test_laws_of_all_morph_runs(name: str, most: float) -> None:
    score = ScalingLaw(name, loss="lsq").fit(shipped.morph()).score(shipped.morph(), ("size_class", "tokens_multiple"))
    assert score["mse"] <= 1.03 * most
    if name == "u_shape":
        assert score["spearman_within"] >= 0.97


def test_laws_of_gemstones() -> None:
    runs = shipped.gemstones("hot_100b+")
    assert ScalingLaw("gemstones", loss="lsq").fit(runs).score(runs)["mse"] <= 0.000190
    assert ScalingLaw("chinchilla", loss="lsq").fit(runs).score(runs)["mse"] == pytest.approx(0.00238, rel=0.01)


@settings(max_examples=6)
@given(st.integers(0, 10**6))
def test_no_twin_gets_lower(seed: int) -> None:
    columns, truth = shipped.made(seed, 24)
    runs = Runs.of(columns)
    law = ScalingLaw("chinchilla").fit(runs)
    for start in (law.coef_, truth):
        some = {name: max(value, 1e-3) for name, value in start.items()}
        assert law.objective_ <= twins.chinchilla_fit(runs, 1e-3, np.ones(24), some) * (1 + 1e-6)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(["chinchilla", "chinchilla_tied", "u_shape"]), st.booleans())
def test_the_order_of_rows_does_not_matter(seed: int, name: str, squares: bool) -> None:
    columns, _ = shipped.made(seed, 40, shape=0.01)
    order = np.random.default_rng(seed).permutation(40)
    mixed = {column: values[order] for column, values in columns.items()}
    first, second = (ScalingLaw(name, loss="lsq" if squares else "huber_log").fit(runs) for runs in (columns, mixed))
    assert first.objective_ == pytest.approx(second.objective_, rel=1e-9)
    assert first.loss_at(columns) == pytest.approx(second.loss_at(columns), rel=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(["huber_log", "lsq"]))
def test_weights_are_repeated_rows(seed: int, loss: str) -> None:
    columns, _ = shipped.made(seed, 30)
    counts = np.random.default_rng(seed).integers(0, 4, 30) + (np.arange(30) < 12)
    repeated = {name: np.repeat(values, counts) for name, values in columns.items()}
    weighted = ScalingLaw("chinchilla_tied", loss=loss).fit(columns, sample_weight=counts)
    plain = ScalingLaw("chinchilla_tied", loss=loss).fit(repeated)
    assert weighted.objective_ == pytest.approx(plain.objective_, rel=1e-8)
    assert weighted.loss_at(columns) == pytest.approx(plain.loss_at(columns), rel=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from(["chinchilla_tied", "morph", "gemstones"]), st.sampled_from([1e-3, 1e3]))
def test_units_do_not_matter(seed: int, name: str, unit: float) -> None:
    columns, _ = shipped.made(seed, 60, noise=0.003, shape=0.01)
    other = columns | {"n_params": columns["n_params"] * unit, "n_tokens": columns["n_tokens"] / unit}
    first, second = ScalingLaw(name).fit(columns), ScalingLaw(name).fit(other)
    assert first.loss_at(columns) == pytest.approx(second.loss_at(other), rel=1e-6)
    if name != "gemstones":
        assert second.coef_["A"] == pytest.approx(first.coef_["A"] * unit ** first.coef_["alpha"], rel=1e-3)


@pytest.mark.parametrize("name", ["chinchilla", "morph", "morph_free", "u_shape", "u_shape_drift", "gemstones"])
@pytest.mark.parametrize("loss", ["huber_log", "lsq"])
def test_refits_are_fits(name: str, loss: str) -> None:
    runs = shipped.gemstones("cool_end")
    law = ScalingLaw(name, loss=loss).fit(runs)
    assert law.refit(np.ones((2, len(runs)))) == pytest.approx(np.stack([law.theta_] * 2), abs=1e-6)
    counts = np.random.default_rng(3).integers(0, 3, len(runs)).astype(float)
    anew = ScalingLaw(name, loss=loss).fit(runs, sample_weight=counts)
    told = np.exp(law._surface.at(law.refit(counts)).log[0])
    if name != "gemstones":  # whose sums have many lows
        assert told == pytest.approx(anew.loss_at(runs), rel=1e-4)
    other = law.loss_at(runs) * 1.1
    grown = law.refit(np.ones((1, len(runs))), other)
    assert np.exp(law._surface.at(grown).log[0]) == pytest.approx(other, rel=1e-3)


def test_gradients_are_differences() -> None:
    runs = shipped.morph()
    for name in ("chinchilla", "morph", "u_shape_drift"):
        law = ScalingLaw(name).fit(runs)
        for i in range(len(law.theta_)):
            moved = []
            for sign in (1, -1):
                other = copy.copy(law)
                other.theta_ = law.theta_ + sign * 1e-6 * np.eye(len(law.theta_))[i]
                moved.append(np.log(other.loss_at(runs)))
            assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(law.gradient(runs)[:, i], rel=1e-5, abs=1e-8)


def test_losses_without_noise_are_told_exactly() -> None:
    columns, truth = shipped.made(5, 40, noise=0.0, shape=0.02)
    law = ScalingLaw("u_shape").fit(columns)
    for name, value in law.coef_.items():
        assert value == pytest.approx(truth[name], rel=1e-3), name


def test_many_runs_and_many_terms() -> None:
    columns, truth = shipped.made(3, 5000, shape=0.02)
    law = ScalingLaw("u_shape_drift").fit(columns)
    assert law.coef_["E"] == pytest.approx(truth["E"], rel=0.03)
    assert law.coef_["m"] == pytest.approx(truth["m"], abs=0.1)
    powers = ["n_params", "n_tokens", "d_model", "n_layers"]
    terms = (Term("E"), *(Term(f"C{i}", ((column, f"e{i}"),)) for i, column in enumerate(powers * 2)))
    many = Form("many", terms[:7], Power("g", "eta"), {f"e{i}": (0.1, 3.0) for i in range(6)})
    fit = ScalingLaw(many, loss="lsq")
    with pytest.raises(NotIdentifiable, match="can't be told apart"):
        fit.fit(shipped.gemstones("cool_end"))


def test_own_terms_and_bounds() -> None:
    form = Form("deep", (Term("E"), Term("B", (("n_tokens", "beta"),))), Power("g", "eta", "n_layers"))
    runs = shipped.morph(size_class="80M")
    law = ScalingLaw(form, loss="lsq").fit(runs)
    assert law.name_ == "deep"
    assert law.objective_ == pytest.approx(twins.objective(form, law.coef_, runs, delta=None), rel=1e-9)
    runs = shipped.chinchilla()
    held = ScalingLaw("chinchilla", bounds={"E": (1.9, 2.0), "A": (100.0, 300.0)}).fit(runs)
    assert held.coef_["E"] == pytest.approx(1.9)
    assert 100 - 1e-6 <= held.coef_["A"] <= 300 + 1e-6
    assert "E" in held.certificate_.at_bounds
    assert any("E is 1.9, at its bound" in note for note in held.certificate_.notes)
    free = ScalingLaw("chinchilla", bounds={"A": (1.0, 1e6), "alpha": (0.1, 0.9)}).fit(runs)
    assert free.objective_ == pytest.approx(0.0010182740178, rel=1e-9)


def test_a_constant_that_vanishes_is_noted() -> None:
    law = ScalingLaw("chinchilla", loss="lsq").fit(shipped.morph(in_paper_fit="1"))
    assert law.coef_["E"] < 1e-6
    assert law.certificate_.at_bounds == ("E",)
    assert law.certificate_.notes[0].startswith("E is 0: the runs show no loss that larger ones could not get below")


@pytest.mark.parametrize("name", ["chinchilla", "morph_free", "u_shape"])
def test_tokens_that_follow_parameters(name: str) -> None:
    runs = shipped.morph(tokens_multiple="20")
    with pytest.raises(NotIdentifiable, match=r'alpha and beta can\'t be told apart.*tie=\("alpha", "beta"\)') as told:
        ScalingLaw(name).fit(runs)
    assert "more tokens, or fewer, for each parameter" in str(told.value)
    law = ScalingLaw(name, tie=("alpha", "beta")).fit(runs)
    assert law.certificate_.condition < 1000
    assert "beta" not in law.coef_


def test_runs_that_tell_enough() -> None:
    two = shipped.morph()
    two = two.take(np.isin(two.columns["tokens_multiple"], ["20", "160"]))
    assert ScalingLaw("chinchilla").fit(two).certificate_.condition < 1000


def ladder(sizes: int, multiples: list[float], **other: float) -> dict[str, np.ndarray]:
    n, k = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, sizes), multiples))
    noise = np.exp(0.005 * np.random.default_rng(0).standard_normal(len(n)))
    columns = {"n_params": n, "n_tokens": k * n, "loss": (1.8 + 400 * n**-0.34 + 2000 * (k * n) ** -0.37) * noise}
    return columns | {name: np.full(len(n), value) for name, value in other.items()}


@pytest.mark.parametrize(
    ("columns", "law", "says"),
    [
        (ladder(12, [20.0]), "chinchilla", "alpha and beta"),
        (ladder(1, [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0]), "chinchilla", "n_params is the same"),
        (ladder(12, [20.0]) | {"n_tokens": np.full(12, 1e10)}, "chinchilla", "n_tokens is the same"),
        (ladder(2, [5.0, 10.0, 20.0, 40.0, 80.0]), "chinchilla", "can't be told apart by these runs"),
        (ladder(2, [20.0, 40.0]), "chinchilla", "5 coefficients and needs 8 runs or more, got 4"),
        (
            ladder(4, [20.0, 80.0, 320.0], d_model=512.0, n_layers=8.0),
            "morph",
            "gamma and alpha can't be told: runs have 1 of ratio, and 2",
        ),
        (
            ladder(4, [20.0, 80.0, 320.0], d_model=512.0, n_layers=8.0),
            "u_shape",
            "g and m can't be told: runs have 1 of ratio, and 3",
        ),
    ],
)
def test_what_runs_cannot_tell(columns: dict[str, np.ndarray], law: str, says: str) -> None:
    with pytest.raises(NotIdentifiable, match=says):
        ScalingLaw(law).fit(columns)


def test_ladders_of_two_multiples_are_enough() -> None:
    law = ScalingLaw("chinchilla").fit(ladder(6, [10.0, 80.0]))
    assert law.coef_["E"] == pytest.approx(1.8, rel=0.2)


def without(name: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda columns: {n: values for n, values in columns.items() if n != name}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("loss"), "needs the column loss"),
        (lambda c: c | {"loss": -c["loss"]}, r"loss must be finite and above 0, got -"),
        (lambda c: c | {"loss": np.where(np.arange(12) == 5, np.nan, c["loss"])}, r"got nan in row 5"),
        (lambda c: c | {"n_params": np.where(np.arange(12) == 2, np.inf, c["n_params"])}, "n_params must be finite"),
    ],
)
def test_columns_that_are_wrong(change: Callable[..., dict[str, np.ndarray]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ScalingLaw("chinchilla").fit(change(ladder(4, [20.0, 80.0, 320.0])))


@pytest.mark.parametrize(
    ("made", "fit", "says"),
    [
        ({"law": "best"}, {}, "law: 'best'"),
        ({"loss": "l1"}, {}, "loss: 'huber_log' or 'lsq'"),
        ({"delta": 0.0}, {}, "delta: a number above 0"),
        ({"tie": ("alpha", "gamma")}, {}, "tie: 'gamma'"),
        ({"bounds": {"F": (0, 1)}}, {}, "bounds: 'F'"),
        ({}, {"sample_weight": [1.0]}, "sample_weight: 12 numbers"),
        ({}, {"sample_weight": [0.0] * 12}, "not all 0"),
        ({}, {"sample_weight": [-1.0] * 12}, "at least 0"),
        ({}, {"groups": "run"}, "no column 'run'"),
        ({}, {"groups": [1, 2]}, "groups: 12 labels"),
    ],
)
def test_arguments_that_are_wrong(made: dict[str, object], fit: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ScalingLaw(**made).fit(ladder(4, [20.0, 80.0, 320.0]), **fit)  # type: ignore[arg-type]


def test_refits_refuse_what_is_wrong() -> None:
    law = ScalingLaw("chinchilla").fit(ladder(4, [20.0, 80.0, 320.0]))
    for weights, targets, says in (
        (np.ones((2, 11)), None, "rows of 12 numbers"),
        (-np.ones((2, 12)), None, "at least 0"),
        (np.ones((2, 12)), np.ones(11), "12 losses above 0"),
        (np.ones((2, 12)), np.zeros(12), "12 losses above 0"),
    ):
        with pytest.raises(ValueError, match=says):
            law.refit(weights, targets)


def test_scikit_learns_manners() -> None:
    law = ScalingLaw("morph", loss="lsq", bounds={"E": (1.0, 3.0)})
    params = law.get_params()
    again = type(law)(**params)
    assert all(again.get_params()[name] is value for name, value in params.items())
    assert repr(law) == "ScalingLaw(law='morph', loss='lsq', bounds={'E': (1.0, 3.0)})"
    assert repr(ScalingLaw()) == "ScalingLaw(law='chinchilla')"
    assert law.set_params(delta=0.1, law="u_shape") is law
    assert (law.delta, law.law) == (0.1, "u_shape")
    with pytest.raises(ValueError, match="'alpha' is none of law, loss"):
        law.set_params(alpha=1)
    with pytest.raises(AttributeError):
        _ = law.coef_
    assert repr(clone(law)) == repr(law)


def test_scores() -> None:
    columns = ladder(4, [20.0, 80.0, 320.0])
    law = ScalingLaw("chinchilla").fit(columns)
    told = law.loss_at(columns)
    score = law.score(columns | {"loss": told})
    assert score["mse"] == pytest.approx(0.0, abs=1e-20)
    assert (score["r2"], score["spearman"]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert np.isnan(score["spearman_within"])
    with pytest.raises(ValueError, match="no column 'kind'"):
        law.score(columns, ["kind"])
    near = shipped.morph()
    assert ScalingLaw("morph", loss="lsq").fit(near).score(near)["spearman_within"] > 0.85


def test_named_laws_are_what_papers_say() -> None:
    assert named("morph").names == ("E", "A", "B", "alpha", "gamma")
    assert named("chinchilla_tied").names == ("E", "A", "B", "alpha")
    assert named("morph_free").names == ("E", "A", "B", "alpha", "beta", "eta", "gamma")
    assert named("u_shape_drift").names == ("E", "A", "B", "alpha", "beta", "g", "m", "k")
