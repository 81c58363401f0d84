"""Plans beside a plain loop over shapes, and fronts beside comparing all pairs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scaling.fits import fitted
from tests.scaling.planned import HALF, PROFILE, Told, told_loss
from thrifty.device import ModelShape
from thrifty.device.energy import EnergyLaw
from thrifty.errors import Infeasible, MismatchError
from thrifty.report import Figure, Series
from thrifty.scaling import Runs, Shapes, design, plan, shapes
from thrifty.scaling.feasible import Limit, front, kept, unmet
from thrifty.scaling.page_plan import plan_section
from thrifty.scaling.rivals import Rival
from thrifty.scaling.shifts import Shifts

SOME = shapes((5e7, 6e8), step=128, layers=(1, 40), aspect=(20, 200))
LAW: Any = Told()


def by_hand(shape: ModelShape, flops: float, batch: int = 1, prompt: int = 128, new: int = 128) -> dict[str, float]:
    """What a plan tells of a shape that gets the tokens of a budget."""
    n = shape.parameters
    d = flops / (6 * n)
    loss = told_loss(n, d, shape.dim / shape.layers)
    memory = (shape.weight_bytes + batch * (prompt + new) * shape.kv_bytes) / 1e9
    return {"n_tokens": d, "loss": loss, "hi": loss * (1 + HALF), "memory_gb": memory}


def test_a_loop_says_the_same() -> None:
    free = plan(LAW, PROFILE, train_flops=3e19, lifetime_tokens=1e11, shapes=SOME)
    slo, memory = float(np.median(free.columns["ms"])), 0.6
    loss = float(np.quantile(free.columns["loss"], 0.6))
    found = plan(
        LAW,
        PROFILE,
        train_flops=3e19,
        lifetime_tokens=1e11,
        slo_ms=slo,
        memory_gb=memory,
        max_loss=loss,
        shapes=list(SOME),
    )
    assert 10 < found.feasible.sum() < len(SOME) - 10
    best: tuple[float, int] = (math.inf, -1)
    for i, shape in enumerate(SOME):
        wanted, row = by_hand(shape, 3e19), found.row(i)
        for name, value in wanted.items():
            assert row[name] == pytest.approx(value, rel=1e-12), name
        assert row["train_flops"] == pytest.approx(3e19)
        assert row["flops"] == pytest.approx(3e19 + 2 * shape.parameters * 1e11)
        assert (row["layers"], row["dim"], row["parameters"]) == (shape.layers, shape.dim, shape.parameters)
        keeps = row["ms"] <= slo and wanted["memory_gb"] <= memory and wanted["loss"] <= loss
        assert found.feasible[i] == keeps
        if keeps:
            best = min(best, (wanted["loss"], i))
    assert found.best == best[1]
    assert found.shape == SOME[best[1]]
    assert [row["loss"] for row in found.rows()] == sorted(found.columns["loss"][found.feasible])
    assert len(found.rows(3)) == 3


@pytest.mark.parametrize(("objective", "column"), [("latency", "ms"), ("memory", "memory_gb"), ("loss", "loss")])
def test_objectives(objective: Any, column: str) -> None:
    found = plan(LAW, PROFILE, train_flops=3e19, max_loss=3.35, objective=objective, shapes=SOME)
    told = np.where(found.feasible, found.columns[column], np.inf)
    assert found.columns[column][found.best] == told.min()


@pytest.mark.parametrize("sure", [False, True])
def test_the_least_operations_for_a_loss(sure: bool) -> None:
    found = plan(LAW, None, max_loss=3.3, lifetime_tokens=3e11, objective="flops", shapes=SOME, sure=sure)
    reached = np.isfinite(found.columns["n_tokens"])
    assert reached.any()
    held = found.columns["hi" if sure else "loss"]
    np.testing.assert_allclose(held[reached], 3.3, rtol=1e-9)
    costs = {}
    for i in np.flatnonzero(reached):
        shape, wanted = SOME[int(i)], 3.3 / (1 + HALF if sure else 1)
        factor = told_loss(1e300, 1e300, shape.dim / shape.layers) / 1.8
        rest = wanted / factor - 1.8 - 480 * shape.parameters**-0.35
        d = (2000 / rest) ** (1 / 0.366)
        assert found.columns["n_tokens"][i] == pytest.approx(d, rel=1e-6)
        costs[int(i)] = shape.parameters * (6 * d + 2 * 3e11)
    assert found.best == min(costs, key=lambda i: costs[i])
    assert not found.feasible[~reached].any()
    # A budget is a limit then.
    least = costs[found.best] - 2 * found.shape.parameters * 3e11
    with pytest.raises(Infeasible, match="train_flops"):
        plan(LAW, None, max_loss=3.3, objective="flops", shapes=SOME, sure=sure, train_flops=0.3 * least)


@pytest.mark.parametrize("sure", [False, True])
def test_a_chosen_law_with_rivals_reaches_the_loss_that_it_predicts(sure: bool) -> None:
    law = fitted("chinchilla")
    law.rivals_ = (Rival(fitted("u_shape"), 0.6), Rival(fitted("chinchilla_tied"), 0.2))
    law.shifts_ = Shifts("set", {"one": 0.01, "two": -0.01})
    found = plan(law, None, max_loss=2.9, objective="flops", shapes=SOME, sure=sure)
    reached = np.isfinite(found.columns["n_tokens"])
    assert reached.sum() > 20
    assert (found.feasible == reached).all()
    some = SOME.take(np.flatnonzero(reached)).runs(found.columns["n_tokens"][reached], "total")
    told = law.predict(some)
    np.testing.assert_allclose(told.hi if sure else told.loss, 2.9, rtol=1e-9)
    np.testing.assert_array_equal(law.told_at(some), told.loss)
    assert np.abs(law.loss_at(some) / told.loss - 1).max() > 1e-4
    named = replace(some, columns={"set": ("one",) * len(some)})
    np.testing.assert_allclose(law.told_at(named), told.loss * math.exp(0.01))
    np.testing.assert_array_equal(law.told_at(named), law.predict(named).loss)


def test_sure_holds_at_the_upper_ends() -> None:
    loose = plan(LAW, PROFILE, train_flops=3e19, slo_ms=0.7, max_loss=3.4, shapes=SOME)
    sure = plan(LAW, PROFILE, train_flops=3e19, slo_ms=0.7, max_loss=3.4, shapes=SOME, sure=True)
    wanted = (loose.columns["hi"] <= 3.4) & (loose.columns["ms_high"] <= 0.7)
    assert (sure.feasible == wanted).all()
    assert 0 < sure.feasible.sum() < loose.feasible.sum()


@pytest.mark.parametrize(
    ("objective", "slack", "column", "then"), [("loss", 0.02, "loss", "ms"), ("latency", 0.5, "ms", "loss")]
)
def test_slack_lets_the_next_best_decide(objective: Any, slack: float, column: str, then: str) -> None:
    strict = plan(LAW, PROFILE, train_flops=3e19, objective=objective, shapes=SOME)
    found = plan(LAW, PROFILE, train_flops=3e19, objective=objective, shapes=SOME, slack=slack)
    good = found.columns[column] <= (1 + slack) * found.columns[column].min()
    assert 1 < good.sum() < len(SOME)
    assert found.columns[then][found.best] == found.columns[then][good].min()
    assert found.columns[then][found.best] < strict.columns[then][strict.best]
    assert found.columns[column][strict.best] == found.columns[column].min()
    assert strict.picked == f"the least {objective}"
    assert found.picked.endswith(f"within {100 * slack:g} % of the least {objective}")


def test_energy_where_a_counter_told_it() -> None:
    counted = EnergyLaw(source="a counter", watts=60.0, byte=2e-11, operation=1e-12, spread=0.1, readings=())
    profile = replace(PROFILE, joules=counted)
    found = plan(LAW, profile, train_flops=3e19, max_loss=3.4, objective="energy", shapes=SOME, batch=2, new_tokens=64)
    assert found.joules_source == "a counter"
    for i in (0, found.best, len(SOME) - 1):
        one = profile.energy(SOME[i], batch=2, prompt=128, new_tokens=64)
        assert one is not None
        assert found.row(i)["joules"] == pytest.approx(one.token_joules, rel=1e-12)
    assert found.columns["joules"][found.best] == found.columns["joules"][found.feasible].min()
    assert set(found.fronts) == {"ms", "memory_gb", "joules"}


def test_latencies_are_the_profiles() -> None:
    found = plan(LAW, PROFILE, train_flops=3e19, shapes=SOME, batch=4, prompt=256, new_tokens=32)
    for i in (0, 17, len(SOME) - 1):
        one = PROFILE.latency(SOME[i], batch=4, prompt=256, new_tokens=32)
        row = found.row(i)
        told = [row[name] for name in ("ms", "ms_low", "ms_high")]
        assert told == pytest.approx([one.ms / 32, one.low / 32, one.high / 32], rel=1e-12)
        assert row["first_ms"] == pytest.approx(one.first_ms, rel=1e-12)
        assert ("latency beyond what was timed" in row["flags"]) == bool(one.outside)


def test_shape_does_not_matter_where_memory_binds() -> None:
    some = shapes((5e7, 6e8), step=128, layers=(1, 40), aspect=(20, 200), vocab=256)
    coefficients = tuple(1e-9 if name.startswith("byte@") else 0.0 for name in PROFILE.one.form.names)
    one = replace(PROFILE.one, coefficients=coefficients)
    several = replace(PROFILE.several, coefficients=tuple(1e-12 for _ in PROFILE.several.coefficients))
    bound = plan(LAW, replace(PROFILE, one=one, several=several), train_flops=3e19, shapes=some)
    assert bound.shape_gain is not None
    assert bound.shape_gain < 0.05
    assert any(note.startswith("memory-bound:") for note in bound.notes)
    free = plan(LAW, PROFILE, train_flops=3e19, shapes=some)
    assert free.shape_gain is not None
    assert free.shape_gain > 0.05
    assert not any(note.startswith("memory-bound:") for note in free.notes)


def test_tokens_may_run_out() -> None:
    found = plan(LAW, None, train_flops=1e20, max_tokens=5e9, shapes=SOME)
    assert found.columns["n_tokens"].max() == 5e9
    assert (found.columns["train_flops"] <= 1e20 * (1 + 1e-9)).all()
    with pytest.raises(Infeasible, match=r"max_tokens 1e\+06: the least"):
        plan(LAW, None, max_loss=3.3, max_tokens=1e6, shapes=SOME)


def test_what_can_not_be_had() -> None:
    free = plan(LAW, PROFILE, train_flops=3e19, shapes=SOME)
    fastest = int(free.columns["ms"].argmin())
    with pytest.raises(Infeasible) as one:
        plan(LAW, PROFILE, train_flops=3e19, slo_ms=1e-3, shapes=SOME)
    assert f"slo_ms 0.001: the least that keeps the rest is {free.columns['ms'][fastest]:.4g}, {SOME[fastest]}" in str(
        one.value
    )
    with pytest.raises(Infeasible, match="nor all but one of them; nearest is"):
        plan(LAW, PROFILE, train_flops=3e19, slo_ms=1e-3, memory_gb=1e-3, shapes=SOME)
    with pytest.raises(Infeasible, match="max_loss can't be had"):
        plan(LAW, PROFILE, max_loss=1.5, slo_ms=5, shapes=SOME)
    loss, ms = free.columns["loss"].min() * 1.0001, free.columns["ms"].min() * 1.01
    with pytest.raises(Infeasible, match=r"max_loss .*: the least that keeps the rest is .*; or slo_ms .*: the least"):
        plan(LAW, PROFILE, train_flops=3e19, max_loss=loss, slo_ms=ms, shapes=SOME)


def test_shapes_come_from_a_window_around_the_optimum() -> None:
    found = plan(LAW, PROFILE, train_flops=1e20)
    ratio = found.shapes.aspect
    assert 20 / 1.5 <= ratio.min() < 20
    assert 200 < ratio.max() <= 300
    # The optimum is inside, not at an end.
    assert found.shapes.parameters.min() < 0.2 * found.shape.parameters
    assert found.shape.parameters < 0.9 * found.shapes.parameters.max()
    small = plan(LAW, PROFILE, max_loss=3.5, objective="flops", sizes={"vocab": 256, "head_dim": 32, "layers": (2, 8)})
    assert small.shapes.vocab == 256
    assert set(small.shapes.head_dim.tolist()) == {32}
    assert small.shapes.layers.max() <= 8
    other = plan(Told("non_embedding"), None, train_flops=1e20)  # type: ignore[arg-type]
    assert (other.columns["n_params"] == other.shapes.non_embedding).all()


def test_predictions_far_away_are_flagged() -> None:
    found = plan(LAW, PROFILE, train_flops=1e23)
    row = found.row(found.best)
    assert any("decades beyond the runs" in flag for flag in row["flags"])
    assert "the pick: far beyond the data" in found.notes


def test_what_was_said_of_the_law_is_said_of_its_plans() -> None:
    law = fitted("chinchilla")
    law.advice_ = ("the law's coefficients are not to be read, only its predictions: why",)
    said = f"the fit: {law.advice_[0]}"
    assert said in plan(law, None, train_flops=1e20, shapes=SOME).notes
    assert said in design(law, Runs(np.array([1e9]), np.array([2e10])), 1e22, criterion="D").notes
    # A rival that knows shapes makes the plan know them.
    knows = "the law knows no shapes"
    assert any(note.startswith(knows) for note in plan(law, PROFILE, train_flops=1e20, shapes=SOME).notes)
    law.rivals_ = (Rival(fitted("u_shape"), 0.6),)
    assert not any(note.startswith(knows) for note in plan(law, PROFILE, train_flops=1e20, shapes=SOME).notes)


def test_fronts_of_a_plan() -> None:
    found = plan(LAW, PROFILE, train_flops=3e19, lifetime_tokens=1e12, shapes=SOME)
    assert set(found.fronts) == {"ms", "flops", "memory_gb"}
    assert found.front is found.fronts["ms"]
    loss, ms = found.columns["loss"], found.columns["ms"]
    assert (np.diff(loss[found.front]) > 0).all()
    assert (np.diff(ms[found.front]) < 0).all()
    assert found.best == found.front[0]
    assert plan(LAW, None, train_flops=3e19, lifetime_tokens=1e12, shapes=SOME).front_of == "flops"
    # Where all training is paid alike and nothing served, cost tells nothing.
    assert set(plan(LAW, None, train_flops=3e19, shapes=SOME).fronts) == {"memory_gb"}


def test_fronts_of_what_reaches_a_loss_are_of_its_cost() -> None:
    found = plan(LAW, PROFILE, max_loss=3.3, lifetime_tokens=1e11, objective="flops", shapes=SOME)
    assert (found.axis, found.front_of, set(found.fronts)) == ("flops", "ms", {"ms", "memory_gb"})
    cost, ms = found.columns["flops"], found.columns["ms"]
    assert found.best == found.front[0]
    assert (np.diff(cost[found.front]) > 0).all()
    assert (np.diff(ms[found.front]) < 0).all()
    section = plan_section(found)
    assert "Operations against ms a new token" in [getattr(record, "title", "") for record in section.records]


def test_a_report_has_the_pick_and_its_front() -> None:
    found = plan(LAW, PROFILE, train_flops=3e19, lifetime_tokens=1e12, shapes=SOME)
    records = {record.id: record for record in plan_section(found).records}
    row = found.row(found.best)
    figure, series = records["plan_loss"], records["plan_front_ms"]
    assert isinstance(figure, Figure)
    assert (figure.value, figure.interval) == (row["loss"], (row["lo"], row["hi"]))
    assert isinstance(series, Series)
    drawn = {(x, y) for x, y in zip(series.x, series.y["none betters in both"], strict=True) if math.isfinite(y)}
    assert drawn == {(found.columns["ms"][i], found.columns["loss"][i]) for i in found.front}
    (pick,) = [(x, y) for x, y in zip(series.x, series.y["the pick"], strict=True) if math.isfinite(y)]
    assert pick == (row["ms"], row["loss"])


points = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans(), st.booleans()), min_size=0, max_size=40
)


@given(points)
def test_a_front_is_what_no_pair_betters(given_: list[tuple[int, int, bool, bool]]) -> None:
    first = np.array([float("inf") if lost else a for a, _, lost, _ in given_])
    second = np.array([float(b) for _, b, _, _ in given_])
    among = np.array([ok for _, _, _, ok in given_], bool)
    found = front(first, second, among).tolist()
    there = [i for i in range(len(given_)) if among[i] and math.isfinite(first[i])]

    def betters(i: int, j: int) -> bool:
        return first[i] <= first[j] and second[i] <= second[j] and (first[i] < first[j] or second[i] < second[j])

    wanted = [j for j in there if not any(betters(i, j) for i in there)]
    distinct = {(first[j], second[j]): j for j in reversed(wanted)}
    assert found == sorted(distinct.values(), key=lambda j: first[j])


@given(
    st.lists(st.lists(st.floats(0, 10), min_size=5, max_size=5), min_size=1, max_size=4),
    st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
)
def test_what_keeps_limits_and_which_binds(values: list[list[float]], most: list[float]) -> None:
    limits = [Limit(f"l{k}", np.array(v), most[k]) for k, v in enumerate(values)]
    wanted = [all(limit.values[i] <= limit.most for limit in limits) for i in range(5)]
    assert kept(limits, 5).tolist() == wanted
    if any(wanted):
        return
    said = unmet(limits, lambda i: f"shape {i}")
    for k, limit in enumerate(limits):
        others = [i for i in range(5) if all(o.values[i] <= o.most for j, o in enumerate(limits) if j != k)]
        assert (f"l{k} {limit.most:.4g}: the least" in said) == bool(others)
        if others:
            assert f"is {min(limit.values[i] for i in others):.4g}" in said


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({}, "train_flops"),
        ({"train_flops": -1.0}, "train_flops"),
        ({"train_flops": float("nan")}, "train_flops"),
        ({"train_flops": 1e20, "objective": "speed"}, "objective"),
        ({"train_flops": 1e20, "objective": "flops"}, "max_loss"),
        ({"train_flops": 1e20, "objective": "energy"}, "objective: energy"),
        ({"train_flops": 1e20, "slo_ms": 0.0}, "slo_ms"),
        ({"train_flops": 1e20, "batch": 0}, "batch"),
        ({"train_flops": 1e20, "interval": 1.0}, "interval"),
        ({"train_flops": 1e20, "lifetime_tokens": -1.0}, "lifetime_tokens"),
        ({"train_flops": 1e20, "slack": -0.1}, "slack"),
        ({"train_flops": 1e20, "prompt": 0}, "prompt"),
        ({"train_flops": 1e20, "shapes": []}, "shapes"),
    ],
)
def test_what_is_not_possible(wrong: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        plan(LAW, PROFILE, **wrong)


def test_what_needs_a_profile_and_its_dtype() -> None:
    with pytest.raises(ValueError, match="slo_ms"):
        plan(LAW, None, train_flops=1e20, slo_ms=1.0)
    with pytest.raises(ValueError, match="objective: latency needs a profile"):
        plan(LAW, None, train_flops=1e20, objective="latency")
    with pytest.raises(MismatchError, match="dtype_bytes"):
        plan(LAW, PROFILE, train_flops=1e20, shapes=SOME.with_(dtype_bytes=4.0))
    assert isinstance(plan(LAW, None, train_flops=1e20).shapes, Shapes)
