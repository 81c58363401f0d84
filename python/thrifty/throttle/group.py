"""A command with all that it starts: none of it outlives its run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from thrifty.throttle import exits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["group"]


@contextlib.contextmanager
def group(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a process group of its own, and kill the group at the end of the block.

    So it is at a signal that ends this process, which a terminal sends to this one alone.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    **options
        Of :class:`subprocess.Popen`.

    Examples
    --------
    >>> with group(["sh", "-c", "sleep 60 & exit 3"]) as process:
    ...     process.wait()
    3
    """
    with exits.section():
        process = subprocess.Popen(list(command), process_group=0, **options)
        exits.add(process, lambda: _kill(process))
    try:
        yield process
    finally:
        with exits.section():
            _kill(process)
            exits.remove(process)
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left; a group without processes, or one of dead ones (macOS), is no fault."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
