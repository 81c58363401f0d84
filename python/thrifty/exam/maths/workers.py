"""Worker processes for algebra that may never end: each can be killed, and the next one starts."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.exam.maths.allowance import left
from thrifty.exam.maths.symbolic import buildable
from thrifty.exam.maths.worker import packed

if TYPE_CHECKING:
    from thrifty.exam.maths.tree import Node

__all__ = ["WORKERS", "Workers"]

#: Seconds that one pair may take.
SECONDS = 1.1
MOST_WORKERS, MOST_PAIRS = 2, 500
VERDICTS = ("equal", "different", "unknown")


class Worker:
    """One process; it belongs to the thread that took it until it is given back."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[3])
        paths = [root, *(path for path in sys.path if path and path != root)]
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "thrifty.exam.maths.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the process that asks
        )
        self.ready, self.asked, self.left = False, 0, b""
        self.selector = selectors.DefaultSelector()  # unlike select.select, takes descriptors of any size
        assert self.process.stdout is not None
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def line(self, until: float) -> str | None:
        """Give the next line; None where the time is over, or the process is gone."""
        out = self.process.stdout
        assert out is not None
        while b"\n" not in self.left:
            wait = until - time.monotonic()
            if wait <= 0 or not self.selector.select(wait):
                return None
            piece = os.read(out.fileno(), 4096)
            if not piece:
                return None
            self.left += piece
        line, _, self.left = self.left.partition(b"\n")
        return line.decode("ascii", "replace")

    def answer(self, request: bytes) -> str | None:
        """Tell what the worker says of a pair; None where it does not in time."""
        until = time.monotonic() + left()
        if not self.ready:
            self.ready = self.line(until) == "ready"
            if not self.ready:
                return None
        until = min(until, time.monotonic() + SECONDS)
        self.asked += 1
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request)
        except OSError:
            return None
        return self.line(until)

    def end(self) -> None:
        """Kill the process and wait for it."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.selector.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()


class Workers:
    """At most two workers, started when they are first needed.

    A pair takes at most 1.1 s, and what the budget has left after waiting for a free worker. What takes longer, more
    than 2 s of a processor or more than 1 GB, ends its worker, and nothing is known of the pair.

    Attributes
    ----------
    cold : int
        Pairs that are lost since their worker was still starting.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Begin without workers; those that a process had before it forked are its own."""
        for worker in getattr(self, "_idle", []):
            worker.process.returncode = 0  # not our child
        self._idle: list[Worker] = []
        self._taken = self.cold = 0
        self._free = threading.Condition()
        self._there: bool | None = None

    @property
    def there(self) -> bool:
        """Whether sympy is installed."""
        if self._there is None:
            self._there = importlib.util.find_spec("sympy") is not None
        return self._there

    def compare(self, gold: Node, answer: Node, whole: frozenset[str]) -> str:
        """Say ``equal`` or ``different``; ``unknown`` where sympy can't tell or is not there; ``lost`` with it."""
        if not (buildable(gold) and buildable(answer) and self.there):
            return "unknown"
        if left() <= 0:
            return "lost"
        request = json.dumps([packed(gold), packed(answer), sorted(whole)]).encode() + b"\n"
        worker = self._take(left())
        if worker is None:
            return "lost"
        kept = False
        try:
            said = worker.answer(request) or ""
            starting = not said and not worker.ready and worker.process.poll() is None
            self.cold += starting
            kept = starting or (said in VERDICTS and worker.asked < MOST_PAIRS)
        finally:
            self._give(worker, kept)
        return said if said in VERDICTS else "lost"

    def _take(self, seconds: float) -> Worker | None:
        """Give a worker, or None where none gets free in time."""
        with self._free:
            if not self._free.wait_for(lambda: self._idle or self._taken < MOST_WORKERS, seconds):
                return None
            self._taken += 1
            worker = self._idle.pop() if self._idle else None
        try:
            if worker is not None and worker.process.poll() is not None:
                worker.end()
                worker = None
            return worker or Worker()
        except BaseException:
            self._left()
            raise

    def _give(self, worker: Worker, kept: bool) -> None:
        if not kept:
            worker.end()
        self._left(worker if kept else None)

    def _left(self, worker: Worker | None = None) -> None:
        with self._free:
            self._taken -= 1
            if worker is not None:
                self._idle.append(worker)
            self._free.notify()

    def warm(self, seconds: float = 30.0) -> bool:
        """Start a worker and wait until it is ready, so that no grade pays for that; False where there is none."""
        if not self.there:
            return False
        until = time.monotonic() + seconds
        worker = self._take(seconds)
        if worker is None:
            return False
        try:
            worker.ready = worker.ready or worker.line(until) == "ready"
        finally:
            self._give(worker, worker.ready)
        return worker.ready

    def pids(self) -> list[int]:
        """Give processes that wait for work."""
        with self._free:
            return [worker.process.pid for worker in self._idle]

    def close(self) -> None:
        """End all that wait; the next pair starts new ones."""
        with self._free:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()


#: The workers of this process.
WORKERS = Workers()
atexit.register(WORKERS.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS._forget)
