"""Signals come before or after something is set, and find it put back."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

from thrifty.throttle import exits

SEEN: list[str] = []


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """A handler of the program's own, which goes on."""
    before = signal.signal(signal.SIGHUP, lambda number, frame: SEEN.append("handled"))
    mine = signal.getsignal(signal.SIGHUP)
    SEEN.clear()
    yield
    exits.remove("key")
    assert signal.getsignal(signal.SIGHUP) is mine
    signal.signal(signal.SIGHUP, before)


def test_a_signal_waits_for_the_end_of_a_section() -> None:
    exits.add("key", lambda: SEEN.append("put back"))
    with exits.section():
        with exits.section():
            signal.raise_signal(signal.SIGHUP)
        SEEN.append("set")
    assert SEEN == ["set", "put back", "handled"]


def test_a_signal_is_not_lost_when_the_section_fails() -> None:
    exits.add("key", lambda: SEEN.append("put back"))
    with contextlib.suppress(ZeroDivisionError), exits.section():
        signal.raise_signal(signal.SIGHUP)
        SEEN.append(str(1 // 0))
    assert SEEN == ["put back", "handled"]


def test_a_task_that_fails_is_told_and_keeps_no_other_from_being_done(capsys: pytest.CaptureFixture[str]) -> None:
    exits.add("key", lambda: SEEN.append("first"))
    exits.add("other", lambda: 1 / 0)
    signal.raise_signal(signal.SIGHUP)
    assert SEEN == ["first", "handled"]
    assert capsys.readouterr().err == "thrifty: error: division by zero\n"


def test_what_another_thread_removes_leaves_a_handler_that_still_calls_the_one_before() -> None:
    exits.add("key", lambda: SEEN.append("put back"))
    thread = threading.Thread(target=exits.remove, args=("key",))
    thread.start()
    thread.join()
    exits.add("key", lambda: SEEN.append("put back again"))
    signal.raise_signal(signal.SIGHUP)
    assert SEEN == ["put back again", "handled"]
