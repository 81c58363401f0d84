"""Counts of shapes: parameters, operations, bytes; shapes from files and words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from thrifty.device import KNOWN, ModelShape, shape_of
from thrifty.errors import FormatError
from thrifty.models import Decoder, DecoderConfig, save_decoder

#: As their publishers' model cards and torch count them.
PUBLIC = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-65b": 65_285_660_672,
    "llama-3-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "mistral-7b": 7_241_732_096,
    "tinyllama-1.1b": 1_100_048_384,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
}
SMALL = {"layers": 2, "dim": 64, "heads": 4, "hidden": 96, "vocab": 50}


def test_parameters_of_public_models() -> None:
    assert {name: shape.parameters for name, shape in KNOWN.items()} == PUBLIC


@pytest.mark.parametrize(("layers", "dim", "heads", "hidden", "vocab"), [(1, 32, 1, 16, 7), (3, 96, 3, 40, 256)])
def test_parameters_of_a_decoder_that_is_built(layers: int, dim: int, heads: int, hidden: int, vocab: int) -> None:
    config = DecoderConfig(vocab=vocab, dim=dim, heads=heads, hidden=hidden, mixers=("attention",) * layers)
    model = Decoder(config)
    shape = ModelShape(layers=layers, dim=dim, heads=heads, hidden=hidden, vocab=vocab, tied=True)
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    assert shape.layer_parameters == sum(p.numel() for p in model.layers[0].parameters())


def test_operations_against_torchs_count() -> None:
    """Of the matrix products of all positions at once; attention then is over all positions for each."""
    from torch.utils.flop_counter import FlopCounterMode

    tokens = 12
    model = Decoder(DecoderConfig(vocab=50, dim=64, heads=4, hidden=96, mixers=("attention",) * 2)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, tokens, dtype=torch.long))
    shape = ModelShape(**SMALL, tied=True)
    assert counter.get_total_flops() == tokens * shape.flops(context=tokens - 1)


def test_operations_and_bytes_by_hand() -> None:
    shape = ModelShape(layers=3, dim=8, heads=4, kv_heads=2, head_dim=6, hidden=10, vocab=11, dtype_bytes=2)
    matrix = 8 * 24 + 2 * 8 * 12 + 24 * 8 + 3 * 8 * 10
    assert shape.layer_matrix == matrix
    assert shape.flops() == 2 * (3 * matrix + 88) + 3 * 4 * 24
    assert shape.flops(context=9) - shape.flops() == 3 * 4 * 24 * 9
    assert shape.parameters == 3 * (matrix + 16) + 2 * 88 + 8
    assert shape.kv_bytes == 2 * 3 * 12 * 2
    assert shape.weight_bytes == 2 * shape.parameters
    # Of two tables of 11 rows, a call of one token reads the output layer and one row of the other.
    assert shape.bytes_read() == 2 * (shape.parameters - 88 + 8)
    assert shape.bytes_read(batch=2, context=5) == shape.bytes_read() + 2 * 8 + 10 * shape.kv_bytes
    tied = shape.with_(tied=True)
    assert tied.bytes_read() == tied.weight_bytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers: 0 is not possible"),
        ({"dim": 2.5}, r"dim: 2\.5 is not possible"),
        ({"vocab": True}, "vocab: True is not possible"),
        ({"heads": 5}, "heads: 5 does not divide dim 64"),
        ({"kv_heads": 3}, "kv_heads: 3 does not divide heads 4"),
        ({"head_dim": 7}, "head_dim: 7 is odd"),
        ({"dtype_bytes": 0}, "dtype_bytes: 0 is not possible"),
        ({"dtype_bytes": float("nan")}, "dtype_bytes: nan is not possible"),
    ],
)
def test_sizes_that_are_not_possible(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelShape(**(SMALL | change))


def test_numpys_whole_numbers_are_whole_numbers() -> None:
    shape = ModelShape(**{name: np.int64(value) for name, value in SMALL.items()})
    assert shape == ModelShape(**SMALL)
    json.dumps(shape.layers)


HF = {
    "model_type": "llama", "num_hidden_layers": 16, "hidden_size": 2048, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192, "vocab_size": 128256,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "attention_bias": False, "mlp_bias": False,
    "rope_scaling": {"factor": 32.0},
}  # fmt: skip


def test_shapes_from_configs(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(HF))
    found = ModelShape.from_config(tmp_path)
    assert found.parameters == PUBLIC["llama-3.2-1b"]
    assert found.dtype_bytes == 2
    assert shape_of(str(file), dtype_bytes=1).dtype_bytes == 1
    qwen = {
        "model_type": "qwen2", "num_hidden_layers": 24, "hidden_size": 896, "num_attention_heads": 14,
        "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936, "tie_word_embeddings": True,
    }  # fmt: skip
    file.write_text(json.dumps(qwen))
    assert ModelShape.from_config(file).parameters == PUBLIC["qwen2.5-0.5b"]
    file.write_text(json.dumps(HF | {"attention_bias": True}))
    assert ModelShape.from_config(file).parameters == PUBLIC["llama-3.2-1b"] + 16 * (64 * (32 + 16) + 2048)


def test_a_decoder_that_thrifty_saved(tmp_path: Path) -> None:
    model = Decoder(DecoderConfig(vocab=256, dim=32, heads=2, hidden=48, mixers=("attention", "attention")))
    save_decoder(model, tmp_path / "model")
    found = ModelShape.from_config(tmp_path / "model")
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.dtype_bytes == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "an object is needed, got list"),
        ("{}", "no 'model_type' in it"),
        (json.dumps(HF | {"model_type": "gpt2"}), "model_type: 'gpt2' is no decoder like Llama's"),
        (json.dumps(HF | {"model_type": ["llama"]}), "is no decoder like Llama's"),
        (json.dumps(HF | {"mlp_bias": True}), "mlp_bias"),
        (json.dumps(HF | {"vocab_size": "many"}), "vocab: 'many' is not possible"),
        (json.dumps(HF | {"torch_dtype": "int3"}), "dtype: 'int3' is none of"),
        (json.dumps({k: v for k, v in HF.items() if k != "hidden_size"}), "no 'hidden_size' in it"),
        ('{"format": "thrifty.decoder", "decoder": {"mixers": ["pair"]}}', "not all attention"),
        ('{"format": "thrifty.decoder", "decoder": 3}', "config.json"),
    ],
)
def test_configs_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(FormatError, match=message):
        ModelShape.from_config(file)


def test_shapes_from_words(tmp_path: Path) -> None:
    assert shape_of("Llama-3-8B") == KNOWN["llama-3-8b"]
    text = "layers=2,dim=64,heads=4,kv_heads=2,hidden=96,vocab=50,tied=1,dtype_bytes=4"
    assert shape_of(text) == ModelShape(**SMALL, kv_heads=2, tied=True, dtype_bytes=4)
    for wrong, message in (
        ("llama-9", "no file, no sizes"),
        ("layers=2,dim=64", "heads, hidden, vocab missing"),
        ("layers=x,dim=64,heads=4,hidden=96,vocab=50", "'x' is no number"),
        ("layers=2,layers=3", "layers is given twice"),
        ("colour=2", "no such size"),
    ):
        with pytest.raises(ValueError, match=message):
            shape_of(wrong)
    with pytest.raises(OSError, match=r"config\.json"):
        shape_of(str(tmp_path))
