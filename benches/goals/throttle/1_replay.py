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

import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.throttle import Constraint, Replay, Tuner  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

goal = Goal(__file__, __doc__)
SEEDS, MOST = 20, 60
LIMITS = {"batch_latency": "batch_latency_s", "throughput": "time_per_epoch_s"}


class Problem:
    """A table, an objective, a limit, and the optimum that somebody else counted."""

    def __init__(self, replay: Replay, objective: str, limit: Constraint, optimum: float) -> None:
        self.replay, self.objective, self.limit, self.optimum = replay, objective, limit, optimum
        found = replay.measure(replay.best(objective, [limit]))[objective]
        assert abs(found / optimum - 1) < 1e-9, f"the optimum is {found}, not {optimum}"

    def search(self, seed: int) -> tuple[Tuner, int]:
        """A tuner that was told settings until one was good enough, and how often it asked for one that was told."""
        tuner = Tuner(self.replay.space, self.objective, [self.limit], seed=seed)
        rng, again, seen = np.random.default_rng(seed), 0, set()
        while len(tuner) < MOST:
            setting = tuner.ask()
            if goal.planted:
                setting = self.replay.space.setting(int(rng.integers(len(self.replay.space))))
            assert setting is not None
            again += tuple(setting.values()) in seen
            seen.add(tuple(setting.values()))
            # A setting that is not in the table is an error here.
            tuner.tell(setting, self.replay.measure(setting))
            if tuner.best and tuner.best.measured[self.objective] <= 1.01 * self.optimum:
                break
        return tuner, again


def zeus(folder: Path, names: dict[str, str] | None = None, scale: float = 1.0, turned: bool = False) -> list[Problem]:
    """The problems, in a table whose knobs have other names, units and another order."""
    names = names or {"batch": "batch", "power_limit_w": "power_limit_w"}
    lines = list(csv.DictReader((goal.data("polythrottle/zeus") / "zeus_batch_x_powerlimit.csv").open()))
    for line in lines:
        line["batch_latency_s"] = repr(float(line["time_per_epoch_s"]) * int(line["batch"]))
        for name, other in names.items():
            line[other] = repr(float(line[name]) * scale)
    path = folder / "zeus.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, lines[0].keys())
        table.writeheader()
        table.writerows(lines)
    found = []
    for task in json.loads((goal.data("polythrottle/zeus") / "tasks.json").read_text()):
        column = LIMITS[task["constraint"]]
        knobs = list(names.values())[:: -1 if turned else 1]
        replay = Replay(
            path,
            knobs,
            ["energy_per_epoch_j", column],
            where={"gpu": task["gpu"], "job": task["job"]},
            default={names[name]: value * scale for name, value in task["default"].items()},
        )
        # Limits were computed in another order of products than the column.
        limit = Constraint(column, task["slo"] * (1 + 1e-12))
        found.append(Problem(replay, "energy_per_epoch_j", limit, task["optimum_energy_j"]))
    return found


def mlenergy() -> Iterator[Problem]:
    """Problems of serving."""
    folder = goal.data("polythrottle/mlenergy_v2")
    for task in json.loads((folder / "tasks.json").read_text()):
        replay = Replay(
            folder / "llm.csv",
            ["tp", "pp", "max_batch"],
            ["energy_per_token_j", "tpot_s"],
            where={name: task[name] for name in ("task", "model", "gpu")},
            default=task["fastest"],
        )
        limit = Constraint("tpot_s", task["slo_tpot_s"] * (1 + 1e-12))
        yield Problem(replay, "energy_per_token_j", limit, task["optimum_energy_per_token_j"])


def counted(problems: list[Problem]) -> dict[str, Any]:
    """Medians over seeds, of every problem; the most; and what must not happen."""
    runs = [[problem.search(seed) for seed in range(SEEDS)] for problem in problems]
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
    here = Path(temporary)
    problems = zeus(here)
    first = counted(problems) if goal.wants("zeus") or goal.wants("others") or goal.wants("permuted") else {}
    if goal.wants("zeus"):
        rows("zeus", "32 problems of Zeus, 20 seeds", first, 15)
        goal.row("zeus/again", "32 problems of Zeus: settings asked for twice or absent", "== 0", first["again"])
        second = counted(problems)["asked"]
        other = sum(a != b for xs, ys in zip(first["asked"], second, strict=True) for a, b in zip(xs, ys, strict=True))
        goal.row("zeus/same", "searches of one seed that a second run does not repeat", "== 0", other)
    if goal.wants("others"):
        tasks = json.loads((goal.data("polythrottle/zeus") / "tasks.json").read_text())
        away = np.array([task["gpu"] != "v100" for task in tasks])
        part = {"evaluations": first["evaluations"][away], "violations": first["violations"][away]}
        rows("others", f"{away.sum()} of them, on cards that no prior was chosen on", part, None)
    if goal.wants("permuted"):
        changed = counted(zeus(here, {"batch": "zulu", "power_limit_w": "alpha"}, 1e-3, turned=True))
        most = np.abs(changed["evaluations"] - first["evaluations"]).max()
        goal.row("permuted/change", "names, units and order of knobs changed: largest change of a median", "<= 1", most)
    if goal.wants("mlenergy"):
        found = counted(list(mlenergy()))
        what = "37 problems of ML.ENERGY, 20 seeds: evaluations to within 1 %, median"
        goal.row("mlenergy/median", what, "<= 5", np.median(found["evaluations"]))
        goal.row(
            "mlenergy/again", "37 problems of ML.ENERGY: settings asked for twice or absent", "== 0", found["again"]
        )
goal.end()
