"""The demo's part: what it tells is what comes of the models and the exam, and changes with them."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.command import ok
from thrifty.exam import compare, contamination, score
from thrifty.pipeline import demo_exam as demo
from thrifty.pipeline.data import novels

TWIN, SMALL = list(demo.TAKERS)[1:]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, Any]]]:
    out: Path = tmp_path_factory.mktemp("demo") / "out"
    ok("demo", "--part", "exam", "--out", out)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    return section["text"], {record["id"].removeprefix("exam."): record for record in section["records"]}


def test_held_back_books_are_whole() -> None:
    text = (novels() / "held-back.txt").read_bytes()
    spans = json.loads((novels() / "held-back.json").read_text())
    flat = sorted(span for parts in spans.values() for span in parts)
    assert flat[0][0] == 0
    assert flat[-1][1] == len(text)
    assert all(a[1] == b[0] for a, b in pairwise(flat))
    assert b"Pip" in text[slice(*spans["Great Expectations"][0])]
    assert b"Pip" not in text[slice(*spans["War and Peace"][0])]


def test_figures_are_those_of_the_models(told: tuple[str, dict[str, dict[str, Any]]]) -> None:
    text, records = told
    exam = demo.asked(0)
    taken = {name: demo.takes(exam, name, 1, None).graded for name in demo.TAKERS}
    plain = taken["PairLM"]
    assert records["accuracy"]["value"] == pytest.approx(100 * plain.correct.mean())
    low, high = records["accuracy"]["interval"]
    assert 25 < low < records["accuracy"]["value"] < high
    assert records["calibration"]["value"] == pytest.approx(100 * score(plain, resamples=0).rmsce.value)  # type: ignore[union-attr]
    verdicts = {name: compare(plain, taken[name], delta=demo.DELTA) for name in (TWIN, SMALL)}
    rows = {row[0]: row for row in records["verdicts"]["rows"]}
    for name, verdict in verdicts.items():
        assert rows[name][-1] == verdict.verdict
        assert rows[name][2:4] == [verdict.decision.first_only, verdict.decision.second_only]
        assert verdict.sentence in text
    assert verdicts[TWIN].verdict in ("identical", "equivalent")
    assert verdicts[SMALL].verdict == "lost accuracy"
    assert records["twin_bytes"]["ratio"] > 3
    assert records["contaminated"]["value"] == 0
    assert records["contaminated"]["baseline"] == demo.CONTROL


def test_a_worse_twin_changes_the_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "QUESTIONS", 700)
    monkeypatch.setitem(demo.TAKERS, TWIN, ("small", "i8"))
    section = demo.tell(tmp_path, full=False, threads=1, seed=0, progress=None)
    (table,) = [record for record in section.records if record.id == "exam.verdicts"]
    assert {row[0]: row[-1] for row in table.rows}[TWIN] == "lost accuracy"  # type: ignore[union-attr]


def test_an_exam_without_an_error_shows_its_hardest_question() -> None:
    exam = demo.asked(1)
    graded = demo.takes(exam, SMALL, 1, None).graded
    right = [dataclasses.replace(answer, correct=True) for answer in graded.answers]
    table = demo.question(exam, dataclasses.replace(graded, answers=tuple(right)))
    assert table.title.startswith(f"Right with {100 * graded.confidence.min():.0f} %")
    assert demo.question(exam, graded).title.startswith("Wrong with ")


def test_what_was_learned_is_found() -> None:
    """The check finds an exam made of the text that the models saw."""
    found = contamination(demo.learned(3), novels() / "novels.txt.xz", within="document")
    assert len(found.hits) == demo.CONTROL
