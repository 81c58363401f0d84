"""``thrifty specdec advise``: the table, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from thrifty.cli import common

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.device import ModelShape
    from thrifty.report import Section
    from thrifty.specdec import Advice

__all__ = ["advise"]

#: Acceptances whose curves the report draws beside the one that was asked for.
ALPHAS = (0.4, 0.6, 0.8, 0.9)


def advise(
    profile: Path,
    target: str,
    *,
    draft: dict[str, Any],
    step: dict[str, Any],
    current: str | None,
    current_alpha: float | None,
    any_device: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Read, rank and tell."""
    from thrifty.device import DeviceProfile, shape_of
    from thrifty.specdec import advise as advised

    if draft["params"] is None and draft["latency_ms"] is None:
        raise typer.BadParameter("--params or --latency-ms is needed: a size of the draft, or a limit of its step")
    if out is not None:
        common.writable(out, "the report", folder=True)
    found = DeviceProfile.load(profile, any_device=any_device)
    shape = shape_of(target, dtype_bytes=found.dtype_bytes)
    there = None if current is None else _current(current, found.dtype_bytes)
    advice = advised(found, shape, **draft, **step, current=there, current_alpha=current_alpha)
    if out is not None:
        from thrifty.report import write

        page = write(out, "Which draft to train", [_section(advice)], note=advice.device)
        if not as_json:
            common.note(f"the curves are in {page}")
    if as_json:
        common.emit(advice.to_dict() | {"explanation": advice.explain()})
    else:
        _print(advice)


def _current(text: str, dtype_bytes: float) -> ModelShape | float:
    from thrifty.device import shape_of

    try:
        return float(text)
    except ValueError:
        return shape_of(text, dtype_bytes=dtype_bytes)


HEADS = (
    "layers",
    "dim",
    "heads",
    "units",
    "parameters",
    "ms a step",
    "gamma",
    "tau",
    "x plain",
    "tau even",
    "alpha even",
)


def _cells(advice: Advice) -> list[list[str]]:
    """Return the table's cells, a row a candidate; the last are of the draft that is there, where one is."""

    def number(value: float | None, text: str = ".2f") -> str:
        return "never" if value is None else format(value, text)

    rows = []
    for c in advice.candidates:
        row = [str(c.shape.layers), str(c.shape.dim), str(c.shape.heads), str(c.shape.hidden)]
        row += [f"{c.shape.parameters:,}", f"{c.draft.ms:.3g} ({c.draft.low:.3g} to {c.draft.high:.3g})"]
        row += [str(c.gamma), f"{c.tau:.2f}", f"{c.speedup:.2f}", f"{c.tau_break_even:.2f}", number(c.alpha_break_even)]
        row.append(number(c.alpha_to_match))
        if advice.current_tokens_per_second is not None:
            row += [number(c.tau_to_beat), number(c.alpha_to_beat)]
        rows.append(row)
    return rows


def _heads(advice: Advice) -> list[str]:
    more = ["tau to beat", "alpha to beat"] if advice.current_tokens_per_second is not None else []
    return [*HEADS, "alpha to match", *more]


def _print(advice: Advice) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    grid = Table(title="Drafts, the best first", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for head in _heads(advice):
        grid.add_column(head, justify="right", overflow="fold")
    for row in _cells(advice):
        grid.add_row(*row)
    console.print(grid)
    console.print()
    console.print(advice.explain(), markup=False)


def _section(advice: Advice) -> Section:
    """Return the report: the table, times over depth, and throughput over gamma."""
    from thrifty.report import Section, Series, Table

    clock, best = advice.clock, advice.candidates[0]
    deep = sorted(advice.candidates, key=lambda c: c.shape.layers)
    times = Series(
        "draft_ms",
        "A step of the draft over its depth, at equal size",
        [c.shape.layers for c in deep],
        {"a step": [c.draft.ms for c in deep]},
        lo={"a step": [c.draft.low for c in deep]},
        hi={"a step": [c.draft.high for c in deep]},
        x_label="layers",
        y_label="ms",
    )
    gammas = list(range(clock.longest + 1))
    alphas = sorted({*ALPHAS, best.alpha})
    speeds = [
        Series(
            f"throughput_{name}",
            f"Decoding with {c.shape.layers} x {c.shape.dim} over the drafts of a step, by acceptance",
            gammas,
            {f"alpha {alpha:g}": [clock.throughput(c.draft.ms, alpha, g) for g in gammas] for alpha in alphas},
            x_label="gamma",
            y_label="ids a second",
        )
        for name, c in (("best", best), ("deepest", deep[-1]))
        if name == "best" or c is not best
    ]
    table = Table("candidates", "Drafts, the best first", _heads(advice), _cells(advice))
    text = advice.explain().replace("\n", "\n\n")
    return Section("advise", "Drafts", text, [table, times, *speeds])
