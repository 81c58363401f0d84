"""The demo's part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import ok


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, object]]]:
    out: Path = tmp_path_factory.mktemp("demo") / "out"
    ok("demo", "--part", "specdec", "--out", out)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    return section["text"], {record["id"].removeprefix("specdec."): record for record in section["records"]}


def test_figures(told: tuple[str, dict[str, dict[str, object]]]) -> None:
    text, records = told
    assert 0.3 < float(str(records["acceptance"]["value"])) < 0.95
    assert float(str(records["tokens_per_verify"]["value"])) > 1.5
    assert records["differing"]["value"] == 0
    places = records["positions"]["values"]
    assert isinstance(places, dict)
    assert len(places) == 4
    # Whatever came of it is said.
    assert ("Here drafts pay" in text) != ("Here drafts do not pay" in text)
    assert "bound by" in text
    rows = records["runs"]["rows"]
    assert isinstance(rows, list)
    assert [row[1] for row in rows] == [16 * 96] * 3
    assert rows[0][3] == 0
    # Drafts mean fewer verifications of the same ids.
    assert rows[1][2] < rows[0][2]
