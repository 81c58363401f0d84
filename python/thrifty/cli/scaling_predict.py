"""``thrifty scaling predict``: losses of runs to come, with intervals."""

from __future__ import annotations

import csv
import sys
from pathlib import Path  # noqa: TC003 - the parser reads annotations
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import Columns, FitPath, Target, Where, asked_of, fit_from, runs_from

if TYPE_CHECKING:
    from thrifty.scaling import Prediction

__all__ = ["predict"]

NAMES = ("loss", "lo", "hi", "decades_beyond")


def predict(
    fit: FitPath,
    inputs: Annotated[
        Path, typer.Argument(metavar="INPUTS", help="Runs to predict: n_params, n_tokens and what the law needs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT.csv", help="File to write.  [default: stdout]"),
    ] = None,
    level: Annotated[float, typer.Option("--level", min=0.01, max=0.9999, help="Of the intervals.")] = 0.95,
    where: Where = None,
    columns: Columns = None,
    target: Target = None,
    json_: common.Json = False,
) -> None:
    """Predict losses of runs, a line for each in the file's order: loss, lo, hi, decades_beyond.

    decades_beyond says how far a run lies outside those that were fitted, in factors of ten. Where the file has losses
    all through, they are compared with the predictions.
    """
    if out is not None:
        common.writable(out, "the predictions", inputs=(fit, inputs))
    law = fit_from(fit)
    runs = runs_from(inputs, where=where, columns=columns, target=target, like=law.runs_, asked=True)
    with asked_of(inputs):
        found = law.predict(runs, level)
    beside = None if runs.loss is None else compared(found, runs.loss)
    if out is not None:
        with common.replaced(out) as file:
            lines(file, found)
    for text in found.notes:
        common.note(text)
    if json_:
        rows = [dict(zip(NAMES, row, strict=True)) for row in rows_of(found)]
        common.emit(
            common.finite(
                {
                    "fit": str(fit),
                    "out": None if out is None else str(out),
                    "level": level,
                    "rows": rows,
                    "measured": beside,
                    "notes": [*runs.notes, *found.notes],
                }
            )
        )
    elif out is None:
        lines(sys.stdout, found)
    if beside is not None and not json_:
        common.note(
            f"against the file's own losses: mean absolute error {100 * beside['mean_relative_error']:.3g} %, worst "
            f"{100 * beside['worst_relative_error']:.3g} %, {100 * beside['covered']:.3g} % within their intervals"
        )


def rows_of(found: Prediction) -> list[tuple[float, ...]]:
    """Return predictions as rows."""
    columns = (getattr(found, name).tolist() for name in NAMES)
    return list(zip(*columns, strict=True))


def lines(file: TextIO, found: Prediction) -> None:
    """Write predictions as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows(rows_of(found))


def compared(found: Prediction, loss: Any) -> dict[str, float]:
    """Say how far predictions are from what was measured."""
    away = abs(found.loss / loss - 1)
    return {
        "mse": float(((found.loss - loss) ** 2).mean()),
        "mean_relative_error": float(away.mean()),
        "worst_relative_error": float(away.max()),
        "covered": float(((found.lo <= loss) & (loss <= found.hi)).mean()),
    }
