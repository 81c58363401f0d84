"""Tables of parquet files."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

from thrifty.errors import DatasetError, MissingExtra
from thrifty.scaling.reading.table import MOST_CELL, MOST_CELLS, MOST_COLUMNS, MOST_ROWS, Table, shown

__all__ = ["read_parquet"]

#: Bytes that all row groups may have unpacked.
MOST_BYTES = 1 << 30
TEXTS = ("string", "large_string", "binary", "large_binary")


def read_parquet(name: str, data: bytes) -> Table:
    """Read columns of numbers and texts; rows count from 1. Columns of lists and objects are left out.

    Raises
    ------
    MissingExtra
        Without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra(f"{name}: parquet files need pyarrow: pip install 'thrifty[scaling]'") from None
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            _check(name, file)
            kept = [field.name for field in file.schema_arrow if not pa.types.is_nested(field.type)]
            texts = [field.name for field in file.schema_arrow if str(field.type) in TEXTS]
        # As dictionaries, texts that are the same are in memory once, as they are in the file.
        with pq.ParquetFile(io.BytesIO(data), read_dictionary=texts) as file:
            read = file.read(columns=kept)
            columns = {column: _values(name, column, read.column(column)) for column in kept}
            return Table(name, columns, list(range(1, read.num_rows + 1)), place="row")
    except (pa.ArrowException, EOFError, OSError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())[:200]
        raise DatasetError(f"{name}: the parquet file is damaged: {why}") from None


def _check(name: str, file: Any) -> None:
    """Refuse what would take too much memory, before it is read."""
    names = file.schema_arrow.names
    twice = next((one for i, one in enumerate(names) if one in names[:i]), None)
    if twice is not None:
        raise DatasetError(f"{name}: two columns are called {shown(twice)}; rename one")
    rows, columns = file.metadata.num_rows, len(names)
    if columns > MOST_COLUMNS or rows > MOST_ROWS or rows * columns > MOST_CELLS:
        raise DatasetError(f"{name}: {rows:,} rows of {columns:,} columns; keep those that are needed")
    sizes = [file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups)]
    if min(sizes, default=0) < 0 or sum(sizes) > MOST_BYTES:
        raise DatasetError(f"{name}: its rows are said to have {sum(sizes):,} bytes; they are not read")


def _values(name: str, column: str, values: Any) -> list[Any]:
    found = [value for chunk in values.chunks for value in _cells(chunk)]
    for i, value in enumerate(found):
        if isinstance(value, Decimal):
            found[i] = float(value)
        elif value is not None and not isinstance(value, (bool, int, float, str)):
            found[i] = str(value)
        if isinstance(value, (str, bytes)) and len(value) > MOST_CELL:
            raise DatasetError(f"{name}, row {i + 1}: {shown(column)} has more than {MOST_CELL:,} letters")
    return found


def _cells(chunk: Any) -> list[Any]:
    """Return the cells of a piece of a column; those of one dictionary entry are one object."""
    if not hasattr(chunk, "dictionary"):
        return list(chunk.to_pylist())
    entries = chunk.dictionary.to_pylist()
    return [None if place is None else entries[place] for place in chunk.indices.to_pylist()]
