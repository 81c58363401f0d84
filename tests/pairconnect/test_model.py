"""PairLM: the scores of the decoder that it was, the same bits whatever is beside, and what is drawn from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thrifty.errors import DatasetError, FormatError, ModelError
from thrifty.models import Decoder, DecoderConfig
from thrifty.models.evaluate import log_likelihoods
from thrifty.models.export import save_pairlm
from thrifty.pairconnect import Bytes, PairLM, PairSpec

VOCAB = 50


def decoder(pool: Any = "mean", dtype: Any = "f32", **changes: Any) -> Decoder:
    torch.manual_seed(1)
    spec = PairSpec(vocab=VOCAB, rows=300, heads=2, head_dim=24, window=3, pool=pool, dtype=dtype)
    model = Decoder(DecoderConfig(vocab=VOCAB, dim=32, hidden=48, pair=spec, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, Path]:
    path = tmp_path_factory.mktemp("model") / "a.pair"
    model = decoder()
    save_pairlm(model, path, training={"tokens": 0})
    return model, path


def ids_of(seed: int, n: int = 40) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(seed).integers(0, VOCAB, n)


@pytest.mark.parametrize("pool", ["sum", "mean", "softmax"])
def test_scores_are_the_decoders(tmp_path: Path, pool: str) -> None:
    model = decoder(pool)
    save_pairlm(model, tmp_path / "a", training={})
    ids = ids_of(2)
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids)[None])[0].numpy()
    scale = np.abs(wanted).max()
    found = PairLM.load(tmp_path / "a").scores(ids)
    assert np.abs(found - wanted).max() <= 2e-5 * scale
    for precision, limit in (("bf16", 2e-2), ("i8", 5e-2)):
        rounded = PairLM.load(tmp_path / "a", precision=precision).scores(ids)  # type: ignore[arg-type]
        assert 0 < np.abs(rounded - wanted).max() <= limit * scale


@pytest.mark.parametrize("window", [None, 5])
def test_scores_of_several_sequences_are_those_of_each(saved: tuple[Decoder, Path], window: int | None) -> None:
    model, ids = PairLM.load(saved[1]), ids_of(3, 60).reshape(3, 20)
    each = [model.scores(row, window=window) for row in ids]
    np.testing.assert_array_equal(model.scores(ids, window=window), np.stack(each))
    assert model.scores(ids[:0]).shape == (0, 20, VOCAB)


@pytest.mark.parametrize("dtype", ["bf16", "i8"])
def test_narrow_tables(tmp_path: Path, dtype: str) -> None:
    model = decoder(dtype=dtype)
    save_pairlm(model, tmp_path / "a")
    ids = ids_of(3)
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids)[None])[0].numpy()
    found = PairLM.load(tmp_path / "a").scores(ids)
    assert 0 < np.abs(found - wanted).max() <= 3e-2 * np.abs(wanted).max()


@pytest.mark.parametrize("precision", ["f32", "bf16", "i8"])
def test_a_position_has_the_same_bits_alone_and_among_others(saved: tuple[Decoder, Path], precision: Any) -> None:
    model = PairLM.load(saved[1], precision=precision)
    ids = ids_of(4, 70)
    whole = model.scores(ids)
    for t in (0, 1, 2, 3, 30, 69):
        assert (model.scores(ids[: t + 1])[-1] == whole[t]).all()
    # Other ids behind it, and others before the window of a layer's lookup.
    assert (model.scores(np.r_[ids[:20], ids_of(5, 9)])[:20] == whole[:20]).all()
    assert (model.scores(ids[10:])[5:] == whole[15:]).all()
    assert (model.scores(ids, threads=1) == whole).all()


def test_losses_and_evaluation(saved: tuple[Decoder, Path]) -> None:
    model = PairLM.load(saved[1])
    ids = ids_of(6, 200)
    at, losses = model.losses(ids, window=16, stride=5)
    starts = range(0, 200 - 16, 5)
    assert at.tolist() == [start + k for start in starts for k in range(12, 17)]
    for i in (0, 7, len(at) - 1):
        start = starts[i // 5]
        scores = model.scores(ids[start : at[i]])[-1].astype(np.float64)
        wanted = np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[ids[at[i]]]
        assert losses[i] == pytest.approx(wanted, abs=1e-5)
    assert (model.losses(ids, window=16, stride=5, threads=1)[1] == losses).all()
    text = bytes(ids.astype(np.uint8))
    told = model.evaluate(text, window=16, stride=5)
    assert told["tokens"] == len(at)
    assert told["perplexity"] == pytest.approx(np.exp(losses.mean()), rel=1e-5)
    assert told["bits_per_byte"] == pytest.approx(losses.mean() / np.log(2), rel=1e-5)
    assert model.evaluate(text, window=16, stride=5, max_tokens=100)["tokens"] == 5 * len(range(0, 84, 5))
    with pytest.raises(DatasetError, match="no window"):
        model.evaluate(text[:16], window=16, stride=5)
    with pytest.raises(ValueError, match="stride"):
        model.losses(ids, window=4, stride=5)
    with pytest.raises(ValueError, match="is not below vocab"):
        model.losses([1] * 20 + [VOCAB], window=4, stride=2)


def test_log_likelihoods_are_sums_over_continuations(saved: tuple[Decoder, Path]) -> None:
    decoder, path = saved
    model = PairLM.load(path)
    pairs = [("!", "0"), ("10, 01.", " (1 + 0)"), ("0" * 90, "1"), ("1", "(1)" * 13)]
    found = model.log_likelihoods(pairs, threads=1)
    for (context, text), value in zip(pairs, found, strict=True):
        ids, first = model.ids(context + text), len(context.encode())
        scores = model.scores(ids).astype(np.float64)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        assert value == pytest.approx(sum(logs[i - 1, ids[i]] for i in range(first, len(ids))), rel=1e-5)
    assert model.log_likelihoods(pairs[:1])[0] == found[0]
    assert log_likelihoods(decoder, pairs, Bytes(), batch=3) == pytest.approx(found, rel=1e-4)
    for bad in (("", "1"), ("1", "")):
        with pytest.raises(ValueError, match="pairs: 1: a context and a continuation"):
            model.log_likelihoods([("1", "0"), bad])
    with pytest.raises(ValueError, match="none were given"):
        model.log_likelihoods([])


def test_what_is_drawn_is_the_law(saved: tuple[Decoder, Path]) -> None:
    model = PairLM.load(saved[1])
    prompt = [3, 1, 4]
    scores = model.scores(prompt)[-1].astype(np.float64) / 2.0
    law = np.exp(scores - scores.max())
    law /= law.sum()
    n = 4_000
    drawn = np.array([model.generate(prompt, 1, temperature=2.0, seed=seed)[0] for seed in range(n)])
    counts = np.bincount(drawn, minlength=VOCAB)
    many = law * n >= 5
    observed, expected = np.r_[counts[many], counts[~many].sum()], np.r_[law[many], law[~many].sum()] * n
    from scipy.stats import chi2

    statistic = ((observed - expected) ** 2 / np.maximum(expected, 1e-12)).sum()
    assert chi2.sf(statistic, len(observed) - 1) > 1e-3
    assert model.generate(prompt, 1, temperature=0)[0] == model.scores(prompt)[-1].argmax()
    best = set(np.argsort(-scores)[:3].tolist())
    assert {int(model.generate(prompt, 1, top_k=3, temperature=9.0, seed=s)[0]) for s in range(60)} == best
    whole = model.generate(prompt, 50, seed=8)
    assert (whole == np.concatenate(list(model.stream(prompt, 50, each=7, seed=8)))).all()
    assert (whole != model.generate(prompt, 50, seed=9)).any()


def test_what_can_not_be_generated(saved: tuple[Decoder, Path]) -> None:
    model = PairLM.load(saved[1])
    for change, message in (
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"min_p": 2.0}, "min_p"),
    ):
        with pytest.raises(ValueError, match=message):
            model.generate([1], 1, **change)
    with pytest.raises(ValueError, match="at least one id"):
        model.generate([], 1)
    with pytest.raises(ValueError, match="is not below vocab"):
        model.generate([VOCAB], 1)
    with pytest.raises(ValueError, match="one dimension"):
        model.scores([[[1]]])
    with pytest.raises(ValueError, match="precision"):
        PairLM.load(saved[1], precision="f16")  # type: ignore[arg-type]


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    model = decoder()
    with torch.no_grad():
        model.layers[0].mixer.lookup.weight.fill_(torch.nan)
    save_pairlm(model, tmp_path / "a")
    found = PairLM.load(tmp_path / "a")
    with pytest.raises(ModelError, match="no numbers"):
        found.generate([1, 2], 3)
    with pytest.raises(ModelError, match="mean loss is nan"):
        found.evaluate(bytes(range(40)), window=8, stride=4)


def test_damaged_files(saved: tuple[Decoder, Path], tmp_path: Path) -> None:
    content = saved[1].read_bytes()
    path = tmp_path / "a"
    for length in range(0, len(content), 4096):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError):
            PairLM.load(path)
    for place in np.random.default_rng(0).integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        with pytest.raises(FormatError):
            PairLM.load(path)


def test_other_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has a layer of 'attention'"):
        save_pairlm(decoder(mixers=("pair", "attention")), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_no_torch_is_needed(saved: tuple[Decoder, Path]) -> None:
    code = (
        "import sys, json; from thrifty.pairconnect import PairLM; m = PairLM.load(sys.argv[1]); "
        "m.scores([1, 2]); m.generate([1], 3); m.evaluate(bytes(range(50)), window=8, stride=4); "
        "print(json.dumps([n for n in ('torch', 'scipy') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved[1])], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ("{", "note: Expecting"),
        ("[" * 100_000, "note: maximum recursion depth"),
        ("[]", "note: an object with 'training'"),
        ('{"training": 1}', "note: an object with 'training'"),
        ('{"tokenizer": {}}', "note: an object with 'training'"),
    ],
)
def test_a_note_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str, message: str) -> None:
    from thrifty import _core

    def write(path: Any, spec: str, _: str, dense: Any, tables: Any) -> None:
        real(path, spec, note, dense, tables)

    real = _core.pairlm_write
    monkeypatch.setattr(_core, "pairlm_write", write)
    save_pairlm(decoder(), tmp_path / "a")
    with pytest.raises(FormatError, match=f"{tmp_path / 'a'}: {message}"):
        PairLM.load(tmp_path / "a")
