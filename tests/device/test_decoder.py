"""The decoder that is measured is a decoder: step by step it gives what a whole one gives at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from thrifty.device import ModelShape
from thrifty.device.arrays import arrays_of
from thrifty.device.decoder import StepDecoder, memory_for, numbers_of, sizes_of, weights_in
from thrifty.models import Decoder, DecoderConfig

SHAPE = ModelShape(layers=3, dim=48, heads=3, hidden=80, vocab=37, tied=True, dtype_bytes=4)


def weights_of(model: Any) -> dict[str, Any]:
    """Weights of a decoder of thrifty.models under the names that are used here."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    found = {"embed": state["embed.weight"], "norm": state["norm.weight"]}
    for i in range(len(model.layers)):
        for ours, theirs in (
            ("mixer_norm", "mixer_norm"), ("qkv", "mixer.qkv"), ("out", "mixer.out"), ("norm", "norm"),
            ("gate_up", "gate_up"), ("down", "down"),
        ):  # fmt: skip
            found[f"layers.{i}.{ours}"] = state[f"layers.{i}.{theirs}.weight"]
    return found


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("pieces", [[1] * 9, [9], [4, 1, 3, 1]])
def test_steps_are_the_whole(backend: str, pieces: list[int]) -> None:
    torch.manual_seed(3)
    config = DecoderConfig(vocab=37, dim=48, heads=3, hidden=80, mixers=("attention",) * 3)
    model = Decoder(config).eval()
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    ids = np.random.default_rng(0).integers(0, 37, (2, sum(pieces)))
    with torch.inference_mode():
        whole = model(torch.from_numpy(ids)).numpy()
    arrays = arrays_of(backend)
    weights = {name: arrays.array(value) for name, value in weights_of(model).items()}
    assert {name: tuple(w.shape) for name, w in weights.items()} == sizes_of(SHAPE)
    decoder = StepDecoder(SHAPE, arrays, weights, batch=2, positions=9)
    at = 0
    for tokens in pieces:
        scores = arrays.back(decoder.step(arrays.ids(ids[:, at : at + tokens]), at)).reshape(2, tokens, 37)
        np.testing.assert_allclose(scores, whole[:, at : at + tokens], rtol=2e-4, atol=2e-5)
        at += tokens


def test_numpy_and_torch_agree_where_heads_share_keys() -> None:
    """Grouped queries, an output layer of its own, heads wider than the hidden vector's share."""
    shape = ModelShape(layers=2, dim=32, heads=4, kv_heads=2, head_dim=12, hidden=24, vocab=19, dtype_bytes=4)
    found = []
    for backend in ("numpy", "torch"):
        arrays = arrays_of(backend)
        memory = memory_for([shape], arrays, np.random.default_rng(5))
        decoder = StepDecoder(shape, arrays, weights_in(memory, shape, arrays), batch=3, positions=8)
        ids = np.random.default_rng(1).integers(0, 19, (3, 8))
        steps = [arrays.back(decoder.step(arrays.ids(ids[:, a:b]), a)) for a, b in ((0, 5), (5, 6), (6, 8))]
        found.append(steps)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_shared_heads_of_keys_are_copies_of_them() -> None:
    """With each head of keys written out for each of its queries the scores are the same."""
    shared = ModelShape(layers=1, dim=32, heads=4, kv_heads=2, hidden=24, vocab=19, tied=True, dtype_bytes=4)
    arrays = arrays_of("numpy")
    weights = dict(weights_in(memory_for([shared], arrays, np.random.default_rng(2)), shared, arrays))
    ids = np.arange(6).reshape(1, 6)
    ours = StepDecoder(shared, arrays, weights, positions=6).step(ids, 0)
    q, k, v = np.split(weights["layers.0.qkv"], [32, 48])
    wide = [np.repeat(part.reshape(2, 8, 32), 2, axis=0).reshape(32, 32) for part in (k, v)]
    weights["layers.0.qkv"] = np.concatenate([q, *wide])
    theirs = StepDecoder(shared.with_(kv_heads=4), arrays, weights, positions=6).step(ids, 0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_weights_lie_one_after_the_other_at_lines() -> None:
    arrays = arrays_of("numpy")
    memory = memory_for([SHAPE, SHAPE.with_(layers=1)], arrays, np.random.default_rng(0))
    assert memory.size == numbers_of(SHAPE)
    assert memory.ctypes.data % 64 == 0
    weights = weights_in(memory, SHAPE, arrays)
    matrices = [w for w in weights.values() if w.ndim == 2]
    assert all(np.shares_memory(w, memory) for w in matrices)
    begins = [(w.ctypes.data - memory.ctypes.data) // 4 for w in matrices]
    assert begins == sorted(begins)
    assert all(begin % 16 == 0 for begin in begins)
    assert sum(w.size for w in weights.values()) == SHAPE.parameters


def test_more_than_the_cache_holds_is_refused() -> None:
    arrays = arrays_of("numpy")
    memory = memory_for([SHAPE], arrays, np.random.default_rng(0))
    decoder = StepDecoder(SHAPE, arrays, weights_in(memory, SHAPE, arrays), positions=4)
    with pytest.raises(ValueError, match="at: 3 and 2 tokens are more than the 4 positions"):
        decoder.step(np.zeros((1, 2), np.int64), 3)
