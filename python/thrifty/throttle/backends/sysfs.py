"""Settings that lie in files of the kernel: a handle is a path, a value the file's text.

Standard library alone: the process that restores loads nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
from pathlib import Path
from typing import Any

from thrifty.errors import DeviceBusy, DeviceLost, FormatError, NotPermitted

__all__ = ["get", "integer", "integers", "put", "refusal", "root"]

_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LOST = {errno.ENODEV, errno.ENXIO, errno.EIO}
#: Files of the kernel are a page at most.
_PAGE = 4096


def root() -> Path:
    """Where the kernel's tree is: /sys, or the folder that THRIFTY_SYSFS_ROOT names."""
    return Path(os.environ.get("THRIFTY_SYSFS_ROOT") or "/sys").absolute()


def get(handle: str) -> str:
    """Read a file.

    Raises
    ------
    DeviceLost
        Where the device behind it is gone.
    OSError
        Where it can't be read; with its name.
    """
    try:
        with Path(handle).open("rb") as file:
            return file.read(_PAGE).decode("ascii", "replace").strip()
    except OSError as error:
        if error.errno in _LOST:
            raise DeviceLost(f"{handle}: the device does not answer ({error.strerror})") from None
        raise


def integer(path: Path) -> int | None:
    """Read a file that holds a whole number of at least 0; None where there is no such file.

    Raises
    ------
    FormatError
        Where it holds something else.
    """
    try:
        text = get(str(path))
    except FileNotFoundError:
        return None
    if (value := _whole(text)) is None:
        raise FormatError(f"{path}: it holds {text[:40]!r}, not a whole number")
    return value


def integers(path: Path) -> list[int]:
    """Read a file that lists whole numbers of at least 0; other words in it are left out."""
    return [value for word in get(str(path)).split() if (value := _whole(word)) is not None]


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def put(handle: str, value: Any) -> None:
    """Write a file that is there, in one call.

    Raises
    ------
    NotPermitted
        Where the user may not, or the kernel does not take the value.
    DeviceBusy
        Where something else holds the setting.
    DeviceLost
        Where the device behind it is gone.
    """
    if not isinstance(value, str):
        raise NotPermitted(f"{handle}: {value!r} is no text to be written")
    data = value.encode()
    try:
        file = os.open(handle, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, data)
            with contextlib.suppress(OSError):
                os.ftruncate(file, len(data))  # the kernel ignores it, a plain file in its place has an end
        finally:
            os.close(file)
    except OSError as error:
        raise _meaning(handle, value, error) from None


def _meaning(handle: str, value: str, error: OSError) -> Exception:
    if error.errno in _REFUSED:
        return NotPermitted(f"{handle}: {error.strerror}; {_fix(handle, error)}")
    if error.errno == errno.EBUSY:
        return DeviceBusy(f"{handle}: the kernel is busy with it and refuses {value}; end what holds it, and try again")
    if error.errno in {errno.EINVAL, errno.ERANGE}:
        return NotPermitted(f"{handle}: the kernel does not take {value} ({error.strerror}); choose another value")
    if error.errno in _LOST:
        return DeviceLost(f"{handle}: the device does not answer ({error.strerror})")
    return OSError(error.errno, error.strerror, handle)


def _fix(handle: str, error: OSError) -> str:
    if error.errno == errno.EROFS:
        return "the tree is mounted for reading only, as in a container: run on the host, or mount it for writing"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.geteuid())
    return f"run as root, or until the next boot: sudo chown {user} {handle}"


def refusal(handle: str) -> tuple[str, str] | None:
    """Say what refuses a write, and the fix, without writing; None where nothing does."""
    try:
        os.close(os.open(handle, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        fix = _fix(handle, error) if error.errno in _REFUSED else "set it where the device is"
        return f"{handle}: {error.strerror}", fix
    return None
