"""The demo of pairconnect: a language model of pair tables reads what it never saw, and goes on writing."""

from __future__ import annotations

import lzma
import time
from typing import TYPE_CHECKING

import numpy as np

from thrifty.pairconnect import PairLM, read_text
from thrifty.pipeline import demo_decode as decode
from thrifty.pipeline.data import novels
from thrifty.pipeline.ngram import byte_bits
from thrifty.report import Bars, Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[str, int, int], object]

__all__ = ["tell"]

#: Ids that a position sees.
WINDOW = 64
#: Of the n-gram models: the one that is asked for, and a better one.
ORDERS = (3, 5)
PROMPT, SAMPLE = "It was a ", 160


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Code a text that was held back, by the model and by what needs none, and measure what a token costs."""
    del folder, full  # nothing is kept, and all of it takes seconds
    path = novels() / "model.safetensors"
    model = PairLM.load(path, progress=progress)
    learned, held = read_text(novels() / "novels.txt.xz"), read_text(novels() / "held-back.txt")
    ids, _ = model.encoding.encode(held)
    started = time.perf_counter()
    coded = coded_bits(model, ids, threads, progress) / 8
    seconds = time.perf_counter() - started
    beside = baselines(learned, held)
    costs = decode.measured(path, seed)
    state, cache = 4 * decode.CACHE, costs["cache_bytes"] * len(model.tables)
    dense, tables = model.nbytes
    bits = {name: 8 * size / len(held) for name, size in {"PairLM": coded, **beside}.items()}
    ngram, xz = f"order-{ORDERS[0]} n-gram, after the excerpt", "xz -9"
    return Section(
        "pairconnect",
        "pairconnect: the next words, without attention",
        f"A language model of {len(model.tables)} layer{'s' * (len(model.tables) > 1)} that looks up pairs of ids in "
        f"hashed tables, in the place of attention: a file of {path.stat().st_size / 1e6:.1f} MB, "
        f"{tables / 1e6:.2f} MB of it tables. It learned from the first 94 % of seven novels and now reads "
        f"{len(held):,} bytes of their ends, which were held back. A model that gives the next byte the probability p "
        "can code it in -log2(p) bits, so bits a byte compare it with programs that compress.\n\nWhat each knows is "
        "not the same, and is said with it. xz and the n-gram models (Witten-Bell, adaptive) begin with nothing, or "
        f"after an excerpt of {len(learned):,} bytes of what the model learned from, and adapt to what they read; the "
        "model learned from 12.2 MB, and does not. What n-gram models reach that learned from as much, and are then "
        "several times its size, is in SOURCE.md beside the data.\n\nWhat a token costs is CPU time of one thread, "
        f"beside attention of the same width with {decode.CACHE} tokens in its cache. Attention is in numpy, whose "
        "calls take a good part of its time; the model is in Rust.",
        [
            Figure(
                "pairconnect.bits_per_byte",
                "A byte of held-back text",
                bits["PairLM"],
                "bits",
                baseline=bits[ngram],
                ratio=bits[ngram] / bits["PairLM"],
                source=f"all {len(ids):,} ids, in {seconds:.2f} s; beside it an {ngram}",
            ),
            Figure(
                "pairconnect.coded_kb",
                "Held-back text, coded",
                coded / 1e3,
                "kB",
                baseline=beside[xz] / 1e3,
                ratio=beside[xz] / coded,
                source=f"of {len(held) / 1e3:.1f} kB, the model's file not counted; beside it xz -9, which knows "
                "nothing before",
            ),
            Figure(
                "pairconnect.layer_us",
                "A token in a pair layer",
                costs["pair_layer"],
                "CPU-us",
                baseline=costs["attention_layer"],
                ratio=costs["attention_layer"] / costs["pair_layer"],
                source=f"at most: a call from Python, lookup and output; beside it attention of {model.dim} numbers in "
                "numpy: queries, keys, values, cache, output",
            ),
            Figure(
                "pairconnect.token_us",
                "A token of the whole model",
                costs["pairs"],
                "CPU-us",
                baseline=costs["attention"],
                ratio=costs["attention"] / costs["pairs"],
                source=f"the likeliest of {model.vocab:,} ids; beside it a decoder in numpy with attention, its other "
                f"sizes the same; drawing an id instead makes it {costs['drawn']:.0f}",
            ),
            Figure(
                "pairconnect.state_bytes",
                f"State of {decode.CACHE} tokens",
                state,
                "bytes",
                baseline=cache,
                ratio=cache / state,
                source="ids of four bytes; beside it keys and values in f32",
            ),
            Figure("pairconnect.model_mb", "The model", path.stat().st_size / 1e6, "MB", source=_sizes(dense, tables)),
            Bars("pairconnect.bits", "Bits a byte of the held-back text", bits, "bits", ours="PairLM"),
            Table(
                "pairconnect.sees",
                "What each knows before, and what it makes of the text",
                ["by", "knows before", "bytes", "bits a byte"],
                [(name, _knows(name, learned), round(bits[name] * len(held) / 8), bits[name]) for name in bits],
            ),
            Table("pairconnect.sample", "What the model writes", ["prompt", "then"], [(PROMPT, sample(model, seed))]),
        ],
    )


def coded_bits(model: PairLM, ids: np.ndarray, threads: int, progress: Progress | None) -> float:
    """Bits that all ids take: each behind the last ones before it; the first ones as if all ids were as likely."""
    positions, losses = model.losses(ids, window=WINDOW, stride=1, threads=threads, progress=progress)
    return float(losses.sum(dtype=np.float64) / np.log(2) + (len(ids) - len(positions)) * np.log2(model.vocab))


def baselines(learned: bytes, held: bytes) -> dict[str, float]:
    """Bytes that the text takes by xz and by n-gram models, alone and after what was learned."""

    def xz(text: bytes) -> int:
        return len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))

    sizes = {}
    for order in ORDERS:
        both = byte_bits(learned + held, order)
        sizes[f"order-{order} n-gram, after the excerpt"] = both[len(learned) :].sum() / 8
    sizes["xz -9, after the excerpt"] = xz(learned + held) - xz(learned)
    sizes[f"order-{ORDERS[0]} n-gram"] = byte_bits(held, ORDERS[0]).sum() / 8
    sizes["xz -9"] = xz(held)
    return {name: float(size) for name, size in sizes.items()}


def sample(model: PairLM, seed: int) -> str:
    """Text that the model makes up."""
    encoding = model.encoding
    drawn = model.generate(encoding.encode(PROMPT.encode())[0], SAMPLE, temperature=0.7, seed=seed)
    return encoding.decode(drawn)


def _knows(name: str, learned: bytes) -> str:
    if name == "PairLM":
        return "12.2 MB of the novels' beginnings"
    return f"{len(learned):,} bytes of those, and adapts" if "after" in name else "nothing, and adapts"


def _sizes(dense: int, tables: int) -> str:
    return f"{dense / 1e6:.2f} MB of dense weights, {tables / 1e6:.2f} MB of tables, the tokenizer"
