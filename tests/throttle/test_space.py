"""Knobs and their settings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thrifty.errors import CapacityError
from thrifty.throttle import Knob, Space


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "knob k: it has no values"),
        ([1, math.nan], {}, "knob k: a value is not finite"),
        ([1, math.inf], {}, "knob k: a value is not finite"),
        ([1, 2, 1.0], {}, "knob k: 1 is there twice"),
        ([1, 2], {"default": 3}, "knob k: the default 3 is none of"),
        ([0, 2], {"kind": "log"}, "knob k: kind 'log' needs numbers above 0"),
        (["a", "b"], {"kind": "linear"}, "knob k: kind 'linear' needs numbers"),
        ([1, 2], {"kind": "cubic"}, "knob k: kind 'cubic' is none of"),
    ],
)
def test_errors_name_the_knob(values: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Knob("k", values, **options)


def test_kinds_follow_the_values() -> None:
    assert Knob("k", [4, 1, 2]).coordinates()[:, 0].tolist() == [0, 0.5, 1]
    assert Knob("k", [4, 0, 1]).coordinates()[:, 0].tolist() == [0, 0.25, 1]
    assert Knob("k", ["b", "a"]).coordinates().tolist() == [[1, 0], [0, 1]]
    assert Knob("k", [7]).coordinates().tolist() == [[0]]
    assert [Knob("k", v).default for v in ([1, 2], [-1, -2], ["b", "a"])] == [2, -1, "b"]


def test_all_settings_or_those_there_are() -> None:
    knobs = [Knob("a", [1, 2, 3]), Knob("b", ["x", "y"])]
    space = Space(knobs)
    assert len(space) == 6
    assert [space.index(space.setting(i)) for i in range(6)] == list(range(6))
    assert space.x.shape == (6, 3)
    some = Space(knobs, [{"a": 1, "b": "x"}, {"b": "y", "a": 3.0}])
    assert some.setting(1) == {"a": 3, "b": "y"}
    assert np.array_equal(some.x[1], [1, 0, 1])
    # The default, 3 and x, is not there: the nearest is.
    assert some.setting(some.default()) == {"a": 1, "b": "x"}
    with pytest.raises(ValueError, match="none of those that can be measured"):
        some.index({"a": 3, "b": "x"})


@pytest.mark.parametrize(
    ("knobs", "settings", "message"),
    [
        ([], None, "there are none"),
        ([Knob("a", [1]), Knob("a", [2])], None, "a is there twice"),
        ([Knob("a", [1])], [], "settings: there are none"),
        ([Knob("a", [1])], [{"b": 1}], "knob a: the setting"),
        ([Knob("a", [1])], [{"a": 2}], "knob a: 2 is none of"),
        ([Knob("a", [1])], [{"a": 1}, {"a": 1}], "one is there twice"),
    ],
)
def test_errors_of_settings(knobs: list, settings: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Space(knobs, settings)


def test_what_is_too_large_is_refused_before_memory_is_taken() -> None:
    knobs = [Knob(f"k{i}", list(range(1, 101))) for i in range(8)]
    with pytest.raises(CapacityError, match="knobs: they have 10,000,000,000,000,000 settings, more than 10,000,000"):
        Space(knobs)
    names = [f"n{i}" for i in range(300)]
    with pytest.raises(CapacityError, match="knob name: 300 categories; at most 256 can be told"):
        Space([Knob("name", names)], [{"name": name} for name in names])
