"""Grading by a judge is stopped at any point, and the same command goes on without asking twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.exam.scripted import Script, served, verdict
from thrifty.exam import Dataset, Question, grade, read_grades, run
from thrifty.exam.judging import Judge

KEYED = "a slow drift of the magnetic poles over the centuries"
ANSWERS = 8


class Stops(Script):
    """Says that it was asked about one answer, and does not reply to that."""

    def __init__(self, at: str) -> None:
        super().__init__({"case": verdict("yes")})
        self.at, self.reached, self.go_on = at, threading.Event(), threading.Event()

    def __call__(self, messages: list[dict[str, str]]) -> str:
        if self.at in messages[0]["content"]:
            self.reached.set()
            self.go_on.wait(30)
        return super().__call__(messages)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    questions = tuple(Question(f"q{n}", f"Question {n}?", KEYED, "exactMatch") for n in range(ANSWERS))
    said = {f"Question {n}?": f"Answer: poles that wander, case {n}" for n in range(ANSWERS)}
    run(Dataset(questions), lambda messages: said[messages[-1]["content"]], tmp_path / "run", name="pupil")
    return tmp_path / "run"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.usefixtures("interruptible")
def test_nothing_is_asked_twice(folder: Path, number: signal.Signals) -> None:
    with served(Stops("case 5")) as script:
        assert isinstance(script, Stops)
        command = [sys.executable, "-m", "thrifty", "exam", "grade", str(folder), "--judge-on", "all"]
        command += ["--concurrency", "1", "--judge-endpoint", script.url, "--judge-model", "small"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert script.reached.wait(30)
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
        script.go_on.set()
        if number == signal.SIGINT:
            assert (process.returncode, error) == (130, "thrifty: error: stopped\n")
        else:
            assert process.returncode == -signal.SIGKILL
        assert not (folder / "grades.jsonl").exists()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert [script.asked(f"case {n}") for n in range(ANSWERS)] == [1, 1, 1, 1, 1, 2, 1, 1]
    graded = read_grades(folder)
    assert graded.provenance["judged"] == len(graded.answers) == ANSWERS


def test_a_kept_judgement_that_was_cut_off(folder: Path) -> None:
    grade(folder, judge=Judge(Script({}), name="judge"), judge_on="all")
    before, path = (folder / "grades.jsonl").read_bytes(), folder / "judgements.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole) - 300, len(whole), 37):
        path.write_bytes(whole[:length])
        grade(folder, judge=Judge(Script({}), name="judge"), judge_on="all")
        assert (folder / "grades.jsonl").read_bytes() == before
