"""Counters that lie, a device that drifts, and fine-tuning beside requests.

counters: broken counters of energy, on a made sysfs tree and a made library of a card: totals that go back, jump, stand
still, hold no number or can't be read, a card that is lost at each of 20 calls; how many were taken for joules that
nobody spent. Wraps: the largest error of joules over 1,000 ways of reading a counter that wraps.
drift: the real V100's best setting, read with noise of 2 %. Its latency becomes 1.3 times as long at reading 30:
readings until the alarm, the most of 200 seeds. Steady for 10,000 readings: false alarms, the most of 20 seeds.
watch: CPU time of reading two packages' counters and a file of metrics, and of the text for Prometheus.
admission: a minute of real requests (products of matrices) on one processor that also does fine-tuning steps, a low
limit for 30 s and a high one for 30 s, both chosen from a calibration before: jobs let in, the longest wait between
two, 95th percentiles over the limits.

--planted has a counter that believes what it reads, noise that is given ten times too large, and lets every job in.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402
from tests.device.machine import nvml, put, rapl  # noqa: E402
from tests.throttle.interleaved import Products, Station, stream  # noqa: E402
from tests.throttle.test_drift import Switching, best_of_a_card  # noqa: E402

from thrifty.device import Meter  # noqa: E402
from thrifty.device.counters import Raw  # noqa: E402
from thrifty.errors import CounterFault  # noqa: E402
from thrifty.throttle import LatencyModel, Watcher  # noqa: E402
from thrifty.throttle.live import Live  # noqa: E402
from thrifty.throttle.prometheus import prometheus  # noqa: E402

goal = Goal(__file__, __doc__, ("scipy",))
rng = np.random.default_rng(goal.seed)


class Believing(Raw):
    """A counter that takes the difference of what it reads for joules."""

    def joules(self) -> float:
        return self._read() - self._last


def broken(folder: Path) -> int:
    """How many of the ways of a package to lie were taken for joules."""
    believed = 0
    for told in ("999999", "99000000000", "5000000", "-1", "nan", "", "1e9", "x" * 5000, None):
        energy = rapl(folder, energy=5_000_000)
        with Meter("rapl", root=folder) as meter:
            try:
                before = meter.read()
                for _ in range(4):
                    if told is None:
                        energy.unlink()
                    else:
                        energy.write_text(told)
                    # What does not move is known only after a while.
                    time.sleep(0.7 if told == "5000000" else 0)
                    after = meter.read()
                assert after.joules is not None
                assert before.joules is not None
                believed += 1
            except CounterFault:
                continue
    return believed


def lost(folder: Path) -> int:
    """How many readings of a card that is lost at call k were taken for joules."""
    library, file = nvml(folder), folder / "told"
    os.environ["FAKE_NVML"] = str(file)
    believed = 0
    for k in range(1, 21):
        put(folder, "told", "1000000 250000 61 0")
        with Meter("nvml", library=str(library)) as meter:
            try:
                for call in range(25):
                    code = 15 if call >= k else 0
                    put(folder, "told", f"{1_000_000 + call * 100} 250000 61 {code}")
                    meter.read()
                    assert call < k
                believed += 1
            except CounterFault:
                continue
            except AssertionError:
                believed += 1
    return believed


def wrapping() -> float:
    """The largest relative error of joules of counters that wrap, read at random times."""
    worst, wraps = 0.0, 262_143.328850
    for _ in range(1_000):
        seconds = np.cumsum(rng.uniform(0.1, 60, 100))
        spent = np.cumsum(np.diff(seconds, prepend=0) * rng.uniform(1, 800, 100))
        begin = rng.uniform(0, wraps)
        told = iter(np.r_[begin, (begin + spent) % wraps].tolist())
        clock = iter(np.r_[0, seconds].tolist())
        counter = (Believing if goal.planted else Raw)("package", lambda: next(told), wraps, lambda: next(clock))  # noqa: B023
        for _ in spent:
            found = counter.joules()
        worst = max(worst, abs(found / spent[-1] - 1))
    return worst


with tempfile.TemporaryDirectory() as temporary:
    here = Path(temporary)
    if goal.wants("counters"):
        if goal.planted:
            Raw.joules = Believing.joules  # type: ignore[method-assign]
        what = "ways of a package's counter to lie that were taken for joules"
        goal.row("counters/lies", what, "== 0", broken(here / "sys"))
        goal.row("counters/lost", "lost cards, at call 1 to 20, that were taken for joules", "== 0", lost(here))
        goal.row("counters/wraps", "largest relative error of joules of counters that wrap", "<= 1e-9", wrapping())
    if goal.wants("watch"):
        put(here, "prom", "latency_s 0.05\nrequests 3\n")
        energy, total = rapl(here / "sys", energy=1), 1
        files = [energy, Path(str(energy).replace("intel-rapl:0", "intel-rapl:1"))]
        with Meter("rapl", root=here / "sys") as meter:
            watcher = Watcher({"latency_s": 0.05}, Live(meter, here / "prom"))
            spent = 0.0
            for _ in range(200):
                total += 50_000
                for file in files:
                    file.write_text(str(total))
                begun = time.thread_time()
                watcher.step()
                prometheus(watcher)
                spent += time.thread_time() - begun
        what = "CPU time of a reading, over the second between two"
        goal.row("watch/cpu", what, "<= 1e-3", spent / 200)

if goal.wants("drift"):
    measured, limit = best_of_a_card()
    sd, delays = 0.2 if goal.planted else 0.02, []
    for seed in range(200):
        device = Switching(np.random.default_rng([goal.seed, seed]), measured, at=30)
        watcher = Watcher(measured, device, sd=sd, constraints=[limit])
        while watcher.step() in {"ok", "over"} and watcher.readings < 200:
            pass
        # An alarm before anything moved is as bad as one that comes late.
        delays.append(watcher.readings - 30 if watcher.readings > 30 else 200)
    goal.row("drift/delay", "readings until the alarm, the most of 200 seeds", "<= 10", max(delays))
    alarms = []
    for seed in range(20):
        watcher = Watcher(measured, Switching(np.random.default_rng([goal.seed, 1, seed]), measured))
        for _ in range(10_000):
            watcher.step()
        alarms.append(watcher.alarms)
    what = f"false alarms in 10,000 readings, the most of 20 seeds ({sum(alarms)} in all)"
    goal.row("drift/false", what, "<= 1", max(alarms))

if goal.wants("admission"):
    requests = [Products(rows, 256, 8) for rows in (16, 64, 32)]
    steps = [Products(rows, 512, 8) for rows in (64, 384)]
    station = Station(LatencyModel())
    found = stream(station, rng, requests, steps, half=30, calibration=20, gap=0.04, careless=goal.planted)
    times = f"low limit {1e3 * found.low:.2g} ms, high {1e3 * found.high:.2g} ms, {len(found.log.at)} requests"
    goal.row("admission/low", f"jobs let in under the low limit; {times}", "== 0", found.jobs(second=False))
    goal.row("admission/high", "jobs let in under the high limit", ">= 10", found.jobs(second=True))
    goal.row("admission/idle", "longest time between two jobs, which follow each other", "<= 0.05", found.idle(), "s")
    for name, second, upper in (("low", False, found.low), ("high", True, found.high)):
        what = f"95th percentile of requests over the {name} limit"
        goal.row(f"admission/p95-{name}", what, "<= 1", found.p95(second) / upper)
goal.end()
