"""Decoders as folders, and how well they predict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models.test_trainer import SETTINGS, TEXT, decoder
from thrifty.errors import DatasetError, FormatError, MismatchError, ModelError
from thrifty.models import TrainSettings, load_decoder, save_decoder, train
from thrifty.models.evaluate import evaluate, losses
from thrifty.models.export import save_pairlm
from thrifty.models.windows import starts, windows_at
from thrifty.pairconnect import Bytes, PairLM


@pytest.mark.parametrize("mixers", [("pair", "attention"), ("none",)])
def test_a_folder_keeps_a_decoder(mixers: tuple[str, ...], tmp_path: Path) -> None:
    model = decoder(mixers)
    save_decoder(model, tmp_path / "m", training={"loss": 3.5})
    found, tokenizer, training = load_decoder(tmp_path / "m")
    assert (found.config, tokenizer, training) == (model.config, "", {"loss": 3.5})
    assert not found.training
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(found(ids), model.eval()(ids))
    save_decoder(model, tmp_path / "m", dtype="bf16")  # another takes its place
    rounded, _, training = load_decoder(tmp_path / "m")
    assert training == {}
    for a, b in zip(rounded.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b.bfloat16().float())


def test_folders_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    save_decoder(decoder(("none",)), folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    good, kept = json.loads(config.read_text()), weights.read_bytes()

    def given(**changes: Any) -> None:
        config.write_text(json.dumps(good | changes))

    with pytest.raises(FileNotFoundError, match="none"):
        load_decoder(tmp_path / "none")
    config.write_text("{")
    with pytest.raises(FormatError, match=r"config.json: no JSON"):
        load_decoder(folder)
    given(format="llama")
    with pytest.raises(FormatError, match="no format 'thrifty.decoder'"):
        load_decoder(folder)
    given(version=2)
    with pytest.raises(MismatchError, match="version 2, and this thrifty reads version 1"):
        load_decoder(folder)
    for broken in ({}, good["decoder"] | {"colour": 1}, good["decoder"] | {"mixers": ["mamba"]}):
        given(decoder=broken)
        with pytest.raises(FormatError, match=r"config\.json"):
            load_decoder(folder)
    given(decoder=good["decoder"] | {"hidden": 48})
    with pytest.raises(FormatError, match=r"layers.0.down.weight: shape \(32, 32\), and \(32, 48\) by config.json"):
        load_decoder(folder)
    given(decoder=good["decoder"] | {"mixers": ["none", "none"]})
    with pytest.raises(FormatError, match=r"layers.1.*shape none"):
        load_decoder(folder)
    given()
    for damaged in (b"", kept[:100], kept[:-1]):
        weights.write_bytes(damaged)
        with pytest.raises(FormatError, match="model.safetensors: no safetensors"):
            load_decoder(folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="No such file of weights"):
        load_decoder(folder)
    weights.write_bytes(kept)
    assert load_decoder(folder)[0].config == decoder(("none",)).config
    with pytest.raises(ValueError, match="dtype: 'i8' is not f32 or bf16"):
        save_decoder(decoder(("none",)), folder, dtype="i8")  # type: ignore[arg-type]


def test_scores_are_those_of_the_file(tmp_path: Path) -> None:
    model = decoder()
    train(model, TEXT, SETTINGS)
    save_pairlm(model, tmp_path / "m")
    text = TEXT[:700].tobytes()
    wide: dict[str, Any] = {"window": 24, "stride": 7, "max_tokens": 600}
    ours, theirs = evaluate(model, text, Bytes(), **wide), PairLM.load(tmp_path / "m").evaluate(text, **wide)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_windows_that_are_scored() -> None:
    """Against a window at a time."""
    model = decoder(("attention",), dropout=0.5)
    at, found = losses(model, TEXT[:100], window=20, stride=6, batch=3)
    ids = torch.from_numpy(TEXT[:100].astype(np.int64))
    wanted = []
    for start in range(0, 80, 6):
        with torch.no_grad():
            law = torch.log_softmax(model(ids[None, start : start + 20])[0], -1)
        wanted += [(start + i + 1, float(-law[i, ids[start + i + 1]])) for i in range(14, 20)]
    assert at.tolist() == [place for place, _ in wanted]
    np.testing.assert_allclose(found, [loss for _, loss in wanted], atol=1e-5)


def test_what_can_not_be_scored() -> None:
    with pytest.raises(DatasetError, match="5 ids are no window of 64"):
        evaluate(decoder(), b"short", Bytes())
    with pytest.raises(ValueError, match="stride: 9 is not between 1 and window = 8"):
        losses(decoder(), TEXT[:50], window=8, stride=9)
    model = decoder()
    with torch.no_grad():
        model.norm.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="went wrong"):
        evaluate(model, TEXT.tobytes(), Bytes())


def test_bf16_learns_as_f32_does() -> None:
    ends = {}
    for precision in ("f32", "bf16"):
        model = decoder(("attention", "pair"), dropout=0.0)
        settings = TrainSettings(context=16, batch=4, tokens=64 * 100, lr=5e-3, precision=precision)  # type: ignore[arg-type]
        ends[precision] = train(model, TEXT, settings)[-1]["loss"]
        assert all(p.dtype == torch.float32 for p in model.parameters())
    assert ends["bf16"] == pytest.approx(ends["f32"], rel=0.02)
    assert ends["bf16"] != ends["f32"]
    with pytest.raises(ValueError, match="precision: 'f16' is not f32 or bf16"):
        TrainSettings(precision="f16")  # type: ignore[arg-type]


def test_another_teacher_is_another_training(tmp_path: Path) -> None:
    def stop(_: str, step: int, __: int) -> None:
        if step == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(decoder(), TEXT, SETTINGS, checkpoint=tmp_path / "c", every=20, progress=stop)
    with pytest.raises(MismatchError, match="another training"):
        train(decoder(), TEXT, SETTINGS, checkpoint=tmp_path / "c", teacher=decoder(("none",)))


def test_noise_is_seen_by_teacher_and_student() -> None:
    seen: list[Any] = []

    def teacher(ids: Any) -> Any:
        seen.append(ids)
        return torch.zeros(*ids.shape, 256)

    settings = TrainSettings(context=16, batch=4, tokens=64 * 20, noise=0.25, seed=3)
    train(decoder(), TEXT, settings, teacher=teacher)
    begin = starts(len(TEXT), settings, 0, settings.steps)
    learned = [windows_at(TEXT, one, settings.context) for one in begin]
    kept = [(ids == torch.from_numpy(learned[i][:, :-1])).float().mean() for i, ids in enumerate(seen)]
    # Another id of the batch is the same one now and then.
    assert 0.72 < np.mean(kept) < 0.82
    seen.clear()
    train(decoder(), TEXT, TrainSettings(context=16, batch=4, tokens=64 * 20, seed=3), teacher=teacher)
    assert all((ids == torch.from_numpy(learned[i][:, :-1])).all() for i, ids in enumerate(seen))
