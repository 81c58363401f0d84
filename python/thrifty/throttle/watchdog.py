"""A process beside the one that sets: when that is gone, for whatever reason, it puts back what was found.

It has a session of its own, so that Ctrl-C and a closed terminal do not reach it, and loads the standard library alone.
It waits for the end of a pipe that its parent holds, and, since a forked child of the parent may hold that too, for the
end of the process itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from thrifty.errors import NotPermitted
from thrifty.throttle.journal import Owner
from thrifty.throttle.restore import recover

__all__ = ["Watchdog", "main"]

#: `thrifty.throttle` itself loads numpy; its place is taken by an empty package in the same folder.
_BOOT = """
import json, sys, types
folders, *arguments = json.loads(sys.argv[1])
sys.path += [folder for folder in folders if folder not in sys.path]
import thrifty
package = types.ModuleType("thrifty.throttle")
package.__path__ = [thrifty.__path__[0] + "/throttle"]
sys.modules["thrifty.throttle"] = package
from thrifty.throttle.watchdog import main
main(*arguments)
"""
_READY = b"ready"
#: Seconds that it may take to start and, with nothing to do, to end.
_START, _END = 30.0, 5.0
#: Seconds before it tries, and tries again what is busy or does not answer.
PAUSES = (0.0, 0.2, 1.0, 5.0)
#: Milliseconds between looks where the system can't wait for the end of a process.
_LOOK = 200


class Watchdog:
    """The process, as its parent has it.

    Parameters
    ----------
    state : path
        The folder of the journals that it is to restore.

    Raises
    ------
    NotPermitted
        Where it can't be started: nothing must be set then.
    """

    def __init__(self, state: Path) -> None:
        me = Owner.me()
        package = Path(__file__).resolve().parents[2]
        folders = [str(package), *map(os.path.abspath, sys.path)]
        given = json.dumps([folders, str(state), me.pid, me.start, me.namespace])
        command = [sys.executable or "python3", "-I", "-S", "-c", _BOOT, given]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise NotPermitted(f"{command[0]}: {error.strerror}; without a watchdog nothing is set") from None
        out = self._process.stdout
        assert out is not None
        poll = select.poll()
        poll.register(out, select.POLLIN)
        said = out.read(len(_READY)) if poll.poll(_START * 1000) else b""
        out.close()
        if said != _READY:
            self._process.kill()
            self.stop()
            raise NotPermitted(f"{command[0]}: the watchdog did not start; without one nothing is set")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Let it end: it restores what journals of this process are left, as a rule none."""
        self._close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """Let go of it in a forked child: it is the parent's."""
        self._close()
        self._process.returncode = 0  # nothing to wait for

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def main(state: str, pid: int, start: int, namespace: int) -> None:
    """Wait for the end of a process and restore its journals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    owner = Owner(pid, start, namespace)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    wait: int | None = _LOOK
    if hasattr(os, "pidfd_open"):
        try:
            poll.register(os.pidfd_open(pid), select.POLLIN)
            wait = None
        except OSError:
            pass  # gone already, or a kernel that has no such descriptors
    os.write(1, _READY)
    os.close(1)
    while owner.alive() and not poll.poll(wait):
        pass
    for pause in PAUSES:
        time.sleep(pause)
        done = recover(Path(state), dead=lambda journal: journal.owner == owner)
        if not any(one.outcome == "failed" for one in done):
            break
