"""Shapes from files and by name: Hugging Face's config.json, thrifty's own, and a few public models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.device.shape import ModelShape
from thrifty.errors import FormatError

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["KNOWN", "read_config", "shape_of"]

#: Public models, from their config.json.
KNOWN: dict[str, ModelShape] = {
    "llama-2-7b": ModelShape(layers=32, dim=4096, heads=32, hidden=11008, vocab=32000),
    "llama-2-13b": ModelShape(layers=40, dim=5120, heads=40, hidden=13824, vocab=32000),
    "llama-2-70b": ModelShape(layers=80, dim=8192, heads=64, kv_heads=8, hidden=28672, vocab=32000),
    "llama-65b": ModelShape(layers=80, dim=8192, heads=64, hidden=22016, vocab=32000),
    "llama-3-8b": ModelShape(layers=32, dim=4096, heads=32, kv_heads=8, hidden=14336, vocab=128256),
    "llama-3.2-1b": ModelShape(layers=16, dim=2048, heads=32, kv_heads=8, hidden=8192, vocab=128256, tied=True),
    "mistral-7b": ModelShape(layers=32, dim=4096, heads=32, kv_heads=8, hidden=14336, vocab=32000),
    "tinyllama-1.1b": ModelShape(layers=22, dim=2048, heads=32, kv_heads=4, hidden=5632, vocab=32000),
    "qwen2.5-0.5b": ModelShape(
        layers=24, dim=896, heads=14, kv_heads=2, hidden=4864, vocab=151936, tied=True, qkv_bias=True
    ),
    "qwen3-0.6b": ModelShape(
        layers=28, dim=1024, heads=16, kv_heads=8, head_dim=128, hidden=3072, vocab=151936, tied=True, qk_norm=True
    ),
}

#: Kinds of Hugging Face whose parameters are those of a ModelShape.
KINDS = ("llama", "mistral", "qwen2", "qwen3")
BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "float8_e4m3fn": 1.0}
FIELDS = ("layers", "dim", "heads", "kv_heads", "head_dim", "hidden", "vocab", "tied", "dtype_bytes")


def read_config(path: str | PathLike[str]) -> ModelShape:
    """Return the shape that a config.json is of; :meth:`ModelShape.from_config` has what it raises."""
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file}: no JSON: {error}") from None
    if not isinstance(given, dict):
        raise FormatError(f"{file}: no config of a model: an object is needed, got {type(given).__name__}")
    try:
        return _ours(given["decoder"]) if given.get("format") == "thrifty.decoder" else _hugging_face(given)
    except KeyError as error:
        raise FormatError(f"{file}: no {error} in it; it is no config of a decoder like Llama's") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{file}: {error}") from None


def _hugging_face(given: dict[str, Any]) -> ModelShape:
    kind = given["model_type"]
    if kind not in KINDS:
        raise ValueError(f"model_type: {kind!r} is no decoder like Llama's; known are {', '.join(KINDS)}")
    if given.get("mlp_bias"):
        raise ValueError("mlp_bias: units with a bias are not counted; false is needed")
    biased = bool(given.get("attention_bias", False))
    dtype = given.get("dtype", given.get("torch_dtype")) or "bfloat16"
    if dtype not in BYTES:
        raise ValueError(f"dtype: {dtype!r} is none of {', '.join(BYTES)}")
    return ModelShape(
        layers=given["num_hidden_layers"],
        dim=given["hidden_size"],
        heads=given["num_attention_heads"],
        kv_heads=given.get("num_key_value_heads"),
        head_dim=given.get("head_dim") or (128 if kind == "qwen3" else None),
        hidden=given["intermediate_size"],
        vocab=given["vocab_size"],
        tied=bool(given.get("tie_word_embeddings", False)),
        qkv_bias=biased or kind == "qwen2",
        out_bias=biased,
        qk_norm=kind == "qwen3",
        dtype_bytes=BYTES[dtype],
    )


def _ours(given: dict[str, Any]) -> ModelShape:
    mixers = given["mixers"]
    if set(mixers) != {"attention"}:
        raise ValueError(f"mixers: {mixers} are not all attention, and no other has a shape here")
    sizes = {name: given[name] for name in ("dim", "heads", "hidden", "vocab")}
    return ModelShape(layers=len(mixers), tied=True, dtype_bytes=4.0, **sizes)


def shape_of(text: str, *, dtype_bytes: float | None = None) -> ModelShape:
    """Return the shape that a word means: a public model's name, a config.json or its folder, or sizes.

    Parameters
    ----------
    text : str
        As ``llama-2-7b``, ``models/mine/config.json``, or ``layers=8,dim=320,heads=5,hidden=864,vocab=256``.
    dtype_bytes : float, optional
        Of weights as they will be used.

    Raises
    ------
    ValueError
        When the text is none of these.
    FormatError
        When the file is no config of a decoder.

    Examples
    --------
    >>> from thrifty.device import shape_of
    >>> shape_of("llama-3-8b").parameters
    8030261248
    >>> shape_of("layers=2,dim=64,heads=2,hidden=128,vocab=256,tied=1").tied
    True
    """
    path = Path(text)
    if text.lower() in KNOWN:
        found = KNOWN[text.lower()]
    elif "=" in text and not path.exists():
        found = _sizes(text)
    elif path.exists():
        found = read_config(path)
    else:
        raise ValueError(
            f"'{text}' is no file, no sizes as layers=8,dim=320,heads=5,hidden=864,vocab=256, and none of the known "
            f"models {', '.join(KNOWN)}"
        )
    return found if dtype_bytes is None else found.with_(dtype_bytes=dtype_bytes)


def _sizes(text: str) -> ModelShape:
    sizes: dict[str, Any] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        if name not in FIELDS:
            raise ValueError(f"'{pair.strip()}' in '{text}': no such size; known are {', '.join(FIELDS)}")
        if name in sizes:
            raise ValueError(f"'{text}': {name} is given twice")
        try:
            sizes[name] = float(value) if name == "dtype_bytes" else int(value)
        except ValueError:
            raise ValueError(f"'{pair.strip()}' in '{text}': '{value}' is no number") from None
    if "tied" in sizes:
        sizes["tied"] = bool(sizes["tied"])
    missing = [name for name in ("layers", "dim", "heads", "hidden", "vocab") if name not in sizes]
    if missing:
        raise ValueError(f"'{text}': {', '.join(missing)} missing")
    return ModelShape(**sizes)
