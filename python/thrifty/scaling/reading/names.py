"""Which column is which: names that trackers and people give them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thrifty.errors import DatasetError
from thrifty.scaling.reading.table import listed, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thrifty.scaling.reading.table import Table

__all__ = ["FIELDS", "column_of", "given_columns", "losses"]

#: What laws know, and other names of it, the usual ones first; cases, signs and prefixes of trackers do not matter.
FIELDS = {
    "n_params": ("n_params", "params", "num_params", "n_parameters", "num_parameters", "parameters", "total_params",
                 "n_params_total", "model_size", "param_count", "parameter_count", "n"),
    "n_params_non_embedding": ("n_params_non_embedding", "n_params_no_embed", "n_params_no_embedding",
                               "n_params_without_embeddings", "non_embedding_params", "num_non_embedding_params",
                               "non_embedding_parameters", "params_non_embedding", "params_no_embed",
                               "num_params_non_embedding"),
    "n_tokens": ("n_tokens", "tokens", "num_tokens", "train_tokens", "training_tokens", "tokens_seen", "n_train_tokens",
                 "total_tokens", "num_train_tokens", "token_count", "d"),
    "d_model": ("d_model", "width", "hidden_size", "n_embd", "hidden_dim", "model_dim", "embed_dim"),
    "n_layers": ("n_layers", "n_layer", "num_layers", "layers", "depth", "num_hidden_layers"),
    "loss": ("loss", "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "final_loss",
             "loss_val", "loss_eval", "heldout_loss"),
    "run": ("run", "run_name", "run_id", "name", "id"),
}  # fmt: skip
#: What trackers put before a name, and after it.
_BEFORE = (
    "config.",
    "config/",
    "summary_metrics.",
    "summary.",
    "summary/",
    "history.",
    "hparams.",
    "params.",
    "model.",
)
_AFTER = (".value",)


def column_of(field: str, table: Table, given: Mapping[str, str]) -> str | None:
    """Return the column of a field: the one that was given, the one of that name, or the one that is called alike.

    Raises
    ------
    DatasetError
        For a given column that is not there, and for two that are called alike.
    """
    if field in given:
        name = given[field]
        table.column(name, f"asked for as {field}")
        return name
    if field in table.columns:
        return field
    taken = set(given.values())
    by_name: dict[str, list[str]] = {}
    for column in table.columns:
        if column not in taken:
            by_name.setdefault(_plain(column), []).append(column)
    found = [column for alias in FIELDS[field] for column in by_name.get(alias, [])]
    if len(found) > 1 and field != "run":
        raise DatasetError(f"{table.file}: {listed(found)} may all be {field}; say which: --columns {field}=NAME")
    return found[0] if found else None


def losses(table: Table) -> str:
    """Say which columns may be losses, for a message."""
    names = [name for name in table.columns if re.search("loss|nll|bpb|perplexity|ppl|bits", name.lower())]
    return f"; it may be one of {listed(names)}" if names else table.near("loss")


def _plain(name: str) -> str:
    """Return a name in small letters, without what a tracker put around it."""
    text = name.strip().lower()
    for before in _BEFORE:
        text = text.removeprefix(before)
    for after in _AFTER:
        text = text.removesuffix(after)
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")


def given_columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    """Check a map of fields to columns."""
    found = dict(columns or {})
    for field in found:
        if field not in FIELDS:
            raise ValueError(f"columns: {shown(field)} is none of {', '.join(FIELDS)}")
    return found
