"""Runs the command line: as people do, in a process of its own, or in this one where only what it says matters."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

from thrifty.cli.app import main


def thrifty(
    *arguments: object, data: bytes | None = None, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "thrifty", *map(str, arguments)]
    done = subprocess.run(command, input=data, stdout=stdout, stderr=subprocess.PIPE, check=False)
    out = (done.stdout or b"").decode()
    return subprocess.CompletedProcess(command, done.returncode, out, done.stderr.decode())


def ok(*arguments: object, data: bytes | None = None) -> str:
    done = thrifty(*arguments, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What `thrifty` says, without the seconds that a new process takes to load torch."""
    command = ["thrifty", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            return subprocess.CompletedProcess(command, int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("the command line exits")


def wait_for(path: Path) -> None:
    """Wait until another process has made a file."""
    for _ in range(1_000):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")
