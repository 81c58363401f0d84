"""The demo's training on two ranks, with ``--full`` and torch: what ranks learn, and what they send each other."""

from __future__ import annotations

import importlib.util
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thrifty.errors import ThriftyError
from thrifty.pipeline.data import nouns
from thrifty.report import Figure

__all__ = ["figures"]

RANKS = 2


def figures(*, active: int, rate: float, epochs: int, seed: int, alone: float) -> list[Figure]:
    """Return the figures of two ranks; none without torch.

    Parameters
    ----------
    active, rate, epochs, seed
        Of the training.
    alone : float
        P@1 of one process.
    """
    if importlib.util.find_spec("torch") is None:
        return []
    found = _trained(active, rate, epochs, seed)
    dense = 2 * (RANKS - 1) / RANKS * found["bytes"]
    return [
        Figure(
            "slide.ranks_p_at_1",
            f"P@1 of {RANKS} ranks",
            found["epochs"][-1]["p_at_1"],
            baseline=alone,
            source="each with half of the hidden units and labels, started by torchrun; beside it one process",
        ),
        Figure(
            "slide.ranks_bytes",
            "Bytes that a rank sends in a step",
            found["bytes_a_step"],
            "bytes",
            baseline=dense,
            ratio=dense / found["bytes_a_step"],
            source="hidden values, their gradients, two numbers a row; beside it dense gradients of all weights",
        ),
    ]


def _trained(active: int, rate: float, epochs: int, seed: int) -> dict[str, Any]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("train", "test"):
            (folder / f"{part}.txt").write_bytes(lzma.decompress((nouns() / f"{part}.txt.xz").read_bytes()))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
        command += ["-m", "thrifty", "slide", "train", "train.txt", "model", "--test", "test.txt", "--threads", "1"]
        command += ["--active", str(active), "--lr", str(rate), "--epochs", str(epochs), "--seed", str(seed), "--json"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ThriftyError(f"two ranks of the demo ended with {done.returncode}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
