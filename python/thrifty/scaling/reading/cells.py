"""Cells as numbers above 0, and rows that have a value."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import DatasetError
from thrifty.scaling.reading.table import listed, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.reading.table import Table

__all__ = ["empty", "numbers", "picked"]

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
#: What files write where there is no value.
_EMPTY = ("", "null", "none", "na", "n/a", "-")
_UNITS = {"k": "e3", "m": "e6", "b": "e9", "g": "e9", "t": "e12"}


def empty(cell: Any) -> bool:
    """Whether a cell has no value."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _EMPTY)


def numbers(table: Table, column: str, field: str) -> NDArray[np.float64]:
    """Return a column as finite numbers above 0.

    Raises
    ------
    DatasetError
        The message names file, line, column and what stands there.
    """
    cells = table.columns[column]
    found = np.empty(len(cells))
    for row, cell in enumerate(cells):
        value = _number(cell)
        if value is None or not 0 < value < math.inf:
            called = field if column == field else f"{field} (column {shown(column)})"
            raise DatasetError(f"{table.at(row)}: {called} {_wrong(cell, value, table, column, field)}")
        found[row] = value
    return found


def _number(cell: Any) -> float | None:
    """Read a cell; None where it is no number."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, (int, float)):
        try:
            return float(cell)
        except OverflowError:
            return math.inf
    text = str(cell).strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    special = text.lower().lstrip("+-")
    if special in ("nan", "inf", "infinity"):
        return math.nan if special == "nan" else math.copysign(math.inf, -1 if text.startswith("-") else 1)
    return None


def _wrong(cell: Any, value: float | None, table: Table, column: str, field: str) -> str:
    """Say what is wrong with a cell and what to do."""
    if empty(cell):
        others = sum(map(empty, table.columns[column])) - 1
        more = f" (and in {others} more rows)" if others else ""
        return f"is empty{more}; leave such rows out, as by --where COLUMN=VALUE, or fill it in"
    if value is None:
        return f"is '{shown(cell)}', no number{_hint(str(cell).strip())}"
    if math.isnan(value):
        return "is NaN; leave the row out, as by --where COLUMN=VALUE"
    if math.isinf(value):
        return f"is {value}; a finite number is needed"
    hint = "; give nats a token, not log-likelihoods" if field == "loss" and value < 0 else ""
    return f"is {shown(cell)}; a number above 0 is needed{hint}"


def _hint(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,3}(?:[,' \u00a0\u202f][0-9]{3})+(?:\.[0-9]*)?", text):
        return f"; write it without separators: {re.sub('[^0-9.]', '', text)}"
    if re.fullmatch(r"[0-9]+,[0-9]+", text):
        return f"; write it with a point: {text.replace(',', '.')}"
    unit = re.fullmatch(r"([0-9.]+)\s*([kmbgt])", text.lower())
    return f"; write it out: {unit[1]}{_UNITS[unit[2]]}" if unit else ""


def picked(table: Table, where: Sequence[tuple[str, str]]) -> Table:
    """Return the rows whose cells are as asked: numbers as numbers, others as texts.

    Raises
    ------
    DatasetError
        For a column that is not there, and where no row is left; the message lists values that are there.
    """
    rows = list(range(len(table.lines)))
    for name, wanted in where:
        cells = table.column(name, "asked for by --where")
        kept = [i for i in rows if _same(cells[i], wanted)]
        if not kept:
            values = dict.fromkeys(str(cells[i]).strip() for i in rows)
            raise DatasetError(f"{table.file}: no row with {name} = {shown(wanted)}; there are {listed(values)}")
        rows = kept
    return table if len(rows) == len(table.lines) else table.take(rows)


def _same(cell: Any, wanted: str) -> bool:
    if cell is None:
        return empty(wanted)
    if isinstance(cell, bool):
        return wanted.strip().lower() in (("true", "1") if cell else ("false", "0"))
    if str(cell).strip() == wanted.strip():
        return True
    number = _number(wanted)
    return number is not None and _number(cell) == number
