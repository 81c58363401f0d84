"""The demo's part: what it tells is what comes of the runs and of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import ok
from thrifty.pipeline import demo_scaling as demo


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, Any]]]:
    out: Path = tmp_path_factory.mktemp("demo") / "out"
    ok("demo", "--part", "scaling", "--out", out)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    return section["text"], {record["id"].removeprefix("scaling."): record for record in section["records"]}


def test_the_class_held_back_is_predicted(told: tuple[str, dict[str, dict[str, Any]]]) -> None:
    text, records = told
    held = records["held_back"]
    measured, (name,) = np.array(held["x"]), held["lo"]
    predicted = np.array(held["y"][name])
    assert len(measured) == 10
    assert records["error"]["value"] == pytest.approx(100 * np.abs(predicted / measured - 1).max())
    assert records["error"]["value"] < 1.2 < records["error"]["baseline"]
    inside = int(((np.array(held["lo"][name]) <= measured) & (measured <= np.array(held["hi"][name]))).sum())
    assert inside >= 9
    assert f"{inside} of 10 lie in" in text
    errors = [row[2] for row in records["laws"]["rows"]]
    assert errors == sorted(errors)
    assert f"'{records['laws']['rows'][0][0]}'" in text


def test_the_plan_keeps_its_limit_at_the_price_of_loss(told: tuple[str, dict[str, dict[str, Any]]]) -> None:
    _, records = told
    rows = {row[-1].split()[0]: row for row in records["front"]["rows"] if row[-1]}
    free, limited = rows["least"], rows["under"]
    assert limited[7] <= float(limited[-1].split()[1]) * 1.01 < free[7] * 1.01
    assert free[4] <= limited[4]
    assert records["ms"]["value"] == limited[7]
    low, high = records["ms"]["interval"]
    assert limited[7] / 10 < low < limited[7] < high < limited[7] * 10
    n, d = limited[2], limited[3]
    assert 6 * n * d == pytest.approx(demo.TRAIN_FLOPS)


def test_random_starts_are_beside_one_fit() -> None:
    race = demo.raced(1)
    assert race.runs == 240
    assert race.found
    assert 1 <= race.starts <= demo.STARTS
    assert race.theirs > 0 < race.ours
