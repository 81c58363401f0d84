"""What parts hand over: numbers with their meaning, no markup."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bars", "Figure", "Grid", "Section", "Series", "Table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number beside what it is compared with.

    Attributes
    ----------
    id : str
        Name in results.json, unique in a report.
    title : str
        What it is.
    value : float
        The number, in ``unit``.
    unit : str
        Its unit; empty for a bare number.
    baseline : float, optional
        What it is compared with, in the same unit, from the same run.
    ratio : float, optional
        How many times better than the baseline.
    interval : (float, float), optional
        Interval of ``value``, with its kind in ``source``.
    source : str
        How it was had: the formula, the counter, the paper.
    """

    id: str
    title: str
    value: float
    unit: str = ""
    baseline: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve or several over the same axis.

    Attributes
    ----------
    x : sequence of float
        Shared by all curves.
    y : mapping of str to sequence of float
        Curves by label, each as long as ``x``.
    lo, hi : mapping of str to sequence of float, optional
        Bands of curves.
    x_label, y_label : str
        Axes with units.
    log_x, log_y : bool
        Logarithmic axes.
    dots : sequence of str
        Labels of curves that are points without a line; their ``lo`` and ``hi`` are drawn as a bar at each point.
    notes : mapping of str to sequence of str
        Short text at each point of a curve.
    close : bool
        Axes span what is drawn, where others begin at 0 or go to whole powers of ten.
    """

    id: str
    title: str
    x: Sequence[float]
    y: dict[str, Sequence[float]]
    lo: dict[str, Sequence[float]] = field(default_factory=dict)
    hi: dict[str, Sequence[float]] = field(default_factory=dict)
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    dots: Sequence[str] = ()
    notes: dict[str, Sequence[str]] = field(default_factory=dict)
    close: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """Numbers of one kind beside each other, none below 0.

    Attributes
    ----------
    values : mapping of str to float
        By what they are of, from top to bottom.
    unit : str
        Of all.
    ours : str
        The label of the bar that is drawn in another colour.
    """

    id: str
    title: str
    values: dict[str, float]
    unit: str = ""
    ours: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """Numbers over two lists of values, drawn as shades: the darker the lower.

    Attributes
    ----------
    x, y : sequence of str
        Columns from left to right, and rows from bottom to top.
    values : sequence of sequences of float
        A row for each of ``y``, as long as ``x``; nan where there is nothing.
    marks : mapping of (int, int) to str
        Short text in cells, by column and row.
    struck : sequence of (int, int)
        Cells that are crossed out, by column and row.
    """

    id: str
    title: str
    x: Sequence[str]
    y: Sequence[str]
    values: Sequence[Sequence[float]]
    unit: str = ""
    x_label: str = ""
    y_label: str = ""
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    struck: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; cells are text or numbers."""

    id: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the story: what was done, and its records."""

    id: str
    title: str
    text: str
    records: Sequence[Figure | Series | Bars | Grid | Table] = ()
