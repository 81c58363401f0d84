"""Evaluations to within 1 % of the optimum beside Optuna's TPE and GPSampler, BoTorch's LogCEI and chance, in one run.

peers: the 32 problems of Zeus, --seeds seeds each, at most 60 different settings a search. An evaluation is a setting
that was measured; one that a peer asks for again costs it nothing here and is counted apart. Energy is the sum over
what was measured, in runs of the optimum. A search that does not find it counts as 60.

time: milliseconds of processor time a suggestion: ours and LogCEI's with 12 to 30 points of 1,144, ours of 100,000
settings with 100 points.

--planted lets ours ask at random.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from cases.tables import Problem, zeus  # noqa: E402
from thrifty.throttle import Constraint, Knob, Space, Tuner  # noqa: E402

goal = Goal(__file__, __doc__, ("optuna", "botorch", "torch"), {"seeds": "5"})
MOST, FIRST = 60, 6
try:
    import botorch  # noqa: F401
    import optuna  # noqa: F401

    from peers.tuners import Chance, LogCEI, Optuna
except ImportError as error:
    raise goal.absent(f"a peer is not installed: {error}; pip install 'thrifty[bench]'") from None


class Ours:
    """The tuner, asked like a peer."""

    def __init__(self, space: Space, seed: int) -> None:
        self.tuner = Tuner(space, "e", [Constraint("t", 1.0)], seed=seed)

    def ask(self) -> int | None:
        setting = self.tuner.ask()
        return None if setting is None else self.tuner.space.index(setting)

    def tell(self, index: int, objective: float, excess: float) -> None:
        measured = {"e": float(np.exp(objective)), "t": float(np.exp(excess))}
        self.tuner.tell(self.tuner.space.setting(index), measured)


METHODS: dict[str, Any] = {
    "ours": (lambda space, seed: Chance(space, seed + 100)) if goal.planted else Ours,
    "logcei": LogCEI,
    "gp": lambda space, seed: Optuna(space, seed, "gp"),
    "tpe": lambda space, seed: Optuna(space, seed, "tpe"),
    "random": Chance,
}


def search(problem: Problem, make: Any, seed: int) -> dict[str, float]:
    """Evaluations, of them over the limit, energy, repeats and milliseconds a question until the optimum was found."""
    space, method = problem.replay.space, make(problem.replay.space, seed)
    seen: dict[int, tuple[float, float]] = {}
    broken = again = asked = 0
    spent = energy = 0.0
    while len(seen) < MOST and asked < 4 * MOST:
        start = time.process_time()
        index = method.ask()
        spent += time.process_time() - start
        if index is None:
            break
        asked += 1
        if index in seen:
            again += 1
        else:
            measured = problem.replay.measure(space.setting(index))
            objective = measured[problem.objective]
            seen[index] = float(np.log(objective)), float(np.log(measured[problem.limit.name] / problem.limit.upper))
            energy += objective / problem.optimum
            broken += seen[index][1] > 0
            if seen[index][1] <= 0 and problem.found(objective):
                return {"n": len(seen), "broken": broken, "energy": energy, "again": again, "ms": 1e3 * spent / asked}
        method.tell(index, *seen[index])
    return {"n": MOST, "broken": broken, "energy": energy, "again": again, "ms": 1e3 * spent / max(asked, 1)}


def peers(problems: list[Problem], seeds: int) -> None:
    """All methods take turns on each problem."""
    found: dict[str, list[list[dict[str, float]]]] = {name: [] for name in METHODS}
    for problem in problems:
        for name, make in METHODS.items():
            found[name].append([search(problem, make, seed) for seed in range(seeds)])
        print(
            problem.name, {name: np.median([run["n"] for run in runs[-1]]) for name, runs in found.items()}, flush=True
        )

    def of(name: str, key: str) -> Any:
        return np.array([np.median([run[key] for run in runs]) for runs in found[name]])

    what = f"32 problems of Zeus, {seeds} seeds"
    ours = of("ours", "n")
    for name, asked in (("tpe", 2.0), ("gp", 1.5), ("random", 2.0)):
        theirs = of(name, "n")
        text = f"{what}: median evaluations of {name} ({np.median(theirs):g}) over ours ({np.median(ours):g})"
        goal.row(f"peers/{name}", text, f">= {asked}", np.median(theirs) / np.median(ours), "times")
    theirs = of("logcei", "n")
    text = f"{what}: median evaluations of ours ({np.median(ours):g}) over LogCEI's ({np.median(theirs):g})"
    goal.row("peers/logcei", text, "<= 1", np.median(ours) / np.median(theirs), "times")
    worse = [(p.name, a, b) for p, a, b in zip(problems, ours, theirs, strict=True) if a > b]
    fewer = int((ours < theirs).sum())
    told = ", ".join(f"{name} {a:g} for {b:g}" for name, a, b in worse)
    text = f"{what}: tables where ours needs more than LogCEI (fewer in {fewer}): {told}"
    goal.row("peers/logcei worse", text, "== 0", len(worse))
    for name in METHODS:
        runs = [run for seeds_ in found[name] for run in seeds_]
        most = np.quantile([run["n"] for run in runs], 0.9)
        lost = sum(run["n"] >= MOST for run in runs)
        again, ms = np.mean([run["again"] for run in runs]), np.median([run["ms"] for run in runs])
        text = (
            f"{name}: p90 of evaluations; repeats a search {again:.1f}, not found {lost} of {len(runs)}, over the limit"
            f" {np.median(of(name, 'broken')):g}, energy {np.median(of(name, 'energy')):.1f} runs, {ms:.2f} ms each"
        )
        goal.row(f"peers/{name} p90", text, "<= 60", most)
    for name, asked in (("logcei", 1.1), ("tpe", 0.35)):
        text = f"energy of the search over that of {name}, median of the tables' ratios"
        goal.row(f"peers/energy {name}", text, f"<= {asked}", np.median(of("ours", "energy") / of(name, "energy")))


def grid(sizes: tuple[int, ...]) -> Space:
    """A space of so many values a knob."""
    return Space([Knob(f"k{i}", [float(v) for v in np.geomspace(1, 20, size)]) for i, size in enumerate(sizes)])


def suggestion(method: Any, space: Space, points: tuple[int, int]) -> float:
    """Median milliseconds of processor time a question, with so many points told, the first ones as they are asked."""
    rng = np.random.default_rng(3)
    drawn = rng.permutation(len(space))[: points[1]].tolist()
    times = []
    for i in range(points[1]):
        index = method.ask() if i < FIRST else drawn[i]
        x = space.x[index]
        method.tell(index, float(((x - 0.4) ** 2).sum() + 0.01 * rng.standard_normal()), float(0.5 - x.sum()))
        if i >= points[0]:
            start = time.process_time()
            method.ask()
            times.append(1e3 * (time.process_time() - start))
    return float(np.median(times))


def times() -> None:
    """Processor time of questions."""
    ours, theirs = [], []
    for _ in range(3):
        space = grid((8, 11, 13))
        ours.append(suggestion(Ours(space, 0), space, (12, 30)))
        theirs.append(suggestion(LogCEI(space, 0), space, (12, 30)))
    one, other = np.median(ours), np.median(theirs)
    goal.row("time/1144", "1,144 settings, 12 to 30 points: a suggestion", "<= 10", one, "ms")
    goal.row("time/logcei", f"the same: LogCEI's ({other:.0f} ms) over ours", ">= 20", other / one, "times")
    space = grid((40, 50, 50))
    goal.row("time/100000", "100,000 settings, 30 points", "<= 100", suggestion(Ours(space, 0), space, (25, 30)), "ms")
    most = suggestion(Ours(space, 0), space, (95, 100))
    goal.row("time/100000 100", "100,000 settings, 100 points", "<= 100", most, "ms")


if goal.wants("time"):
    times()
if goal.wants("peers"):
    with tempfile.TemporaryDirectory() as temporary:
        peers(zeus(goal.data("polythrottle/zeus"), Path(temporary)), int(goal.options["seeds"]))
goal.end()
