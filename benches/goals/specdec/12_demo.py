"""The demo's part specdec, run as people run it, without torch and tokenizers.

demo: exit status, seconds, and what its results.json says: the share of first drafts that are accepted, which must be
one of models that differ, and that of later places; ids a verification; texts that drafts change under the seed-exact
rule. told: ids a second with drafts always and with as many as pay, over plain decoding of the same run; where drafts
lose, whether the section says so, and whether it has the planner's reason.

``--planted``: the model that drafts is the one that verifies, in a copy of the package's folder: all is accepted.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import demos
from rows import Goal


def demo(goal: Goal, house: Path) -> None:
    """Run the copy in ``house``, and judge what it says."""
    data = demos.copied(house)
    if goal.planted:
        shutil.copy(data / "model.safetensors", data / "small.safetensors")
    begun = time.perf_counter()
    done = demos.demo("specdec", house)
    seconds = time.perf_counter() - begun
    sys.stderr.write(done.stderr)
    goal.row("demo/status", "exit status of the demo without torch and tokenizers", "== 0", done.returncode)
    if done.returncode:
        return
    goal.row("demo/seconds", "from start to end", "<= 20", seconds, "s")
    (section,) = json.loads((house / "out" / "results.json").read_text())["sections"]
    records: dict[str, Any] = {r["id"].removeprefix("specdec."): r for r in section["records"]}
    first = records["acceptance"]["value"]
    goal.row("demo/acceptance", "share of first drafts that are accepted", "0.05..0.95", first, "share")
    places = list(records["positions"]["values"].values())
    goal.row("demo/places", "places of drafts whose acceptance is told", ">= 4", len(places))
    shown = ", ".join(f"{place:.3f}" for place in places)
    goal.row("demo/each", f"the largest share of a place ({shown})", "<= 0.95", max(places))
    ids = records["tokens_per_verify"]["value"]
    goal.row("demo/ids", "ids a verification", ">= 1", ids, "ids")
    goal.row("demo/same", "texts that drafts change, seed-exact rule", "== 0", records["differing"]["value"], "texts")
    fixed, chosen = records["fixed_rate"], records["chosen_rate"]
    what = f"as many as pay ({chosen['value']:.0f} ids/s) over plain decoding"
    goal.row("told/chosen", what, ">= 0.9", chosen["ratio"], "times")
    text = section["text"]
    says = ("drafts do not pay" in text) == (fixed["ratio"] <= 1) and ("drafts pay" in text) == (fixed["ratio"] > 1)
    what = f"whether the section says that drafts always ({fixed['value']:.0f} ids/s) "
    what += f"{'gain' if fixed['ratio'] > 1 else 'lose'} against plain decoding ({fixed['baseline']:.0f})"
    goal.row("told/verdict", what, "== 1", says)
    goal.row("told/reason", "whether it has the planner's reason", "== 1", "says of the last step: " in text)


def main() -> None:
    """Run what is wanted."""
    goal = Goal(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        demo(goal, Path(folder))
    goal.end()


if __name__ == "__main__":
    main()
