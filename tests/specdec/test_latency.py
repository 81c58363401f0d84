"""The best draft length, against brute force over fractions and a golden file."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.specdec import (
    LatencyCurve,
    best_gamma,
    break_even_alpha,
    break_even_tau,
    expected_tau,
    needed_tau,
)

FIELDS = tuple(field.name for field in dataclasses.fields(LatencyCurve))
CURVE = LatencyCurve(5, 0.2, 0.1, weights_ms=20.0, compute_ms_per_token=0.25, overhead_ms=0.5)

ms = st.fractions(0, 50, max_denominator=1000)
curves = st.tuples(st.integers(0, 40), ms, ms, ms, ms, st.fractions(Fraction(1, 1000), 5, max_denominator=1000))


def throughput(alpha: Fraction, batch: int, curve: tuple[Any, ...], gamma: int) -> Fraction:
    """Ids a millisecond, exactly."""
    layers, layer, beside, weights, compute, overhead = curve
    tau = sum(alpha**k for k in range(gamma + 1))
    verify = max(weights, batch * (gamma + 1) * compute) + overhead
    return batch * tau / (gamma * (layers * layer + beside) + verify)


def test_the_golden_cases(data: Path) -> None:
    cases = json.loads((data / "specdec" / "gamma_golden.json").read_text())
    assert len(cases) == 150
    assert sum(case["best_gamma"] == 0 for case in cases) == 34
    for case in cases:
        curve = LatencyCurve(**{name: case[name] for name in FIELDS})
        best = best_gamma(case["alpha"], case["batch"], curve)
        assert best.gamma == case["best_gamma"]
        assert best.tokens_per_ms == pytest.approx(case["tokens_per_ms_best"], rel=1e-6)
        plain = best_gamma(case["alpha"], case["batch"], curve, max_gamma=0)
        assert plain.tokens_per_ms == pytest.approx(case["tokens_per_ms_plain"], rel=1e-6)


@given(st.fractions(0, 1, max_denominator=1000), st.integers(1, 500), curves, st.integers(0, 24))
def test_nothing_is_better(alpha: Fraction, batch: int, curve: tuple[Any, ...], most: int) -> None:
    found = best_gamma(float(alpha), batch, LatencyCurve(curve[0], *map(float, curve[1:])), most)
    exact = [throughput(alpha, batch, curve, gamma) for gamma in range(most + 1)]
    assert found.tokens_per_ms == pytest.approx(float(max(exact)), rel=1e-12)
    assert float(exact[found.gamma]) == pytest.approx(float(max(exact)), rel=1e-12)


@given(st.fractions(0, 1, max_denominator=1000), st.integers(1, 500), curves, st.integers(1, 24))
def test_break_even(alpha: Fraction, batch: int, curve: tuple[Any, ...], gamma: int) -> None:
    """A draft is better than none iff its tau is above the break-even one."""
    ours = LatencyCurve(curve[0], *map(float, curve[1:]))
    gain = throughput(alpha, batch, curve, gamma) / throughput(alpha, batch, curve, 0)
    surplus = expected_tau(float(alpha), gamma) / break_even_tau(gamma, batch, ours)
    assert surplus == pytest.approx(float(gain), rel=1e-9)
    needed = break_even_alpha(batch, ours, gamma)
    pays = any(throughput(alpha, batch, curve, g) > throughput(alpha, batch, curve, 0) for g in range(1, gamma + 1))
    if needed is None:
        assert not pays
    elif abs(float(alpha) - needed) > 1e-9:
        assert pays == (float(alpha) > needed)


def test_expected_tau_is_the_closed_form() -> None:
    for alpha in (0.0, 0.25, 0.9, 0.999999):
        for gamma in (0, 1, 7, 16, 255):
            assert expected_tau(alpha, gamma) == pytest.approx((1 - alpha ** (gamma + 1)) / (1 - alpha), rel=1e-9)
    assert expected_tau(1.0, 255) == 256.0


def test_a_faster_candidate() -> None:
    deep = dataclasses.replace(CURVE, draft_layers=24)
    needed = needed_tau(3.4, 4, 1, deep, CURVE)
    assert needed == pytest.approx(3.4 * (4 * 1.1 + 20.5) / (4 * 4.9 + 20.5))
    assert needed_tau(3.4, 4, 1, deep, CURVE, candidate_gamma=6) > needed
    assert needed_tau(3.4, 4, 1, CURVE, CURVE) == pytest.approx(3.4)


@pytest.mark.parametrize("name", FIELDS[1:])
@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_times_that_are_none(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        dataclasses.replace(CURVE, **{name: value})


def test_what_can_not_be() -> None:
    with pytest.raises(ValueError, match="draft_layers: -1"):
        dataclasses.replace(CURVE, draft_layers=-1)
    with pytest.raises(ValueError, match="weights_ms: 0"):
        LatencyCurve(5, 0.2, 0.1, 0.0, 0.0, 0.0)
    with pytest.raises(TypeError, match="weights_ms"):
        LatencyCurve(5, 0.2, 0.1, "20", 0.25, 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="draft_layers"):
        LatencyCurve(5.5, 0.2, 0.1, 20.0, 0.25, 0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="draft_layers: "):
        dataclasses.replace(CURVE, draft_layers=1 << 40)
    with pytest.raises(TypeError, match="batch: a whole number"):
        best_gamma(0.5, "1", CURVE)  # type: ignore[arg-type]
    assert best_gamma(np.float32(0.5), np.int64(4), CURVE) == best_gamma(0.5, 4, CURVE)  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CURVE.weights_ms = 1.0  # type: ignore[misc]
    for alpha in (-0.1, 1.01, float("nan")):
        with pytest.raises(ValueError, match="alpha: "):
            best_gamma(alpha, 1, CURVE)
        with pytest.raises(ValueError, match="alpha: "):
            expected_tau(alpha, 1)
    for batch in (0, -1, 1 << 32):
        with pytest.raises(ValueError, match="batch: "):
            best_gamma(0.5, batch, CURVE)
    for gamma in (-1, 256):
        with pytest.raises(ValueError, match="max_gamma: "):
            best_gamma(0.5, 1, CURVE, gamma)
        with pytest.raises(ValueError, match="gamma: "):
            break_even_tau(gamma, 1, CURVE)
    for tau in (0.9, 5.1, float("nan")):
        with pytest.raises(ValueError, match="tau: "):
            needed_tau(tau, 4, 1, CURVE, CURVE)
    with pytest.raises(TypeError):
        best_gamma("0.5", 1, CURVE)  # type: ignore[arg-type]
