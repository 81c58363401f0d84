"""Files of other programs: read as they write them, and refused with the place where they are something else."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import said
from thrifty.errors import DatasetError, MismatchError, MissingExtra
from thrifty.exam import Dataset, Question, grade, load, run
from thrifty.exam.grading import GRADER
from thrifty.exam.outside import read_graded

LEGS, CHOICES = "samples_legs_2026-11-01T10-00-00.000000.jsonl", "samples_choices_2026-11-01T10-00-00.000000.jsonl"


@pytest.fixture
def outside(data: Path) -> Path:
    return data / "exam" / "outside"


def graded(path: Path, grader: str | None = None) -> dict[tuple[str, int], bool | None]:
    return {(one.id, one.epoch): one.correct for one in read_graded(path, grader=grader).answers}


def test_inspect(outside: Path) -> None:
    found = read_graded(outside / "inspect.json")
    assert [(one.id, one.epoch, one.correct, one.status) for one in found.answers] == [
        ("q1", 0, True, "answered"),
        ("q1", 1, False, "answered"),
        ("q2", 0, True, "answered"),
        ("q2", 1, None, "answered"),
        ("q3", 0, False, "length"),
        ("q3", 1, False, "failed"),
    ]
    assert [one.confidence for one in found.answers] == [0.9, 0.7, None, 1.0, None, None]
    assert (found.answers[2].category, found.answers[1].response[-14:]) == ("Physics", "onfidence: 70%")
    assert (found.provenance["model"], found.provenance["grader"]) == ("mock/model", "judge")
    assert found.provenance["graders"] == ["judge", "match"]
    assert found.usage == {"prompt_tokens": 120, "completion_tokens": 48, "seconds": 12}
    assert graded(outside / "inspect.json", "match")["q2", 1] is False
    with pytest.raises(DatasetError, match="no scorer is called 'absent'; there are judge, match"):
        read_graded(outside / "inspect.json", grader="absent")


def test_inspect_eval_files_are_read_by_inspect(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the one function that is called; its own package reads the same file where it is installed."""
    text = (outside / "inspect.json").read_text()
    log = types.SimpleNamespace(model_dump_json=lambda: text)
    module = types.ModuleType("inspect_ai.log")
    module.read_eval_log = lambda path, resolve_attachments: log  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inspect_ai", types.ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.log", module)
    assert read_graded(outside / "inspect.eval").answers == read_graded(outside / "inspect.json").answers

    def broken(path: str, resolve_attachments: bool) -> Any:
        raise KeyError("header.json")

    module.read_eval_log = broken  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"inspect\.eval: Inspect can't read it: KeyError"):
        read_graded(outside / "inspect.eval")


def test_inspect_is_an_extra(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(MissingExtra, match="pip install"):
        read_graded(outside / "inspect.eval")


def test_lm_eval(outside: Path) -> None:
    assert graded(outside / LEGS) == {("0", 0): True, ("1", 0): False, ("2", 0): False}
    assert graded(outside / LEGS, "exact_match,flexible-extract")["2", 0] is True
    assert read_graded(outside / LEGS).answers[0].response == "Two pairs of four. #### 8"
    assert graded(outside / CHOICES) == {("0", 0): True, ("1", 0): False}
    assert graded(outside / CHOICES, "acc_norm") == {("0", 0): True, ("1", 0): True}
    found = read_graded(outside / CHOICES)
    assert (found.answers[0].response, found.answers[0].category) == ("", "anatomy")
    assert found.provenance["graders"] == ["acc,none", "acc_norm,none"]
    with pytest.raises(DatasetError, match="no grader is called 'exact_match,absent'"):
        read_graded(outside / LEGS, grader="exact_match,absent")


def test_one_array_of_samples(outside: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (outside / LEGS).read_text().splitlines()]
    (tmp_path / "samples.jsonl").write_text(json.dumps(lines, indent=2))
    assert graded(tmp_path / "samples.jsonl") == graded(outside / LEGS)
    (tmp_path / "samples.jsonl").write_text(json.dumps([*lines[:2], 3]))
    with pytest.raises(DatasetError, match="element 3: an object is needed"):
        read_graded(tmp_path / "samples.jsonl")


def test_ids_of_documents_are_taken(outside: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (outside / CHOICES).read_text().splitlines()]
    for number, line in enumerate(lines):
        line["doc"]["id"] = f"mmlu-{number}"
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(graded(path)) == [("mmlu-0", 0), ("mmlu-1", 0)]


def test_hle(outside: Path) -> None:
    found = read_graded(outside / "judged_hle_model-a.json")
    assert [one.correct for one in found.answers] == [True, False, True, False, None]
    # The third states none, and its judge wrote 100 as it was told to.
    assert [one.confidence for one in found.answers] == [0.95, 0.7, None, 1.0, 0.6]
    assert [one.rule for one in found.answers][-2:] == ["judge", "not graded"]
    assert (found.name, found.provenance["model"]) == ("judged_hle_model-a", "model-a")
    assert found.usage["completion_tokens"] == 200
    with pytest.raises(DatasetError, match="not graded"):
        read_graded(outside / "hle_model-a.json")


@pytest.mark.parametrize(
    ("response", "confidence"),
    [
        ("Answer: 1000 m", None),
        ("Answer: 100 m", None),
        ("Answer: 1000 m\nConfidence: 90%", 0.9),
        ("Answer: 100 m\nI would bet 100 % on it", 1.0),
        ("Answer: 8\nConfidence: 1.0", 1.0),
    ],
)
def test_hundred_counts_where_it_is_stated(tmp_path: Path, response: str, confidence: float | None) -> None:
    entry = {"model": "m", "response": response, "judge_response": {"correct": "yes", "confidence": 100}}
    (tmp_path / "judged.json").write_text(json.dumps({"a": entry}))
    assert read_graded(tmp_path / "judged.json").answers[0].confidence == confidence


def test_what_a_data_set_adds(outside: Path, tmp_path: Path) -> None:
    plain = read_graded(outside / "judged_hle_model-a.json")
    ids = [one.id for one in plain.answers]
    questions = [
        Question(name, "How many legs?", "8", "exactMatch", category="Zoology", author_name="a") for name in ids
    ]
    absent = Question("absent", "How many legs?", "8", "exactMatch", category="Zoology")
    exam = Dataset((absent, *reversed(questions)))
    judged = read_graded(outside / "judged_hle_model-a.json", dataset=exam)
    assert [one.id for one in judged.answers] == ["absent", *reversed(ids)]
    assert [one.correct for one in judged.answers] == [False, True, False, True, False, True]
    assert [one.status for one in judged.answers] == ["failed"] + ["answered"] * 5
    assert judged.answers[1].rule not in ("judge", "not graded")  # the judge never saw it
    assert {one.category for one in judged.answers} == {"Zoology"}
    assert judged.provenance["dataset_sha256"] == exam.sha256
    assert judged.provenance["grader"] == f"judge, else {GRADER}"
    # By rules alone the same comes out.
    by_rules = read_graded(outside / "hle_model-a.json", dataset=exam)
    assert by_rules.provenance["grader"] == GRADER
    assert [one.correct for one in by_rules.answers] == [one.correct for one in judged.answers]
    with pytest.raises(DatasetError, match="'668825f80a642802bdfeadfa' is no question of"):
        read_graded(outside / "hle_model-a.json", dataset=Dataset((absent,)))


def test_command_line(outside: Path, tmp_path: Path) -> None:
    done = said("exam", "score", outside / "inspect.json", "--resamples", 0, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["answers"], found["right"], found["provenance"]["grader"]) == (6, 2, "judge")
    done = said("exam", "compare", outside / LEGS, outside / LEGS, "--grader", "exact_match,flexible-extract", "--json")
    assert json.loads(done.stdout)["verdict"] == "identical"
    plain = said("exam", "score", outside / "hle_model-a.json")
    assert (plain.returncode, plain.stderr.count("\n")) == (1, 1)
    assert "not graded" in plain.stderr
    ids = [one.id for one in read_graded(outside / "judged_hle_model-a.json").answers]
    rows = [{"id": name, "question": "How many legs?", "answer": "8", "answer_type": "exactMatch"} for name in ids]
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = said("exam", "score", outside / "hle_model-a.json", "--dataset", tmp_path / "exam.jsonl", "--json")
    assert json.loads(done.stdout)["right"] == 3


def test_a_log_without_scores_is_graded_by_rules(outside: Path, tmp_path: Path) -> None:
    log = json.loads((outside / "inspect.json").read_text())
    for sample in log["samples"]:
        sample.pop("scores", None)
    (tmp_path / "log.json").write_text(json.dumps(log))
    with pytest.raises(DatasetError, match="not graded"):
        read_graded(tmp_path / "log.json")
    exam = Dataset(tuple(Question(f"q{n}", "How many?", "8", "exactMatch") for n in (1, 2, 3)))
    found = read_graded(tmp_path / "log.json", dataset=exam)
    assert [one.correct for one in found.answers] == [True, False, True, False, False, False]


def test_a_run_takes_no_grader_and_its_own_data_set_alone(tmp_path: Path) -> None:
    rows = [{"id": "q", "question": "How many legs?", "answer": "8", "answer_type": "exactMatch"}]
    (tmp_path / "exam.jsonl").write_text(json.dumps(rows[0]) + "\n")
    (tmp_path / "other.jsonl").write_text(json.dumps(rows[0] | {"answer": "9"}) + "\n")
    folder = tmp_path / "run"
    grade(run(load(tmp_path / "exam.jsonl"), lambda _: "Answer: 8", folder, name="pupil"))
    with pytest.raises(ValueError, match="grader: .* is a run's folder"):
        read_graded(folder, grader="judge")
    assert read_graded(folder, dataset=load(tmp_path / "exam.jsonl")) == read_graded(folder)
    with pytest.raises(MismatchError, match="dataset_sha256"):
        read_graded(folder, dataset=load(tmp_path / "other.jsonl"))
    for verb in (["score"], ["compare", folder], ["report", "--out", tmp_path / "page"]):
        done = said("exam", *verb, folder, "--grader", "judge")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "--grader" in done.stderr
        done = said("exam", *verb, folder, "--dataset", tmp_path / "other.jsonl")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "dataset_sha256" in done.stderr
        done = said("exam", *verb, folder, "--dataset", tmp_path / "exam.jsonl", "--json")
        assert done.returncode == 0, done.stderr


def test_samples_that_lack_a_score_are_graded_by_rules(outside: Path, tmp_path: Path) -> None:
    log = json.loads((outside / "inspect.json").read_text())
    del log["samples"][0]["scores"]["judge"]  # match has scored it
    next(one for one in log["samples"] if (one["id"], one["epoch"]) == ("q1", 2))["scores"] = {}
    (tmp_path / "log.json").write_text(json.dumps(log))
    found = read_graded(tmp_path / "log.json").answers
    assert [(one.correct, one.rule) for one in found[:2]] == [(None, "not graded")] * 2
    # A score that tells nothing is one: its scorer tried, and rules do not.
    assert (found[3].correct, found[3].rule) == (None, "judge")
    exam = Dataset(tuple(Question(f"q{n}", "How many?", "8", "exactMatch") for n in (1, 2, 3)))
    completed = read_graded(tmp_path / "log.json", dataset=exam)
    assert [one.correct for one in completed.answers] == [True, False, True, None, False, False]
    assert completed.answers[0].rule not in ("judge", "not graded")
    assert completed.provenance["grader"] == f"judge, else {GRADER}"


def changed(path: Path, tmp_path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    (tmp_path / path.name).write_text(text.replace(old, new, 1))
    return tmp_path / path.name


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        (
            "judged_hle_model-a.json",
            '"correct": "yes"',
            '"correct": "yes and no"',
            "entry '668825f80.*not yes or no",
        ),
        ("judged_hle_model-a.json", "66b2c7c9341b811f1c4c5d3a", "668825f80a642802bdfeadfa", "is there twice"),
        ("judged_hle_model-a.json", "66b2c7c9341b811f1c4c5d3a", "a\\u202eb", "can't be an id"),
        ("judged_hle_model-a.json", "66b2c7c9341b811f1c4c5d3a", "a" * 300, "can't be an id"),
        ("judged_hle_model-a.json", '"response": "Answer: eight"', '"response": 8', "entry '66e8784d7.*'response'"),
        (
            "judged_hle_model-a.json",
            '"judge_response": {',
            '"judge_response": "no", "x": {',
            "judge_response: an object",
        ),
        ("judged_hle_model-a.json", "}", "", "not JSON"),
        ("inspect.json", '"epoch": 2', '"epoch": 1', "answered before"),
        ("inspect.json", '"epoch": 1', '"epoch": -4', "number of a repeat"),
        ("inspect.json", '"epoch": 1', '"epoch": "1"', "number of a repeat"),
        ("inspect.json", '"value": "C"', '"value": 0.5', "sample 1: scorer judge: '0.5' is neither right nor wrong"),
        ("inspect.json", '"value": "C"', '"value": {"a": 1}', "neither right nor wrong"),
        ("inspect.json", '"id": "q1"', '"id": {}', "can't be an id"),
        ("inspect.json", '"samples": [', '"other": [', "no samples"),
        (LEGS, '"exact_match": 1.0', '"exact_match": 0.25', "line 1: metric exact_match: '0.25'"),
        (LEGS, '"doc_id": 1', '"doc_id": 0', "line 2: '0' was answered before"),
        (LEGS, '"doc_id": 0', '"number": 0', "line 1: field doc_id"),
        (LEGS, '"exact_match": 1.0', '"other": 1.0', "line 1: no metric"),
        (LEGS, '{"doc_id": 1', '["doc_id", 1', "line 2: it is not JSON"),
        (LEGS, '{"doc_id": 1', '[{"doc_id": 1', "line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    outside: Path, tmp_path: Path, name: str, old: str, new: str, match: str
) -> None:
    with pytest.raises(DatasetError, match=match):
        read_graded(changed(outside / name, tmp_path, old, new))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"", "not JSON"),
        (b"[]", "an object is needed"),
        (b"{}", "neither a log of Inspect"),
        (b'{"a": 1}', "neither a log of Inspect"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a":' * 200_000, "nested too deeply|not JSON"),
        (b'{"a": {"response": "' + b"x" * 5_000_000 + b'", "judge_response": {"correct": "no"}}}', "letters"),
    ],
)
def test_other_files(tmp_path: Path, text: bytes, match: str) -> None:
    (tmp_path / "file.json").write_bytes(text)
    with pytest.raises(DatasetError, match=match):
        read_graded(tmp_path / "file.json")


def test_an_empty_file_of_samples(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_bytes(b"\n")
    with pytest.raises(DatasetError, match="no answer is in it"):
        read_graded(tmp_path / "samples.jsonl")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("a.json", "a.jsonl"):
        with pytest.raises(FileNotFoundError):
            read_graded(tmp_path / name)


NAMES = ["id", "epoch", "scores", "judge", "value", "output", "completion", "choices", "message", "content", "metadata"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4), VALUES, VALUES)
def test_any_log_is_read_or_refused(samples: list[Any], about: Any, stats: Any) -> None:
    from thrifty.exam.outside.inspect_log import read_inspect

    log = {"version": 2, "eval": about, "stats": stats, "samples": samples}
    try:
        found = read_inspect(Path("log.json"), log)
    except DatasetError:
        return
    assert len(found.answers) == len(samples)
    assert all(one.correct in (True, False, None) for one in found.answers)


JUDGED = st.fixed_dictionaries(
    {"correct": st.sampled_from(["yes", "no", "Yes"]) | VALUES}, optional={"confidence": VALUES}
)
ENTRIES = st.fixed_dictionaries(
    {"response": st.text(max_size=9) | VALUES},
    optional={"judge_response": JUDGED | VALUES, "model": VALUES, "usage": VALUES},
)


@given(st.dictionaries(st.text(max_size=5), ENTRIES | VALUES, max_size=4))
def test_any_answers_by_id_are_read_or_refused(values: dict[str, Any]) -> None:
    from thrifty.exam.outside.hle_files import read_hle

    try:
        found = read_hle(Path("judged.json"), values)
    except DatasetError:
        return
    assert [one.id for one in found.answers] == list(values)
    assert all(one.confidence is None or 0 <= one.confidence <= 1 for one in found.answers)
