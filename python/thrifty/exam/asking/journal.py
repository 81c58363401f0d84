"""The journal of a run: every answer, on disk before it counts (docs/formats.md)."""

from __future__ import annotations

import fcntl
import json
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from thrifty.errors import FormatError, JournalCorrupt, LockedError, ResumeMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CHECKED", "FORMAT", "VERSION", "Journal", "line_of", "values_of"]

FORMAT, VERSION = "thrifty.exam.journal", 1
#: What must be the same for a run to go on.
CHECKED = (
    "dataset_sha256",
    "epochs",
    "prompt_id",
    "prompt_sha256",
    "model",
    "parameters",
)
#: What became of a question.
STATUSES = ("answered", "length", "content_filter", "failed")
#: Fields of records, and what they are.
ANSWER: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "response", "status", "finish_reason", "error"), (str,)),
    **dict.fromkeys(("epoch", "attempts"), (int,)),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), (int, type(None))),
}
SPENT: dict[str, tuple[type, ...]] = {
    "session": (int,),
    "seconds": (float, int),
    "cpu_seconds": (float, int),
    "joules": (float, int, type(None)),
    "source": (str,),
}
#: Bytes of a line: an answer of the longest body, each of whose bytes is written as six.
MOST_BYTES = 64 << 20
_HEAD = 18
_BEGIN = re.compile(rb"[0-9a-f]{8} ([0-9a-f]{8}) \{")


def line_of(values: Mapping[str, Any]) -> bytes:
    """Return a line: CRC-32 and length of the JSON as 8 hexadecimal digits each, and the JSON."""
    text = json.dumps(values, allow_nan=False).encode()
    return b"%08x %08x %b\n" % (zlib.crc32(text), len(text), text)


def values_of(line: bytes) -> dict[str, Any] | None:
    """Return what a line holds, with its end or without; None where it is damaged or holds no object."""
    text = line[_HEAD:].rstrip(b"\n")
    if line[:_HEAD] != b"%08x %08x " % (zlib.crc32(text), len(text)):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


class Journal:
    """A file that records are added to, one process at a time.

    Parameters
    ----------
    path : path
        Made where it is not there. What is there must be of the same run; half a record at its end goes.
    manifest : mapping
        What is run; of an unfinished run the fields of ``CHECKED`` must be the same.

    Attributes
    ----------
    manifest : dict
        Of the run when it began.
    fresh : bool
        Whether it begins now.
    answers : dict
        Offset and bytes of the line of each (id, epoch); a failure is replaced by what comes later.
    failed : set
        Those that failed.
    spent : dict
        The last that each session said of time and energy, by its number.
    requests : int
        Made for all answers, those that were replaced among them.

    Raises
    ------
    LockedError
        Where another process has it.
    ResumeMismatch
        Where it is of another run; the message names the field and both values.
    JournalCorrupt
        Where a record before the last is damaged; the message names file and offset.
    """

    def __init__(self, path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.answers: dict[tuple[str, int], tuple[int, int]] = {}
        self.failed: set[tuple[str, int]] = set()
        self.spent: dict[int, dict[str, Any]] = {}
        self.requests = 0
        wanted: dict[str, Any] = json.loads(json.dumps(manifest))  # as one that is read: tuples are lists there
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(f"{self.path}: another run writes it; wait for it, or give another folder") from None
            self._length = 0
            self.manifest: dict[str, Any] = {}
            for offset, values in self._read():
                self._take(offset, values)
            self.fresh = not self.manifest
            os.ftruncate(self._file, self._length)
            os.lseek(self._file, self._length, os.SEEK_SET)
            if self.fresh:
                self.manifest = wanted
                self.write([{"kind": "run", "format": FORMAT, "version": VERSION, **wanted}])
                sync(self.path.parent)
            else:
                self._same(wanted)
        except BaseException:
            os.close(self._file)
            raise

    def _read(self) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
        """Yield place and content of whole records; ``_length`` is where they end."""
        with open(os.dup(self._file), "rb") as file:
            while line := file.readline(MOST_BYTES + 1):
                if not line.endswith(b"\n") and not self._damaged(line):
                    return
                text = line[_HEAD:-1]
                if line[:_HEAD] != b"%08x %08x " % (zlib.crc32(text), len(text)) or line[-1:] != b"\n":
                    if not self._length and not _BEGIN.match(line[: _HEAD + 1]):
                        raise JournalCorrupt(
                            f"{self.path}, offset 0: it is no journal of a run, or its head is damaged; "
                            "give another folder"
                        )
                    raise JournalCorrupt(
                        f"{self.path}, offset {self._length}: the record there is damaged; those before it are whole: "
                        f"cut the file to {self._length} bytes, and the same command asks again for what came after"
                    )
                yield (self._length, len(line)), self._values(text)
                self._length += len(line)

    @staticmethod
    def _damaged(tail: bytes) -> bool:
        """Whether what has no end of line is more than a record that was being written when all ended."""
        if len(tail) > MOST_BYTES:
            return True
        if len(tail) <= _HEAD:
            return _BEGIN.match(tail + b"00000000 00000000 {"[len(tail) :]) is None
        length = _BEGIN.match(tail)
        return length is None or len(tail) > _HEAD + int(length[1], 16)

    def _values(self, text: bytes) -> dict[str, Any]:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
            raise JournalCorrupt(f"{self.path}, offset {self._length}: it is no record of a run")
        return values

    def _take(self, place: tuple[int, int], values: dict[str, Any]) -> None:
        kind = values["kind"]
        if place[0] == 0:
            if values.get("format") != FORMAT:
                raise JournalCorrupt(f"{self.path}, offset 0: it is no journal of a run ({FORMAT})")
            if values.get("version") != VERSION:
                raise FormatError(f"{self.path}: version {values.get('version')}, this thrifty reads {VERSION}")
            self.manifest = {name: value for name, value in values.items() if name not in ("kind", "format", "version")}
        elif not _whole(values):
            raise JournalCorrupt(f"{self.path}, offset {place[0]}: {kind!r} is no record of a run")
        elif kind == "answer":
            key = values["id"], values["epoch"]
            self.requests += values["attempts"]
            if key not in self.answers or key in self.failed:
                self.answers[key] = place
                (self.failed.add if values.get("status") == "failed" else self.failed.discard)(key)
        else:
            self.spent[values["session"]] = values

    def _same(self, manifest: Mapping[str, Any]) -> None:
        for name in CHECKED:
            before, now = self.manifest.get(name), manifest.get(name)
            if before != now:
                raise ResumeMismatch(
                    f"{self.path}: {name} of the run in it is {before}, here it is {now}; give another folder"
                )

    def write(self, records: list[dict[str, Any]]) -> None:
        """Add records, and wait until they are on disk.

        Raises
        ------
        OSError
            Where that can't be; records before these are kept.
        """
        self.append([(values, line_of(values)) for values in records])

    def append(self, records: list[tuple[dict[str, Any], bytes]]) -> None:
        """Add records with their lines, as :meth:`write` does: a thread that calls it leaves the interpreter alone.

        Records that are on disk leave the list, also where others raise. One that could not be read again is a
        ValueError, and nothing is written.
        """
        for values, line in records:
            if len(line) > MOST_BYTES or not (_whole(values) or (values.get("kind") == "run" and not self._length)):
                raise ValueError(f"{self.path}: a record of {len(line):,} bytes is none that could be read again")
        data = b"".join(line for _, line in records)
        there, error = self._put(data)
        whole = there if error is None else self._cut(data[:there].rfind(b"\n") + 1)
        taken, end = 0, 0
        for values, line in records:
            if end + len(line) > whole:
                break
            if self._length:
                self._take((self._length, len(line)), values)
            self._length += len(line)
            end += len(line)
            taken += 1
        del records[:taken]
        if error is not None:
            why = f"{error.strerror}; all answers before are kept, the same command goes on once that is put right"
            raise OSError(error.errno, why, str(self.path)) from None

    def _put(self, data: bytes) -> tuple[int, OSError | None]:
        """Write and sync; returns how many bytes are there, and what went wrong."""
        there = 0
        try:
            while there < len(data):
                there += os.write(self._file, memoryview(data)[there:])
        except OSError as error:
            return there, error
        try:
            os.fsync(self._file)
        except OSError as error:  # the next one may say nothing of what this one lost
            return 0, error
        return there, None

    def _cut(self, whole: int) -> int:
        """Leave so many bytes of a write that failed, or none where these can't be synced; returns how many."""
        for length in (whole, 0):
            with suppress(OSError):
                os.ftruncate(self._file, self._length + length)
                os.lseek(self._file, self._length + length, os.SEEK_SET)
                os.fsync(self._file)
                return length
        return 0

    def read(self, key: tuple[str, int]) -> dict[str, Any]:
        """Return the answer of an (id, epoch) that is on disk."""
        offset, length = self.answers[key]
        values: dict[str, Any] = json.loads(os.pread(self._file, length, offset)[_HEAD:])
        return values

    def close(self) -> None:
        """Let other processes have it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole(values: Mapping[str, Any]) -> bool:
    """Whether it is a record that a run adds."""
    if values.get("kind") == "answer":
        return _typed(values, ANSWER) and values["status"] in STATUSES
    return values.get("kind") == "spent" and _typed(values, SPENT)


def _typed(values: Mapping[str, Any], kinds: dict[str, tuple[type, ...]]) -> bool:
    return all(name in values and type(values[name]) in kind for name, kind in kinds.items())


def sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
