"""Tables of text: comma-separated values, and JSON lines."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

from thrifty.errors import DatasetError
from thrifty.scaling.reading.table import MOST_CELL, MOST_CELLS, MOST_COLUMNS, MOST_ROWS, Table, shown

__all__ = ["read_csv", "read_jsonl"]

#: Commas and brackets of a line of JSON, and how deep its objects are opened into columns.
MOST_PARTS, MOST_DEPTH = 20_000, 4


def read_csv(name: str, text: str) -> Table:
    """Read values between commas (or tabs or semicolons, where the names have no comma) under a line of names."""
    table = Table(name)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_between(text), strict=True)
    rows: list[list[str]] = []
    names: list[str] = []
    begun = 1
    try:
        for cells in reader:
            line, begun = begun, reader.line_num + 1
            if not any(cell.strip() for cell in cells) and len(cells) <= 1:
                continue
            if not table.head:
                table.head, names = line, _names(name, line, cells)
                continue
            if len(cells) != len(names):
                raise DatasetError(f"{name}, line {line}: {len(cells)} values under {len(names)} names")
            _room(name, len(rows) + 1, len(names))
            rows.append(cells)
            table.lines.append(line)
    except csv.Error as error:
        raise DatasetError(f"{name}, line {begun}: {_why(str(error))}") from None
    if not table.head:
        raise DatasetError(f"{name}: it is empty; a line of column names and a line for each run are needed")
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    table.columns = {column: list(cells) for column, cells in zip(names, columns, strict=True)}
    return table


def _between(text: str) -> str:
    first = re.match(r"\s*([^\r\n]*)", text)
    head = first[1] if first else ""
    return next((sign for sign in ",\t;" if sign in head), ",")


def _names(name: str, line: int, cells: list[str]) -> list[str]:
    if len(cells) > MOST_COLUMNS:
        raise DatasetError(f"{name}, line {line}: {len(cells):,} columns; at most {MOST_COLUMNS:,} are read")
    names = [cell.strip() or f"column {i}" for i, cell in enumerate(cells, 1)]
    if all(re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", cell) for cell in names):
        raise DatasetError(
            f"{name}, line {line}: it has numbers where the names of columns should be; add a first line"
        )
    twice = next((one for i, one in enumerate(names) if one in names[:i]), None)
    if twice is not None:
        raise DatasetError(f"{name}, line {line}: two columns are called {shown(twice)}; rename one")
    return names


def _room(name: str, rows: int, columns: int) -> None:
    if rows > MOST_ROWS or rows * columns > MOST_CELLS:
        raise DatasetError(
            f"{name}: more than {min(MOST_ROWS, MOST_CELLS // columns):,} rows of {columns} columns; "
            "keep the rows and columns that are needed"
        )


def _why(error: str) -> str:
    """Say what the parser means."""
    if "end of data" in error:
        return "a quote that begins here or before is never closed; the file may be cut off"
    if "expected after" in error:
        return "a quoted value goes on after its closing quote"
    if "field limit" in error:
        return f"a value of more than {csv.field_size_limit():,} letters; a quote may not be closed"
    return error


def read_jsonl(name: str, text: str) -> Table:
    """Read an object a line; objects in it become columns with a dot in their names, as ``config.d_model``."""
    table = Table(name)
    rows: list[dict[str, Any]] = []
    known: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(_flat(_object(line)))
        except (ValueError, RecursionError) as error:
            why = "the JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise DatasetError(f"{name}, line {number}: {why}") from None
        known |= dict.fromkeys(rows[-1])
        if len(known) > MOST_COLUMNS:
            raise DatasetError(f"{name}, line {number}: more than {MOST_COLUMNS:,} names; fewer are read")
        _room(name, len(rows), len(known))
        table.lines.append(number)
    table.columns = {column: [row.get(column) for row in rows] for column in known}
    return table


def _object(line: str) -> dict[str, Any]:
    if len(line) > MOST_CELL or sum(map(line.count, ",[{")) > MOST_PARTS:
        raise ValueError("the line is too long; one object of numbers and texts is needed")
    try:
        values = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at letter {error.colno}; one object a line is needed") from None
    if not isinstance(values, dict):
        raise ValueError("it is JSON, but no object; one object a line is needed, as jq -c '.[]' writes them")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} is there twice")
        found[name] = value
    return found


def _flat(values: dict[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """Open objects into columns; lists, and what lies too deep, are carried as texts."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{before}{name.strip()}"
        if isinstance(value, dict) and depth < MOST_DEPTH:
            inner = _flat(value, f"{key}.", depth + 1)
        else:
            inner = {key: json.dumps(value) if isinstance(value, (dict, list)) else value}
        twice = next((one for one in inner if one in found), None)
        if twice is not None:
            raise ValueError(f"{shown(twice)} is there twice")
        found |= inner
    return found
