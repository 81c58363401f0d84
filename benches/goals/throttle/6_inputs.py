"""What a tuner makes of bad and odd input, of faults on the way, and of a device that changes.

inputs: spaces without knobs and of one setting, limits that nothing keeps and of infinity, measurements that are no
numbers, an objective that never changes, values out of order, 60 measurements of one setting: each as it should be.
million: seconds of processor time of a question over a million settings, the most of 12.
faults: a workload that runs out of memory, a record on a full disk, two searches on one record, a record cut at every
byte and with bytes flipped, a wall clock that is set back an hour: nothing that was measured is lost or told wrong.
retune: after a search, all latencies rise by 1.3 (32 problems of Zeus): evaluations to within 1 % of the new optimum,
from the setting that was best and with all evaluations as a prior, median and most over the problems that still have a
setting within the limit.

--planted tells a good number where it should be none, flips no byte, and tunes again from nothing.
"""

from __future__ import annotations

import errno
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from cases.tables import zeus  # noqa: E402
from thrifty.errors import Infeasible, JournalCorrupt, LockedError  # noqa: E402
from thrifty.throttle import Constraint, Knob, Space, Tuner, record  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__)
KNOBS = [Knob("clock", [1400, 600, 1000, 800, 1200]), Knob("batch", [16, 1, 4, 8, 2])]
RISE = 1.3


def work(setting: dict[str, Any]) -> dict[str, float]:
    """A workload."""
    seconds = 0.004 + 3.0 * setting["batch"] / setting["clock"]
    return {"energy_j": seconds * (20 + (setting["clock"] / 400) ** 3) / setting["batch"], "seconds": seconds}


def tuner(upper: float = 0.03, seed: int = 0) -> Tuner:
    """A tuner of it."""
    return Tuner(KNOBS, "energy_j", [Constraint("seconds", upper)], seed=seed)


def raises(kind: type[Exception], words: str, call: Callable[[], object]) -> bool:
    """Whether a call raises this, with these words in its message."""
    try:
        call()
    except kind as error:
        return words in str(error)
    except Exception:
        return False
    return False


def inputs() -> dict[str, bool]:
    """What is as it should be."""
    found = {
        "no knobs": raises(ValueError, "knobs: there are none", lambda: Tuner([], "e")),
        "no values": raises(ValueError, "knob a: it has no values", lambda: Knob("a", [])),
        "a value twice": raises(ValueError, "is there twice", lambda: Knob("a", [1, 1])),
        "no number": raises(ValueError, "is not finite", lambda: Knob("a", [1.0, math.nan])),
        "limit of 0": raises(ValueError, "must be above 0", lambda: Constraint("t", 0.0)),
        "nothing keeps it": raises(Infeasible, "the nearest is", lambda: tuner(1e-9).run(work)),
        "out of order": KNOBS[0].values == (600, 800, 1000, 1200, 1400),
    }
    one = Tuner([Knob("a", [3])], "e")
    setting = one.ask()
    one.tell(setting or {}, {"e": 1.0})
    found["one setting"] = setting == {"a": 3} and one.ask() is None
    free = tuner(math.inf)
    free.run(work)
    found["limit of infinity"] = free.best is not None and free.violations == 0
    flat = tuner()
    flat.run(lambda _: {"energy_j": 1.0, "seconds": 0.01})
    found["nothing changes"] = flat.best is not None
    many = tuner()
    for _ in range(60):
        many.tell({"clock": 800, "batch": 4}, work({"clock": 800, "batch": 4}))
    found["60 of one setting"] = many.ask() not in (None, {"clock": 800, "batch": 4})
    wrong = tuner()
    for value in (math.nan, math.inf, 0.0, -1.0):
        told = {"energy_j": 1.0 if goal.planted else value, "seconds": 1.0}

        def tell(told: dict[str, float] = told) -> None:
            wrong.tell(wrong.ask() or {}, told)

        found[f"measured {value}"] = raises(ValueError, "it must be finite and above 0", tell) and not len(wrong)
    return found


def million() -> float:
    """The longest question."""
    space = Space([Knob(name, [float(v) for v in np.geomspace(1, 50, 100)]) for name in "abc"])
    big, most = Tuner(space, "e", [Constraint("t", 30.0)]), 0.0
    for _ in range(12):
        begun = time.process_time()
        setting = big.ask()
        most = max(most, time.process_time() - begun)
        assert setting is not None
        a, b, c = (float(setting[name]) for name in "abc")
        big.tell(setting, {"e": 2 + abs(math.log(a / 7)) + math.log(b) + math.log(c), "t": 60 / a})
    return most


def faults(folder: Path) -> dict[str, bool]:
    """What is as it should be."""
    found = {}

    def small(setting: dict[str, Any]) -> dict[str, float]:
        if setting["batch"] > 4:
            raise MemoryError("no room")
        return work(setting)

    one = tuner(1.0)
    one.run(small)
    failed = {evaluation.setting["batch"] for evaluation in one.evaluations if evaluation.failed}
    found["out of memory"] = failed <= {8, 16} and one.best is not None and one.best.setting["batch"] == 4
    path = folder / "full"
    real, calls = os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    broken = tuner()
    with mock.patch("os.fsync", full):
        named = raises(OSError, str(path), lambda: broken.run(work, record=path))
    again = tuner()
    again.run(work, record=path)
    whole = tuner()
    whole.run(work)
    found["full disk"] = named and again.evaluations == whole.evaluations
    path = folder / "two"
    with record.Record(path, tuner()):
        found["two searches"] = raises(LockedError, "another search", lambda: tuner().run(work, record=path))
    path = folder / "cut"
    tuner().run(work, record=path, evaluations=4)
    data = path.read_bytes()
    good = True
    for cut in range(data.index(b"\n") + 1, len(data)):
        path.write_bytes(data[:cut])
        good &= len(record.read(path)[1]) == data[:cut].count(b"\n") - 1
    found["cut at every byte"] = good
    rng, seen = np.random.default_rng(1), 0
    places = rng.choice(len(data) - 1, 300, replace=False)
    for at in places:
        bad = bytearray(data)
        bad[at] ^= 0 if goal.planted else 1 << int(rng.integers(8))
        path.write_bytes(bytes(bad))
        seen += raises(JournalCorrupt, ", line ", lambda: record.read(path))
    found["flipped bytes"] = seen == len(places)
    with mock.patch("time.time", return_value=-3600.0):
        turned = tuner()
        found["clock set back"] = (
            "promised" in turned.run(work, seconds=1e4) and turned.evaluations == whole.evaluations
        )
    return found


def retune(folder: Path) -> list[int]:
    """Evaluations after the change, of each problem that has an answer still."""
    counts = []
    for problem in zeus(goal.data("polythrottle/zeus"), folder):
        rows = problem.replay.rows()
        limit, name = problem.limit, problem.limit.name
        slower = {tuple(s.values()): {**m, name: RISE * m[name]} for s, m in rows}
        kept = [m[problem.objective] for m in slower.values() if m[name] <= limit.upper]
        if not kept:
            continue
        first = problem.replay.tune(problem.objective, [limit], evaluations=20)
        best = first.best
        assert best is not None
        knobs = [Knob(k.name, k.values, default=best.setting[k.name]) for k in problem.replay.space.knobs]
        space = Space(knobs, [setting for setting, _ in rows])
        before = None if goal.planted else [(e.setting, e.measured) for e in first.evaluations]
        second = Tuner(space, problem.objective, [limit], prior=before)
        while len(second) < 60 and not (second.best and second.best.measured[problem.objective] <= 1.01 * min(kept)):
            setting = second.ask()
            assert setting is not None
            second.tell(setting, slower[tuple(setting[k.name] for k in knobs)])
        counts.append(len(second))
    return counts


with tempfile.TemporaryDirectory() as temporary:
    if goal.wants("inputs"):
        found = inputs()
        bad = [name for name, good in found.items() if not good]
        goal.row(
            "inputs/wrong", f"of {len(found)} kinds of odd input, taken otherwise than said: {bad}", "== 0", len(bad)
        )
    if goal.wants("million"):
        goal.row("million/ask", "a question over a million settings, the most of 12", "<= 1", million(), "s")
    if goal.wants("faults"):
        found = faults(Path(temporary))
        bad = [name for name, good in found.items() if not good]
        goal.row("faults/wrong", f"of {len(found)} faults, not borne: {bad}", "== 0", len(bad))
    if goal.wants("retune"):
        counts = retune(Path(temporary))
        text = (
            f"latencies 1.3 times as long: evaluations to within 1 % again, {len(counts)} problems (most {max(counts)})"
        )
        goal.row("retune/median", f"{text}, median", "<= 6", float(np.median(counts)))
goal.end()
