"""What kind of file it is, and its cells."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.scaling.reading.lines import read_csv, read_jsonl
from thrifty.scaling.reading.parquet import read_parquet
from thrifty.scaling.reading.table import MOST_ROWS

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.scaling.reading.table import Table

__all__ = ["read_table"]

#: Bytes of a file, as it lies there and unpacked.
MOST_BYTES = 128 << 20
#: Lines, blank ones too.
MOST_LINES = 2 * MOST_ROWS
#: First bytes of what is no text, and what to do with it.
OTHERS = {
    b"PK\x03\x04": "it is a zip archive or a spreadsheet; save the table as CSV",
    b"\xd0\xcf\x11\xe0": "it is a spreadsheet; save the table as CSV",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
    b"BZh": "it is compressed by bzip2; unpack it first, or use gzip",
    b"\xfd7zXZ\x00": "it is compressed by xz; unpack it first, or use gzip",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd; unpack it first, or use gzip",
    b"SQLite format 3\x00": "it is a database; export the table as CSV",
    b"%PDF": "it is a PDF; save the table as CSV",
}


def read_table(path: str | PathLike[str]) -> tuple[Table, str]:
    """Read the cells of a file and the SHA-256 of its bytes; the kind is told by its first bytes.

    Raises
    ------
    DatasetError
        Where it is empty, too large, damaged or of another kind; the message names the line.
    OSError
        Where it can't be read.
    """
    file = Path(path)
    with file.open("rb") as opened:
        data = opened.read(MOST_BYTES + 1)
    name = str(path)
    if len(data) > MOST_BYTES:
        raise DatasetError(f"{name}: it has more than {MOST_BYTES >> 20} MiB; tables of runs are smaller")
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(name, data)
    if data.startswith(b"PAR1"):
        return read_parquet(name, data), digest
    if file.suffix in (".parquet", ".pq"):
        raise DatasetError(f"{name}: it is no parquet file: it does not begin with PAR1")
    return _text_table(name, data), digest


def _text_table(name: str, data: bytes) -> Table:
    what = next((what for magic, what in OTHERS.items() if data.startswith(magic)), None)
    if what is not None:
        raise DatasetError(f"{name}: {what}")
    if not data.strip(b" \t\r\n\x00\xef\xbb\xbf"):
        raise DatasetError(f"{name}: it is empty; a line of column names and a line for each run are needed")
    if max(data.count(b"\n"), data.count(b"\r")) > MOST_LINES:
        raise DatasetError(f"{name}: it has more than {MOST_LINES:,} lines; tables of runs are shorter")
    nul = data.find(b"\x00")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise DatasetError(f"{name}, line {line}: a zero byte; this is no text, or a damaged one")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise DatasetError(f"{name}, line {line}: it is not UTF-8: byte {byte:#04x}; save the file as UTF-8") from None
    first = text.lstrip()[:1]
    return read_jsonl(name, text) if first in ("{", "[") else read_csv(name, text)


def _unpacked(name: str, data: bytes) -> bytes:
    """Unpack gzip, member after member, to so many bytes at most."""
    out = bytearray()
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            out += unpacker.decompress(data, MOST_BYTES + 1 - len(out))
        except zlib.error as error:
            raise DatasetError(f"{name}: the gzip file is damaged: {error}") from None
        if len(out) > MOST_BYTES:
            raise DatasetError(f"{name}: unpacked it has more than {MOST_BYTES >> 20} MiB; tables of runs are smaller")
        if not unpacker.eof:
            raise DatasetError(f"{name}: the gzip file is cut off")
        data = unpacker.unused_data
    return bytes(out)
