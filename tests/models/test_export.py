"""Files of models whose tables are rounded as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thrifty.models import Decoder, DecoderConfig, export
from thrifty.pairconnect import PairLM, PairSpec

ROWS, DIM = 60, 16


def decoder(**pair: Any) -> Decoder:
    torch.manual_seed(2)
    spec = PairSpec(vocab=50, rows=ROWS, heads=2, head_dim=DIM, window=3, **pair)
    model = Decoder(DecoderConfig(vocab=50, dim=32, hidden=32, mixers=("pair", "pair"), pair=spec))
    for layer in model.layers:
        torch.nn.init.normal_(layer.mixer.lookup.weight)
        if layer.mixer.lookup.logit is not None:
            torch.nn.init.normal_(layer.mixer.lookup.logit)
    return model


@pytest.mark.parametrize("pool", ["mean", "softmax"])
@pytest.mark.parametrize(("dtype", "most"), [("bf16", 2**-8), ("i8", 0.01)])
def test_tables_are_rounded_and_the_file_says_how_much(
    pool: str, dtype: Any, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 50)  # the last chunk is a smaller one
    model = decoder(pool=pool)
    export.save_pairlm(model, tmp_path / "plain", training={"tokens": 5})
    export.save_pairlm(model, tmp_path / "rounded", training={"tokens": 5}, table_dtype=dtype)
    plain, rounded = PairLM.load(tmp_path / "plain"), PairLM.load(tmp_path / "rounded")
    assert plain.training == {"tokens": 5}
    assert [spec.dtype for spec in plain.tables] == ["f32", "f32"]
    assert [spec.dtype for spec in rounded.tables] == [dtype, dtype]
    assert rounded.nbytes[1] < 0.8 * plain.nbytes[1]
    assert rounded.training["tokens"] == 5
    assert rounded.training["table_dtype"] == dtype
    said = rounded.training["table_rounding"]
    for layer, changed in zip(model.layers, said, strict=True):
        exact = layer.mixer.lookup.weight.detach().numpy()
        table, again = export.as_dtype(layer.mixer.lookup.table(), dtype)
        assert again == changed
        values, logits = table.get_rows(0, 2 * ROWS)
        assert np.abs(values - exact).max() == pytest.approx(changed["max_abs"], rel=1e-5)
        assert np.linalg.norm(values - exact) / np.linalg.norm(exact) == pytest.approx(changed["rel_l2"], rel=1e-4)
        assert 0 < changed["rel_l2"] < most
        if layer.mixer.lookup.logit is not None:
            assert logits is not None
            assert logits.tolist() == layer.mixer.lookup.logit.tolist()
    ids = np.arange(50)
    assert np.abs(plain.scores(ids) - rounded.scores(ids)).max() < 0.2 * np.abs(plain.scores(ids)).max()


def test_rows_of_zeros_stay(tmp_path: Path) -> None:
    model = decoder()
    for layer in model.layers:
        torch.nn.init.zeros_(layer.mixer.lookup.weight)
    export.save_pairlm(model, tmp_path / "model", table_dtype="i8")
    assert PairLM.load(tmp_path / "model").training["table_rounding"] == [{"max_abs": 0.0, "rel_l2": 0.0}] * 2


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="table_dtype: 'f16' is not f32, bf16 or i8"):
        export.save_pairlm(decoder(), tmp_path / "model", table_dtype="f16")  # type: ignore[arg-type]
    assert not (tmp_path / "model").exists()
