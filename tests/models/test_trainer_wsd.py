"""Trunks and branches: the same bits as straight trainings, whatever stopped them, with steps as graphs or not."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from tests.command import wait_for
from thrifty.errors import FormatError, ModelError, ResumeMismatch
from thrifty.models import Decoder, DecoderConfig, TrainSettings, train, train_branches
from thrifty.models.schedule import falls_at, rate_of
from thrifty.models.steps import GraphStep, captured, optimizers_of
from thrifty.pairconnect import PairSpec

TEXT = np.frombuffer(b"the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. " * 40, np.uint8)
STEP = 16 * 4
SETTINGS = TrainSettings(
    context=16, batch=4, tokens=STEP * 120, lr=5e-3, seed=3, schedule="wsd", warmup_tokens=STEP * 8, beta2=0.95
)
LENGTHS = (STEP * 30, STEP * 60, STEP * 120)


def decoder(dropout: float = 0.0, mixers: tuple[str, ...] = ("attention", "attention")) -> Decoder:
    torch.manual_seed(5)
    pair = PairSpec(vocab=256, rows=64, heads=2, head_dim=16, window=3)
    return Decoder(DecoderConfig(vocab=256, dim=16, hidden=32, mixers=mixers, heads=2, pair=pair, dropout=dropout))


def weights(model: Decoder) -> bytes:
    return b"".join(w.numpy().tobytes() for w in model.state_dict().values())


def ends(model: Decoder, lengths: tuple[int, ...] = LENGTHS, **how: Any) -> dict[int, bytes]:
    return {end.tokens: weights(model) for end in train_branches(model, TEXT, SETTINGS, lengths, **how)}


@pytest.fixture(scope="module")
def straight() -> dict[int, bytes]:
    """Weights of trainings that know of no trunk."""
    found = {}
    for tokens in LENGTHS:
        model = decoder()
        train(model, TEXT, dataclasses.replace(SETTINGS, tokens=tokens))
        found[tokens] = weights(model)
    return found


def test_the_rate_stays_and_falls() -> None:
    rates = [rate_of(step, SETTINGS) for step in range(120)]
    assert rates[:8] == [(i + 1) / 8 for i in range(8)]
    assert falls_at(SETTINGS) == 96
    assert set(rates[8:96]) == {1.0}
    assert (np.diff(rates[95:]) < 0).all()
    assert 0 < rates[-1] < 0.05
    shorter = dataclasses.replace(SETTINGS, tokens=STEP * 60)
    assert [rate_of(step, shorter) for step in range(48)] == rates[:48]
    cosine = dataclasses.replace(SETTINGS, schedule="cosine")
    assert rate_of(119, cosine) == pytest.approx(0.1, abs=0.01)


def test_branches_are_straight_trainings(straight: dict[int, bytes]) -> None:
    assert ends(decoder()) == straight


def test_a_trunk_costs_little_more_than_its_longest_branch() -> None:
    steps = [end.steps for end in train_branches(decoder(), TEXT, SETTINGS, LENGTHS)]
    assert steps == [30, 60 - 24, 120 - 48]


def test_steps_that_are_graphs_give_the_same_losses() -> None:
    """Away from a card a graph is a call of the same work; learning rates are float32 numbers on the device there."""
    for graph in (False, True):
        model = decoder()
        rows = train(model, TEXT, SETTINGS, graph=graph)
        found = [end.loss for end in train_branches(decoder(), TEXT, SETTINGS, LENGTHS[:2], graph=graph)]
        if not graph:
            wanted, losses = rows, found
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in wanted], rel=1e-4)
    assert found == pytest.approx(losses, rel=1e-4)


class Looks:
    """Says stop at one of the looks."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("looks", [2, 3])
def test_a_stop_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: bool, looks: int) -> None:
    """Stopped at the second, or third, look at the clock, again and again, each time in a new model."""
    monkeypatch.setattr(
        "thrifty.models.branches.SECONDS", float("inf")
    )  # looks by steps alone: a slow machine looks more often
    path, found = tmp_path / "trunk", {}
    whole = ends(decoder(), graph=graph)
    for _ in range(12):
        left = tuple(n for n in LENGTHS if n not in found)
        found |= ends(decoder(), left, checkpoint=path, graph=graph, stop=Looks(looks))
        if len(found) == len(LENGTHS):
            break
    assert found == whole
    assert not path.exists()


PROGRAM = """
import signal, sys
from pathlib import Path
from tests.models.test_trainer_wsd import LENGTHS, SETTINGS, TEXT, decoder, train_branches, weights

folder, until = Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def progress(*_):
    global steps
    steps += 1
    if steps == until:
        (folder / "there").touch()
        signal.pause()

model = decoder()
for end in train_branches(model, TEXT, SETTINGS, LENGTHS, checkpoint=folder / "trunk", every=10, progress=progress):
    (folder / f"{end.tokens}.weights").write_bytes(weights(model))
"""


def test_a_kill_changes_no_bit(tmp_path: Path, straight: dict[int, bytes]) -> None:
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    steps = int(np.random.default_rng().integers(1, 138))
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), str(steps)], env=environment) as process:
        wait_for(tmp_path / "there")
        process.kill()
    found = {int(path.stem): path.read_bytes() for path in tmp_path.glob("*.weights")}
    left = tuple(n for n in LENGTHS if n not in found)
    assert found | ends(decoder(), left, checkpoint=tmp_path / "trunk") == straight, f"killed after {steps} steps"


def test_what_branches_refuse(tmp_path: Path) -> None:
    def run(settings: TrainSettings = SETTINGS, lengths: tuple[int, ...] = LENGTHS, **how: Any) -> None:
        list(train_branches(decoder(), TEXT, settings, lengths, **how))

    with pytest.raises(ValueError, match="with schedule 'wsd' and warmup_tokens alone"):
        run(dataclasses.replace(SETTINGS, schedule="cosine"))
    with pytest.raises(ValueError, match="with schedule 'wsd' and warmup_tokens alone"):
        run(dataclasses.replace(SETTINGS, warmup_tokens=0))
    with pytest.raises(ValueError, match="lengths: are from a step's 64 ids to the settings' 7680"):
        run(lengths=(STEP * 121,))
    with pytest.raises(ValueError, match="are not over when 576 ids fall"):
        run(lengths=(STEP * 9,))
    with pytest.raises(ValueError, match="schedule: 'linear' is not"):
        dataclasses.replace(SETTINGS, schedule="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fall: 0 is no part"):
        dataclasses.replace(SETTINGS, fall=0)
    with pytest.raises(ModelError, match="smaller learning rate"):
        run(dataclasses.replace(SETTINGS, lr=1e30))
    path = tmp_path / "trunk"
    run(checkpoint=path, stop=path.exists)
    with pytest.raises(ResumeMismatch, match="another training"):
        run(dataclasses.replace(SETTINGS, seed=4), checkpoint=path)
    with pytest.raises(ValueError, match="ask for longer ones, or remove"):
        run(lengths=LENGTHS[:1], checkpoint=path)


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    """Cut, changed, or made by something else: its name, and what to do."""
    path = tmp_path / "trunk"
    ends(decoder(), checkpoint=path, stop=path.exists)
    sound = path.read_bytes()
    content = torch.load(path, weights_only=True)

    def refused() -> None:
        for training in (
            lambda: ends(decoder(), checkpoint=path),
            lambda: train(decoder(), TEXT, SETTINGS, checkpoint=path),
        ):
            with pytest.raises(FormatError, match=r"trunk: can't be gone on from .*; remove it"):
                training()

    bad = [b"", b"text", sound[: len(sound) // 2], sound[:-30], b"PK" + bytes(100), pickle.dumps([1])]
    # In the head, in what is pickled, among the weights, at the end.
    for at in (0, 100, 500, len(sound) // 2, len(sound) - 40):
        bad.append(sound[:at] + bytes(255 - x for x in sound[at : at + 30]) + sound[at + 30 :])
    for data in bad:
        path.write_bytes(data)
        refused()
    for name, value in (("step", -1), ("step", 10**9), ("step", "1"), ("rows", 1), ("random", []), ("model", {})):
        torch.save(content | {name: value}, path)
        refused()
    for name in content:
        torch.save({key: value for key, value in content.items() if key != name}, path)
        refused()


def test_what_a_graph_refuses() -> None:
    with pytest.raises(ValueError, match="graph: not with a teacher"):
        train(decoder(), TEXT, SETTINGS, graph=True, teacher=lambda ids: ids)
    for model in (decoder(dropout=0.1), decoder(mixers=("pair", "attention"))):
        with pytest.raises(ValueError, match="graph: a model of tables or with dropout"):
            train(model, TEXT, SETTINGS, graph=True)


def test_a_capture_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a card does before and while it captures a step is undone: fresh, and where moments are there already.

    There is no card here: streams and graphs are stand-ins, and a replay is a call.
    """
    stand_in = mock.MagicMock()
    for name in ("Stream", "current_stream", "default_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, stand_in)

    def trained(captures: bool) -> bytes:
        model = decoder()
        dense, tables = model.parameters_of()
        optimizers = optimizers_of(model, dense, tables, SETTINGS, graph=True)
        take = GraphStep(model, TEXT, SETTINGS, optimizers)
        for step in range(6):
            if captures and step in (0, 3):
                replay = captured(take._replay, model, optimizers)
                assert replay is stand_in.return_value.replay
            take(step, rate_of(step, SETTINGS))
        return weights(model)

    assert trained(captures=True) == trained(captures=False)
    assert stand_in.return_value.__enter__.call_count == 4
    assert not torch.are_deterministic_algorithms_enabled()
