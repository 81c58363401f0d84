"""Records of parquet files, a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thrifty.errors import DatasetError, MissingExtra
from thrifty.exam.reading.records import FIELDS, REQUIRED

if TYPE_CHECKING:
    from pathlib import Path

    from thrifty.exam.reading.records import Records

__all__ = ["read_parquet"]

#: Rows that are in memory at once, and bytes of a row group beyond which a file is not read.
ROWS, MOST_GROUP = 64, 8 << 30


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
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).total_byte_size
                if not 0 <= size <= MOST_GROUP:
                    raise DatasetError(f"{path}: row group {group} is said to have {size:,} bytes; it is not read")
            line = 0
            for batch in file.iter_batches(batch_size=ROWS, columns=columns):
                texts = {name: _texts(batch.column(name)) for name in columns}
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
        if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_null(value)):
            raise DatasetError(f"{path}: column {name} is of type {kind}, not text")
    return columns


def _texts(column: Any) -> list[Any]:
    """Return the values of a column; an exception in the place of one that is not UTF-8."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_text(value) for value in column]


def _text(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return error


def _add(records: Records, line: int, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, UnicodeDecodeError):
            records.reject(line, name, f"it is not UTF-8: a wrong byte at byte {value.start}")
            return
    records.add(line, values)
