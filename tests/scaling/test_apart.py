"""No command writes over what it reads; what can't be done is said before the work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.command import said
from tests.scaling.fits import columns, write_csv
from thrifty.device import DeviceProfile

FIT = ("--law", "chinchilla", "--bootstraps", 0)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "runs.csv", columns(40))


@pytest.fixture
def fit(runs: Path) -> Path:
    """Called as a report's numbers are."""
    path = runs.with_name("results.json")
    done = said("scaling", "fit", runs, "-o", path, *FIT)
    assert done.returncode == 0, done.stderr
    return path


def test_no_input_is_written_over(runs: Path, fit: Path) -> None:
    os.symlink(runs, link := runs.with_name("link.csv"))
    form = runs.with_name("form.json")
    form.write_text("{}")
    os.symlink(runs, law := runs.with_name("chinchilla"))
    before = {path: path.read_bytes() for path in (runs, fit, form)}
    budget = ("--train-flops", 1e20)
    for arguments, read in (
        (("fit", runs, "-o", runs, *FIT), "runs.csv"),
        (("fit", runs, "-o", runs.parent / "." / "link.csv", *FIT), "runs.csv"),
        (("fit", link, "-o", runs, *FIT), "link.csv"),
        (("fit", runs, "-o", form, "--law", form), "form.json"),
        (("predict", fit, runs, "-o", runs), "runs.csv"),
        (("predict", fit, runs, "-o", fit), "results.json"),
        (("report", fit, "--out", fit.parent), "results.json"),
        (("plan", fit, *budget, "--out", fit.parent), "results.json"),
        (("plan", link, *budget, "--profile", fit, "--out", fit.parent), "results.json"),
        (("calibrate", "-o", form, "--shape", form, "--seconds", 1), "form.json"),
    ):
        done = said("scaling", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert f"would be written over {runs.parent / read}, which is read" in " ".join(done.stderr.split())
        assert {path: path.read_bytes() for path in before} == before
    # A law's name is no file, and another file is written.
    assert said("scaling", "fit", runs, "-o", law.with_name("other.json"), *FIT).returncode == 0


def test_plots_of_no_kind_are_refused_before_the_plan(fit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceProfile, "load", lambda *_, **__: pytest.fail("the work began"))
    given = ("--train-flops", 1e20, "--out", fit.parent / "page", "--plots", "gif", "--profile", "p.json")
    done = said("scaling", "plan", fit, *given)
    assert done.returncode == 2
    assert "--plots gif is none of" in done.stderr
    assert not (fit.parent / "page").exists()


def test_a_law_that_is_worse_than_the_mean_is_said_to_be(tmp_path: Path) -> None:
    given = columns(40)
    given["loss"] = np.where(np.arange(40) % 7 == 3, 20.0, given["loss"]).tolist()
    path = write_csv(tmp_path / "runs.csv", given)
    done = said("scaling", "fit", path, "-o", tmp_path / "fit.json", *FIT, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["score"]["r2"] < 0
    assert any("worse than their mean" in text for text in found["notes"])
    assert not any("worse than their mean" in text for text in sound(tmp_path))


def sound(folder: Path) -> list[str]:
    path = write_csv(folder / "sound.csv", columns(40))
    done = said("scaling", "fit", path, "-o", folder / "sound.json", *FIT, "--json")
    notes: list[str] = json.loads(done.stdout)["notes"]
    return notes
