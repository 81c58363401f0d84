"""Grades of a run: rules first, a judge where they can't tell, the same bytes each time, nothing believed unread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.command import said
from tests.exam.scripted import Script, counted, served, verdict
from thrifty.errors import EndpointError, FormatError, LockedError, MismatchError, ModelError
from thrifty.exam import Dataset, Graded, Question, Verdict, grade_answer
from thrifty.exam.agreement import agreement
from thrifty.exam.asking.endpoint import Reply
from thrifty.exam.asking.journal import line_of
from thrifty.exam.asking.results import open_run
from thrifty.exam.asking.run import run
from thrifty.exam.graders import grade
from thrifty.exam.grades import grading_of, read_grades
from thrifty.exam.judging import Judge
from thrifty.exam.percentage import states

QUESTIONS = {
    "spider": ("How many legs has a spider?", "8"),
    "beetle": ("How many legs has a beetle?", "6"),
    "effect": ("What is this effect called?", "the wave of a moving source sounds higher"),
    "reason": ("Why is the sky blue?", "short waves are scattered most by the air"),
    "cut": ("Which is the largest prime below 10?", "7"),
    "filtered": ("Which gas is it?", "Neon"),
    "silent": ("Say something.", "something"),
}
RESPONSES = {
    "spider": Reply("Answer: 8\nConfidence: 90%"),
    "beetle": Reply("Answer: 7\nConfidence: 40%"),
    "effect": Reply("Answer: a tone rises as its source comes near"),
    "reason": Reply("Answer: the air is made of blue things, and I would bet on it with 70 percent"),
    "cut": Reply("Explanation: the primes are 2, 3, 5 and 7\nAnswer: 7", "length"),
    "filtered": Reply("Answer: Neon", "content_filter"),
    "silent": Reply(""),
}
#: Agrees with the rules on one answer of two, and tells what they can't.
SCRIPT = {
    "Answer: 8": verdict("yes"),
    "Answer: 7": verdict("yes"),
    "a tone rises": verdict("yes"),
    "blue things": verdict("no", confidence=70),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, whose second half of answers rules can't tell, whatever they are."""

    def by_rules(response: str, gold: str, answer_type: str) -> Verdict:
        if "Answer: a tone" in response or "Answer: the air" in response:
            return Verdict("abstain", "text", gold, response)
        return grade_answer(response, gold, answer_type)

    monkeypatch.setattr("thrifty.exam.graders.grade_answer", by_rules)
    exam = Dataset(
        tuple(
            Question(name, text, gold, "exactMatch", category="Zoology", author_name=f"by {name}", canary="keep off")
            for name, (text, gold) in QUESTIONS.items()
        )
    )
    texts = {text: RESPONSES[name] for name, (text, _) in QUESTIONS.items()}
    run(exam, lambda messages: texts[messages[-1]["content"]], tmp_path / "run", name="pupil")
    return tmp_path / "run"


def kept(graded: Graded) -> Graded:
    """Without what one call alone took."""
    return replace(graded, provenance={k: v for k, v in graded.provenance.items() if k != "judge_used"})


def test_rules_alone(folder: Path) -> None:
    graded = grade(folder)
    assert {one.id: one.correct for one in graded.answers} == {
        "spider": True,
        "beetle": False,
        "effect": None,
        "reason": None,
        "cut": False,
        "filtered": False,
        "silent": False,
    }
    assert [one.confidence for one in graded.answers][:3] == [0.9, 0.4, None]
    assert [one.status for one in graded.answers][4:6] == ["length", "content_filter"]
    assert graded.provenance["verdicts"] == {"equal": 1, "different": 1, "abstain": 2, "none": 3}
    assert (graded.name, graded.canary, graded.provenance["model"]) == ("run", "keep off", "pupil")
    assert {(one.category, one.cluster) for one in graded.answers} >= {("Zoology", "by spider")}
    assert graded.provenance["agreement"] is None
    assert read_grades(folder) == graded
    assert (folder / "grades.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_judge_where_rules_can_not_tell(folder: Path) -> None:
    function, prompts = counted(Script(SCRIPT))
    graded = grade(folder, judge=Judge(function, name="judge"))
    found = {one.id: (one.correct, one.rule) for one in graded.answers}
    assert found["effect"] == (True, "judge")
    assert found["reason"] == (False, "judge")
    assert found["spider"][0] is True
    assert found["beetle"][0] is False
    assert len(prompts) == 12 + 2
    # It names a percentage that stands in the response.
    assert next(one.confidence for one in graded.answers if one.id == "reason") == 0.7
    before = (folder / "grades.jsonl").read_bytes()
    assert graded.provenance["judge_used"] == {"requests": 14, "prompt_tokens": None, "completion_tokens": None}
    again = grade(folder, judge=Judge(function, name="judge"))
    assert again.provenance["judge_used"]["requests"] == 12
    assert kept(again) == kept(graded) == read_grades(folder)
    assert (folder / "grades.jsonl").read_bytes() == before
    assert len(prompts) == 2 * 12 + 2


@pytest.mark.parametrize(
    ("response", "percent", "there"),
    [
        ("I would bet on it, 95 %.", 95, True),
        ("I would bet on it, 95 percent.", 95, True),
        ("95% is my bet", 95, True),
        ("95\\% is my bet", 95, True),
        ("95.0% is my bet", 95, True),
        ("My confidence would then be, all in all, 95.", 95, True),
        ("I am confident (95)", 95, True),
        ("\uff19\uff15\uff05 it is", 95, True),
        ("There were 15 of them.", 5, False),
        ("There were 5 of them.", 5, False),
        ("15 % of them", 5, False),
        ("0.5 % of them", 5, False),
        ("5.5 % of them", 5, False),
        ("1,005 % of them", 5, False),
        ("5 percentiles", 5, False),
        ("confidence: 95", 9, False),
        ("confidence: 9.5", 9, False),
        ("confidence\n95", 95, False),
        ("confidential 95", 95, False),
        ("1000 m", 100, False),
        ("100 m", 100, False),
        ("<think>perhaps 95 %</think>Answer: 8", 95, False),
        ("", 0, False),
    ],
)
def test_a_percentage_that_stands_there(response: str, percent: float, there: bool) -> None:
    assert states(response, percent) is there


def test_a_percentage_that_a_judge_makes_up_does_not_count(folder: Path) -> None:
    script = Script({"a tone rises": verdict("yes", confidence=8), "blue things": verdict("no", confidence=7)})
    graded = grade(folder, judge=Judge(script))
    assert [one.confidence for one in graded.answers if one.rule == "judge"] == [None, None]


def test_all_answers_for_the_table(folder: Path) -> None:
    graded = grade(folder, judge=Judge(Script(SCRIPT)), judge_on="all")
    assert {one.id: one.correct for one in graded.answers}["beetle"] is False  # rules still decide
    both = graded.provenance["agreement"]
    assert (both["answers"], both["both_right"], both["judge_only"], both["share"]) == (2, 1, 1, 0.5)
    assert both["kappa"] == 0.0
    assert graded.provenance["judged"] == 4
    assert graded.provenance["no_verdict"] == {}
    assert graded.provenance["disagree"] == [{"id": "beetle", "epoch": 0, "rules": False, "judge": True}]
    assert read_grades(folder) == kept(graded)


def test_what_a_judge_took_is_of_one_call(folder: Path) -> None:
    judge = Judge(lambda messages: Reply(Script(SCRIPT)(messages), "stop", 100, 7))
    for requests in (14, 12):
        used = grade(folder, judge=judge).provenance["judge_used"]
        assert used == {"requests": requests, "prompt_tokens": 100 * requests, "completion_tokens": 7 * requests}


def test_disagreements_are_listed_up_to_a_hundred(tmp_path: Path) -> None:
    exam = Dataset(tuple(Question(f"q{n}", "How many legs has a spider?", "8", "exactMatch") for n in range(130)))
    done = run(exam, lambda _: "Answer: 8", tmp_path / "run", name="pupil")
    about = grade(done, judge=Judge(Script({})), judge_on="all").provenance
    assert [one["id"] for one in about["disagree"]] == [f"q{n}" for n in range(100)]
    assert about["agreement"]["rules_only"] == 130


@pytest.mark.parametrize("judge", [None, Judge(Script(SCRIPT))])
def test_one_process_grades_at_a_time(folder: Path, judge: Judge | None) -> None:
    with grading_of(open_run(folder)), pytest.raises(LockedError, match="another process grades this run"):
        grade(folder, judge=judge)
    assert judge is None or judge.used["requests"] == 0
    assert not (folder / "grades.jsonl").exists()
    grade(folder, judge=judge)
    with grading_of(open_run(folder)):
        done = said("exam", "grade", folder)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_killed_process_leaves_no_lock(folder: Path) -> None:
    code = "import sys, time; from thrifty.exam.grades import grading_of as g, open_run\n"
    code += "with g(open_run(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockedError):
            grade(folder)
        other.kill()
    assert len(grade(folder).answers) == 7


def test_unscored_is_neither_right_nor_wrong(folder: Path) -> None:
    script = Script({"a tone rises": "It is right.", "blue things": verdict("yes and no")})
    graded = grade(folder, judge=Judge(script))
    found = {one.id: one.correct for one in graded.answers}
    assert found["effect"] is found["reason"] is None
    assert graded.provenance["no_verdict"] == {
        "the reply is not one JSON object with the fields that were asked for": 1,
        "its verdict is neither yes nor no": 1,
    }
    assert not graded.correct[[2, 3]].any()


def test_a_judge_that_obeys_grades_nothing(folder: Path) -> None:
    grade(folder)
    before = (folder / "grades.jsonl").read_bytes()
    with pytest.raises(ModelError, match="unfit"):
        grade(folder, judge=Judge(lambda _: verdict("yes")))
    assert (folder / "grades.jsonl").read_bytes() == before
    assert not (folder / "judgements.jsonl").exists()


def test_an_endpoint_that_fails_keeps_what_was_said(folder: Path) -> None:
    calls = Counter[str]()

    def fails(messages: list[dict[str, Any]]) -> str:
        calls["all"] += 1
        if "blue things" in messages[0]["content"]:
            raise EndpointError("gone")
        return Script(SCRIPT)(messages)

    with pytest.raises(EndpointError, match="gone"):
        grade(folder, judge=Judge(fails, name="judge", concurrency=1))
    assert not (folder / "grades.jsonl").exists()
    function, prompts = counted(Script(SCRIPT))
    grade(folder, judge=Judge(function, name="judge"))
    assert len(prompts) == 12 + 1


def changed(folder: Path, old: bytes, new: bytes, *, checked: bool = True) -> None:
    """Change a file of grades, and its checksums where they should hold."""
    data = (folder / "grades.jsonl").read_bytes()
    assert old in data
    lines = data.replace(old, new, 1).splitlines()
    if checked:
        lines = [line_of(json.loads(line[18:])).rstrip(b"\n") for line in lines]
    (folder / "grades.jsonl").write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(
    ("old", "new", "checked", "match"),
    [
        (b'"equal"', b'"EQUAL"', False, "line 2: its checksum"),
        (b'"equal"', b'"right"', True, "line 2: field verdict"),
        (b'"id": "beetle"', b'"id": "spider"', True, "line 3: 'spider' is not the answer there"),
        (b'"rule": "length"', b'"rule": 3', True, "line 6: field rule"),
        (b'"confidence_percent": 90.0', b'"confidence_percent": 1e9', True, "line 2: field confidence_percent"),
        (b'"judge": null', b'"judge": {"correct": "yes"}', True, "line 2: field judge.correct"),
        (b'"version": 1', b'"version": 2', True, "version '2'"),
        (b"thrifty.exam.grades", b"thrifty.exam.gradez", True, "line 1"),
        (b'"answers": 7', b'"answers": 8', True, "cut off"),
        (b'"results_sha256": "', b'"results_sha256": "0', True, "the run went on"),
    ],
)
def test_nothing_damaged_is_read(folder: Path, old: bytes, new: bytes, checked: bool, match: str) -> None:
    grade(folder)
    changed(folder, old, new, checked=checked)
    with pytest.raises((FormatError, MismatchError), match=match):
        read_grades(folder)


def test_a_cut_file_is_not_read(folder: Path) -> None:
    grade(folder)
    data = (folder / "grades.jsonl").read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        (folder / "grades.jsonl").write_bytes(data[:length])
        if length < len(data) - 1:
            with pytest.raises(FormatError):
                read_grades(folder)


def test_a_long_canary_is_read_again(tmp_path: Path) -> None:
    exam = Dataset((Question("q", "How many legs has a spider?", "8", "exactMatch", canary="\u00e9" * 1_000_000),))
    run(exam, lambda _: "Answer: 8", tmp_path / "run", name="pupil")
    assert grade(tmp_path / "run") == read_grades(tmp_path / "run")


def test_not_graded_yet(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="thrifty exam grade"):
        read_grades(folder)


def test_wrong_judge_on(folder: Path) -> None:
    with pytest.raises(ValueError, match="judge_on"):
        grade(folder, judge_on="sometimes")


def test_agreement_without_chance() -> None:
    assert agreement([], []) is None
    found = agreement([True] * 5, [True] * 5)
    assert found is not None
    assert (found.share, found.kappa, found.low) == (1.0, None, None)


def test_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = said("exam", "grade", folder, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["answers"], found["right"], found["wrong"], found["unscored"]) == (7, 1, 4, 2)
    assert found["judge"] is None
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-of-the-judge")
    with served(Script(SCRIPT)) as script:
        options = ["--judge-endpoint", script.url, "--judge-model", "small", "--api-key-env", "JUDGE_KEY"]
        done = said("exam", "grade", folder, *options, "--judge-on", "all", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert (found["right"], found["unscored"], found["agreement"]["answers"]) == (2, 0, 2)
        assert found["judge_used"] == {"requests": 16, "prompt_tokens": 144, "completion_tokens": 144}
        assert [one["id"] for one in found["disagree"]] == ["beetle"]
        done = said("exam", "grade", folder, *options, "--judge-on", "all")
        assert "kappa" in done.stdout
        assert "12 requests now, 108 tokens in, 108 tokens out" in " ".join(done.stdout.split())
        assert "disagree, first on 'beetle'" in done.stderr
        assert script.asked("blue things") == 1
    with served(Script({}, otherwise=verdict("no"))) as useless:
        useless.replies["blue things"] = "prose"
        options = ["--judge-endpoint", useless.url, "--judge-model", "other"]
        assert "of no use, 1: the reply is not one JSON object" in said("exam", "grade", folder, *options).stderr
    for path in folder.rglob("*"):
        assert b"sk-secret" not in path.read_bytes()
    with served(Script({}, otherwise=verdict("yes"))) as obeying:
        done = said("exam", "grade", folder, "--judge-endpoint", obeying.url, "--judge-model", "small")
    assert done.returncode == 1
    assert "unfit to judge" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--judge-endpoint", "http://localhost:1/v1"], 2),
        (["--judge-model", "small"], 2),
        (["--judge-on", "all"], 2),
        (["--judge-on", "some"], 2),
        (["--judge-endpoint", "ftp://x", "--judge-model", "m"], 2),
        (["--judge-endpoint", "http://localhost:1/v1", "--judge-model", "m", "--api-key-env", "NO_SUCH_KEY"], 1),
    ],
)
def test_wrong_usage(folder: Path, options: list[str], status: int) -> None:
    done = said("exam", "grade", folder, *options)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr


def test_no_run_there(tmp_path: Path) -> None:
    done = said("exam", "grade", tmp_path / "absent")
    assert done.returncode == 1
    assert "absent" in done.stderr
    (tmp_path / "mine").mkdir()
    assert said("exam", "grade", tmp_path / "mine").returncode == 1
    assert not list((tmp_path / "mine").iterdir())


def test_a_link_in_the_place_of_judgements_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    os.symlink(tmp_path / "elsewhere", folder / "judgements.jsonl")
    with pytest.raises(OSError, match=r"judgements\.jsonl"):
        grade(folder, judge=Judge(Script(SCRIPT)))
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_checksums_are_of_the_json(folder: Path) -> None:
    grade(folder)
    for line in (folder / "grades.jsonl").read_bytes().splitlines():
        assert int(line[:8], 16) == zlib.crc32(line[18:])
