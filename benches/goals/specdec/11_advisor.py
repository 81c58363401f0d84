"""The advisor's clock: steps of drafts of equal size, deep and narrow or shallow and wide, told without timing them.

numpy/, torch/: this machine is calibrated on one thread, in under 60 s, with drafts of about 0.7 and 12 million
parameters in the layers at 1, 2, 4, 6, 8, 12 and 24 of them among what is timed. Each shape is then left out of the
fit, and what the others tell of it is held against what it took: median and worst error, Kendall's tau. depth: what 24
layers take over what the better of one and two take, the least of both sizes: the paper's finding (arXiv 2402.01528)
that deep narrow drafts lose. chosen: layers of the draft that comes first, the more of both sizes; plot: of the steps
from depth to depth in the report's curve, the share that rises.

h100/: the same law on steps of one H100 with CUDA graphs, recorded earlier (tests/data/device), 300 million to 13
billion parameters, one token at a time.

``--planted``: the law forgets that a layer costs anything beside its weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402
from scipy.stats import kendalltau  # noqa: E402
from tests.device.h100 import h100_profile  # noqa: E402

from cases.layers import forget_layers  # noqa: E402
from thrifty.device import DeviceProfile, calibrate  # noqa: E402
from thrifty.device.grid import CONTEXT, of_size  # noqa: E402

SIZES, DEPTHS = (0.7e6, 12e6), (1, 2, 4, 6, 8, 12, 24)
SECONDS = 50
TARGET = "layers=12,dim=768,heads=12,hidden=2048,vocab=256,tied=1"


def judged(goal: Goal, name: str, measured: np.ndarray, told: np.ndarray, what: str, where: str) -> None:
    """Rows of what was told of shapes that were left out."""
    wrong = np.abs(told / measured - 1)
    goal.row(f"{name}/median", f"{what}: median error", "<= 0.10", float(np.median(wrong)), where=where)
    goal.row(f"{name}/worst", f"{what}: worst error", "<= 0.25", float(wrong.max()), where=where)
    goal.row(f"{name}/order", f"{what}: Kendall's tau", ">= 0.8", kendalltau(measured, told).statistic, where=where)


def here(goal: Goal, backend: str) -> None:
    """Calibrate this machine and judge it."""
    shapes = {size: [of_size(size, layers) for layers in DEPTHS] for size in SIZES}
    every = [shape for some in shapes.values() for shape in some]
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    begun = time.perf_counter()
    profile = calibrate(backend, seconds=SECONDS, shapes=every, seed=goal.seed)  # type: ignore[arg-type]
    took = time.perf_counter() - begun
    calls = sum(timing.calls for timing in profile.timings)
    goal.row(f"{backend}/seconds", f"{backend}: seconds of a calibration, {calls:,} calls timed", "<= 60", took, "s")
    left_out = {t.shape: (t.ms, ms) for t, ms in profile.left_out() if t.rows == 1 and t.context == CONTEXT}
    measured = {shape: left_out[shape][0] for shape in every}
    told = np.array([left_out[shape][1] for shape in every])
    for shape, ms in zip(every, told, strict=True):
        print(f"{backend}: {shape}: {measured[shape]:.3f} ms, told {ms:.3f}", file=sys.stderr)
    judged(goal, backend, np.array([measured[s] for s in every]), told, f"{backend}, 14 drafts left out in turn", "cpu")
    ratios = [measured[some[-1]] / min(measured[s] for s in some[:2]) for some in shapes.values()]
    texts = " and ".join(f"{ratio:.2f}" for ratio in ratios)
    what = f"{backend}: 24 layers over the better of 1 and 2 at equal size, {texts} for 0.7M and 12M; the less"
    goal.row(f"{backend}/depth", what, ">= 1.3", min(ratios), "x")
    advised(goal, backend, profile)


def advised(goal: Goal, backend: str, profile: DeviceProfile) -> None:
    """What comes first by the advisor's command line, and its curve."""
    from thrifty.cli import specdec_advise

    chosen, rising = [], []
    with tempfile.TemporaryDirectory() as folder:
        profile.save(Path(folder) / "profile.json")
        for size in SIZES:
            with contextlib.redirect_stdout(None):
                specdec_advise.advise(
                    Path(folder) / "profile.json",
                    TARGET,
                    draft={
                        "params": size,
                        "vocab": None,
                        "latency_ms": None,
                        "max_depth": 24,
                        "in_layers": True,
                        "tied": True,
                    },
                    step={"alpha": 0.8, "batch": 1, "context": 32, "host_ms": 0.0, "max_gamma": 8},
                    current=None,
                    current_alpha=None,
                    any_device=False,
                    out=Path(folder) / "report",
                    as_json=False,
                )
            records = json.loads((Path(folder) / "report" / "results.json").read_text())["sections"][0]["records"]
            table = next(record for record in records if record["id"] == "candidates")
            curve = next(record for record in records if record["id"] == "draft_ms")["y"]["a step"]
            chosen.append(int(table["rows"][0][0]))
            rising += [b > a for a, b in pairwise(curve)]
    goal.row(
        f"{backend}/chosen",
        f"{backend}: layers of the draft that comes first, the more of both sizes",
        "<= 2",
        max(chosen),
    )
    goal.row(
        f"{backend}/plot",
        f"{backend}: share of steps in the curve over depth that rise",
        ">= 0.9",
        float(np.mean(rising)),
    )


def recorded(goal: Goal) -> None:
    """The law on an H100."""
    told = [(timing, ms) for timing, ms in h100_profile().left_out() if timing.rows == 1]
    measured = np.array([timing.ms for timing, _ in told])
    what = f"H100, CUDA graphs, {len(told)} steps of {len({t.shape for t, _ in told})} shapes left out in turn"
    judged(goal, "h100", measured, np.array([ms for _, ms in told]), what, "gpu")


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch", "scipy"))
    if goal.planted:
        forget_layers()
    for backend in ("numpy", "torch"):
        if goal.wants(backend):
            here(goal, backend)
    if goal.wants("h100"):
        recorded(goal)
    goal.end()


if __name__ == "__main__":
    main()
