"""Runs that can't go on, and folders that are not what a run left: told, and nothing lost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import said
from tests.exam.endpoint import Said, answer, content, reply, serving
from tests.exam.test_run import command, questions, written
from thrifty.errors import EndpointError, FormatError, JournalCorrupt, ResumeMismatch, ThriftyError
from thrifty.exam import Dataset, Endpoint, Question, Reply, open_run, run


@pytest.mark.parametrize(
    ("bad", "error", "name"),
    [
        (Reply("8", prompt_tokens=5.0), TypeError, "prompt_tokens"),  # type: ignore[arg-type]
        (Reply("8", completion_tokens=True), TypeError, "completion_tokens"),
        (Reply("8", prompt_tokens=-5), ValueError, "prompt_tokens"),
        (Reply("8", prompt_tokens=10**400), ValueError, "prompt_tokens"),
        (Reply(None), TypeError, "text"),  # type: ignore[arg-type]
        (Reply("8", finish_reason=None), TypeError, "finish_reason"),  # type: ignore[arg-type]
        (Reply("é" * (5 << 20)), ValueError, "text"),
        ("x" * (9 << 20), ValueError, "text"),
    ],
)
def test_a_reply_that_can_not_be_kept_ends_the_run_and_the_journal_stays_whole(
    tmp_path: Path, bad: Any, error: type[Exception], name: str
) -> None:
    def model(messages: list[dict[str, Any]]) -> Any:
        return bad if "2 + 2" in messages[1]["content"] else "Answer: 1"

    with pytest.raises(error, match=f"model: {name} of its Reply"):
        run(questions(4), model, tmp_path / "run", name="m", concurrency=1)
    done = run(questions(4), lambda messages: "Answer: 2", tmp_path / "run", name="m")
    assert [one.response for one in done.answers] == ["Answer: 1", "Answer: 1", "Answer: 2", "Answer: 2"]


def test_replies_of_other_kinds_of_text(tmp_path: Path) -> None:
    replies: list[Any] = [np.str_("Answer: 1"), Reply(np.str_("\ud800"), "s" * 90, 0, 2**53 - 1), "\x01" * (1 << 20)]
    done = run(questions(3), lambda messages: replies[int(messages[1]["content"].split()[2])], tmp_path / "run")
    assert [one.response for one in done.answers] == ["Answer: 1", "\ufffd", "\x01" * (1 << 20)]
    assert done.answers[1].finish_reason == "s" * 40
    assert open_run(tmp_path / "run").answers == done.answers


# Endpoints.


@pytest.mark.parametrize("status", [400, 422])
def test_a_request_that_all_are_refused_for_ends_the_run(tmp_path: Path, status: int) -> None:
    data = written(tmp_path / "exam.jsonl", 200)
    with serving(lambda request, attempt: Said(status, b"unknown field")) as server:
        done = said(*command(data, server.url, tmp_path / "run", "--json")[3:])
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"HTTP {status}, 20 questions in a row: unknown field" in done.stderr
        assert server.served.total() <= 36
        few = said(*command(data, server.url, tmp_path / "few", "--limit", 3)[3:])
        assert few.returncode == 1
        assert f"nothing was answered: HTTP {status} 3 times" in few.stderr
        # Where something was answered before, they are failures of their questions.
        server.script = lambda r, a: answer(r) if content(r).startswith("What is 0 ") else Said(status)
        assert said(*command(data, server.url, tmp_path / "one", "--limit", 1)[3:]).returncode == 0
        some = said(*command(data, server.url, tmp_path / "some", "--concurrency", 1)[3:])
        assert some.returncode == 0
        assert f"199 of 200 answers failed: HTTP {status} 199 times" in some.stderr
        again = said(*command(data, server.url, tmp_path / "some", "--concurrency", 1)[3:])
        assert again.returncode == 0


def test_an_endpoint_that_is_not_there_ends_the_run_soon(tmp_path: Path) -> None:
    begun = time.monotonic()
    notes: list[str] = []
    with pytest.raises(EndpointError, match=r"no connection, \d+ attempts and no answer ever.*the same command"):
        run(questions(40), Endpoint("http://127.0.0.1:1/v1", "small"), tmp_path / "run", note=notes.append)
    assert time.monotonic() - begun < 20
    assert len(notes) == 1
    assert "no connection" in notes[0]
    assert "3 attempts without an answer" in notes[0]


def test_an_endpoint_that_is_busy_for_all_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrifty.exam.asking.ask.delay", lambda attempt, after: 0.001)
    notes: list[str] = []
    with serving(lambda r, a: Said(503, b"loading") if a < 6 else answer(r)) as server:
        done = run(questions(6), Endpoint(server.url, "small"), tmp_path / "run", note=notes.append, concurrency=6)
    assert done.summary["answered"] == 6
    assert "HTTP 503 (loading), 3 attempts without an answer; it goes on" in notes[0]
    assert len(notes) == 2


def test_a_question_that_nobody_hears_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrifty.exam.asking.ask.delay", lambda attempt, after: 0.001)
    served: list[int] = []

    def hangs(request: dict[str, Any], attempt: int) -> Said:
        served.append(attempt)
        return Said(hang=True)

    with serving(hangs) as server:
        with pytest.raises(EndpointError, match="no whole answer in time, 4 attempts and no answer ever: 0.05 s"):
            run(questions(1), Endpoint(server.url, "small"), tmp_path / "run", timeout=0.05)
        assert served == [1, 2, 3, 4]
        # Once it has answered, each question has all its attempts.
        server.script = lambda r, a: answer(r) if "0 + 0" in content(r) or a > 6 else Said(hang=True)
        done = run(questions(2), Endpoint(server.url, "other"), tmp_path / "2", timeout=0.2, concurrency=1)
    assert [one.status for one in done.answers] == ["answered", "answered"]
    assert done.summary["requests"] == 8


def test_more_requests_at_once_than_files(tmp_path: Path) -> None:
    data = written(tmp_path / "exam.jsonl", 200)

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    def slow(request: dict[str, Any], attempt: int) -> Said:
        return reply("Answer: 1", wait=0.02)

    with serving(slow) as server:
        words = command(data, server.url, tmp_path / "run", "--concurrency", "150", "--json")
        done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=little)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["answered"] == 200
        assert "note: concurrency 150: 64 open files are allowed (ulimit -n), so " in done.stderr
        assert 10 <= server.most_at_once < 40


# Going on.


def test_parameters_are_the_same_as_json_says_them(tmp_path: Path) -> None:
    with serving() as server:
        endpoint = Endpoint(server.url, "small", extra={"stop": ("a",), "seed": 1})
        run(questions(2), endpoint, tmp_path / "run")
        run(questions(2), endpoint, tmp_path / "run")
        with pytest.raises(ResumeMismatch, match="parameters"):
            run(questions(2), Endpoint(server.url, "small", extra={"stop": ["b"], "seed": 1}), tmp_path / "run")


def test_another_address_is_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    with serving(lambda r, a: Said(400) if "1 + 1" in content(r) else answer(r)) as server:
        first = run(questions(2), Endpoint(server.url, "small"), tmp_path / "run", note=notes.append)
    assert notes == []
    with serving() as server:
        done = run(questions(2), Endpoint(server.url, "small"), tmp_path / "run", note=notes.append)
    assert [one.status for one in done.answers] == ["answered", "answered"]
    assert len(notes) == 1
    assert first.manifest["endpoint"] in notes[0]
    assert server.url in notes[0]


def test_ids_that_are_there_twice(tmp_path: Path) -> None:
    one = Question("q", "1?", "1", "exactMatch")
    with pytest.raises(ValueError, match="dataset: two questions have the id 'q'"):
        run(Dataset((one, one)), lambda messages: "x", tmp_path / "run")
    with pytest.raises(TypeError, match="dataset: id of question 0 is int"):
        run(Dataset((Question(5, "1?", "1", "exactMatch"),)), lambda m: "x", tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_requests_and_prices_are_those_of_all_sessions(tmp_path: Path) -> None:
    with serving(lambda r, a: Said(500) if "1 + 1" in content(r) else reply("x" * 40)) as server:
        endpoint, out = Endpoint(server.url, "small"), tmp_path / "run"
        first = run(questions(3), endpoint, out, retries=1, usd_per_million=(2.0, 8.0), concurrency=1)
        assert (first.summary["requests"], first.summary["failed"]) == (4, 1)
        server.script = lambda r, a: reply("x" * 40)
        done = run(questions(3), endpoint, out)
    assert done.summary["requests"] == 5
    assert done.summary["usd"] == pytest.approx((300 * 2 + 30 * 8) / 1e6)
    assert run(questions(3), endpoint, out).summary == done.summary


# Folders.


def finished(folder: Path) -> Path:
    run(questions(3), lambda messages: "Answer: 1", folder, name="m")
    return folder


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("results.jsonl", b"Answer: 1", b"Answer: 2"), ("questions.jsonl", b'"answer": "2"', b'"answer": "1"')],
)
def test_what_was_changed_since_is_told(tmp_path: Path, name: str, before: bytes, after: bytes) -> None:
    path = finished(tmp_path / "run") / name
    whole = path.read_bytes()
    assert before in whole
    path.write_bytes(whole.replace(before, after, 1))
    with pytest.raises(FormatError, match=rf"{name}: it was changed, .*; run the same command again"):
        open_run(tmp_path / "run")
    finished(tmp_path / "run")
    assert path.read_bytes() == whole


def test_a_kill_between_results_and_summary_is_an_unfinished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.exam.test_run import questions; from thrifty.exam import run\n"
        "import thrifty.exam.asking.run as m\n"
        "real = m.write_results\n"
        "def write(*given):\n    found = real(*given)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "m.write_results = write\n"
        "run(questions(3), lambda messages: 'Answer: 1', sys.argv[1], name='m')\n"
    )
    root = Path(__file__).parents[2]
    for _ in range(2):  # of a run that was not finished, and of one that was
        killed = subprocess.run([sys.executable, "-c", code, tmp_path / "run", root], check=False)
        assert killed.returncode == -9
        assert (tmp_path / "run" / "results.jsonl").exists()
        with pytest.raises(ThriftyError, match="its run is not finished"):
            open_run(tmp_path / "run")
        finished(tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "change", "error"),
    [
        ("summary.json", {"answered": "3"}, "answered is str, not int"),
        ("summary.json", {"failed": True}, "failed is bool, not int"),
        ("summary.json", {"seconds": -1.0}, "seconds is out of range"),
        ("summary.json", {"joules": float("inf")}, "joules is out of range"),
        ("summary.json", {"requests": None}, "requests is NoneType"),
        ("summary.json", {"results_sha256": 5}, "results_sha256 is int"),
        ("manifest.json", {"epochs": "1"}, "epochs is str"),
        ("manifest.json", {"epochs": 10**18}, "its answers are not those"),
        ("manifest.json", {"parameters": []}, "parameters is list"),
        ("manifest.json", {"model": 7}, "model is int"),
    ],
)
def test_summaries_of_other_types_are_told_by_field(
    tmp_path: Path, file: str, change: dict[str, Any], error: str
) -> None:
    path = finished(tmp_path / "run") / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FormatError, match=rf".*: {error}"):
        open_run(tmp_path / "run")
    path.write_text(json.dumps(dict.fromkeys(("format",), 0)))
    with pytest.raises(FormatError, match=rf"{file}: .* is missing"):
        open_run(tmp_path / "run")
    done = said("exam", "grade", tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert file in done.stderr


@pytest.mark.parametrize(
    "data", [b"my own notes", b"x", b'{"id": 1}', b"a diary\nof two lines\n", b"0123abcd 0123abc!"]
)
def test_a_journal_of_somebody_else_is_left_alone(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "journal.jsonl").write_bytes(data)
    with pytest.raises(JournalCorrupt, match="it is no journal|the record there is damaged"):
        run(questions(1), lambda messages: "x", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]
    assert (tmp_path / "journal.jsonl").read_bytes() == data


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("name", ["results.jsonl", "questions.jsonl", "manifest.json", "summary.json"])
def test_files_of_somebody_else_are_left_alone(tmp_path: Path, name: str, empty: bool) -> None:
    (tmp_path / name).write_text("dear")
    if empty:
        (tmp_path / "journal.jsonl").touch()
    with pytest.raises(FormatError, match=f"{name}: it is there without the journal of a run; give another folder"):
        run(questions(1), lambda messages: "x", tmp_path)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {name: "dear", **({"journal.jsonl": ""} if empty else {})}
