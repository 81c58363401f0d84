"""Knobs, and the settings that they have together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Knob", "Space", "Value"]

Value = float | int | str
"""What a knob can be set to: a number, or the name of a category."""


@dataclass(frozen=True)
class Knob:
    """Something that can be set.

    Parameters
    ----------
    name : str
        As settings name it.
    values : sequence of numbers or of names
        What it can be set to, in any order; numbers are sorted.
    kind : {"log", "linear", "category"}, optional
        How values relate: by their ratios, their differences, or not at all. By default numbers above 0 are "log",
        other numbers "linear", and names a "category".
    unit : str
        Of its values, for people.
    default : number or name, optional
        What it is set to when nobody tunes it; the first evaluation. By default the largest number, or the first name.

    Raises
    ------
    ValueError
        Without values, with one twice or one that is no number, or with a default that is none of them.

    Examples
    --------
    >>> Knob("batch", [8, 2, 4]).values
    (2, 4, 8)
    """

    name: str
    values: Sequence[Value]
    kind: Literal["log", "linear", "category"] | None = None
    unit: str = ""
    default: Value | None = field(default=None)

    def __post_init__(self) -> None:
        values = tuple(self.values)
        if not values:
            raise ValueError(f"knob {self.name}: it has no values")
        numbers = all(isinstance(value, (int, float, np.number)) for value in values)
        if numbers and not all(math.isfinite(value) for value in values):  # type: ignore[arg-type]
            raise ValueError(f"knob {self.name}: a value is not finite: {list(values)}")
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise ValueError(f"knob {self.name}: {twice!r} is there twice")
        kind = self.kind or ("category" if not numbers else "log" if min(values) > 0 else "linear")  # type: ignore[operator]
        if kind not in ("log", "linear", "category"):
            raise ValueError(f"knob {self.name}: kind {kind!r} is none of log, linear, category")
        if kind != "category" and not numbers:
            raise ValueError(f"knob {self.name}: kind {kind!r} needs numbers, got {list(values)}")
        if kind == "log" and min(values) <= 0:  # type: ignore[operator]
            raise ValueError(f"knob {self.name}: kind 'log' needs numbers above 0, got {list(values)}")
        if kind != "category":
            values = tuple(sorted(values))
        default = self.default
        if default is None:
            default = values[0] if kind == "category" else values[-1]
        if default not in values:
            raise ValueError(f"knob {self.name}: the default {default!r} is none of {list(values)}")
        for name, value in (("values", values), ("kind", kind), ("default", default)):
            object.__setattr__(self, name, value)

    def coordinates(self) -> NDArray[np.float64]:
        """Where its values lie, shape (values, columns): 0 to 1, or a column a category."""
        if self.kind == "category":
            return np.eye(len(self.values))
        x = np.asarray(self.values, np.float64)
        if self.kind == "log":
            x = np.log(x)
        places: NDArray[np.float64] = (x - x[0]) / (x[-1] - x[0] if x[-1] > x[0] else 1.0)
        return places[:, None]


class Space:
    """Settings of several knobs: all combinations, or those that there are.

    Parameters
    ----------
    knobs : sequence of Knob
        At least one, of different names.
    settings : iterable of mappings, optional
        The combinations that can be measured; all by default.

    Attributes
    ----------
    levels : int64 array of shape (settings, knobs)
        Which of its values each knob has.
    x : float64 array of shape (settings, columns)
        Where settings lie, for a surrogate.

    Raises
    ------
    ValueError
        Without knobs or settings, or where a setting lacks a knob, has an unknown value or comes twice.
    """

    def __init__(self, knobs: Sequence[Knob], settings: Iterable[Mapping[str, Value]] | None = None) -> None:
        self.knobs = tuple(knobs)
        if not self.knobs:
            raise ValueError("knobs: there are none; name at least one")
        names = [knob.name for knob in self.knobs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"knobs: {twice} is there twice")
        self._places = [{value: i for i, value in enumerate(knob.values)} for knob in self.knobs]
        if settings is None:
            sizes = [len(knob.values) for knob in self.knobs]
            self.levels = np.stack([axis.reshape(-1) for axis in np.indices(sizes)], axis=1)
        else:
            rows = [self._levels(setting) for setting in settings]
            if not rows:
                raise ValueError("settings: there are none")
            self.levels = np.asarray(rows, np.int64)
        self._index = {tuple(row): i for i, row in enumerate(self.levels.tolist())}
        if len(self._index) < len(self.levels):
            raise ValueError("settings: one is there twice")
        self.x = np.concatenate(
            [knob.coordinates()[self.levels[:, k]] for k, knob in enumerate(self.knobs)], axis=1, dtype=np.float64
        )

    def __len__(self) -> int:
        return len(self.levels)

    def _levels(self, setting: Mapping[str, Any]) -> tuple[int, ...]:
        found = []
        for knob, places in zip(self.knobs, self._places, strict=True):
            if knob.name not in setting:
                raise ValueError(f"knob {knob.name}: the setting {dict(setting)} has none")
            value = setting[knob.name]
            if value not in places:
                raise ValueError(f"knob {knob.name}: {value!r} is none of {list(knob.values)}")
            found.append(places[value])
        return tuple(found)

    def setting(self, index: int) -> dict[str, Value]:
        """Return the setting with a number."""
        return {knob.name: knob.values[level] for knob, level in zip(self.knobs, self.levels[index], strict=True)}

    def index(self, setting: Mapping[str, Value]) -> int:
        """Return the number of a setting; a ValueError names what is wrong with it."""
        levels = self._levels(setting)
        if levels not in self._index:
            raise ValueError(f"the setting {dict(setting)} is none of those that can be measured")
        return self._index[levels]

    def default(self) -> int:
        """Return the number of the setting of all defaults, or of the one nearest to it."""
        wanted = np.concatenate(
            [knob.coordinates()[place[knob.default]] for knob, place in zip(self.knobs, self._places, strict=True)]  # type: ignore[index]
        )
        return int(np.argmin(((self.x - wanted) ** 2).sum(1)))
