"""Decoders of pair layers as PairLM files, which need no torch."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thrifty import _core
from thrifty.pairconnect import PairTable

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.models.decoder import Decoder

#: Rows that are read back and rounded together.
CHUNK = 1 << 16

__all__ = ["save_pairlm"]


def save_pairlm(
    model: Decoder,
    path: str | PathLike[str],
    *,
    tokenizer: str = "",
    training: dict[str, Any] | None = None,
    table_dtype: Literal["f32", "bf16", "i8"] = "f32",
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
    table_dtype : str
        What rows of tables are rounded to: ``"f32"``, ``"bf16"``, or ``"i8"`` with a factor a row. What rounding
        changed is added to ``training`` as ``table_rounding``, for each layer ``max_abs`` (of a number, at most) and
        ``rel_l2`` (of all, relative to their norm). Dense weights are f32.

    Raises
    ------
    ValueError
        When a layer is of another kind, or ``table_dtype`` none of these.
    """
    other = [kind for kind in model.config.mixers if kind != "pair"]
    if other:
        raise ValueError(f"model: has a layer of '{other[0]}'; a PairLM has pair layers alone")
    if table_dtype not in ("f32", "bf16", "i8"):
        raise ValueError(f"table_dtype: '{table_dtype}' is not f32, bf16 or i8")
    dense: dict[str, Any] = {"embed": model.embed.weight, "norm": model.norm.weight}
    tables = []
    for i, layer in enumerate(model.layers):
        dense[f"layers.{i}.out"] = layer.mixer.out.weight
        dense[f"layers.{i}.norm"] = layer.norm.weight
        dense[f"layers.{i}.gate_up"] = layer.gate_up.weight
        dense[f"layers.{i}.down"] = layer.down.weight
        tables.append(layer.mixer.lookup.table())
    arrays = [(name, np.ascontiguousarray(w.detach().cpu().float().numpy())) for name, w in dense.items()]
    told = dict(training or {})
    if table_dtype != "f32":
        rounded = [as_dtype(table, table_dtype) for table in tables]
        tables = [table for table, _ in rounded]
        told |= {"table_dtype": table_dtype, "table_rounding": [changed for _, changed in rounded]}
    spec = {
        "vocab": model.config.vocab,
        "dim": model.config.dim,
        "hidden": model.config.hidden,
        "layers": [json.loads(table.spec.to_json()) for table in tables],
    }
    note = {"tokenizer": tokenizer, "training": told}
    flat = [(name, array.reshape(-1), list(array.shape)) for name, array in arrays]
    _core.pairlm_write(path, json.dumps(spec), json.dumps(note), flat, [table._core for table in tables])


def as_dtype(table: PairTable, dtype: Literal["f32", "bf16", "i8"]) -> tuple[PairTable, dict[str, float]]:
    """Return a table with rows of another dtype, and what rounding changed."""
    out = PairTable(replace(table.spec, dtype=dtype))
    total = table.spec.heads * table.spec.rows
    most = error = norm = 0.0
    for first in range(0, total, CHUNK):
        values, logits = table.get_rows(first, min(CHUNK, total - first))
        largest, relative = out.set_rows(first, values, logits)
        square = float(np.square(values, dtype=np.float64).sum())
        most, error, norm = max(most, largest), error + relative**2 * square, norm + square
    return out, {"max_abs": most, "rel_l2": float(np.sqrt(error / norm)) if norm else 0.0}
