"""Forms and their derivatives, against formulas and differences."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scaling import shipped, twins
from thrifty.scaling import NAMED, Form, Power, Quadratic, Runs, Term, named
from thrifty.scaling.laws.scale import Scale, logs
from thrifty.scaling.laws.surface import Surface

OTHERS = (
    Form("one", (Term("A", (("n_tokens", "a"), ("n_params", "a"))),)),
    Form("mixed", (Term("E"), Term("A", (("n_params", "a"), ("n_tokens", "b")))), Power("g", "c", "n_layers")),
    Form(
        "tied_shape",
        (Term("A", (("n_params", "a"),)), Term("B", (("d_model", "a"), ("n_layers", "b"))), Term("E")),
        Power("g", "a"),
    ),
    Form("bowl", (Term("E"), Term("B", (("n_tokens", "b"),))), Quadratic("h", "best", "move")),
)
FORMS = {form.name: form for form in (*NAMED.values(), *OTHERS)}


def scaled(form: Form) -> tuple[Scale, Runs, Surface]:
    runs = shipped.morph().take(range(0, 70, 7))
    scale = Scale(form, {name: float(x.mean()) for name, x in logs(form, runs).items()})
    return scale, runs, Surface(form, scale.centred(runs))


def thetas(form: Form, seed: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.6, (count, len(form.names)))


@given(st.sampled_from(sorted(FORMS)), st.integers(0, 10**6))
def test_losses_are_the_formulas(name: str, seed: int) -> None:
    form = FORMS[name]
    scale, runs, surface = scaled(form)
    theta = thetas(form, seed)
    for row, told in zip(scale.coefficients(theta), surface.at(theta).log, strict=True):
        coefficients = dict(zip(form.names, row.tolist(), strict=True))
        expected = [twins.loss_of(form, coefficients, runs, i) for i in range(len(runs))]
        assert np.exp(told) == pytest.approx(expected, rel=1e-9)
    assert scale.theta(scale.coefficients(theta)) == pytest.approx(theta, abs=1e-8)


@given(st.sampled_from(sorted(FORMS)), st.integers(0, 10**6))
def test_derivatives_are_differences(name: str, seed: int) -> None:
    form = FORMS[name]
    _, runs, surface = scaled(form)
    rng = np.random.default_rng(seed)
    theta = thetas(form, seed)
    first, second = rng.normal(size=(2, 2, len(runs)))
    point = surface.at(theta)
    slopes = point.slopes()
    step = 1e-5
    for i in range(len(form.names)):
        up, down = (surface.at(theta + sign * step * np.eye(len(form.names))[i]) for sign in (1, -1))
        assert (up.log - down.log) / (2 * step) == pytest.approx(slopes[:, i], rel=1e-6, abs=1e-7)
        bends = np.einsum("bn,bpn->bp", first, up.slopes() - down.slopes()) / (2 * step)
        both = bends + np.einsum("bn,bpn->bp", second, slopes * slopes[:, i, None])
        assert both == pytest.approx(point.derivatives(first, second)[1][:, i], rel=1e-5, abs=1e-6)
    slope, bend = point.derivatives(first, second)
    assert slope == pytest.approx(np.einsum("bn,bpn->bp", first, slopes), abs=1e-9)
    assert point.squares(second) == pytest.approx(np.einsum("bn,bpn,bqn->bpq", second, slopes, slopes), abs=1e-9)
    assert bend == pytest.approx(bend.transpose(0, 2, 1))
    of_one = surface.at(theta[:1]).of_runs(first[0], second[0])
    assert of_one[0].sum(0) == pytest.approx(slope[0], abs=1e-9)
    assert of_one[1].sum(0) == pytest.approx(bend[0], abs=1e-9)


@pytest.mark.parametrize("name", FORMS)
def test_forms_survive_json(name: str) -> None:
    form = Form(FORMS[name].name, FORMS[name].terms, FORMS[name].shape, {FORMS[name].names[0]: (0.1, 2.0)})
    assert Form.of(json.loads(json.dumps(form.as_dict()))) == form


def test_ties() -> None:
    assert named("chinchilla").tied("alpha", "beta").terms == named("chinchilla_tied").terms
    morph = named("morph_free").tied("alpha", "beta", "eta")
    assert (morph.terms, morph.shape) == (named("morph").terms, named("morph").shape)
    assert morph.names == ("E", "A", "B", "alpha", "gamma")
    with pytest.raises(ValueError, match="tie: 'E' is none of alpha, beta"):
        named("chinchilla").tied("alpha", "E")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"terms": ()}, "1 to 8"),
        ({"terms": (Term("E"),) * 9}, "1 to 8"),
        ({"terms": (Term("A", (("n_params", "a"), ("n_params", "b"))),)}, "a column twice"),
        ({"terms": (Term("A", (("price", "a"),)),)}, "'price' is none of"),
        ({"terms": (Term("E"),), "shape": Power("g", "a", "price")}, "'price' is none of"),
        ({"terms": (Term("E"), Term("E"))}, "a name of its own"),
        ({"terms": (Term("E"), Term("A", (("n_params", "E"),)))}, "a name of its own"),
        ({"terms": (Term("E"),), "shape": Quadratic("g", "E")}, "a name of its own"),
        ({"terms": (Term("__import__('os')"),)}, "letters, digits and _"),
        ({"terms": (Term("E" * 33),)}, "at most 32"),
        ({"terms": (Term("E"),), "bounds": {"F": (0.0, 1.0)}}, "'F' is none of E"),
        ({"terms": (Term("E"),), "bounds": {"E": (2.0, 1.0)}}, "low <= high"),
        ({"terms": (Term("E"),), "bounds": {"E": (float("nan"), 1.0)}}, "low <= high"),
        ({"terms": (Term("E"),), "bounds": {"E": (-2.0, 0.0)}}, "at least 0"),
    ],
)
def test_what_is_no_form(what: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Form("law", **what)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"name": "x", "terms": 3},
        {"name": "x", "terms": [{"coefficient": "E"}]},
        {"name": "x", "terms": [{"coefficient": "E", "powers": [["n_params"]]}]},
        {"name": "x", "terms": [{"coefficient": "E", "powers": []}], "shape": {"kind": "cubic"}},
        {"name": "x", "terms": [{"coefficient": "E", "powers": []}], "shape": {"kind": "power", "other": "x"}},
        {"name": "x", "terms": [{"coefficient": "E", "powers": []}], "bounds": {"E": [1]}},
        {"name": "x", "terms": [{"coefficient": "E", "powers": []}], "bounds": [1, 2]},
    ],
)
def test_what_json_is_no_form(given_: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Form.of(given_)


def test_names_of_laws() -> None:
    with pytest.raises(ValueError, match="'best' is none of chinchilla"):
        named("best")


def test_columns_that_are_missing_or_wrong() -> None:
    runs = Runs.of({"n_params": [1e8, 2e8], "n_tokens": [1e9, -1.0], "loss": [3.0, 2.0]})
    with pytest.raises(ValueError, match=r"n_tokens must be finite and above 0, got -1\.0 in row 1"):
        logs(named("chinchilla"), runs)
    with pytest.raises(ValueError, match="the law morph needs the column d_model"):
        logs(named("morph"), runs.take([0]))
