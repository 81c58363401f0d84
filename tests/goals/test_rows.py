"""Goals are judged as they are written, the last row counts, and pages say what the rows say."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOALS = ROOT / "benches" / "goals"
SCRIPTS = sorted(GOALS.glob("*/[0-9]*.py"))


@pytest.fixture(scope="module")
def rows() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rows", GOALS / "rows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rows"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("asked", "reached", "met"),
    [
        (">= 15", 15.0, True),
        (">= 15", 14.99, False),
        ("<= 3.5e-3", 3.4e-3, True),
        ("<= 3.5e-3", 3.6e-3, False),
        ("== 0", 0.0, True),
        ("== 0", 1.0, False),
        ("0.67..1.5", 1.5, True),
        ("0.67..1.5", 0.6, False),
        (">= 1", float("nan"), False),
    ],
)
def test_holds(rows: ModuleType, asked: str, reached: float, met: bool) -> None:
    assert rows.holds(asked, reached) is met


@pytest.mark.parametrize("asked", ["15", "> 15", ">=15", "about 3", ""])
def test_what_can_not_be_judged_is_an_error(rows: ModuleType, asked: str) -> None:
    with pytest.raises(ValueError, match="asked"):
        rows.holds(asked, 1.0)


def test_the_last_row_counts(rows: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "goals.csv")
    first = rows.Row("p", "10", "a", "what, quoted", ">= 1", 0.5, "x", False, 1.0, 1, "c", "cpu", "{}", "2000-01-01")
    for row in (first, replace(first, item="2"), replace(first, reached=2.0, passed=True)):
        rows.append(row)
    kept = rows.latest(tmp_path / "goals.csv")
    assert [(r.item, r.reached, r.passed) for r in kept] == [("2", 0.5, False), ("10", 2.0, True)]
    assert kept[0].what == "what, quoted"


def test_scripts_say_what_they_plant() -> None:
    assert SCRIPTS
    for script in SCRIPTS:
        doc = ast.get_docstring(ast.parse(script.read_text()))
        assert doc is not None, script
        assert "--planted" in doc, script


def test_pages_say_what_the_rows_say() -> None:
    command = [sys.executable, ROOT / "benches/report.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
