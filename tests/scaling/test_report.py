"""The page of a fit, and its plots."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.command import said
from tests.scaling.fits import columns
from thrifty.errors import MissingExtra
from thrifty.report import Section, Series, Table
from thrifty.scaling import Form, Power, Runs, ScalingLaw, Term, load_fit, save_fit
from thrifty.scaling.curves import best_sizes, budgets, isoflops, shapes
from thrifty.scaling.page import fit_sections, formula, write_report
from thrifty.scaling.plots import write_plots


@pytest.fixture(scope="module")
def law() -> ScalingLaw:
    law = ScalingLaw("u_shape").fit(Runs.of(columns(60) | {"run": [f"<b>{i}</b>" for i in range(60)]}))
    law.draws_ = law.bootstrap(40)
    return law


def records(law: ScalingLaw) -> dict[str, Any]:
    return {record.id: record for section in fit_sections(law) for record in section.records}


def test_figures_are_those_of_the_fit(law: ScalingLaw) -> None:
    found = records(law)
    assert found["E"].value == law.coef_["E"]
    assert found["E"].interval == law.interval("E")
    assert found["runs"].value == 60
    rows = {row[0]: row[1:] for row in found["coefficients"].rows}
    assert law.draws_ is not None
    for name, value in law.coef_.items():
        assert rows[name] == [value, *law.interval(name), *law.draws_.interval(name)]
    assert found["r2"].value == law.score(law.runs_)["r2"]
    worst = found["furthest"].rows[0]
    away = np.log(np.asarray(law.runs_.loss) / law.loss_at(law.runs_))
    assert abs(worst[5]) == pytest.approx(100 * np.abs(away).max())
    assert worst[0] == law.runs_.names[int(np.abs(away).argmax())]


def test_every_run_is_drawn_once(law: ScalingLaw) -> None:
    found = records(law)
    losses = sorted(law.runs_.loss)  # type: ignore[arg-type]
    for name in ("measured", "frontier"):
        drawn = [value for value in found[name].y["runs"] if np.isfinite(value)]
        assert sorted(drawn) == losses
    for name, x in (("params", law.runs_.n_params), ("tokens", law.runs_.n_tokens)):
        series = found[f"residuals_{name}"]
        assert list(series.x) == sorted(x)
        assert len(series.y["runs"]) == 60


def test_curves_are_those_of_the_law(law: ScalingLaw) -> None:
    flops = budgets(law)
    spent = 6 * law.runs_.n_params * law.runs_.n_tokens
    assert (flops[0], flops[-2], flops[-1]) == pytest.approx((spent.min(), spent.max(), 10 * spent.max()))
    sizes, curves = isoflops(law, flops)
    best = best_sizes(law)
    for budget, curve in zip(flops, curves, strict=True):
        least = np.nanmin(curve)
        assert np.isfinite(least)
        at = int(np.abs(np.log(best.flops / budget)).argmin())
        assert best.flops[at] == pytest.approx(budget, rel=0.15)
        assert best.loss[at] == pytest.approx(least, rel=0.01)
    assert np.all(np.diff(best.loss) < 0)
    assert np.all((best.lo < best.loss) & (best.loss < best.hi))
    assert len(sizes) == len(curves[0])
    shaped = shapes(law)
    assert shaped is not None
    ratios, losses = shaped
    for values in losses.values():
        assert ratios[values.argmin()] == pytest.approx(np.exp(law.coef_["m"]), rel=0.2)
    plain = ScalingLaw("chinchilla").fit(law.runs_)
    assert shapes(plain) is None
    assert "shapes" not in records(plain)


def test_best_sizes_of_a_plain_law_are_those_of_its_formula() -> None:
    given = {name: values for name, values in columns(60).items() if name not in ("d_model", "n_layers")}
    law = ScalingLaw("chinchilla").fit(given)
    c, best = law.coef_, best_sizes(law)
    g = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / (c["alpha"] + c["beta"]))
    expected = g * (best.flops / 6) ** (c["beta"] / (c["alpha"] + c["beta"]))
    ratio = best.flops / 6 / best.n_params**2
    # Where tokens a parameter are not those of the runs' ends.
    inside = (ratio > ratio.min() * 1.01) & (ratio < ratio.max() / 1.01)
    assert inside.sum() > 10
    assert best.n_params[inside] == pytest.approx(expected[inside], rel=0.02)


def test_a_page_is_static_and_escaped(law: ScalingLaw, tmp_path: Path) -> None:
    page = write_report(tmp_path, law)
    text = page.read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert "<script" not in text
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["title"] == "Scaling law: u_shape"
    assert [section["id"] for section in results["sections"]] == ["law", "residuals", "curves", "origin"]
    save_fit(law, tmp_path / "fit.json")
    again = write_report(tmp_path / "again", load_fit(tmp_path / "fit.json"))
    # Draws are kept in single precision.
    numbers = [np.array([float(x) for x in re.findall(r">(-?[0-9]+\.[0-9]+)<", p.read_text())]) for p in (page, again)]
    assert numbers[0] == pytest.approx(numbers[1], rel=2e-3)


def test_a_choice_is_told(tmp_path: Path) -> None:
    given = {name: values for name, values in columns(40).items() if name not in ("d_model", "n_layers")}
    law = ScalingLaw("auto").fit(given)
    assert {row[0] for row in records(law)["candidates"].rows} == {"chinchilla", "chinchilla_tied"}


def test_formulas() -> None:
    def of(law: str | Form) -> str:
        fitted = ScalingLaw(law)
        fitted.form_ = fitted._form()  # a formula needs no fit
        return formula(fitted)

    assert of("chinchilla") == "loss = E + A N^-alpha + B D^-beta, with N parameters, D tokens"
    assert of("morph").startswith("loss = (E + A N^-alpha + B D^-alpha) (1 + gamma R^alpha), with")
    assert "(1 + g (ln R - m - k ln(N / 1e8))^2)" in of("u_shape_drift")
    mine = Form("mine", (Term("E"), Term("A", (("n_params", "a"), ("n_tokens", "b")))), Power("c", "d", "d_model"))
    assert of(mine).startswith("loss = (E + A N^-a D^-b) (1 + c width^d)")


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_plots_are_files_of_their_kind(kind: str, tmp_path: Path) -> None:
    nan = float("nan")
    curve = Series(
        "one", "A $title_", [1.0, 10.0, 100.0], {"dots": [1.0, nan, 3.0], "_line": [1.0, 2.0, 3.0]},
        lo={"dots": [0.5, nan, 2.0], "_line": [0.0, 1.0, 2.0]}, hi={"dots": [2.0, nan, 4.0], "_line": [2.0, 3.0, 4.0]},
        log_x=True, dots=("dots",), close=True,
    )  # fmt: skip
    section = Section("s", "s", "", [curve, Table("t", "t", ["a"], [[1]])])
    (path,) = write_plots(tmp_path / "plots", [section], kind)
    data = path.read_bytes()
    assert path.name == f"one.{kind}"
    assert data.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    assert len(data) > 3000
    (path,) = write_plots(tmp_path / "plots", [section], kind)
    assert path.read_bytes() == data
    assert [p.name for p in (tmp_path / "plots").iterdir()] == [f"one.{kind}"]


def test_plots_without_matplotlib(law: ScalingLaw, tmp_path: Path) -> None:
    with mock.patch.dict("sys.modules", {"matplotlib": None}), pytest.raises(MissingExtra, match=r"thrifty\[scaling\]"):
        write_plots(tmp_path, fit_sections(law))
    with pytest.raises(ValueError, match="kind: 'gif' is none of png, svg, pdf"):
        write_plots(tmp_path, [], "gif")


def test_the_command(law: ScalingLaw, tmp_path: Path) -> None:
    save_fit(law, tmp_path / "fit.json")
    done = said("scaling", "report", tmp_path / "fit.json", "--out", tmp_path / "out", "--plots", "svg", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)
    assert Path(values["report"]).exists()
    assert {Path(path).suffix for path in values["plots"]} == {".svg"}
    assert {"measured.svg", "isoflops.svg", "frontier.svg"} <= {Path(path).name for path in values["plots"]}
    with mock.patch("thrifty.scaling.plots.write_plots", return_value=[Path("a.png")]):
        alone = said("scaling", "report", tmp_path / "fit.json", "--out", tmp_path, "--no-html", "--plots", "png")
    assert (alone.returncode, "a.png" in alone.stdout) == (0, True)
    assert not (tmp_path / "report.html").exists()
    for more, words in ((("--plots", "gif"), "--plots gif is none of"), (("--no-html",), "nothing is left to write")):
        done = said("scaling", "report", tmp_path / "fit.json", "--out", tmp_path / "no", *more)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "no").exists()
