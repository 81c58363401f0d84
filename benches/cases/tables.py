"""Tables of real devices as problems: settings, an objective, a limit, and the optimum that somebody else counted."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thrifty.throttle import Constraint, Replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = {"batch_latency": "batch_latency_s", "throughput": "time_per_epoch_s"}
NAMES = {"batch": "batch", "power_limit_w": "power_limit_w"}


@dataclass
class Problem:
    """A table, an objective, a limit and the optimum."""

    name: str
    device: str
    job: str
    replay: Replay
    objective: str
    limit: Constraint
    optimum: float

    def __post_init__(self) -> None:
        found = self.replay.measure(self.replay.best(self.objective, [self.limit]))[self.objective]
        assert abs(found / self.optimum - 1) < 1e-9, f"{self.name}: the optimum is {found}, not {self.optimum}"

    def found(self, objective: float) -> bool:
        """Whether a setting that keeps the limit is within 1 % of the optimum."""
        return objective <= 1.01 * self.optimum


def zeus(
    data: Path, folder: Path, names: dict[str, str] | None = None, scale: float = 1.0, turned: bool = False
) -> list[Problem]:
    """The 32 problems of zeus/tasks.json, in a table whose knobs may have other names, units and another order.

    A limit on the latency of a batch is one on time_per_epoch_s x batch, a column that is written here.
    """
    names = names or NAMES
    lines = list(csv.DictReader((data / "zeus_batch_x_powerlimit.csv").open()))
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
    for task in json.loads((data / "tasks.json").read_text()):
        column = LIMITS[task["constraint"]]
        replay = Replay(
            path,
            list(names.values())[:: -1 if turned else 1],
            ["energy_per_epoch_j", column],
            where={"gpu": task["gpu"], "job": task["job"]},
            default={names[name]: value * scale for name, value in task["default"].items()},
        )
        # Limits were computed in another order of products than the column.
        limit = Constraint(column, task["slo"] * (1 + 1e-12))
        name = f"{task['gpu']} {task['job']} {task['constraint']}"
        job = f"{task['job']} {task['constraint']}"
        found.append(Problem(name, task["gpu"], job, replay, "energy_per_epoch_j", limit, task["optimum_energy_j"]))
    return found


def mlenergy(data: Path) -> Iterator[Problem]:
    """The 37 problems of mlenergy_v2/tasks.json: serving, settings of 5 to 13 that are no full grid."""
    for task in json.loads((data / "tasks.json").read_text()):
        where = {name: task[name] for name in ("task", "model", "gpu")}
        knobs, measured = ["tp", "pp", "max_batch"], ["energy_per_token_j", "tpot_s"]
        replay = Replay(data / "llm.csv", knobs, measured, where=where, default=task["fastest"])
        limit = Constraint("tpot_s", task["slo_tpot_s"] * (1 + 1e-12))
        name, optimum = " ".join(where.values()), task["optimum_energy_per_token_j"]
        yield Problem(name, task["gpu"], task["model"], replay, "energy_per_token_j", limit, optimum)
