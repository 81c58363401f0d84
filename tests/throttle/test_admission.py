"""Which fine-tuning jobs are let in beside requests."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.machine import Clock
from tests.throttle.interleaved import Pretended, Products, Station, stream
from thrifty.device.least import nonnegative
from thrifty.throttle import Admission, LatencyModel, Work

amounts = st.floats(1e6, 1e12)


def learned(rng: np.random.Generator, true: list[float], noise: float, count: int = 200) -> LatencyModel:
    """A model that has seen requests of times that are known, half of them beside a step of fine-tuning."""
    model = LatencyModel(fade=1.0)
    for number in range(count):
        request, step = (Work(*(rng.uniform(0.1, 1, 2) * (1e9, 1e7))) for _ in range(2))
        beside = step if number % 2 else None
        mean = true[0] + true[1] * request.flops + true[2] * request.bytes
        mean += (true[3] * step.flops + true[4] * step.bytes) * (number % 2)
        model.update(request, beside, mean * float(rng.lognormal(0, noise)))
    return model


TRUE = [2e-3, 3e-12, 4e-10, 5e-12, 2e-10]


def test_coefficients_are_found_where_there_is_no_noise() -> None:
    model = learned(np.random.default_rng(1), TRUE, 0.0)
    assert model.coefficients == pytest.approx(TRUE, rel=1e-6)
    told = model.predict(Work(1e9, 1e7), Work(2e9, 3e7))
    assert told.seconds == pytest.approx(2e-3 + 3e-3 + 4e-3 + 1e-2 + 6e-3, rel=1e-6)


def test_request_by_request_is_all_at_once() -> None:
    """The triangle that is kept gives the coefficients of all rows."""
    rng = np.random.default_rng(2)
    model, rows, seconds = LatencyModel(fade=1.0), [], []
    for number in range(60):
        request, step = Work(rng.uniform(0, 1e9), rng.uniform(0, 1e7)), Work(rng.uniform(0, 1e9), rng.uniform(0, 1e7))
        rows.append([1, request.flops, request.bytes, *(number % 2 * np.array([step.flops, step.bytes]))])
        seconds.append(float(rng.uniform(0.001, 0.1)))
        model.update(request, step if number % 2 else None, seconds[-1])
    assert model.coefficients == pytest.approx(nonnegative(np.array(rows), np.array(seconds)), rel=1e-6, abs=1e-15)


def test_nothing_takes_less_than_nothing() -> None:
    """Times that fall with the work would need a coefficient below 0."""
    model = LatencyModel()
    for n in range(1, 40):
        model.update(Work(n * 1e9), None, 1 / n)
    assert (model.coefficients >= 0).all()


@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_the_spread_is_that_of_the_noise(noise: float) -> None:
    rng = np.random.default_rng(3)
    model = learned(rng, TRUE, noise, 2_000)
    for beside in (None, Work(5e8, 5e6)):
        told = model.predict(Work(5e8, 5e6), beside)
        assert told.sd == pytest.approx(noise * told.seconds, rel=0.25)


def test_spread_alone_and_beside_are_kept_apart() -> None:
    rng, model = np.random.default_rng(4), LatencyModel()
    for _ in range(400):
        model.update(Work(1e9), None, 0.002 * float(rng.lognormal(0, 0.01)))
        model.update(Work(1e9), Work(8e9), 0.002 + 0.008 * float(rng.uniform()))
    alone, beside = model.predict(Work(1e9)), model.predict(Work(1e9), Work(8e9))
    assert alone.sd / alone.seconds < 0.02
    assert beside.seconds == pytest.approx(0.006, rel=0.1)
    assert beside.sd == pytest.approx(0.008 / math.sqrt(12), rel=0.2)


def test_what_was_never_seen_is_not_guessed() -> None:
    model = LatencyModel()
    assert model.predict(Work(1e9)).sd == math.inf
    for n in range(1, 30):
        model.update(Work(n * 1e9, n * 1e6), None, 0.001 * n)
    assert model.predict(Work(50e9, 50e6)).sd < 1
    assert model.predict(Work(5e9, 80e6)).sd == math.inf  # operations and bytes were always of one ratio
    assert model.predict(Work(5e9, 5e6), Work(1e9)).sd == math.inf
    admission = Admission(model)
    assert not admission.admit(Work(1e9), Work(5e9, 5e6), 1e9)
    assert admission.reason == "nothing like it was seen yet"


@given(st.floats(0.3, 3), st.floats(0.3, 3))
def test_clocks_scale_operations_and_bytes(clock: float, memory: float) -> None:
    model = LatencyModel(fade=1.0)
    rng = np.random.default_rng(5)
    for _ in range(50):
        request = Work(*(rng.uniform(0.1, 1, 2) * (1e9, 1e7)))
        model.update(request, None, 1e-3 + 3e-12 * request.flops + 4e-10 * request.bytes)
    told = model.predict(Work(1e9, 1e7), clock=clock, memory_clock=memory)
    assert told.seconds == pytest.approx(1e-3 + 3e-3 / clock + 4e-3 / memory, rel=1e-5)


def test_a_machine_that_becomes_slower_is_learned_anew() -> None:
    model = LatencyModel(fade=0.98)
    for number in range(800):
        model.update(Work(1e9), None, 0.002 if number < 400 else 0.003)
    assert model.predict(Work(1e9)).seconds == pytest.approx(0.003, rel=0.01)


@given(st.lists(st.tuples(amounts, amounts, st.booleans(), st.floats(1e-6, 1e3)), max_size=30))
def test_whatever_was_seen_predictions_are_numbers(seen: list[tuple[float, float, bool, float]]) -> None:
    model = LatencyModel()
    for flops, bytes_, beside, seconds in seen:
        model.update(Work(flops, bytes_), Work(bytes_, flops) if beside else None, seconds)
    for beside in (None, Work(1e9, 1e9)):
        told = model.predict(Work(1e9, 1e9), beside)
        assert told.seconds >= 0
        assert told.sd >= 0


def test_bad_arguments() -> None:
    model = LatencyModel()
    with pytest.raises(ValueError, match="flops: -1"):
        Work(-1)
    with pytest.raises(ValueError, match="bytes: nan"):
        Work(1, math.nan)
    for seconds in (0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"seconds: {seconds}"):
            model.update(Work(1), None, seconds)
    with pytest.raises(ValueError, match="memory_clock: 0"):
        model.predict(Work(1), memory_clock=0)
    with pytest.raises(ValueError, match="fade: 0"):
        LatencyModel(fade=0)
    with pytest.raises(ValueError, match="slo_s: 0"):
        Admission(model).admit(Work(1), Work(1), 0)
    with pytest.raises(ValueError, match="z: -1"):
        Admission(model, z=-1)
    with pytest.raises(ValueError, match="no job runs"):
        Admission(model).completed()


def ready() -> Admission:
    model = LatencyModel()
    for _ in range(40):
        model.update(Work(1e9), None, 0.002)
        model.update(Work(1e9), Work(8e9), 0.010)
    return Admission(model)


def test_of_many_threads_one_is_let_in_at_a_time() -> None:
    admission, let_in, together = ready(), [], threading.Barrier(8)

    def ask() -> None:
        together.wait()
        let_in.append(admission.admit(Work(8e9), Work(1e9), 1.0))

    for _ in range(20):
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(let_in) == 1
        assert admission.running
        let_in.clear()
        admission.completed()


def test_a_higher_limit_never_keeps_out_what_a_lower_one_lets_in() -> None:
    admission = ready()
    decided = []
    for limit in np.linspace(0.001, 0.1, 100):
        decided.append(admission.admit(Work(8e9), Work(1e9), float(limit)))
        if decided[-1]:
            admission.completed()
    assert decided == sorted(decided)
    assert (decided[0], decided[-1]) == (False, True)


@pytest.mark.parametrize("careless", [False, True])
def test_a_stream_keeps_its_limits_on_a_clock_of_its_own(careless: bool) -> None:
    """60 s: no job under the low limit, one after the other under the high one, and both limits are kept."""
    clock, rng = Clock(), np.random.default_rng(7)
    requests = [Pretended(clock.sleep, rng, seconds) for seconds in (0.001, 0.004, 0.002)]
    steps = [Pretended(clock.sleep, rng, seconds) for seconds in (0.004, 0.010)]
    station = Station(LatencyModel(), clock, clock.sleep)
    found = stream(station, rng, requests, steps, half=30, calibration=12, gap=0.025, careless=careless)
    assert found.p95(second=True) <= found.high
    assert found.jobs(second=True) > 100
    if careless:
        assert found.jobs(second=False) > 100
        assert found.p95(second=False) > found.low
    else:
        assert found.jobs(second=False) == 0
        assert found.p95(second=False) <= found.low
        assert found.idle() < 0.005


class OwnTime:
    """What this thread computes, and sleeps without sleeping: what else the machine does is left out."""

    slept = 0.0

    def __call__(self) -> float:
        return time.thread_time() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def real(half: float, calibration: float) -> dict[str, float]:
    """The same with real products of matrices."""
    clock, rng = OwnTime(), np.random.default_rng(8)
    requests = [Products(rows, 256, 8) for rows in (16, 64, 32)]
    steps = [Products(rows, 512, 8) for rows in (64, 192)]
    station = Station(LatencyModel(), clock, clock.sleep)
    found = stream(station, rng, requests, steps, half=half, calibration=calibration, gap=0.02)
    return {
        "first": found.jobs(second=False),
        "second": found.jobs(second=True),
        "kept": found.p95(second=False) <= found.low and found.p95(second=True) <= found.high,
    }


def test_a_stream_of_real_work_lets_jobs_in_under_the_high_limit_alone() -> None:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    code = "import json; from tests.throttle.test_admission import real; print(json.dumps(real(1.0, 3.0)))"
    command, root = [sys.executable, "-c", code], Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, env=os.environ | threads, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["first"], told["kept"]) == (0, True)
    assert told["second"] >= 2
