"""``thrifty pairconnect train``: the text, the training, the model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from thrifty.cli import common
from thrifty.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]


def run(
    text: Path,
    model: Path,
    *,
    tokenizer: Path | None,
    valid: Path | None,
    max_tokens: int | None,
    max_seconds: float | None,
    sizes: dict[str, int],
    settings: dict[str, Any],
    table_dtype: Literal["f32", "bf16", "i8"],
    checkpoint: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Train, write and tell."""
    from thrifty._torch import require_torch

    torch: Any = require_torch()
    from thrifty.models import Decoder, DecoderConfig, TrainSettings, train
    from thrifty.models.export import save_pairlm
    from thrifty.models.trainer import evenly
    from thrifty.pairconnect import Bytes, PairLM, PairSpec, Tokenizer, read_text

    if threads:
        torch.set_num_threads(threads)
    common.writable(model, "the model")
    if checkpoint is not None:
        common.writable(checkpoint, "the checkpoint")
    encoding = Bytes() if tokenizer is None else Tokenizer.from_file(tokenizer)
    measured = None if valid is None else read_text(valid)
    ids, _ = encoding.encode(read_text(text))
    tokens = max_tokens or len(ids)
    ids = evenly(ids, tokens)
    if len(ids) < settings["context"] + 2:
        raise DatasetError(f"{text}: {len(ids)} ids are no window of --context {settings['context']}")
    torch.manual_seed(settings["seed"])
    heads = 4
    pair = PairSpec(
        vocab=encoding.vocab,
        rows=sizes["rows"],
        heads=heads,
        head_dim=-(-sizes["dim"] // heads),
        window=sizes["window"],
        seed=settings["seed"],
    )
    config = DecoderConfig(
        vocab=encoding.vocab,
        dim=sizes["dim"],
        hidden=sizes["hidden"],
        mixers=("pair",) * sizes["layers"],
        pair=pair,
    )
    network = Decoder(config)
    started, used = time.perf_counter(), time.process_time()
    with common.progress() as callback:
        rows = train(
            network,
            ids,
            TrainSettings(tokens=tokens, **settings),
            checkpoint=checkpoint,
            max_seconds=max_seconds,
            progress=callback,
        )
        told = {"tokens": rows[-1]["tokens"], "loss": rows[-1]["loss"], "text": text.name, **settings}
        save_pairlm(network, model, tokenizer=encoding.json, training=told, table_dtype=table_dtype)
        result = {
            "model": str(model),
            "bytes": model.stat().st_size,
            "tokens": rows[-1]["tokens"],
            "loss": rows[-1]["loss"],
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
        }
        if measured is not None:
            found = PairLM.load(model).evaluate(measured, window=settings["context"], threads=threads)
            result |= {f"valid_{name}": value for name, value in found.items()}
    if as_json:
        common.emit(result)
    else:
        shown = {n: f"{v:,.4g}" if isinstance(v, float) else f"{v:,}" for n, v in result.items() if n != "model"}
        common.table(str(model), list(shown.items()))
