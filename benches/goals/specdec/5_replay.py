"""An hour of a conversation service (Azure, 19,366 requests) through the scheduler, on a simulated H100.

The device's times are fitted to measured steps of a 7B target and a 300M draft of six layers (CUDA graphs); sizes are
padded, times have 3 % of noise, and all takes 20 % longer from the middle on. The policies are told two numbers a model
and learn the rest. Requests are of three kinds of acceptance that nobody is told; three of ten change theirs half way.

exact/: all ids are emitted, no request is lost, no block is held at the end, at 1, 4 and 16 times the trace's speed and
with all requests waiting from the beginning, 10,000 of them running.
cost/: real seconds of planning and committing, policy and prefixes included.
policy/: our policy beside fixed lengths, a table by batch, tiers and a trim of verifications: milliseconds from arrival
to end where requests come by the clock, and until the last end where all wait.

--planted: the trace lacks its last line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

goal = Goal(__file__, __doc__, ("scipy",))
EMITTED, REQUESTS, HALF_MS = 4_088_665, 19_366, 1_750_000.0
SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768]


def device(speed: float) -> dict[str, Any]:
    """Times of a 7B target, summed of a step, its tokens and its caches; and of a pass of a draft."""
    measured = json.loads(goal.data("gpu/h100_latency_energy.json").read_text())
    steps = [row for name in ("target7B_verify", "target7B_batch") for row in measured[name]]
    tokens = np.array([row["B"] * row["T"] for row in steps], float)
    caches = np.array([row["B"] * row["S"] for row in steps], float)
    ms = np.array([row["graph_ms"] for row in steps])
    matrix = np.stack([np.ones_like(ms), np.minimum(tokens, 64), np.maximum(tokens - 64, 0), caches], 1)
    (alone, few, many, kv), _ = nnls(matrix / ms[:, None], np.ones_like(ms))
    draft = next(row["graph_ms"] for row in measured["draft300M"] if row["L"] == 6)
    return {
        "verify": [[n, alone + few * min(n, 64) + many * max(n - 64, 0)] for n in SIZES],
        # Its caches and its arithmetic grow with the batch as the target's do, a twentieth of them.
        "draft": [[1, draft], [64, draft + (few * 64) / 20], [16_384, draft + (few * 64 + many * 16_320) / 20]],
        "kv_ms": kv,
        "host_ms": 0.2,
        "noise": 0.03,
        "padded": True,
        "shift": [HALF_MS / speed if speed else 60_000.0, 1.2],
    }


def replay(trace: Path, speed: float) -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "device.json"
        path.write_text(json.dumps(device(speed)))
        command = ["cargo", "run", "--release", "--quiet", "-p", "thrifty-specdec", "--example", "replay", "--"]
        done = subprocess.run(
            [*command, str(trace), str(path), str(speed)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["policy"]: row for row in rows}


def main() -> None:
    trace = goal.data("specdec/azure_llm_2023_conv.csv")
    with tempfile.TemporaryDirectory() as folder:
        if goal.planted:
            short = Path(folder) / "short.csv"
            short.write_text("\n".join(trace.read_text().splitlines()[:-1]))
            trace = short
        for speed in (1.0, 4.0, 16.0, 0.0):
            name = f"{speed:g}x" if speed else "closed"
            found = replay(trace, speed)
            ours = found.pop("ours")
            goal.row(f"exact/{name} ids", f"{name}: ids emitted", f"== {EMITTED}", ours["emitted"], "ids")
            goal.row(f"exact/{name} requests", f"{name}: requests that ended", f"== {REQUESTS}", ours["requests"])
            goal.row(f"exact/{name} blocks", f"{name}: blocks held at the end", "== 0", ours["held"], "blocks")
            seconds = ours["host_ns"] / 1e9
            what = f"{name}: seconds of planning and committing {ours['rows']:,} rows in {ours['steps']:,} steps"
            goal.row(f"cost/{name}", what, "<= 2" if speed == 1 else "<= 60", seconds, "s")
            by = "waited_ms" if speed else "ms"
            for other, row in found.items():
                what = f"{name}: {'waiting' if speed else 'time'} under '{other}' over ours"
                asked = ">= 1.05" if other == "tiers" and speed == 16 else ">= 0.995"
                goal.row(f"policy/{name} {other}", what, asked, row[by] / ours[by], "times")


main()
goal.end()
