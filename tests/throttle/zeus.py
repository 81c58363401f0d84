"""The 32 problems of the tables of Zeus."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thrifty.throttle import Constraint, Knob, Space, Tuner

DATA = Path(__file__).resolve().parents[1] / "data" / "throttle"


@dataclass
class Problem:
    """Settings, what was measured of each, the default, and the least energy within the limit."""

    gpu: str
    name: str
    space: Space
    measured: list[dict[str, float]]
    limit: Constraint
    optimum: float
    answer: dict[str, Any]

    def search(self, seed: int, most: int = 60) -> Tuner:
        """A tuner that was told settings until one was within 1 % of the optimum."""
        tuner = Tuner(self.space, "energy", [self.limit], seed=seed)
        while len(tuner) < most:
            setting = tuner.ask()
            assert setting is not None
            tuner.tell(setting, self.measured[self.space.index(setting)])
            if tuner.best and tuner.best.measured["energy"] <= 1.01 * self.optimum:
                break
        return tuner


def problems() -> list[Problem]:
    lines = list(csv.DictReader((DATA / "zeus.csv").read_text().splitlines()))
    found = []
    for task in json.loads((DATA / "zeus_tasks.json").read_text()):
        here = [line for line in lines if (line["gpu"], line["job"]) == (task["gpu"], task["job"])]
        settings = [{"batch": int(line["batch"]), "power_limit_w": int(line["power_limit_w"])} for line in here]
        knobs = [Knob(name, sorted({s[name] for s in settings}), default=task["default"][name]) for name in settings[0]]
        times = 1 if task["constraint"] == "throughput" else None
        measured = [
            {
                "energy": float(line["energy_per_epoch_j"]),
                "time": float(line["time_per_epoch_s"]) * (times or int(line["batch"])),
            }
            for line in here
        ]
        name = f"{task['gpu']} {task['job']} {task['constraint']}"
        # Limits were computed in another order of products.
        limit = Constraint("time", task["slo"] * (1 + 1e-12))
        space = Space(knobs, settings)
        found.append(Problem(task["gpu"], name, space, measured, limit, task["optimum_energy_j"], task["optimum"]))
    return found
