"""`thrifty scaling train`: rows, a law, models; the same command goes on after a kill."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import thrifty.device
from tests.command import said
from thrifty.device import ModelShape
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


class Profile:
    """Says that a layer takes a millisecond."""

    @staticmethod
    def load(path: Path) -> Profile:
        assert path == Path("device.json")
        return Profile()

    def latency(self, shape: ModelShape, *, batch: int, prompt: int, new_tokens: int) -> Any:
        assert batch == 1
        return SimpleNamespace(ms=float(shape.layers * new_tokens))


def test_a_limit_leaves_shapes_out(
    text: Path, straight: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thrifty.device, "DeviceProfile", Profile)
    limit = ("--profile", "device.json", "--slo-ms", "2.5")
    done = said("scaling", "train", text, "--out", straight[0], *ARGUMENTS, *limit)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {one["n_layers"]: one["kept"] for one in found["candidates"]} == {2: True, 3: False}
    assert found["chosen"]["ms"] == 2.0
    done = said("scaling", "train", text, "--out", straight[0], *ARGUMENTS, *limit[:2], "--slo-ms", "1")
    assert done.returncode == 1
    assert "no shape meets 1 ms a token; the fastest" in done.stderr


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
    short = tmp_path / "short.txt"
    short.write_text("short")
    assert "are too few to train on" in refused(short, *out, *TARGET, *SMALL, "--questions", "0", status=1)
    assert "No such file" in refused(tmp_path / "none", *out, *TARGET, *SMALL, status=1)
    other = tmp_path / "other.txt"
    other.write_text(TEXT * 2)
    assert "data_bytes is" in refused(other, "--out", straight[0], *ARGUMENTS, status=1)
