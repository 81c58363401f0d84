"""Processes that set devices, and killing them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def tuning(kind: str, root: Path, started: Path, seed: int = 0, *, alone: bool = False) -> subprocess.Popen[bytes]:
    """Start a process that sets a device at random; it makes the file when it has done so once."""
    command = [sys.executable, "-m", "tests.throttle.tuning", kind, str(root), str(seed), str(started)]
    return subprocess.Popen([*command, "alone"] if alone else command, cwd=REPOSITORY)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def kill_with_watchdog(process: subprocess.Popen[bytes]) -> None:
    """Kill a stopped process and its children, so that none can act on the death of another."""
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: status(process.pid)[0] == "T")
    for child in children(process.pid):
        os.kill(child, signal.SIGKILL)
    kill(process)


def status(pid: int) -> list[str]:
    """State and parent of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(status(int(entry.name))[1]) == pid:
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait until something holds, and return the seconds that it took."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > seconds:
            raise AssertionError("it did not come true")
        time.sleep(0.002)
    return time.monotonic() - begun
