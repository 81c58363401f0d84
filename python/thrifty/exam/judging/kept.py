"""Judgements that were made before, by the hash of what was asked and of whom."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from thrifty.errors import LockedError
from thrifty.exam.journal import line_of, values_of
from thrifty.exam.judging.judgement import Judgement

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Kept"]

FORMAT, VERSION = "thrifty.exam.judgements", 1
#: Bytes of a line; longer ones are damaged.
MOST_LINE = 1 << 20


class Kept:
    """A file of judgements, one process at a time; enter it. A line that is damaged is as if it were not there.

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
    """

    def __init__(self, path: Path, canary: str = "") -> None:
        self.path = path
        self._found: dict[str, Judgement] = {}
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise LockedError(f"{path}: another process grades this run; wait for it") from None
        self._read()
        if not self._file.tell():
            self._file.write(line_of({"format": FORMAT, "version": VERSION, "canary": canary}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _read(self) -> None:
        last = b"\n"
        while line := self._file.readline(MOST_LINE):
            last = line
            values = values_of(line)
            if values is not None and _is_one(values):
                self._found[values["key"]] = Judgement(
                    values["correct"], values["answer"], values["reasoning"], values["confidence_percent"]
                )
        if not last.endswith(b"\n"):
            self._file.write(b"\n")

    def get(self, key: str) -> Judgement | None:
        """Return what was said under a key."""
        return self._found.get(key)

    def add(self, key: str, judgement: Judgement) -> None:
        """Keep a verdict; replies that are none are asked for again the next time."""
        if judgement.correct is None:
            return
        self._found[key] = replace(judgement, attempts=0)
        values = {
            "key": key,
            "correct": judgement.correct,
            "answer": judgement.answer,
            "reasoning": judgement.reasoning,
            "confidence_percent": judgement.confidence_percent,
        }
        try:
            self._file.write(line_of(values))
            self._file.flush()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.path)) from None


def _is_one(values: dict[str, Any]) -> bool:
    kinds = {"key": str, "correct": bool, "answer": str, "reasoning": str, "confidence_percent": float | None}
    return all(isinstance(values.get(name), kind) for name, kind in kinds.items())
