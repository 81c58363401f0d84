"""Decoders with a cache: what follows earlier passes has the scores of one pass over all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thrifty.models import CachedDecoder, Decoder, DecoderConfig
from thrifty.pairconnect import PairSpec


def test_scores_are_those_of_one_pass() -> None:
    torch.manual_seed(0)
    pair = PairSpec(vocab=50, rows=64)
    model = Decoder(
        DecoderConfig(vocab=50, dim=32, mixers=("attention", "pair", "attention", "none"), pair=pair)
    ).eval()
    ids = np.random.default_rng(0).integers(0, 50, (3, 20))
    with torch.no_grad():
        expected = model(torch.from_numpy(ids)).numpy()
    cached, slots = CachedDecoder(model, slots=4, length=20), np.array([2, 0, 3])
    parts = [cached(slots, np.zeros(3, np.int64), ids[:, :7], 0)]
    # Drafts that are rejected, and what others in other slots do, leave no trace.
    cached(slots[1:], np.array([7, 7]), np.ones((2, 4), np.int64), 2)
    parts += [cached(slots, np.full(3, 7), ids[:, 7:8], 1), cached(slots, np.full(3, 8), ids[:, 8:], 0)]
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-5)
    ragged = cached(slots[:2], np.array([5, 9]), np.stack([ids[0, 5:9], ids[1, 9:13]]), 2)
    np.testing.assert_allclose(ragged, np.stack([expected[0, 7:9], expected[1, 11:13]]), atol=1e-5)
    with pytest.raises(ValueError, match="length: a call ends at position 301; the cache has 20"):
        cached(slots[:1], np.array([300]), ids[:1, :1], 0)
