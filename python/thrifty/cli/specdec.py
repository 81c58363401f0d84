"""``thrifty specdec``: what speculative decoding takes on a device, and which draft is worth training for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thrifty.cli import common
from thrifty.cli.calibrate import calibrate

__all__ = ["app"]

app = typer.Typer(
    help="Speculative decoding: measure a device, choose a draft, simulate requests.", no_args_is_help=True
)


Profile = Annotated[Path, typer.Option("--profile", metavar="FILE", help="What calibrate wrote.")]
Params = Annotated[
    float | None, typer.Option("--params", parser=common.count, metavar="N", help="Of the draft, as 796e6 or 796M.")
]
Report = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write report.html and results.json there.")]


app.command()(calibrate)


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


@app.command("train-draft")
def train_draft(
    text: Annotated[Path, typer.Argument(metavar="TEXT", help="To learn from; .xz is unpacked.", show_default=False)],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The file to write.", show_default=False)],
    teacher: Annotated[
        Path,
        typer.Option(
            "--teacher", metavar="MODEL", help="The target: a PairLM, or a folder of pairconnect train --mixer."
        ),
    ],
    valid: Annotated[
        Path | None, typer.Option("--valid", metavar="FILE", help="Text to draft on.  [default: the end of TEXT]")
    ] = None,
    shape: Annotated[
        str,
        typer.Option("--shape", metavar="NAME", help="given, by --layers and --dim; or auto, by what a draft takes."),
    ] = "given",
    dim: Annotated[int, typer.Option("--dim", min=16, help="Numbers of a hidden vector, a multiple of 16.")] = 128,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Layers.")] = 1,
    pair_window: Annotated[int, typer.Option("--pair-window", min=1, help="Pairs of a position.")] = 4,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of each of the 4 tables of a layer.")] = 65_536,
    table_dtype: common.Tables = common.TableDtype.f32,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Ids to train on.  [default: the text once]")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option("--max-seconds", min=1, help="Stop after so long.")] = None,
    context: Annotated[int, typer.Option("--context", min=2, help="Ids of a window.")] = 64,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Windows a step.")] = 16,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of dense weights.")] = 6e-3,
    table_lr: Annotated[float, typer.Option("--table-lr", help="Learning rate of tables.")] = 1e-2,
    teacher_temperature: common.TeacherTemperature = 1.0,
    teacher_share: common.TeacherShare = 1.0,
    teacher_noise: common.TeacherNoise = 0.0,
    device: Annotated[str, typer.Option("--device", help="To train on: cpu, or cuda.")] = "cpu",
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="From which the same command goes on.")
    ] = None,
    every: Annotated[
        int | None, typer.Option("--every", min=1, help="Draft for the teacher each so many steps of training, too.")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="Of the law to draft for.")] = 1.0,
    rule: Annotated[str, typer.Option("--rule", help="To verify by: block, token, greedy or seed_exact.")] = "block",
    max_gamma: Annotated[int, typer.Option("--max-gamma", min=2, max=16, help="Drafts of a step at most.")] = 8,
    running: Annotated[int, typer.Option("--running", min=1, max=4096, help="Requests at a time.")] = 1,
    requests: Annotated[int, typer.Option("--requests", min=2, help="Prompts of the held-back text.")] = 16,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Ids of each.")] = 32,
    new: Annotated[int, typer.Option("--new", min=8, help="Ids that follow each.")] = 64,
    threads: common.Threads = 0,
    seed: common.Seed = 0,
    json_: common.Json = False,
) -> None:
    """Distil a draft of a model, let it draft for that model on held-back text, and say whether that pays."""
    from thrifty.cli import specdec_train

    if dim % 16:
        raise typer.BadParameter(f"--dim {dim} is no multiple of 16")
    common.one_of("--shape", shape, ("given", "auto"))
    common.one_of("--device", device, ("cpu", "cuda"))
    common.one_of("--rule", rule, ("block", "token", "greedy", "seed_exact"))
    if new <= max_gamma:
        raise typer.BadParameter(f"--new {new} has no room for --max-gamma {max_gamma} drafts and an id more")
    specdec_train.train_draft(
        text,
        model,
        teacher=teacher,
        valid=valid,
        max_tokens=max_tokens,
        max_seconds=max_seconds,
        sizes={"dim": dim, "hidden": 4 * dim, "layers": layers, "window": pair_window, "rows": rows},
        auto=shape == "auto",
        settings={
            "context": context,
            "batch": batch,
            "lr": lr,
            "table_lr": table_lr,
            "teacher_temperature": teacher_temperature,
            "teacher_share": teacher_share,
            "noise": teacher_noise,
            "seed": seed,
        },
        table_dtype=table_dtype.value,
        device=device,
        checkpoint=checkpoint,
        every=every,
        requests=requests,
        prompt=prompt,
        drafting={
            "temperature": temperature,
            "rule": rule,
            "gamma": max_gamma,
            "running": running,
            "new": new,
            "seed": seed,
        },
        threads=threads,
        as_json=json_,
    )


@app.command()
def simulate(
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE", help="CSV of requests, as Azure's, or with at_ms,prompt,new.", show_default=False
        ),
    ],
    verify: Annotated[
        str,
        typer.Option("--verify", metavar="N:MS,...", help="A pass of the target over so many ids: 1:10,64:11,1024:40."),
    ],
    draft: Annotated[
        list[str],
        typer.Option("--draft", metavar="N:MS,...", help="A pass of a draft over so many sequences; may repeat."),
    ],
    alpha: Annotated[
        list[str] | None,
        typer.Option(
            "--alpha",
            metavar="CHANCE",
            help="Acceptance of a kind of requests, of several drafts as 0.8,0.6; may repeat.  [default: 0.7]",
        ),
    ] = None,
    fall: Annotated[float, typer.Option("--fall", min=0, max=1, help="Of it for each later draft.")] = 1.0,
    turn: Annotated[float, typer.Option("--turn", min=0, max=1, help="Requests that change their kind.")] = 0.0,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="NAME",
            help="planner, planner deaf (to targets), oracle, fixed N, table, tiers N,N, trim N; may repeat."
            "  [default: planner, with targets planner deaf, fixed 0, table]",
        ),
    ] = None,
    tbt_ms: Annotated[
        float | None, typer.Option("--tbt-ms", help="Target of requests: milliseconds between their ids.")
    ] = None,
    tbt_share: Annotated[
        float | None, typer.Option("--tbt-share", min=0, max=1, help="Of the requests, so many have it.  [default: 1]")
    ] = None,
    speed: Annotated[
        list[str] | None,
        typer.Option("--speed", metavar="X", help="Requests come as fast as 4x, or closed; may repeat.  [default: 1x]"),
    ] = None,
    requests: Annotated[int | None, typer.Option("--requests", min=1, help="Of the trace, the first.")] = None,
    kv_ms: Annotated[float, typer.Option("--kv-ms", min=0, help="For each id in the caches that are read.")] = 0.0,
    host_ms: Annotated[float, typer.Option("--host-ms", min=0, help="Of a step besides the models.")] = 0.0,
    noise: Annotated[float, typer.Option("--noise", min=0, max=1, help="Of times, relative.")] = 0.0,
    padded: Annotated[bool, typer.Option("--padded", help="Passes are filled up to the next size.")] = False,
    blocks: Annotated[int, typer.Option("--blocks", min=1, help="Of the cache, 16 ids each.")] = 60_000,
    max_running: Annotated[int, typer.Option("--max-running", min=1, help="Requests at a time.")] = 512,
    token_budget: Annotated[int, typer.Option("--token-budget", min=1, help="Ids of a step.")] = 8192,
    max_gamma: Annotated[int, typer.Option("--max-gamma", min=0, max=16, help="Drafts at most.")] = 8,
    seed: common.Seed = 0,
    out: Report = None,
    json_: common.Json = False,
) -> None:
    """Replay a trace of requests on a simulated device, under the planner and other policies."""
    from thrifty.cli import specdec_simulate as one

    if tbt_ms is None and tbt_share is not None:
        raise typer.BadParameter("--tbt-share is for --tbt-ms")
    one.simulate(
        trace,
        device={
            "verify": one.sizes(verify),
            "draft": [one.sizes(text) for text in draft],
            "kv_ms": kv_ms,
            "host_ms": host_ms,
            "noise": noise,
            "padded": padded,
        },
        requests=requests,
        policies=policy or ["planner", *(["planner deaf"] if tbt_ms is not None else []), "fixed 0", "table"],
        speeds=[one.speed(text) for text in speed or ["1"]],
        settings={
            "alphas": [one.chances(text) for text in alpha or ["0.7"]],
            "fall": fall,
            "turn": turn,
            "tbt_ms": tbt_ms,
            "tbt_share": 1.0 if tbt_share is None else tbt_share,
            "blocks": blocks,
            "max_running": max_running,
            "token_budget": token_budget,
            "max_gamma": max_gamma,
        },
        seed=seed,
        out=out,
        as_json=json_,
    )


@app.command()
def explain(
    draft_ms: Annotated[float, typer.Option("--draft-ms", min=0, help="A pass of the draft.")],
    weights_ms: Annotated[float, typer.Option("--weights-ms", min=0, help="A pass of the target, however few ids.")],
    token_ms: Annotated[float, typer.Option("--token-ms", min=0, help="Of an id, once a pass has many.")],
    host_ms: Annotated[float, typer.Option("--host-ms", min=0, help="Of a step besides the models.")] = 0.0,
    alpha: Annotated[float, typer.Option("--alpha", min=0, max=1, help="Chance that a draft is accepted.")] = 0.7,
    batch: Annotated[int, typer.Option("--batch", min=1, max=4096, help="Requests at a time.")] = 1,
    max_gamma: Annotated[int, typer.Option("--max-gamma", min=1, max=16, help="Drafts at most.")] = 8,
    json_: common.Json = False,
) -> None:
    """Say in words how many drafts a step is worth, which term binds, and what would change it."""
    from thrifty.cli import specdec_simulate

    specdec_simulate.explain(
        draft_ms=draft_ms,
        weights_ms=weights_ms,
        token_ms=token_ms,
        host_ms=host_ms,
        alpha=alpha,
        batch=batch,
        max_gamma=max_gamma,
        as_json=json_,
    )
