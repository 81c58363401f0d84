"""Decoders of pair layers as PairLM files, which need no torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty import _core

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.models.decoder import Decoder

__all__ = ["save_pairlm"]


def save_pairlm(
    model: Decoder, path: str | PathLike[str], *, tokenizer: str = "", training: dict[str, Any] | None = None
) -> None:
    """Write a decoder whose layers are all pair layers.

    Parameters
    ----------
    model : Decoder
    path : path
        The file, which :meth:`thrifty.pairconnect.PairLM.load` opens.
    tokenizer : str
        What the file of its tokenizer contains; empty for bytes.
    training : dict, optional
        What the file shall say of how it was trained.

    Raises
    ------
    ValueError
        When a layer is of another kind.
    """
    other = [kind for kind in model.config.mixers if kind != "pair"]
    if other:
        raise ValueError(f"model: has a layer of '{other[0]}'; a PairLM has pair layers alone")
    dense: dict[str, Any] = {"embed": model.embed.weight, "norm": model.norm.weight}
    tables = []
    for i, layer in enumerate(model.layers):
        dense[f"layers.{i}.out"] = layer.mixer.out.weight
        dense[f"layers.{i}.norm"] = layer.norm.weight
        dense[f"layers.{i}.gate_up"] = layer.gate_up.weight
        dense[f"layers.{i}.down"] = layer.down.weight
        tables.append(layer.mixer.lookup.table())
    arrays = [(name, np.ascontiguousarray(w.detach().cpu().float().numpy())) for name, w in dense.items()]
    spec = {
        "vocab": model.config.vocab,
        "dim": model.config.dim,
        "hidden": model.config.hidden,
        "layers": [json.loads(table.spec.to_json()) for table in tables],
    }
    note = {"tokenizer": tokenizer, "training": training or {}}
    flat = [(name, array.reshape(-1), list(array.shape)) for name, array in arrays]
    _core.pairlm_write(path, json.dumps(spec), json.dumps(note), flat, [table._core for table in tables])
