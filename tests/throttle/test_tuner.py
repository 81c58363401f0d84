"""Asking and telling."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.throttle.zeus import problems
from thrifty.throttle import Constraint, Knob, Space, Tuner

KNOBS = [Knob("clock", [600, 900, 1200, 1500]), Knob("batch", [1, 2, 4, 8]), Knob("mode", ["a", "b"])]


def measured(setting: dict) -> dict[str, float]:
    seconds = 0.004 + 3.0 * setting["batch"] / setting["clock"] * (1.2 if setting["mode"] == "b" else 1)
    return {"energy": seconds * (20 + (setting["clock"] / 400) ** 3) / setting["batch"], "seconds": seconds}


def asked(seed: int, count: int, limit: float = 0.02) -> list[dict]:
    tuner = Tuner(KNOBS, "energy", [Constraint("seconds", limit)], seed=seed)
    for _ in range(count):
        setting = tuner.ask()
        assert setting is not None
        tuner.tell(setting, measured(setting))
    return [evaluation.setting for evaluation in tuner.evaluations]


def test_the_default_first_and_nothing_twice() -> None:
    settings = asked(1, 32)
    assert settings[0] == {"clock": 1500, "batch": 8, "mode": "a"}
    assert len({tuple(setting.values()) for setting in settings}) == 32
    tuner = Tuner(KNOBS, "energy")
    for setting in settings:
        tuner.tell(setting, measured(setting))
    assert tuner.ask() is None


def test_the_seed_decides() -> None:
    assert asked(1, 15) == asked(1, 15)
    assert len({tuple(map(str, asked(seed, 15))) for seed in range(5)}) > 1


def test_asking_changes_nothing() -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("seconds", 0.02)])
    for _ in range(8):
        setting = tuner.ask()
        assert setting is not None
        assert tuner.ask() == setting
        tuner.tell(setting, measured(setting))


def test_the_best_keeps_the_limit() -> None:
    space = Space(KNOBS)
    all_ = [space.setting(i) for i in range(len(space))]
    for limit in (0.012, 0.02, 0.03):
        wanted = min((s for s in all_ if measured(s)["seconds"] <= limit), key=lambda s: measured(s)["energy"])
        tuner = Tuner(space, "energy", [Constraint("seconds", limit)])
        for _ in range(16):
            setting = tuner.ask()
            assert setting is not None
            tuner.tell(setting, measured(setting))
        assert tuner.best is not None
        assert tuner.best.setting == wanted
        assert tuner.violations == sum(e.measured["seconds"] > limit for e in tuner.evaluations)


def test_a_limit_that_nothing_keeps() -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("seconds", 1e-6)])
    for _ in range(10):
        setting = tuner.ask()
        assert setting is not None
        tuner.tell(setting, measured(setting))
    assert tuner.best is None
    assert tuner.violations == 10
    # It goes where the limit is nearest.
    least = min(e.measured["seconds"] for e in tuner.evaluations)
    assert least == measured({"clock": 1500, "batch": 1, "mode": "a"})["seconds"]


def test_infinity_is_no_limit_and_constants_do_no_harm() -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("seconds", math.inf)])
    for _ in range(12):
        setting = tuner.ask()
        assert setting is not None
        tuner.tell(setting, {"energy": 1.0, "seconds": 1.0})
    assert tuner.violations == 0
    assert len({tuple(e.setting.values()) for e in tuner.evaluations}) == 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"energy": 1.0}, "seconds is missing"),
        ({"seconds": 1.0}, "energy is missing"),
        ({"energy": math.nan, "seconds": 1.0}, "energy is nan"),
        ({"energy": 1.0, "seconds": math.inf}, "seconds is inf"),
        ({"energy": 0.0, "seconds": 1.0}, "energy is 0.0"),
    ],
)
def test_what_is_no_measurement_is_refused(values: dict, message: str) -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("seconds", 0.02)])
    setting = tuner.ask()
    assert setting is not None
    with pytest.raises(ValueError, match=message):
        tuner.tell(setting, values)
    assert len(tuner) == 0
    assert tuner.ask() == setting


@pytest.mark.parametrize("upper", [0.0, -1.0, math.nan])
def test_limits_are_above_0(upper: float) -> None:
    with pytest.raises(ValueError, match="constraint seconds: upper is"):
        Constraint("seconds", upper)


def test_one_quantity_has_one_limit() -> None:
    with pytest.raises(ValueError, match="seconds has two limits"):
        Tuner(KNOBS, "energy", [Constraint("seconds", 1), Constraint("seconds", 2)])


@given(st.integers(0, 2**32 - 1))
def test_any_space(seed: int) -> None:
    """Incomplete spaces of any knobs: only what is there is asked, and nothing twice."""
    rng = np.random.default_rng(seed)
    knobs = []
    for k in range(int(rng.integers(1, 4))):
        count = int(rng.integers(1, 5))
        numbers = sorted({round(float(x), 3) for x in rng.uniform(-1 if rng.random() < 0.5 else 0.1, 100, count)})
        knobs.append(Knob(f"k{k}", [f"c{x}" for x in numbers] if rng.random() < 0.3 else numbers))
    whole = Space(knobs)
    kept = rng.permutation(len(whole))[: int(rng.integers(1, len(whole) + 1))]
    space = Space(knobs, [whole.setting(int(i)) for i in kept])
    tuner = Tuner(space, "e", [Constraint("t", float(rng.uniform(0.1, 3)))], seed=seed)
    for _ in range(min(len(space), 8)):
        setting = tuner.ask()
        assert setting is not None
        space.index(setting)
        tuner.tell(setting, {"e": float(np.exp(rng.normal())), "t": float(np.exp(rng.normal()))})
    assert len({tuple(e.setting.values()) for e in tuner.evaluations}) == len(tuner)
    assert (tuner.ask() is None) == (len(tuner) == len(space))


def test_real_cards_are_tuned_in_a_handful_of_measurements() -> None:
    found = problems()
    assert len(found) == 32
    searches = [[problem.search(seed) for seed in range(3)] for problem in found]
    assert max(len(tuner) for tuners in searches for tuner in tuners) <= 40
    assert median(median(len(tuner) for tuner in tuners) for tuners in searches) <= 8
    assert median(median(tuner.violations for tuner in tuners) for tuners in searches) <= 2
