"""Calibration errors against the published estimator's own results, a readable twin, and every order of ties."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exam.calibrated import cases, orders, published, tied
from thrifty.errors import CalibrationUndefined
from thrifty.exam import calibration_error
from thrifty.exam.scoring.envelope import envelope
from thrifty.exam.scoring.ordered import ordered

CASES = {case["name"]: case for case in cases()}
PERMUTED = [name for name, case in CASES.items() if "hle_p2_over_permutations" in case["expected"]]
NORMS = {1: "p1", 2: "p2", "max": "pinfty"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("p", NORMS)
def test_published_cases(name: str, p: int | str) -> None:
    case = CASES[name]
    confidence, correct, expected = case["confidence"], np.array(case["correct"], bool), case["expected"]
    every = calibration_error(confidence, correct, mode="all", p=p)
    assert every.low <= every.value <= every.high
    if case["n"] < 200:
        with pytest.raises(CalibrationUndefined, match=str(case["n"])):
            calibration_error(confidence, correct, p=p)
    else:
        hle = calibration_error(confidence, correct, p=p)
        assert hle.value == pytest.approx(expected[f"hle_stable_{NORMS[p]}_beta100"], abs=1e-12)
        assert hle.low <= hle.value <= hle.high
    if expected["ties"] <= 12 and case["n"] >= 100:
        assert every.value == pytest.approx(expected[f"all_bins_stable_{NORMS[p]}_beta100"], abs=1e-12)


@pytest.mark.parametrize("name", PERMUTED)
@pytest.mark.parametrize(("mode", "key"), [("hle", "hle"), ("all", "all_bins")])
def test_the_envelope_holds_what_permutations_gave(name: str, mode: str, key: str) -> None:
    case = CASES[name]
    found = calibration_error(case["confidence"], case["correct"], mode=mode)
    seen = case["expected"][f"{key}_p2_over_permutations"]
    assert found.low <= seen["min"] + 1e-12
    assert seen["max"] <= found.high + 1e-12


@given(st.integers(0, 10**6), st.integers(200, 420), st.sampled_from([2, 5, 20, 10**6]), st.sampled_from([1, 2, "max"]))
def test_equal_to_the_twin(seed: int, n: int, values: int, p: int | str) -> None:
    confidence, correct = tied(np.random.default_rng(seed), n, values)
    twin = published(confidence.tolist(), correct.tolist(), drop_last=True, p=p)
    found = calibration_error(confidence, correct, p=p)
    assert found.value == pytest.approx(twin, abs=1e-12)
    assert found.low - 1e-12 <= twin <= found.high + 1e-12
    if values == 10**6:
        every = published(confidence.tolist(), correct.tolist(), drop_last=False, p=p)
        assert calibration_error(confidence, correct, mode="all", p=p).value == pytest.approx(every, abs=1e-9)


@pytest.mark.parametrize("p", [1, 2, "max"])
def test_the_envelope_is_exact(p: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With bins of 3, all orders can be tried."""
    monkeypatch.setattr("thrifty.exam.scoring.ordered.BIN", 3)
    monkeypatch.setattr("thrifty.exam.scoring.envelope.BIN", 3)
    rng = np.random.default_rng(4)
    for _ in range(150):
        confidence, correct = tied(rng, int(rng.integers(1, 14)), int(rng.integers(1, 4)))
        answers = ordered(confidence, correct)
        grades = orders(confidence.tolist(), correct.tolist())
        values = sorted(confidence.tolist())
        bins = max(len(values) // 3, 1)
        for counted in {bins, bins - 1}:
            tried = [published(values, y, drop_last=counted < bins, p=p, size=3) for y in grades]
            low, high = envelope(answers, counted, p)
            assert (low, high) == pytest.approx((min(tried), max(tried)), abs=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 500), st.sampled_from([1, 7, 100]))
def test_the_order_of_rows_does_not_matter(seed: int, n: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = tied(rng, n, values)
    order = rng.permutation(n)
    first = calibration_error(confidence, correct, mode="all")
    again = calibration_error(confidence[order], correct[order], mode="all")
    assert first == again
    if n >= 200:
        first, again = calibration_error(confidence, correct), calibration_error(confidence[order], correct[order])
        assert (min(first.low, again.value), max(first.high, again.value)) == pytest.approx((first.low, first.high))


PROGRAM = """
import numpy as np
from thrifty.exam import calibration_error, metrics
rng = np.random.default_rng(3)
for values in (20, 10**6):
    c, y = rng.integers(0, values + 1, 2500) / values, rng.random(2500) < 0.2
    print(calibration_error(c, y, mode="all"), calibration_error(c, y), metrics(c, y))
"""


def test_instruction_sets_give_the_same_bytes() -> None:
    """The published scorer does not: its sort of ties depends on them."""
    features = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3 X86_V3 X86_V4"
    said = [
        subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], env=env, capture_output=True, check=True).stdout
        for env in (dict(os.environ), os.environ | {"NPY_DISABLE_CPU_FEATURES": features})
    ]
    assert said[0]
    assert said[0] == said[1]


def test_confidences_that_are_not_stated() -> None:
    confidence = np.full(600, 0.6)
    confidence[::3] = np.nan
    correct = np.arange(600) % 2 == 0
    found = calibration_error(confidence, correct)
    stated = ~np.isnan(confidence)
    assert (found.answers, found.not_stated) == (400, 200)
    assert found.value == calibration_error(confidence[stated], correct[stated]).value
    assert found.as_certain == calibration_error(np.where(stated, confidence, 1.0), correct).value
    assert found.as_certain != found.value
    with pytest.raises(CalibrationUndefined, match="150 answers"):
        calibration_error(np.append(np.full(150, 0.5), np.full(500, np.nan)), np.ones(650, bool))
    with pytest.raises(CalibrationUndefined):
        calibration_error([], [], mode="all")


@pytest.mark.parametrize(
    ("confidence", "correct", "says"),
    [
        ([90.0, 50.0], [True, False], "percent"),
        ([1.0000001], [True], "percent"),
        ([-0.1], [True], "0 to 1"),
        ([0.5, 0.5], [True], "one length"),
        ([[0.5]], [[True]], "one length"),
        ([0.5], [2], "true or false"),
        ([float("inf")], [True], "percent"),
    ],
)
def test_wrong_arguments(confidence: list[float], correct: list[bool], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        calibration_error(confidence, correct, mode="all")


def test_unknown_modes_and_norms() -> None:
    with pytest.raises(ValueError, match="mode"):
        calibration_error([0.5], [True], mode="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="p:"):
        calibration_error([0.5], [True], mode="all", p=3)  # type: ignore[arg-type]
