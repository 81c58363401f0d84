"""``thrifty scaling fit``: a law fitted to runs, with intervals, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.cli.scaling_runs import Columns, Counted, RunsPath, Target, Where, runs_from

if TYPE_CHECKING:
    from thrifty.scaling import Form, Runs, ScalingLaw

__all__ = ["fit"]

#: Bytes of a form of own terms.
MOST_FORM = 1 << 16


def fit(
    runs: RunsPath,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FIT.json", help="File to write.")],
    law: Annotated[
        str,
        typer.Option(
            "--law",
            metavar="NAME|auto|FORM.json",
            help="chinchilla, chinchilla_tied, morph, morph_free, u_shape, u_shape_drift, gemstones; auto: what "
            "predicts the largest runs best from the smaller; or a file of own terms (docs/formats.md).",
        ),
    ] = "auto",
    loss: Annotated[
        str, typer.Option("--loss", metavar="huber_log|lsq", help="Huber's of log residuals, or squares.")
    ] = "huber_log",
    delta: Annotated[float, typer.Option("--delta", min=1e-9, max=1e3, help="Huber's.")] = 1e-3,
    tie: Annotated[
        list[str] | None, typer.Option("--tie", metavar="NAME=NAME", help="Exponents that are one; may repeat.")
    ] = None,
    where: Where = None,
    groups: Annotated[
        str | None,
        typer.Option("--groups", metavar="COLUMN", help="Rows with one value here hang together, as checkpoints do."),
    ] = None,
    target: Target = None,
    columns: Columns = None,
    params: Counted = None,
    bootstraps: Annotated[
        int, typer.Option("--bootstraps", min=0, max=100_000, help="Refits to resampled rows or groups; 0: none.")
    ] = 1000,
    seed: common.Seed = 0,
    threads: common.Threads = 0,
    json_: common.Json = False,
) -> None:
    """Fit a law of loss to training runs: coefficients with intervals, and a certificate of the optimum."""
    from thrifty.scaling import save_fit

    common.writable(out, "the fit")
    common.one_of("--loss", loss, ("huber_log", "lsq"))
    given = runs_from(runs, where=where, columns=columns, target=target, counted=params)
    fitted, notes = fit_to(given, law, loss, delta, tied(tie), groups)
    if bootstraps:
        kind = "case" if groups is None else "cluster"
        fitted.draws_ = fitted.bootstrap(bootstraps, seed=seed, kind=kind, threads=threads)
    save_fit(fitted, out)
    for text in notes:
        common.note(text)
    if json_:
        common.emit(told(fitted, out, [*given.notes, *notes]))
    else:
        show(fitted, out)
