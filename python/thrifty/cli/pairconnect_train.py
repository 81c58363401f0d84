"""``thrifty pairconnect train``: the text, the training, the model."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from thrifty.cli import common
from thrifty.errors import DatasetError, MismatchError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thrifty.pairconnect import PairLM
    from thrifty.pairconnect.text import Encoding

__all__ = ["Teacher", "decoder_of", "long_enough", "run", "the_teacher", "torch_for"]


def run(
    text: Path,
    model: Path,
    *,
    tokenizer: Path | None,
    valid: Path | None,
    max_tokens: int | None,
    max_seconds: float | None,
    sizes: dict[str, int],
    mixer: str,
    dropout: float,
    settings: dict[str, Any],
    teacher: Path | None,
    device: str,
    table_dtype: Literal["f32", "bf16", "i8"],
    checkpoint: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Train, write and tell."""
    torch = torch_for(device, threads)
    from thrifty.models import TrainSettings, save_decoder, train
    from thrifty.models.evaluate import evaluate
    from thrifty.models.export import save_pairlm
    from thrifty.models.trainer import evenly
    from thrifty.pairconnect import Bytes, PairLM, Tokenizer, read_text

    folder = mixer != "pair"
    common.writable(model, "the model", folder=folder)
    if checkpoint is not None:
        common.writable(checkpoint, "the checkpoint")
    encoding: Encoding = Bytes() if tokenizer is None else Tokenizer.from_file(tokenizer)
    taught = None
    if teacher is not None:
        known = the_teacher(teacher, None if tokenizer is None else encoding, device)
        taught, encoding, settings["teacher"] = known.scores, known.encoding, known.name
    measured = None if valid is None else read_text(valid)
    ids, _ = encoding.encode(read_text(text))
    tokens = max_tokens or len(ids)
    ids = evenly(ids, tokens)
    long_enough(text, ids, settings["context"])
    torch.manual_seed(settings["seed"])
    network = decoder_of(sizes, mixer, dropout, encoding.vocab, settings["seed"]).to(device)
    started, used = time.perf_counter(), time.process_time()
    with common.progress() as callback:
        rows = train(
            network,
            ids,
            TrainSettings(tokens=tokens, **settings),
            teacher=taught,
            checkpoint=checkpoint,
            max_seconds=max_seconds,
            progress=callback,
        )
        told = {"tokens": rows[-1]["tokens"], "loss": rows[-1]["loss"], "text": text.name, **settings}
        told |= {"dropout": dropout} if dropout else {}
        if folder:
            save_decoder(network, model, tokenizer=encoding.json, training=told)
        else:
            save_pairlm(network, model, tokenizer=encoding.json, training=told, table_dtype=table_dtype)
        result = {
            "model": str(model),
            "bytes": sum(f.stat().st_size for f in (model.iterdir() if folder else [model])),
            "tokens": rows[-1]["tokens"],
            "loss": rows[-1]["loss"],
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
        }
        if measured is not None:
            wide = {"window": settings["context"], "stride": min(32, settings["context"])}
            if folder:
                found = evaluate(network, measured, encoding, **wide)
            else:
                found = PairLM.load(model).evaluate(measured, **wide, threads=threads)
            result |= {f"valid_{name}": value for name, value in found.items()}
    if as_json:
        common.emit(result)
    else:
        shown = {n: f"{v:,.4g}" if isinstance(v, float) else f"{v:,}" for n, v in result.items() if n != "model"}
        common.table(str(model), list(shown.items()))


def decoder_of(sizes: dict[str, int], mixer: str, dropout: float, vocab: int, seed: int) -> Any:
    """Make a decoder whose layers are of one kind."""
    from thrifty.models import Decoder, DecoderConfig
    from thrifty.pairconnect import PairSpec

    heads = 4
    pair = PairSpec(
        vocab=vocab,
        rows=sizes["rows"],
        heads=heads,
        head_dim=-(-sizes["dim"] // heads),
        window=sizes["window"],
        seed=seed,
    )
    config = DecoderConfig(
        vocab=vocab,
        dim=sizes["dim"],
        hidden=sizes["hidden"],
        mixers=(mixer,) * sizes["layers"],
        heads=heads,
        pair=pair if mixer == "pair" else None,
        dropout=dropout,
    )
    return Decoder(config)


def torch_for(device: str, threads: int) -> Any:
    """Return torch, with so many threads."""
    from thrifty._torch import require_torch

    torch: Any = require_torch()
    if threads:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda: torch finds none")
    return torch


def long_enough(text: Path, ids: Any, context: int) -> None:
    """Refuse a text without a window."""
    if len(ids) < context + 2:
        raise DatasetError(f"{text}: {len(ids)} ids are no window of --context {context}")


class Teacher(NamedTuple):
    """A model that is learned from: a decoder of torch, or a PairLM."""

    model: Any
    encoding: Encoding
    name: str
    """A hash of its weights."""
    scores: Callable[[Any], Any]
    """From ids of shape (sequences, tokens) to scores of what follows each, tensors of torch."""


def the_teacher(path: Path, given: Encoding | None, device: str) -> Teacher:
    """Open a teacher, a decoder's folder or a PairLM's file: ids of it and of its student must be the same."""
    import hashlib

    from thrifty.pairconnect import Bytes, PairLM, Tokenizer

    if path.is_file():
        small = PairLM.load(path)
        encoding, vocab, file = small.encoding, small.vocab, path
        model, scores = small, _scores_of(small)
    else:
        from thrifty.models import load_decoder

        decoder, json, _ = load_decoder(path, device=device)
        encoding = Tokenizer(json, str(path / "tokenizer.json")) if json else Bytes()
        vocab, file = decoder.config.vocab, path / "model.safetensors"
        model = scores = decoder.requires_grad_(False)
    if encoding.vocab != vocab:
        raise MismatchError(f"{path}: a model of {vocab} ids, its tokenizer has {encoding.vocab}")
    if given is not None and given.vocab != encoding.vocab:
        raise MismatchError(f"--tokenizer has {given.vocab} ids, and the teacher {path} has {encoding.vocab}")
    if given is not None and given.json != encoding.json:
        raise MismatchError(f"--tokenizer is another than that of the teacher {path}; leave it out to use that one")
    name = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return Teacher(model, encoding, name, scores)


def _scores_of(model: PairLM) -> Callable[[Any], Any]:
    from thrifty._torch import require_torch

    torch: Any = require_torch()

    def scores(ids: Any) -> Any:
        return torch.from_numpy(model.scores(ids.cpu().numpy())).to(ids.device)

    return scores
