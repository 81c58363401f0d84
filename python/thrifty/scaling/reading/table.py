"""A file's cells as they stand there, by columns."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_CELL", "MOST_CELLS", "MOST_COLUMNS", "MOST_ROWS", "Table", "shown"]

#: What is read of a file at most.
MOST_ROWS, MOST_COLUMNS, MOST_CELLS, MOST_CELL = 1_000_000, 2_000, 10_000_000, 1 << 20
#: Names that a message lists, and letters of a text that it repeats.
NAMES, LETTERS = 12, 60


@dataclass
class Table:
    """Columns of cells: texts, or numbers, truth values and None where the format has them.

    Attributes
    ----------
    file : str
        As messages name it.
    columns : dict of str to list
        By name, in the file's order; all as long as ``lines``.
    lines : list of int
        Line of each row, from 1; rows of parquet count from 1.
    head : int
        Line of the names; 0 where there is none.
    place : str
        What messages call a line: ``line`` or ``row``.
    """

    file: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    head: int = 0
    place: str = "line"

    def at(self, row: int) -> str:
        """Name the place of a row, as messages begin."""
        return f"{self.file}, {self.place} {self.lines[row]}"

    def column(self, name: str, asked: str) -> list[Any]:
        """Return a column; an error that says which are there, and which is nearest, where it is not."""
        if name in self.columns:
            return self.columns[name]
        raise DatasetError(f"{self.file}{self._head()}: no column is called {shown(name)} ({asked}){self.near(name)}")

    def near(self, *names: str) -> str:
        """Say which columns there are, the nearest to some names first where one is near."""
        lower = {known.lower(): known for known in self.columns}
        asked = [name.lower() for name in names]
        close = [c for name in asked for c in difflib.get_close_matches(name, lower, n=1)]
        for name in asked:
            close += [known for known in lower if min(len(name), len(known)) > 2 and (name in known or known in name)]
        nearest = f"; the nearest is {shown(lower[close[0]])}" if close else ""
        return f"{nearest}; there are {listed(self.columns)}"

    def _head(self) -> str:
        return f", line {self.head}" if self.head else ""

    def take(self, rows: list[int]) -> Table:
        """Return some rows."""
        columns = {name: [cells[i] for i in rows] for name, cells in self.columns.items()}
        return Table(self.file, columns, [self.lines[i] for i in rows], self.head, self.place)


def listed(names: Iterable[str]) -> str:
    """List the first names."""
    every = [shown(name) for name in names]
    more = f" and {len(every) - NAMES} more" if len(every) > NAMES else ""
    return (", ".join(every[:NAMES]) or "none") + more


def shown(value: Any) -> str:
    """Repeat a text of a file in a message: short, and nothing that a terminal would obey."""
    text = str(value)
    text = text if len(text) <= LETTERS else text[: LETTERS - 3] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
