"""Data sets as other programs write them, and those that want more memory than they have bytes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.exam.test_load import RECORD, jsonl, png, uri
from thrifty.errors import DatasetError
from thrifty.exam import load
from thrifty.exam.reading import lines as lines_module
from thrifty.exam.reading.lines import read_csv
from thrifty.exam.reading.records import Records

HEAD = "id,question,answer,answer_type\n"


def test_a_quote_within_a_field_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "exam.csv"
    path.write_text(
        HEAD
        + 'q1,what is 2" pipe,1,exactMatch\n'
        + 'q2,a "word" here,2,exactMatch\n'
        + 'q3,"thr"ee "and" more,3,exactMatch\n'
        + 'q4,"two\nlines, ""quoted""",4,exactMatch\n'
        + 'q5,five",5,exactMatch\n'
        + 'q6,"",6,exactMatch\n'
        + 'q7,seven,"7""",exactMatch\n'
    )
    exam = load(path)
    assert [(one.id, one.line) for one in exam] == [("q1", 2), ("q2", 3), ("q4", 5), ("q5", 7), ("q7", 9)]
    assert [one.question for one in exam][:3] == ['what is 2" pipe', 'a "word" here', 'two\nlines, "quoted"']
    assert exam.questions[4].answer == '7"'
    assert [one.line for one in exam.rejected] == [4, 8]


bare = st.text('ab"1 ', min_size=1, max_size=8).filter(lambda text: not text.startswith('"') and text.strip())


@given(st.lists(bare | st.just("quoted"), min_size=1, max_size=8), st.integers(2, 20))
@example(['2" pipe'], 2)
def test_quotes_anywhere_and_pieces_of_any_size(texts: list[str], size: int) -> None:
    def field(text: str) -> str:
        return text if text != "quoted" else '"a ""b"",\n"'

    rows = [f"q{number},{field(text)},1,exactMatch\n" for number, text in enumerate(texts)]
    records = Records()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_PIECE", size)
        read_csv(io.BytesIO((HEAD + "".join(rows)).encode()), records)
    assert records.rejected == []
    assert [one.question for one in records.questions] == [text if text != "quoted" else 'a "b",\n' for text in texts]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ((HEAD + "q,1?,1,exactMatch\n").encode("utf-16"), "line 1: it is UTF-16; save the file as UTF-8"),
        ((HEAD + "q,1?,1,exactMatch\n").encode("utf-16-be").join([b"\xfe\xff", b""]), "line 1: it is UTF-16"),
        (HEAD.replace(",", ";").encode() + b"q;1?;1;exactMatch\n", "separated by semicolons"),
        (HEAD.replace(",", "\t").encode() + b"q\t1?\t1\texactMatch\n", "separated by tabs"),
        ((HEAD + "q,1?,1,exactMatch\n").replace("\n", "\r").encode(), "its lines end with CR alone"),
    ],
)
def test_other_kinds_of_csv_are_told(tmp_path: Path, data: bytes, error: str) -> None:
    (tmp_path / "exam.csv").write_bytes(data)
    with pytest.raises(DatasetError, match=rf"exam.csv, line 1: .*{error.removeprefix('line 1: ')}"):
        load(tmp_path / "exam.csv")


def test_json_in_utf_16_is_told(tmp_path: Path) -> None:
    (tmp_path / "exam.jsonl").write_bytes(json.dumps(RECORD).encode("utf-16"))
    with pytest.raises(DatasetError, match=r"exam.jsonl, line 1: it is UTF-16"):
        load(tmp_path / "exam.jsonl")


def test_a_label_that_many_write_is_none_to_flag(tmp_path: Path) -> None:
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x02\x00\x03" + bytes(10)
    exam = load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "image": uri(jpeg, "image/jpg")}))
    assert (len(exam), exam.flagged) == (1, ())
    assert len(load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "image": uri(png(2, 3), "image/jpg")})).flagged) == 1


def test_equal_pictures_are_in_memory_once(tmp_path: Path) -> None:
    image = uri(png(2, 3))
    exam = load(jsonl(tmp_path / "exam.jsonl", *({**RECORD, "id": f"q{i}", "image": image} for i in range(3))))
    assert exam.questions[0].image is exam.questions[2].image is not None


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_columns_of_every_kind_of_text(tmp_path: Path, kind: str) -> None:
    import pyarrow.parquet as pq

    kinds = {"string_view": getattr(pa, "string_view", pa.string), "large_string": pa.large_string}
    kinds["dictionary"] = lambda: pa.dictionary(pa.int16(), pa.large_string())
    columns: dict[str, Any] = {
        "id": [f"q{i}" for i in range(200)],
        "question": [f"{i % 7}?" for i in range(200)],
        "answer": ["é"] * 199 + [None],
        "answer_type": ["exactMatch"] * 200,
    }
    arrays = {name: pa.array(values).cast(kinds.get(kind, pa.string)()) for name, values in columns.items()}
    pq.write_table(pa.table({**arrays, "category": pa.nulls(200)}), tmp_path / "exam.parquet", row_group_size=90)
    exam = load(tmp_path / "exam.parquet")
    assert [(one.id, one.question, one.answer) for one in exam] == [(f"q{i}", f"{i % 7}?", "é") for i in range(199)]
    assert [(one.line, one.field) for one in exam.rejected] == [(200, "answer")]


PEAK = r"""
import re, sys
from thrifty import exam
import pyarrow.parquet
peak = lambda: int(re.search(r"VmHWM:\s*([0-9]+)", open("/proc/self/status").read())[1])
before = peak()
found = exam.load(sys.argv[1])
print(peak() - before, len(found), len(found.rejected), found.rejected[0].line)
"""


@pytest.mark.parametrize("name", ["question", "image"])
def test_a_small_parquet_file_takes_little_memory(tmp_path: Path, name: str) -> None:
    import pyarrow.parquet as pq

    size = 16 << 20 if name == "question" else 40 << 20
    long = pa.array(["x" * size, "1?"])
    places = pa.array([0] * 300 + [1], pa.int32())
    columns = {column: pa.array([value] * 301) for column, value in RECORD.items()}
    columns["id"] = pa.array([f"q{i}" for i in range(301)])
    columns[name] = pa.DictionaryArray.from_arrays(places, long)
    if name == "image":
        columns[name] = pa.DictionaryArray.from_arrays(places, pa.array(["x" * size, ""]))
    pq.write_table(pa.table(columns), tmp_path / "exam.parquet")
    assert (tmp_path / "exam.parquet").stat().st_size < 4 << 20
    words = [sys.executable, "-c", PEAK, tmp_path / "exam.parquet"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    grown, kept, rejected, line = map(int, done.stdout.split())
    assert (kept, rejected, line) == (1, 300, 1)
    assert grown < 500 << 10  # 4.7 GB as one list


def test_a_folder_of_other_splits_is_refused(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", RECORD)
    assert len(load(tmp_path)) == 1
    jsonl(tmp_path / "validation-00000-of-00001.jsonl", {**RECORD, "id": "q2"})
    with pytest.raises(DatasetError, match=r"no test split but several others, train\.jsonl and validation-00000"):
        load(tmp_path)
    jsonl(tmp_path / "test.jsonl", {**RECORD, "id": "q3"})
    assert [one.id for one in load(tmp_path)] == ["q3"]
    other = tmp_path / "other"
    other.mkdir()
    jsonl(other / "devices.jsonl", RECORD)
    jsonl(other / "training.jsonl", {**RECORD, "id": "q2"})
    assert len(load(other)) == 2


def test_csv_of_many_quotes_takes_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "exam.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(RECORD)
        file.write("q1," + '"' * 2_200_000 + ",1,exactMatch\n")
        file.write('"",' * 500_000 + "\n")
        file.write("q2,1?,1,exactMatch\n")
    exam = load(path)
    assert [one.id for one in exam] == ["q2"]
    assert [one.line for one in exam.rejected] == [2, 3]
