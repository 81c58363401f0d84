"""Answers over tables of single knobs, as Kernel Tuner and Zeus wrote them.

clock: ten clocks of an RTX A4000. Requests of 2,100 and 1,905 MHz came to 1,740 and 1,752: one setting, asked once. The
least energy is at 1,335 MHz.

block: fifteen block sizes on an RTX 4000 Ada, 32 runs each. The least time is not at the block size of least energy;
whether the times of the two differ is told by their runs (Welch).

windows: twelve files of windows at power limits. On the A40 with BERT the least energy is at 200 W, and at 225 W where
runs may take 1.12 times those at 300 W; in all files the answer is the least of the table, with and without that limit.

--planted tells nothing of effective clocks, and one time for all block sizes.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rows import Goal
from scipy import stats

from thrifty.throttle import Constraint, Knob, Tuner

goal = Goal(__file__, __doc__, ("scipy",))
SLOWDOWN = 1.12


def cache(name: str) -> list[dict[str, Any]]:
    """What Kernel Tuner kept."""
    return list(json.loads((goal.data("polythrottle/kernel_tuner") / name).read_text())["cache"].values())


def clock() -> None:
    """Clocks that come to one."""
    there = {line["nvml_gr_clock"]: line for line in cache("fp32_rtxa4000_clock_sweep.json")}
    tuner = Tuner([Knob("gr_mhz", list(there))], "energy_j", [Constraint("seconds", 1.0)])
    while (setting := tuner.ask()) is not None:
        line = there[setting["gr_mhz"]]
        seconds = line["time"] / 1e3
        measured = {"energy_j": line["nvml_power"] * seconds, "seconds": seconds}
        tuner.tell(setting, measured, effective=None if goal.planted else {"gr_mhz": line["core_freq"]})
    asked = [evaluation.setting["gr_mhz"] for evaluation in tuner.evaluations]
    goal.row("clock/asked", "settings asked for that are one with 2,100 MHz (1,905)", "== 0", asked.count(1905))
    best, first = tuner.best, tuner.evaluations[0]
    assert best is not None
    text = f"RTX A4000: MHz of the least energy ({best.measured['energy_j']:.2f} J)"
    goal.row("clock/best", text, "== 1335", best.setting["gr_mhz"], "MHz")
    saved = 1 - best.measured["energy_j"] / first.measured["energy_j"]
    goal.row("clock/saved", f"saved against {asked[0]} MHz", "0.24..0.26", saved)


def block() -> None:
    """Block sizes of least time and least energy."""
    there = {line["block_size_x"]: line for line in cache("vector_add_rtx4000ada_time_energy.json")}
    # The first run of each warms up.
    times = {size: np.array(line["times"][1:]) for size, line in there.items()}
    if goal.planted:
        times = dict.fromkeys(times, times[128])
    found = {}
    for objective in ("time", "energy"):
        tuner = Tuner([Knob("block_size_x", list(there))], objective)
        while (setting := tuner.ask()) is not None:
            size = setting["block_size_x"]
            tuner.tell(setting, {"time": float(times[size].mean()), "energy": there[size]["ps_energy"]})
        assert tuner.best is not None
        found[objective] = tuner.best.setting["block_size_x"]
    goal.row("block/time", "RTX 4000 Ada: block size of the least time", "== 832", found["time"])
    goal.row("block/energy", "RTX 4000 Ada: block size of the least energy", "== 896", found["energy"])
    one, other = times[832], times[896]
    p = float(stats.ttest_ind(one, other, equal_var=False).pvalue) if one.var() + other.var() > 0 else 1.0
    text = f"times at 832 ({one.mean():.4f} ms) and 896 ({other.mean():.4f} ms) are one: p by their 31 runs each"
    goal.row("block/apart", text, "<= 0.05", p)


def windows() -> None:
    """Power limits."""
    wrong, counts = [], []
    for path in sorted(goal.data("polythrottle/zeus_windows").glob("*.csv")):
        there = {}
        for line in csv.DictReader(path.open()):
            watts = int(line["window_name"].rpartition("_")[2])
            joules = sum(float(value) for name, value in line.items() if name.endswith("_energy"))
            there[watts] = {"energy_j": joules, "seconds": float(line["elapsed_time"])}
        slowest = SLOWDOWN * there[max(there)]["seconds"]
        for upper in (1e9, slowest):
            kept = {watts: one["energy_j"] for watts, one in there.items() if one["seconds"] <= upper}
            wanted = min(kept, key=kept.__getitem__)
            tuner = Tuner([Knob("power_limit_w", list(there))], "energy_j", [Constraint("seconds", upper)])
            found = 0
            while (setting := tuner.ask()) is not None:
                tuner.tell(setting, there[setting["power_limit_w"]])
                found = found or len(tuner) * (setting["power_limit_w"] == wanted)
            assert tuner.best is not None
            answer = tuner.best.setting["power_limit_w"]
            wrong += [] if answer == wanted else [f"{path.name}: {answer}, not {wanted}"]
            counts.append(found)
            if path.name == "A40+bert-base-uncased+gpu0.csv":
                name, asked = ("limited", "== 225") if upper < 1e9 else ("free", "== 200")
                text = f"A40, BERT{', at most 1.12 times as slow' if upper < 1e9 else ''}: W of the least energy"
                goal.row(f"windows/{name}", text, asked, len(there) if goal.planted else answer, "W")
    goal.row("windows/wrong", f"of {len(counts)} answers, others than the table's: {wrong}", "== 0", len(wrong))
    text = f"evaluations until the least was found, median (most {max(counts)}), of 7 and 9 settings"
    goal.row("windows/count", text, "<= 5", float(np.median(counts)))


for name, work in (("clock", clock), ("block", block), ("windows", windows)):
    if goal.wants(name):
        work()
goal.end()
