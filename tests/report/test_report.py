"""The report: escaped, self-contained, and the same numbers in JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import unicodedata
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thrifty.report import Bars, Figure, Grid, Section, Series, Table, write
from thrifty.report.svg import number

EVIL = "<script>alert(1)</script>\"'&"


def sections() -> list[Section]:
    return [
        Section(
            "one",
            f"Title {EVIL}",
            f"First {EVIL}.\n\nSecond paragraph.",
            [
                Figure("f", f"figure {EVIL}", 1234.5, EVIL, baseline=2.0, ratio=3.0, interval=(1.0, 2.0), source=EVIL),
                Figure("nan", "not a number", math.nan),
                Series(
                    "s",
                    f"curve {EVIL}",
                    [1, 10, 100],
                    {EVIL: [1.0, 2.0, 3.0], "b": [0.1, 0.01, math.nan]},
                    lo={"b": [0.05, 0.005, 0.001]},
                    hi={"b": [0.2, 0.02, 0.01]},
                    x_label=EVIL,
                    log_x=True,
                    log_y=True,
                ),
                Series("flat", "one point", [5], {"a": [0.0]}),
                Series("dots", EVIL, [3, 1], {"at": [1.0, 2.0], "line": [1.0, 2.0]}, dots=("at",)),
                Series(
                    "errors",
                    EVIL,
                    [0.0, 0.5, 1.0],
                    {"at": [0.5, math.nan, 0.75], "line": [0.0, 0.5, 1.0]},
                    lo={"at": [0.25, math.nan, math.nan]},
                    hi={"at": [1.0, math.nan, math.nan]},
                    dots=("at",),
                    notes={"at": [EVIL, "", "7"]},
                ),
                Grid(
                    "g",
                    EVIL,
                    [EVIL, "2"],
                    [EVIL, "b", "c"],
                    [[1.0, 2.0], [math.nan, 1.5], [np.float64(1.0), math.inf]],
                    x_label=EVIL,
                    y_label=EVIL,
                    marks={(0, 0): EVIL},
                    struck=[(1, 0), (0, 1)],
                ),
                Grid("none", "empty", [], [], []),
                Bars("b", EVIL, {EVIL: 3.0, "half": 1.5, "none": 0.0, "no number": math.nan}, EVIL, ours="half"),
                Table("t", EVIL, ["a", EVIL], [[1, EVIL], [np.float64(2.5), True], [np.int64(3), None]]),
            ],
        )
    ]


def test_everything_is_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = write(tmp_path, f"Report {EVIL}", sections(), note=EVIL).read_text()
    assert "<script" not in page
    assert "javascript:" not in page
    assert not re.search(r"\b(src|href|action)=", page)
    assert "http:" not in page
    assert "https:" not in page
    assert " style=" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    style = re.search(r"<style>(.*)</style>", page, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].startswith("default-src 'none'")
    assert f"'sha256-{digest}'" in policy[1]
    assert "prefers-color-scheme:dark" in style[1]
    assert 'name="viewport"' in page


def test_charts_are_well_formed(tmp_path: Path) -> None:
    page = write(tmp_path, "r", sections()).read_text()
    charts = re.findall(r"<svg.*?</svg>", page, re.S)
    assert len(charts) == 7
    for chart in charts:
        root = ElementTree.fromstring(chart)
        for element in root.iter():
            for name, value in element.attrib.items():
                if name in {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width"}:
                    assert math.isfinite(float(value))
                if name == "points":
                    assert "nan" not in value


def test_halves_of_pairs_are_shown_by_number(tmp_path: Path) -> None:
    page = write(tmp_path, "r", [Section("s", "half \ud83d", "")]).read_text()
    assert "half \\ud83d<" in page


def test_points_have_bars_and_notes(tmp_path: Path) -> None:
    charts = re.findall(r"<svg.*?</svg>", write(tmp_path, "r", sections()).read_text(), re.S)
    page = next(chart for chart in charts if 'class="error' in chart)
    drawn = re.findall(r'<line class="error c0" x1="([0-9.]+)" x2="([0-9.]+)" y1="([0-9.]+)" y2="([0-9.]+)"', page)
    assert len(drawn) == 1
    left, right, low, high = map(float, drawn[0])
    dots = re.findall(r'<circle class="dot c0" cx="([0-9.]+)" cy="([0-9.]+)"', page)
    x, y = next((float(x), float(y)) for x, y in dots if float(x) == left and high < float(y) < low)
    assert (left, right) == (x, x)
    assert (low - y) / (y - high) == pytest.approx(0.5, abs=0.01)
    assert ">7</text>" in page
    assert "<polygon" not in page


def test_bars_are_as_long_as_their_numbers(tmp_path: Path) -> None:
    page = write(tmp_path, "r", sections()).read_text()
    drawn = re.findall(r'<rect class="bar (c.)" .*? width="([0-9.]+)"', page)
    assert [colour for colour, _ in drawn] == ["c1", "c0", "c1", "c1"]
    longest, half, *none = (float(width) for _, width in drawn)
    assert half == pytest.approx(longest / 2, abs=0.1)
    assert none == [0, 0]


def test_results_are_the_same_numbers(tmp_path: Path) -> None:
    write(tmp_path, "r", sections())
    results = json.loads((tmp_path / "results.json").read_text())
    records = {r["id"]: r for r in results["sections"][0]["records"]}
    assert records["f"]["value"] == 1234.5
    assert records["f"]["interval"] == [1.0, 2.0]
    assert records["nan"]["value"] is None
    assert records["s"]["y"]["b"] == [0.1, 0.01, None]
    assert records["b"]["values"] == {EVIL: 3.0, "half": 1.5, "none": 0.0, "no number": None}
    assert records["t"]["rows"] == [[1, EVIL], [2.5, True], [3, None]]
    assert not list(tmp_path.glob("*.partial"))


def test_ids_are_unique(tmp_path: Path) -> None:
    twice = [Section("a", "a", "", [Figure("x", "x", 1)]), Section("b", "b", "", [Figure("x", "y", 2)])]
    with pytest.raises(ValueError, match="these are not: x"):
        write(tmp_path, "r", twice)


@given(st.floats(allow_nan=False))
def test_numbers_are_short_and_near(value: float) -> None:
    text = number(value)
    assert len(text) <= 12
    if math.isfinite(value):
        # Decimal, since the largest floats round up to a text beyond the largest float.
        near, exact = Decimal(text.replace(",", "")), Decimal(value)
        assert abs(near - exact) <= Decimal("6e-3") * abs(exact)


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@example([2.0, 1.3e-297], False, True, True)
def test_any_series_draws(values: list[float], log_x: bool, log_y: bool, close: bool) -> None:
    from thrifty.report.svg import chart

    x = range(1, len(values) + 1)
    drawn = chart(Series("s", "s", x, {"a": values}, log_x=log_x, log_y=log_y, close=close))
    assert drawn.startswith("<figure>")
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([2.4, 5.1], False, ["2.5", "3", "3.5", "4", "4.5", "5"]),
        ([2.4, 5.1], True, ["2.5", "3", "3.5", "4", "4.5", "5"]),
        ([0.9, 30.0], True, ["1", "2", "3", "5", "10", "20", "30"]),
        ([1e17, 1e20], True, ["1e+17", "1e+18", "1e+19", "1e+20"]),
        ([-0.02, 0.03], False, ["-0.02", "-0.01", "0", "0.01", "0.02", "0.03"]),
    ],
)
def test_close_axes_span_what_is_drawn(values: list[float], log: bool, ticks: list[str]) -> None:
    from thrifty.report.svg import HEIGHT, chart

    drawn = chart(Series("s", "s", [1, 2], {"a": values}, log_y=log, close=True))
    assert re.findall(r'class="tick end"[^>]*>([^<]*)<', drawn) == ticks
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', drawn)]
    assert max(heights) - min(heights) > 0.7 * HEIGHT


def test_a_grid_is_darkest_where_it_is_least_and_dots_have_no_line(tmp_path: Path) -> None:
    page = write(tmp_path, "r", sections()).read_text()
    svg = next(part for part in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if part.count('class="shade"') == 4)
    shades = [float(shade) for shade in re.findall(r'opacity="([0-9.]+)"', svg)]
    assert shades == [0.7, 0.0, 0.35, 0.7]  # 1, 2; nothing, 1.5; 1, nothing.
    assert svg.count('class="struck"') == 1  # A cell with nothing in it is not crossed out.
    dots = next(part for part in re.findall(r"<svg.*?</svg>", page, re.DOTALL) if part.count("<circle") == 4)
    assert dots.count("<polyline") == 1


@pytest.mark.parametrize(("ratio", "said"), [(3.0, "3x better"), (1.0, "1x better"), (0.25, "4x worse")])
def test_a_ratio_says_which_is_better(tmp_path: Path, ratio: float, said: str) -> None:
    figure = Figure("f", "a figure", 2.0, baseline=1.0, ratio=ratio)
    assert f", {said}<" in write(tmp_path, "page", [Section("s", "section", "", [figure])]).read_text()


def test_what_steers_a_page_is_shown_by_number(tmp_path: Path) -> None:
    """Letters that turn the direction of text, terminals' codes and nothing at all can't hide what is there."""
    hostile = "a\u202eb\x00\x1b[31m\u200b\U000e0041\x85<i>"
    records = [
        Table("t", hostile, [hostile], [[hostile]]),
        Figure("f", hostile, 1.0, hostile, source=hostile),
        Bars("b", hostile, {hostile: 1.0}, hostile),
        Series("s", hostile, [0.0, 1.0], {hostile: [0.0, 1.0]}, x_label=hostile, notes={hostile: [hostile, ""]}),
    ]
    page = write(tmp_path, hostile, [Section("x", hostile, hostile, records)], note=hostile).read_text()
    assert not any(unicodedata.category(letter) in ("Cc", "Cf") and letter != "\n" for letter in page)
    assert page.count("a\\u202eb\\u0000\\u001b[31m\\u200b\\U000e0041\\u0085&lt;i&gt;") >= 12
    assert json.loads((tmp_path / "results.json").read_text())["title"] == hostile


def test_letters_of_all_languages_are_left_alone(tmp_path: Path) -> None:
    words = "Größe \u4e2d\u6587 \u0639\u0631\u0628 \U0001f600 a\u0301"
    assert words in write(tmp_path, words, []).read_text()
