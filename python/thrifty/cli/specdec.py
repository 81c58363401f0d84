"""``thrifty specdec``: what speculative decoding takes on a device, and which draft is worth training for it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from thrifty.cli import common

__all__ = ["app"]

app = typer.Typer(help="Speculative decoding: measure a device, choose a draft.", no_args_is_help=True)


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
Profile = Annotated[Path, typer.Option("--profile", metavar="FILE", help="What calibrate wrote.")]
Params = Annotated[
    float | None, typer.Option("--params", parser=common.count, metavar="N", help="Of the draft, as 796e6 or 796M.")
]
Report = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write report.html and results.json there.")]


@app.command()
def calibrate(
    out: Out,
    backend: Annotated[Backend, typer.Option("--backend", help="What computes the decoders.")] = Backend.numpy,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="To take in all.")] = 45.0,
    device: Annotated[str, typer.Option("--device", help="cpu, or with torch cuda, cuda:1.")] = "cpu",
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Of weights; numpy has f32.")] = Dtype.f32,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--shape", metavar="SHAPE", help="To time besides, as --target of advise; may repeat."),
    ] = None,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Measure what decoding steps take on this machine, deep and shallow, wide and narrow."""
    from thrifty.cli import specdec_advise

    specdec_advise.calibrate(
        out,
        backend=backend.value,
        seconds=seconds,
        device=device,
        dtype=dtype.value,
        shapes=shapes or [],
        threads=threads,
        seed=seed,
        as_json=json_,
    )


@app.command()
def advise(
    profile: Profile,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="SHAPE",
            help="A config.json or its folder, a name as llama-2-7b, or layers=8,dim=320,heads=5,hidden=864,vocab=256.",
        ),
    ],
    params: Params = None,
    vocab: Annotated[
        int | None, typer.Option("--vocab", min=1, help="Ids of the draft.  [default: the target's]")
    ] = None,
    latency_ms: Annotated[
        float | None, typer.Option("--latency-ms", help="That a step of the draft may take; alone, the largest such.")
    ] = None,
    max_depth: Annotated[int, typer.Option("--max-depth", min=1, max=1000, help="Layers at most.")] = 24,
    in_layers: Annotated[bool, typer.Option("--in-layers", help="--params are those of layers alone.")] = False,
    untied: Annotated[bool, typer.Option("--untied", help="The draft's output layer is not its embedding.")] = False,
    alpha: Annotated[float, typer.Option("--alpha", min=0, max=1, help="Chance that a draft is accepted.")] = 0.7,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences decoded together.")] = 1,
    context: Annotated[int, typer.Option("--context", min=0, help="Ids of each in the cache.")] = 0,
    host_ms: Annotated[float, typer.Option("--host-ms", min=0, help="Of a step besides the models.")] = 0.0,
    max_gamma: Annotated[int, typer.Option("--max-gamma", min=1, max=64, help="Drafts of a step at most.")] = 16,
    current: Annotated[
        str | None,
        typer.Option("--current", metavar="SHAPE|MS", help="The draft that is there now, or milliseconds of its step."),
    ] = None,
    current_alpha: Annotated[
        float | None, typer.Option("--current-alpha", min=0, max=1, help="Its acceptance.  [default: --alpha]")
    ] = None,
    any_device: Annotated[bool, typer.Option("--any-device", help="Take a profile of another machine.")] = False,
    out: Report = None,
    json_: common.Json = False,
) -> None:
    """Lay out drafts of a size at every depth, and rank them by the speed of decoding, before one is trained."""
    from thrifty.cli import specdec_advise

    specdec_advise.advise(
        profile,
        target,
        draft={
            "params": params,
            "vocab": vocab,
            "latency_ms": latency_ms,
            "max_depth": max_depth,
            "in_layers": in_layers,
            "tied": not untied,
        },
        step={"alpha": alpha, "batch": batch, "context": context, "host_ms": host_ms, "max_gamma": max_gamma},
        current=current,
        current_alpha=current_alpha,
        any_device=any_device,
        out=out,
        as_json=json_,
    )
