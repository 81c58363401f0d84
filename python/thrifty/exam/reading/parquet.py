"""Records of parquet files, a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError, MissingExtra
from thrifty.exam.reading.images import MOST_LETTERS
from thrifty.exam.reading.records import FIELDS, MOST_TEXT, REQUIRED

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.exam.reading.records import Records

__all__ = ["read_parquet"]

#: Rows and bytes that are in memory at once, and bytes of a row group beyond which a file is not read.
ROWS, BYTES, MOST_GROUP = 64, 64 << 20, 8 << 30
#: Bytes of a value: pictures, and other texts, each of whose letters may take four.
MOST_PICTURE, MOST_VALUE = MOST_LETTERS + 200, 4 * MOST_TEXT


def read_parquet(path: Path, records: Records) -> None:
    """Read the columns that questions have; rows count from 1.

    Raises
    ------
    DatasetError
        Where the file is damaged, or a column is missing or of another type.
    MissingExtra
        Without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra(f"{path}: parquet files need pyarrow: pip install 'thrifty[exam]'") from None
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow, pa)
        # As dictionaries, values that are the same are in memory once, as they are in the file.
        with pq.ParquetFile(path, read_dictionary=columns) as file:
            rows = ROWS
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).total_byte_size
                if not 0 <= size <= MOST_GROUP:
                    raise DatasetError(f"{path}: row group {group} is said to have {size:,} bytes; it is not read")
                rows = min(rows, max(BYTES * file.metadata.row_group(group).num_rows // max(size, 1), 1))
            line = 0
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                texts = {name: _texts(batch.column(name), name) for name in columns}
                for row in range(batch.num_rows):
                    line += 1
                    _add(records, line, {name: values[row] for name, values in texts.items()})
    except (pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = " ".join(str(error).split())[:300]
        raise DatasetError(f"{path}: it is no parquet file, or a damaged one: {why}") from None


def _columns(path: Path, schema: Any, pa: Any) -> list[str]:
    """Return the columns to read, each of which is text."""
    for name in REQUIRED:
        if name not in schema.names:
            there = ", ".join(schema.names[:12])
            raise DatasetError(f"{path}: no column is called {name}; there are {there or 'none'}")
    columns = [name for name in FIELDS if name in schema.names]
    for name in columns:
        if schema.names.count(name) > 1:
            raise DatasetError(f"{path}: two columns are called {name}")
        kind = schema.field(name).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if str(value) not in ("string", "large_string", "string_view", "null"):
            raise DatasetError(f"{path}: column {name} is of type {kind}, not text")
    return columns


def _texts(column: Any, name: str) -> list[Any]:
    """Return the values of a column; in the place of one that is too long or not UTF-8 an exception.

    Lengths are looked at before anything is made of the bytes, and values that are the same are one object.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.large_string()) if str(column.type) == "string_view" else column
        column = column.dictionary_encode()
    most = MOST_PICTURE if name == "image" else MOST_VALUE
    values: list[Any] = [None] * len(column.dictionary)
    used = set(column.indices.drop_null().to_pylist())
    lengths = pc.binary_length(column.dictionary).to_pylist() if used else []
    for place in used:
        if (lengths[place] or 0) > most:
            values[place] = ValueError(f"{lengths[place]:,} bytes; at most {most:,} are read")
        else:
            values[place] = _text(column.dictionary[place])
    return [None if place is None else values[place] for place in column.indices.to_pylist()]


def _text(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return ValueError(f"it is not UTF-8: a wrong byte at byte {error.start}")


def _add(records: Records, line: int, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, ValueError):
            records.reject(line, name, str(value))
            return
    records.add(line, values)
