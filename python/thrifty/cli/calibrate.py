"""``thrifty scaling calibrate`` and ``thrifty specdec calibrate``: measure a device, write its profile, tell."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from thrifty.device import DeviceProfile

__all__ = ["calibrate", "calibrate_to"]

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Backend(StrEnum):
    """What computes the decoders that are timed."""

    numpy = "numpy"
    torch = "torch"


class Dtype(StrEnum):
    """What weights are."""

    f32 = "f32"
    bf16 = "bf16"
    f16 = "f16"


Out = Annotated[Path, typer.Argument(metavar="OUT", help="The profile to write, JSON.", show_default=False)]
Named = Annotated[
    Path, typer.Option("--out", "-o", metavar="PROFILE", help="The profile to write, JSON.", show_default=False)
]
By = Annotated[Backend, typer.Option("--backend", help="What computes the decoders.")]
Seconds = Annotated[float, typer.Option("--seconds", min=1, max=3600, help="To take in all.")]
Device = Annotated[str, typer.Option("--device", help="cpu, or with torch cuda, cuda:1.")]
Weights = Annotated[Dtype, typer.Option("--dtype", help="Of weights; numpy has f32.")]
Graphs = Annotated[bool, typer.Option("--graphs", help="Record calls as CUDA graphs, and time their replays.")]
Joules = Annotated[bool, typer.Option("--energy", help="Read joules of decoding steps too, where a counter is.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", metavar="SHAPE", help="To time besides: a config.json, a name, sizes; may repeat."),
]


def calibrate(
    out: Out,
    backend: By = Backend.numpy,
    seconds: Seconds = 45.0,
    device: Device = "cpu",
    dtype: Weights = Dtype.f32,
    graphs: Graphs = False,
    energy: Joules = False,
    shapes: Shapes = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Measure what decoding steps take on this machine, deep and shallow, wide and narrow."""
    common.writable(out, "the profile", inputs=map(Path, shapes or []))
    if threads:
        _pin(threads, backend.value)
    from thrifty.device import calibrate as measure
    from thrifty.device import shape_of

    size = 4.0 if dtype == Dtype.f32 else 2.0
    more = [shape_of(text, dtype_bytes=size) for text in shapes or []]
    with common.progress() as callback:
        profile = measure(
            backend.value,
            seconds=seconds,
            device=device,
            dtype=dtype.value,
            shapes=more,
            graphs=graphs,
            energy=energy,
            seed=seed,
            progress=callback,
        )
    profile.save(out)
    for text in profile.notes:
        common.note(text)
    told = _told(out, profile)
    common.emit(told) if json_ else _print(profile, told)


def calibrate_to(
    out: Named,
    backend: By = Backend.numpy,
    seconds: Seconds = 45.0,
    device: Device = "cpu",
    dtype: Weights = Dtype.f32,
    graphs: Graphs = False,
    energy: Joules = False,
    shapes: Shapes = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Measure what decoding steps take on this machine, deep and shallow, wide and narrow."""
    calibrate(out, backend, seconds, device, dtype, graphs, energy, shapes, threads, seed, json_)


def _told(out: Path, profile: DeviceProfile) -> dict[str, Any]:
    import numpy as np

    wrong = [abs(np.log(ms / timing.ms)) for timing, ms in profile.left_out()]
    told: dict[str, Any] = {
        "profile": str(out),
        "device": profile.device,
        "backend": profile.backend,
        "dtype": profile.dtype,
        "threads": profile.threads,
        "mode": profile.mode,
        "timings": len(profile.timings),
        "calls": sum(timing.calls for timing in profile.timings),
        "overhead_ms": profile.one["overhead"] + profile.one["host"],
        "layer_ms": sum(profile.one[name] for name in ("layers", "layers@0.25", "launches")),
        "left_out_median_error": float(np.expm1(np.median(wrong))),
        "left_out_worst_error": float(np.expm1(np.max(wrong))),
        "energy": None,
        "notes": list(profile.notes),
    }
    if profile.joules is not None:
        names = ("source", "watts", "byte", "operation")
        told["energy"] = {name: getattr(profile.joules, name) for name in names}
    return told


def _print(profile: DeviceProfile, told: dict[str, Any]) -> None:
    kind = f"{profile.backend}, {profile.dtype}, {profile.mode}, threads {profile.threads}"
    rows = [
        ("device", f"{profile.device['name']}, {kind}"),
        ("calls timed", f"{told['calls']:,} of {told['timings']} kinds"),
        ("a layer, whatever its size", f"{told['layer_ms']:.3g} ms"),
        ("a call, whatever the model", f"{told['overhead_ms']:.3g} ms"),
        ("error for shapes left out", f"{told['left_out_median_error']:.1%} in the median"),
        ("", f"{told['left_out_worst_error']:.1%} at worst"),
    ]
    if profile.joules is not None:
        law = profile.joules
        parts = f"{law.watts:.3g} W, {law.byte * 1e12:.3g} pJ a byte, {law.operation * 1e12:.3g} pJ an operation"
        rows.append(("energy", f"{parts} ({law.source})"))
    common.table(told["profile"], rows)


def _pin(threads: int, backend: str) -> None:
    """Say how many threads products may take; numpy hears it only before it is loaded."""
    if backend == "torch":
        from thrifty._torch import require_torch

        torch: Any = require_torch()
        torch.set_num_threads(threads)
    elif "numpy" in sys.modules and any(os.environ.get(name) != str(threads) for name in THREADS[:1]):
        raise ValueError(f"--threads: numpy is loaded already; set {THREADS[0]}={threads} instead")
    else:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
