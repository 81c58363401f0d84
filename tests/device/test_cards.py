"""Laws on a card that is made of kernels: each takes at least what starting one takes, and its host launches them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from thrifty.device import DeviceProfile, Point, Timing
from thrifty.device.grid import calls_to_time

CACHE, FAST, SLOW = 45e6, 6e12, 3e12
"""Bytes of the card's cache; bytes a second from it, and from its memory."""
LEAST, SMALL, LAUNCH = 2.2e-6, 1.8e-6, 9e-6
"""Seconds of a product and of a small kernel at least, and of a launch by the host."""
KERNELS = 29


def product(numbers: float, rows: int, touched: float) -> float:
    """Seconds of a product with a matrix of bf16: large ones come nearer to the memory's rate, rows go by 64."""
    rate, half = (SLOW, 2e6) if touched > CACHE else (FAST, 3e6)
    moved, operations = 2 * numbers, 2 * numbers * -(-rows // 64) * 64
    return max(
        LEAST, 1e-6 + moved * (1 + half / moved) / rate, 2e-6 + operations / (6e14 * min(1.0, 0.05 + operations / 2e10))
    )


def seconds(point: Point, mode: str) -> float:
    """What a call takes."""
    shape, rows, seen = point.shape, point.rows, point.context + point.tokens
    cache = point.batch * seen * shape.kv_bytes
    touched = (shape.layers * shape.layer_matrix + shape.head_parameters) * shape.dtype_bytes + cache
    queries, keys = shape.heads * shape.width, 2 * shape.keys * shape.width
    matrices = (
        shape.dim * (queries + keys),
        shape.dim * queries,
        2 * shape.dim * shape.hidden,
        shape.dim * shape.hidden,
    )
    layer = sum(product(numbers, rows, touched) for numbers in matrices)
    layer += 22 * max(SMALL, 8 * rows * shape.dim / 2e12) + 12 * rows * shape.hidden / 2e12
    masked = point.tokens > 1
    layer += (12e-6 if masked else 4e-6) + cache / shape.layers / 1.5e12 + 4 * rows * seen * queries / 1e14
    card = shape.layers * layer + product(shape.head_parameters, rows, touched) + 5e-6
    if mode == "graph":
        return card + 12e-6 + shape.layers * KERNELS * 0.4e-6
    return max(card, 60e-6 + shape.layers * KERNELS * LAUNCH * (1.15 if masked else 1.0)) + 15e-6


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_shapes_left_out_are_told(mode: str) -> None:
    rng = np.random.default_rng(1)
    timings = [
        Timing(**vars(point), ms=1e3 * seconds(point, mode) * float(np.exp(0.02 * rng.standard_normal())))
        for point in calls_to_time(2.0, large=True)
    ]
    device = {"name": "made up", "machine": "nowhere"}
    profile = DeviceProfile.fit(timings, device=device, backend="torch", dtype="bf16", mode=mode)
    for many in (False, True):
        pairs = [(t.ms, told) for t, told in profile.left_out() if (t.rows > 1) == many]
        measured, told = np.array(pairs).T
        wrong = np.abs(told / measured - 1)
        assert np.median(wrong) < 0.05
        assert wrong.max() < 0.25
        assert spearmanr(measured, told).statistic > 0.97
    # Steps that are not timed: what they take lies where it is said to lie, nine times of ten.
    new = [
        Point(shape=p.shape.with_(layers=p.shape.layers + 3), context=48) for p in calls_to_time(2.0, large=True)[5:30]
    ]
    found = [(profile.latency(p.shape, context=48), 1e3 * seconds(p, mode)) for p in new]
    assert np.mean([told.low <= ms <= told.high for told, ms in found]) >= 0.8
