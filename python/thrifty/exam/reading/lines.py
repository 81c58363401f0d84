"""Lines of a file, JSONL and CSV, in bounded memory."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from thrifty.errors import DatasetError
from thrifty.exam.reading.records import REQUIRED, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from thrifty.exam.reading.records import Records

__all__ = ["MOST_BYTES", "lines", "read_csv", "read_jsonl"]

#: Of a record; longer ones are passed over piece by piece.
MOST_BYTES = 32 << 20
_PIECE = 1 << 16
#: Values of a row of CSV; commas and brackets of a line of JSON, each of which may become an object of its own.
MOST_VALUES, MOST_PARTS = 1_000, 500_000


def lines(file: BinaryIO, most: int = MOST_BYTES) -> Iterator[bytes | None]:
    """Yield lines with their ends; None for a line of more than ``most`` bytes."""
    held = bytearray()
    size = 0
    while piece := file.readline(_PIECE):
        if not size and piece.endswith(b"\n"):
            yield piece
            continue
        size += len(piece)
        if size <= most:
            held += piece
        if piece.endswith(b"\n"):
            yield bytes(held) if size <= most else None
            held.clear()
            size = 0
    if size:
        yield bytes(held) if size <= most else None


def read_jsonl(file: BinaryIO, records: Records) -> None:
    """Read a record a line; blank lines are passed over."""
    for number, line in enumerate(lines(file), 1):
        if line is None:
            records.reject(number, "", f"the line has more than {MOST_BYTES:,} bytes")
            continue
        text = _decoded(line, number, records)
        if text is None or not text.strip():
            continue
        if sum(map(text.count, ",[{")) > MOST_PARTS:
            records.reject(number, "", f"the JSON has more than {MOST_PARTS:,} parts")
            continue
        try:
            values = json.loads(text, object_pairs_hook=_once)
        except RecursionError:
            records.reject(number, "", "the JSON is nested too deeply")
            continue
        except ValueError as error:
            cut = "" if text.endswith("\n") else "; the file ends here, it may be cut off"
            records.reject(number, "", f"it is not JSON: {error}{cut}")
            continue
        if isinstance(values, dict):
            records.add(number, values)
        else:
            records.reject(number, "", "it is JSON, but no object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{shown(_twice(name for name, _ in pairs))} is there twice")
    return found


def _twice(names: Iterable[str]) -> str:
    """Return the first name that was there before."""
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _decoded(line: bytes, number: int, records: Records) -> str | None:
    """Return the text of a line; None, and a remark, where it is none."""
    if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DatasetError(f"{records.file}, line 1: it is UTF-16; save the file as UTF-8")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        records.reject(number, "", f"it is not UTF-8: byte {line[error.start]:#04x} at byte {error.start} of the line")
        return None


def read_csv(file: BinaryIO, records: Records) -> None:
    """Read comma-separated values (RFC 4180) under a line of names.

    Raises
    ------
    DatasetError
        Where the names are not those of questions.
    """
    names: list[str] = []
    for number, raw, whole in _csv_records(file):
        if raw is None:
            records.reject(number, "", f"the record has more than {MOST_BYTES:,} bytes")
            continue
        if not whole:
            records.reject(number, "", "a quote that begins here is never closed; the file may be cut off")
            continue
        text = _decoded(raw, number, records)
        if text is None or not text.strip():
            continue
        try:
            values = _values(text.removesuffix("\n").removesuffix("\r"))
        except ValueError as error:
            if not names:
                raise DatasetError(f"{records.file}, line {number}: {error}") from None
            records.reject(number, "", str(error))
            continue
        if not names:
            names = values
            _check_names(names, number, records.file)
        elif len(values) != len(names):
            records.reject(number, "", f"{len(values)} values under {len(names)} names")
        else:
            records.add(number, dict(zip(names, values, strict=True)))


#: What stands between names where commas, or ends of lines, should.
_OTHERS = {
    ";": "its values are separated by semicolons; save the file with commas",
    "\t": "its values are separated by tabs; save the file with commas",
    "\r": "its lines end with CR alone; save the file with LF or CR LF",
}


def _check_names(names: list[str], number: int, file: str) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        for sign, what in _OTHERS.items():
            if any(sign in name and name.startswith(tuple(f"{one}{sign}" for one in REQUIRED)) for name in names):
                raise DatasetError(f"{file}, line {number}: {what}")
        there = ", ".join(shown(name) for name in names[:12])
        raise DatasetError(f"{file}, line {number}: no column is called {missing[0]}; there are {there or 'none'}")
    if len(set(names)) < len(names):
        raise DatasetError(f"{file}, line {number}: two columns are called {shown(_twice(names))}")


def _csv_records(file: BinaryIO) -> Iterator[tuple[int, bytes | None, bool]]:
    """Yield line, bytes (None where there are too many) and whether the last quote is closed, a record at a time."""
    held = bytearray()
    number, begun, size, state = 1, 1, 0, _BEGIN
    while piece := file.readline(_PIECE):
        state = _after(piece, state)
        size += len(piece)
        if size <= MOST_BYTES:
            held += piece
        else:
            held.clear()
        if not piece.endswith(b"\n"):
            continue
        number += 1
        if state != _QUOTED:
            yield begun, bytes(held) if size <= MOST_BYTES else None, True
            held.clear()
            begun, size, state = number, 0, _BEGIN
    if size:
        yield begun, bytes(held) if size <= MOST_BYTES else None, state != _QUOTED


#: Where a reader of CSV is: at the beginning of a field, in a bare one, in a quoted one, after a quote in that.
_BEGIN, _BARE, _QUOTED, _QUOTE = range(4)
_QUOTES = re.compile(rb'(?:[^"]|"")*+')


def _after(piece: bytes, state: int) -> int:
    """Return where a reader is after a piece: a quote opens a field at its beginning alone."""
    at = 0
    while at < len(piece):
        if state == _QUOTED:
            # Pairs are passed over at once; of an odd quote at the end the other half may come.
            at = _QUOTES.match(piece, at).end() + 1  # type: ignore[union-attr]
            state = _QUOTE if at <= len(piece) else _QUOTED
        elif state == _BARE:
            at = piece.find(b',"', at) + 1
            if not at:
                return _BEGIN if piece.endswith(b",") else _BARE
            state = _BEGIN
        else:
            letter = piece[at : at + 1]
            opens = letter == b'"'
            state = _QUOTED if opens else _BEGIN if letter == b"," else _BARE
            at += opens or letter == b","
    return state


def _values(text: str) -> list[str]:
    """Split a record at its commas."""
    found: list[str] = []
    at = 0
    while True:
        if len(found) == MOST_VALUES:
            raise ValueError(f"it has more than {MOST_VALUES:,} values")
        if text.startswith('"', at):
            end = at + 1
            while (end := text.find('"', end)) >= 0 and text.startswith('""', end):
                end += 2
            if end < 0 or (end + 1 < len(text) and text[end + 1] != ","):
                raise ValueError("a quoted value goes on after its closing quote")
            found.append(text[at + 1 : end].replace('""', '"'))
            end += 1
        else:
            comma = text.find(",", at)
            end = comma if comma >= 0 else len(text)
            found.append(text[at:end])
        if end >= len(text):
            return found
        at = end + 1
