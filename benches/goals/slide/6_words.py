"""Next words of seven novels: LSHLinear in the place of a dense head, at equal epochs.

Words are lower case, ``[a-z']+``; outputs are all types of train.txt by falling frequency, and <unk>, which half of
the words that occur once become, so that it is learned. The network sees six words (embedding of 64 each), a layer of
256 and one of 128 rectified units; all but the head is torch's in all runs, with the same seeds, batches of 1,024 and
a learning rate that falls to 0. Each head first passes over a random quarter of the positions of train.txt with each of
three learning rates; the one that is best for it on valid.txt is that of a whole epoch from new weights, whose figures
are the rows. test.txt is read whole, with the full softmax.

words: test perplexity of the head of hash tables, and of random neurons, over that of the dense head; CPU time of the
head alone (forward, loss, backward, optimizer; the median of all steps, one thread, memory that malloc keeps) against
the dense head's; the same for torch's AdaptiveLogSoftmaxWithLoss, a peer and no goal of ours. compile: 20 steps under
torch.compile(fullgraph=True) against the same steps without.

--planted trains few steps without log Q correction, and compiles a function with a break.
"""

from __future__ import annotations

import lzma
import os
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch
from rows import Goal
from torch import nn

from thrifty.slide import LSHConfig, LSHLinear

CONTEXT, EMBEDDING, WIDE, HIDDEN, BATCH = 6, 64, 256, 128, 1024
RATES = (8e-3, 1.6e-2, 3.2e-2)
TUNING = 0.25  # of an epoch
HEADS: dict[str, dict[str, Any] | str] = {
    "dense": "Linear",
    "dwta": {"family": "dwta", "active": 8192, "each": 1, "random": "log_uniform"},
    "log_uniform": {"family": "log_uniform", "active": 8192},
    "uniform": {"family": "uniform", "active": 8192},
    "adaptive": "AdaptiveLogSoftmaxWithLoss",
}


@dataclass(frozen=True)
class Result:
    """What came of a run."""

    rate: float
    steps: int
    valid: float
    perplexity: float
    step: float
    seconds: float
    figures: dict[str, float]


class Trunk(nn.Module):
    """Six words to hidden values."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING, sparse=True)
        nn.init.normal_(self.embedding.weight, std=0.1)
        wide, narrow = nn.Linear(CONTEXT * EMBEDDING, WIDE), nn.Linear(WIDE, HIDDEN)
        self.layers = nn.Sequential(wide, nn.ReLU(), narrow, nn.ReLU())

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(self.embedding(words).flatten(1))
        return out


def words(text: str) -> list[str]:
    return re.findall("[a-z']+", text.lower())


def corpus(folder: Path, seed: int) -> tuple[dict[str, torch.Tensor], int]:
    """Ids of the words of each file, and how many there are."""
    train = words(lzma.decompress((folder / "train.txt.xz").read_bytes()).decode())
    counts = Counter(train)
    ids = {word: i for i, word in enumerate(sorted(counts, key=lambda w: (-counts[w], w)))}
    unknown = len(ids)
    rng = np.random.default_rng(seed)
    once = [counts[w] == 1 and rng.random() < 0.5 for w in train]
    out = {"train": torch.tensor([unknown if o else ids[w] for w, o in zip(train, once, strict=True)])}
    for name in ("valid", "test"):
        out[name] = torch.tensor([ids.get(w, unknown) for w in words((folder / f"{name}.txt").read_text())])
    return out, unknown + 1


def before(text: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.stack([text[at - 1 - i] for i in range(CONTEXT)], 1)


def perplexity(trunk: Trunk, head: Any, text: torch.Tensor) -> float:
    """Of all words of a text but the first, with the softmax over all outputs."""
    total = 0.0
    with torch.no_grad():
        for at in torch.arange(CONTEXT, len(text)).split(BATCH):
            h = trunk(before(text, at))
            logs = head.log_prob(h) if isinstance(head, nn.AdaptiveLogSoftmaxWithLoss) else head(h).log_softmax(1)
            total -= float(logs.gather(1, text[at][:, None]).sum())
    return float(np.exp(total / (len(text) - CONTEXT)))


def make(kind: dict[str, Any] | str, outputs: int, planted: bool) -> Any:
    if kind == "Linear":
        return nn.Linear(HIDDEN, outputs)
    if kind == "AdaptiveLogSoftmaxWithLoss":
        return nn.AdaptiveLogSoftmaxWithLoss(HIDDEN, outputs, [2000, 10_000])
    assert isinstance(kind, dict)
    config = LSHConfig(**kind, correction="none" if planted else "logq")
    return LSHLinear(HIDDEN, outputs, config=config, threads=1)


def run(name: str, rate: float, epochs: float, folder: Path, seed: int, planted: bool) -> Result:
    """Train a network with one of the heads for so much of an epoch, a hundredth of that when planted."""
    torch.set_num_threads(1)
    begun = time.process_time()
    texts, outputs = corpus(folder, seed)
    text = texts["train"]
    torch.manual_seed(seed)
    trunk = Trunk(outputs)
    kind = HEADS[name]
    head = make(kind, outputs, planted)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam(trunk.layers.parameters()),
        torch.optim.SparseAdam(list(trunk.embedding.parameters())),
    ]
    own = None if isinstance(head, LSHLinear) else torch.optim.Adam(head.parameters())
    order = torch.randperm(len(text) - CONTEXT, generator=torch.Generator().manual_seed(seed)) + CONTEXT
    steps = int(len(order) * epochs * (0.01 if planted else 1)) // BATCH
    times = []
    for step in range(steps):
        lr = rate * (1 - step / steps)
        at = order[step * BATCH : (step + 1) * BATCH]
        h = trunk(before(text, at))
        hidden, labels = h.detach().requires_grad_(), text[at]
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
        start = time.process_time()
        if own is None:
            head.lr = lr
            head.loss(hidden, labels).backward()
        else:
            own.param_groups[0]["lr"] = lr
            own.zero_grad()
            loss = nn.functional.cross_entropy(head(hidden), labels) if kind == "Linear" else head(hidden, labels).loss
            loss.backward()
            own.step()
        times.append(time.process_time() - start)
        h.backward(hidden.grad)
        for optimizer in optimizers:
            optimizer.step()
    figures = head.stats() if own is None else {}
    if name == "dwta":
        at = torch.arange(CONTEXT, CONTEXT + BATCH)
        with torch.no_grad():
            figures["recall_10"] = head.recall(trunk(before(texts["valid"], at)), 10)
    valid, test = (perplexity(trunk, head, texts[name]) for name in ("valid", "test"))
    return Result(rate, steps, valid, test, float(np.median(times)), time.process_time() - begun, figures)


def compiled(seed: int, planted: bool) -> float:
    """Largest difference of the losses of compiled steps from plain ones, as a share; infinite with a break."""
    losses = []
    for fullgraph in (False, True):
        torch.manual_seed(seed)
        trunk, head = Trunk(5000), LSHLinear(HIDDEN, 5000, config=LSHConfig(correction="logq"), threads=1)

        def loss(at: torch.Tensor, labels: torch.Tensor, trunk: Trunk = trunk, head: LSHLinear = head) -> torch.Tensor:
            if planted:
                torch._dynamo.graph_break()
            return head.loss(trunk(at), labels)

        f = torch.compile(loss, fullgraph=True, backend="inductor") if fullgraph else loss
        optimizer = torch.optim.Adam(trunk.layers.parameters(), lr=0.01)
        g = torch.Generator().manual_seed(seed)
        for _ in range(20):
            at, labels = (torch.randint(0, 5000, shape, generator=g) for shape in ((256, CONTEXT), (256,)))
            optimizer.zero_grad()
            try:
                value = f(at, labels)
            except torch._dynamo.exc.Unsupported:
                return float("inf")
            value.backward()
            optimizer.step()
            losses.append(value.item())
    plain, fast = losses[:20], losses[20:]
    return max(abs(a / b - 1) for a, b in zip(plain, fast, strict=True))


def shown(name: str, r: Result) -> Result:
    figures = {k: round(v, 3) for k, v in r.figures.items()}
    text = f"{r.steps} steps of {1e3 * r.step:.1f} ms for the head, {r.seconds:.0f} CPU s in all"
    print(f"{name}, rate {r.rate}: valid {r.valid:.1f}, test {r.perplexity:.1f}, {text}", figures, file=sys.stderr)
    sys.stderr.flush()
    return r


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch",))
    if goal.wants("words"):
        folder = goal.data("text/pgnovels")
        # Without these malloc gives the dense head's memory back after each step, and half of its time is page faults.
        os.environ |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            fixed = (folder, goal.seed, goal.planted)
            runs = {name: [pool.submit(run, name, rate, TUNING, *fixed) for rate in RATES] for name in HEADS}
            whole = {}
            for name, futures in runs.items():
                tuned = [shown(name, future.result()) for future in futures]
                best = min(tuned, key=lambda r: r.valid)
                whole[name] = pool.submit(run, name, best.rate, 1, *fixed)
            results = {name: shown(name, future.result()) for name, future in whole.items()}
        dense = results["dense"]
        for name, label in (
            ("dwta", "a head of tables, log Q corrected,"),
            ("log_uniform", "a head of log-uniform neurons, log Q corrected,"),
            ("uniform", "a head of uniform neurons, log Q corrected,"),
            ("adaptive", "torch's AdaptiveLogSoftmaxWithLoss"),
        ):
            r = results[name]
            what = f"test perplexity of {label} over that of the dense head"
            goal.row(f"words/{name}/perplexity", what, "<= 1.03", r.perplexity / dense.perplexity)
            what = f"CPU time of a step of the dense head over that of {label.split(', ')[0]}"
            goal.row(f"words/{name}/step", what, ">= 4", dense.step / r.step, "times")
    if goal.wants("compile"):
        what = "losses of 20 steps under torch.compile(fullgraph=True) from those of plain steps, the farthest"
        goal.row("compile/loss", what, "<= 1e-4", compiled(goal.seed, goal.planted))
    goal.end()


if __name__ == "__main__":
    main()
