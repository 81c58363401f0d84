"""The trainer: it learns, goes on to the same bits, and follows a teacher."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thrifty.errors import ModelError, ResumeMismatch
from thrifty.models import Decoder, DecoderConfig, TrainSettings, train
from thrifty.models.trainer import evenly
from thrifty.models.windows import starts, windows_at
from thrifty.pairconnect import PairSpec

TEXT = np.frombuffer(b"the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs. " * 40, np.uint8)
SETTINGS = TrainSettings(context=16, batch=4, tokens=64 * 60, lr=5e-3, seed=3)


def decoder(mixers: tuple[str, ...] = ("pair", "pair"), dropout: float = 0.1) -> Decoder:
    torch.manual_seed(5)
    pair = PairSpec(vocab=256, rows=512, heads=2, head_dim=16, window=3)
    return Decoder(DecoderConfig(vocab=256, dim=32, hidden=32, mixers=mixers, heads=2, pair=pair, dropout=dropout))


@pytest.mark.parametrize("mixers", [("pair", "pair"), ("attention", "pair"), ("none",)])
def test_losses_fall(mixers: tuple[str, ...], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    rows = train(decoder(mixers), TEXT, SETTINGS, rows=tmp_path / "rows", progress=lambda *state: seen.append(state))
    assert rows[-1]["step"] == 60
    assert rows[-1]["tokens"] == 64 * 60
    longer = train(decoder(mixers), TEXT, TrainSettings(context=16, batch=4, tokens=64 * 300, lr=5e-3))
    assert [row["step"] for row in longer] == [100, 200, 300]
    assert longer[-1]["loss"] < longer[0]["loss"] < np.log(256)
    assert seen[-1] == ("train", 60, 60)
    assert [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()] == rows


@pytest.mark.parametrize("table_update", ["dense", "lazy"])
def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path: Path, table_update: Any) -> None:
    whole, stopped = decoder(), decoder()
    settings = dataclasses.replace(SETTINGS, table_update=table_update)
    wanted = train(whole, TEXT, settings)
    path, rows = tmp_path / "checkpoint", tmp_path / "rows"

    def stop(_: str, step: int, __: int) -> None:
        if step == 47:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, TEXT, settings, checkpoint=path, every=20, rows=rows, progress=stop)
    assert path.exists()
    again = decoder()
    with pytest.raises(ResumeMismatch, match="another training"):
        train(again, TEXT[:-20], settings, checkpoint=path)
    found = train(again, TEXT, settings, checkpoint=path, every=20, rows=rows)
    assert all((a == b).all() for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    assert found[-1]["loss"] == pytest.approx(wanted[-1]["loss"], abs=1e-6)
    assert [json.loads(line)["step"] for line in rows.read_text().splitlines()] == [60]
    assert not path.exists()


def test_a_teacher_is_followed() -> None:
    """A student of soft labels alone comes to the teacher's distribution, whatever the text says."""
    torch.manual_seed(1)
    law = torch.randn(256)

    def teacher(ids: Any) -> Any:
        return law.expand(*ids.shape, 256)

    student = decoder(("none",), dropout=0.0)
    train(student, TEXT, TrainSettings(context=16, batch=4, tokens=64 * 400, lr=2e-2), teacher=teacher)
    with torch.no_grad():
        found = torch.log_softmax(student(torch.from_numpy(TEXT[:64].astype(np.int64))[None])[0], -1)
    wanted = torch.log_softmax(law, -1)
    assert (wanted.exp() * (wanted - found)).sum(-1).max() < 0.02


def test_windows_pass_over_the_text_once_an_epoch() -> None:
    ids = np.arange(16 * 12 + 1)
    settings = TrainSettings(context=16, batch=4)
    first, second = (windows_at(ids, starts(len(ids), settings, i, i + 3).ravel(), 16) for i in (0, 3))
    assert sorted(first[:, 0].tolist()) == list(range(0, 16 * 12, 16))
    assert sorted(second[:, 0].tolist()) == sorted(first[:, 0].tolist())
    assert second[:, 0].tolist() != first[:, 0].tolist()
    assert (np.diff(second) == 1).all()


def test_pieces_are_spread_evenly() -> None:
    ids = np.arange(100_000)
    assert (evenly(ids, 200_000) == ids).all()
    some = evenly(ids, 30_000)
    assert len(some) == 30_000
    assert some[0] == 0
    assert some[-1] == 99_999
    assert evenly(ids, 500).tolist() == list(range(500))


def test_what_can_not_be_trained() -> None:
    with pytest.raises(ValueError, match="no window of 16"):
        train(decoder(), TEXT[:17], SETTINGS)
    with pytest.raises(ModelError, match="smaller learning rate"):
        train(decoder(), TEXT, TrainSettings(context=16, batch=4, tokens=64 * 60, lr=1e30, table_lr=1e30))
    with pytest.raises(ValueError, match="table_update: 'row' is not auto, dense or lazy"):
        train(decoder(), TEXT, dataclasses.replace(SETTINGS, table_update="row"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'lazy' is for tables of float32 on the CPU"):
        train(decoder().double(), TEXT, dataclasses.replace(SETTINGS, table_update="lazy"))
    with pytest.raises(ValueError, match="is not attention, pair or none"):
        decoder(("mamba",))
    with pytest.raises(ValueError, match="a PairSpec is needed"):
        Decoder(DecoderConfig(vocab=9))


def test_lazy_tables_learn_as_dense_ones_do() -> None:
    losses = {}
    for table_update in ("dense", "lazy"):
        settings = TrainSettings(context=16, batch=4, tokens=64 * 300, lr=5e-3, table_update=table_update)  # type: ignore[arg-type]
        losses[table_update] = train(decoder(), TEXT, settings)[-1]["loss"]
    assert losses["lazy"] == pytest.approx(losses["dense"], rel=0.3)


def test_time_is_a_limit() -> None:
    settings = TrainSettings(context=16, batch=4, tokens=64 * 1_000_000)
    rows = train(decoder(), TEXT, settings, max_seconds=1)
    assert 0 < rows[-1]["step"] < 1_000_000
    assert rows[-1]["seconds"] < 30
