"""Measurements until a setting within 1 % of the optimum, over tables of real cards.

zeus: the 32 problems of zeus/tasks.json, batch size x power limit on three cards, where a limit on the latency of a
batch is one on time_per_epoch_s x batch, a column that this script adds. 20 seeds each: medians over seeds of
evaluations and of those that broke the limit on the way, then median and worst over problems; settings asked twice;
searches that a second run does not repeat.

others: the same problems of the two cards that no prior was chosen on.

permuted: the largest change of a problem's median where names, units and order of knobs change.

mlenergy: 37 problems of serving language models, settings of 5 to 13 that are no full grid, from the fastest on.

--planted draws settings at random instead of asking the tuner.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from cases.tables import Problem, mlenergy, zeus  # noqa: E402
from thrifty.throttle import Tuner  # noqa: E402

goal = Goal(__file__, __doc__)
SEEDS, MOST = 20, 60


def search(problem: Problem, seed: int) -> tuple[Tuner, int]:
    """A tuner that was told settings until one was good enough, and how often it asked for one that was told."""
    tuner = Tuner(problem.replay.space, problem.objective, [problem.limit], seed=seed)
    rng, again, seen = np.random.default_rng(seed), 0, set()
    while len(tuner) < MOST:
        setting = tuner.ask()
        if goal.planted:
            setting = problem.replay.space.setting(int(rng.integers(len(problem.replay.space))))
        assert setting is not None
        again += tuple(setting.values()) in seen
        seen.add(tuple(setting.values()))
        # A setting that is not in the table is an error here.
        tuner.tell(setting, problem.replay.measure(setting))
        if tuner.best and problem.found(tuner.best.measured[problem.objective]):
            break
    return tuner, again


def counted(problems: list[Problem]) -> dict[str, Any]:
    """Medians over seeds, of every problem; the most; and what must not happen."""
    runs = [[search(problem, seed) for seed in range(SEEDS)] for problem in problems]
    return {
        "evaluations": np.array([np.median([len(tuner) for tuner, _ in seeds]) for seeds in runs]),
        "violations": np.array([np.median([tuner.violations for tuner, _ in seeds]) for seeds in runs]),
        "most": max(len(tuner) for seeds in runs for tuner, _ in seeds),
        "again": sum(again for seeds in runs for _, again in seeds),
        "asked": [[[e.setting for e in tuner.evaluations] for tuner, _ in seeds] for seeds in runs],
    }


def rows(name: str, what: str, found: dict[str, Any], worst: int | None) -> None:
    """What a set of problems came to."""
    goal.row(f"{name}/median", f"{what}: evaluations to within 1 %, median", "<= 8", np.median(found["evaluations"]))
    if worst is not None:
        goal.row(f"{name}/worst", f"{what}: the worst problem's median", f"<= {worst}", found["evaluations"].max())
        goal.row(f"{name}/most", f"{what}: the most of any seed", "<= 40", found["most"])
    goal.row(f"{name}/broken", f"{what}: of them over the limit, median", "<= 2", np.median(found["violations"]))


with tempfile.TemporaryDirectory() as temporary:
    here, data = Path(temporary), goal.data("polythrottle/zeus")
    problems = zeus(data, here)
    first = counted(problems) if goal.wants("zeus") or goal.wants("others") or goal.wants("permuted") else {}
    if goal.wants("zeus"):
        rows("zeus", "32 problems of Zeus, 20 seeds", first, 15)
        goal.row("zeus/again", "32 problems of Zeus: settings asked for twice or absent", "== 0", first["again"])
        second = counted(problems)["asked"]
        other = sum(a != b for xs, ys in zip(first["asked"], second, strict=True) for a, b in zip(xs, ys, strict=True))
        goal.row("zeus/same", "searches of one seed that a second run does not repeat", "== 0", other)
    if goal.wants("others"):
        away = np.array([problem.device != "v100" for problem in problems])
        part = {"evaluations": first["evaluations"][away], "violations": first["violations"][away]}
        rows("others", f"{away.sum()} of them, on cards that no prior was chosen on", part, None)
    if goal.wants("permuted"):
        changed = counted(zeus(data, here, {"batch": "zulu", "power_limit_w": "alpha"}, 1e-3, turned=True))
        most = np.abs(changed["evaluations"] - first["evaluations"]).max()
        goal.row("permuted/change", "names, units and order of knobs changed: largest change of a median", "<= 1", most)
    if goal.wants("mlenergy"):
        found = counted(list(mlenergy(goal.data("polythrottle/mlenergy_v2"))))
        what = "37 problems of ML.ENERGY, 20 seeds: evaluations to within 1 %, median"
        goal.row("mlenergy/median", what, "<= 5", np.median(found["evaluations"]))
        goal.row(
            "mlenergy/again", "37 problems of ML.ENERGY: settings asked for twice or absent", "== 0", found["again"]
        )
goal.end()
