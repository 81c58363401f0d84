"""What numbers tell of their units, and rows that are there twice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thrifty.errors import DatasetError
from thrifty.scaling.reading.table import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.reading.table import Table

    Values = NDArray[np.float64]

__all__ = ["check_counts", "loss_notes", "loss_unit", "ratio_notes", "repeats"]

#: Parameters and tokens below which a number is taken as one of millions or billions.
LEAST = {"n_params": 1e3, "n_params_non_embedding": 1e3, "n_tokens": 1e5}
#: Nats a token of who guesses among 163,000 words, which no model that learns stays above.
MOST_NATS = 12.0
#: Tokens a parameter below which one of the two is hardly in ones.
LEAST_TOKENS = 1e-3


def check_counts(table: Table, field: str, values: Values) -> None:
    """Refuse parameters and tokens that are given in millions or billions.

    Raises
    ------
    DatasetError
        With the first such line.
    """
    small = np.flatnonzero(values < LEAST[field])
    if len(small):
        row = int(small[0])
        what = "tokens" if field == "n_tokens" else "parameters"
        raise DatasetError(
            f"{table.at(row)}: {field} is {values[row]:g}, and no run has fewer than {LEAST[field]:,.0f} {what}: "
            f"it looks like millions or billions; give {what} one by one"
        )


def ratio_notes(table: Table, n_params: Values, n_tokens: Values) -> list[str]:
    """Say where there is less than a token for a thousand parameters."""
    few = np.flatnonzero(n_tokens < LEAST_TOKENS * n_params)
    if not len(few):
        return []
    row = int(few[0])
    ratio = n_tokens[row] / n_params[row]
    return [f"{table.at(row)}: {ratio:.2g} tokens a parameter ({_rows(few)} below 0.001); are both counted one by one?"]


def loss_unit(column: str) -> str:
    """Tell the unit of a loss by its column's name: nats a token where it says nothing."""
    name = column.lower()
    for signs, unit in (
        (("bpb", "bits_per_byte", "bits/byte", "bits-per-byte"), "bits a byte"),
        (("bpc", "bits_per_char", "bits/char"), "bits a character"),
        (("bits",), "bits a token"),
        (("perplexity", "ppl"), "perplexity"),
        (("nats_per_byte", "nats/byte"), "nats a byte"),
    ):
        if any(sign in name for sign in signs):
            return unit
    return "nats a token"


def loss_notes(table: Table, column: str, loss: Values) -> list[str]:
    """Say where losses are hardly what laws are fitted to."""
    unit, notes = loss_unit(column), []
    if unit == "perplexity":
        notes.append(
            f"{table.file}: {shown(column)} seems to be perplexities; laws are of their logarithm, nats a token"
        )
    elif unit != "nats a token":
        notes.append(
            f"{table.file}: {shown(column)} is taken as {unit}, as it stands; the law's E, A, B are in that unit"
        )
    median = float(np.median(loss))
    if median > MOST_NATS and unit != "perplexity":
        notes.append(
            f"{table.file}: the median of {shown(column)} is {median:.4g}, and guessing among 163,000 words has 12 "
            f"nats a token: bits, sums or perplexities? divide bits by {1 / math.log(2):.4f}, take logarithms of "
            "perplexities"
        )
    return notes


def repeats(table: Table, names: tuple[str, ...], keys: list[Values], loss: Values | None) -> list[str]:
    """Say which rows are of one run and as many tokens, with losses that differ or are the same."""
    first: dict[tuple[object, ...], int] = {}
    same: list[tuple[int, int]] = []
    other: list[tuple[int, int]] = []
    for row in range(len(table.lines)):
        key = (names[row] if names else "", *(float(values[row]) for values in keys))
        before = first.setdefault(key, row)
        if before != row:
            (same if loss is None or loss[row] == loss[before] else other).append((before, row))
    notes = []
    what = "one run" if names else "one size"
    if other and loss is not None:
        a, b = other[0]
        notes.append(
            f"{table.file}, {table.place}s {table.lines[a]} and {table.lines[b]}: {what}{_called(names, a)} and as "
            f"many tokens, with losses {loss[a]:.6g} and {loss[b]:.6g} ({len(other)} such); --where picks one kind"
        )
    if same and loss is not None:
        a, b = same[0]
        notes.append(
            f"{table.file}, {table.place}s {table.lines[a]} and {table.lines[b]}: the same run{_called(names, a)}, "
            f"tokens and loss ({len(same)} such); each counts"
        )
    return notes


def _called(names: tuple[str, ...], row: int) -> str:
    return f" ({shown(names[row])})" if names and names[row] else ""


def _rows(rows: NDArray[np.int64]) -> str:
    return "1 row" if len(rows) == 1 else f"{len(rows)} rows"
