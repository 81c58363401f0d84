"""Measurements that were made before, in the place of a device."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError, Infeasible
from thrifty.throttle.evaluation import Constraint  # noqa: TC001
from thrifty.throttle.space import Knob, Space, Value
from thrifty.throttle.tuner import Tuner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

__all__ = ["Replay", "read_lines"]


class Replay:
    """A table of measured settings, from a CSV file with a line of names.

    Parameters
    ----------
    path : path
        The file.
    knobs : sequence of str
        Columns that are knobs; one whose cells are not all numbers is a category.
    measured : sequence of str
        Columns that were measured: numbers above 0.
    where : mapping of str to str
        Only lines whose cells are these are read; numbers are compared as numbers.
    default : mapping of str to number or str
        What knobs are set to by default.

    Attributes
    ----------
    space : Space
        The settings of the table.

    Raises
    ------
    DatasetError
        The message names file, line and column: an unknown column, a cell that is no number above 0, two lines of one
        setting, or no line at all.
    ValueError
        For a default that no line has.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        knobs: Sequence[str],
        measured: Sequence[str],
        *,
        where: Mapping[str, str] | None = None,
        default: Mapping[str, Value] | None = None,
    ) -> None:
        self.path = Path(path)
        where, default = dict(where or {}), dict(default or {})
        for name in default:
            if name not in knobs:
                raise ValueError(f"default: {name} is none of the knobs {', '.join(knobs)}")
        lines = read_lines(self.path, [*knobs, *measured, *where], where)
        numbers = {name: all(_number(cells[name]) is not None for _, cells in lines) for name in knobs}
        settings = [
            {name: _value(cells[name]) if numbers[name] else cells[name] for name in knobs} for _, cells in lines
        ]
        self._measured: dict[tuple[Value, ...], dict[str, float]] = {}
        at: dict[tuple[Value, ...], int] = {}
        for (line, cells), setting in zip(lines, settings, strict=True):
            key = tuple(setting.values())
            if key in at:
                raise DatasetError(
                    f"{self.path}, line {line}: the setting {setting} is on line {at[key]} as well; another knob or"
                    " where tells them apart"
                )
            at[key] = line
            self._measured[key] = {name: self._positive(cells[name], line, name) for name in measured}
        self.space = Space([self._knob(name, settings, default) for name in knobs], settings)
        first = self.space.setting(self.space.default())
        for knob in self.space.knobs:
            if knob.name in default and first[knob.name] != knob.default:
                given = ", ".join(f"{name} = {value}" for name, value in default.items())
                raise ValueError(f"default: {self.path} has no line with {given}")

    def _positive(self, cell: str, line: int, name: str) -> float:
        number = _number(cell)
        if number is None or not 0 < number < math.inf:
            raise DatasetError(f"{self.path}, line {line}: {name} is {cell!r}, no number above 0")
        return number

    def _knob(self, name: str, settings: list[dict[str, Value]], default: Mapping[str, Value]) -> Knob:
        values = list(dict.fromkeys(setting[name] for setting in settings))
        if name not in default:
            return Knob(name, values)
        given = default[name]
        if isinstance(values[0], str) or not isinstance(given, str):
            return Knob(name, values, default=given)
        return Knob(name, values, default=given if _number(given) is None else _value(given))

    def measure(self, setting: Mapping[str, Value]) -> dict[str, float]:
        """Return what was measured of a setting; a ValueError where it is not in the table."""
        self.space.index(setting)
        return dict(self._measured[tuple(setting[knob.name] for knob in self.space.knobs)])

    def rows(self) -> list[tuple[dict[str, Value], dict[str, float]]]:
        """Return settings and what was measured of them, as a tuner takes them for its ``prior``."""
        names = [knob.name for knob in self.space.knobs]
        return [(dict(zip(names, key, strict=True)), dict(values)) for key, values in self._measured.items()]

    def best(self, objective: str, constraints: Sequence[Constraint]) -> dict[str, Value]:
        """Return the setting of least objective that keeps all limits.

        Raises
        ------
        Infeasible
            Where none does; the message names the limit and the least that is in the table.
        """
        names = [knob.name for knob in self.space.knobs]
        kept = [
            (values[objective], dict(zip(names, key, strict=True)))
            for key, values in self._measured.items()
            if all(values[limit.name] <= limit.upper for limit in constraints)
        ]
        if not kept:
            least = ", ".join(
                f"{limit.name} <= {limit.upper:g} (least: {min(v[limit.name] for v in self._measured.values()):g})"
                for limit in constraints
            )
            raise Infeasible(f"{self.path}: no setting keeps {least}")
        return min(kept, key=lambda pair: pair[0])[1]

    def tune(
        self,
        objective: str,
        constraints: Sequence[Constraint] = (),
        *,
        evaluations: int = 20,
        seed: int = 0,
        prior: Replay | None = None,
    ) -> Tuner:
        """Return a tuner that was told so many settings of the table, or all where there are fewer.

        ``prior`` is the table of another device, of the same knobs.
        """
        tuner = Tuner(self.space, objective, constraints, seed=seed, prior=None if prior is None else prior.rows())
        while len(tuner) < evaluations and (setting := tuner.ask()) is not None:
            tuner.tell(setting, self.measure(setting))
        return tuner


def read_lines(path: Path, columns: Sequence[str], where: Mapping[str, str]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a CSV file that have the cells of ``where``, with their numbers; at least one.

    Raises
    ------
    DatasetError
        As for :class:`Replay`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            names = rows.fieldnames or []
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise DatasetError(f"{path}, line 1: the column {twice} is there twice")
            for name in columns:
                if name not in names:
                    raise DatasetError(f"{path}, line 1: there is no column {name}; there are {', '.join(names)}")
            found = [(rows.line_num, dict(row)) for row in rows if all(_same(row[k], v) for k, v in where.items())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: this is no CSV file of text: {error}") from None
    for line, row in found:
        if None in row or None in row.values():
            raise DatasetError(f"{path}, line {line}: it has not as many cells as line 1 has names")
    if not found:
        which = " and ".join(f"{name} = {value}" for name, value in where.items())
        raise DatasetError(f"{path}: there is no line{f' with {which}' if which else ''}")
    return found


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    if "_" in cell:  # float reads 1_0 as 10
        return None
    return number if math.isfinite(number) else None


def _value(cell: str) -> float | int:
    number = float(cell)
    return int(number) if number.is_integer() and "." not in cell and "e" not in cell.lower() else number


def _same(cell: str | None, wanted: str) -> bool:
    if cell is None:
        return False
    a, b = _number(cell), _number(wanted)
    return cell == wanted if a is None or b is None else a == b
