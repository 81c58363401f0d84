"""Optima beside the closed forms of Hoffmann et al., published figures, and a fine grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scaling.fits import fitted
from thrifty.errors import Infeasible
from thrifty.scaling import Runs, optimal
from thrifty.scaling.optimal import surface_of, tokens_for
from thrifty.scaling.rivals import Rival

EPOCH = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def test_published_budgets() -> None:
    found = optimal(EPOCH, flops=5.76e23)
    assert found.n_params == pytest.approx(7.235e10, rel=1e-3)
    assert found.n_tokens == pytest.approx(1.3268e12, rel=1e-3)
    assert found.loss == pytest.approx(1.97397, rel=1e-5)
    found = optimal(HOFFMANN, flops=5.76e23)
    assert found.n_params == pytest.approx(3.219e10, rel=1e-3)
    assert found.tokens_per_param == pytest.approx(92.65, rel=1e-3)
    assert found.loss == pytest.approx(1.93075, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "served", "n_params", "ratio"),
    [
        (2.2, 0, 5.58e9, 20.8),
        (2.2, 1e12, 2.54e9, 136),
        (2.2, 1e13, 1.58e9, 785),
        (2.0, 0, 4.66e10, 18.7),
        (2.0, 1e12, 3.40e10, 36.5),
    ],
)
def test_published_losses(loss: float, served: float, n_params: float, ratio: float) -> None:
    found = optimal(EPOCH, loss=loss, inference_tokens=served)
    assert found.n_params == pytest.approx(n_params, rel=0.01)
    assert found.tokens_per_param == pytest.approx(ratio, rel=0.01)
    assert found.loss == pytest.approx(loss, rel=1e-9)


LAWS = st.fixed_dictionaries(
    {
        "E": st.floats(0.1, 3),
        "A": st.floats(1, 5000),
        "B": st.floats(100, 50_000),
        "alpha": st.floats(0.2, 0.6),
        "beta": st.floats(0.2, 0.6),
    }
)


@given(law=LAWS, log_flops=st.floats(18, 24))
def test_the_closed_form(law: dict[str, float], log_flops: float) -> None:
    flops = 10**log_flops
    both = law["alpha"] + law["beta"]
    scale = (law["alpha"] * law["A"] / (law["beta"] * law["B"])) ** (1 / both)
    exact = scale * (flops / 6) ** (law["beta"] / both)
    if not 1e4 < exact < 1e15 or flops / (6 * exact) < 100:
        return
    found = optimal(law, flops=flops)
    # The least is flat: where next to nothing of the loss falls with size, its last bit leaves the size open.
    flat = 1e-5 + 10 * np.sqrt(np.finfo(float).eps * found.loss / (found.loss - law["E"]))
    assert found.n_params == pytest.approx(exact, rel=flat)
    assert found.train_flops == pytest.approx(flops)
    # As much loss costs as much the other way round.
    back = optimal(law, loss=found.loss)
    assert back.n_params == pytest.approx(exact, rel=1e-3)
    assert back.flops == pytest.approx(flops, rel=1e-6)


@given(law=LAWS, over=st.floats(0.02, 1.0), log_served=st.floats(8, 14))
def test_no_size_costs_less(law: dict[str, float], over: float, log_served: float) -> None:
    loss, served = law["E"] + over, 10**log_served
    try:
        found, unserved = optimal(law, loss=loss, inference_tokens=served), optimal(law, loss=loss)
    except Infeasible:
        return
    n = np.geomspace(1e4, 1e15, 20_001)
    rest = loss - law["E"] - law["A"] * n ** -law["alpha"]
    d = np.where(rest > 0, (law["B"] / np.maximum(rest, 1e-9)) ** (1 / law["beta"]), np.inf)
    cost = n * (6 * np.maximum(d, 1) + 2 * served)
    assert found.flops <= cost.min() * (1 + 1e-9)
    assert found.n_params <= unserved.n_params * (1 + 1e-3)  # what serves is smaller


def test_an_optimum_beyond_all_tokens_is_none() -> None:
    law = {"E": 1.0, "A": 27.0, "B": 17312.0, "alpha": 0.5, "beta": 0.21875}
    with pytest.raises(Infeasible, match=r"loss: 2 at its least cost takes more than 1e\+20 tokens"):
        optimal(law, loss=2.0, inference_tokens=1e8)


def test_a_budget_that_serves_too() -> None:
    plain, served = optimal(EPOCH, flops=1e22), optimal(EPOCH, flops=1e22, inference_tokens=1e12)
    assert served.flops == pytest.approx(1e22)
    assert served.n_params < plain.n_params
    n = np.geomspace(1e7, 4.9e9, 50_001)
    d = (1e22 / n - 2e12) / 6
    assert served.loss == pytest.approx(float(surface_of(EPOCH)(n, d).min()), rel=1e-8)


class Shaped:
    """(E + A / N^a + B / D^a)(1 + g R^a), the law of arXiv 2501.18107, as a law is called."""

    def told_at(self, runs: Runs) -> np.ndarray:
        assert runs.d_model is not None
        assert runs.n_layers is not None
        ratio = runs.d_model / runs.n_layers
        base = 2.0 + 5e4 * runs.n_params**-0.6 + 5e5 * runs.n_tokens**-0.6
        factor: np.ndarray = base * (1 + 1e-3 * ratio**0.6)
        return factor


def test_a_law_with_shape_at_one_ratio() -> None:
    factor = 1 + 1e-3 * 64**0.6
    plain = {"E": 2.0 * factor, "A": 5e4 * factor, "B": 5e5 * factor, "alpha": 0.6, "beta": 0.6}
    shaped, same = optimal(Shaped(), flops=1e21, aspect=64), optimal(plain, flops=1e21)
    assert shaped.n_params == pytest.approx(same.n_params, rel=1e-6)
    assert shaped.loss == pytest.approx(same.loss, rel=1e-12)


def test_tokens_where_there_are_none() -> None:
    found = tokens_for(surface_of(EPOCH), np.array([1e3, 1e9, 1e12]), 2.5)
    assert math.isinf(found[0])
    assert np.isfinite(found[1:]).all()
    assert tokens_for(surface_of(EPOCH), np.array([1e9]), 1e9).tolist() == [1.0]


def test_tokens_of_an_upper_end_that_rises_again() -> None:
    def upper(n: np.ndarray, d: np.ndarray) -> np.ndarray:
        told: np.ndarray = surface_of(EPOCH)(n, d) * (1 + 0.01 * np.log10(d / 1e10) ** 2)
        return told

    n = np.array([1e9, 3e9])
    found = tokens_for(upper, n, 2.5)
    grid = np.geomspace(1e8, 1e13, 100_001)
    wanted = [grid[np.argmax(upper(np.full(len(grid), size), grid) <= 2.5)] for size in n]
    assert found == pytest.approx(wanted, rel=2e-4)
    assert (upper(n, np.full(2, 1e20)) > 2.5).all()


def test_a_chosen_law_with_rivals_tells_what_it_predicts() -> None:
    law, rival = fitted("chinchilla"), fitted("u_shape")
    law.rivals_ = (Rival(rival, 0.6),)
    best = optimal(law, loss=2.9)
    runs = law.runs_
    aspect = float(np.exp(np.log(runs.d_model / runs.n_layers).mean()))  # type: ignore[operator]
    assert best == optimal(law, loss=2.9, aspect=aspect)
    depth = np.cbrt(best.n_params / (12 * aspect**2))
    there = {"n_params": best.n_params, "n_tokens": best.n_tokens, "d_model": aspect * depth, "n_layers": depth}
    same = Runs(**{name: np.array([value]) for name, value in there.items()})
    assert law.predict(same).loss[0] == pytest.approx(2.9, rel=1e-12)
    assert abs(law.loss_at(same)[0] / 2.9 - 1) > 1e-6


def test_what_is_not_possible() -> None:
    with pytest.raises(Infeasible, match=r"1\.7 is below what the law tells"):
        optimal(EPOCH, loss=1.7)
    with pytest.raises(Infeasible, match="too few to serve"):
        optimal(EPOCH, flops=1e10, inference_tokens=1e12)
    with pytest.raises(Infeasible, match="no least cost"):
        optimal(EPOCH | {"A": 0.0}, flops=1e20)
    for wrong in ({}, {"flops": 1e20, "loss": 2.0}, {"flops": -1.0}, {"flops": math.inf}, {"loss": math.nan}):
        with pytest.raises(ValueError, match="flops|loss"):
            optimal(EPOCH, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="inference_tokens"):
        optimal(EPOCH, flops=1e20, inference_tokens=-1)
