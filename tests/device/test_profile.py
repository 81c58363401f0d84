"""Fits, profiles and their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from tests.device.devices import DEVICE, law_of, made, profile_of, times
from thrifty.device import DeviceProfile, ModelShape, Point, Timing, calibrate, calibration
from thrifty.device.grid import calls_to_time, of_size
from thrifty.device.law import ONE, SEVERAL
from thrifty.device.least import nonnegative
from thrifty.device.machine import describe
from thrifty.errors import FormatError, MismatchError, ModelError

DRAFT = of_size(3e6, 5)


@given(st.integers(0, 2**32 - 1))
def test_least_squares_are_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 30)), int(rng.integers(1, 12))
    a = rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-6, 6, columns)
    b = rng.standard_normal(rows)
    x = nonnegative(a, b)
    assert (x >= 0).all()
    assert np.linalg.norm(a @ x - b) <= nnls(a, b)[1] * (1 + 1e-6) + 1e-9


def test_least_squares_with_nothing_to_fit() -> None:
    assert nonnegative(np.zeros((3, 2)), np.ones(3)).tolist() == [0.0, 0.0]
    assert nonnegative(np.ones((3, 2)), -np.ones(3)).tolist() == [0.0, 0.0]


logs = st.floats(-1.0, 1.0)


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])  # a fit takes a second
@given(layer=logs, byte=logs, start=logs, row=logs, flop=logs, slower=st.floats(0, 5), join=st.sampled_from([1.0, 8.0]))
def test_a_device_is_found_again(
    layer: float, byte: float, start: float, row: float, flop: float, slower: float, join: float
) -> None:
    """From exact times of a device whose coefficients are known, those of shapes that were never timed."""
    byte_ms, first = 1e-7 * 10**byte, 0.02 * 10**start
    one = law_of(
        ONE[3], overhead=first, layers=0.1 * 10**layer, cache=byte_ms, rows_8=1e-5 * 10**row, bytes_1=byte_ms,
        bytes_16=slower * byte_ms,
    )  # fmt: skip
    several = law_of(
        SEVERAL[join == 8], overhead=first, layers=0.1 * 10**layer, cache=byte_ms, activations=1e-7, bytes_1=byte_ms,
        operations=3e-8 * 10**flop,
    )  # fmt: skip
    found = DeviceProfile.fit(times(calls_to_time(4.0), one, several), device=DEVICE, backend="numpy", dtype="f32")
    points = [Point(shape=of_size(n, layers), context=50) for n, layers in ((0.5e6, 5), (4e6, 10), (16e6, 2))]
    points += [Point(shape=p.shape, tokens=tokens, context=50) for p in points for tokens in (3, 16)]
    for timing in times(points, one, several):
        told = found.latency(timing.shape, tokens=timing.tokens, context=50)
        within = 0.01 if timing.rows == 1 else 0.08
        # A call of several rows is never told to take less than one of a row.
        least = max(timing.ms, found.latency(timing.shape, context=50).ms if timing.rows > 1 else 0)
        assert told.ms == pytest.approx(least, rel=within)


def test_noise_moves_a_fit_little_and_is_told() -> None:
    one, several = made()
    rng = np.random.default_rng(4)
    noisy = [
        Timing(**(vars(t) | {"ms": t.ms * float(np.exp(0.05 * rng.standard_normal()))}))
        for t in times(calls_to_time(4.0), one, several)
    ]
    # One timing of a minute in which the machine did something else.
    noisy[3] = Timing(**(vars(noisy[3]) | {"ms": 5 * noisy[3].ms}))
    profile = DeviceProfile.fit(noisy, device=DEVICE, backend="numpy", dtype="f32")
    true = times([Point(shape=DRAFT, context=32)], one, several)[0].ms
    told = profile.latency(DRAFT, context=32)
    assert told.ms == pytest.approx(true, rel=0.08)
    assert told.low < true < told.high
    assert 0.03 < profile.one.spread < 0.3
    wrong = [abs(np.log(ms / timing.ms)) for timing, ms in profile.left_out()]
    assert np.median(wrong) < 0.08
    assert len(wrong) == len(noisy)


def test_depth_costs_what_the_device_says() -> None:
    """Where a layer costs nothing, deep and shallow drafts of a size take the same; else as much more as it costs."""
    for layer in (0.0, 0.25):
        profile = profile_of(*made(layer=layer))
        ms = {layers: profile.latency(of_size(12e6, layers)).ms for layers in (1, 12)}
        bytes_ = {layers: of_size(12e6, layers).bytes_read() * 1e-7 for layers in (1, 12)}
        assert ms[12] - ms[1] == pytest.approx(11 * layer + bytes_[12] - bytes_[1], abs=0.05)


def test_parts_sum_to_the_whole() -> None:
    profile = profile_of(*made())
    parts = profile.parts(DRAFT, context=40)
    assert sum(parts.values()) == pytest.approx(profile.latency(DRAFT, context=40).ms)
    assert parts["layers"] == pytest.approx(5 * 0.1, rel=0.02)
    assert parts["overhead"] == pytest.approx(0.02, rel=0.2)
    assert parts["head"] == pytest.approx(DRAFT.head_parameters * 4e-7, rel=0.05)


def test_pieces_are_the_two_of_a_roofline() -> None:
    one, several = made(layer=0.0, byte=1e-6, flop=2e-7, overhead=0.1)
    target = of_size(12e6, 6)
    pieces = profile_of(one, several).pieces(target, DRAFT)
    assert pieces["weights_ms"] == pytest.approx(48e-0, rel=0.03)
    assert pieces["compute_ms_per_token"] == pytest.approx(2 * 12e6 * 2e-7, rel=0.1)
    assert pieces["overhead_ms"] == pytest.approx(0.1, rel=0.1)
    profile = profile_of(*made())
    pieces = profile.pieces(target, DRAFT, context=20)
    told = pieces["draft_layers"] * pieces["draft_ms_per_layer"] + pieces["draft_overhead_ms"]
    assert told == pytest.approx(profile.latency(DRAFT, context=20).ms)
    assert pieces["weights_ms"] + pieces["overhead_ms"] == pytest.approx(profile.latency(target, context=20).ms)


def test_far_calls_are_told_and_wide() -> None:
    profile = profile_of(*made())
    near, far = profile.latency(DRAFT), profile.latency(of_size(20e9, 80))
    assert near.outside == ()
    assert set(far.outside) == {"layers", "dim", "parameters"}
    assert np.log(far.high / far.ms) == pytest.approx(2 * np.log(near.high / near.ms))
    assert profile.latency(DRAFT, context=4000).outside == ("context",)
    assert profile.latency(DRAFT, tokens=900).outside == ("rows",)


def test_more_rows_never_take_less() -> None:
    one, _ = made(byte=1e-6)
    _, several = made(byte=1e-9, layer=0.0, flop=1e-12)
    profile = profile_of(one, several)
    assert profile.latency(DRAFT, tokens=2).ms >= profile.latency(DRAFT).ms


def test_other_dtypes_and_numbers_are_refused() -> None:
    profile = profile_of(*made())
    with pytest.raises(MismatchError, match="dtype_bytes: the shape has 2 and the profile is of f32, 4"):
        profile.latency(DRAFT.with_(dtype_bytes=2))
    for name, value in (("batch", 0), ("tokens", 1.5), ("context", -1)):
        with pytest.raises(ValueError, match=f"{name}: .* is not possible"):
            profile.latency(DRAFT, **{name: value})


def test_few_timings_are_refused() -> None:
    timings = times(calls_to_time(4.0), *made())
    told = {"device": DEVICE, "backend": "numpy", "dtype": "f32"}
    alike = [t for t in timings if t.rows > 1 or t.shape.layers == 1]
    for some, message in (
        ([t for t in timings if t.rows == 1], "0 of calls of several rows"),
        (timings[-8:], "0 of calls of one row"),
        (alike, "of 1 depths; at least 8, of 2"),
    ):
        with pytest.raises(ValueError, match=message):
            DeviceProfile.fit(some, **told)
    mixed = [*timings, Timing(shape=DRAFT.with_(dtype_bytes=2), ms=1.0)]
    with pytest.raises(ValueError, match="dtype_bytes of their shapes"):
        DeviceProfile.fit(mixed, **told)
    with pytest.raises(ValueError, match="ms: nan is not possible"):
        Timing(shape=DRAFT, ms=float("nan"))


def here(**change: Any) -> DeviceProfile:
    """A profile that says it is of this machine."""
    found = vars(profile_of(*made())) | {"device": describe(), "versions": {"numpy": "2"}}
    return DeviceProfile(**(found | change))


def test_a_profile_comes_back_from_its_file(tmp_path: Path) -> None:
    profile = here()
    profile.save(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json") == profile
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]


def test_another_devices_profile_is_refused(tmp_path: Path) -> None:
    profile = here(device={"name": "another", "machine": "Linux x86_64"})
    profile.save(tmp_path / "p.json")
    with pytest.raises(MismatchError, match="measured on another .* calibrate here, or allow"):
        DeviceProfile.load(tmp_path / "p.json")
    assert DeviceProfile.load(tmp_path / "p.json", any_device=True) == profile


def test_damaged_profiles_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    here().save(file)
    whole = json.loads(file.read_text())

    def changed(path: str, value: Any) -> str:
        values = json.loads(json.dumps(whole))
        at = values
        *steps, last = path.split(".")
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
        return json.dumps(values)

    for text, message in (
        (file.read_text()[:-50], "no JSON"),
        ("[]", "no format"),
        (changed("format", "other"), "no format"),
        (changed("device", None), "KeyError: 'device'"),
        (changed("device", {"name": 3}), "device: names and texts"),
        (changed("threads", 0), "threads: 0"),
        (changed("laws.one.ms.layers", -1.0), r"laws\.one\.layers: -1\.0 is no number of at least 0"),
        (changed("laws.one.ms.layers", "1"), "is no number"),
        (changed("laws.several.ms.colour", 1.0), r"laws\.several: amounts \['colour'\]"),
        (changed("laws.several.ms", {"bytes@0": 1.0}), r"laws\.several: amounts \['bytes@0'\]"),
        (changed("laws.several.ms", {}), r"laws\.several: amounts 0"),
        (changed("laws.several.groups", [["colour"]]), r"laws\.several: groups: \['colour'\] are none"),
        (changed("mode", "fast"), "mode: 'fast' is none of eager, graph"),
        (changed("notes", [3]), "notes: a list of texts"),
        (changed("laws.several.join", 3), r"laws\.several: join: 3 is none of"),
        (changed("laws.one.ms", {"layers": 0}), "all coefficients are 0"),
        (changed("timings", []), "timings"),
        (changed("timings.0.ms", float("inf")), "ms: inf"),
        (changed("timings.0.shape.layers", 0), "layers: 0 is not possible"),
        (changed("timings.0.shape.colour", 1), "colour"),
        (changed("timings.0.shape.dtype_bytes", 2), "dtype_bytes"),
    ):
        file.write_text(text)
        with pytest.raises(FormatError, match=message):
            DeviceProfile.load(file)
    file.write_text(changed("version", 3))
    with pytest.raises(MismatchError, match="version 3, and this thrifty reads versions 1 and 2"):
        DeviceProfile.load(file)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_calibrating_measures_what_decoders_take(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not how long, which no test can know; that more work takes more, and that all calls were timed."""
    seen: list[tuple[str, int, int]] = []
    some = calls_to_time(4.0)[::3]
    monkeypatch.setattr(calibration, "calls_to_time", lambda size, large: some)
    extra = ModelShape(layers=5, dim=64, heads=2, hidden=64, vocab=64, dtype_bytes=4)
    profile = calibrate(
        backend,
        seconds=0.5,
        shapes=[extra],
        seed=3,
        progress=lambda phase, done, total: seen.append((phase, done, total)),
    )
    assert len(profile.timings) == len(some) + 1
    assert profile.timings[-1].shape == extra
    assert all(t.calls >= 1 for t in profile.timings)
    assert profile.device == describe()
    assert backend in profile.versions
    ms = {(t.shape, t.rows, t.context): t.ms for t in profile.timings}
    large = [(p.shape, p.rows, p.context) for p in some if p.shape.parameters > 19e6 and p.rows == 1]
    least = [(p.shape, p.rows, p.context) for p in some if p.shape.parameters < 0.3e6]
    assert min(ms[key] for key in large) > min(ms[key] for key in least)
    assert {phase for phase, _, _ in seen} == {"first calls", "measuring"}


def test_calibrations_that_are_not_possible() -> None:
    for change, message in (
        ({"backend": "jax"}, "backend: 'jax' is not numpy or torch"),
        ({"seconds": 0}, "seconds: 0 is not possible"),
        ({"seconds": float("nan")}, "seconds: nan is not possible"),
        ({"dtype": "bf16"}, "dtype: 'bf16' is not for numpy"),
        ({"dtype": "f8"}, "dtype: 'f8' is not f32, bf16 or f16"),
        ({"device": "cuda"}, "device: 'cuda' is not for numpy"),
        ({"backend": "torch", "device": "mps"}, "device: 'mps' is not cpu or cuda"),
    ):
        with pytest.raises(ValueError, match=message):
            calibrate(**change)  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match="shapes: .* has dtype_bytes 2"):
        calibrate(shapes=[DRAFT.with_(dtype_bytes=2)])
    with pytest.raises(ModelError, match="device: torch can't use 'cuda:99'"):
        calibrate("torch", device="cuda:99")


def test_an_exception_of_the_callback_stops_it() -> None:
    def stop(phase: str, done: int, total: int) -> None:
        if phase == "measuring":
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        calibrate(seconds=30, progress=stop)
