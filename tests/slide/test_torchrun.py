"""Ranks as processes: torchrun over loopback, the bytes that they send, and ranks that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.slide.rows import clusters, written
from tests.slide.shard_program import Task, environment, processes, ran
from thrifty.slide import Trainer
from thrifty.slide.shards import payload

HEAD: dict[str, Any] = {"k": 2, "tables": 8, "active": 120, "random": "uniform"}


def test_two_and_four_ranks_train_what_one_does(tmp_path: Path) -> None:
    task = Task(head=HEAD, network={"deterministic": True})
    one, two, four = (ran(task, ranks, tmp_path / "out") for ranks in (1, 2, 4))
    for other in (two, four):
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-5)
        assert (other["active"], other["ids"]) == (one["active"], one["ids"])
    assert 0 < two["traffic"]["bytes_on_the_wire"] < four["traffic"]["bytes_on_the_wire"]


@pytest.mark.parametrize(("ranks", "messages"), [(2, "bf16"), (4, "i8"), (2, "f32")])
def test_ranks_send_the_bytes_of_the_formula(tmp_path: Path, ranks: int, messages: str) -> None:
    network = {"messages": messages, "hidden": 64, "batch": 100}
    task = Task(head=HEAD | {"random": "length"}, network=network, epochs=6, predict=False)
    traffic = ran(task, ranks, tmp_path / "out")["traffic"]
    told = payload(ranks, 100, 64, traffic["density"], messages)
    assert traffic["bytes_a_step"] == pytest.approx(told, rel=0.03)
    assert traffic["compute"] + traffic["collectives"] + traffic["waiting"] == pytest.approx(1)


def test_a_rank_that_is_killed_is_named(tmp_path: Path) -> None:
    """By all others, within five seconds; two ranks go on from the checkpoint."""
    folder = tmp_path / "checkpoints"
    network = {"deterministic": True, "lr": 0.02}
    task = Task(head=HEAD, network=network, epochs=6, checkpoint=str(folder), every=4, kill=[1, 18])
    out = tmp_path / "out"
    statuses = processes(task, 3, out)
    assert statuses == [3, -9, 3]
    killed = float(Path(f"{out}.killed").read_text())
    for rank in (0, 2):
        told = json.loads(Path(f"{out}.{rank}").read_text())
        assert (told["error"], told["rank"]) == ("WorkerLost", 1)
        assert told["step"] in (17, 18)
        assert "rank 1 is lost in step" in told["message"]
        assert told["at"] - killed < 5
    (whole,) = (ran(Task(head=HEAD, network=network, epochs=6), 1, out) for _ in range(1))
    after = ran(Task(head=HEAD, network=network, epochs=6, checkpoint=str(folder), every=4), 2, out)
    assert after["losses"] == pytest.approx(whole["losses"], rel=1e-2)


def test_torchrun_starts_ranks_again(tmp_path: Path) -> None:
    head = HEAD | {"random": "length"}
    task = Task(head=head, epochs=4, checkpoint=str(tmp_path / "a"), every=4, kill=[1, 15])
    restarted = ran(task, 2, tmp_path / "out", "--max-restarts=2", "--monitor-interval=0.1")
    assert (tmp_path / "out.killed").exists()
    plain = ran(Task(head=head, epochs=4, checkpoint=str(tmp_path / "b"), every=4), 2, tmp_path / "out")
    assert restarted["losses"] == plain["losses"]
    assert restarted["ids"] == plain["ids"]


def test_the_command_line_trains_over_ranks(tmp_path: Path) -> None:
    """One report, one model, and the same command goes on."""
    written(tmp_path / "train", clusters(1_200, 300, 900, 1))
    written(tmp_path / "test", clusters(300, 300, 900, 2))

    def train(epochs: int) -> dict[str, Any]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command += ["-m", "thrifty", "slide", "train", "train", "model", "--test", "test", "--checkpoint", "state"]
        command += ["--hidden", "40", "--active", "200", "--lr", "0.02", "--threads", "1", "--json"]
        done = subprocess.run(
            [*command, "--epochs", str(epochs)],
            cwd=tmp_path,
            env=environment(Task()),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        (line,) = done.stdout.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    first = train(2)
    assert (first["ranks"], len(first["epochs"]), first["resumed_epochs"]) == (2, 2, 0)
    assert first["bytes_on_the_wire"] > 20 * first["bytes_a_step"] > 0
    second = train(4)
    assert (len(second["epochs"]), second["resumed_epochs"]) == (4, 2)
    assert second["epochs"][-1]["p_at_1"] > 0.3
    loaded = Trainer.load(tmp_path / "model")
    inputs, targets = clusters(300, 300, 900, 2)
    assert loaded.evaluate(inputs, targets)["p_at_1"] == pytest.approx(second["epochs"][-1]["p_at_1"], abs=0.02)
