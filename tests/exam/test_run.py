"""Runs: every question answered once, however often the process dies on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.command import said
from tests.exam.endpoint import Said, answer, content, faulty, reply, serving
from thrifty.device import Meter
from thrifty.errors import DatasetError, FormatError, LockedError, ResumeMismatch, ThriftyError
from thrifty.exam import Dataset, Endpoint, Image, Progress, Question, Reply, open_run, run
from thrifty.exam import prompt as prompt_of

KEY = "sk-Secret0123456789"


def questions(count: int, **given: Any) -> Dataset:
    one = [Question(f"q{i}", f"What is {i} + {i}?", str(2 * i), "exactMatch", **given) for i in range(count)]
    return Dataset(tuple(one))


def written(path: Path, count: int) -> Path:
    rows = (
        {"id": q.id, "question": q.question, "answer": q.answer, "answer_type": q.answer_type} for q in questions(count)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_run_keeps_what_was_said(tmp_path: Path) -> None:
    seen: list[Progress] = []
    exam = questions(40, category="Math", canary="CANARY")
    with serving(keep=True) as server:
        done = run(exam, Endpoint(server.url, "small"), tmp_path / "run", epochs=2, progress=seen.append)
    assert [(one.id, one.epoch) for one in done.answers] == [(f"q{i}", e) for i in range(40) for e in (0, 1)]
    for one, question in zip(done.answers[::2], exam, strict=True):
        said = json.loads(answer({"messages": [{"content": question.question}]}).body)
        assert one.response == said["choices"][0]["message"]["content"]
        assert (one.status, one.finish_reason, one.prompt_tokens, one.error) == ("answered", "stop", 100, "")
    assert [question.content() for question in done.questions] == [question.content() for question in exam]
    assert done.manifest["dataset_sha256"] == exam.sha256
    assert done.manifest["prompt_id"] == "hle-like-1"
    assert done.manifest["prompt_sha256"] == hashlib.sha256(prompt_of().text.encode()).hexdigest()
    assert done.canary == "CANARY"
    assert done.summary["requests"] == done.summary["answered"] == 80
    assert done.usage["prompt_tokens"] == 8000
    assert seen[-1].done == seen[-1].total == 80
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    first = server.requests[0][1]["messages"]
    assert first[0] == {"role": "system", "content": prompt_of().text}
    assert first[1]["content"].startswith("What is ")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    for file in (tmp_path / "run").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines():
        assert json.loads(line)["canary"] == "CANARY"
        assert "seconds" not in json.loads(line)


def test_pictures_are_sent_as_they_came(tmp_path: Path) -> None:
    import base64

    data = b"\x89PNG\r\n\x1a\n any bytes \xff"
    exam = Dataset((Question("q", "What is this?", "x", "exactMatch", Image(data, "image/png", 2, 3)),))
    with serving(keep=True) as server:
        run(exam, Endpoint(server.url, "small"), tmp_path / "run")
    text, picture = server.requests[0][1]["messages"][1]["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert picture["type"] == "image_url"
    head, _, payload = picture["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(payload) == data


def test_answers_that_were_stopped_or_failed_are_told_apart(tmp_path: Path) -> None:
    ends = {"1": "length", "2": "content_filter", "3": "tool_calls"}

    def script(request: dict[str, Any], attempt: int) -> Said:
        last = content(request)[-2]
        return Said(422, b"no") if last == "4" else reply("Answer: 1", ends.get(last, "stop"))

    with serving(script) as server:
        done = run(questions(10), Endpoint(server.url, "small"), tmp_path / "run", usd_per_million=(2.0, 8.0))
        assert [one.status for one in done.answers[:5]] == [
            "answered",
            "length",
            "content_filter",
            "answered",
            "failed",
        ]
        assert (done.answers[4].response, done.answers[4].error) == ("", "HTTP 422")
        assert done.summary["usd"] == pytest.approx((900 * 2 + 18 * 8) / 1e6)
        assert sum(done.summary[name] for name in ("answered", "length", "content_filter", "failed")) == 10
        server.script = answer
        served = server.served.total()
        again = run(questions(10), Endpoint(server.url, "small"), tmp_path / "run")
    assert server.served.total() == served + 1
    assert again.answers[4].status == "answered"
    assert again.answers[:4] == done.answers[:4]


def test_another_run_is_refused(tmp_path: Path) -> None:
    with serving() as server:
        endpoint = Endpoint(server.url, "small")
        run(questions(3), endpoint, tmp_path / "run")
        for field, exam, model, given in (
            ("dataset_sha256", questions(4), endpoint, {}),
            ("epochs", questions(3), endpoint, {"epochs": 2}),
            ("model", questions(3), Endpoint(server.url, "large"), {}),
            ("parameters", questions(3), Endpoint(server.url, "small", temperature=0.0), {}),
        ):
            with pytest.raises(ResumeMismatch, match=f"{field} of the run in it is"):
                run(exam, model, tmp_path / "run", **given)


def test_functions_are_asked(tmp_path: Path) -> None:
    names = set()

    def plain(messages: list[dict[str, Any]]) -> str:
        names.add(threading.current_thread().name)
        time.sleep(0.002)
        return f"Answer: {messages[1]['content'][-2]}"

    async def awaited(messages: list[dict[str, Any]]) -> Reply:
        await asyncio.sleep(0.001)
        return Reply(f"Answer: {messages[1]['content'][-2]}", "length", 7, 8)

    done = run(questions(30), plain, tmp_path / "plain", concurrency=3)
    assert [one.response for one in done.answers] == [f"Answer: {i % 10}" for i in range(30)]
    assert done.manifest["model"].endswith("plain")
    assert 1 < len(names) <= 3
    done = run(questions(30), awaited, tmp_path / "awaited", name="small")
    assert {one.status for one in done.answers} == {"length"}
    assert (done.manifest["model"], done.summary["completion_tokens"]) == ("small", 240)


def test_what_a_function_raises_ends_the_run_and_answers_stay(tmp_path: Path) -> None:
    def works(messages: list[dict[str, Any]]) -> str:
        return "Answer: 1"

    def breaks(messages: list[dict[str, Any]]) -> str:
        if "15 + 15" in messages[1]["content"]:
            raise ZeroDivisionError("in the model")
        return works(messages)

    with pytest.raises(ZeroDivisionError, match="in the model"):
        run(questions(30), breaks, tmp_path / "run", name="m", concurrency=1)
    with pytest.raises(ThriftyError, match="its run is not finished"):
        open_run(tmp_path / "run")
    calls: list[int] = []
    run(questions(30), lambda messages: calls.append(1) or works(messages), tmp_path / "run", name="m")
    assert len(calls) == 15
    with pytest.raises(TypeError, match="it returned int"):
        run(questions(3), lambda messages: 5, tmp_path / "other")

    def stop(state: Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(questions(3), works, tmp_path / "third", progress=stop)


def test_a_run_inside_of_a_running_loop(tmp_path: Path) -> None:
    async def notebook() -> int:
        return len(run(questions(3), lambda messages: "Answer: 1", tmp_path / "run").answers)

    assert asyncio.run(notebook()) == 3


def test_ctrl_c_inside_of_a_running_loop(tmp_path: Path, interruptible: None) -> None:
    asked = threading.Event()

    async def slow(messages: list[dict[str, Any]]) -> str:
        if "0 + 0" in messages[1]["content"]:
            return "Answer: 0"
        asked.set()
        await asyncio.sleep(60)
        return "Answer: 1"

    def interrupt() -> None:
        asked.wait(20)
        while lines_in(tmp_path / "run" / "journal.jsonl") < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    async def notebook() -> None:
        run(questions(3), slow, tmp_path / "run", name="m")

    thread, loop = threading.Thread(target=interrupt), asyncio.new_event_loop()
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(notebook())
    loop.close()
    thread.join()
    calls: list[int] = []
    run(questions(3), lambda messages: calls.append(1) or "Answer: 1", tmp_path / "run", name="m")
    assert len(calls) == 2


def test_energy_is_summed_over_sessions(tmp_path: Path) -> None:
    class Counter_:
        name, period, step = "a counter", None, 0.01
        told = 0.0

        def again(self) -> Counter_:
            return self

        def joules(self) -> float:
            Counter_.told += 2.0
            return Counter_.told

        def watts(self) -> float | None:
            return None

        celsius = watts

    def breaks(messages: list[dict[str, Any]]) -> str:
        if "5 + 5" in messages[1]["content"]:
            raise ZeroDivisionError
        return "Answer: 1"

    counter: Any = Counter_()
    with pytest.raises(ZeroDivisionError):
        run(questions(10), breaks, tmp_path / "run", name="m", concurrency=1, meter=Meter(counters=[counter]))
    done = run(questions(10), lambda m: "Answer: 1", tmp_path / "run", name="m", meter=Meter(counters=[counter]))
    assert done.joules == 4.0
    assert done.joules_source == "a counter"
    assert done.usage["seconds"] > 0


def test_arguments_that_make_no_sense(tmp_path: Path) -> None:
    def one(messages: list[dict[str, Any]]) -> str:
        return "x"

    for given, name in (
        ({"epochs": 0}, "epochs"),
        ({"concurrency": 0}, "concurrency"),
        ({"rpm": 0}, "rpm"),
        ({"tpm": float("nan")}, "tpm"),
        ({"usd_per_million": (1.0, float("inf"))}, "usd_per_million"),
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"instructions": "../x"}, "prompt"),
    ):
        with pytest.raises(ValueError, match=name):
            run(questions(1), one, tmp_path / "run", **given)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no question is in it"):
        run(Dataset(()), one, tmp_path / "run")
    with pytest.raises(TypeError, match="neither an Endpoint nor"):
        run(questions(1), "gpt", tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_folder_that_was_changed_is_told(tmp_path: Path) -> None:
    run(questions(3), lambda messages: "Answer: 1", tmp_path / "run")
    results = tmp_path / "run" / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    for text, error in (
        ("".join(lines[:2]), "its answers are not those"),
        ("".join([lines[0], lines[0], lines[2]]), "its answers are not those"),
        ("".join([lines[0], "{}\n", lines[2]]), r"results\.jsonl, line 2: 'id' is missing"),
        ("".join([*lines[:2], "[" * 100_000]), r"results\.jsonl, line 3: it is no JSON object"),
        (lines[0].replace('"epoch": 0', '"epoch": "0"'), "line 1: epoch is str"),
    ):
        results.write_text(text)
        with pytest.raises(FormatError, match=error):
            open_run(tmp_path / "run")
    with pytest.raises(FileNotFoundError):
        open_run(tmp_path / "nothing")


def test_importing_costs_little() -> None:
    heavy = ("httpx", "scipy", "pyarrow", "typer", "rich", "torch")
    code = f"import sys, thrifty.exam; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The command, and processes that die.


def command(data: Path, url: str, out: Path, *more: object) -> list[str]:
    words = ["exam", "run", data, "--endpoint", url, "--model", "small", "--out", out, *more]
    return [sys.executable, "-m", "thrifty", *map(str, words)]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    data = written(tmp_path / "exam.jsonl", 30)
    data.write_text(data.read_text() + '{"id": "x"}\n')
    with serving(lambda request, attempt: reply(f"Answer: {KEY}"), keep=True) as server:
        words = ["exam", "run", data, "--endpoint", server.url, "--model", "small", "--api-key-env", "A_KEY", "--json"]
        done = said(
            *words, "--out", tmp_path / "run", "--limit", 7, "--sample-seed", 3, "--epochs", 2, "--max-tokens", 9
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["answered"], told["questions"], told["parameters"]) == (14, 7, {"max_tokens": 9})
        assert "exam.jsonl, line 31: question: it is missing" in done.stderr
        assert server.requests[0][1]["max_tokens"] == 9
        sets = ["--set", "max_completion_tokens=5", "--set", "reasoning_effort=low"]
        assert said(*words, "--out", tmp_path / "set", "--limit", 1, *sets).returncode == 0
        assert {"max_completion_tokens": 5, "reasoning_effort": "low"}.items() <= server.requests[-1][1].items()
        plain = said(*words[:-1], "--out", tmp_path / "plain", "--usd-in", 1, "--usd-out", 2)
        assert "30 whole, 0 cut off, 0 filtered, 0 failed" in plain.stdout
        assert "USD" in plain.stdout
        other = said(*words, "--out", tmp_path / "run", "--limit", 8)
        assert other.returncode == 1
        assert "dataset_sha256 of the run in it is" in other.stderr
        assert other.stderr.count("\n") == 2  # the remark, and the error
    with serving(lambda request, attempt: Said(401, f"wrong key {KEY}".encode())) as server:
        words[4] = server.url
        refused = said(*words, "--out", tmp_path / "refused")
        assert refused.returncode == 1
        assert "HTTP 401, 20 questions in a row: wrong key [key]" in refused.stderr
    found = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(found) >= 10
    assert not [file for file in found if b"Secret" in file.read_bytes()]
    assert "Secret" not in done.stdout + done.stderr + refused.stderr + plain.stdout


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        (["--api-key-env", "sk-Secret"], 2, "api_key_env: what was given is no name"),
        (["--set", "effort"], 2, "--set 'effort'; a name and a value"),
        (["--set", "stream=true"], 2, "extra: stream is what a run says itself"),
        (["--set", "effort=NaN"], 2, "extra: "),
        (["--usd-in", "1"], 2, "--usd-in and --usd-out are given together"),
        (["--sample-seed", "1"], 2, "sample_seed: it says which"),
        (["--concurrency", "0"], 2, "concurrency"),
        (["--prompt", "other"], 2, "prompt: 'other' is none of"),
        (["--api-key-env", "NO_SUCH_VARIABLE"], 1, "NO_SUCH_VARIABLE is not set"),
        (["--subset", "/nothing/there"], 1, "No such file"),
        (["--endpoint", "localhost:80"], 2, "endpoint: an address is"),
        (["--out", "/nothing/there/run"], 1, "No such folder for the run"),
    ],
)
def test_wrong_usage_of_the_command(tmp_path: Path, more: list[str], status: int, error: str) -> None:
    data = written(tmp_path / "exam.jsonl", 3)
    done = said(*command(data, "http://localhost:1/v1", tmp_path / "run", *more)[3:])
    assert done.returncode == status
    assert error in done.stderr
    assert "Traceback" not in done.stderr
    assert "Secret" not in done.stderr
    assert not (tmp_path / "run").exists()


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(2_000):
        if lines_in(path) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{path} does not grow")


def test_killed_and_gone_on_with_is_as_if_nothing_was(tmp_path: Path) -> None:
    data = written(tmp_path / "exam.jsonl", 300)
    script = faulty(seed=5, latency=0.01, after=0.02)

    def slowly(request: dict[str, Any], attempt: int) -> Said:
        said = script(request, attempt)
        return answer(request) if said.hang else said

    with serving(slowly) as server:
        options = ["--concurrency", "8", "--timeout", "5"]
        journal = tmp_path / "killed" / "journal.jsonl"
        for after in (1, 100, 220):
            process = subprocess.Popen(command(data, server.url, tmp_path / "killed", *options), stderr=subprocess.PIPE)
            wait_for_lines(journal, after, process)
            process.kill()
            process.communicate()
        first = subprocess.run(
            command(data, server.url, tmp_path / "killed", *options), capture_output=True, check=True
        )
        assert first.stderr == b""
        good = server.served["answered"]
        whole = subprocess.run(command(data, server.url, tmp_path / "whole", *options), capture_output=True, check=True)
        assert b"300 whole" in whole.stdout
        assert server.served["answered"] == good + 300
    assert 300 <= good <= 300 + 3 * (64 + 8)
    names = ("results.jsonl", "questions.jsonl", "manifest.json")
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    records = [json.loads(line[18:]) for line in journal.read_bytes().splitlines()]
    counted = Counter((one["id"], one["epoch"]) for one in records if one["kind"] == "answer")
    assert set(counted.values()) == {1}
    assert len(counted) == 300


def test_ctrl_c_keeps_what_was_answered(tmp_path: Path, interruptible: None) -> None:
    data = written(tmp_path / "exam.jsonl", 200)

    def slow(request: dict[str, Any], attempt: int) -> Said:
        said = answer(request)
        said.hang = int(content(request).split()[2]) >= 100
        return said

    with serving(slow) as server:
        out = tmp_path / "run"
        process = subprocess.Popen(command(data, server.url, out, "--concurrency", "4"), stderr=subprocess.PIPE)
        wait_for_lines(out / "journal.jsonl", 101, process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 130
        assert f"note: {out} has all that was answered; the same command goes on" in error.decode()
        assert b"Traceback" not in error
        server.script = answer
        served = server.served.total()
        done = subprocess.run(command(data, server.url, out, "--json"), capture_output=True, check=True)
        assert json.loads(done.stdout)["answered"] == 200
        assert server.served.total() == served + 100


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    data = written(tmp_path / "exam.jsonl", 300)
    with serving(lambda request, attempt: reply("x" * 1_000)) as server:
        words = command(data, server.url, tmp_path / "run", "--concurrency", "2")

        def little() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        full = subprocess.run(words, capture_output=True, preexec_fn=little, check=False)
        assert full.returncode == 1
        assert b"journal.jsonl: File too large; all answers before are kept" in full.stderr
        assert full.stderr.count(b"\n") == 1
        journal = tmp_path / "run" / "journal.jsonl"
        kept = lines_in(journal)
        assert journal.read_bytes().endswith(b"\n")
        done = subprocess.run([*words, "--json"], capture_output=True, check=True)
        assert json.loads(done.stdout)["answered"] == 300
        assert lines_in(journal) >= 301
        assert 130 < kept < 170


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    started, end = threading.Event(), threading.Event()

    def waits(messages: list[dict[str, Any]]) -> str:
        started.set()
        end.wait(20)
        return "Answer: 1"

    thread = threading.Thread(target=run, args=(questions(2), waits, tmp_path / "run"), kwargs={"name": "m"})
    thread.start()
    try:
        assert started.wait(20)
        with pytest.raises(LockedError, match="another run writes it"):
            run(questions(2), waits, tmp_path / "run", name="m")
    finally:
        end.set()
        thread.join()
    assert len(open_run(tmp_path / "run").answers) == 2
