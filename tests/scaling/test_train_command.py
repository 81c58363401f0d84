"""`thrifty scaling train`: rows, a law, models; the same command goes on after a kill."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import thrifty.device
from tests.command import said
from tests.device.devices import made, profile_of
from thrifty.device.machine import describe
from thrifty.models import load_decoder

TEXT = "".join(path.read_text() for path in sorted((Path(thrifty.__file__).parent / "rambo").rglob("*.py")))
SMALL = (
    "--sizes",
    "1500,2500,4000",
    "--shapes",
    "2",
    "--multiples",
    "6,12",
    "--context",
    "32",
    "--law",
    "chinchilla_tied",
)
TARGET = ("--target-params", "7k", "--target-multiple", "4", "--keep", "2", "--questions", "8", "--threads", "1")
ARGUMENTS = (*SMALL, *TARGET, "--repeats", "0", "--json")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "runs.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def straight(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("straight") / "study"
    done = said("scaling", "train", text, "--out", out, *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_a_study(straight: tuple[Path, dict[str, Any]]) -> None:
    out, found = straight
    assert found["rows"] == len(rows(out)) == 8 + 2
    assert found["law"] == "chinchilla_tied"
    kept = [one for one in found["candidates"] if one["kept"]]
    assert [one["measured"] is not None for one in kept] == [True, True]
    chosen = found["chosen"]
    assert chosen["score"] == max(one["score"] for one in kept)
    model, _, training = load_decoder(chosen["model"])
    assert model.config.dim == chosen["d_model"]
    assert training["tokens"] == chosen["n_tokens"]
    assert all(float(row["loss"]) < 5 for row in rows(out))
    assert not list(out.glob("*.trunk"))


def test_a_killed_study_goes_on(text: Path, straight: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, command = tmp_path / "study", [sys.executable, "-m", "thrifty", "scaling", "train", str(text)]
    with subprocess.Popen([*command, "--out", str(out), *ARGUMENTS]) as process:
        while not (out / "runs.csv").exists() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
    assert process.returncode < 0
    # And half a row, as a machine that stops leaves it.
    with (out / "runs.csv").open("a") as file:
        file.write("2x16-")
    done = said("scaling", "train", text, "--out", out, *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    assert rows(out) == rows(straight[0])
    assert json.loads(done.stdout)["candidates"] == straight[1]["candidates"]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration as it is by default, f32: a layer takes a millisecond."""
    path = tmp_path_factory.mktemp("device") / "device.json"
    found = dataclasses.replace(profile_of(*made(layer=1.0)), device=describe())
    assert found.dtype == "f32"
    found.save(path)
    return path


def test_a_limit_leaves_shapes_out(
    text: Path, straight: tuple[Path, dict[str, Any]], profile: Path, tmp_path: Path
) -> None:
    limit = ("--profile", profile, "--slo-ms", "2.6")
    done = said("scaling", "train", text, "--out", straight[0], *ARGUMENTS, *limit)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {one["n_layers"]: one["kept"] for one in found["candidates"]} == {2: True, 3: False}
    assert 2.0 < found["chosen"]["ms"] < 2.2
    # Nothing is trained for a limit that no shape meets.
    done = said("scaling", "train", text, "--out", tmp_path / "none", *ARGUMENTS, *limit[:2], "--slo-ms", "1")
    assert done.returncode == 1
    assert "no shape meets 1 ms a token; the fastest" in done.stderr
    assert not list((tmp_path / "none").iterdir())


def test_side_by_side(text: Path, straight: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    done = said("scaling", "train", text, "--out", tmp_path / "study", *ARGUMENTS, "--together", "3")
    assert done.returncode == 0, done.stderr
    assert sorted(map(str, rows(tmp_path / "study"))) == sorted(map(str, rows(straight[0])))
    assert rows(tmp_path / "study") != rows(straight[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--context", "64"), "context of .* is 32 there and 64 here"),
        (("--questions", "9"), "exam is '8 questions, seed 0'"),
        (("--held", "held.txt"), "held_sha256 is"),
    ],
)
def test_other_settings_are_another_study(
    text: Path, straight: tuple[Path, dict[str, Any]], tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    """Rows that can't be compared come into no fit together."""
    (tmp_path / "held.txt").write_text("".join(reversed(TEXT)))
    option, value = change
    given = (option, tmp_path / value if option == "--held" else value)
    # The same text is trained on: what is held back alone differs.
    some = text
    if option == "--held":
        some = tmp_path / "train.txt"
        some.write_bytes(TEXT.encode()[: len(TEXT.encode()) - len(TEXT.encode()) // 20])
    before = (straight[0] / "runs.csv").read_bytes()
    done = said("scaling", "train", some, "--out", straight[0], *ARGUMENTS, *given)
    assert done.returncode == 1
    assert re.search(says, done.stderr), done.stderr
    assert (straight[0] / "runs.csv").read_bytes() == before


def test_what_is_refused(text: Path, straight: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    def refused(*arguments: object, status: int) -> str:
        done = said("scaling", "train", *arguments)
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        return done.stderr

    out = ("--out", tmp_path / "out")
    assert "--slo-ms needs --profile" in refused(text, *out, *TARGET, "--slo-ms", "1", status=2)
    assert "numbers are needed" in refused(text, *out, *TARGET, "--multiples", "x", status=2)
    assert "no size of a ladder" in refused(text, *out, "--target-params", "5", status=2)
    assert "--device tpu" in refused(text, *out, *TARGET, "--device", "tpu", status=2)
    assert "--law pareto is none of" in refused(text, *out, *TARGET, "--law", "pareto", status=2)
    few = ("--sizes", "1500", "--shapes", "2", "--multiples", "6")
    assert "the ladder is too small: the law" in refused(text, *out, *TARGET, *few, status=1)
    assert not (tmp_path / "out" / "runs.csv").exists()
    short = tmp_path / "short.txt"
    short.write_text("short")
    assert "are too few to train on" in refused(short, *out, *TARGET, *SMALL, "--questions", "0", status=1)
    assert "No such file" in refused(tmp_path / "none", *out, *TARGET, *SMALL, status=1)
    other = tmp_path / "other.txt"
    other.write_text(TEXT * 2)
    assert "data_bytes is" in refused(other, "--out", straight[0], *ARGUMENTS, status=1)
