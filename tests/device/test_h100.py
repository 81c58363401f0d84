"""The law holds on another kind of device: an H100 with CUDA graphs, from 300 million parameters to 13 billion."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from tests.device.h100 import FILE, calibrated, h100_profile, h100_timings
from thrifty.device.law import BYTES


def test_shapes_have_the_parameters_that_were_counted() -> None:
    for row, timing in zip(json.loads(FILE.read_text()), h100_timings(), strict=True):
        assert abs(timing.shape.parameters / 1e6 - row["params_M"]) < 0.1


def test_shapes_left_out_are_told() -> None:
    """Each shape from the others alone; the 13B target too, which is twice what is left."""
    told = h100_profile().left_out()
    one = [(t.ms, ms) for t, ms in told if t.rows == 1]
    several = [(t.ms, ms) for t, ms in told if t.rows > 1]
    for pairs, median, worst in ((one, 0.05, 0.12), (several, 0.10, 0.25)):
        measured, predicted = np.array(pairs).T
        wrong = np.abs(predicted / measured - 1)
        assert np.median(wrong) < median
        assert wrong.max() < worst
        assert kendalltau(measured, predicted).statistic > 0.9


def test_bytes_come_at_the_rate_of_its_memory() -> None:
    """A coefficient that means something: 2 to 3.35 TB/s, the latter being what the vendor promises."""
    profile = h100_profile()
    per_byte = sum(profile.one[name] for name in BYTES)
    assert 2.0 < 1e-9 / per_byte < 3.35
    # A layer in a replayed graph costs tens of microseconds whatever its size.
    assert 0.01 < profile.one["layers"] + profile.one["layers@0.25"] < 0.1


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("several", [False, True])
def test_a_calibration_tells_shapes_left_out(mode: str, several: bool) -> None:
    """Of decoding steps and of several rows, calls made one by one and replayed graphs; fitted anew."""
    pairs = [(t.ms, told) for t, told in calibrated(mode).left_out() if (t.rows > 1) == several]
    measured, told = np.array(pairs).T
    wrong = np.abs(told / measured - 1)
    assert np.median(wrong) <= 0.10
    assert wrong.max() <= 0.25
    assert spearmanr(measured, told).statistic >= 0.97


def test_a_card_still_reads_when_its_host_is_done() -> None:
    """One by one the host sets the pace; the last layer adds to it, in part already read when the host is done."""
    law = calibrated("eager").several
    assert law["last"] > 0
    assert 2.0 < 1e-9 / law["last"] < 10.0
    assert law["launches"] > 10 * law["layers"]
