"""The same records from parquet, JSONL and CSV, and pictures that leave as they came.

hash: hle_layout.parquet, and its records written as JSONL and as CSV: different hashes beyond one; records.

images: figures_multimodal.jsonl run against an endpoint that keeps requests: of 40 figures, those whose data URI does
not say the type that the bytes begin with, and those whose bytes are not those of the file.

--planted loses the last letter of rationales in the CSV, and sends every picture as PNG.
"""

from __future__ import annotations

import base64
import csv
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "benches" / "goals"), str(ROOT)]

import pyarrow.parquet  # noqa: E402
from rows import Goal  # noqa: E402
from tests.exam.endpoint import serving  # noqa: E402

from thrifty import exam  # noqa: E402

goal = Goal(__file__, __doc__, ("pyarrow",))
BEGINNINGS = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
TEXTS = (
    "id",
    "question",
    "image",
    "answer",
    "answer_type",
    "author_name",
    "rationale",
    "raw_subject",
    "category",
    "canary",
)


def hashes(source: Path) -> tuple[set[str], int]:
    """Hashes of the data sets of three kinds of files, and how many records the smallest has."""
    rows = [{name: row[name] for name in TEXTS} for row in pyarrow.parquet.read_table(source).to_pylist()]
    with tempfile.TemporaryDirectory() as folder:
        lines, table = Path(folder, "exam.jsonl"), Path(folder, "exam.csv")
        lines.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, TEXTS)
            writer.writeheader()
            for row in rows:
                writer.writerow({**row, "rationale": row["rationale"][:-1]} if goal.planted else row)
        found = [exam.load(path) for path in (source, lines, table)]
    return {one.sha256 for one in found}, min(len(one) for one in found)


def sent(source: Path) -> tuple[int, int]:
    """How many pictures left with a wrong type, and how many with other bytes."""
    data = exam.load(source)
    if goal.planted:
        wrong = [replace(q, image=q.image and replace(q.image, mime="image/png")) for q in data]
        data = replace(data, questions=tuple(wrong))
    with source.open(encoding="utf-8") as file:
        came = {row["question"] + row["id"]: row["image"] for row in map(json.loads, file)}
    with serving(keep=True) as server, tempfile.TemporaryDirectory() as folder:
        exam.run(data, exam.Endpoint(server.url, "small"), folder, concurrency=1)
    types = others = 0
    for question, (_, request) in zip(data, server.requests, strict=True):
        text, picture = request["messages"][-1]["content"]
        head, _, payload = picture["image_url"]["url"].partition(",")
        bytes_ = base64.b64decode(payload)
        assert text["text"] == question.question
        types += head not in [f"data:{mime};base64" for start, mime in BEGINNINGS.items() if bytes_.startswith(start)]
        others += bytes_ != base64.b64decode(came[question.question + question.id].partition(",")[2])
    assert len(server.requests) == len(data) == 40
    return types, others


if goal.wants("hash"):
    different, count = hashes(goal.data("exam/hle_layout.parquet"))
    goal.row("hash/different", "hashes of parquet, JSONL and CSV of 160 records", "== 1", len(different))
    goal.row("hash/records", "records in each", "== 160", count)
if goal.wants("images"):
    types, others = sent(goal.data("exam/figures_multimodal.jsonl"))
    goal.row("images/types", "40 figures that left with a wrong MIME type", "== 0", types)
    goal.row("images/bytes", "40 figures that left with other bytes", "== 0", others)
goal.end()
