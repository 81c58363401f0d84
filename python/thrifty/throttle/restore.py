"""Putting back what was found, by the process that changed it, by its watchdog, or by any later command.

Standard library alone: the process that restores loads nothing else.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from thrifty.errors import DeviceBusy, FormatError, JournalCorrupt, NotRestored, ThriftyError
from thrifty.throttle.journal import Journal, Owner, boot_id, holder, journals, lock, machine_id, state_folder, sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Handles", "Recovered", "finish", "handles", "put_back", "recover", "restore_held"]

_MODULES = {"files": "thrifty.throttle.backends.sysfs", "nvml": "thrifty.throttle.backends.nvml_handles"}
#: Values that bound each other, as least and largest clocks, go back in two rounds whatever their order.
ROUNDS = 3
#: Seconds that another process may take to restore a device.
PATIENCE = 5.0
#: Seconds in which the kernel lets go what a dead process had.
GRACE = 0.2


class Handles(Protocol):
    """What a backend's module has: reading and writing a value by its handle."""

    def get(self, handle: str) -> Any:
        """Read a value; None where nothing tells it."""

    def put(self, handle: str, value: Any) -> None:
        """Write a value; None is what the driver has where nobody set anything."""


def handles(backend: str) -> Handles:
    """Return the module of a backend.

    Raises
    ------
    FormatError
        For a backend that there is not.
    """
    if backend not in _MODULES:
        raise FormatError(f"the backend {backend!r} is none of {', '.join(_MODULES)}")
    module: Any = import_module(_MODULES[backend])
    return module  # type: ignore[no-any-return]


def put_back(journal: Journal) -> list[str]:
    """Write what was found, last found first; returns what could not be put back, a text each."""
    try:
        backend = handles(journal.backend)
    except (FormatError, ImportError) as error:
        return [f"nothing: {error}"]
    left = list(reversed(journal.found))
    why: dict[str, str] = {}
    for _ in range(ROUNDS):
        for one in left:
            why[one.handle] = _put_one(backend, one.handle, one.value)
        left = [one for one in left if why[one.handle]]
        if not left:
            break
    return [f"{one.handle} = {one.value!r} ({why[one.handle]})" for one in left]


def _put_one(backend: Handles, handle: str, value: Any) -> str:
    try:
        if value is not None and backend.get(handle) == value:
            return ""
        backend.put(handle, value)
        if value is not None and (now := backend.get(handle)) != value:
            return f"it is {now!r} after writing"
    except (ThriftyError, OSError) as error:
        return str(error)
    return ""


def finish(path: Path, journal: Journal) -> None:
    """Put back and delete the journal.

    Raises
    ------
    NotRestored
        Where something could not be put back: all else is, and the journal stays.
    """
    if left := put_back(journal):
        raise NotRestored(
            f"{path}: not put back: {'; '.join(left)}; all else is as it was found, and the journal stays for another"
            " `thrifty throttle restore`"
        )
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        sync(path.parent)


@dataclass(frozen=True)
class Recovered:
    """What was done about a journal: "restored", "rebooted" (nothing to restore any more), "in use" or "failed"."""

    device: str
    journal: Path
    outcome: str
    values: int = 0
    error: Exception | None = None


def recover(
    folder: Path | None = None, *, only: str | None = None, dead: Callable[[Journal], bool] | None = None
) -> list[Recovered]:
    """Put back what processes left that are gone.

    Parameters
    ----------
    folder : path, optional
        Where journals are; :func:`~thrifty.throttle.journal.state_folder` by default.
    only : str, optional
        The id of one device.
    dead : callable, optional
        Says of a journal whether its owner is gone; by default its process id and start are looked up, or its lock
        where the id is another namespace's.

    Returns
    -------
    list of Recovered
        One a journal of this machine. Faults are in them, so that one does not keep others from being restored.
    """
    folder = folder or state_folder()
    paths = journals(folder) if only is None else [Journal.place(folder, only)]
    done = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            one = _recover_one(path, dead or _gone)
            if one is not None:
                done.append(one)
    return done


def _recover_one(path: Path, dead: Callable[[Journal], bool]) -> Recovered | None:
    try:
        journal, faults = Journal.read(path)
        if journal is None:
            raise _corrupt(path, faults, 0)
        if journal.machine != machine_id():
            return None
        held = lock(path) if dead is _gone and not journal.owner.here() else None
        if held is None:
            if not dead(journal):
                return Recovered(journal.device, path, "in use", len(journal.found))
            held = _patiently(path, journal.owner)
    except FileNotFoundError:
        raise
    except (ThriftyError, OSError) as error:
        return Recovered("", path, "failed", error=error)
    try:
        return restore_held(path, journal.owner)
    except FileNotFoundError:
        return None
    except (ThriftyError, OSError) as error:
        return Recovered(journal.device, path, "failed", len(journal.found), error)
    finally:
        if held is not None:
            os.close(held)


def _gone(journal: Journal) -> bool:
    return not journal.owner.alive()


def _patiently(path: Path, owner: Owner) -> int | None:
    """Take the lock, which a dying process or another that restores may still have for a moment.

    None where a child has it that the dead owner left, and that knows nothing of it.
    """
    begun = time.monotonic()
    while (held := lock(path)) is None:
        waited = time.monotonic() - begun
        if waited > GRACE and holder(path) == owner.pid:
            return None
        if waited > PATIENCE:
            raise DeviceBusy(f"{path}: its owner is gone, and another process holds its lock; end it, and try again")
        time.sleep(0.005)
    return held


def restore_held(path: Path, owner: Owner | None = None) -> Recovered | None:
    """Restore what a process left, under the lock; None where the journal is another process's by now.

    Raises
    ------
    FileNotFoundError
        Where there is no journal any more.
    JournalCorrupt, NotRestored
        As :func:`recover` has them.
    """
    journal, faults = Journal.read(path)
    if journal is None:
        raise _corrupt(path, faults, 0)
    if owner not in {None, journal.owner}:
        return None
    if journal.boot != boot_id():
        path.unlink(missing_ok=True)  # a boot resets clocks and limits
        return Recovered(journal.device, path, "rebooted", len(journal.found))
    if faults:
        left = put_back(journal)
        raise _corrupt(path, faults + left, len(journal.found) - len(left))
    finish(path, journal)
    return Recovered(journal.device, path, "restored", len(journal.found))


def _corrupt(path: Path, faults: list[str], kept: int) -> JournalCorrupt:
    return JournalCorrupt(
        f"{path}: {'; '.join(faults)}; {kept} values were put back; set the others by hand or boot anew, then delete it"
    )
