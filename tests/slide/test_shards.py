"""Ranks that train one network: what they agree on, what goes into files, what is refused. Ranks are threads here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.slide.rows import clusters, random_rows
from tests.slide.switchboard import together
from thrifty.errors import FormatError, MismatchError, ModelError, ResumeMismatch
from thrifty.slide import LSHConfig, Trainer
from thrifty.slide.ranks import Ranks, bounds

HEAD = LSHConfig(k=2, tables=8, active=120, each=6, pool=20, random="uniform")
NETWORK: dict[str, Any] = {"hidden": 40, "batch": 90, "seed": 5, "threads": 1, "deterministic": True}
ROWS = 600, 300, 900


def train(ranks: Ranks, head: LSHConfig = HEAD, epochs: int = 4, **change: Any) -> Trainer:
    inputs, targets = random_rows(*ROWS, seed=1) if change.get("loss") == "sigmoid" else clusters(*ROWS, seed=1)
    fit = {name: change.pop(name) for name in ("checkpoint", "every", "progress", "on_epoch") if name in change}
    trainer = Trainer(300, 900, head=head, process_group=ranks, **(NETWORK | change))
    trainer.fit(inputs, targets, epochs=epochs, **fit)
    return trainer


CASES: list[dict[str, Any]] = [
    {},
    {"head": replace(HEAD, bucket=3)},
    {"head": replace(HEAD, bucket=3, pool=0)},
    {"head": replace(HEAD, family="simhash", k=None, correction="logq")},
    {"head": replace(HEAD, family="exact")},
    {"head": replace(HEAD, family="log_uniform")},
    {"head": replace(HEAD, k=None, sets="row")},
    {"loss": "sigmoid"},
    {"precision": "bf16"},
    {"adam": "dense"},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_losses_do_not_depend_on_the_number_of_ranks(case: dict[str, Any]) -> None:
    """Nor active neurons, what tables return, or predictions."""
    found = {}
    unseen, _ = clusters(100, 300, 900, seed=2)
    for size in (1, 2, 3, 4):
        trainers = together(size, lambda ranks: train(ranks, **case))
        predicted = together(size, lambda ranks, t=trainers: t[ranks.rank].predict(unseen, 5))
        for trainer, (ids, _) in zip(trainers, predicted, strict=True):
            assert trainer.history == trainers[0].history
            assert np.array_equal(ids, predicted[0][0])
        found[size] = trainers[0].history, predicted[0]
    (history, (ids, scores)) = found[1]
    near = 1e-5 if case.get("precision") is None else 1e-4
    for size in (2, 3, 4):
        others, (other_ids, other_scores) = found[size]
        for a, b in zip(history, others, strict=True):
            assert b.loss == pytest.approx(a.loss, rel=near), size
            assert (b.rows, b.active) == (a.rows, a.active)
            assert (b.returned, b.recall) == pytest.approx((a.returned, a.recall), rel=2e-2)
        assert np.mean(other_ids == ids) >= 0.99
        assert np.abs(other_scores - scores).max() <= 50 * near * np.abs(scores).max()
    assert history[-1].loss < history[0].loss or history[-1].recall > history[0].recall


def test_one_rank_is_a_trainer() -> None:
    """With caps that do not bite and nobody waiting, it trains what a trainer without ranks does."""
    inputs, targets = clusters(*ROWS, seed=1)
    plain = Trainer(300, 900, head=replace(HEAD, rehash=900), **{**NETWORK, "deterministic": False})
    plain.fit(inputs, targets, epochs=4)
    (ranked,) = together(1, train)
    for a, b in zip(plain.history, ranked.history, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-6)
        assert b.recall == a.recall


@pytest.mark.parametrize("messages", ["f32", "bf16", "i8"])
def test_ranks_that_choose_for_themselves_learn_as_well(messages: str) -> None:
    inputs, targets = clusters(4_000, 300, 900, seed=1)
    head, settings = replace(HEAD, random="length"), {"hidden": 40, "batch": 90, "lr": 0.02, "threads": 1}
    alone = Trainer(300, 900, head=head, **settings)
    alone.fit(inputs, targets, epochs=3)
    exact = alone.evaluate(inputs, targets)["p_at_1"]

    def work(ranks: Ranks) -> tuple[float, float]:
        trainer = Trainer(300, 900, head=head, process_group=ranks, messages=messages, **settings)
        trainer.fit(inputs, targets, epochs=3)
        return trainer.evaluate(inputs, targets)["p_at_1"], trainer.history[-1].active

    for size in (2, 4):
        (p_at_1, active), *others = together(size, work)
        assert all(other == (p_at_1, active) for other in others)
        assert active == pytest.approx(120, abs=10)
        assert p_at_1 >= exact - 0.03 > 0.5


@pytest.mark.parametrize(
    "change", [{}, {"precision": "bf16"}, {"precision": "bf16-stochastic"}, {"adam": "dense"}], ids=str
)
def test_a_checkpoint_goes_on_with_another_number_of_ranks(tmp_path: Path, change: dict[str, Any]) -> None:
    class Enough(Exception):
        pass

    def stop(phase: str, done: int, total: int) -> None:
        stop.steps += 1  # type: ignore[attr-defined]
        if stop.steps >= 9 * 3:  # type: ignore[attr-defined]
            raise Enough

    (whole,) = together(1, lambda ranks: train(ranks, checkpoint=tmp_path / "whole", every=4, **change))
    stop.steps = 0  # type: ignore[attr-defined]
    with pytest.raises(Enough):
        together(3, lambda ranks: train(ranks, checkpoint=tmp_path / "parts", every=4, progress=stop, **change))
    manifest = json.loads((tmp_path / "parts" / "manifest.json").read_text())
    assert manifest["position"]["steps"] == 8
    assert len(manifest["files"]) == 3
    for size in (2, 1):
        copied = tmp_path / f"copy-{size}"
        shutil.copytree(tmp_path / "parts", copied)
        after = together(size, lambda ranks, c=copied: train(ranks, checkpoint=c, every=4, **change))
        near = 1e-5 if not change.get("precision") else 2e-3
        for a, b in zip(whole.history, after[0].history, strict=True):
            assert b.loss == pytest.approx(a.loss, rel=near)
        assert [p.name for p in copied.iterdir() if p.name.startswith("step-")] == ["step-000000000028"]


@pytest.mark.parametrize("change", [{}, {"k": None, "pool": 400}], ids=str)
def test_the_same_number_of_ranks_goes_on_to_the_same_bytes(tmp_path: Path, change: dict[str, Any]) -> None:
    """Also where tables were tuned to another K before they were stopped."""
    head = replace(HEAD, random="length", **change)

    class Enough(Exception):
        pass

    def run(name: str, at: int) -> Any:
        def work(ranks: Ranks) -> Trainer:
            seen = [0]

            def stop(*_: Any) -> None:
                seen[0] += 1
                if seen[0] == at:
                    raise Enough

            return train(ranks, head, checkpoint=tmp_path / name, every=4, progress=stop, deterministic=False)

        return together(2, work)

    whole = run("a", 0)
    if "k" in change:
        (fitting,) = together(1, lambda ranks: train(ranks, head, epochs=0, deterministic=False))
        assert whole[0].stats()["k"] not in (0, fitting.stats()["k"]), "nothing was tuned"
    for at in (5, 19):
        with pytest.raises(Enough):
            run("b", at)
    stopped = run("b", 0)
    assert stopped[0].history == whole[0].history
    assert [t.stats()["k"] for t in stopped] == [t.stats()["k"] for t in whole]
    for rank in range(2):
        files = [next((tmp_path / n).glob(f"step-*/rank-0000{rank}-of-00002.safetensors")) for n in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_model_of_ranks_is_a_model(tmp_path: Path) -> None:
    inputs, _ = clusters(*ROWS, seed=1)

    def work(ranks: Ranks) -> Any:
        trainer = train(ranks)
        trainer.save(tmp_path / "model")
        return trainer.predict(inputs, 3)

    (ids, scores), *_ = together(3, work)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    loaded = Trainer.load(tmp_path / "model")
    got, values = loaded.predict(inputs, 3)
    assert np.array_equal(got, ids)
    assert np.allclose(values, scores, atol=1e-5)
    assert len(loaded.history) == 4


@pytest.mark.parametrize("change", [{"lr": 0.5}, {"seed": 6}, {"head": replace(HEAD, active=121)}], ids=str)
def test_ranks_with_other_settings_do_not_start(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(MismatchError, match=f"^{name}: .* for rank"):
        together(2, lambda ranks: train(ranks, **(change if ranks.rank else {})))


def test_ranks_with_other_data_do_not_start() -> None:
    def work(ranks: Ranks) -> None:
        trainer = Trainer(300, 900, head=HEAD, process_group=ranks, **NETWORK)
        trainer.fit(*clusters(*ROWS, seed=1 + ranks.rank))

    with pytest.raises(MismatchError, match="the ranks do not have the same data"):
        together(2, work)


def test_other_settings_do_not_go_on(tmp_path: Path) -> None:
    together(2, lambda ranks: train(ranks, epochs=1, checkpoint=tmp_path))
    with pytest.raises(ResumeMismatch, match=r"hidden there is 40, here 48"):
        together(2, lambda ranks: train(ranks, hidden=48, checkpoint=tmp_path))


@pytest.mark.parametrize("what", ["manifest", "weights", "missing", "short"])
def test_damage_is_noticed(tmp_path: Path, what: str) -> None:
    together(2, lambda ranks: train(ranks, epochs=1, checkpoint=tmp_path))
    manifest = tmp_path / "manifest.json"
    file = sorted(tmp_path.glob("step-*/*"))[1]
    if what == "manifest":
        manifest.write_text(manifest.read_text().replace('"steps": 7', '"steps": 8'))
        file = manifest
    elif what == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[-1000] ^= 4
        file.write_bytes(content if what == "weights" else content[:-1])
    with pytest.raises((FormatError, FileNotFoundError), match=file.name):
        together(2, lambda ranks: train(ranks, epochs=2, checkpoint=tmp_path))


def test_a_loss_that_is_none_stops_all_ranks() -> None:
    with pytest.raises(ModelError, match="loss"):
        together(3, lambda ranks: train(ranks, lr=1e38))


def test_bad_questions_are_refused() -> None:
    """What one process refuses, ranks do, and no rank panics."""
    inputs, _ = clusters(20, 300, 900, seed=2)
    odd = inputs.copy()
    odd.data[3] = np.nan

    def work(ranks: Ranks) -> None:
        trainer = train(ranks, replace(HEAD, family="uniform"), epochs=1)
        with pytest.raises(ValueError, match="k: 0 is not possible"):
            trainer.predict(inputs, 0)
        with pytest.raises(ValueError, match="sparse: this head has no hash tables"):
            trainer.predict(inputs, 3, candidates=10)
        with pytest.raises(ValueError, match="inputs: row 0 has the value NaN"):
            trainer.predict(odd, 3)
        nobody = np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint16)
        y = np.arange(1, 601, dtype=np.uint64), np.zeros(600, np.uint32)
        core = trainer._core.core
        with pytest.raises(ValueError, match="asked: 0 rows, the batch has 20"):
            core.choose_agreed(y, nobody)
        with pytest.raises(ValueError, match="sizes: 1 numbers, 0 are needed"):
            core.ask_agreed(y, np.zeros(1, np.uint32))

    together(2, work)


def test_ranks_that_were_told_other_shares_do_not_start() -> None:
    with pytest.raises(MismatchError, match=r"shares: \[.*\] for rank"):
        together(2, lambda ranks: train(ranks, shares=[1, 1 + ranks.rank]))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="random: 'length' needs"):
        together(1, lambda ranks: train(ranks, LSHConfig()))
    with pytest.raises(ValueError, match="messages: 'f16' is none of"):
        together(1, lambda ranks: train(ranks, messages="f16"))
    with pytest.raises(ValueError, match="shares: 2 numbers above 0"):
        together(2, lambda ranks: train(ranks, shares=[1, 2, 3]))
    with pytest.raises(ValueError, match="ranks: 2 are too many for 1"):
        bounds(1, [1, 1])


@given(st.integers(1, 500), st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
def test_everybody_has_a_part(total: int, speeds: list[float]) -> None:
    if total < len(speeds):
        with pytest.raises(ValueError, match="too many"):
            bounds(total, speeds)
        return
    ends = bounds(total, speeds)
    assert (ends[0], ends[-1], len(ends)) == (0, total, len(speeds) + 1)
    sizes = np.diff(ends)
    assert sizes.min() >= 1
    exact = np.array(speeds) / sum(speeds) * total
    assert np.abs(sizes - exact).max() <= len(speeds) + 1


@pytest.mark.parametrize("size", [1, 2, 5])
def test_messages_of_any_size_arrive(size: int) -> None:
    """Also those that do not fit into the place that the ones before them left."""

    def work(ranks: Ranks) -> None:
        rng = np.random.default_rng(1)
        for _ in range(40):
            messages = [rng.integers(0, 256, rng.integers(0, 4_000), np.uint8) for _ in range(size)]
            got = ranks.start_gather(messages[ranks.rank], "test")()
            assert all(np.array_equal(a, b) for a, b in zip(got, messages, strict=True))
            numbers = rng.normal(size=(size, 7))
            assert np.array_equal(ranks.sum(numbers[ranks.rank]), numbers.sum(axis=0))

    together(size, work)
