"""Holding a device: alone, with what was found on it in a journal, and a watchdog that puts it back."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from thrifty.errors import DeviceBusy, NotPermitted, ThriftyError
from thrifty.throttle import exits
from thrifty.throttle.journal import Found, Journal, Owner, boot_id, holder, lock, machine_id, state_folder
from thrifty.throttle.restore import finish, handles, recover, restore_held
from thrifty.throttle.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
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

    def write(self, wanted: Callable[[], list[tuple[str, Any]]]) -> None:
        """Write values in their order; what was found where they go is on disk before the first one goes.

        A value that is there already is not written. On an error the values before it are written, and
        :meth:`release` puts them back.

        Parameters
        ----------
        wanted : callable
            Returns handles and values; called when what a dead process may have left is put back, since their order
            can depend on what is set.

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
            if self._lock is None:
                path = Journal.place(state_folder(), self.device)
                if not path.exists() and not self._pending(wanted()):
                    return
                self._take(path)
            try:
                pending = self._pending(wanted())
                self._keep([(handle, now) for handle, now, _ in pending])
                for handle, _, value in pending:
                    self._put(handle, value)
            except (ThriftyError, OSError):
                if not self._written:
                    self._let_go(delete=True)
                raise
            if not self._found:
                self._let_go(delete=False)

    def _pending(self, wanted: list[tuple[str, Any]]) -> list[tuple[str, Any, Any]]:
        """Return handles, values that are there, and values that are to be: where they differ, or nothing tells."""
        found = [(handle, self._handles.get(handle), value) for handle, value in wanted]
        return [(handle, now, value) for handle, now, value in found if value is None or now != value]

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
        """Have these values in the journal, and a watchdog."""
        new = {handle: value for handle, value in found if handle not in self._found}
        if not new and not self._found:
            return
        state = str(self._path.parent)
        if state in _watchdogs and not _watchdogs[state].alive():
            _watchdogs.pop(state).stop()
        if state not in _watchdogs:
            _watchdogs[state] = Watchdog(self._path.parent)
        if not new and self._path.exists():
            return
        before = dict(self._found)
        self._found.update(new)
        try:
            self._journal().write(self._path)
        except OSError:
            self._found = before
            raise

    def _take(self, path: Path) -> None:
        """Hold the device, when what a process left that is gone is put back: its values are not what was found."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for one in recover(path.parent, only=self.device):
            if one.error is not None:
                raise one.error
        self._path, self._lock = path, lock(path)
        if self._lock is None:
            raise DeviceBusy(f"{self.device}: process {holder(path)} holds it ({path}); end that, and try again")
        try:
            for partial in path.parent.glob(f"{path.name}.*.partial"):
                partial.unlink(missing_ok=True)  # of a process that was killed while it wrote
            with contextlib.suppress(FileNotFoundError):
                restore_held(path)  # of one that came and went since
        except BaseException:
            self._drop()
            raise
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


def _forked() -> None:
    """In a forked child the devices are its parent's."""
    for hold in list(_holds):
        hold._drop()
        hold._found.clear()
        hold._written = False
    for watchdog in _watchdogs.values():
        watchdog.disown()
    _watchdogs.clear()


os.register_at_fork(after_in_child=_forked)
