"""JSON files that are whole or not there, and that a single changed byte spoils."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError, MismatchError
from thrifty.scaling.packed import pack, unpack

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["read_sealed", "write_sealed"]

#: Bytes, and brackets within brackets, that are read.
MOST_BYTES, MOST_DEPTH = 256 << 20, 24
_SEAL = re.compile(rb',\n "checksum": "sha256:([0-9a-f]{64})"\n}\n')
_SEAL_BYTES = len(b',\n "checksum": "sha256:"\n}\n') + 64


def write_sealed(path: str | PathLike[str], kind: str, version: int, content: dict[str, Any]) -> None:
    """Write content beside the name, sync, rename; the last line is the SHA-256 of all bytes before it.

    ``content`` may hold arrays, numbers that are not finite, and what JSON has.
    """
    text = json.dumps({"format": kind, "version": version} | pack(content), indent=1, allow_nan=False)
    body = text.removesuffix("\n}").encode()
    digest = hashlib.sha256(body).hexdigest()
    file = Path(path)
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("wb") as out:
            out.write(body)
            out.write(f',\n "checksum": "sha256:{digest}"\n}}\n'.encode())
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def read_sealed(path: str | PathLike[str], kind: str, version: int, writer: str) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote; ``writer`` is the command that writes such files.

    Raises
    ------
    FormatError
        Where the file is of another kind, cut off, or not byte for byte what was written.
    MismatchError
        Where its version is another one.
    """
    with Path(path).open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise FormatError(f"{path}: it has more than {MOST_BYTES >> 20} MiB; {writer} writes smaller files")
    head = re.match(rb'\{\n "format": "([a-z.-]{1,64})",\n "version": ([0-9]{1,9})', data)
    if head is None or head[1] != kind.encode():
        raise FormatError(f"{path}: no format '{kind}' at its beginning; {writer} writes such files")
    if int(head[2]) != version:
        raise MismatchError(f"{path}: version {int(head[2])}, and this thrifty reads version {version}")
    body, seal = data[:-_SEAL_BYTES], _SEAL.fullmatch(data[-_SEAL_BYTES:])
    if seal is None:
        raise FormatError(f"{path}: no checksum at its end: it is cut off or was changed; {writer} writes it anew")
    if hashlib.sha256(body).hexdigest() != seal[1].decode():
        raise FormatError(f"{path}: the checksum is another one: it was changed or damaged; {writer} writes it anew")
    try:
        if _depth(data) > MOST_DEPTH:
            raise ValueError("brackets are nested too deeply")
        found = unpack(json.loads(data))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}; {writer} writes it anew") from None
    return found


def _depth(data: bytes) -> int:
    """Count how deep brackets are nested; those in texts count as well."""
    depth = most = 0
    for sign in re.findall(rb"[\[\]{}]", data):
        depth += 1 if sign in b"[{" else -1
        most = max(most, depth)
    return most
