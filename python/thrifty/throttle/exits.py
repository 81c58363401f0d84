"""What is to be done before the process ends: at its regular end, and at SIGINT, SIGTERM and SIGHUP.

Nothing here is needed for a promise to hold, which is the watchdog's task; it makes the end quiet and immediate.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["add", "remove", "section"]

_lock = threading.RLock()
_inside: list[int] = []
_waiting: list[int] = []
_tasks: dict[object, Callable[[], None]] = {}
_before: dict[int, Any] = {}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def section() -> Iterator[None]:
    """Set or put back without anything in between: a signal comes before or after it."""
    come: list[int] = []
    try:
        with _lock:
            _inside.append(threading.get_ident())
            try:
                yield
            finally:
                _inside.pop()
                if not _inside:
                    come += _waiting
                    _waiting.clear()
    finally:
        for number in come:
            _on_signal(number, None)


def add(key: object, task: Callable[[], None]) -> None:
    """Have something done; the last added is done first."""
    with _lock:
        if not _tasks:
            atexit.register(_run)
            _listen()
        _tasks[key] = task


def remove(key: object) -> None:
    """Forget it, as when it was done."""
    with _lock:
        if _tasks.pop(key, None) is not None and not _tasks:
            atexit.unregister(_run)
            _deafen()


def _run() -> None:
    with _lock:
        for key, task in reversed(list(_tasks.items())):
            _tasks.pop(key, None)
            try:
                task()
            except Exception as error:  # the journal stays, and the watchdog tries again
                sys.stderr.write(f"thrifty: error: {error}\n")


def _listen() -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; the watchdog sees such an end
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if before not in (None, signal.SIG_IGN, _on_signal):
            _before[number] = before
            signal.signal(number, _on_signal)


def _deafen() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, before in list(_before.items()):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, before)
        del _before[number]


def _on_signal(number: int, frame: FrameType | None) -> None:
    if threading.get_ident() in _inside:
        _waiting.append(number)
        return
    before = _before.get(number, signal.SIG_DFL)
    _run()
    _deafen()
    if callable(before):
        before(number, frame)
    elif before == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _forked() -> None:
    """Forget all in a forked child: duties stay with the parent."""
    global _lock  # noqa: PLW0603 - another thread of the parent may have had it
    _lock = threading.RLock()
    _inside.clear()
    _tasks.clear()
    _deafen()


os.register_at_fork(after_in_child=_forked)
