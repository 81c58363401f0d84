"""Knobs, and the settings that they have together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty.errors import CapacityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Knob", "Space", "Value"]

#: Settings that are held in memory, and categories of a knob (a coordinate each), at most.
SETTINGS, CATEGORIES = 10_000_000, 256
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
    relative : bool, optional
        Whether another device's values are those of this one as shares of the largest, as 150 of 300 W are 125 of 250.
        By default of clocks and powers: a unit, or an end of the name, of Hz, kHz, MHz, GHz, W or mW.

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
    relative: bool | None = None

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
        relative = self.relative
        if relative is None:
            unit = self.unit or self.name.rpartition("_")[2]
            relative = kind == "log" and unit.lower() in ("hz", "khz", "mhz", "ghz", "w", "mw")
        if relative and kind != "log":
            raise ValueError(f"knob {self.name}: relative needs numbers above 0 of kind 'log', got kind {kind!r}")
        for name, value in (("values", values), ("kind", kind), ("default", default), ("relative", relative)):
            object.__setattr__(self, name, value)

    def coordinates(self) -> NDArray[np.float64]:
        """Where its values lie, shape (values, columns): 0 to 1, or a column a category."""
        return np.stack([self.place(value) for value in self.values])

    def place(self, value: Value) -> NDArray[np.float64]:
        """Where a value lies, its own or another device's, shape (columns,); an unknown category is at 0 everywhere.

        Raises
        ------
        ValueError
            For a value that has no place on the scale of this knob.
        """
        if self.kind == "category":
            return np.array([float(value == own) for own in self.values])
        if isinstance(value, str) or not math.isfinite(value) or (self.kind == "log" and value <= 0):
            raise ValueError(f"knob {self.name}: {value!r} has no place beside {list(self.values)}")
        low, high, at = self.values[0], self.values[-1], value
        if self.kind == "log":
            low, high, at = math.log(low), math.log(high), math.log(at)  # type: ignore[arg-type]
        return np.array([(at - low) / (high - low if high > low else 1.0)])  # type: ignore[operator]


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
    CapacityError
        For more than ten million settings, or a knob of more than 256 categories.
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
        sizes = [len(knob.values) for knob in self.knobs]
        for knob in self.knobs:
            if knob.kind == "category" and len(knob.values) > CATEGORIES:
                raise CapacityError(
                    f"knob {knob.name}: {len(knob.values):,} categories; at most {CATEGORIES} can be told"
                )
        if settings is None and math.prod(sizes) > SETTINGS:
            most = max(self.knobs, key=lambda knob: len(knob.values))
            raise CapacityError(
                f"knobs: they have {math.prod(sizes):,} settings, more than {SETTINGS:,}; {most.name} has the most"
                f" values, {len(most.values)}"
            )
        if settings is None:
            self.levels = np.stack([axis.reshape(-1) for axis in np.indices(sizes)], axis=1)
        else:
            rows = [self._levels(setting) for setting in settings]
            if not rows:
                raise ValueError("settings: there are none")
            self.levels = np.asarray(rows, np.int64)
        # The number of a setting among all combinations; in order where all are there.
        self._strides = np.cumprod([1, *sizes[:0:-1]], dtype=np.int64)[::-1]
        numbers = self.levels @ self._strides
        self._index = None if settings is None else {number: i for i, number in enumerate(numbers.tolist())}
        if self._index is not None and len(self._index) < len(self.levels):
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
        number = int(np.asarray(self._levels(setting)) @ self._strides)
        if self._index is None:
            return number
        if number not in self._index:
            raise ValueError(f"the setting {dict(setting)} is none of those that can be measured")
        return self._index[number]

    def has(self, setting: Mapping[str, Value]) -> bool:
        """Whether a setting is one of these."""
        try:
            self.index(setting)
        except ValueError:
            return False
        return True

    def place(self, setting: Mapping[str, Value]) -> NDArray[np.float64]:
        """Where a setting lies, one of these or another device's, shape (columns,)."""
        for knob in self.knobs:
            if knob.name not in setting:
                raise ValueError(f"knob {knob.name}: the setting {dict(setting)} has none")
        return np.concatenate([knob.place(setting[knob.name]) for knob in self.knobs])

    def places(self, settings: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Where another device's settings lie, shape (settings, columns); relative knobs by shares of the largest."""
        shares = dict.fromkeys((knob.name for knob in self.knobs if knob.relative), 1.0)
        for knob in self.knobs:
            given = [setting.get(knob.name) for setting in settings] if knob.relative else []
            numbers = [value for value in given if isinstance(value, (int, float))]
            if numbers and max(numbers) > 0:
                shares[knob.name] = knob.values[-1] / max(numbers)  # type: ignore[operator]
        rows = []
        for setting in settings:
            scaled = {n: setting[n] * s for n, s in shares.items() if isinstance(setting.get(n), (int, float))}  # type: ignore[operator]
            rows.append(self.place({**setting, **scaled}))
        return np.stack(rows)

    def default(self) -> int:
        """Return the number of the setting of all defaults, or of the one nearest to it."""
        wanted = np.concatenate(
            [knob.coordinates()[place[knob.default]] for knob, place in zip(self.knobs, self._places, strict=True)]  # type: ignore[index]
        )
        return int(np.argmin(((self.x - wanted) ** 2).sum(1)))
