"""Times of an H100 for simulators, fitted to measured steps of a 7B target and a 300M draft (CUDA graphs)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from rows import Goal

# Passes of these sizes are recorded as graphs; larger ones run as they are.
GRAPHS = [1, 2, 4, *range(8, 257, 8), *range(272, 513, 16)]


def h100(goal: Goal) -> dict[str, Any]:
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
        "verify": [[n, alone + few * min(n, 64) + many * max(n - 64, 0)] for n in GRAPHS],
        # Its caches and its arithmetic grow with the batch as the target's do, a twentieth of them.
        "draft": [[1, draft], [64, draft + (few * 64) / 20], [16_384, draft + (few * 64 + many * 16_320) / 20]],
        "kv_ms": kv,
        "host_ms": 0.2,
        "noise": 0.03,
        "padded": True,
        "shift": [0.5, 1.2],
    }
