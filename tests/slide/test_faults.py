"""Kill, full disk, interrupts, forks, threads: nothing is lost, nothing hangs, nothing half is left."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import wait_for
from tests.slide.rows import clusters, random_rows, written
from thrifty.slide import LSHConfig, Trainer

COMMAND = [sys.executable, "-m", "thrifty", "slide", "train"]
OPTIONS = ["--hidden", "64", "--batch", "40", "--active", "200", "--epochs", "3", "--every", "15", "--seed", "3"]
SETTINGS: dict[str, Any] = {"hidden": 64, "head": LSHConfig(active=300), "batch": 50}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough rows that a training can be killed in the middle."""
    return written(tmp_path_factory.mktemp("rows") / "train.txt", clusters(16_000, 800, 1_500, 1))


@pytest.mark.parametrize("precision", ["f32", "bf16-stochastic"])
def test_killed_at_random_moments(train: Path, tmp_path: Path, precision: str) -> None:
    """kill -9 again and again: the old model stays; the same command ends with the bytes of one that ran through.

    Where none came after a checkpoint, since the machine was slower at first, further moments follow.
    """
    options = [*OPTIONS, "--precision", precision]
    reference = tmp_path / "reference"
    started = time.monotonic()
    subprocess.run(
        [*COMMAND, str(train), str(reference), *options, "--checkpoint", str(tmp_path / "r")],
        check=True,
        capture_output=True,
    )
    whole = time.monotonic() - started
    rng = np.random.default_rng(11)
    resumed = 0
    for i in range(12):
        if i >= 3 and resumed:
            break
        model, folder = tmp_path / f"m{i}", tmp_path / f"c{i}"
        model.write_bytes(b"old")
        command = [*COMMAND, str(train), str(model), *options, "--checkpoint", str(folder)]
        for _ in range(2):
            moment = float(rng.uniform(0.3, 0.9)) * whole
            started = time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                try:
                    process.wait(moment)
                    whole = time.monotonic() - started
                except subprocess.TimeoutExpired:
                    process.kill()
            assert model.read_bytes() in {b"old", reference.read_bytes()}
            resumed += (folder / "checkpoint.safetensors").exists()
        done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
        assert [epoch["epoch"] for epoch in json.loads(done.stdout)["epochs"]] == [1, 2, 3]
        assert model.read_bytes() == reference.read_bytes()
        assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]
    assert resumed >= 1, "no run was interrupted after a checkpoint: the test does not test what it should"
    assert not list(tmp_path.glob("*.partial"))


def test_a_finished_training_is_not_repeated(train: Path, tmp_path: Path) -> None:
    test = written(tmp_path / "test.txt", clusters(200, 800, 1_500, 2))
    command = [*COMMAND, str(train), str(tmp_path / "m"), *OPTIONS, "--checkpoint", str(tmp_path / "c"), "--json"]
    command += ["--test", str(test)]
    first = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (tmp_path / "c" / "checkpoint.safetensors.lock").touch()  # what a process leaves that is killed at the very end
    again = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["checkpoint.safetensors"]
    assert (first["resumed_epochs"], again["resumed_epochs"]) == (0, 3)
    assert again["cpu_seconds"] == 0
    assert [epoch["loss"] for epoch in again["epochs"]] == [epoch["loss"] for epoch in first["epochs"]]
    assert again["epochs"][-1]["p_at_1"] == first["epochs"][-1]["p_at_1"]


def test_another_command_does_not_go_on(train: Path, tmp_path: Path) -> None:
    command = [*COMMAND, str(train), str(tmp_path / "m"), *OPTIONS, "--checkpoint", str(tmp_path / "c")]
    subprocess.run(command, check=True, capture_output=True)
    before = (tmp_path / "c" / "checkpoint.safetensors").read_bytes(), (tmp_path / "m").read_bytes()
    other = written(tmp_path / "other.txt", clusters(16_000, 800, 1_500, 2))
    for change, message in [
        (["--seed", "4"], "seed there is 3, here 4"),
        (["--hidden", "72"], "the network there is 800 features, 64 hidden units"),
        (["--lr", "0.5"], "lr there is 0.01, here 0.5"),
        ([], "the checksum of the data there is"),
    ]:
        rows = train if change else other
        again = [*COMMAND, str(rows), str(tmp_path / "m"), *OPTIONS, "--checkpoint", str(tmp_path / "c"), *change]
        done = subprocess.run(again, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"thrifty: error: {tmp_path}/c/checkpoint.safetensors: {message}" in done.stderr
    assert before == ((tmp_path / "c" / "checkpoint.safetensors").read_bytes(), (tmp_path / "m").read_bytes())


def limited(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [1_000, 300_000])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_full_disk(train: Path, tmp_path: Path, size: int, checkpoint: bool) -> None:
    """Writes fail beyond a size: an error that names the file, and what was there before stays."""
    model, folder = tmp_path / "m", tmp_path / "c"
    options = [*OPTIONS, "--checkpoint", str(folder)] if checkpoint else OPTIONS
    model.write_bytes(b"old")
    for _ in range(2):
        done = subprocess.run(
            [*COMMAND, str(train), str(model), *options],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: limited(size),
        )
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        partial = (folder / "checkpoint.safetensors" if checkpoint else model).with_suffix("")
        assert line.startswith(f"thrifty: error: {partial}")
        assert "File too large" in line
        assert model.read_bytes() == b"old"
        assert not [p for p in tmp_path.rglob("*") if p.name not in {"m", "c"}]


def test_a_full_disk_under_a_checkpoint(train: Path, tmp_path: Path) -> None:
    """The checkpoint that is there stays, and once there is room training goes on to the same bytes."""
    rows = random_rows(600, 300, 900, seed=1)
    whole = Trainer(300, 900, **SETTINGS)
    whole.fit(*rows, epochs=2, checkpoint=tmp_path / "a", every=5)
    Trainer(300, 900, **SETTINGS).fit(*rows, epochs=1, checkpoint=tmp_path / "b", every=5)
    before = (tmp_path / "b" / "checkpoint.safetensors").read_bytes()
    trainer = Trainer(300, 900, **SETTINGS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            trainer.fit(*rows, epochs=2, checkpoint=tmp_path / "b", every=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "b" / "checkpoint.safetensors").read_bytes() == before
    trainer.fit(*rows, epochs=2, checkpoint=tmp_path / "b", every=5)
    assert {n: w.tobytes() for n, w in trainer.weights().items()} == {
        n: w.tobytes() for n, w in whole.weights().items()
    }


def test_predictions_that_do_not_fit_leave_the_old_file(train: Path, tmp_path: Path) -> None:
    subprocess.run([*COMMAND, str(train), str(tmp_path / "m"), *OPTIONS], check=True, capture_output=True)
    (tmp_path / "out").write_text("old")
    done = subprocess.run(
        [*COMMAND[:-1], "predict", str(tmp_path / "m"), str(train), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: limited(10_000),
    )
    assert done.returncode == 1
    assert done.stderr == f"thrifty: error: {tmp_path}/out: File too large\n"
    assert (tmp_path / "out").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"m", "out"}


def weights_of(trainer: Trainer) -> dict[str, bytes]:
    return {name: w.tobytes() for name, w in trainer.weights().items()}


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("work", ["fit", "checkpoint", "predict", "sparse"])
def test_ctrl_c_within_half_a_second(tmp_path: Path, work: str) -> None:
    """Training stops between two steps, and goes on in the same process to what it would have been."""
    inputs, targets = random_rows(2_000, 300, 900, seed=1)
    trainer = Trainer(300, 900, **SETTINGS)
    many = inputs[np.arange(2_000_000) % 2_000]
    calls = {
        "fit": lambda: trainer.fit(inputs, targets, epochs=1_000),
        "checkpoint": lambda: trainer.fit(inputs, targets, epochs=1_000, checkpoint=tmp_path, every=3),
        "predict": lambda: trainer.predict(many),
        "sparse": lambda: trainer.predict(many, candidates=400),
    }
    interrupted = []

    def interrupt() -> None:
        time.sleep(0.4)
        interrupted.append(time.process_time())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        calls[work]()
    # Of all cores, and not by the clock, which other work on them moves as well.
    stopped = time.process_time()
    thread.join()
    assert stopped - interrupted[0] < 0.5 * (os.cpu_count() or 1)
    if work != "fit":
        assert trainer.predict(inputs[:3])[0].shape == (3, 5)
        return
    done = len(trainer.history)
    trainer.fit(inputs, targets)
    whole = Trainer(300, 900, **SETTINGS)
    whole.fit(inputs, targets, epochs=done + 1)
    assert weights_of(trainer) == weights_of(whole)
    assert trainer.history == whole.history


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_on_the_command_line(train: Path, tmp_path: Path) -> None:
    options = [*OPTIONS, "--epochs", "1000", "--checkpoint", str(tmp_path / "c")]
    with subprocess.Popen(
        [*COMMAND, str(train), str(tmp_path / "m"), *options],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(tmp_path / "c" / "checkpoint.safetensors")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "thrifty: error: stopped"
    assert not (tmp_path / "m").exists()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["checkpoint.safetensors"]


def test_a_raising_callback_stops_the_work() -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    rows = random_rows(2_000, 300, 900, seed=1)
    trainer = Trainer(300, 900, **SETTINGS)
    with pytest.raises(Stop):
        trainer.fit(*rows, epochs=100, progress=stop)
    with pytest.raises(Stop):
        trainer.fit(*rows, epochs=100, on_epoch=stop)
    whole = Trainer(300, 900, **SETTINGS)
    whole.fit(*rows, epochs=len(trainer.history) + 1)
    trainer.fit(*rows)
    assert weights_of(trainer) == weights_of(whole)


def child(trainer: Trainer, rows: Any, expected: dict[str, bytes]) -> None:
    trainer.fit(*rows)
    sys.exit(0 if weights_of(trainer) == expected else 1)


def test_forked_children_train() -> None:
    """The parent has used its threads; a child has none of them and must not wait for them."""
    rows = random_rows(1_000, 300, 900, seed=1)
    trainer, same = (Trainer(300, 900, threads=2, **SETTINGS) for _ in range(2))
    trainer.fit(*rows)
    same.fit(*rows, epochs=2)
    process = multiprocessing.get_context("fork").Process(target=child, args=(trainer, rows, weights_of(same)))
    process.start()
    process.join(20)
    assert process.exitcode == 0
    trainer.fit(*rows)
    assert weights_of(trainer) == weights_of(same)


def test_many_threads_share_a_model() -> None:
    rows = random_rows(1_000, 300, 900, seed=1)
    trainer = Trainer(300, 900, threads=2, **SETTINGS)
    trainer.fit(*rows)
    expected = trainer.predict(rows[0]), trainer.predict(rows[0], candidates=50)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(3):
            got = trainer.predict(rows[0]), trainer.predict(rows[0], candidates=50)
            same = all(
                np.array_equal(a, b) for g, e in zip(got, expected, strict=True) for a, b in zip(g, e, strict=True)
            )
            if not same:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
