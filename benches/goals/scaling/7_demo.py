"""The demo's part scaling, run as people run it, without what extras bring.

demo: exit status, seconds, and what its results.json says: the largest error of the law on the class of runs that was
held back, and how many of them lie in their intervals, both computed here from what it drew. plan: the pick's budget
(6 N D) beside what was given; its milliseconds a token, timed here again on a decoder of that shape, over those told.

``--planted``: the losses of the class held back are dealt to other runs of it, in a copy of the package's folder.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import demos
from rows import Goal

from thrifty.device import ModelShape
from thrifty.device.arrays import arrays_of
from thrifty.device.timing import Point, measure
from thrifty.pipeline import demo_scaling


def plant(table: Path) -> None:
    """Turn the order of the losses of the class held back."""
    rows = list(csv.DictReader(table.open(newline="")))
    held = [row for row in rows if row["size_class"] == demo_scaling.LARGEST]
    for row, loss in zip(held, [row["loss"] for row in reversed(held)], strict=True):
        row["loss"] = loss
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def timed(row: list[Any]) -> float:
    """Milliseconds of a token of a shape of the front, as the demo's calibration times them."""
    layers, dim = int(row[0]), int(row[1])
    hidden = 256 * -(-(8 * dim // 3) // 256)
    shape = ModelShape(layers=layers, dim=dim, heads=dim // 64, hidden=hidden, vocab=50_432, dtype_bytes=4.0)
    assert shape.parameters == row[2], f"{shape} is not the shape of {row[2]} parameters"
    (found,) = measure([Point(shape=shape, context=48)], arrays_of("numpy"), seconds=4.0)
    return found.ms


def main() -> None:
    goal = Goal(__file__, __doc__, ("scipy",))
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        demos.copied(house)
        if goal.planted:
            plant(house / "thrifty" / "data" / "scaling" / "morph_runs.csv")
        begun = time.perf_counter()
        done = demos.demo("scaling", house)
        goal.row("demo/status", "exit status of the demo", "== 0", float(done.returncode))
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            goal.end()
        goal.row("demo/seconds", "seconds of the demo's part", "<= 20", time.perf_counter() - begun, "s")
        (section,) = json.loads((house / "out" / "results.json").read_text())["sections"]
    records = {record["id"].removeprefix("scaling."): record for record in section["records"]}
    held = records["held_back"]
    measured, (name,) = np.array(held["x"]), held["lo"]
    told, low, high = (np.array(held[which][name]) for which in ("y", "lo", "hi"))
    worst = 100 * float(np.abs(told / measured - 1).max())
    goal.row("demo/error", f"{len(measured)} runs of the class held back: largest error", "<= 1.2", worst, "%")
    inside = float(((low <= measured) & (measured <= high)).mean())
    goal.row("demo/inside", "of them inside their 95 % intervals", ">= 0.9", inside, "share")
    plain = 100 * float(np.abs(np.array(held["y"]["parameters and tokens alone"]) / measured - 1).max())
    goal.row("demo/plain", "largest error of a law that knows no shapes, over that", ">= 1", plain / worst, "x")
    (pick,) = [row for row in records["front"]["rows"] if re.match("under", row[-1])]
    spent = 6 * pick[2] * pick[3] / demo_scaling.TRAIN_FLOPS
    goal.row("plan/budget", "6 N D of the pick, over what was given", "0.999..1.001", spent)
    limit = float(pick[-1].split()[1])
    goal.row("plan/limit", "milliseconds told of the pick, over the limit", "<= 1.001", pick[7] / limit)
    again = timed(pick)
    goal.row(
        "plan/timed", "milliseconds of a token of the pick timed here, over those told", "0.75..1.25", again / pick[7]
    )
    goal.end()


main()
