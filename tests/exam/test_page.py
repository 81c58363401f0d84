"""Pages of exams: what they show, that nothing in them runs, and what a canary keeps out; the commands around them."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.command import said
from tests.exam.endpoint import reply, serving
from thrifty.errors import MismatchError
from thrifty.exam import Dataset, Endpoint, Graded, GradedAnswer, Question, grade, run, score
from thrifty.exam.page import score_section, write_report
from thrifty.report import Series, Table

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
KEY = "sk-not-to-be-seen-anywhere"


class Page(HTMLParser):
    """What a browser would find: tags, attributes that run or fetch, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.bad: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = ("src", "href", "action", "data", "xlink:href", "style", "srcdoc")
        self.bad += [(tag, name) for name, _ in attrs if name.startswith("on") or name in names]

    def handle_data(self, data: str) -> None:
        self.text += data


def graded(canary: str = "", name: str = f"run {EVIL}") -> Graded:
    answers = [
        GradedAnswer(
            f"q{i} {EVIL}",
            0,
            None if i == 3 else i % 3 > 0,
            None if i == 5 else (i % 11) / 10,
            status="length" if i == 7 else "answered",
            rule=EVIL,
            category=f"subject {i % 2} {EVIL}",
            response=f"SECRET {i} {EVIL}",
        )
        for i in range(260)
    ]
    provenance = {"model": EVIL, "dataset_sha256": "d", "nested": {EVIL: [EVIL]}}
    return Graded(tuple(answers), name, provenance, {"seconds": 20.0}, 900.0, f"rapl {EVIL}", canary)


def test_nothing_in_a_page_runs(tmp_path: Path) -> None:
    page = Page(write_report(tmp_path, graded(), graded(name="other"), resamples=50).read_text())
    assert not page.bad
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "a", "base"}
    assert {"svg", "table", "section"} <= page.tags
    assert f"SECRET 0 {EVIL}" in page.text
    assert f"q3 {EVIL}" in page.text


def test_a_canary_keeps_texts_out(tmp_path: Path) -> None:
    path = write_report(tmp_path, graded(), graded("canary GUID 26b5c67b"), resamples=50)
    for file in (path, path.with_name("results.json")):
        text = file.read_text()
        assert "SECRET" not in text
        assert "canary GUID 26b5c67b" in text
        assert "q0" in text


def test_records_say_what_the_score_says() -> None:
    run_ = graded()
    found = score(run_, resamples=50)
    section = score_section(run_, found, "first")
    by_id = {record.id: record for record in section.records}
    assert by_id["first_accuracy"].value == found.metrics.accuracy
    assert by_id["first_accuracy"].interval == found.metrics.wilson
    assert by_id["first_rmsce"].interval == found.intervals["rmsce"]
    assert f"{found.rmsce.low:.4f} to {found.rmsce.high:.4f} in all orders" in by_id["first_rmsce"].source
    assert by_id["first_per_kilojoule"].value == pytest.approx(found.metrics.right / 0.9)
    assert "rapl" in by_id["first_per_kilojoule"].source
    subjects = by_id["first_subjects"]
    assert isinstance(subjects, Table)
    assert sum(row[1] for row in subjects.rows) == 260
    diagram = by_id["first_reliability"]
    assert isinstance(diagram, Series)
    counts = diagram.notes["share that is right"]
    assert sum(int(count) for count in counts if count) == 259
    assert by_id["first_unscored"].rows == [[f"q3 {EVIL}", 0]]
    assert "1 could not be graded" in section.text
    assert "1 state no confidence" in section.text


def test_a_run_without_confidences_has_no_diagram() -> None:
    silent = Graded(tuple(dataclasses.replace(answer, confidence=None) for answer in graded().answers))
    section = score_section(silent, score(silent, resamples=0))
    assert not any(isinstance(record, Series) for record in section.records)
    assert "0 answers with a stated confidence" in section.text


def test_runs_that_differ_are_refused(tmp_path: Path) -> None:
    other = dataclasses.replace(graded(), provenance={"dataset_sha256": "e"})
    with pytest.raises(MismatchError, match="dataset_sha256"):
        write_report(tmp_path / "page", graded(), other)
    assert not (tmp_path / "page").exists()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two graded runs behind an address with a key: the second one has 12 of 240 answers wrong."""
    monkeypatch.setenv("EXAM_KEY", KEY)
    exam = Dataset(
        tuple(
            Question(f"q{i}", f"What is {i} + 1? {EVIL}", f"{i + 1}", "exactMatch", category=f"[/red]{i % 2}\x1b[2J")
            for i in range(240)
        )
    )
    folders = tmp_path / "plain", tmp_path / "cheap"
    for folder, wrong in zip(folders, (range(0), range(0, 240, 20)), strict=True):

        def script(request: dict[str, list[dict[str, str]]], _: int, wrong: range = wrong) -> object:
            number = int(str(request["messages"][-1]["content"]).split()[2])
            said = -1 if number in wrong else number + 1
            return reply(f"Explanation: {EVIL}\nAnswer: {said}\nConfidence: {60 + number % 40}%")

        with serving(script) as server:  # type: ignore[arg-type]
            run(exam, Endpoint(server.url, "m", api_key_env="EXAM_KEY"), folder)
        grade(folder)
    return folders


def test_commands(runs: tuple[Path, Path], tmp_path: Path) -> None:
    plain, cheap = runs
    scored = said("exam", "score", plain, "--json", "--resamples", 200)
    values = json.loads(scored.stdout)
    assert scored.returncode == 0
    assert scored.stdout.count("\n") == 1
    assert (values["answers"], values["accuracy"], values["wilson"][1]) == (240, 1.0, 1.0)
    assert values["auroc"] is None
    assert values["rmsce_hle"]["low"] <= values["rmsce_hle"]["value"] <= values["rmsce_hle"]["high"]
    assert values["provenance"]["model"] == "m"

    compared = json.loads(said("exam", "compare", plain, cheap, "--json", "--resamples", 200).stdout)
    assert compared["verdict"] == "lost accuracy"
    assert (compared["first_only"], compared["second_only"], compared["difference"]) == (12, 0, -0.05)
    assert compared["first_diverging"] == "q0"
    assert json.loads(said("exam", "compare", plain, plain, "--json").stdout)["verdict"] == "identical"
    assert "lost accuracy" in said("exam", "compare", plain, cheap, "--resamples", 0).stdout
    shown = said("exam", "score", plain, "--resamples", 0).stdout
    assert "100.00 %" in shown
    assert "[/red]0\\x1b[2J" in shown
    assert "\x1b" not in shown

    page = tmp_path / "page"
    written = json.loads(said("exam", "report", plain, cheap, "--out", page, "--json", "--resamples", 50).stdout)
    assert written["report"] == str(page / "report.html")
    html = Page((page / "report.html").read_text())
    assert not html.bad
    assert "script" not in html.tags
    for file in [*page.iterdir(), *(f for folder in runs for f in folder.iterdir())]:
        assert KEY.encode() not in file.read_bytes(), file


def test_what_commands_refuse(runs: tuple[Path, Path], tmp_path: Path) -> None:
    plain, _ = runs
    for arguments, status, says in (
        (("score", tmp_path / "nothing"), 1, "nothing"),
        (("compare", plain, plain, "--delta", "2"), 2, "delta"),
        (("report", plain, "--out", tmp_path / "no" / "page"), 1, "No such folder"),
        (("score", plain, "--label-noise", "3"), 2, "label-noise"),
    ):
        done = said("exam", *arguments)
        assert done.returncode == status, done.stderr
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
        assert not done.stdout
