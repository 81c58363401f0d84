"""Rows of a study as a CSV file that grows whole row by whole row, and is gone on from."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError, ResumeMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["RunTable"]

#: A file of more bytes is none of ours.
MOST = 1 << 28


class RunTable:
    """A CSV file of runs, to which rows are added.

    Parameters
    ----------
    path : path
        Made with the first row. What a stopped writer left of a last row is cut off, once all before it is ours.
    columns : sequence of str
        Of each row, in this order.
    same : mapping of str to str
        Columns that have one value in all rows: the data, for one.

    Raises
    ------
    ResumeMismatch
        When the file has other columns, or another value in a column that has one.
    DatasetError
        When a row has another number of values than the header.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[str], same: Mapping[str, str]) -> None:
        self.path, self.columns, self.same = Path(path), (*columns, *same), dict(same)
        self.rows: list[dict[str, str]] = []
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        if self.path.stat().st_size > MOST:
            raise DatasetError(f"{self.path}: has more than {MOST} bytes; it is no table of runs")
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        try:
            text = content[:whole].decode()
        except UnicodeDecodeError as error:
            raise DatasetError(f"{self.path}: byte {error.start} is no UTF-8; it is no table of runs") from None
        lines = list(csv.reader(io.StringIO(text, newline="")))
        if not lines:
            if not _line(self.columns).encode().startswith(content):
                raise DatasetError(f"{self.path}: has no whole line, and is no table of runs; give another file")
        elif tuple(lines[0]) != self.columns:
            other = sorted(set(lines[0]) ^ set(self.columns))
            raise ResumeMismatch(f"{self.path}: columns differ ({', '.join(other)}); give another file for a new study")
        for number, values in enumerate(lines[1:], 2):
            if len(values) != len(self.columns):
                raise DatasetError(
                    f"{self.path}, line {number}: {len(values)} values, the header has {len(self.columns)}"
                )
            row = dict(zip(self.columns, values, strict=True))
            for name, value in self.same.items():
                if row[name] != value:
                    raise ResumeMismatch(
                        f"{self.path}, line {number}: {name} is '{row[name]}' there and '{value}' here; give another "
                        "file for another study"
                    )
            self.rows.append(row)
        if whole < len(content):
            os.truncate(self.path, whole)

    def add(self, values: Mapping[str, object]) -> None:
        """Write a row; it is there as a whole, also after a power failure, or not at all.

        Parameters
        ----------
        values : mapping
            A value for each column that is not the same in all rows; empty where one is missing.
        """
        if unknown := sorted(set(values) - set(self.columns)):
            raise ValueError(f"values: {', '.join(unknown)} is no column of {self.path}")
        row = {name: _text(values.get(name, "")) for name in self.columns} | self.same
        head = "" if self.path.exists() and self.path.stat().st_size else _line(self.columns)
        with self.path.open("ab") as file:
            file.write((head + _line([row[name] for name in self.columns])).encode())
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)


def _line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _text(value: object) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)
