"""``thrifty scaling plan``: what to build, by a law of loss and the profile of a device."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import FitPath, fit_from, runs_from

if TYPE_CHECKING:
    from rich.table import Table

    from thrifty.scaling import Downstream, Plan, ScalingLaw

__all__ = ["plan"]

#: Rows of the front that people are shown.
FRONT = 12


def plan(
    fit: FitPath,
    profile: Annotated[
        Path | None,
        typer.Option("--profile", metavar="PROFILE.json", help="Of the device that serves: thrifty scaling calibrate."),
    ] = None,
    train_flops: Annotated[float | None, typer.Option("--train-flops", help="Budget of training, 6 N D.")] = None,
    max_loss: Annotated[float | None, typer.Option("--max-loss", help="Loss to be reached, nats a token.")] = None,
    lifetime_tokens: Annotated[
        float, typer.Option("--lifetime-tokens", min=0, help="To be served over the model's life, 2 N operations each.")
    ] = 0.0,
    max_tokens: Annotated[float | None, typer.Option("--max-tokens", help="Tokens that there are to train on.")] = None,
    slo_ms: Annotated[float | None, typer.Option("--slo-ms", help="Milliseconds a new token at most.")] = None,
    memory_gb: Annotated[
        float | None, typer.Option("--memory-gb", help="1e9 bytes of weights and cache at most.")
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", metavar="loss|flops|latency|energy|memory", help="What is made least.")
    ] = "loss",
    sure: Annotated[
        bool, typer.Option("--sure", help="Loss and latency must keep their limits at the upper ends of the intervals.")
    ] = False,
    slack: Annotated[
        float, typer.Option("--slack", min=0, help="Within this share of the least loss, the fastest shape is picked.")
    ] = 0.0,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences at a time.")] = 1,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Tokens of a prompt.")] = 128,
    new_tokens: Annotated[int, typer.Option("--new-tokens", min=1, help="Tokens that follow it.")] = 128,
    level: Annotated[float, typer.Option("--level", min=0.01, max=0.9999, help="Of the losses' intervals.")] = 0.95,
    params: Annotated[
        str | None, typer.Option("--params", metavar="LOW:HIGH", help="Parameters.  [default: around the optimum]")
    ] = None,
    layers: Annotated[str | None, typer.Option("--layers", metavar="LOW:HIGH", help="Layers.")] = None,
    widths: Annotated[str | None, typer.Option("--widths", metavar="LOW:HIGH", help="Widths.")] = None,
    aspect: Annotated[
        str | None, typer.Option("--aspect", metavar="LOW:HIGH", help="Width over depth.  [default: as of the runs]")
    ] = None,
    head_dim: Annotated[int, typer.Option("--head-dim", min=2, help="Of a head; widths are multiples.")] = 64,
    queries_per_key: Annotated[int, typer.Option("--queries-per-key", min=1, help="Grouped queries.")] = 1,
    hidden_multiple: Annotated[int, typer.Option("--hidden-multiple", min=1, help="Of gated units.")] = 256,
    vocab: Annotated[int, typer.Option("--vocab", min=1, help="Ids.")] = 50_432,
    tied: Annotated[bool, typer.Option("--tied", help="The output layer is the embedding.")] = False,
    downstream: Annotated[
        Path | None, typer.Option("--downstream", metavar="RUNS", help="Runs with losses and a task's accuracies.")
    ] = None,
    accuracy: Annotated[
        str, typer.Option("--accuracy", metavar="COLUMN[:TASK]", help="Their column; of JSON objects, which task.")
    ] = "accuracy",
    chance: Annotated[float, typer.Option("--chance", min=0, max=0.999, help="Accuracy of guessing.")] = 0.0,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Of --downstream: only rows with this value; may repeat."),
    ] = None,
    any_device: Annotated[bool, typer.Option("--any-device", help="The profile may be of another device.")] = False,
    top: Annotated[int, typer.Option("--top", min=0, help="Shapes to list, the best first.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of a report.")] = None,
    plots: Annotated[
        str | None, typer.Option("--plots", metavar="png|svg|pdf", help="With --out: the fronts as files, too.")
    ] = None,
    json_: common.Json = False,
) -> None:
    """Choose what to train: shapes by loss, latency, cost and memory, and the best that keeps the limits.

    A budget or a loss to be reached is needed; with a profile of the device, latency too. Exit 1 names the limit that
    no shape keeps and the nearest that can be had.
    """
    from thrifty.device import DeviceProfile
    from thrifty.report import FILES
    from thrifty.scaling import plan as planned
    from thrifty.scaling.plots import KINDS

    if plots is not None and out is None:
        raise typer.BadParameter("--plots needs --out, the folder to write to")
    if plots is not None:
        common.one_of("--plots", plots, KINDS)
    if out is not None:
        common.writable(out, "the report", folder=True)
        for name in FILES:
            common.apart(out / name, "the report", (fit, profile, downstream))
    law = fit_from(fit)
    sizes: dict[str, Any] = {
        "head_dim": head_dim,
        "queries_per_key": queries_per_key,
        "hidden_multiple": hidden_multiple,
        "vocab": vocab,
        "tied": tied,
    }
    for name, given in (("n_params", params), ("layers", layers), ("widths", widths), ("aspect", aspect)):
        if given is not None:
            sizes[name] = between(name, given)
    task = None if downstream is None else curve(downstream, law, accuracy, chance, where)
    found = planned(
        law,
        None if profile is None else DeviceProfile.load(profile, any_device=any_device),
        train_flops=train_flops,
        max_loss=max_loss,
        lifetime_tokens=lifetime_tokens,
        max_tokens=max_tokens,
        slo_ms=slo_ms,
        memory_gb=memory_gb,
        objective=objective,  # type: ignore[arg-type]
        sizes=sizes,
        batch=batch,
        prompt=prompt,
        new_tokens=new_tokens,
        interval=level,
        sure=sure,
        slack=slack,
        downstream=task,
    )
    pages = [] if out is None else written(out, found, plots)
    for text in found.notes:
        common.note(text)
    if json_:
        common.emit(common.finite(told(found, top) | {"fit": str(fit), "files": pages}))
    else:
        show(found, top, pages)


def between(name: str, text: str) -> tuple[float, float]:
    """Read two ends: 1e8:2e9."""
    low, sign, high = text.partition(":")
    try:
        ends = float(low), float(high if sign else low)
    except ValueError:
        raise typer.BadParameter(f"--{name.removeprefix('n_')} '{text}'; two numbers, as 8:64") from None
    return ends


def curve(path: Path, law: ScalingLaw, column: str, chance: float, where: list[str] | None) -> Downstream:
    """Fit how a task's accuracy follows the loss."""
    from thrifty.scaling import Downstream, accuracy_column

    name, _, task = column.partition(":")
    runs = runs_from(path, where=where, like=law.runs_)
    found = accuracy_column(runs, name, task or None)
    return Downstream.fit(runs.loss, found, chance=chance, task=task or name)  # type: ignore[arg-type]


def written(out: Path, found: Plan, plots: str | None) -> list[str]:
    """Write the report, and plots where they are asked for."""
    from thrifty.scaling.page_plan import plan_section, write_plan
    from thrifty.scaling.plots import write_plots

    files = [write_plan(out, found)]
    if plots is not None:
        files += write_plots(out, [plan_section(found)], plots)
    return [str(file) for file in files]


def told(found: Plan, top: int) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    return {
        "device": found.device,
        "objective": found.wish.objective,
        "limits": found.limits,
        "shapes": len(found.shapes),
        "feasible": int(found.feasible.sum()),
        "pick": found.row(found.best),
        "top": found.rows(top),
        "front": [found.row(int(i)) for i in found.front],
        "shape_gain": found.shape_gain,
        "joules_source": found.joules_source,
        "notes": list(found.notes),
    }


def show(found: Plan, top: int, pages: list[str]) -> None:
    """Print the pick, what comes next, and the front."""
    from rich.console import Console

    row = found.row(found.best)
    rows = [
        ("shape", str(found.shape)),
        ("parameters", f"{row['parameters']:,}"),
        ("tokens", f"{row['n_tokens']:.4g}, {row['n_tokens'] / row['n_params']:.3g} a parameter"),
        ("loss", f"{row['loss']:.4f}, {row['lo']:.4f} to {row['hi']:.4f}"),
    ]
    if "ms" in row:
        rows.append(
            ("a new token", f"{row['ms']:.3g} ms, {row['ms_low']:.3g} to {row['ms_high']:.3g} ({found.device})")
        )
    if "joules" in row:
        rows.append(("", f"{row['joules']:.3g} J ({found.joules_source})"))
    if "accuracy" in row:
        ends = f"{100 * row['accuracy_lo']:.1f} to {100 * row['accuracy_hi']:.1f} %"
        rows.append(("accuracy", f"{100 * row['accuracy']:.1f} %, {ends}"))
    rows.append(("memory", f"{row['memory_gb']:.3g} GB of weights and cache"))
    rows.append(("operations", f"{row['train_flops']:.3g} of training, {row['serve_flops']:.3g} of serving"))
    if found.shape_gain is not None:
        rows.append(("slowest shape alike", f"{1 + found.shape_gain:.2f} times the fastest, at this size and loss"))
    rows += [("", flag) for flag in row["flags"]]
    rows.append(("chosen from", f"{int(found.feasible.sum()):,} of {len(found.shapes):,} shapes that keep the limits"))
    rows += [("file", page) for page in pages]
    common.table(found.picked, rows)
    front = [int(i) for i in found.front]
    if len(front) > FRONT:
        front = [front[round(k * (len(front) - 1) / (FRONT - 1))] for k in range(FRONT)]
    called = {"ms": "latency", "flops": "cost", "memory_gb": "memory"}
    title = f"the front of {'loss' if found.axis == 'loss' else 'cost'} against {called[found.front_of]}"
    console = Console(highlight=False)
    for head, listed in (
        (f"the best by {found.wish.objective}", found.rows(top)),
        (title, [found.row(i) for i in front]),
    ):
        if listed:
            console.print()
            console.print(grid(head, listed))
    if any(one["flags"] for one in (row, *found.rows(top), *map(found.row, front))):
        common.note("* beyond the runs of the law, or beyond what was timed on the device")


def grid(title: str, listed: list[dict[str, Any]]) -> Table:
    """Return shapes as a table for people."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for head in ("shape", "params", "tokens", "loss", "from", "to", "ms", "GB", "flops", ""):
        table.add_column(head, justify="right", no_wrap=True)
    for one in listed:
        table.add_row(
            f"{one['layers']} x {one['dim']}",
            short(one["parameters"]),
            short(one["n_tokens"]),
            f"{one['loss']:.4f}",
            f"{one['lo']:.4f}",
            f"{one['hi']:.4f}",
            f"{one['ms']:.3g}" if "ms" in one else "-",
            f"{one['memory_gb']:.3g}",
            f"{one['flops']:.2e}",
            "*" if one["flags"] else "",
        )
    return table


def short(number: float) -> str:
    """Write a count in thousands, millions, ...: 578M."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if unit <= number < 1e15:
            return f"{number / unit:.3g}{name}"
    return f"{number:.3g}"
