"""Holding a device: alone, with what was found on it in a journal, and a watchdog that puts it back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from thrifty.errors import DeviceBusy, NotPermitted, ThriftyError
from thrifty.throttle import exits
from thrifty.throttle.journal import Found, Journal, Owner, boot_id, holder, lock, machine_id, state_folder
from thrifty.throttle.restore import finish, handles, recover
from thrifty.throttle.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Hold"]

_watchdogs: dict[str, Watchdog] = {}
_holds: set[Hold] = set()


class Hold:
    """The right to change a device, and the duty to put it back.

    Parameters
    ----------
    device : str
        Its id.
    backend : str
        Who knows its handles.
    """

    def __init__(self, device: str, backend: str) -> None:
        self.device, self.backend = device, backend
        self._handles = handles(backend)
        self._found: dict[str, Any] = {}
        self._lock: int | None = None
        self._written = False
        self._path = Journal.place(state_folder(), device)

    def write(self, wanted: Iterable[tuple[str, Any]]) -> None:
        """Write values in their order; what was found where they go is on disk before the first one goes.

        A value that is there already is not written. On an error the values before it are written, and
        :meth:`release` puts them back.

        Raises
        ------
        DeviceBusy
            Where another process, or another object of this one, holds the device.
        OSError
            Where the journal can't be written: nothing is set.
        NotPermitted, DeviceLost
            As the backend says.
        """
        with exits.section():
            pending = []
            for handle, value in wanted:
                now = self._handles.get(handle)
                if value is None or now != value:
                    pending.append((handle, now, value))
            if not pending:
                return
            try:
                self._keep([(handle, now) for handle, now, _ in pending])
                for handle, _, value in pending:
                    self._put(handle, value)
            except (ThriftyError, OSError):
                if not self._written:
                    self._let_go(delete=True)
                raise

    def _put(self, handle: str, value: Any) -> None:
        before, self._written = self._written, True
        try:
            self._handles.put(handle, value)
        except NotPermitted:
            self._written = before
            raise

    def release(self) -> None:
        """Put back what was found and let the device go; nothing where it is not held.

        Raises
        ------
        NotRestored
            Where something could not be put back: the device stays held and its journal where it is.
        """
        with exits.section():
            if self._lock is None:
                return
            finish(self._path, self._journal())
            self._let_go(delete=False)

    def _journal(self) -> Journal:
        found = tuple(Found(handle, value) for handle, value in self._found.items())
        return Journal(self.device, self.backend, Owner.me(), boot_id(), machine_id(), found)

    def _keep(self, found: list[tuple[str, Any]]) -> None:
        """Hold the device, and have these values in its journal."""
        if self._lock is None:
            self._take()
        state = str(self._path.parent)
        if state in _watchdogs and not _watchdogs[state].alive():
            _watchdogs.pop(state).stop()
        if state not in _watchdogs:
            _watchdogs[state] = Watchdog(self._path.parent)
        new = {handle: value for handle, value in found if handle not in self._found}
        if not new:
            return
        before = dict(self._found)
        self._found.update(new)
        try:
            self._journal().write(self._path)
        except OSError:
            self._found = before
            raise

    def _take(self) -> None:
        self._path = Journal.place(state_folder(), self.device)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        left_behind(self._path, self.device)
        self._lock = lock(self._path)
        if self._lock is None:
            raise DeviceBusy(f"{self.device}: {holder(self._path)} holds it ({self._path}); end that, and try again")
        for partial in self._path.parent.glob(f"{self._path.name}.*.partial"):
            partial.unlink(missing_ok=True)  # of a process that was killed while it wrote
        _holds.add(self)
        exits.add(self, self.release)

    def _let_go(self, *, delete: bool) -> None:
        if self._lock is None:
            return
        if delete:
            self._path.unlink(missing_ok=True)
        self._found.clear()
        self._written = False
        self._drop()
        exits.remove(self)
        state = str(self._path.parent)
        if not any(str(hold._path.parent) == state for hold in _holds) and state in _watchdogs:
            _watchdogs.pop(state).stop()

    def _drop(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
        _holds.discard(self)


def left_behind(path: Path, device: str) -> None:
    """Put back what a process left that is gone, before its values are taken for those that were found."""
    for one in recover(path.parent, only=device):
        if one.error is not None:
            raise one.error


def _forked() -> None:
    """In a forked child the devices are its parent's."""
    for hold in list(_holds):
        hold._drop()
        hold._found.clear()
    for watchdog in _watchdogs.values():
        watchdog.close()
    _watchdogs.clear()


os.register_at_fork(after_in_child=_forked)
