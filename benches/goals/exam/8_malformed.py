"""Hostile data: what is no record is left out by line and reason, in little memory; a key is written nowhere.

records: files of good records, each followed by one that is wrong in its own way, as JSONL and as CSV: bad ones kept,
good ones lost, bad ones that are not told by their line, remarks whose reason a terminal can't print as one line.

line: a line of 100 MB between good ones; pixels: a PNG whose header says 1.2 thousand million of them. How far the peak
of memory grows while a new process loads them.

key: runs with a key, of an endpoint that repeats it and the query of its address in answers and errors, as they are and
escaped for JSON and addresses: files and output that have them; names of secrets that --set takes; what repr shows.

--planted takes every record as it is, and calls the answer a key.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "benches" / "goals"), str(ROOT)]

from rows import Goal  # noqa: E402
from tests.exam.endpoint import Said, reply, serving  # noqa: E402

from thrifty import exam  # noqa: E402

goal = Goal(__file__, __doc__)
KEY = 'sk-a/Very"SecretKey+0123456789='
QUERY = "code=aQuery%2FSecretKey0123456789"
FIELDS = ("id", "question", "image", "answer", "answer_type", "category")


def good(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "question": "1 + 1?",
        "image": "",
        "answer": "2",
        "answer_type": "exactMatch",
        "category": "Math",
    }


def png(width: int, height: int) -> str:
    """A PNG whose header is right and says so many pixels, with data for one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>").decode()
#: What is wrong with each bad record: fields that replace those of a good one.
BAD: list[dict[str, Any]] = [
    {"id": "good-0"},  # there already
    *({"id": name} for name in ("", "../../etc/passwd", "a/b", "a\\b", "..", "a\x1b[31mb", "a\x00b", "a\nb")),
    *({"id": name} for name in ("a\u202eb", "a\u2066b", "a\u200db", "x" * 5000, " a", "\ufeffa", "a\u2029b")),
    {"question": ""},
    {"answer": ""},
    {"answer_type": "essay"},
    *({"image": uri} for uri in ("file:///etc/passwd", "http://127.0.0.1/x.png", png(40_000, 30_000))),
    {"image": f"data:image/svg+xml;base64,{SVG}"},
    {"image": f"data:image/png;base64,{SVG}"},
]
#: Bad ones that only JSON can say.
WRONG: list[dict[str, Any] | bytes] = [
    {"answer": 2},
    {"question": None},
    {"category": ["Math"]},
    {"id": {"$ne": ""}},
    {"image": True},
    b'{"id": "cut", "question": "1 +',
    b"[" * 200_000,
    b'{"id": "\xff\xfe"}',
    b'{"id": "' + b"9" * 50 + b'", "id": "twice"}',
    b"\x00\x01\x02",
    b'"text"',
]


def lines_of(kind: str) -> tuple[bytes, list[int], list[str]]:
    """A file, the lines where its bad records begin, and the ids of its good ones."""
    out, bad, names = io.StringIO(newline=""), [], []
    records = [*BAD, *(WRONG if kind == "jsonl" else [])]
    writer = csv.DictWriter(out, FIELDS)
    pieces: list[bytes] = []

    def add(record: dict[str, Any] | bytes) -> None:
        if isinstance(record, bytes):
            pieces.append(record + b"\n")
        elif kind == "jsonl":
            pieces.append(json.dumps(record).encode() + b"\n")
        else:
            out.seek(0)
            out.truncate()
            writer.writerow(record)
            pieces.append(out.getvalue().encode())

    if kind == "csv":
        writer.writeheader()
        pieces.append(out.getvalue().encode())
    for number, change in enumerate(records):
        names.append(f"good-{number}")
        add(good(names[-1]))
        bad.append(sum(piece.count(b"\n") for piece in pieces) + 1)
        add(change if isinstance(change, bytes) else {**good(f"bad-{number}"), **change})
    return b"".join(pieces), bad, names


LOAD = r"""
import json, re, sys
from thrifty import exam
peak = lambda: int(re.search(r"VmHWM:\s*([0-9]+)", open("/proc/self/status").read())[1])
before = peak()
found = exam.load(sys.argv[1])
print(json.dumps([(peak() - before) / 1024, [one.line for one in found.rejected], len(found)]))
"""


def grown(pieces: list[bytes]) -> tuple[float, list[int], int]:
    """MB by which the peak of memory grows in a process that loads a file, the lines it rejects, records it keeps."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "exam.jsonl")
        with path.open("wb") as file:
            file.writelines(pieces)
        done = subprocess.run([sys.executable, "-c", LOAD, path], check=True, capture_output=True, text=True)
        mb, rejected, kept = json.loads(done.stdout)
        return float(mb), rejected, kept


def leaks() -> int:
    """Files, outputs and messages that have the key."""
    found = 0
    once = json.dumps(KEY)[1:-1]
    forms = [KEY, once, once.replace("/", "\\/"), json.dumps(once)[1:-1], quote(KEY, safe=""), QUERY, unquote(QUERY)]
    words = [b"Answer"] if goal.planted else [b"SecretKey", *(form.encode() for form in forms)]

    def leaking(data: bytes) -> bool:
        return any(word in data for word in words)

    def script(request: dict[str, Any], attempt: int) -> Said:
        number = int(request["messages"][-1]["content"].split()[0])
        if number % 3 == 0:
            return Said(400, f"no {forms[number % len(forms)]}".encode(), {"X-Key": KEY})
        return reply(f"Answer: {KEY} {forms[1]} {forms[2]} {unquote(QUERY)}", KEY)

    environment = {**os.environ, "EXAM_KEY": KEY}
    with tempfile.TemporaryDirectory() as folder, serving(script) as server:
        data = Path(folder, "exam.jsonl")
        rows = [{**good(f"q{i}"), "question": f"{i} + 1?"} for i in range(60)]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name, answer in (("run", script), ("refused", lambda request, attempt: Said(401, KEY.encode()))):
            server.script = answer
            command = [
                sys.executable,
                "-m",
                "thrifty",
                "exam",
                "run",
                data,
                "--endpoint",
                f"{server.url}?{QUERY}",
                "--model",
                "small",
            ]
            command += ["--api-key-env", "EXAM_KEY", "--out", Path(folder, name)]
            for more in ([], ["--json"], ["--debug"]):
                done = subprocess.run([*command, *more], capture_output=True, check=False, env=environment)
                assert (done.returncode == 0) == (name == "run"), done.stderr
                found += leaking(done.stdout + done.stderr)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert len(files) >= 8
        return found + sum(leaking(path.read_bytes()) for path in files)


NAMES = ("key", "api_key", "API-Key", "token", "access_token", "secret", "clientSecret", "password", "Authorization")


def shown() -> int:
    """Settings with names of secrets that a run would write down, and a query that is shown."""
    found = 0
    for name in ("seed",) if goal.planted else NAMES:
        for extra in ({name: KEY}, {"headers": {name: KEY}}):
            try:
                exam.Endpoint("http://localhost/v1", "small", extra=extra)
            except ValueError as error:
                found += "SecretKey" in str(error)
            else:
                found += 1
    return found + ("SecretKey" in repr(exam.Endpoint(f"http://localhost/v1?{QUERY}", "small")))


if goal.wants("records"):
    for kind in ("jsonl", "csv"):
        text, bad, names = lines_of(kind)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"exam.{kind}")
            path.write_bytes(text)
            data = exam.load(path)
        rejected = [] if goal.planted else data.rejected
        kept = {question.id for question in data}
        told = [remark.line for remark in rejected]
        vague = sum(not (one.reason.isprintable() and one.reason.isascii() and one.reason) for one in rejected)
        what = f"{len(bad)} bad records among {len(names)} good ones, {kind}"
        goal.row(f"records/{kind}/kept", f"{what}: bad ones kept", "== 0", len(kept - set(names)))
        goal.row(f"records/{kind}/lost", f"{what}: good ones lost", "== 0", len(set(names) - kept))
        goal.row(f"records/{kind}/lines", f"{what}: not told by their line", "== 0", len(set(bad) ^ set(told)))
        goal.row(f"records/{kind}/reasons", f"{what}: remarks whose reason can't be printed", "== 0", vague)
if goal.wants("line"):
    around = [json.dumps(good(name)).encode() + b"\n" for name in ("a", "b")]
    mb, rejected, kept = grown([around[0], b'{"id": "', *[b"x" * 1_000_000] * 100, b'"}\n', around[1]])
    goal.row(
        "line/told",
        "a line of 100 MB between two good ones is not told, or takes others along",
        "== 0",
        (rejected, kept) != ([2], 2),
    )
    goal.row("line/memory", "a line of 100 MB: peak of memory grows by", "<= 40", mb, "MB")
if goal.wants("pixels"):
    huge = json.dumps({**good("a"), "image": png(40_000, 30_000)}).encode() + b"\n"
    mb, rejected, kept = grown([huge])
    what = "a PNG of 1.2 thousand million pixels is not refused"
    goal.row("pixels/told", what, "== 0", (rejected, kept) != ([1], 0))
    goal.row("pixels/memory", "a PNG of 1.2 thousand million pixels: peak of memory grows by", "<= 5", mb, "MB")
if goal.wants("key"):
    what = "files and outputs of six runs that have the key or the query of the address, also escaped"
    goal.row("key/leaks", what, "== 0", leaks())
    goal.row("key/shown", f"{len(NAMES)} names of secrets that are taken, query that is shown", "== 0", shown())
goal.end()
