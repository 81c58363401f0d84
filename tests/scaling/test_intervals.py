"""Intervals hold what they say, and say when they can't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thrifty.scaling import Runs, ScalingLaw, choose
from thrifty.scaling.intervals import own
from thrifty.scaling.rivals import Rival, combined
from thrifty.scaling.scatter import scatter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


def table(rng: np.random.Generator, n: int = 60, noise: float = 0.01) -> dict[str, Any]:
    size = np.exp(rng.uniform(np.log(5e7), np.log(1e10), n))
    tokens = size * np.exp(rng.uniform(np.log(5), np.log(300), n))
    loss = (1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37) * np.exp(rng.normal(0, noise, n))
    return {"n_params": size, "n_tokens": tokens, "loss": loss}


@pytest.mark.parametrize("kind", [{}, {"delta": 0.0134}, {"loss": "lsq"}])
def test_intervals_hold_the_law_and_new_runs(kind: dict[str, Any]) -> None:
    far = {"n_params": [7e10], "n_tokens": [1.4e12]}
    true = 1.8 + 480 * 7e10**-0.35 + 2100 * 1.4e12**-0.37
    held = np.zeros(3)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        law = ScalingLaw("chinchilla", **kind).fit(table(rng))
        low, high = law.interval("alpha")
        of_law, of_run = law.predict(far, of="law"), law.predict(far)
        new = true * np.exp(rng.normal(0, 0.01))
        held += [low <= 0.35 <= high, of_law.lo[0] <= true <= of_law.hi[0], of_run.lo[0] <= new <= of_run.hi[0]]
    assert (held >= 52).all(), held  # of 60 at 95 %: fewer has a chance below 1 in 100
    assert held.sum() < 180, "intervals that always hold are too wide"


def test_runs_of_a_group_are_not_as_many_as_they_seem() -> None:
    held = np.zeros(2)
    far = {"n_params": [7e10], "n_tokens": [1.4e12]}
    true = 1.8 + 480 * 7e10**-0.35 + 2100 * 1.4e12**-0.37
    for seed in range(30):
        rng = np.random.default_rng(seed)
        model = np.repeat(np.arange(20), 10)
        size = np.exp(rng.uniform(np.log(5e7), np.log(1e10), 20))[model]
        tokens = size * np.tile(np.geomspace(2, 200, 10), 20)
        wrong = rng.normal(0, 0.01, 20)[model] + rng.normal(0, 0.002, 200)
        loss = (1.8 + 480 * size**-0.35 + 2100 * tokens**-0.37) * np.exp(wrong)
        runs = {"n_params": size, "n_tokens": tokens, "loss": loss}
        for i, groups in enumerate((model, None)):
            law = ScalingLaw("chinchilla").fit(runs, groups=groups)
            of_law = law.predict(far, of="law")
            held[i] += of_law.lo[0] <= true <= of_law.hi[0]
            if groups is not None:
                noise = law.scatter_.noise
                assert noise[1] > 2 * noise[0], "models differ by more than checkpoints do"
    assert held[0] >= 26, held
    assert held[1] <= 24, held


def test_scatter_is_that_of_the_slow_way() -> None:
    rng = np.random.default_rng(4)
    runs = table(rng, 40)
    group = np.repeat(np.arange(10), 4)
    law = ScalingLaw("chinchilla_tied", delta=0.5).fit(runs, groups=group)
    found = scatter(law)
    jacobian = law.gradient(runs)
    residuals = np.log(runs["loss"] / law.loss_at(runs))
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    left = np.eye(40) - jacobian @ inverse @ jacobian.T
    mean = (group[:, None] == group) / 4
    effects = (group[:, None] == group).astype(float)
    forms = [mean, np.eye(40) - mean]
    moments = [[np.trace(f @ left @ left.T), np.trace(f @ left @ effects @ left.T)] for f in forms]
    np.testing.assert_allclose(found.moments, moments, rtol=1e-6)
    within, between = np.linalg.solve(moments, [residuals @ f @ residuals for f in forms])
    if between > 0:
        assert found.within == pytest.approx(within, rel=1e-6)
        assert found.between == pytest.approx(between, rel=1e-6)
    np.testing.assert_allclose(found.runs, inverse, rtol=1e-5)
    np.testing.assert_allclose(found.groups, inverse @ jacobian.T @ effects @ jacobian @ inverse, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(level=st.floats(0.5, 0.9), more=st.floats(0.02, 0.09), seed=st.integers(0, 1000))
def test_higher_levels_are_wider_and_farther_is_less_sure(level: float, more: float, seed: int) -> None:
    law = ScalingLaw("chinchilla").fit(table(np.random.default_rng(seed)))
    n = np.array([1e9, 1e10, 1e11, 1e12])
    runs = {"n_params": n, "n_tokens": 20 * n}
    narrow, wide = law.predict(runs, level), law.predict(runs, level + more)
    assert (wide.lo < narrow.lo).all()
    assert (narrow.lo < narrow.loss).all()
    assert (wide.hi > narrow.hi).all()
    assert (narrow.hi > narrow.loss).all()
    of_law = law.predict(runs, level, of="law")
    assert (of_law.hi < narrow.hi).all()
    relative = np.log(of_law.hi / of_law.loss)
    assert relative[3] > relative[2] > relative[0]


def test_predictions_far_beyond_the_data_are_flagged() -> None:
    law = ScalingLaw("chinchilla").fit(table(np.random.default_rng(0)))
    told = law.predict({"n_params": [1e9, 1e11, 1e13], "n_tokens": [1e11, 1e12, 1e15]})
    assert told.decades_beyond[0] == 0
    assert 0.9 < told.decades_beyond[1] < 1.2
    assert told.decades_beyond[2] > 2
    assert len(told.notes) == 1
    assert told.notes[0].startswith("1 of 3 runs")


def test_wrong_arguments() -> None:
    law = ScalingLaw("chinchilla").fit(table(np.random.default_rng(0)))
    far = {"n_params": [1e9], "n_tokens": [1e11]}
    with pytest.raises(ValueError, match="interval: a share"):
        law.predict(far, 1.0)
    with pytest.raises(ValueError, match="of: 'run' or 'law'"):
        law.predict(far, of="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name: 'gamma' is none of E, A, B"):
        law.interval("gamma")
    with pytest.raises(ValueError, match="level"):
        law.interval("E", 0.0)


def test_a_coefficient_at_its_bound_has_no_width() -> None:
    runs = table(np.random.default_rng(2))
    law = ScalingLaw("chinchilla", bounds={"E": (2.0, 3.0)}).fit(runs)
    assert law.interval("E") == pytest.approx((2.0, 2.0))
    low, high = law.interval("alpha")
    assert low < law.coef_["alpha"] < high


def test_means_of_laws_lie_between_them_and_are_less_sure_where_they_differ() -> None:
    runs = table(np.random.default_rng(1))
    law, other = (ScalingLaw(name).fit(runs) for name in ("chinchilla", "chinchilla_tied"))
    n = np.array([1e9, 1e12])
    far = Runs.of({"n_params": n, "n_tokens": 20 * n})
    plain = law.predict(far)
    law.rivals_ = (Rival(other, 0.5),)
    told = law.predict(far)
    ends = np.stack([law.loss_at(far), other.loss_at(far)])
    assert (told.loss > ends.min(0)).all()
    assert (told.loss < ends.max(0)).all()
    np.testing.assert_allclose(np.log(told.loss), np.log(ends).T @ [2 / 3, 1 / 3])
    mean, spread = combined(law.rivals_, np.log(ends[0]), far)
    np.testing.assert_allclose(mean, np.log(told.loss))
    assert (spread > 0).all()
    least = np.minimum(own(law, far)[0], own(other, far)[0])
    assert (np.log(told.hi / told.loss) > 1.9 * np.sqrt(least + spread)).all()
    assert plain.loss != pytest.approx(told.loss)


def test_runs_with_both_counts_are_asked_about_by_the_one_that_was_fitted() -> None:
    data = table(np.random.default_rng(3))
    size = data["n_params"] * 0.8
    fitted = Runs(size, data["n_tokens"], data["loss"], counted="non_embedding")
    law = ScalingLaw("chinchilla").fit(fitted)
    both = Runs(
        data["n_params"], data["n_tokens"], sizes={"total": data["n_params"], "non_embedding": size}, counted="total"
    )
    np.testing.assert_array_equal(law.predict(both).loss, law.predict(fitted).loss)


def test_surprises_widen_what_lies_beyond_the_data_alone() -> None:
    law = ScalingLaw("chinchilla").fit(table(np.random.default_rng(5)))
    runs = {"n_params": [1e9, 1e11], "n_tokens": [5e10, 5e10]}
    before = law.predict(runs, of="law")
    law.surprise_ = {"n_params": (4.0, 4.0, 4.0)}
    after = law.predict(runs, of="law")
    assert after.hi[0] == before.hi[0]
    assert np.log(after.hi[1] / after.loss[1]) == pytest.approx(np.log(before.hi[1] / before.loss[1]) * (16 / 7) ** 0.5)


def test_a_chosen_law_predicts_as_before_when_it_was_saved(tmp_path: Any) -> None:
    from thrifty.scaling import load_fit, save_fit

    rng = np.random.default_rng(8)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    kind = np.resize(["a", "b"], 25)
    wrong = rng.normal(0, 0.002, 25) + np.where(kind == "a", 0.02, -0.02)
    loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.exp(wrong)
    law = choose({"n_params": n, "n_tokens": d, "loss": loss, "source": kind}).law
    assert law.shifts_ is not None
    assert law.shifts_.by["a"] == pytest.approx(0.02, abs=0.003)
    save_fit(law, tmp_path / "fit.json")
    far = Runs.of({"n_params": [1e10] * 3, "n_tokens": [1e12] * 3, "source": ["a", "b", "c"]})
    told, again = law.predict(far), load_fit(tmp_path / "fit.json").predict(far)
    np.testing.assert_allclose(again.loss, told.loss, rtol=1e-12)
    np.testing.assert_allclose(again.lo, told.lo, rtol=1e-9)
    np.testing.assert_allclose(again.hi, told.hi, rtol=1e-9)
    assert told.loss[0] / told.loss[1] == pytest.approx(np.exp(0.04), abs=0.006)
    assert np.log(told.hi[2] / told.loss[2]) > 5 * np.log(told.hi[0] / told.loss[0])
    assert told.notes == again.notes
    assert "source" in told.notes[0]
