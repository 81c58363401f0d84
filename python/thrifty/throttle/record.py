"""The record of a search: a line a setting, on disk before the next one is asked for (docs/formats.md)."""

from __future__ import annotations

import fcntl
import json
import math
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from thrifty.errors import JournalCorrupt, LockedError, ResumeMismatch, ThriftyError
from thrifty.throttle.evaluation import Constraint, Evaluation
from thrifty.throttle.space import Knob, Space

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from thrifty.throttle.tuner import Tuner

__all__ = ["Record", "read"]

FORMAT, VERSION = "thrifty.throttle.record", 1
#: Longer lines are no evaluations, and more bytes no record.
MOST_BYTES = 1 << 28


def line_of(values: dict[str, Any]) -> str:
    """Return a line: JSON whose last field is the CRC-32 of the line without it."""
    text = json.dumps(values, allow_nan=False)
    return f'{text[:-1]}, "crc": "{zlib.crc32(text.encode()):08x}"}}\n'


def values_of(line: str) -> dict[str, Any] | None:
    """Return what a line holds; None where it is damaged."""
    head, mark, tail = line.rstrip("\n").rpartition(', "crc": "')
    text = head + "}"
    if not mark or len(tail) != 10 or tail[8:] != '"}' or f"{zlib.crc32(text.encode()):08x}" != tail[:8]:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def heading(tuner: Tuner, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search was started with."""
    space, knobs = tuner.space, tuner.space.knobs
    return {
        "format": FORMAT,
        "version": VERSION,
        "objective": tuner.objective,
        "seed": tuner.seed,
        "knobs": [{**asdict(knob), "values": list(knob.values)} for knob in knobs],
        # Where not all combinations are there: which of its values each knob has.
        "settings": None if len(space) == math.prod(len(knob.values) for knob in knobs) else space.levels.tolist(),
        "constraints": [asdict(constraint) for constraint in tuner.constraints],
        "groups": tuner.groups,
        "prior": tuner.prior_key,
        "about": dict(about),
    }


class Record:
    """A file that evaluations are added to, one process at a time.

    Parameters
    ----------
    path : path
        Made where it is not there. One that is must be of the same search; half a line at its end goes.
    tuner : Tuner
        Whose search it is.
    about : mapping
        What else must be the same for it to be of the same search.

    Raises
    ------
    LockedError
        Where another process has it.
    ResumeMismatch
        Where it is of another search; the message names what differs.
    JournalCorrupt
        Where a line before the last is damaged.
    """

    def __init__(self, path: str | PathLike[str], tuner: Tuner, about: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self._file = open(self.path, "a+b", opener=lambda p, flags: os.open(p, flags, 0o600))  # noqa: SIM115 - closed by close
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(f"{self.path}: another search writes it; wait for it, or give another file") from None
            if self.path.stat().st_size:
                lines, length = _lines(self.path)
                _same(self.path, lines[0], heading(tuner, about or {}))
                os.truncate(self.path, length)
            else:
                self._write(heading(tuner, about or {}))
        except BaseException:
            self._file.close()
            raise

    def add(self, evaluation: Evaluation) -> None:
        """Write an evaluation, and wait until it is on disk."""
        self._write(asdict(evaluation))

    def _write(self, values: dict[str, Any]) -> None:
        try:
            self._file.write(line_of(values).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.path)) from None

    def close(self) -> None:
        """Let other processes have it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: str | PathLike[str]) -> tuple[dict[str, Any], list[Evaluation]]:
    """Return what a search was started with, as arguments of a tuner, and its evaluations.

    Raises
    ------
    JournalCorrupt
        The message names the line.
    """
    lines, _ = _lines(Path(path))
    head = lines[0]
    try:
        knobs = [Knob(**{**knob, "values": _listed(knob["values"])}) for knob in head["knobs"]]
        chosen = head["settings"]
        settings = chosen and [
            {knob.name: knob.values[level] for knob, level in zip(knobs, row, strict=True)} for row in chosen
        ]
        space = Space(knobs, settings)
        arguments = {
            "space": space,
            "objective": _text(head["objective"]),
            "constraints": [Constraint(**constraint) for constraint in head["constraints"]],
            "seed": _seed(head["seed"]),
            "groups": head["groups"]
            and [[_text(name) for name in _listed(group)] for group in _listed(head["groups"])],
        }
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ThriftyError) as error:
        raise JournalCorrupt(f"{path}, line 1: it is no record of a search: {_why(error)}") from None
    evaluations = []
    for number, line in enumerate(lines[1:], 2):
        try:
            evaluations.append(_evaluation(line, space))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalCorrupt(f"{path}, line {number}: it is no evaluation: {_why(error)}") from None
    return {**arguments, "prior_key": head.get("prior"), "about": head.get("about")}, evaluations


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"seed {value!r} is no whole number of at least 0")
    return value


def _evaluation(line: dict[str, Any], space: Space) -> Evaluation:
    found = Evaluation(**line)
    space.index(found.setting)
    if not isinstance(found.feasible, bool) or not isinstance(found.effective, dict):
        raise TypeError("feasible or effective is not what it should be")
    for name, value in found.measured.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise TypeError(f"measured: {name} is {value!r}, no number")
    if not _text(found.failed) and not found.measured:
        raise ValueError("nothing was measured, and it did not fail")
    return found


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of a file, and how many bytes they are."""
    if path.stat().st_size > MOST_BYTES:
        raise JournalCorrupt(f"{path}: {path.stat().st_size:,} bytes are no record of a search")
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(whole.splitlines(keepends=True), 1):
        values = values_of(line.decode("utf-8", "replace"))
        if values is None:
            raise JournalCorrupt(f"{path}, line {number}: it is damaged; lines before it are whole, cut it there")
        found.append(values)
    if not found or found[0].get("format") != FORMAT:
        raise JournalCorrupt(f"{path}, line 1: it is no record of a search ({FORMAT})")
    if found[0].get("version") != VERSION:
        raise JournalCorrupt(f"{path}, line 1: version {found[0].get('version')}, this thrifty reads {VERSION}")
    return found, len(whole)


def _same(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    for name, value in json.loads(json.dumps(here)).items():
        if there.get(name) != value:
            raise ResumeMismatch(
                f"{path}: {name} of the search in it is {there.get(name)}, here it is {value}; start with another file"
            )
