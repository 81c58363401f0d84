"""Options that say which runs, and reading them; files of fits."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thrifty.cli import common
from thrifty.errors import DatasetError, ThriftyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thrifty.scaling import Runs, ScalingLaw

__all__ = [
    "Columns",
    "Counted",
    "FitPath",
    "RunsPath",
    "Target",
    "Where",
    "asked_of",
    "counted_as",
    "fit_from",
    "runs_from",
]

RunsPath = Annotated[
    Path, typer.Argument(metavar="RUNS", help="CSV, JSON lines or parquet, a run a line; also packed by gzip.")
]
FitPath = Annotated[Path, typer.Argument(metavar="FIT.json", help="What thrifty scaling fit wrote.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only rows with this value; may repeat."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN",
        help="Which column is n_params, n_params_non_embedding, n_tokens, d_model, n_layers, loss or run, where it is "
        "not called so; may repeat.",
    ),
]
Target = Annotated[str | None, typer.Option("--target", metavar="COLUMN", help="The column of the loss.")]
Counted = Annotated[
    str | None,
    typer.Option("--params", metavar="total|non_embedding", help="Which parameters count, where the file has both."),
]


def counted_as(given: str | None) -> str | None:
    """Check what is to be counted."""
    if given is None:
        return None
    name = given.replace("-", "_")
    common.one_of("--params", name, ("total", "non_embedding"))
    return name


def runs_from(
    path: Path,
    *,
    where: list[str] | None = None,
    columns: list[str] | None = None,
    target: str | None = None,
    counted: str | None = None,
    asked: bool = False,
    like: Runs | None = None,
) -> Runs:
    """Read runs and say on stderr what is odd about them."""
    from thrifty.scaling import read_runs

    named = common.pairs("--columns", columns)
    conditions = tuple(common.pairs("--where", where).items())
    wanted: Any = counted_as(counted)
    try:
        runs = read_runs(path, columns=named, where=conditions, target=target, counted=wanted, asked=asked, like=like)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for text in runs.notes:
        common.note(text)
    return runs


@contextmanager
def asked_of(path: Path) -> Iterator[None]:
    """Tell what runs do not allow with their file."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, ThriftyError) or not str(error).startswith("runs: "):
            raise
        raise DatasetError(f"{path}: {str(error).removeprefix('runs: ')}") from None


def fit_from(path: Path) -> ScalingLaw:
    """Read a fit."""
    from thrifty.scaling import load_fit

    return load_fit(path)
