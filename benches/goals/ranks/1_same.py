"""The same training on 1, 2 and 4 ranks: torchrun over loopback, ``deterministic=True``.

same: losses of eight epochs, with hash tables whose buckets are cut short, hashes of two families, exact scores,
softmax and sigmoid; the farthest loss from one rank's, relative. predictions: of the best five of 200 rows, those that
differ.

--planted lets messages be rounded to bf16.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
import numpy as np
from tests.slide.shard_program import Task, ran

HEAD: dict[str, Any] = {"k": 2, "tables": 20, "active": 200, "random": "uniform"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dwta": ({}, {}),
    "dwta, buckets cut short": ({"bucket": 4}, {}),
    "simhash, log Q": ({"family": "simhash", "k": None, "correction": "logq"}, {}),
    "exact": ({"family": "exact"}, {}),
    "sigmoid": ({}, {"loss": "sigmoid"}),
    "dense Adam": ({}, {"adam": "dense"}),
}


def main() -> None:
    """Rows of all cases."""
    goal = Goal(__file__, __doc__, ("torch",))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        for name, (head, network) in CASES.items():
            settings = {"deterministic": True, "seed": goal.seed, **network}
            if goal.planted:
                settings["messages"] = "bf16"
            task = Task(rows=2_000, labels=2_000, head=HEAD | head, network=settings, epochs=8)
            one, *others = (ran(task, ranks, out) for ranks in (1, 2, 4))
            losses = np.array(one["losses"])
            far = max(float(np.abs(np.array(other["losses"]) / losses - 1).max()) for other in others)
            goal.row(f"same/{name}", f"{name}: losses of 2 and 4 ranks from one's, the farthest", "<= 1e-5", far)
            differ = max(float(np.mean(np.array(other["ids"]) != np.array(one["ids"]))) for other in others)
            goal.row(f"predictions/{name}", f"{name}: share of 1,000 predicted labels that differ", "== 0", differ)
    goal.end()


if __name__ == "__main__":
    main()
