"""Runs from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty.errors import DatasetError
from thrifty.scaling.reading.cells import empty, numbers, picked
from thrifty.scaling.reading.files import read_table
from thrifty.scaling.reading.names import column_of, given_columns, losses
from thrifty.scaling.reading.units import check_counts, loss_notes, loss_unit, ratio_notes, repeats
from thrifty.scaling.runs import Runs, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from thrifty.scaling.reading.table import Table
    from thrifty.scaling.runs import Values

__all__ = ["no_loss", "read_runs"]

Counted = Literal["total", "non_embedding"]
SIZES: dict[Counted, str] = {"total": "n_params", "non_embedding": "n_params_non_embedding"}


def read_runs(
    path: str | PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    where: Sequence[tuple[str, str]] | Mapping[str, str] = (),
    target: str | None = None,
    counted: Counted | None = None,
    asked: bool = False,
    like: Runs | None = None,
) -> Runs:
    r"""Read runs of CSV, JSON lines or parquet, plain or packed by gzip, or of a tracker's export of these.

    Parameters
    ----------
    path : path
        The file; its first bytes tell the kind.
    columns : mapping of str to str
        Columns of n_params, n_params_non_embedding, n_tokens, d_model, n_layers, loss, run where they are called
        otherwise; usual names, as ``config.hidden_size`` or ``num_params``, are known.
    where : pairs of str
        Columns and values that rows must have; numbers are compared as numbers.
    target : str, optional
        The column of the loss.
    counted : "total" or "non_embedding", optional
        What ``n_params`` is to count; total where the file has it.
    asked : bool
        Rows are asked about: a loss that is not everywhere is left out instead of refused.
    like : Runs, optional
        Count parameters as these do, and take columns that are called as theirs.

    Returns
    -------
    Runs
        In the file's order, with ``notes`` on what is odd; ``loss`` is None where the file has none.

    Raises
    ------
    DatasetError
        The message names file, line and column, what stands there and what to do.
    MissingExtra
        For parquet without pyarrow.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> from thrifty.scaling import read_runs
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "runs.csv")
    ...     _ = path.write_text("params,tokens,val_loss\n1e8,2e9,3.1\n")
    ...     read_runs(path).loss
    array([3.1])
    """
    table, digest = read_table(path)
    given = given_columns(columns)
    if target is not None:
        given["loss"] = target
    if like is not None:
        counted = counted or like.counted
        same = {field: name for field, name in like.source.columns if name in table.columns}
        given = {field: name for field, name in same.items() if name not in given.values()} | given
    if counted is not None and counted not in SIZES:
        raise ValueError(f"counted: '{counted}' is neither total nor non_embedding")
    conditions = tuple(where.items() if hasattr(where, "items") else where)
    named = {field: column_of(field, table, given) for field in ("n_tokens", "d_model", "n_layers", "loss", "run")}
    sizes = {kind: column_of(field, table, given) for kind, field in SIZES.items()}
    kind = _kind(table, sizes, counted)
    tokens = named["n_tokens"]
    if tokens is None:
        raise DatasetError(_missing(table, "n_tokens", "tokens trained on"))
    if not table.lines:
        raise DatasetError(f"{table.file}: it has names of columns and no row below them")
    table = picked(table, conditions)
    notes: list[str] = []
    counts = _sizes(table, sizes, kind)
    n_tokens = _counts(table, tokens, "n_tokens")
    shape = {field: _shape(table, named[field], field, notes) for field in ("d_model", "n_layers")}
    loss = _loss(table, named["loss"], asked, notes)
    names = () if named["run"] is None else tuple("" if v is None else str(v) for v in table.columns[named["run"]])
    notes += ratio_notes(table, counts[kind], n_tokens)
    keys = [counts[kind], n_tokens, *(values for values in shape.values() if values is not None)]
    notes += [] if asked else repeats(table, names, keys, loss)
    used = {field: column for field, column in (named | {SIZES[k]: c for k, c in sizes.items()}).items() if column}
    return Runs(
        n_params=counts[kind],
        n_tokens=n_tokens,
        loss=loss,
        d_model=shape["d_model"],
        n_layers=shape["n_layers"],
        names=names,
        columns={name: tuple(cells) for name, cells in table.columns.items()},
        lines=np.asarray(table.lines, np.int64),
        counted=kind,
        source=Source(
            str(path), digest, conditions, tuple(used.items()), "" if loss is None else loss_unit(used["loss"])
        ),
        sizes=counts,
        notes=tuple(notes),
    )


def _kind(table: Table, sizes: Mapping[Counted, str | None], counted: Counted | None) -> Counted:
    """Tell what parameters are counted."""
    there = [kind for kind, column in sizes.items() if column is not None]
    if counted is None and there:
        return there[0]
    if counted in there:
        return counted
    field = SIZES[counted or "total"]
    what = "parameters" if counted is None else f"{counted.replace('_', '-')} parameters"
    raise DatasetError(_missing(table, field, what))


def _missing(table: Table, field: str, what: str) -> str:
    head = f", line {table.head}" if table.head else ""
    return f"{table.file}{head}: no column of {field} ({what}){table.near(field)}; --columns {field}=NAME names it"


def _sizes(table: Table, columns: Mapping[Counted, str | None], kind: Counted) -> dict[str, Values]:
    """Read parameters of the kind that is used, and of the other one where they are whole."""
    found: dict[str, Values] = {}
    for other, column in columns.items():
        if column is not None:
            try:
                found[other] = _counts(table, column, SIZES[other])
            except DatasetError:
                if other == kind:
                    raise
    return found


def _counts(table: Table, column: str, field: str) -> Values:
    values = numbers(table, column, field)
    check_counts(table, field, values)
    return values


def _shape(table: Table, column: str | None, field: str, notes: list[str]) -> Values | None:
    """Read a column that laws of shape need; one with empty cells is left out, and that is said."""
    if column is None:
        return None
    blank = [row for row, cell in enumerate(table.columns[column]) if empty(cell)]
    if blank:
        notes.append(
            f"{table.at(blank[0])}: {field} is empty ({len(blank)} of {len(table.lines)} rows); laws of shape can't "
            "be used"
        )
        return None
    return numbers(table, column, field)


def _loss(table: Table, column: str | None, asked: bool, notes: list[str]) -> Values | None:
    if column is None or all(map(empty, table.columns[column])):
        return None
    if asked and any(map(empty, table.columns[column])):
        return None
    loss = numbers(table, column, "loss")
    notes += loss_notes(table, column, loss)
    return loss


def no_loss(runs: Runs) -> DatasetError:
    """Make the error of runs that are to be fitted and have no loss."""
    from thrifty.scaling.reading.table import Table as Cells

    columns: dict[str, list[Any]] = {name: [] for name in runs.columns}
    table = Cells(runs.source.path or "runs", columns)
    return DatasetError(f"{table.file}: no column of loss{losses(table)}; --target NAME names it")
