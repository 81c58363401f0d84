"""An exam that small language models can take: which continuation of a passage is the real one.

Passages of seven novels' ends, which no model has seen; four options from the same novel; 4,200 questions, and 2,100
whose options begin with the same word. The two PairLMs of the package, and three networks that are trained here on
3 million tokens of the novels' beginnings with the same vocabulary: one with a pair table, its twin without, and a
narrow one without (a quarter of the width).

low: the lower end of the interval of the package's PairLM, by clusters of passages that share text, in percent; chance
is 25. order: of the four models whose bits a byte of the same text lie apart (at least 0.05; gap says the least), how
many have the same place by accuracy. told_apart: McNemar's p of the twins on questions that begin with the same word;
more: how many questions the one with pairs has right alone, less the other's. blind: a model that sees one word is at
chance where all options begin with the same one: distance from 25 % in standard errors.

``--planted``: half of the answers are those of another option.
"""

from __future__ import annotations

import lzma
import sys
import tempfile
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import torch
from rows import ROOT, Goal

from cases.books import books
from thrifty.exam import ContinuationExam, Graded, continuations
from thrifty.models import Decoder, DecoderConfig, TrainSettings, train
from thrifty.models.evaluate import evaluate, log_likelihoods
from thrifty.models.export import save_pairlm
from thrifty.models.trainer import evenly
from thrifty.pairconnect import PairLM, PairSpec, Tokenizer
from thrifty.stats import clustered_mean, mcnemar

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTIONS, SAME, TOKENS = 4200, 2100, 3_000_000
APART = ("model", "pair", "no pair", "narrow")
PACKAGE = ROOT / "python" / "thrifty" / "data" / "pairconnect"


def trained(mixer: str, encoding: Tokenizer, ids: Any, seed: int, dim: int = 48) -> Decoder:
    """One layer on so many tokens of the novels."""
    pair = PairSpec(vocab=encoding.vocab, rows=8192, heads=4, head_dim=12, window=3, seed=seed)
    torch.manual_seed(seed)
    config = DecoderConfig(
        vocab=encoding.vocab, dim=dim, hidden=4 * dim, mixers=(mixer,), pair=pair if mixer == "pair" else None
    )
    model = Decoder(config)
    train(model, evenly(ids, TOKENS), TrainSettings(tokens=TOKENS, seed=seed))
    return model.eval()


def models(goal: Goal, folder: Path, work: Path) -> dict[str, tuple[Callable[[Any], Any], float]]:
    """Log-likelihoods of each, and bits a byte."""
    text = (folder / "test.txt").read_bytes()
    encoding = Tokenizer.from_file(folder / "bpe2048.json")
    ids, _ = encoding.encode(lzma.decompress((folder / "train.txt.xz").read_bytes()))
    save_pairlm(trained("pair", encoding, ids, goal.seed), work / "pair", tokenizer=encoding.json)
    files = {name: PACKAGE / f"{name}.safetensors" for name in ("model", "small")} | {"pair": work / "pair"}
    found: dict[str, tuple[Callable[[Any], Any], float]] = {}
    for name, path in files.items():
        model = PairLM.load(path)
        found[name] = model.log_likelihoods, model.evaluate(text)["bits_per_byte"]
    for name, dim in (("no pair", 48), ("narrow", 12)):
        plain = trained("none", encoding, ids, goal.seed, dim)
        bits = evaluate(plain, text, encoding)["bits_per_byte"]
        found[name] = partial(log_likelihoods, plain, encoding=encoding), bits
    return found


def planted(exam: ContinuationExam) -> ContinuationExam:
    """Every other answer wrong."""
    moved = (replace(item, answer=(item.answer + i % 2) % 4) for i, item in enumerate(exam))
    return ContinuationExam(tuple(moved))


def agreements(bits: dict[str, float], graded: dict[str, Graded]) -> int:
    """Models whose place by accuracy is that by bits a byte."""
    by_bits = sorted(APART, key=bits.__getitem__)
    by_accuracy = sorted(APART, key=lambda name: -graded[name].correct.mean())
    return sum(a == b for a, b in zip(by_bits, by_accuracy, strict=True))


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch",))
    torch.set_num_threads(1)
    folder = goal.data("text") / "pgnovels"
    novels = books(folder / "test.txt")
    with tempfile.TemporaryDirectory() as work:
        found = models(goal, folder, Path(work))
    bits = {name: value for name, (_, value) in found.items()}
    for same_word in (False, True):
        kind = "same_word" if same_word else "plain"
        exam = continuations(novels, SAME if same_word else QUESTIONS, same_word=same_word, seed=goal.seed)
        if goal.planted:
            exam = planted(exam)
        graded = {name: exam.grade(score, name=name) for name, (score, _) in found.items()}
        for name, result in graded.items():
            means = clustered_mean(result.correct, [answer.cluster for answer in result.answers])
            what = f"right of {len(exam):,}, {name}, {bits[name]:.3f} bits a byte"
            goal.row(f"{kind}/{name}", what, ">= 24", 100 * means.value, "%")
            if name == "model":
                what = "lower end of its interval of 95 %; chance is 25"
                goal.row(f"{kind}/low", what, ">= 25.0001", 100 * means.low, "%")
            if name == "no pair" and same_word:
                what = "standard errors between a model of one word and chance"
                goal.row(f"{kind}/blind", what, "<= 3", abs(means.value - 0.25) / (0.1875 / len(exam)) ** 0.5)
        if not same_word:
            ordered = sorted(bits[name] for name in APART)
            gap = min(b - a for a, b in pairwise(ordered))
            goal.row(f"{kind}/gap", "least distance between the bits a byte of four models", ">= 0.05", gap, "bits")
            what = "models of the four whose place by accuracy is that by bits a byte"
            goal.row(f"{kind}/order", what, "== 4", agreements(bits, graded))
        ours, theirs = graded["pair"].correct, graded["no pair"].correct
        more, fewer = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        if same_word:
            what = "McNemar's p of a network with a pair table and its twin without"
            goal.row(f"{kind}/told_apart", what, "<= 0.01", mcnemar(more, fewer))
        goal.row(
            f"{kind}/more", "questions that the one with pairs alone has right, less the other's", ">= 1", more - fewer
        )
    goal.end()


if __name__ == "__main__":
    main()
