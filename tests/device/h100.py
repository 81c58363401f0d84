"""A device that was measured elsewhere: steps of one H100, as timings."""

from __future__ import annotations

import json
from pathlib import Path

from thrifty.device import DeviceProfile, ModelShape, Timing

FILE = Path(__file__).resolve().parents[1] / "data" / "device" / "h100_steps.json"
CALIBRATIONS = {mode: FILE.with_name(f"h100_{mode}.json") for mode in ("eager", "graph")}
DEVICE = {"name": "NVIDIA H100 80GB HBM3", "machine": "Linux x86_64"}


def h100_timings(kind: str = "graph_ms") -> list[Timing]:
    """Rows as timings; the width of the gated units follows from the parameters."""
    found = []
    for row in json.loads(FILE.read_text()):
        layers, dim = row["L"], row["d"]
        hidden = round((row["nonemb_M"] * 1e6 / layers - 4 * dim * dim - 2 * dim) / (3 * dim))
        shape = ModelShape(layers=layers, dim=dim, heads=dim // 64, hidden=hidden, vocab=32_000)
        found.append(Timing(shape=shape, batch=row["B"], tokens=row["T"], context=row["S"], ms=row[kind]))
    return found


def h100_profile(kind: str = "graph_ms") -> DeviceProfile:
    return DeviceProfile.fit(h100_timings(kind), device=DEVICE, backend="torch", dtype="bf16")


def calibrated(mode: str) -> DeviceProfile:
    """What a calibration kept, its law fitted anew; without the shapes that it was asked for besides."""
    profile = DeviceProfile.load(CALIBRATIONS[mode], any_device=True)
    timings = [t for t in profile.timings if (t.shape.dim, t.shape.hidden) != (1024, 2752)]
    return DeviceProfile.fit(timings, device=DEVICE, backend="torch", dtype="bf16", mode=mode)
