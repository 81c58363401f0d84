"""The journal of a device: the values found on it, on disk before the first one is changed.

Standard library alone: the process that restores loads nothing else. docs/formats.md has the format.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thrifty.errors import FormatError, JournalCorrupt

__all__ = [
    "Found",
    "Journal",
    "Owner",
    "boot_id",
    "holder",
    "journals",
    "lock",
    "machine_id",
    "namespace",
    "state_folder",
    "sync",
]

FORMAT, VERSION = "thrifty.throttle.journal", 1
#: No journal is near this size; a file that is larger is none.
MOST_BYTES = 1 << 20


def state_folder() -> Path:
    """Where journals are: $THRIFTY_STATE, $XDG_STATE_HOME/thrifty or ~/.local/state/thrifty."""
    if given := os.environ.get("THRIFTY_STATE"):
        return Path(given).absolute()
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given).absolute() / "thrifty"
    return Path.home() / ".local" / "state" / "thrifty"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def boot_id() -> str:
    """Return what tells this boot from all others; empty where the kernel does not say."""
    return _text("/proc/sys/kernel/random/boot_id")


def machine_id() -> str:
    """Return what tells this machine from others that share a home folder; empty where nothing says."""
    return _text("/etc/machine-id")


def namespace() -> int:
    """Return what tells this process's ids from those of containers with ids of their own; 0 where nothing says."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


@dataclass(frozen=True)
class Owner:
    """A process: its id, when it began in the kernel's ticks, since ids are given again, and whose ids they are."""

    pid: int
    start: int
    namespace: int = 0

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        return cls(os.getpid(), cls._start(os.getpid()) or 0, namespace())

    def here(self) -> bool:
        """Whether its id means the same process to this one."""
        return self.namespace in {0, namespace()}

    @staticmethod
    def _start(pid: int) -> int | None:
        """When a process began; None where there is none, or only its body."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in b"ZX" else int(fields[19])

    def alive(self) -> bool:
        """Whether the process runs, or may run: one of another namespace can't be seen."""
        if not self.here():
            return True
        if sys.platform == "linux":
            return self._start(self.pid) == self.start
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


@dataclass(frozen=True)
class Found:
    """A value that was found: what it lies in, as its backend names it, and the value as JSON has it."""

    handle: str
    value: Any


@dataclass(frozen=True)
class Journal:
    """What was found on a device, and by whom."""

    device: str
    backend: str
    owner: Owner
    boot: str
    machine: str
    found: tuple[Found, ...]

    @staticmethod
    def place(folder: Path, device: str) -> Path:
        """Return the file of a device."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", device)[:24].strip("-")
        key = hashlib.sha256(f"{machine_id()}\n{device}".encode()).hexdigest()[:16]
        return folder / f"{name}-{key}.journal"

    def write(self, path: Path) -> None:
        """Write beside the file, sync, rename, sync the folder; an OSError leaves the file as it was."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "device": self.device,
            "backend": self.backend,
            "pid": self.owner.pid,
            "start": self.owner.start,
            "namespace": self.owner.namespace,
            "boot": self.boot,
            "machine": self.machine,
            "found": len(self.found),
        }
        lines = [head, *({"handle": one.handle, "value": one.value} for one in self.found)]
        data = b"".join(map(_line, lines))
        partial = path.with_name(f"{path.name}.{self.owner.pid}.partial")
        try:
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                while data:
                    data = data[os.write(file, data) :]
                os.fsync(file)
            finally:
                os.close(file)
            partial.replace(path)
            sync(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OSError(
                error.errno, f"{error.strerror}; the journal can't be written, so nothing is set", str(path)
            ) from None

    @classmethod
    def read(cls, path: Path) -> tuple[Journal | None, list[str]]:
        """Return what can be read, and what is wrong with the rest, one text a fault.

        Lines are checked one by one, so of a damaged journal those that are whole still count.

        Raises
        ------
        FileNotFoundError
            Where there is none.
        FormatError
            For one of a newer version.
        JournalCorrupt
            For a file that somebody else could have written.
        """
        rows = _rows(_bytes(path))
        head = rows.get(1)
        if head is None or head.get("format") != FORMAT:
            return None, ["line 1: it is not the first line of a journal"]
        if isinstance(version := head.get("version"), int) and version > VERSION:
            raise FormatError(
                f"{path}: version {version}; this thrifty reads up to {VERSION}: restore with a newer one"
            )
        head.setdefault("namespace", 0)
        texts, numbers = ("device", "backend", "boot", "machine"), ("pid", "start", "namespace", "found")
        if not all(isinstance(head.get(name), str) for name in texts) or not all(
            type(head.get(name)) is int for name in numbers
        ):
            return None, ["line 1: a field is missing"]
        found, lost = [], []
        for line in range(2, min(head["found"], MOST_BYTES) + 2):
            row = rows.get(line, {})
            if isinstance(row.get("handle"), str) and "value" in row:
                found.append(Found(row["handle"], row["value"]))
            else:
                lost.append(line)
        faults = [f"{len(lost)} of {head['found']} values can't be read, the first in line {lost[0]}"] if lost else []
        owner = Owner(head["pid"], head["start"], head["namespace"])
        return cls(head["device"], head["backend"], owner, head["boot"], head["machine"], tuple(found)), faults


def _line(fields: dict[str, Any]) -> bytes:
    text = json.dumps(fields, allow_nan=False).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _rows(data: bytes) -> dict[int, dict[str, Any]]:
    """Lines that are whole, by number from 1."""
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        check, _, text = line.partition(b" ")
        if check != b"%08x" % zlib.crc32(text):
            continue
        with contextlib.suppress(ValueError, RecursionError):
            fields = json.loads(text)
            if isinstance(fields, dict):
                rows[number] = fields
    return rows


def _bytes(path: Path) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise JournalCorrupt(
                f"{path}: others than this user can write it, so its values are not put back; look, then delete it"
            )
        return os.read(file, MOST_BYTES)
    finally:
        os.close(file)


def sync(folder: Path) -> None:
    """Have the names in a folder on disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def journals(folder: Path) -> list[Path]:
    """Return the journals in a folder, in the order of their names."""
    return sorted(folder.glob("*.journal"))


def lock(journal: Path) -> int | None:
    """Take the lock beside a journal; returns its descriptor, or None while somebody else has it.

    The kernel lets it go when its process ends, in whatever way.
    """
    file = os.open(journal.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:
        os.close(file)
        raise
    return file


def holder(journal: Path) -> int | None:
    """Return the process that took the lock beside a journal last; None where that can't be told."""
    pid = _text(str(journal.with_suffix(".lock")))
    return int(pid) if pid.isdecimal() and len(pid) < 20 else None
