"""``thrifty scaling fit, predict, compare`` as people and scripts use them."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.command import said, thrifty, wait_for
from tests.scaling.fits import columns, write_csv
from thrifty.scaling import compare_fits, load_fit, read_runs
from thrifty.scaling.rivals import Rival

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return write_csv(folder / "runs.csv", columns(60), kind=["a", "b"] * 30, group=[str(i // 4) for i in range(60)])


@pytest.fixture(scope="module")
def fit(runs: Path) -> Path:
    path = runs.with_name("fit.json")
    done = said("scaling", "fit", runs, "-o", path, "--law", "u_shape", "--bootstraps", 100)
    assert done.returncode == 0, done.stderr
    return path


def told(*arguments: object) -> dict[str, Any]:
    done = said("scaling", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    values: dict[str, Any] = json.loads(lines[0])
    return values


def refused(status: int, *words: str, arguments: tuple[object, ...]) -> str:
    done = said("scaling", *arguments)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    *notes, last = done.stderr.splitlines()
    assert last.startswith("thrifty: error: ")
    assert all(line.startswith("note: ") for line in notes)
    for word in words:
        assert word in last, last
    return last


def test_fit_for_people_and_for_programs(runs: Path, tmp_path: Path) -> None:
    arguments = ("fit", runs, "-o", tmp_path / "fit.json", "--law", "chinchilla", "--bootstraps", 200)
    done = said("scaling", *arguments)
    assert done.returncode == 0
    for name in ("E", "alpha", "beta", "200, rows drawn anew", "8 starts ended there"):
        assert name in done.stdout
    values = told(*arguments)
    law = load_fit(tmp_path / "fit.json")
    assert values["coefficients"] == law.coef_
    assert law.draws_ is not None
    for name, (low, high) in values["intervals"].items():
        assert low < law.coef_[name] < high
        assert values["bootstrap"]["intervals"][name] == pytest.approx(law.draws_.interval(name), rel=1e-4)
    assert values["certificate"]["reached"] == law.certificate_.reached
    assert values["data"]["sha256"] == law.runs_.source.sha256
    assert (values["data"]["rows"], values["data"]["params"], values["notes"]) == (60, "total", [])
    assert values["score"]["r2"] > 0.99


def test_threads_and_seeds(runs: Path, tmp_path: Path) -> None:
    files = []
    for i, more in enumerate((("--threads", 1), ("--threads", 3), ("--seed", 1))):
        path = tmp_path / f"{i}.json"
        assert (
            said("scaling", "fit", runs, "-o", path, "--law", "chinchilla", "--bootstraps", 150, *more).returncode == 0
        )
        files.append(path.read_bytes())
    assert files[0] == files[1] != files[2]


def test_runs_that_are_far_from_the_law_are_named(data: Path, tmp_path: Path) -> None:
    runs = data / "scaling" / "chinchilla_245.csv"
    values = told("fit", runs, "-o", tmp_path / "fit.json", "--law", "chinchilla", "--bootstraps", 0)
    named = {text.partition(":")[0] for text in values["notes"]}
    assert {f"line {line}" for line in range(2, 7)} <= named


def test_which_rows_and_columns(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.json"
    values = told("fit", runs, "-o", out, "--where", "kind=a", "--law", "chinchilla", "--bootstraps", 0)
    assert (values["data"]["rows"], values["data"]["where"], values["bootstrap"]) == (30, {"kind": "a"}, None)
    text = runs.read_text().replace("n_params", "size").replace("loss", "val").replace("n_tokens", "toks")
    other = tmp_path / "other.csv"
    other.write_text(text)
    named = ("--columns", "n_params=size", "--columns", "n_tokens=toks", "--target", "val")
    again = told("fit", other, "-o", out, "--where", "kind=a", "--law", "chinchilla", "--bootstraps", 0, *named)
    assert again["coefficients"] == values["coefficients"]
    assert again["data"]["columns"]["loss"] == "val"
    # What the fit's columns are called is known to predictions.
    assert told("predict", out, other)["measured"]["covered"] > 0.8
    tied = told(
        "fit", runs, "-o", out, "--law", "chinchilla", "--tie", "alpha=beta", "--loss", "lsq", "--bootstraps", 0
    )
    assert set(tied["coefficients"]) == {"E", "A", "B", "alpha"}
    grouped = told("fit", runs, "-o", out, "--law", "chinchilla", "--groups", "group", "--bootstraps", 50)
    assert (grouped["bootstrap"]["kind"], grouped["groups"], grouped["bootstrap"]["units"]) == ("cluster", 15, 15)


def test_a_law_of_own_terms(runs: Path, tmp_path: Path) -> None:
    form = {
        "name": "mine",
        "terms": [
            {"coefficient": "E", "powers": []},
            {"coefficient": "A", "powers": [["n_params", "a"]]},
            {"coefficient": "B", "powers": [["n_tokens", "b"]]},
        ],
    }
    (tmp_path / "mine.json").write_text(json.dumps(form))
    arguments = ("fit", runs, "-o", tmp_path / "fit.json", "--bootstraps", 0)
    values = told(*arguments, "--law", tmp_path / "mine.json")
    plain = told(*arguments, "--law", "chinchilla")
    assert (values["law"], values["objective"]) == ("mine", pytest.approx(plain["objective"]))
    for text in ("{}", "[", json.dumps(form | {"terms": "__import__('os')"}), "[" * 50_000, " " * 70_000):
        (tmp_path / "bad.json").write_text(text)
        refused(1, "bad.json: no law: ", arguments=(*arguments, "--law", tmp_path / "bad.json"))


def test_a_law_is_chosen(tmp_path: Path) -> None:
    plain = {name: values for name, values in columns(30).items() if name not in ("d_model", "n_layers")}
    runs = write_csv(tmp_path / "runs.csv", plain)
    values = told("fit", runs, "-o", tmp_path / "fit.json", "--bootstraps", 0)
    assert values["choice"][0]["law"] == values["law"]
    assert {row["law"] for row in values["choice"]} == {"chinchilla", "chinchilla_tied"}
    law = load_fit(tmp_path / "fit.json")
    assert [candidate.law for candidate in law.choice_] == [row["law"] for row in values["choice"]]
    assert all(text in values["notes"] for text in law.advice_)


def test_a_choice_ignores_no_option(tmp_path: Path) -> None:
    plain = {name: values for name, values in columns(30).items() if name not in ("d_model", "n_layers")}
    runs, out = write_csv(tmp_path / "runs.csv", plain), tmp_path / "fit.json"
    assert told("fit", runs, "-o", out, "--bootstraps", 0, "--delta", 0.5)["delta"] == 0.5
    refused(2, "tie: 'auto' chooses among laws", arguments=("fit", runs, "-o", out, "--tie", "alpha=beta"))
    few = write_csv(tmp_path / "few.csv", {name: values[:8] for name, values in plain.items()})
    done = said("scaling", "fit", few, "-o", out, "--bootstraps", 0)
    assert done.returncode == 0
    assert done.stdout.count(" % off runs left out") == 2
    assert "too few runs, groups of them or sizes to leave the largest out" in " ".join(done.stderr.split())


def test_predictions_are_rows_in_order(fit: Path, runs: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.csv"
    inputs.write_text("d_model,n_layers,n_params,n_tokens\n2048,24,1e9,2e10\n512,8,1e8,2e9\n8192,80,5e11,1e13\n")
    out = tmp_path / "out.csv"
    done = said("scaling", "predict", fit, inputs, "-o", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 of 3 runs lie more than a factor of 100 beyond" in done.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert list(rows[0]) == ["loss", "lo", "hi", "decades_beyond"]
    law = load_fit(fit)
    expected = law.predict(read_runs(inputs))
    for i, row in enumerate(rows):
        assert [float(value) for value in row.values()] == [
            expected.loss[i], expected.lo[i], expected.hi[i], expected.decades_beyond[i]
        ]  # fmt: skip
        assert float(row["lo"]) < float(row["loss"]) < float(row["hi"])
    assert said("scaling", "predict", fit, inputs).stdout == out.read_text()
    values = told("predict", fit, inputs, "--level", 0.5)
    assert values["rows"][0]["loss"] == expected.loss[0]
    assert expected.lo[0] < values["rows"][0]["lo"] < expected.loss[0]
    beside = told("predict", fit, runs)["measured"]
    assert beside["covered"] > 0.85
    assert beside["mean_relative_error"] < 0.02


def test_predictions_that_cannot_be_made(fit: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.csv"
    for text, words in (
        ("n_params,n_tokens\n1e9,2e10\n", "inputs.csv: the law u_shape needs the column d_model"),
        ("n_params,n_tokens,d_model,n_layers\n1e9,nan,1,1\n", "inputs.csv, line 2: n_tokens is NaN"),
        ("n_params_no_embed,n_tokens,d_model,n_layers\n1e9,1e10,1,1\n", "no column of n_params (total parameters)"),
        ("", "it is empty"),
    ):
        inputs.write_text(text)
        refused(1, words, arguments=("predict", fit, inputs, "-o", tmp_path / "out.csv"))
    refused(1, "runs.csv: no format", arguments=("predict", fit.with_name("runs.csv"), inputs))
    refused(1, "No such file", arguments=("predict", tmp_path / "none.json", inputs))
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (("--law", "chinchila"), 2, "--law chinchila is none of chinchilla,"),
        (("--law", "chinchilla", "--loss", "mse"), 2, "--loss mse is none of huber_log, lsq"),
        (("--law", "chinchilla", "--tie", "alpha"), 2, "--tie 'alpha'; names of exponents"),
        (("--law", "chinchilla", "--tie", "alpha=gamma"), 2, "tie: 'gamma' is none of alpha, beta"),
        (("--law", "chinchilla", "--where", "kind"), 2, "--where 'kind'; a column and a value"),
        (("--law", "chinchilla", "--where", "kind=c"), 1, "no row with kind = c; there are a, b"),
        (
            ("--law", "chinchilla", "--target", "los"),
            1,
            "no column is called los (asked for as loss); the nearest is loss",
        ),
        (("--law", "chinchilla", "--columns", "size=n_params"), 2, "columns: size is none of n_params,"),
        (("--law", "chinchilla", "--groups", "runs"), 1, "no column is called runs"),
        (("--law", "chinchilla", "--params", "all"), 2, "--params all is none of total, non_embedding"),
        (("--law", "chinchilla", "--params", "non-embedding"), 1, "no column of n_params_non_embedding"),
        (("--law", "chinchilla", "--delta", "0"), 2, "--delta"),
    ],
)
def test_wrong_usage(more: tuple[str, ...], status: int, words: str, runs: Path, tmp_path: Path) -> None:
    refused(status, words, arguments=("fit", runs, "-o", tmp_path / "fit.json", *more))
    assert os.listdir(tmp_path) == []


def test_what_runs_do_not_tell(data: Path, tmp_path: Path) -> None:
    morph = data / "scaling" / "morph_runs.csv"
    arguments: tuple[object, ...] = ("fit", morph, "-o", tmp_path / "fit.json", "--where", "tokens_multiple=20")
    refused(1, "alpha and beta", "--tie alpha=beta", arguments=(*arguments, "--law", "chinchilla"))
    assert told(*arguments, "--law", "chinchilla", "--tie", "alpha=beta", "--bootstraps", 0)["law"] == "chinchilla"
    for law in ("chinchilla", "auto"):
        arguments = "fit", morph, "-o", tmp_path / "f", "--groups", "size_class", "--where", "size_class=80M"
        refused(1, "morph_runs.csv: size_class is '80M' in all runs", arguments=(*arguments, "--law", law))
    few = tmp_path / "few.csv"
    few.write_text("\n".join(morph.read_text().splitlines()[:5]) + "\n")
    refused(
        1,
        "few.csv: ",
        "5 coefficients and needs 8 runs",
        arguments=("fit", few, "-o", tmp_path / "f", "--law", "chinchilla"),
    )
    refused(1, "few.csv: ", arguments=("fit", few, "-o", tmp_path / "f"))
    openlm = data / "scaling" / "openlm_small_runs.csv"
    refused(1, "no column of loss; it may be one of loss_c4_val,", arguments=("fit", openlm, "-o", tmp_path / "f"))
    refused(
        1, "the law morph needs the column d_model",
        arguments=("fit", openlm, "-o", tmp_path / "f", "--law", "morph", "--target", "loss_c4_val"),
    )  # fmt: skip


def test_rows_of_one_run_are_spoken_of(data: Path, tmp_path: Path) -> None:
    arguments = (
        "fit",
        data / "scaling" / "gemstones_runs.csv",
        "-o",
        tmp_path / "fit.json",
        "--where",
        "subset=cool_end",
    )
    alone = told(*arguments, "--law", "chinchilla", "--bootstraps", 0)
    assert "--groups run_name" in alone["notes"][-1]
    grouped = told(*arguments, "--law", "chinchilla", "--bootstraps", 0, "--groups", "run_name")
    assert not any("--groups" in text for text in grouped["notes"])
    widths = [np.ptp(values["intervals"]["E"]) for values in (alone, grouped)]
    assert widths[1] > widths[0]


def test_compare(fit: Path, runs: Path, tmp_path: Path) -> None:
    same = told("compare", fit, fit)
    assert (same["agree"], same["worst"], same["differences"]) == (True, 0.0, [])
    assert all(one["agree"] for one in same["coefficients"])
    other = tmp_path / "other.json"
    assert said("scaling", "fit", runs, "-o", other, "--law", "chinchilla", "--bootstraps", 0).returncode == 0
    found = told("compare", fit, other)
    assert found["differences"][0] == "law: u_shape and chinchilla"
    by_name = {one["name"]: one for one in found["coefficients"]}
    assert by_name["g"]["second"] is None
    assert by_name["E"]["agree"] is not None
    assert 0 < found["mean"] < 0.05
    shifted = write_csv(tmp_path / "shifted.csv", {**columns(60), "loss": [1.3 * v for v in columns(60)["loss"]]})
    assert said("scaling", "fit", shifted, "-o", other, "--law", "u_shape", "--bootstraps", 0).returncode == 0
    found = told("compare", fit, other)
    assert (found["agree"], found["within"]) == (False, 0.0)
    done = said("scaling", "compare", fit, other)
    assert "they do not agree" in done.stdout
    far = write_csv(tmp_path / "far.csv", {**columns(60), "n_params": [1e4 * v for v in columns(60)["n_params"]]})
    assert said("scaling", "fit", far, "-o", other, "--law", "u_shape", "--bootstraps", 0).returncode == 0
    assert "nobody can tell" in said("scaling", "compare", fit, other).stdout
    assert told("compare", fit, other)["agree"] is None


def test_compare_where_one_fit_has_no_shapes(fit: Path, tmp_path: Path) -> None:
    given, plain = columns(60), tmp_path / "plain.json"
    path = write_csv(tmp_path / "plain.csv", {name: given[name] for name in ("n_params", "n_tokens", "loss")})
    assert said("scaling", "fit", path, "-o", plain, "--law", "chinchilla", "--bootstraps", 0).returncode == 0
    for pair in ((fit, plain), (plain, fit)):
        found = told("compare", *pair)
        assert any(text.startswith("shapes: ") for text in found["differences"])
        assert found["runs"] == 60
        assert 0 < found["mean"] < 0.05
    done = said("scaling", "compare", fit, plain)
    assert (done.returncode, "of those lie within" in done.stdout) == (0, True)
    # A rival may ask for shapes where the chosen law does not.
    law, other = load_fit(plain), load_fit(fit)
    law.restore(law.form_, other.runs_, other.weights_, None, law.theta_, law.centre_)
    law.rivals_ = (Rival(other, 0.5),)
    assert compare_fits(law, load_fit(plain)).runs == 60


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("n_params,n_tokens,loss\n1e8,2e9,3.1\n2e8,4e9,-1\n")
    done = thrifty("scaling", "fit", path, "-o", tmp_path / "fit.json")
    assert (done.returncode, done.stdout) == (1, "")
    why = "loss is -1; a number above 0 is needed; give nats a token, not log-likelihoods"
    assert done.stderr == f"thrifty: error: {path}, line 3: {why}\n"
    assert os.listdir(tmp_path) == ["runs.csv"]


def test_a_full_disk(fit: Path, runs: Path, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for arguments in (
        ("fit", runs, "-o", tmp_path / "out", "--law", "chinchilla", "--bootstraps", 0),
        ("predict", fit, runs, "-o", tmp_path / "out"),
    ):
        (tmp_path / "out").write_text("before")
        with mock.patch("os.fsync", side_effect=full):
            refused(1, "out: No space left on device", arguments=arguments)
        assert os.listdir(tmp_path) == ["out"]
        assert (tmp_path / "out").read_text() == "before"


SLOW = """
import sys
from pathlib import Path
begun = Path(sys.argv.pop())
from thrifty.scaling import ScalingLaw
from thrifty.cli.app import main
once = ScalingLaw.bootstrap
def bootstrap(self, n, **options):
    begun.touch()
    return once(self, 100_000, **options)
ScalingLaw.bootstrap = bootstrap
main()
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_killed_bootstrap_leaves_no_fit(number: signal.Signals, status: int, runs: Path, tmp_path: Path) -> None:
    out, begun = tmp_path / "fit.json", tmp_path / "begun"
    command = [sys.executable, "-c", SLOW, "scaling", "fit", runs, "-o", out, "--law", "u_shape", "--debug"][:-1]
    with subprocess.Popen(
        [*map(str, command), str(begun)], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(begun)
        process.send_signal(number)
        _, said_ = process.communicate(timeout=30)
    assert process.returncode == status, said_
    assert os.listdir(tmp_path) == ["begun"]
    assert "Traceback" not in said_


def test_many_rows(fit: Path, tmp_path: Path) -> None:
    sizes = np.geomspace(1e7, 1e9, 50_000)
    text = "n_params,n_tokens,d_model,n_layers\n" + "".join(f"{n!r},2e10,1024,16\n" for n in sizes.tolist())
    (tmp_path / "many.csv").write_text(text)
    assert said("scaling", "predict", fit, tmp_path / "many.csv", "-o", tmp_path / "out.csv").returncode == 0
    losses = [float(row["loss"]) for row in csv.DictReader((tmp_path / "out.csv").read_text().splitlines())]
    assert len(losses) == 50_000
    assert np.all(np.diff(losses) < 0)
