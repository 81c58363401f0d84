"""Whether what is recorded once and replayed is the call itself, on a card that is not there, and on real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from thrifty.device import ModelShape
from thrifty.device.arrays import Torch
from thrifty.device.decoder import StepDecoder, memory_for, weights_in

SHAPE = ModelShape(layers=3, dim=64, heads=2, hidden=96, vocab=61, tied=True, dtype_bytes=4)


def decoder_of(arrays: Any) -> StepDecoder:
    memory = memory_for([SHAPE], arrays, np.random.default_rng(5))
    return StepDecoder(SHAPE, arrays, weights_in(memory, SHAPE, arrays), batch=2, positions=12)


def replays_are_calls(arrays: Torch) -> None:
    """With other ids in the same memory a replay gives the scores of a call with them."""
    rng = np.random.default_rng(1)
    for tokens, at in ((1, 4), (4, 0)):
        plain, recorded, scores = decoder_of(arrays), decoder_of(arrays), []
        ids = arrays.ids(rng.integers(0, 61, (2, tokens)))
        again = arrays.repeatable(lambda: scores.append(recorded.step(ids, at)))  # noqa: B023
        other = arrays.ids(rng.integers(0, 61, (2, tokens)))
        with torch.inference_mode():
            expected = arrays.back(plain.step(other, at))
            before = arrays.back(scores[-1]).copy()
            ids.copy_(other)
            again()
            torch.cuda.synchronize(arrays.device)
            found = arrays.back(scores[-1])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert not np.allclose(before, expected)
