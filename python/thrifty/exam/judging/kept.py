"""Judgements that were made before, by the hash of what was asked and of whom."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from thrifty.errors import FormatError, LockedError
from thrifty.exam.asking.journal import line_of, values_of
from thrifty.exam.asking.results import MOST_BYTES
from thrifty.exam.judging.judgement import Judgement

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Kept"]

FORMAT, VERSION = "thrifty.exam.judgements", 1
#: Bytes of a line; longer ones are damaged. The first repeats the canary, with which a question's line is read too.
MOST_LINE = 2 * MOST_BYTES
_SAID = {"correct": bool, "answer": str, "reasoning": str, "confidence_percent": float | None}


class Kept:
    """A file of judgements, one process at a time; enter it.

    After the first line, one that is damaged is as if it were not there.

    Parameters
    ----------
    path : Path
        Made where it is not there, for its owner alone.
    canary : str
        Of the data set: stands at the file's beginning.

    Raises
    ------
    LockedError
        Where another process has it.
    FormatError
        Where what is there is another file, or of another version; it stays as it is.
    """

    def __init__(self, path: Path, canary: str = "") -> None:
        self.path = path
        self._found: dict[str, Judgement] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            head = line_of({"format": FORMAT, "version": VERSION, "canary": canary})
            last = self._read(head)
            if not last:
                self._write(head)
            elif not last.endswith(b"\n"):
                self._write(b"\n")
        except BlockingIOError:
            os.close(self._file)
            raise LockedError(f"{path}: another process grades this run; wait for it") from None
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _read(self, head: bytes) -> bytes:
        """Read what is there, which begins as head does; returns the last line."""
        with open(self._file, "rb", closefd=False) as file:
            last = file.readline(MOST_LINE)
            if not last.endswith(b"\n") and head.startswith(last):  # nothing, or cut off while it was begun
                os.ftruncate(self._file, 0)
                return b""
            self._begins(values_of(last) or {})
            while line := file.readline(MOST_LINE):
                last, values = line, values_of(line)
                if values is not None and _is_one(values):
                    self._found[values["key"]] = Judgement(**{name: values[name] for name in _SAID})
        return last

    def _begins(self, values: dict[str, Any]) -> None:
        if values.get("format") != FORMAT:
            raise FormatError(f"{self.path}, line 1: it does not begin as {FORMAT} does; move it elsewhere")
        if values.get("version") != VERSION:
            found = str(values.get("version"))[:20]
            raise FormatError(f"{self.path}: version {found!a}; this thrifty reads {VERSION}")

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.path)) from None

    def get(self, key: str) -> Judgement | None:
        """Return what was said under a key."""
        return self._found.get(key)

    def add(self, key: str, judgement: Judgement) -> None:
        """Keep a verdict; replies that are none are asked for again the next time."""
        if judgement.correct is None:
            return
        self._found[key] = replace(judgement, attempts=0)
        self._write(line_of({"key": key, **{name: getattr(judgement, name) for name in _SAID}}))


def _is_one(values: dict[str, Any]) -> bool:
    kinds = {"key": str, **_SAID}
    return all(name in values and isinstance(values[name], kind) for name, kind in kinds.items())
