"""Runs the command line as people do, in a process of its own."""

from __future__ import annotations

import subprocess
import sys


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
