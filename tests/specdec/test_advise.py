"""Advice on drafts, on devices whose right answer is known, and its command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import ok
from tests.device.devices import made, profile_of
from tests.device.h100 import h100_profile
from thrifty.cli.app import main
from thrifty.device import DeviceProfile, ModelShape, shape_of
from thrifty.device.grid import of_size
from thrifty.device.machine import describe
from thrifty.errors import Infeasible, MismatchError
from thrifty.specdec import advise, rank
from thrifty.specdec.latency import expected_tau
from thrifty.specdec.shapes import depths, draft_of
from thrifty.specdec.throughput import Clock

TARGET = of_size(20e6, 12)
TARGET_TEXT = "layers=12,dim=384,heads=12,hidden=928,vocab=256,tied=1"


@pytest.fixture(scope="module")
def profile() -> DeviceProfile:
    """A layer costs 0.1 ms whatever its size, a byte 0.1 ns."""
    return profile_of(*made())


@given(st.floats(0, 1), st.integers(0, 16))
def test_tau_is_the_papers(alpha: float, gamma: int) -> None:
    told = expected_tau(alpha, gamma)
    assert told == pytest.approx(gamma + 1 if alpha == 1 else (1 - alpha ** (gamma + 1)) / (1 - alpha))


times = st.floats(0.01, 10)


@given(times, st.lists(times, min_size=2, max_size=9), st.floats(0, 2), st.floats(0, 1), st.integers(1, 64))
def test_break_even_is_where_both_are_as_fast(
    draft: float, verify: list[float], host: float, alpha: float, batch: int
) -> None:
    """By its definition: at the needed tau and the needed acceptance, throughput is the goal; a little below, less."""
    clock = Clock(tuple(verify), batch, host)
    gamma, most = clock.best(draft, alpha)
    assert most >= clock.plain
    assert most == max(clock.throughput(draft, alpha, g) for g in range(len(verify)))
    needed = clock.tau_needed(draft, 1, clock.plain)
    assert needed == pytest.approx((draft + verify[1] + host) / verify[0])
    found = clock.alpha_needed(draft, clock.plain)
    best_of_perfect = max(clock.throughput(draft, 1.0, g) for g in range(1, len(verify)))
    assert (found is None) == (best_of_perfect < clock.plain)
    if found is not None:
        least, its = found
        assert clock.throughput(draft, least, its) >= clock.plain * (1 - 1e-12)
        if least > 1e-6:
            below = least * (1 - 1e-5) - 1e-8
            assert max(clock.throughput(draft, below, g) for g in range(1, len(verify))) < clock.plain
    if gamma:
        assert found is not None
        assert found[0] <= alpha + 1e-8


def test_golden_answers_of_the_analytical_model() -> None:
    """Worked by hand: t_d 1, t_v(n) = max(10, n), alpha 0.8: T(g) = tau(g) / (g + 10) is largest at g = 6."""
    clock = Clock(tuple(max(10.0, n) for n in range(1, 18)))
    rates = [sum(0.8**k for k in range(g + 1)) / (g + max(10, g + 1)) for g in range(17)]
    rates[0] = 1 / 10
    assert clock.best(1.0, 0.8) == (rates.index(max(rates)), pytest.approx(1e3 * max(rates)))
    assert clock.best(1.0, 0.8)[0] == 6
    assert clock.best(12.0, 0.8)[0] == 0


@pytest.mark.parametrize("params", [0.7e6, 12e6, 300e6])
@pytest.mark.parametrize("vocab", [256, 4096])
def test_drafts_have_the_size_that_was_asked(params: float, vocab: int) -> None:
    found = [draft_of(params, depth, vocab) for depth in depths(32)]
    shapes = [shape for shape in found if shape is not None]
    assert len(shapes) > (3 if params < 1e6 and vocab > 256 else 12)
    for shape in shapes:
        assert abs(shape.parameters / params - 1) <= 0.03
        assert shape.dim == shape.heads * shape.width
        assert 1 <= shape.hidden / shape.dim <= 6
    # Of a size: the deeper, the narrower.
    assert [s.dim for s in shapes] == sorted((s.dim for s in shapes), reverse=True)


def test_depths_reach_the_limit() -> None:
    for most in range(1, 120):
        found = depths(most)
        assert found[-1] == most
        assert found == sorted(set(found))


def test_where_layers_cost_the_shallow_draft_wins(profile: DeviceProfile) -> None:
    advice = advise(profile, TARGET, params=3e6, alpha=0.8)
    layers = [c.shape.layers for c in advice.candidates]
    assert layers == sorted(layers)
    first, last = advice.candidates[0], advice.candidates[-1]
    assert last.draft.ms - first.draft.ms == pytest.approx(0.1 * (last.shape.layers - 1), rel=0.05)
    assert first.alpha_to_match == pytest.approx(0.8, abs=1e-6)
    assert last.alpha_to_match is None or last.alpha_to_match > 0.8
    assert "whatever its width" not in advice.explain().splitlines()[0]


def test_where_layers_are_free_depth_does_not_matter() -> None:
    """The advisor must not have the paper's answer built in."""
    advice = advise(profile_of(*made(layer=0.0)), TARGET, params=3e6, alpha=0.8, max_depth=12)
    times = [c.draft.ms for c in advice.candidates]
    assert max(times) / min(times) < 1.04


def test_formulas_of_a_candidate(profile: DeviceProfile) -> None:
    """Numbers of the table, worked again from the profile alone."""
    current = of_size(3e6, 16)
    advice = rank(
        profile, TARGET, [of_size(3e6, 2)], alpha=0.75, batch=2, context=64, host_ms=0.3, max_gamma=6, current=current,
        current_alpha=0.8,
    )  # fmt: skip
    (c,) = advice.candidates

    def took(shape: ModelShape, tokens: int) -> float:
        return profile.latency(shape, batch=2, tokens=tokens, context=64).ms

    def rate(draft: float, alpha: float, g: int) -> float:
        tau = sum(alpha**k for k in range(g + 1))
        return 2e3 * tau / (g * draft + took(TARGET, g + 1) + 0.3 * (g > 0))

    assert c.draft.ms == took(c.shape, 1)
    rates = [rate(c.draft.ms, 0.75, g) for g in range(7)]
    assert c.gamma == rates.index(max(rates))
    assert c.tokens_per_second == pytest.approx(max(rates))
    assert c.speedup == pytest.approx(max(rates) / rates[0])
    g = max(c.gamma, 1)
    step = g * c.draft.ms + took(TARGET, g + 1) + 0.3
    assert c.tau_break_even == pytest.approx(step / took(TARGET, 1))
    there = max(rate(took(current, 1), 0.8, k) for k in range(7))
    assert advice.current_tokens_per_second == pytest.approx(there)
    assert c.tau_to_beat == pytest.approx(there * step / 2e3)
    assert c.alpha_to_beat is not None
    assert max(rate(c.draft.ms, c.alpha_to_beat, k) for k in range(1, 7)) == pytest.approx(there, rel=1e-6)


def test_measured_acceptance_changes_the_order(profile: DeviceProfile) -> None:
    shapes = [of_size(3e6, 1), of_size(3e6, 12)]
    assert rank(profile, TARGET, shapes, alpha=0.8).candidates[0].shape == shapes[0]
    assert rank(profile, TARGET, shapes, alpha=[0.3, 0.95]).candidates[0].shape == shapes[1]


def test_a_draft_as_slow_as_its_target_never_pays(profile: DeviceProfile) -> None:
    (c,) = rank(profile, TARGET, [TARGET], alpha=0.99).candidates
    assert (c.gamma, c.speedup, c.tau) == (0, 1.0, 1.0)
    assert c.alpha_break_even is None
    assert c.tokens_break_even is None
    assert c.tau_break_even >= 2
    assert "does not pay: even if all drafts were accepted" in rank(profile, TARGET, [TARGET]).explain()


def test_a_limit_of_latency(profile: DeviceProfile) -> None:
    """The largest draft of each depth within it; what a layer costs, deep ones lack in weights."""
    advice = advise(profile, TARGET, latency_ms=2.0, max_depth=12)
    assert all(1.8 < c.draft.ms <= 2.0 for c in advice.candidates)
    sizes = [c.shape.parameters for c in advice.candidates]
    assert sizes == sorted(sizes, reverse=True)
    assert advice.candidates[0].shape.layers == 1
    assert sizes[0] == pytest.approx((2.0 - 0.02 - 0.1) / 4e-7, rel=0.06)
    assert "times fewer parameters" in advice.explain()
    both = advise(profile, TARGET, params=3e6, latency_ms=2.0)
    assert max(c.draft.ms for c in both.candidates) <= 2.0
    assert len(both.candidates) < len(advise(profile, TARGET, params=3e6).candidates)


def test_what_can_not_be(profile: DeviceProfile) -> None:
    for change, message in (
        ({"params": 1e6, "vocab": 200_000}, r"params: no decoder over 200,000 ids has 1,000,000 parameters; the least"),
        ({"latency_ms": 1e-4}, r"latency_ms: no draft over 256 ids takes at most 0\.0001 ms; the smallest takes"),
        ({"params": 3e6, "latency_ms": 0.5}, r"latency_ms: no draft of 3,000,000 parameters .* the fastest, 1 x"),
    ):
        with pytest.raises(Infeasible, match=message):
            advise(profile, TARGET, **change)  # type: ignore[arg-type]
    with pytest.raises(Infeasible) as raised:
        advise(profile, TARGET, params=1e6, vocab=200_000)
    nearest = float(str(raised.value).rsplit(" ", 1)[1].replace(",", ""))
    assert advise(profile, TARGET, params=nearest, vocab=200_000).candidates


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "params, latency_ms: give a size"),
        ({"params": 0}, "params: 0 is not possible"),
        ({"params": 1e6, "alpha": 1.5}, r"alpha: 1\.5 is not possible"),
        ({"params": 1e6, "alpha": math.nan}, "alpha: nan is not possible"),
        ({"params": 1e6, "max_depth": 0}, "max_depth: 0 is not possible"),
        ({"params": 1e6, "max_gamma": 65}, "max_gamma: 65 is not possible"),
        ({"params": 1e6, "batch": 0}, "batch: 0 is not possible"),
        ({"params": 1e6, "vocab": -1}, "vocab: -1 is not possible"),
        ({"params": 1e6, "host_ms": -1}, "host_ms: -1 is not possible"),
        ({"params": 1e6, "current_alpha": 0.5}, "current_alpha: of no draft"),
        ({"params": 1e6, "current": -2.0}, r"current: -2\.0 is not possible"),
        ({"latency_ms": 2.0, "in_layers": True}, "in_layers: says which params"),
    ],
)
def test_arguments_that_are_not_possible(profile: DeviceProfile, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        advise(profile, TARGET, **change)


def test_shapes_that_can_not_be_ranked(profile: DeviceProfile) -> None:
    with pytest.raises(ValueError, match="shapes: none are given"):
        rank(profile, TARGET, [])
    with pytest.raises(ValueError, match="alpha: 2 are given for 1 shapes"):
        rank(profile, TARGET, [TARGET], alpha=[0.1, 0.2])
    with pytest.raises(MismatchError, match="dtype_bytes"):
        rank(profile, TARGET.with_(dtype_bytes=2), [TARGET])


def test_an_h100_prefers_few_layers_and_13b_is_worth_a_draft() -> None:
    """The paper's case on a device that was measured: 796M drafts for a 13B target, with CUDA graphs."""
    profile = h100_profile()
    advice = advise(profile, shape_of("llama-2-13b"), params=796e6, alpha=0.7, context=256)
    by_depth = {c.shape.layers: c for c in advice.candidates}
    assert by_depth[24].draft.ms / by_depth[5].draft.ms > 1.5
    assert by_depth[5].speedup > by_depth[24].speedup > 1.2
    assert "13B" not in advice.explain()
    eager = advise(h100_profile("eager_ms"), shape_of("llama-2-13b"), params=796e6, context=256)
    deep = next(c for c in eager.candidates if c.shape.layers == 24)
    shallow = next(c for c in eager.candidates if c.shape.layers == 5)
    # Graphs weaken the finding; without them depth is all.
    assert deep.draft.ms / shallow.draft.ms > by_depth[24].draft.ms / by_depth[5].draft.ms


@pytest.fixture(scope="module")
def file(profile: DeviceProfile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("advise") / "profile.json"
    DeviceProfile(**(vars(profile) | {"device": describe()})).save(path)
    return path


def test_the_command_line_advises(file: Path, tmp_path: Path, profile: DeviceProfile) -> None:
    arguments = ["--profile", file, "--target", TARGET_TEXT, "--params", "3M", "--max-depth", 8, "--current", "2.5"]
    told = json.loads(ok("specdec", "advise", *arguments, "--out", tmp_path / "report", "--json"))
    target = shape_of(TARGET_TEXT, dtype_bytes=4)
    advice = advise(profile, target, params=3e6, max_depth=8, current=2.5)
    expected = json.loads(json.dumps(advice.to_dict()))
    assert told.pop("explanation").splitlines()[1:] == advice.explain().splitlines()[1:]
    told.pop("device"), expected.pop("device")
    assert told == expected
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "alpha 0.7" in page
    shown = ok("specdec", "advise", *arguments)
    assert "Drafts, the best first" in shown
    assert "The first draft is 1 x" in " ".join(shown.split())


def test_the_command_line_calibrates(tmp_path: Path) -> None:
    shape = "layers=3,dim=64,heads=2,hidden=96,vocab=256,tied=1"
    arguments = ["--seconds", 1, "--threads", 1, "--shape", shape]
    told = json.loads(ok("specdec", "calibrate", tmp_path / "p.json", *arguments, "--json"))
    found = DeviceProfile.load(tmp_path / "p.json")
    assert told["threads"] == found.threads == 1
    assert found.timings[-1].shape == shape_of(shape, dtype_bytes=4)
    assert told["timings"] == len(found.timings)
    assert told["left_out_worst_error"] >= told["left_out_median_error"] > 0


def test_errors_of_the_command_line_are_one_line(
    file: Path,
    tmp_path: Path,
    profile: DeviceProfile,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, which loads what it needs once."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["thrifty", "specdec", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        told = capsys.readouterr()
        return int(stopped.value.code or 0), told.out, told.err

    other = tmp_path / "other.json"
    profile.save(other)
    (tmp_path / "none.json").write_text("{}")
    base = ["--target", TARGET_TEXT, "--params", "3M"]
    for arguments, status, message in (
        (["advise", "--profile", file, "--target", TARGET_TEXT], 2, "--params or --latency-ms is needed"),
        (["advise", "--profile", tmp_path / "x.json", *base], 1, "x.json: No such file"),
        (["advise", "--profile", tmp_path / "none.json", *base], 1, "no profile of a device"),
        (["advise", "--profile", other, *base], 1, "--any-device"),
        (["advise", "--profile", file, "--target", "nothing", "--params", "3M"], 2, "'nothing' is no file"),
        (["advise", "--profile", file, "--target", TARGET_TEXT, "--params", "many"], 2, "'many' is no number of"),
        (["advise", "--profile", file, *base, "--alpha", "2"], 2, "--alpha"),
        (["advise", "--profile", file, *base, "--latency-ms", "0.1"], 1, "the fastest, 1 x"),
        (["advise", "--profile", file, *base, "--out", tmp_path / "no" / "where"], 1, "No such folder"),
        (["calibrate", tmp_path / "no" / "p.json"], 1, "No such folder for the profile"),
        (["calibrate", tmp_path / "p.json", "--dtype", "bf16"], 2, "dtype: 'bf16' is not for numpy"),
        (["calibrate", tmp_path / "p.json", "--shape", "layers=2"], 2, "missing"),
    ):
        found, out, err = run(*arguments)
        assert (found, out) == (status, ""), (arguments, err)
        assert message in err
        assert len(err.strip().splitlines()) == 1
    found, out, err = run("advise", "--profile", other, *base, "--any-device")
    assert (found, err) == (0, "")
    assert "Drafts" in out
