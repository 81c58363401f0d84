"""How a search goes on: knobs in groups, aliases, when it is over, and spaces of a million settings."""

from __future__ import annotations

import numpy as np
import pytest

from thrifty.throttle import Constraint, Evaluation, Knob, Space, Tuner

KNOBS = [Knob("cpu", [1, 2, 3, 4]), Knob("gpu", [10, 20, 30, 40, 50]), Knob("batch", [1, 2, 4, 8])]


def measured(setting: dict) -> dict[str, float]:
    seconds = 1 + 8 / setting["cpu"] + 60 * setting["batch"] / setting["gpu"]
    return {"energy": seconds * (4 + setting["cpu"] + (setting["gpu"] / 20) ** 2) / setting["batch"], "s": seconds}


def run(tuner: Tuner, most: int = 100) -> list[dict]:
    while len(tuner) < most and not tuner.finished and (setting := tuner.ask()) is not None:
        if tuner.finished:
            break
        tuner.tell(setting, measured(setting))
    return [evaluation.setting for evaluation in tuner.evaluations]


def test_groups_take_turns() -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("s", 30.0)], groups=[["cpu"], ["gpu", "batch"]])
    asked = run(tuner)
    default = {"cpu": 4, "gpu": 50, "batch": 8}
    assert asked[0] == default
    # First only the one knob moves, then it stays where it was best.
    turn = next(i for i, s in enumerate(asked) if (s["gpu"], s["batch"]) != (50, 8) and i > 2)
    first, second = asked[3:turn], asked[turn:]
    assert all((s["gpu"], s["batch"]) == (50, 8) for s in first)
    assert len({s["cpu"] for s in second}) == 1
    assert len(second) >= 3


@pytest.mark.parametrize("groups", [[["cpu"]], [["cpu", "gpu"], ["gpu", "batch"]], [["cpu", "gpu", "batch", "x"]]])
def test_groups_name_each_knob_once(groups: list) -> None:
    with pytest.raises(ValueError, match="groups: .* are not the knobs cpu, gpu, batch, each once"):
        Tuner(KNOBS, "energy", groups=groups)


def test_a_search_ends_when_little_is_promised_and_has_found_it() -> None:
    space = Space(KNOBS)
    best = min(measured(space.setting(i))["energy"] for i in range(len(space)))
    for seed in range(5):
        tuner = Tuner(space, "energy", [Constraint("s", 1e6)], seed=seed)
        asked = run(tuner)
        assert tuner.finished
        assert len(asked) < len(space) / 2
        assert tuner.best is not None
        assert tuner.best.measured["energy"] <= 1.02 * best


def test_settings_of_one_effective_clock_are_asked_once() -> None:
    """Above 1,750 MHz the card clocks itself down."""
    knob = Knob("mhz", [1200, 1335, 1500, 1700, 1905, 1950, 2000, 2050, 2100])
    tuner = Tuner([knob, Knob("batch", [1, 2])], "energy")
    while (setting := tuner.ask()) is not None:
        mhz = min(setting["mhz"], 1750 + setting["mhz"] // 1000)  # type: ignore[operator]
        tuner.tell(setting, {"energy": abs(mhz - 1400) / 100 + 5 / setting["batch"]}, effective={"mhz": mhz})  # type: ignore[operator]
    asked = [(e.setting["mhz"], e.setting["batch"]) for e in tuner.evaluations]
    for batch in (1, 2):
        above = [mhz for mhz, b in asked if mhz > 1750 and b == batch]
        assert 1 <= len(above) <= 3
        assert {mhz for mhz, b in asked if mhz < 1750 and b == batch} == {1200, 1335, 1500, 1700}
    assert all(e.effective == {} for e in tuner.evaluations if e.setting["mhz"] < 1750)  # type: ignore[operator]


def test_an_effective_value_needs_a_place() -> None:
    tuner = Tuner(KNOBS, "energy")
    with pytest.raises(ValueError, match="knob gpu: 'off' has no place"):
        tuner.tell({"cpu": 1, "gpu": 10, "batch": 1}, {"energy": 1.0}, effective={"gpu": "off"})
    assert len(tuner) == 0


def test_the_front_is_what_nothing_beats() -> None:
    tuner = Tuner(KNOBS, "energy", [Constraint("s", 30.0)], seed=2)
    run(tuner, 20)
    tuner.fail({"cpu": 1, "gpu": 10, "batch": 8}, "lost")
    front = tuner.pareto("s")

    def beats(a: Evaluation, b: Evaluation) -> bool:
        better = [a.measured[name] < b.measured[name] for name in ("energy", "s")]
        return any(better) and all(a.measured[name] <= b.measured[name] for name in ("energy", "s"))

    tried = [e for e in tuner.evaluations if not e.failed]
    assert front == sorted((e for e in tried if not any(beats(o, e) for o in tried)), key=lambda e: e.measured["s"])
    with pytest.raises(ValueError, match="other: volts was not measured"):
        tuner.pareto("volts")


def test_a_million_settings() -> None:
    knobs = [Knob(name, [float(v) for v in np.geomspace(1, 50, 100)]) for name in "abc"]
    space = Space(knobs)
    assert len(space) == 1_000_000
    assert space.setting(space.index({"a": 1.0, "b": 50.0, "c": 1.0})) == {"a": 1.0, "b": 50.0, "c": 1.0}
    tuner = Tuner(space, "energy", [Constraint("s", 30.0)], seed=4)
    for _ in range(14):
        setting = tuner.ask()
        assert setting is not None
        a, b, c = (float(setting[name]) for name in "abc")
        tuner.tell(setting, {"energy": 2 + abs(np.log(a / 7)) + np.log(b) + np.log(c), "s": 60 / a})
    assert tuner.best is not None
    assert tuner.best.measured["energy"] < 3.5  # 2.01 is the least, 8.0 is at the default.


@pytest.mark.parametrize("prob", [0.0, 1.0, float("nan")])
def test_a_chance_is_between_0_and_1(prob: float) -> None:
    with pytest.raises(ValueError, match="constraint s: prob is"):
        Constraint("s", 1.0, prob=prob)
