"""Pair models for goal scripts, trained where they are needed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from thrifty.pairconnect import PairLM, PairSpec

ROOT = Path(__file__).resolve().parents[3]
TEXT = ROOT / "python" / "thrifty" / "data" / "pairconnect" / "novels.txt.xz"


def trained(ids: Any, *, vocab: int, dim: int, window: int, tokens: int, seed: int) -> PairLM:
    """Train a model of one layer on ids; the same seed gives the same model on one machine."""
    import torch

    from thrifty.models import Decoder, DecoderConfig, TrainSettings, train
    from thrifty.models.export import save_pairlm
    from thrifty.models.trainer import evenly

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    pair = PairSpec(vocab=vocab, rows=4096, heads=4, head_dim=dim // 4, window=window, seed=seed)
    model = Decoder(DecoderConfig(vocab=vocab, dim=dim, hidden=2 * dim, mixers=("pair",), pair=pair))
    train(model, evenly(ids, min(tokens, len(ids))), TrainSettings(tokens=tokens, context=64, batch=16, seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        save_pairlm(model.eval(), Path(folder) / "model", training={"tokens": tokens})
        return PairLM.load(Path(folder) / "model")
