"""What generating takes: a prompt's pass and steps over a cache that grows, of one shape and of many."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.devices import DEVICE, law_of, made, profile_of, times
from tests.device.machine import Clock
from thrifty.device import DeviceProfile, ModelShape, Point, Timing, calibrate, timing
from thrifty.device.arrays import arrays_of
from thrifty.device.columns import Calls, amounts, columns, known
from thrifty.device.grid import calls_to_time, of_size
from thrifty.device.law import ONE, SEVERAL, Form, above, shares
from thrifty.errors import MismatchError

PROFILE = profile_of(*made())
SHAPE = of_size(3e6, 5)
OLD = Path(__file__).resolve().parents[1] / "data" / "device" / "profile_1.json"


def one_by_one(profile: DeviceProfile, shape: ModelShape, batch: int, prompt: int, new: int) -> tuple[float, float]:
    """The prompt's pass, and each step after the other."""
    first = profile.latency(shape, batch=batch, tokens=prompt).ms
    steps = [profile.latency(shape, batch=batch, context=prompt + done).ms for done in range(new - 1)]
    return first, sum(steps)


@settings(max_examples=25)
@given(batch=st.integers(1, 9), prompt=st.integers(1, 300), new=st.integers(1, 200), layers=st.sampled_from([1, 4, 24]))
def test_a_generation_is_its_calls(batch: int, prompt: int, new: int, layers: int) -> None:
    shape = of_size(2e6, layers, vocab=4096)
    first, rest = one_by_one(PROFILE, shape, batch, prompt, new)
    told = PROFILE.latency(shape, batch=batch, prompt=prompt, new_tokens=new)
    assert told.first_ms == pytest.approx(first)
    assert told.ms == pytest.approx(first + rest, rel=1e-3)
    assert told.token_ms == pytest.approx(rest / max(new - 1, 1), rel=1e-3)
    assert told.low < told.ms < told.high


def test_a_long_cache_crosses_the_levels_of_the_caches() -> None:
    """Where bytes take longer the more of them there are, steps do not lie on one line."""
    one = law_of(ONE[1], overhead=0.02, cache_1=1e-7, cache_16=2e-6, bytes_1=1e-7, bytes_64=3e-7)
    _, several = made()
    profile = profile_of(one, several)
    first, rest = one_by_one(profile, SHAPE, 1, 16, 3000)
    told = profile.latency(SHAPE, prompt=16, new_tokens=3000)
    assert told.ms == pytest.approx(first + rest, rel=5e-3)


def test_many_shapes_are_told_as_each_of_them() -> None:
    rng = np.random.default_rng(0)
    shapes = [
        of_size(float(np.exp(rng.uniform(12, 18))), int(rng.integers(1, 40)), vocab=int(rng.integers(200, 50_000)))
        for _ in range(40)
    ]
    shapes.append(ModelShape(layers=3, dim=96, heads=6, kv_heads=2, head_dim=32, hidden=200, vocab=999, dtype_bytes=4))
    found = PROFILE.latencies(shapes, batch=3, prompt=40, new_tokens=30)
    names = ("layers", "dim", "heads", "hidden", "vocab", "tied")
    arrays: dict[str, Any] = {name: np.array([getattr(shape, name) for shape in shapes]) for name in names}
    arrays |= {"kv_heads": [shape.keys for shape in shapes], "head_dim": [shape.width for shape in shapes]}
    same = PROFILE.latencies(arrays, batch=3, prompt=40, new_tokens=30)
    assert len(found) == len(same) == 41
    for name in ("ms", "low", "high", "first_ms", "token_ms", "outside"):
        np.testing.assert_array_equal(getattr(found, name), getattr(same, name))
        each = [getattr(PROFILE.latency(s, batch=3, prompt=40, new_tokens=30), name) for s in shapes]
        each = [bool(value) for value in each] if name == "outside" else each
        np.testing.assert_allclose(getattr(found, name), each)
    assert 0 < found.outside.sum() < 41


def test_exact_parameters_as_arrays() -> None:
    shapes = [of_size(3e6, 5), ModelShape(layers=3, dim=96, heads=6, kv_heads=2, hidden=200, vocab=999, dtype_bytes=4)]
    calls = Calls.of_shapes(shapes, dtype_bytes=4)
    assert calls.parameters.tolist() == [shape.parameters for shape in shapes]
    # Without the product of attention with keys and values of the token itself, those are all operations.
    assert amounts(calls)["operations"].tolist() == [shape.flops() for shape in shapes]


def test_what_is_far_is_said_of_the_whole_generation() -> None:
    assert PROFILE.latency(SHAPE, prompt=100, new_tokens=50).outside == ()
    assert PROFILE.latency(SHAPE, prompt=5000, new_tokens=50).outside == ("rows", "context")
    assert PROFILE.latency(SHAPE, prompt=50, new_tokens=5000).outside == ("context",)


def test_numbers_that_are_not_possible() -> None:
    for change, message in (
        ({"prompt": 4}, "prompt: with new_tokens it is of a generation"),
        ({"new_tokens": 4}, "prompt: with new_tokens it is of a generation"),
        ({"prompt": 4, "new_tokens": 4, "tokens": 2}, "which has neither tokens nor context"),
        ({"prompt": 4, "new_tokens": 4, "context": 0}, "which has neither tokens nor context"),
        ({"prompt": 0, "new_tokens": 4}, "prompt: 0 is not possible"),
        ({"prompt": 4, "new_tokens": 1.5}, "new_tokens: 1.5 is not possible"),
        ({"prompt": 4, "new_tokens": 10**7}, "new_tokens: 10000000 is not possible; at most 1,000,000"),
        ({"prompt": 4, "new_tokens": 4, "batch": 0}, "batch: 0 is not possible"),
    ):
        with pytest.raises(ValueError, match=message):
            PROFILE.latency(SHAPE, **change)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match="dtype_bytes: the shape has 2"):
        PROFILE.latencies([SHAPE, SHAPE.with_(dtype_bytes=2)], prompt=1, new_tokens=1)
    sizes: dict[str, Any] = {"layers": [1, 2], "dim": 64, "heads": 2, "hidden": 96, "vocab": 256}
    for change, message in (
        ({"dim": [64, 64, 64]}, "shapes: dim has shape"),
        ({"heads": [2, 0]}, "shapes: heads: 0 is not possible"),
        ({"vocab": float("nan")}, "shapes: vocab: nan"),
        ({"dim": 1e200}, r"shapes: dim: 1e\+200 is not possible"),
        ({"kvheads": 1}, "shapes: 'kvheads' is no size"),
    ):
        with pytest.raises(ValueError, match=message):
            PROFILE.latencies(sizes | change, prompt=1, new_tokens=1)
    del sizes["hidden"]
    with pytest.raises(ValueError, match="shapes: no 'hidden'"):
        PROFILE.latencies(sizes, prompt=1, new_tokens=1)


def test_no_shapes_take_nothing() -> None:
    assert len(PROFILE.latencies([], prompt=3, new_tokens=3)) == 0


@settings(max_examples=30)
@given(form=st.sampled_from([*ONE, *SEVERAL]), seed=st.integers(0, 2**32 - 1))
def test_shares_of_a_law_sum_to_it(form: Form, seed: int) -> None:
    """Of every form; with the norm of its groups written out."""
    rng = np.random.default_rng(seed)
    points = [p for p in calls_to_time(4.0) if (p.rows > 1) == (form in SEVERAL)]
    calls, x = Calls.of(points), 10.0 ** rng.uniform(-9, -6, len(form.names))
    law = law_of(form, **{name.replace("@", "_"): value for name, value in zip(form.names, x, strict=True)})
    each = columns(calls, form.names) * x
    grouped = [name for group in form.groups for name in group]
    told = each[:, [name not in grouped for name in form.names]].sum(1)
    if form.groups:
        sums = [each[:, [form.names.index(name) for name in group]].sum(1) for group in form.groups]
        told = told + np.sum(np.array(sums) ** form.join, 0) ** (1 / form.join)
    np.testing.assert_allclose(shares(law, calls).sum(1), told, rtol=1e-9)
    bare = shares(law, calls, head=False)
    assert (bare <= shares(law, calls) * (1 + 1e-12)).all()
    assert all(map(known, form.names))


def test_levels_rise_from_knot_to_knot() -> None:
    """Of 4 MiB a quarter of a layer's bytes; between knots linear in the logarithm, flat beyond."""
    shapes = {"layers": [1] * 5, "dim": 64, "heads": 1, "hidden": [1, 2**10, 2**12, 2**14, 2**18], "vocab": 1}
    calls = Calls.of_shapes(shapes, dtype_bytes=4.0)
    mib = amounts(calls)["layer_bytes"] / 2**20
    found = columns(calls, ("layers@1", "layers@16"))
    assert found[:, 0].tolist() == [1.0] * 5
    np.testing.assert_allclose(found[:, 1], np.clip(np.log2(mib) / 4, 0, 1))
    assert found[0, 1] == 0.0
    assert found[-1, 1] == 1.0
    assert known("bytes@3.5")
    assert not any(map(known, ("bytes@", "bytes@x", "bytes@0", "rows@1e9", "heads@3", "", "colour")))


def test_host_and_card_overlap() -> None:
    """Small steps take what their host takes to launch them, large ones what the card takes; both are found."""
    one = law_of(ONE[-1], host=0.02, launches=0.2, layers=0.03, bytes_1=3e-7, cache=3e-7)
    several = law_of(SEVERAL[-1], host=0.02, launches=0.2, layers=0.03, last=2e-7, before=3e-7, operations=2e-9)
    points = calls_to_time(4.0)
    profile = DeviceProfile.fit(times(points, one, several), device=DEVICE, backend="torch", dtype="f32")
    assert profile.one.form == ONE[-1]
    new = [of_size(n, layers) for n, layers in ((0.5e6, 20), (15e6, 20), (15e6, 2))]
    for shape in new:
        true = times([Point(shape=shape, context=40)], one, several)[0].ms
        assert profile.latency(shape, context=40).ms == pytest.approx(true, rel=0.02)
    parts = profile.parts(new[0])
    assert parts["layers"] == pytest.approx(20 * 0.2, rel=0.05)
    assert sum(parts.values()) == pytest.approx(profile.latency(new[0]).ms)


def test_a_profile_of_the_first_version_is_read() -> None:
    """Its laws are fitted anew to its timings."""
    profile = DeviceProfile.load(OLD, any_device=True)
    assert profile.mode == "eager"
    assert profile.joules is None
    assert profile.versions == {"numpy": "2.4.6"}
    one = profile.timings[3]
    assert profile.latency(one.shape, context=one.context).ms == pytest.approx(one.ms, rel=0.02)


def test_what_stands_out_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape that was disturbed in all the calls that it would have had gets more of them."""
    points = [p for p in calls_to_time(4.0) if p.shape.parameters < 3e6]
    true = times(points, *made())
    clock, disturbed, visited = Clock(), 10**9, 0

    def runs(points: Any, arrays: Any, seed: int) -> Any:
        def run(i: int) -> float:
            nonlocal visited
            visited += i == 7
            taken = true[i].ms / 1e3 * (8 if i == 7 and visited <= disturbed else 1)
            clock.sleep(taken)
            return taken

        return [lambda i=i: run(i) for i in range(len(points))]

    monkeypatch.setattr(timing, "runs", runs)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=clock))
    plain = timing.measure(points, arrays_of("numpy"), seconds=2.0)
    assert plain[7].ms == pytest.approx(8 * true[7].ms)
    disturbed, visited = visited, 0
    found = timing.measure(points, arrays_of("numpy"), seconds=2.0, doubt=lambda timings: [7])
    assert found[7].ms == pytest.approx(true[7].ms)
    assert set(above(plain, 0.1)) == {*above(found, 0.1), 7}
    assert timing.busy(found) < 0.01


@pytest.mark.parametrize(("slow", "notes"), [(1.0, 0), (1.2, 0), (2.0, 1)])
def test_a_busy_machine_is_said(monkeypatch: pytest.MonkeyPatch, slow: float, notes: int) -> None:
    """Two visits of three are disturbed; the least is not."""
    clock, points = Clock(), calls_to_time(4.0)
    true = times(points, *made())

    def runs(points: Any, arrays: Any, seed: int) -> Any:
        def run(i: int, begun: list[int]) -> float:
            begun[0] += 1
            taken = 0.01 * true[i].ms / 1e3 * (1.0 if begun[0] % 9 < 3 else slow)
            clock.sleep(0.002)
            return taken

        return [lambda i=i, begun=[0]: run(i, begun) for i in range(len(points))]

    monkeypatch.setattr(timing, "runs", runs)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=clock))
    profile = calibrate("numpy", seconds=30.0)
    assert [note for note in profile.notes if "the machine was busy: usual calls took 100 % more" in note] == list(
        profile.notes
    )
    assert len(profile.notes) == notes


def test_what_usual_calls_take_is_possible() -> None:
    for usual in (0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="usual_ms"):
            Timing(shape=SHAPE, ms=1.0, usual_ms=usual)
