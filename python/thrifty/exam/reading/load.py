"""Reading data sets: parquet, JSONL and CSV files, and folders of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.exam.question import Dataset
from thrifty.exam.reading.images import MOST_PIXELS
from thrifty.exam.reading.lines import read_csv, read_jsonl
from thrifty.exam.reading.records import Records
from thrifty.exam.reading.select import select

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["load"]

ENDINGS = (".parquet", ".jsonl", ".csv")


def load(
    path: str | os.PathLike[str],
    *,
    subset: str | os.PathLike[str] | Iterable[str] | None = None,
    limit: int | None = None,
    sample_seed: int | None = None,
    max_pixels: int = MOST_PIXELS,
) -> Dataset:
    r"""Read a data set in the layout of Humanity's Last Exam (2501.14249, section 3).

    Parameters
    ----------
    path : path
        A ``.parquet`` (extra ``exam``), ``.jsonl`` or ``.csv`` file; or a folder of them, as the Hugging Face Hub lays
        them out too: of ``data/test-*.parquet`` beside other splits, ``test`` is read; several others are refused.
    subset : path or iterable of str, optional
        Ids to keep, one a line; in the order of the data set.
    limit : int, optional
        So many questions at most: the first, or with ``sample_seed`` some drawn at random.
    sample_seed : int, optional
        Of that draw.
    max_pixels : int
        Pictures of more pixels are refused, by their header alone.

    Returns
    -------
    Dataset
        Its ``rejected`` tells the records left out, and ``flagged`` what is odd about others; lines count from 1, those
        of parquet are rows.

    Raises
    ------
    DatasetError
        Where a file is no data set at all, columns or shards are missing, or an id of the subset is not there.
    MissingExtra
        For parquet without pyarrow.
    OSError
        Where a file can't be read.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "exam.jsonl")
    ...     record = {"id": "q1", "question": "1 + 1?", "answer": "2", "answer_type": "exactMatch"}
    ...     _ = file.write_text(json.dumps(record) + '\n{"id": "q2"}')
    ...     exam = load(file)
    >>> len(exam), exam.rejected[0].line, exam.rejected[0].field
    (1, 2, 'question')
    """
    path = Path(path)
    records = Records(max_pixels)
    for file in _files(path):
        records.file = file.name
        if file.suffix == ".parquet":
            from thrifty.exam.reading.parquet import read_parquet

            read_parquet(file, records)
            continue
        with file.open("rb") as opened:
            (read_jsonl if file.suffix == ".jsonl" else read_csv)(opened, records)
    found = Dataset(tuple(records.questions), tuple(records.rejected), tuple(records.flagged), str(path))
    return select(found, subset=subset, limit=limit, sample_seed=sample_seed)


def _files(path: Path) -> list[Path]:
    """Return the files of a data set, in order."""
    if path.is_file():
        if path.suffix not in ENDINGS:
            raise DatasetError(f"{path}: what kind of file is it? Its name ends with none of {', '.join(ENDINGS)}")
        return [path]
    if not path.exists():
        raise FileNotFoundError(2, "No such file or folder", str(path))
    if not path.is_dir():
        raise DatasetError(f"{path}: it is neither a file nor a folder")
    folder = path / "data" if (path / "data").is_dir() else path
    files = sorted(file for file in folder.iterdir() if file.suffix in ENDINGS and file.is_file())
    tests = [file for file in files if re.match(r"test[-.]", file.name)]
    files = tests or files
    splits = {name[0]: file.name for file in reversed(files) if (name := _SPLIT.match(file.name)) and not tests}
    if len(splits) > 1:
        there = " and ".join(sorted(splits.values()))
        raise DatasetError(f"{folder}: it has no test split but several others, {there}; give one file")
    if not files:
        raise DatasetError(f"{folder}: no file there ends with {', '.join(ENDINGS)}")
    _check_shards(files)
    return files


#: Names of other splits, as files of them begin.
_SPLIT = re.compile(r"(?:train|validation|valid|val|dev)(?=[-_.])", re.IGNORECASE)


def _check_shards(files: list[Path]) -> None:
    """Refuse a folder that lacks one of the shards that the others' names promise."""
    names = {file.name for file in files}
    for file in files:
        if shard := re.fullmatch(r"(.*-)([0-9]{5})-of-([0-9]{5})(\..*)", file.name):
            for number in range(min(int(shard[3]), len(files) + 1)):
                wanted = f"{shard[1]}{number:05}-of-{shard[3]}{shard[4]}"
                if wanted not in names:
                    raise DatasetError(f"{file.parent}: {wanted} is missing, {file.name} is there")
