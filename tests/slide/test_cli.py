"""The command line's contract: what scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import ok, thrifty
from tests.slide.rows import clusters, written
from thrifty.slide import Trainer, propensities, read_xml

SETTINGS = ["--hidden", 32, "--active", 100, "--batch", 50, "--tables", 20]
CUTS = [f"{name}_at_{k}" for name in ("p", "ndcg") for k in (1, 3, 5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.txt, test.txt, labels.txt, a model of them, and what its training printed."""
    path = tmp_path_factory.mktemp("slide")
    written(path / "train.txt", clusters(3_000, 600, 200, 1))
    written(path / "test.txt", clusters(300, 600, 200, 2))
    (path / "labels.txt").write_text("".join(f"name {i}\n" for i in range(200)))
    arguments = [path / "train.txt", path / "model", "--test", path / "test.txt", "--epochs", 3, *SETTINGS, "--json"]
    done = thrifty("slide", "train", *arguments)
    assert done.returncode == 0, done.stderr
    (path / "stdout").write_text(done.stdout)
    (path / "stderr").write_text(done.stderr)
    return path


def test_train_prints_one_object(folder: Path) -> None:
    (line,) = (folder / "stdout").read_text().splitlines()
    result = json.loads(line)
    assert [epoch["epoch"] for epoch in result["epochs"]] == [1, 2, 3]
    for epoch in result["epochs"]:
        assert {"loss", "recall", "active", "cpu_seconds", *CUTS} <= set(epoch)
        assert epoch["active"] == 100
    losses = [epoch["loss"] for epoch in result["epochs"]]
    assert losses == sorted(losses, reverse=True)
    assert result["epochs"][-1]["p_at_1"] > 0.9
    assert result["bytes_on_the_wire"] == 0
    assert result["cpu_seconds"] == result["epochs"][-1]["cpu_seconds"] > 0
    assert result["bytes"] == (folder / "model").stat().st_size
    parts = {name: size for name, size in result["memory"].items() if name != "peak"}
    assert result["memory"]["peak"] == sum(parts.values())
    trainer = Trainer.load(folder / "model")
    assert [epoch.loss for epoch in trainer.history] == losses
    assert (folder / "stderr").read_text().startswith("note: takes about ")
    assert (folder / "stderr").read_text().count("\n") == 1


def test_train_prints_a_table(folder: Path, tmp_path: Path) -> None:
    text = ok("slide", "train", folder / "train.txt", tmp_path / "m", "--epochs", 2, *SETTINGS)
    assert "epoch 1" in text
    assert "epoch 2" in text
    assert "CPU-seconds" in text
    assert "P@1" not in text


def test_options_reach_the_trainer(folder: Path, tmp_path: Path) -> None:
    """Other bytes for each option, the same for the same command and another number of threads."""
    base = ["slide", "train", folder / "train.txt", tmp_path / "m", "--epochs", 1, *SETTINGS]
    seen: dict[bytes, list[Any]] = {}
    options: list[list[Any]] = [
        [],
        ["--threads", 1],
        ["--hidden", 16],
        ["--lr", 0.02],
        ["--batch", 40],
        ["--family", "simhash"],
        ["--family", "uniform"],
        ["--k", 1],
        ["--tables", 5],
        ["--active", 60],
        ["--each", 2],
        ["--rehash", 1],
        ["--loss", "sigmoid"],
        ["--precision", "bf16"],
        ["--precision", "bf16-stochastic"],
        ["--seed", 3],
        ["--family", "uniform", "--correction", "logq"],
        ["--epochs", 2],
    ]
    for option in options:
        ok(*base, *option)
        seen.setdefault((tmp_path / "m").read_bytes(), []).append(option)
    assert [same for same in seen.values() if len(same) > 1] == [[[], ["--threads", 1]]]


def test_evaluate_prints_one_object(folder: Path) -> None:
    dense = json.loads(ok("slide", "evaluate", folder / "model", folder / "test.txt", "--json"))
    assert list(dense) == ["rows", *CUTS, "scored_share"]
    assert (dense["rows"], dense["scored_share"]) == (300, 1.0)
    inputs, targets = read_xml(folder / "test.txt")
    trainer = Trainer.load(folder / "model")
    assert dense == trainer.evaluate(inputs, targets)
    sparse = ["slide", "evaluate", folder / "model", folder / "test.txt", "--json", "--sparse"]
    usual, few = json.loads(ok(*sparse)), json.loads(ok(*sparse, "--candidates", 7))
    assert usual == trainer.evaluate(inputs, targets, candidates=100)
    assert few == trainer.evaluate(inputs, targets, candidates=7)
    assert 0 < few["scored_share"] <= 7 / 200 < usual["scored_share"] <= 0.5
    weighted = json.loads(ok("slide", "evaluate", *sparse[2:5], "--train", folder / "train.txt"))
    rare = propensities(read_xml(folder / "train.txt")[1])
    assert weighted == trainer.evaluate(inputs, targets, propensity=rare)
    assert {f"psp_at_{k}" for k in (1, 3, 5)} <= set(weighted)
    assert "p_at_1" in ok("slide", "evaluate", folder / "model", folder / "test.txt")


def test_predict_prints_a_line_a_row(folder: Path, tmp_path: Path) -> None:
    command = ["slide", "predict", folder / "model", folder / "test.txt", "--k", 3]
    trainer, (inputs, _) = Trainer.load(folder / "model"), read_xml(folder / "test.txt")
    best, scores = trainer.predict(inputs, 3)
    lines = [[pair.split(":") for pair in line.split(" ")] for line in ok(*command).splitlines()]
    assert [[int(label) for label, _ in line] for line in lines] == best.tolist()
    assert (np.array([[np.float32(score) for _, score in line] for line in lines]) == scores).all()
    objects = [json.loads(line) for line in ok(*command, "--json").splitlines()]
    assert [o["row"] for o in objects] == list(range(300))
    assert [o["labels"] for o in objects] == best.tolist()
    assert (np.array([o["scores"] for o in objects], np.float32) == scores).all()
    named = ok(*command, "--labels", folder / "labels.txt")
    assert named.splitlines()[0].split(" ")[0].split(":")[0] == f"name_{best[0, 0]}"
    table = tmp_path / "labels.tsv"
    table.write_text("".join(f"{i}\tname {i}\n" for i in reversed(range(200))))
    objects = [json.loads(line) for line in ok(*command, "--json", "--labels", table).splitlines()]
    assert objects[5]["labels"] == [f"name {i}" for i in best[5]]
    assert ok(*command, "--labels", table) == named
    assert ok(*command, "-o", tmp_path / "out") == ""
    assert (tmp_path / "out").read_text() == ok(*command)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.tsv", "out"]


def test_sparse_predictions_leave_out_what_was_not_scored(folder: Path) -> None:
    command = ["slide", "predict", folder / "model", folder / "test.txt", "--k", 9]
    lines = ok(*command, "--sparse", "--candidates", 4).splitlines()
    assert len(lines) == 300
    assert max(len(line.split()) for line in lines) == 4
    assert "-1:" not in "".join(lines)
    assert "inf" not in "".join(lines)


def bad_file(folder: Path, kind: str) -> bytes:
    """A model with a fault."""
    good = (folder / "model").read_bytes()
    if kind == "flipped":
        at = len(good) // 2
        return good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :]
    return {"truncated": good[: len(good) // 2], "empty": b"", "text": (folder / "train.txt").read_bytes()}[kind]


@pytest.mark.parametrize("kind", ["flipped", "truncated", "empty", "text"])
def test_what_is_no_model_is_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "bad").write_bytes(bad_file(folder, kind))
    for verb in ("evaluate", "predict"):
        done = thrifty("slide", verb, tmp_path / "bad", folder / "test.txt")
        assert done.returncode == 1
        assert done.stderr.startswith(f"thrifty: error: {tmp_path}/bad: ")
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""


TRAIN = ["slide", "train", "{folder}/train.txt", "{tmp}/m", "--hidden", "16"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["slide"], 2, ""),
        (["slide", "train"], 2, "Missing argument 'TRAIN'"),
        (["slide", "train", "{tmp}/none", "{tmp}/m"], 1, "{tmp}/none: No such file or directory"),
        (["slide", "train", "{folder}/train.txt", "{tmp}/no/m"], 1, "{tmp}/no: No such folder for the model"),
        (["slide", "train", "{folder}/train.txt", "{tmp}"], 1, "{tmp}: Is a folder, the model is a file"),
        (
            ["slide", "train", "{folder}/labels.txt", "{tmp}/m"],
            1,
            "labels.txt, line 1: the header must be three numbers",
        ),
        (["slide", "train", "{tmp}/bad.txt", "{tmp}/m"], 1, "{tmp}/bad.txt, line 3: "),
        (["slide", "train", "{tmp}/huge.txt", "{tmp}/m"], 1, "{tmp}/huge.txt, line 1: "),
        (["slide", "train", "{tmp}/silent.txt", "{tmp}/m"], 1, "{tmp}/silent.txt: no row has a label"),
        ([*TRAIN, "--test", "{tmp}/other.txt"], 1, "{tmp}/other.txt: the header says 601 features, that of"),
        ([*TRAIN, "--max-memory", "1MB"], 1, "of memory are needed, --max-memory allows 1.0 MB"),
        ([*TRAIN, "--max-memory", "lots"], 2, "not a size"),
        ([*TRAIN, "--hidden", "4"], 2, "--hidden"),
        ([*TRAIN, "--epochs", "0"], 2, "--epochs"),
        ([*TRAIN, "--family", "other"], 2, "--family"),
        ([*TRAIN, "--k", "17"], 2, "k: 17 is not possible"),
        ([*TRAIN, "--lr", "nan"], 2, "lr: NaN is not possible"),
        ([*TRAIN, "--lr", "1e38"], 1, "the loss is"),
        ([*TRAIN, "--checkpoint", "{folder}/train.txt"], 1, "{folder}/train.txt: File exists"),
        (["slide", "evaluate", "{tmp}/none", "{folder}/test.txt"], 1, "{tmp}/none: No such file or directory"),
        (["slide", "evaluate", "{model}", "{tmp}/none"], 1, "{tmp}/none: No such file or directory"),
        (["slide", "evaluate", "{model}", "{tmp}/bad.txt"], 1, "{tmp}/bad.txt, line 3: "),
        (
            ["slide", "evaluate", "{model}", "{tmp}/other.txt"],
            1,
            "{tmp}/other.txt, line 1: the header says 601 features",
        ),
        (["slide", "evaluate", "{model}", "{tmp}/fewer.txt"], 1, "line 1: the header says 199 labels, {model} has 200"),
        (["slide", "evaluate", "{model}", "{tmp}/silent.txt"], 1, "{tmp}/silent.txt: no row has a label"),
        (
            ["slide", "evaluate", "{model}", "{folder}/test.txt", "--candidates", "3"],
            2,
            "--candidates belongs to --sparse",
        ),
        (["slide", "evaluate", "{model}", "{folder}/test.txt", "--train", "{tmp}/fewer.txt"], 1, "fewer.txt, line 1: "),
        (
            ["slide", "predict", "{model}", "{tmp}/other.txt"],
            1,
            "{tmp}/other.txt, line 1: the header says 601 features",
        ),
        (["slide", "predict", "{model}", "{folder}/test.txt", "--k", "0"], 2, "--k"),
        (["slide", "predict", "{model}", "{folder}/test.txt", "--labels", "{tmp}/few"], 1, "few: 2 names for the 200"),
        (
            ["slide", "predict", "{model}", "{folder}/test.txt", "--labels", "{tmp}/twice"],
            1,
            "twice, line 2: label 0 has",
        ),
        (
            ["slide", "predict", "{model}", "{folder}/test.txt", "--labels", "{tmp}/ids"],
            1,
            "ids, line 2: an id below 200, a tab and a name are needed",
        ),
        (["slide", "predict", "{model}", "{folder}/test.txt", "--labels", "{tmp}/one"], 1, "one: label 1 has no name"),
        (
            ["slide", "predict", "{model}", "{folder}/test.txt", "--labels", "{tmp}/latin"],
            1,
            "latin: byte 1 is not UTF-8",
        ),
        (["slide", "predict", "{model}", "{folder}/test.txt", "-o", "{tmp}/no/out"], 1, "No such file or directory"),
    ],
)
def test_errors_are_one_line(arguments: list[str], status: int, message: str, folder: Path, tmp_path: Path) -> None:
    files = {
        "bad.txt": b"2 600 200\n0 1:1\n1 1:x\n",
        "huge.txt": b"1 99999999999 200\n0 1:1\n",
        "silent.txt": b"2 600 200\n 1:1\n 2:1\n",
        "other.txt": b"1 601 200\n0 1:1\n",
        "fewer.txt": b"4 600 199\n0 1:1\n1 1:1\n0 1:1\n0 2:1\n",
        "few": b"a\nb\n",
        "twice": b"0\ta\n0\tb\n",
        "ids": b"0\ta\n200\tb\n",
        "one": b"0\ta\n",
        "latin": b"a\xe9\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    names = {"tmp": str(tmp_path), "folder": str(folder), "model": str(folder / "model")}
    done = thrifty(*(a.format(**names) for a in arguments))
    assert done.returncode == status, done.stderr
    assert " ".join(message.format(**names).split()) in done.stderr
    assert "Traceback" not in done.stderr
    if message:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1
        assert lines[0].startswith("thrifty: error: ")
        assert done.stdout == ""
    assert {p.name for p in tmp_path.iterdir()} == set(files), "nothing half is left"


def test_heads_without_tables_get_some(folder: Path, tmp_path: Path) -> None:
    ok("slide", "train", folder / "train.txt", tmp_path / "m", "--epochs", 1, "--family", "uniform", *SETTINGS)
    done = thrifty("slide", "evaluate", tmp_path / "m", folder / "test.txt", "--sparse", "--candidates", 3, "--json")
    assert done.returncode == 0
    assert 0 < json.loads(done.stdout)["scored_share"] < 1


def test_output_that_does_not_fit(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = thrifty("slide", "predict", folder / "model", folder / "test.txt", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "thrifty: error: [Errno 28] No space left on device\n"


def test_help_has_every_option() -> None:
    for verb in ("train", "evaluate", "predict"):
        assert "--json" in ok("slide", verb, "--help")


def test_demo(tmp_path: Path) -> None:
    result = json.loads(ok("demo", "--part", "slide", "--out", tmp_path / "out", "--json"))
    figures = result["figures"]
    assert figures["slide.p_at_1"] > 0.4
    assert figures["slide.active_share"] < 6
    assert figures["slide.recall"] > 60
    values = json.loads((tmp_path / "out" / "results.json").read_text())
    records = {record["id"]: record for record in values["sections"][0]["records"]}
    step = records["slide.step_ms"]
    assert step["ratio"] == step["baseline"] / step["value"]
    assert records["slide.recall"]["ratio"] > 10
    assert [row[3] for row in records["slide.trainings"]["rows"]] == [4, 4, 2]
    curves = records["slide.curves"]
    assert [sum(y is not None for y in ys) for ys in curves["y"].values()] == [4, 4, 2]
    assert curves["x"] == sorted(curves["x"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<polyline") == 3
    assert "nan" not in page.replace("finance", "")
