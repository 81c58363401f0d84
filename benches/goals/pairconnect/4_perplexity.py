"""Perplexity in a small fixed setting, beside peers that are trained in the same run.

Novels of pgnovels as ids of bpe2048, 600,000 of them for training (``evenly``), one pass, windows of 64, 16 a step.
Scored are the first 40,000 ids of a split by windows of 64 with stride 32. pair: what ``thrifty pairconnect train``
makes with 262,144 rows a head, three seeds, read by PairLM. Peers of the same width, depth and units, each the best of
its learning rates on the validation text: Transformer, gMLP, AFT, the decoder without a mixer, the paper's layer made
causal. table: fewer rows. counts: modified Kneser-Ney of five ids on the same text, which must be what it was
elsewhere, and a law.

REHEARSE=1 takes a thirtieth of the text, to see that the script runs. --planted empties the tables of the pair model.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT / "benches" / "peers"))
import torch
from kneser_ney import KneserNey
from language import Sizes, model_of

from thrifty.models import Decoder, DecoderConfig, TrainSettings, train
from thrifty.models.evaluate import evaluate
from thrifty.models.export import save_pairlm
from thrifty.models.trainer import evenly
from thrifty.pairconnect import PairLM, PairSpec, Tokenizer, read_text

goal = Goal(__file__, __doc__, ("torch", "tokenizers"))
TOKENS = 20_000 if os.environ.get("REHEARSE") else 600_000
SCORED = 40_000
ROWS = 262_144
Rates = tuple[tuple[float, float], ...]
PEERS: dict[str, tuple[str, Rates]] = {
    "Transformer": ("attention", ((2e-3, 0.0), (4e-3, 0.0), (8e-3, 0.0))),
    "gMLP": ("gmlp", ((3e-3, 0.0), (6e-3, 0.0), (1e-2, 0.0))),
    "AFT": ("aft", ((3e-3, 0.0), (6e-3, 0.0), (1e-2, 0.0))),
    "no pair": ("none", ((3e-3, 0.0), (6e-3, 0.0))),
    "the paper's layer": ("paper", ((2e-3, 3e-3), (4e-3, 1e-2), (8e-3, 1e-2))),
}
"""Kinds, and learning rates of dense weights and of tables."""
folder = goal.data("text/pgnovels")
tokenizer = Tokenizer.from_file(folder / "bpe2048.json")
splits = {name: read_text(folder / f"{name}.txt") for name in ("valid", "test")}
torch.set_num_threads(len(os.sched_getaffinity(0)))


def told(name: str, found: dict[str, float]) -> None:
    print(f"{name}: {json.dumps(found)}", file=sys.stderr, flush=True)


def emptied(path: Path, rows: int, seed: int) -> None:
    """The fault: a pair model whose tables say nothing."""
    torch.manual_seed(seed)
    model = Decoder(DecoderConfig(vocab=tokenizer.vocab, hidden=512, pair=PairSpec(vocab=tokenizer.vocab, rows=rows)))
    train(model, ids(), TrainSettings(tokens=TOKENS, seed=seed))
    for layer in model.layers:
        layer.mixer.lookup.weight.detach().zero_()
    save_pairlm(model, path, tokenizer=tokenizer.json)


def ids() -> Any:
    return evenly(tokenizer.encode(read_text(folder / "train.txt.xz"))[0], TOKENS)


def pair(rows: int, seed: int) -> dict[str, float]:
    """Perplexity of valid and test of a model that the command line trains."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model"
        if goal.planted:
            emptied(path, rows, seed)
        else:
            command = ["pairconnect", "train", folder / "train.txt.xz", path, "--tokenizer", folder / "bpe2048.json"]
            command += ["--max-tokens", TOKENS, "--rows", rows, "--seed", seed, "--json"]
            subprocess.run([sys.executable, "-m", "thrifty", *map(str, command)], check=True, stdout=subprocess.DEVNULL)
        model = PairLM.load(path)
        found = {name: model.evaluate(text, max_tokens=SCORED)["perplexity"] for name, text in splits.items()}
    told(f"pair, {rows} rows, seed {seed}", found)
    return found


def peer(kind: str, rates: Rates, text: Any) -> dict[str, float]:
    """The best of learning rates on the validation text."""
    best: dict[str, float] = {"valid": np.inf}
    for lr, table_lr in rates:
        model = model_of(kind, Sizes(vocab=tokenizer.vocab), goal.seed)
        train(model, text, TrainSettings(tokens=TOKENS, lr=lr, table_lr=table_lr, seed=goal.seed))
        found = {"lr": lr, "table_lr": table_lr}
        for name, content in splits.items():
            found[name] = evaluate(model, content, tokenizer, max_tokens=SCORED)["perplexity"]
        told(kind, found)
        best = min(best, found, key=lambda one: one["valid"])
    return best


def counts(text: Any) -> float:
    """Rows of Kneser-Ney; its test perplexity."""
    model = KneserNey(text, 5, tokenizer.vocab)
    rng = np.random.default_rng(goal.seed)
    test = tokenizer.encode(splits["test"])[0][:SCORED]
    everything = np.arange(tokenizer.vocab)
    sums = []
    for at in rng.integers(4, len(test), 20):
        before = np.repeat(test[None, at - 4 : at], tokenizer.vocab, 0)
        sums.append(model.probabilities(before, everything).sum())
    what = "Kneser-Ney: the farthest that the probabilities of all ids come from 1, 20 contexts"
    goal.row("counts/law", what, "<= 1e-9", float(np.abs(np.array(sums) - 1).max()))
    starts = np.arange(0, len(test) - 64, 32)
    at = (starts[:, None] + np.arange(33, 65)).reshape(-1)
    perplexity = float(np.exp(model.losses(test, at).mean()))
    goal.row(
        "counts/test", f"Kneser-Ney of five ids: test perplexity, {model.size:,} n-grams", "62.7..63.9", perplexity
    )
    return perplexity


def main() -> None:
    """Train all, then judge."""
    text = ids()
    seeds = (goal.seed,) if goal.planted else (goal.seed, goal.seed + 1, goal.seed + 2)
    ours = [pair(ROWS, seed) for seed in seeds]
    test = float(np.mean([one["test"] for one in ours]))
    each = ", ".join(f"{one['test']:.1f}" for one in ours)
    valid = float(np.mean([one["valid"] for one in ours]))
    what = f"pair model, W=4, 2 x 128, {ROWS:,} rows a head: test perplexity, mean of seeds ({each}; valid {valid:.1f})"
    goal.row("pair/test", what, "<= 68.85", test)
    if goal.wants("counts"):
        law = counts(text)
        what = f"Kneser-Ney of five ids ({law:.1f}) over the pair model; below 1 the counts are better"
        goal.row("counts/over pair", what, ">= 0.9", law / test, "times")
    found = {}
    for name, (kind, rates) in PEERS.items():
        part = "paper" if kind == "paper" else "peers"
        if (goal.planted and kind != "none") or not (goal.wants(part) or (kind == "none" and goal.wants("table"))):
            continue
        found[name] = peer(kind, rates, text)
        other = found[name]["test"]
        what = f"{name}, best of {len(rates)} learning rates ({other:.1f}), over the pair model: test perplexity"
        goal.row(f"{part}/{name}", what, ">= 1", other / test, "times")
    if not goal.wants("table"):
        return
    what = "the same decoder without pairs, over the pair model: test perplexity"
    goal.row("table/no pair", what, ">= 1.5", found["no pair"]["test"] / test, "times")
    if not goal.planted:
        sizes = (100, 4096, 32_768)
        reached = [*(pair(rows, goal.seed)["test"] for rows in sizes), ours[0]["test"]]
        each = ", ".join(f"{rows:,} ({found:.1f})" for rows, found in zip((*sizes, ROWS), reached, strict=True))
        what = f"rows a head {each}: the least gain of a step"
        goal.row("table/rows", what, ">= 1", min(a / b for a, b in itertools.pairwise(reached)), "times")


main()
goal.end()
