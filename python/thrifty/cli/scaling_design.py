"""``thrifty scaling design``: which runs to train next."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import Columns, FitPath, Where, asked_of, fit_from, runs_from

if TYPE_CHECKING:
    from thrifty.scaling import Runs

__all__ = ["design"]


def design(
    fit: FitPath,
    candidates: Annotated[
        Path, typer.Argument(metavar="CANDIDATES", help="Runs that could be trained: n_params, n_tokens, the shape.")
    ],
    budget_flops: Annotated[float, typer.Option("--budget-flops", help="Of all that are chosen, 6 N D each.")],
    target_params: Annotated[
        float | None, typer.Option("--target-params", help="Parameters of the run that shall be predicted.")
    ] = None,
    target_tokens: Annotated[float | None, typer.Option("--target-tokens", help="Its tokens.")] = None,
    target_width: Annotated[float | None, typer.Option("--target-width", help="Its width, where the law asks.")] = None,
    target_layers: Annotated[float | None, typer.Option("--target-layers", help="Its layers.")] = None,
    criterion: Annotated[
        str,
        typer.Option("--criterion", metavar="prediction|D", help="Least variance there, or of all coefficients."),
    ] = "prediction",
    count: Annotated[int | None, typer.Option("--count", min=1, help="At most so many runs.  [default: 5000]")] = None,
    where: Where = None,
    columns: Columns = None,
    json_: common.Json = False,
) -> None:
    """Choose the runs after which the law predicts a larger one best, for a budget of operations."""
    from thrifty.scaling import Runs
    from thrifty.scaling import design as designed

    common.one_of("--criterion", criterion, ("prediction", "D"))
    law = fit_from(fit)
    target: dict[str, Any] | None = None
    if (target_params is None) != (target_tokens is None):
        raise typer.BadParameter("--target-params and --target-tokens belong together")
    if target_params is not None:
        given = {
            "n_params": target_params,
            "n_tokens": target_tokens,
            "d_model": target_width,
            "n_layers": target_layers,
        }
        for name, value in given.items():
            if value is not None and not value > 0:
                raise typer.BadParameter(f"--target: {name} {value:g} is not possible; above 0")
        target = {name: [value] for name, value in given.items() if value is not None}
        for name, columns_ in (("d_model", {"d_model", "ratio"}), ("n_layers", {"n_layers", "ratio"})):
            if name not in target and columns_ & set(law.form_.columns):
                raise typer.BadParameter(
                    f"--target-width and --target-layers: the law {law.name_} tells losses by shape"
                )
    elif criterion == "prediction":
        raise typer.BadParameter(
            "--target-params and --target-tokens say what shall be predicted; or take --criterion D"
        )
    runs = runs_from(candidates, where=where, columns=columns, like=law.runs_, asked=True)
    with asked_of(candidates):
        aim = None if target is None else Runs.of(target)
        found = designed(law, runs, budget_flops, target=aim, criterion=criterion, count=count)  # type: ignore[arg-type]
    rows = [row_of(runs, at) for at in found.chosen]
    told = {"chosen": rows, "flops": found.flops, "before": found.before, "after": found.after, "cut": found.cut}
    for text in found.notes:
        common.note(text)
    if json_:
        notes = [*runs.notes, *found.notes]
        common.emit(common.finite(told | {"fit": str(fit), "criterion": criterion, "notes": notes}))
        return
    shown = [(f"line {row['line']}" if row["line"] else f"row {row['row']}", described(row)) for row in rows]
    shown.append(("operations", f"{found.flops:.4g} of {budget_flops:.4g}"))
    if criterion == "prediction":
        ends = f"{100 * found.before:.3g} % now, {100 * found.after:.3g} % after, {found.cut:.0%} less"
        shown.append(("standard error of the prediction", ends))
    else:
        shown.append(("spread of the coefficients, in the geometric mean", f"{found.cut:.0%} less"))
    common.table("runs to train next, what tells most first", shown)


def row_of(runs: Runs, at: int) -> dict[str, Any]:
    """Return a run as JSON has it."""
    row: dict[str, Any] = {"row": at, "line": None if runs.lines is None else int(runs.lines[at])}
    row |= {"run": runs.names[at] if runs.names else "", "n_params": float(runs.n_params[at])}
    row |= {"n_tokens": float(runs.n_tokens[at]), "flops": 6 * float(runs.n_params[at] * runs.n_tokens[at])}
    for name, values in (("d_model", runs.d_model), ("n_layers", runs.n_layers)):
        row[name] = None if values is None else float(values[at])
    return row


def described(row: dict[str, Any]) -> str:
    """Write a run in a line."""
    shape = f", {row['n_layers']:g} x {row['d_model']:g}" if row["d_model"] and row["n_layers"] else ""
    name = f"{row['run']}: " if row["run"] else ""
    return f"{name}{row['n_params']:.4g} parameters{shape}, {row['n_tokens']:.4g} tokens, {row['flops']:.3g} operations"
