"""Data sets: the same records from every kind of file, and everything that is no record said by line and field."""

from __future__ import annotations

import csv
import io
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import DatasetError, MissingExtra
from thrifty.exam import load
from thrifty.exam.reading import lines as lines_module
from thrifty.exam.reading.images import header, read_uri
from thrifty.exam.reading.records import FIELDS, Records

RECORD = {"id": "q1", "question": "1 + 1?", "answer": "2", "answer_type": "exactMatch"}


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    return list(pyarrow.parquet.read_table(path).to_pylist())


def test_parquet_jsonl_csv_and_folders_are_one_data_set(data: Path, tmp_path: Path) -> None:
    source = data / "exam" / "hle_layout.parquet"
    rows = rows_of(source)
    texts = [{name: row[name] for name in FIELDS} for row in rows]
    jsonl(tmp_path / "exam.jsonl", *texts)
    with (tmp_path / "exam.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(texts[0]))
        writer.writeheader()
        writer.writerows(texts)
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    (hub / "test-00000-of-00001.parquet").write_bytes(source.read_bytes())
    jsonl(hub / "train.jsonl", RECORD)
    found = [load(path) for path in (source, tmp_path / "exam.jsonl", tmp_path / "exam.csv", tmp_path / "hub")]
    assert {exam.sha256 for exam in found} == {found[0].sha256}
    assert [len(exam) for exam in found] == [160] * 4
    assert found[0].questions[0].canary.startswith("TEST-CANARY")
    assert not any(exam.rejected or exam.flagged for exam in found)
    changed = [*texts[:-1], {**texts[-1], "answer": texts[-1]["answer"] + " "}]
    assert load(jsonl(tmp_path / "exam.jsonl", *changed)).sha256 != found[0].sha256


def test_pictures_keep_their_bytes(data: Path) -> None:
    import base64

    rows = rows_of(data / "exam" / "hle_layout.parquet")
    exam = load(data / "exam" / "hle_layout.parquet")
    pictures = [(row, question.image) for row, question in zip(rows, exam, strict=True) if row["image"]]
    assert len(pictures) == 40
    for row, picture in pictures:
        assert picture is not None
        assert row["image"].startswith(f"data:{picture.mime};base64,")
        assert picture.data == base64.b64decode(row["image"].partition(",")[2])
        assert 1 <= picture.width <= 4000
    assert {picture.mime for _, picture in pictures if picture} == {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
    }


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b'{"id": "q1", "question": "1 + 1?", "answer": "2"}', "answer_type", "missing"),
        (b'{"id": "q1", "question": null, "answer": "2", "answer_type": "exactMatch"}', "question", "null"),
        (json.dumps({**RECORD, "answer": 2}).encode(), "answer", "a number, not text"),
        (json.dumps({**RECORD, "answer": " "}).encode(), "answer", "empty"),
        (json.dumps({**RECORD, "category": ["Math"]}).encode(), "category", "a list"),
        (json.dumps({**RECORD, "answer_type": "essay"}).encode(), "answer_type", "'essay' is none of exactMatch"),
        (json.dumps({**RECORD, "question": "x" * 1_000_001}).encode(), "question", "1,000,001 letters"),
        (json.dumps({**RECORD, "question": "\ud800"}).encode(), "question", "surrogate"),
        (json.dumps(RECORD).encode()[:-9], "", "not JSON"),
        (b'{"id": "q1", "id": "q2"}', "", "'id' is there twice"),
        (b"[1, 2]", "", "no object"),
        (b"[" * 100_000, "", "nested too deeply"),
        (b'{"id": ' + b"9" * 10_000 + b"}", "", "not JSON"),
        (b'{"id": "\xff"}', "", "not UTF-8: byte 0xff"),
        (b"\x00" * 50, "", "not JSON"),
        (b'{"x": [' + b"[]," * 600_000 + b"0]}", "", "more than 500,000 parts"),
        (b"{" + b",".join(b'"%d": 1' % (i % 99_999) for i in range(100_000)) + b"}", "", "'0' is there twice"),
    ],
)
def test_a_line_that_is_no_record_is_left_out(tmp_path: Path, line: bytes, field: str, reason: str) -> None:
    path = tmp_path / "exam.jsonl"
    path.write_bytes(b"\n" + line + b"\n" + json.dumps({**RECORD, "id": "after"}).encode())
    exam = load(path)
    assert [question.id for question in exam] == ["after"]
    (remark,) = exam.rejected
    assert (remark.line, remark.field, remark.file) == (2, field, "exam.jsonl")
    assert reason in remark.reason
    assert remark.reason.isprintable()
    assert exam.questions[0].line == 3


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a\nb",
        "a\x1b[2J",
        "../etc/passwd",
        "a\\b",
        "..",
        "a\u202eb",
        "a\u200bb",
        "x" * 129,
        " a",
        "a\u2028b",
        "a\ufeff",
        "\ud800",
        "a\x00",
        "a\ue000",
    ],
)
def test_ids_that_deceive_are_left_out(tmp_path: Path, name: str) -> None:
    exam = load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "id": name}, RECORD))
    assert [(remark.line, remark.field) for remark in exam.rejected] == [(1, "id")]
    assert exam.rejected[0].reason.isprintable()
    assert exam.rejected[0].reason.isascii()
    assert len(exam) == 1


@pytest.mark.parametrize("name", ["é", "問題-1", "a b", "a.b", "q:1#2", "671f2c7d0123456789abcdef"])
def test_plain_ids_are_kept(tmp_path: Path, name: str) -> None:
    assert load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "id": name})).questions[0].id == name


def test_an_id_is_there_once(tmp_path: Path) -> None:
    exam = load(jsonl(tmp_path / "exam.jsonl", RECORD, {**RECORD, "answer": "3"}))
    assert len(exam) == 1
    assert exam.questions[0].answer == "2"
    assert (exam.rejected[0].line, exam.rejected[0].field) == (2, "id")
    assert "line 1 of exam.jsonl" in exam.rejected[0].reason
    jsonl(tmp_path / "other.jsonl", RECORD)
    both = load(tmp_path)
    assert [remark.file for remark in both.rejected] == ["exam.jsonl", "other.jsonl"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_without_end_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(lines_module, "MOST_BYTES", 1 << 18)
    monkeypatch.setattr(lines_module.lines, "__defaults__", (1 << 18,))
    path = tmp_path / f"exam.{kind}"
    with path.open("wb") as file:
        if kind == "csv":
            file.write(b"id,question,answer,answer_type\n")
            file.write(b'long,"' + b"xxxxxxx\n" * (1 << 18) + b'",2,exactMatch\nq1,1 + 1?,2,exactMatch\n')
        else:
            file.write(b'{"id": "' + b"x" * (4 << 20) + b'"}\n' + json.dumps(RECORD).encode())
    tracemalloc.start()
    exam = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [question.id for question in exam] == ["q1"]
    assert [(remark.line, "more than" in remark.reason) for remark in exam.rejected] == [(1 + (kind == "csv"), True)]
    assert peak < 1 << 21


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(st.lists(st.tuples(text, text, text), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_csv_is_read_as_it_is_written(rows: list[tuple[str, str, str]], end: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(["id", "question", "answer", "rationale", "answer_type"])
    for number, row in enumerate(rows):
        writer.writerow([f"q{number}", f"{row[0]}?", f"{row[1]}!", row[2], "exactMatch"])
    records = Records()
    lines_module.read_csv(io.BytesIO(out.getvalue().encode()), records)
    assert records.rejected == []
    assert [(q.question, q.answer, q.rationale) for q in records.questions] == [
        (f"{a}?", f"{b}!", c) for a, b, c in rows
    ]


def test_faults_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "exam.csv"
    path.write_text(
        "id,question,answer,answer_type\n"
        "q1,one,1,exactMatch,more\n"
        'q2,"two\nlines",2,exactMatch\n'
        'q3,"thr"ee,3,exactMatch\n'
        "q4,four,4\n"
        f"q4,four,4,exactMatch{',' * 2_000}\n"
        '\nq5,"five,5,exactMatch\nq6,six,6,exactMatch\n'
    )
    exam = load(path)
    assert [(question.id, question.line) for question in exam] == [("q2", 3)]
    assert exam.questions[0].question == "two\nlines"
    said = [(remark.line, remark.reason) for remark in exam.rejected]
    assert [line for line, _ in said] == [2, 5, 6, 7, 9]
    assert "5 values under 4 names" in said[0][1]
    assert "after its closing quote" in said[1][1]
    assert "more than 1,000 values" in said[3][1]
    assert "never closed" in said[4][1]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("id,question,answer", "no column is called answer_type"),
        ("id,id,question,answer,answer_type", "two columns are called 'id'"),
        ("id," * 2_000, "it has more than 1,000 values"),
        ('"id"x,question', "a quoted value goes on"),
    ],
)
def test_a_csv_without_the_columns_is_no_data_set(tmp_path: Path, names: str, reason: str) -> None:
    path = tmp_path / "exam.csv"
    path.write_text(f"{names}\n1,2,3\n")
    with pytest.raises(DatasetError, match=rf"exam\.csv, line 1: {reason}"):
        load(path)


def test_parquet_that_is_damaged_or_something_else(data: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = (data / "exam" / "hle_layout.parquet").read_bytes()
    path = tmp_path / "exam.parquet"
    for part in (b"", whole[:1000], whole[:-100], whole[:4] + bytes(len(whole) - 8) + whole[-4:], b"id,question"):
        path.write_bytes(part)
        with pytest.raises(DatasetError, match="exam.parquet: it is no parquet file, or a damaged one"):
            load(path)
    pq.write_table(pa.table({"id": ["a"], "question": ["b"], "answer": ["c"]}), path)
    with pytest.raises(DatasetError, match="no column is called answer_type"):
        load(path)
    columns = {"id": ["a", "b"], "question": ["?", "?"], "answer": [1, 2], "answer_type": ["exactMatch"] * 2}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DatasetError, match="column answer is of type int64, not text"):
        load(path)
    answers = pa.array([b"\xff", b"2"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({**columns, "answer": answers}), path)
    exam = load(path)
    assert [question.id for question in exam] == ["b"]
    assert [(remark.line, remark.field) for remark in exam.rejected] == [(1, "answer")]
    encoded = pa.array(["1", None]).dictionary_encode()
    pq.write_table(pa.table({**columns, "answer": encoded}), path)
    exam = load(path)
    assert [(remark.line, remark.field, remark.reason) for remark in exam.rejected] == [(2, "answer", "it is null")]


def test_parquet_without_pyarrow(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'thrifty\[exam\]'"):
        load(data / "exam" / "hle_layout.parquet")


def test_folders_and_files_that_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"no file there ends with \.parquet"):
        load(tmp_path)
    (tmp_path / "exam.json").write_text("[]")
    with pytest.raises(DatasetError, match="what kind of file"):
        load(tmp_path / "exam.json")
    jsonl(tmp_path / "test-00000-of-00003.jsonl", RECORD)
    jsonl(tmp_path / "test-00002-of-00003.jsonl", RECORD)
    with pytest.raises(DatasetError, match="test-00001-of-00003.jsonl is missing"):
        load(tmp_path)
    (tmp_path / "binary.jsonl").write_bytes(b"x\n" * 20_000)
    with pytest.raises(DatasetError, match="more than 10,000 records are no questions; the first, in line 1"):
        load(tmp_path / "binary.jsonl")


def test_subsets(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "exam.jsonl", *({**RECORD, "id": f"q{i}"} for i in range(20)))

    def ids(**given: Any) -> list[str]:
        return [question.id for question in load(path, **given)]

    (tmp_path / "ids.txt").write_text("q7\n\nq3\r\nq7\n")
    assert ids(subset=tmp_path / "ids.txt") == ids(subset=["q7", "q3"]) == ["q3", "q7"]
    assert ids(limit=3) == ["q0", "q1", "q2"]
    drawn = ids(limit=5, sample_seed=1)
    assert drawn == ids(limit=5, sample_seed=1) != ids(limit=5, sample_seed=2)
    assert len(set(drawn)) == 5
    assert drawn == sorted(drawn, key=lambda name: int(name[1:]))
    assert ids(limit=50, sample_seed=1) == ids()
    (tmp_path / "ids.txt").write_text("q7\nq99\n")
    with pytest.raises(DatasetError, match=r"ids.txt, line 2: no question of .* has the id 'q99'"):
        load(path, subset=tmp_path / "ids.txt")
    for given_, name in (
        ({"limit": 0}, "limit"),
        ({"sample_seed": 1}, "sample_seed"),
        ({"subset": str(path)}, "no question of"),
    ):
        with pytest.raises((ValueError, DatasetError), match=name):
            load(path, **given_)


# Pictures.


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + struct.pack(">II", width, height) + bytes(9)


def uri(data: bytes, mime: str = "image/png") -> str:
    import base64

    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (uri(png(40_000, 30_000)), "40000 x 30000 pixels; at most 40,000,000"),
        (uri(png(2**31, 1)), "damaged or cut off"),
        (uri(png(0, 5)), "damaged or cut off"),
        (uri(png(5, 5)[:20]), "damaged or cut off"),
        (uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG or other XML"),
        (uri(b"\n <?xml version='1.0'?><svg/>"), "SVG or other XML"),
        (uri(b"<svg/>", "image/svg+xml"), "SVG is refused"),
        (uri(b"BM" + bytes(60)), "neither PNG, JPEG, GIF nor WebP"),
        (uri(b""), "neither PNG"),
        ("file:///etc/passwd", "never opened"),
        ("http://localhost/x.png", "never opened"),
        ("/etc/passwd", "never opened"),
        ("data:image/png,abc", "not in base64"),
        ("data:image/png;base64,a b*c", "not base64"),
        (uri(b"\xff\xd8\xff\xe0\x00\x02\xff\xda\x00\x02"), "JPEG file is damaged"),
        (uri(b"\xff\xd8\xff\xe0\x00\x00" * 5), "JPEG file is damaged"),
        (uri(b"GIF89a\x01"), "GIF file is damaged"),
        (uri(b"RIFF\x00\x00\x00\x00WEBPVP8L"), "WEBP file is damaged"),
        (uri(b"GIF89a\xff\xff\xff\xff\x00\x00\x00"), "65535 x 65535 pixels"),
        (uri(b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + b"\xff" * 6), "16777216 x 16777216"),
    ],
)
def test_pictures_that_are_refused(tmp_path: Path, image: str, reason: str) -> None:
    exam = load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "image": image}, {**RECORD, "id": "q2", "image": ""}))
    assert [question.id for question in exam] == ["q2"]
    (remark,) = exam.rejected
    assert (remark.line, remark.field) == (1, "image")
    assert reason in remark.reason


def test_a_wrong_label_is_flagged_and_the_bytes_decide(tmp_path: Path) -> None:
    for label in ("image/jpeg", "image/jpg", "text/html", "image/PNG"):
        exam = load(jsonl(tmp_path / "exam.jsonl", {**RECORD, "image": uri(png(3, 4), label)}))
        picture = exam.questions[0].image
        assert picture is not None
        assert (picture.mime, picture.width, picture.height) == ("image/png", 3, 4)
        assert [(one.line, one.field) for one in exam.flagged] == ([] if label == "image/PNG" else [(1, "image")])
        assert not exam.rejected


def test_a_huge_picture_is_refused_without_being_decoded() -> None:
    image = uri(png(100_000, 100_000) + bytes(12_000_000))
    tracemalloc.start()
    with pytest.raises(ValueError, match="pixels"):
        read_uri(image)
    # The letters of the URI are sliced off it once.
    assert tracemalloc.get_traced_memory()[1] < len(image) + (1 << 20)
    tracemalloc.stop()


@given(
    st.sampled_from([png(7, 9), b"\xff\xd8\xff", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBPVP8 "]), st.binary(max_size=80)
)
def test_headers_of_anything(begin: bytes, rest: bytes) -> None:
    try:
        mime, width, height = header(begin + rest, more=False)
    except ValueError:
        return
    assert mime.startswith("image/")
    assert width > 0
    assert height > 0


def test_a_jpeg_is_read_past_its_fill_bytes() -> None:
    head = b"\xff\xd8\xff\xe1" + struct.pack(">H", 50_000) + bytes(49_998)
    frame = b"\xff\xff\xff\xc2\x00\x11\x08" + struct.pack(">HH", 12, 34) + bytes(10)
    assert header(head + frame, more=False) == ("image/jpeg", 34, 12)
    picture, _ = read_uri(uri(head + frame, "image/jpeg"))
    assert (picture.width, picture.height) == (34, 12)
    dht = b"\xff\xd8\xff\xc4\x00\x05\x00\x00\x00"
    assert header(dht + frame, more=False) == ("image/jpeg", 34, 12)
