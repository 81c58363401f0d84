"""Checkpoints and models: what goes on where, to the same bytes, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slide.rows import clusters, random_rows
from thrifty.errors import FormatError, ResumeMismatch
from thrifty.slide import LSHConfig, Trainer

HEAD = LSHConfig(k=2, tables=8, active=120, rehash=40)
SETTINGS: dict[str, Any] = {"hidden": 40, "head": HEAD, "batch": 90, "seed": 5}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"precision": "bf16"},
    {"precision": "bf16-stochastic"},
    {"loss": "sigmoid"},
    {"adam": "dense"},
    {"adam": "dense", "precision": "bf16-stochastic"},
    {"head": replace(HEAD, family="uniform", correction="logq")},
    {"head": replace(HEAD, family="simhash", k=None)},
]


class Enough(Exception):
    """Stops a training as an interruption does."""


def stop_after(rows: int) -> Any:
    seen = [0]

    def progress(phase: str, done: int, total: int) -> None:
        seen[0] = done
        if phase == "train" and done >= rows:
            raise Enough

    return progress


def weights_of(trainer: Trainer) -> dict[str, bytes]:
    return {name: w.tobytes() for name, w in trainer.weights().items()}


@pytest.mark.parametrize("change", VARIANTS, ids=str)
def test_a_new_trainer_goes_on(tmp_path: Path, change: dict[str, Any]) -> None:
    """Its weights, moments and file are those of a training that nothing interrupted."""
    rows = random_rows(2_000, 300, 900, seed=1)
    settings = SETTINGS | change
    whole = Trainer(300, 900, **settings)
    whole.fit(*rows, epochs=3, checkpoint=tmp_path / "a", every=7)
    whole.save(tmp_path / "a.model")
    stopped = 0
    for at in (500, 1_200, 1_999):
        try:
            Trainer(300, 900, **settings).fit(
                *rows, epochs=3, checkpoint=tmp_path / "b", every=7, progress=stop_after(at)
            )
        except Enough:
            stopped += 1
    last = Trainer(300, 900, **settings)
    last.fit(*rows, epochs=3, checkpoint=tmp_path / "b", every=7)
    assert stopped >= 1
    assert last.history == whole.history
    last.save(tmp_path / "b.model")
    assert (tmp_path / "a.model").read_bytes() == (tmp_path / "b.model").read_bytes()
    files = [tmp_path / name / "checkpoint.safetensors" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize("change", VARIANTS, ids=str)
def test_a_loaded_model_predicts_the_same(tmp_path: Path, change: dict[str, Any]) -> None:
    rows = random_rows(500, 300, 900, seed=1)
    trainer = Trainer(300, 900, **(SETTINGS | change))
    trainer.fit(*rows, epochs=2)
    trainer.save(tmp_path / "model")
    loaded = Trainer.load(tmp_path / "model")
    assert weights_of(loaded) == weights_of(trainer)
    assert loaded.history == trainer.history
    assert (loaded.features, loaded.hidden, loaded.labels, loaded.lr) == (300, 40, 900, trainer.lr)
    tables = trainer.stats()["tables"] > 0
    for candidates in (None, 50) if tables else (None,):
        for got, expected in zip(
            loaded.predict(rows[0], 7, candidates=candidates),
            trainer.predict(rows[0], 7, candidates=candidates),
            strict=True,
        ):
            assert np.array_equal(got, expected)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    before = loaded.evaluate(*rows)["p_at_1"]
    loaded.fit(*rows, epochs=3)
    assert loaded.evaluate(*rows)["p_at_1"] >= before, "it trains on"


@pytest.mark.parametrize("checkpoint", [False, True])
def test_an_interruption_at_the_end_of_an_epoch(tmp_path: Path, checkpoint: bool) -> None:
    """Epochs are shorter than the time between two calls of the callback: nearly all end before it stops them."""
    rows = random_rows(300, 300, 900, seed=1)
    whole, stopped = (Trainer(300, 900, **SETTINGS) for _ in range(2))
    places: list[dict[str, Any]] = [{"checkpoint": tmp_path / name} if checkpoint else {} for name in "ab"]
    for _ in range(6):
        with pytest.raises(Enough):
            stopped.fit(*rows, epochs=20, progress=stop_after(0), **places[1])
    epochs = len(stopped.history) + 1
    assert epochs > 1, "no epoch ended: the test does not test what it should"
    stopped.fit(*rows, epochs=epochs if checkpoint else 1, **places[1])
    whole.fit(*rows, epochs=epochs, **places[0])
    assert stopped.history == whole.history
    assert weights_of(stopped) == weights_of(whole)
    for trainer, place in ((whole, places[0]), (stopped, places[1])):
        if checkpoint:
            loaded = Trainer.load(place["checkpoint"] / "checkpoint.safetensors")
            assert loaded.history == trainer.history
            assert weights_of(loaded) == weights_of(trainer)


@pytest.mark.parametrize("at", [300, 1_200, 1_999])
def test_a_learning_rate_that_falls_goes_on(tmp_path: Path, at: int) -> None:
    """Wherever it is stopped; once in the first epoch, at the rate that it began with."""
    rows = random_rows(2_000, 300, 900, seed=1)

    def train(folder: Path, **options: Any) -> Trainer:
        trainer = Trainer(300, 900, **SETTINGS)

        def falls(_: Any) -> None:
            trainer.lr /= 2

        trainer.fit(*rows, epochs=3, checkpoint=folder, every=7, on_epoch=falls, **options)
        return trainer

    whole = train(tmp_path / "a")
    with pytest.raises(Enough):
        train(tmp_path / "b", progress=stop_after(at))
    with pytest.raises(Enough):
        train(tmp_path / "b", progress=stop_after(1_000))
    stopped = train(tmp_path / "b")
    assert stopped.lr == whole.lr == pytest.approx(0.01 / 8)
    assert weights_of(stopped) == weights_of(whole)
    assert Trainer.load(tmp_path / "b" / "checkpoint.safetensors").lr == whole.lr


def test_a_checkpoint_is_a_model_that_trains_on(tmp_path: Path) -> None:
    rows = random_rows(500, 300, 900, seed=1)
    whole = Trainer(300, 900, **SETTINGS)
    whole.fit(*rows, epochs=2, checkpoint=tmp_path / "a")
    whole.fit(*rows, epochs=4, checkpoint=tmp_path / "a")
    half = Trainer(300, 900, **SETTINGS)
    half.fit(*rows, epochs=2, checkpoint=tmp_path / "b")
    loaded = Trainer.load(tmp_path / "b" / "checkpoint.safetensors")
    loaded.fit(*rows, epochs=4, checkpoint=tmp_path / "b")
    assert weights_of(loaded) == weights_of(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 48}, "the network there is 300 features, 40 hidden units, 900 labels, here .* 48 hidden units"),
        ({"seed": 6}, "seed there is 5, here 6"),
        ({"batch": 91}, "batch there is 90, here 91"),
        ({"lr": 0.5}, "lr there is 0.01, here 0.5"),
        ({"adam": "dense"}, "adam there is sparse, here dense"),
        ({"loss": "sigmoid"}, "loss there is Softmax, here Sigmoid"),
        ({"precision": "bf16"}, "precision there is F32, here Bf16"),
        ({"head": replace(HEAD, active=121)}, "the head there is .*active: 120.* here .*active: 121"),
    ],
    ids=str,
)
def test_other_settings_do_not_go_on(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = random_rows(500, 300, 900, seed=1)
    Trainer(300, 900, **SETTINGS).fit(*rows, checkpoint=tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    before = file.read_bytes()
    other = Trainer(300, 900, **(SETTINGS | change))
    with pytest.raises(ResumeMismatch, match=f"{file}: {message}"):
        other.fit(*rows, epochs=2, checkpoint=tmp_path)
    assert file.read_bytes() == before


@pytest.mark.parametrize("complete", [False, True])
def test_other_data_do_not_go_on(tmp_path: Path, complete: bool) -> None:
    """In the middle of an epoch, between two, and when all are done."""
    rows = random_rows(500, 300, 900, seed=1)
    progress = None if complete else stop_after(400)
    try:
        Trainer(300, 900, **SETTINGS).fit(*rows, checkpoint=tmp_path, every=1, progress=progress)
        assert complete
    except Enough:
        assert not complete
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    inputs, targets = rows
    changed = inputs.copy()
    changed.data[17] += 1
    for other in ((changed, targets), (inputs, targets[::-1]), (inputs[:499], targets[:499])):
        for epochs in (1, 2):
            with pytest.raises(ResumeMismatch, match="the checksum of the data there is .*; give the same data"):
                Trainer(300, 900, **SETTINGS).fit(*other, epochs=epochs, checkpoint=tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_data_may_not_change_within_an_epoch() -> None:
    rows, others = random_rows(500, 300, 900, seed=1), random_rows(500, 300, 900, seed=2)
    trainer = Trainer(300, 900, **SETTINGS)
    with pytest.raises(Enough):
        trainer.fit(*rows, progress=stop_after(90))
    if trainer.stats()["steps"] < 6:
        with pytest.raises(ResumeMismatch, match="this trainer: .*give the data that it began with"):
            trainer.fit(*others)
    trainer.fit(*rows)
    trainer.fit(*others)


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_damage_anywhere_is_noticed(tmp_path: Path, kind: str) -> None:
    """Flipped bits in header, weights, moments and the room between them, and all kinds of truncation."""
    rows = clusters(200, 60, 50, 1)
    settings: dict[str, Any] = {"hidden": 19, "head": LSHConfig(k=1, tables=2, active=30), "batch": 50}
    trainer = Trainer(60, 50, **settings)
    trainer.fit(*rows, checkpoint=tmp_path / "c")
    trainer.save(tmp_path / "model")
    good = (tmp_path / "model" if kind == "model" else tmp_path / "c" / "checkpoint.safetensors").read_bytes()
    folder = tmp_path / "bad"
    folder.mkdir()
    bad = folder / "checkpoint.safetensors"
    rng = np.random.default_rng(0)
    faults = [bytes([*good[:at], good[at] ^ (1 << bit), *good[at + 1 :]]) for at, bit in flips(len(good), rng)]
    faults += [good[:length] for length in (0, 7, 8, 100, 4_095, 4_096, len(good) // 2, len(good) - 1)]
    faults.append(good + b"\0")
    for content in faults:
        bad.write_bytes(content)
        with pytest.raises(FormatError, match=str(bad)):
            Trainer.load(bad)
    with pytest.raises(FormatError, match=str(bad)):
        Trainer(60, 50, **settings).fit(*rows, epochs=2, checkpoint=folder)
    assert bad.read_bytes() == faults[-1], "nothing is lost"
    bad.write_bytes(good)
    assert weights_of(Trainer.load(bad)) == weights_of(trainer)


def flips(length: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    places = [*range(0, 80, 7), *rng.integers(80, length, 80).tolist(), length - 1]
    return [(int(at), int(rng.integers(8))) for at in places]


def test_a_model_is_no_checkpoint(tmp_path: Path) -> None:
    """A model in the place of a checkpoint has no place in the data to go on from."""
    rows = random_rows(500, 300, 900, seed=1)
    trainer = Trainer(300, 900, **SETTINGS)
    trainer.fit(*rows)
    trainer.save(tmp_path / "model")
    shutil.copy(tmp_path / "model", tmp_path / "checkpoint.safetensors")
    with pytest.raises((FormatError, ResumeMismatch), match="checkpoint.safetensors"):
        Trainer(300, 900, **SETTINGS).fit(*rows, checkpoint=tmp_path)


@pytest.mark.parametrize("family", ["dwta", "simhash", "minhash", "uniform"])
@pytest.mark.parametrize("k", [None, 1, 4])
def test_memory_of_tables_is_as_announced(family: str, k: int | None) -> None:
    rows = clusters(2_000, 600, 3_000, 1)
    head = LSHConfig(family=family, k=k, active=400)
    announced = Trainer.memory(600, 3_000, hidden=32, head=head)
    trainer = Trainer(600, 3_000, hidden=32, head=head, lr=0.02)
    trainer.fit(*rows, epochs=3)
    taken = trainer.stats()["table_bytes"]
    if family == "uniform":
        assert taken == announced["tables"] == 0
    else:
        assert announced["tables"] / 3 <= taken <= announced["tables"]
    assert announced["total"] == announced["weights"] + announced["moments"] + announced["tables"]


@pytest.mark.parametrize(("precision", "weight", "moment"), [("f32", 4, 8), ("bf16", 2, 12), ("bf16-stochastic", 2, 8)])
def test_memory_of_weights_is_as_announced(tmp_path: Path, precision: str, weight: int, moment: int) -> None:
    announced = Trainer.memory(100, 5_000, hidden=64, precision=precision)
    assert announced["weights"] == 4 * (101 * 64 + 5_000) + weight * 5_000 * 64
    assert announced["moments"] == 8 * (101 * 64 + 5_000) + moment * 5_000 * 64
    assert Trainer.memory(100, 5_000, precision=precision, adam="dense")["total"] == (
        Trainer.memory(100, 5_000, precision=precision)["total"] + 4 * 5_100
    )
    trainer = Trainer(100, 5_000, hidden=64, precision=precision)
    trainer.save(tmp_path / "model")
    assert abs((tmp_path / "model").stat().st_size - announced["weights"]) < 10_000
