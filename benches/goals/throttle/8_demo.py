"""The demo's part throttle, run as people run it, without torch and tokenizers.

demo: exit status and seconds. replayed: what it tells of a card's table, beside what the authors' own table gives: the
least energy within the limit, the default's; measurements until within 1 % of it, with another card's table known and
without, beside settings at random; settings asked for that are not in the table, or have other joules there. here:
settings that change an answer; whether what it says of a saving is what its interval says, and joules are told with
their counter alone.

``--planted``: joules of the demo's table are dealt anew among its settings, in a copy of the package's folder.
"""

from __future__ import annotations

import csv
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import demos
from rows import Goal

CARD, JOB = "a40", "squad/bert_base_uncased/adamw"


def plant(table: Path, seed: int) -> None:
    """Deal joules anew."""
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    joules = [line["energy_per_epoch_j"] for line in lines]
    random.Random(seed).shuffle(joules)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**line, "energy_per_epoch_j": joule} for line, joule in zip(lines, joules, strict=True))


def replayed(goal: Goal, records: dict[str, Any]) -> None:
    """Judge what is told of the table."""
    data = goal.data("polythrottle/zeus")
    (task,) = (
        task
        for task in json.loads((data / "tasks.json").read_text())
        if (task["gpu"], task["job"], task["constraint"]) == (CARD, JOB, "throughput")
    )
    with (data / "zeus_batch_x_powerlimit.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if (line["gpu"], line["job"]) == (CARD, JOB)]
    known = {
        (int(line["batch"]), int(line["power_limit_w"])): (
            float(line["energy_per_epoch_j"]) / 1e3,
            float(line["time_per_epoch_s"]),
        )
        for line in lines
    }
    kj, evaluations, warm = (records[f"replayed_{name}"] for name in ("kj", "evaluations", "warm"))
    over = kj["value"] / (task["optimum_energy_j"] / 1e3)
    goal.row("replayed/optimum", "energy found over the least within the limit, by the authors' table", "1..1.01", over)
    default = kj["baseline"] / (task["default_energy_j"] / 1e3)
    goal.row("replayed/default", "energy of the default over that of the authors' table", "0.999999..1.000001", default)
    saved = 100 * (1 - kj["value"] / kj["baseline"])
    goal.row(
        "replayed/saved", "replayed A40, BERT: joules saved against the default, within the limit", ">= 20", saved, "%"
    )
    what = f"measurements until within 1 %, median (at random {evaluations['baseline']:g})"
    goal.row("replayed/evaluations", what, "<= 10", evaluations["value"])
    what = "measurements of settings at random over those of a search"
    goal.row("replayed/random", what, ">= 1.5", evaluations["ratio"], "times")
    goal.row("replayed/warm", "measurements with another card's table known, median", "<= 6", warm["value"])
    asked = records["replayed_asked"]["rows"]
    rows = [known.get((batch, watts)) == (energy, seconds) for batch, watts, energy, seconds, _ in asked]
    what = f"of {len(rows)} settings asked for, those not in the authors' table or otherwise there"
    goal.row("replayed/absent", what, "== 0", rows.count(False))


def here(goal: Goal, text: str, records: dict[str, Any]) -> None:
    """Judge what is told of knobs of this machine."""
    goal.row("here/answers", "settings that change an answer", "== 0", records["different"]["value"])
    rows = records["measured"]["rows"]
    goal.row("here/measured", "settings measured", ">= 4", len(rows))
    goal.row("here/twice", "of them asked for twice", "== 0", len(rows) - len({tuple(row[:2]) for row in rows}))
    saved = records.get("saved")
    claims = "nothing is saved" not in text
    low = saved["interval"][0] if saved else 0.0
    what = f"whether it claims a saving as its interval does (from {low:.1f} % on)"
    goal.row("here/verdict", what, "== 1", claims == (low > 0))
    joules = "uJ" in json.dumps(records)
    what = f"whether the unit is that of what counted ({'joules' if joules else 'CPU-seconds'})"
    goal.row("here/unit", what, "== 1", joules == ("counted by: CPU-seconds" not in text))


def main() -> None:
    """Run what is wanted."""
    goal = Goal(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder)
        data = demos.copied(house).parent
        if goal.planted:
            plant(data / "throttle" / "bert_squad.csv", goal.seed)
        begun = time.perf_counter()
        done = demos.demo("throttle", house)
        seconds = time.perf_counter() - begun
        sys.stderr.write(done.stderr)
        goal.row("demo/status", "exit status of the demo without torch and tokenizers", "== 0", done.returncode)
        if done.returncode == 0:
            goal.row("demo/seconds", "from start to end", "<= 20", seconds, "s")
            (section,) = json.loads((house / "out" / "results.json").read_text())["sections"]
            records = {r["id"].removeprefix("throttle."): r for r in section["records"]}
            replayed(goal, records)
            here(goal, section["text"], records)
    goal.end()


if __name__ == "__main__":
    main()
