"""Traces: when requests come, how long their prompts are, and how many ids they get."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import DatasetError
from thrifty.specdec._arrays import integers

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

__all__ = ["Trace"]

#: Columns that files have: of the time, of prompts, of what follows them.
COLUMNS = (
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    ("arrived_at", "num_prefill_tokens", "num_decode_tokens"),
    ("at_ms", "prompt", "new"),
)
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Trace:
    """Requests in the order of their arrivals.

    Parameters
    ----------
    at_ms : array of float, shape (n,)
        Milliseconds from the beginning; they do not descend.
    prompt, new : array of int, shape (n,)
        Ids of each prompt, and those that follow it; at least 1.

    Raises
    ------
    ValueError
        When the arrays are not so.

    Examples
    --------
    >>> trace = Trace([0.0, 5.0], [100, 20], [30, 40])
    >>> len(trace), int(trace.new.sum())
    (2, 70)
    """

    at_ms: NDArray[np.float64]
    prompt: NDArray[np.uint32]
    new: NDArray[np.uint32]

    def __post_init__(self) -> None:
        at_ms: Any = np.ascontiguousarray(self.at_ms, np.float64)
        lengths = {name: integers(getattr(self, name), name, np.uint32, 1) for name in ("prompt", "new")}
        if at_ms.ndim != 1 or not len(at_ms):
            raise ValueError(f"at_ms: shape {at_ms.shape}; one number of each request, and at least one, is needed")
        if not np.isfinite(at_ms).all() or at_ms[0] < 0 or (np.diff(at_ms) < 0).any():
            raise ValueError("at_ms: these are not finite numbers from 0 on that do not descend")
        for name, found in lengths.items():
            if found.shape != at_ms.shape:
                raise ValueError(f"{name}: shape {found.shape}; {at_ms.shape}, as at_ms has, is needed")
            if not found.all():
                raise ValueError(f"{name}: 0 of request {int(np.argmin(found))}; at least 1 is needed")
        object.__setattr__(self, "at_ms", at_ms)
        for name, found in lengths.items():
            object.__setattr__(self, name, found)

    def __len__(self) -> int:
        return len(self.at_ms)

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Trace:
        """Read a CSV file with a header.

        Parameters
        ----------
        path : path
            Its columns are ``TIMESTAMP,ContextTokens,GeneratedTokens`` (Azure's traces; time stamps of any day),
            ``arrived_at,num_prefill_tokens,num_decode_tokens`` (seconds) or ``at_ms,prompt,new``; others are left out.

        Returns
        -------
        Trace
            Times count from the first.

        Raises
        ------
        DatasetError
            With file and line, for a line that is none.
        OSError
            When it can't be read.
        """
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                return _read(path, csv.reader(file))
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}: no text in UTF-8 ({error.reason}); a CSV file is needed") from None

    def faster(self, speed: float | None) -> Trace:
        """Return the same requests, coming so many times as fast; None: all of them wait from the beginning."""
        if speed is not None and not (speed > 0 and np.isfinite(speed)):
            raise ValueError(f"speed: {speed} is not a number above 0; None lets all wait from the beginning")
        return Trace(np.zeros_like(self.at_ms) if speed is None else self.at_ms / speed, self.prompt, self.new)


def _read(path: Path, lines: Any) -> Trace:
    heads = [head.strip() for head in next(lines, [])]
    names = next((names for names in COLUMNS if set(names) <= set(heads)), None)
    if names is None:
        known = "; ".join(",".join(names) for names in COLUMNS)
        raise DatasetError(f"{path}, line 1: columns {','.join(heads)!r}; one of these sets is needed: {known}")
    when, *lengths = (heads.index(name) for name in names)
    scale = {"TIMESTAMP": None, "arrived_at": 1e3, "at_ms": 1.0}[names[0]]
    rows: list[tuple[float, int, int]] = []
    while True:
        try:
            row = next(lines, None)
        except csv.Error as error:
            raise DatasetError(f"{path}, line {lines.line_num}: {error}") from None
        if row is None:
            break
        where = f"{path}, line {lines.line_num}"
        if not row:
            continue
        if len(row) != len(heads):
            raise DatasetError(f"{where}: {len(row)} fields, the header has {len(heads)}")
        try:
            ms = _stamp(row[when]) if scale is None else scale * float(row[when])
        except ValueError:
            raise DatasetError(f"{where}: {names[0]} is {row[when]!r}; a time is needed") from None
        if not np.isfinite(ms) or (rows and ms < rows[-1][0]):
            raise DatasetError(f"{where}: {names[0]} is {row[when]!r}, before the line above; sort the file by time")
        prompt, new = (_length(row[at], name, where) for at, name in zip(lengths, names[1:], strict=True))
        rows.append((ms, prompt, new))
    if not rows:
        raise DatasetError(f"{path}: no request behind the header")
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Trace(columns[0] - columns[0][0], columns[1], columns[2])


def _stamp(text: str) -> float:
    """Milliseconds; stamps have up to seven digits behind the second, datetime knows six."""
    text = text.strip()
    point = text.find(".", 10)
    end = point + 1
    while point >= 0 and end < len(text) and text[end].isdigit():
        end += 1
    stamp = datetime.fromisoformat(text if point < 0 else text[:point] + text[end:])
    offset = stamp.utcoffset()
    ms = 1e3 * (stamp.replace(tzinfo=None) - _EPOCH).total_seconds()
    ms += 0.0 if point < 0 or end == point + 1 else 1e3 * float("0" + text[point:end])
    return ms - (0.0 if offset is None else 1e3 * offset.total_seconds())


def _length(text: str, name: str, where: str) -> int:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not (1 <= found < 1 << 31 and found == int(found)):
        raise DatasetError(f"{where}: {name} is {text!r}; a whole number of at least 1 is needed")
    return int(found)
