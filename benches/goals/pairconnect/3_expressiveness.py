"""What pair tables can say that attention can't, and the other way round.

attention: the table of a random attention layer (d = 16, 50 ids, no positions) against that layer in float64, over 200
contexts of 1 to 64 ids; the largest difference. duplication: a context given twice changes no softmax, and doubles a
sum. contradiction: 12 ids, and the map that says 1 of an id alone and 1 + W_ij of id i behind id j, |W_ij| = 2,
W_ij = -W_ji. An attention layer's output is a mean of values, one an id, so of {i, j} it is between two numbers: were
all errors below 2, each two ids would have one number above 1 and the other below, which no three ids have. Attention
with a linear readout, fitted by Adam with several widths and rates, keeps at least that error; the table of a lookup
fitted by Adam has nearly none. copy: the id before the last of 20 ids in random order, by a decoder of one pair layer,
with distances in the keys and without; without, a position sees a set and may guess. induction: what followed when an
id came first, in 8 to 16 ids given twice: two pair layers with distances, and without, against one pair layer and one
of attention.

--planted gives attention other values, a softmax where a sum should be, no contradiction, and exchanges the layers of
the last two experiments.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch
from rows import Goal

from thrifty.models import Decoder, DecoderConfig
from thrifty.pairconnect import PairSpec, PairTable
from thrifty.pairconnect.nn import PairLookup, from_attention

goal = Goal(__file__, __doc__, ("torch",))
torch.set_num_threads(1)
torch.manual_seed(goal.seed)
rng = np.random.default_rng(goal.seed)


def attention() -> None:
    """A row: a table that is attention."""
    vocab, d = 50, 16
    wq, wk, wv, x = (rng.normal(size=(rows, d)) for rows in (d, d, d, vocab))
    wq, wk, wv = 2 * wq / d**0.5, 2 * wk / d**0.5, wv / d**0.5
    table = from_attention(wq, wk, wv + (1e-4 if goal.planted else 0), x)
    most = 0.0
    for _ in range(200):
        ids = rng.integers(0, vocab, rng.integers(1, 65))
        q, k, v = x[ids[-1]] @ wq.T, x[ids] @ wk.T, x[ids] @ wv.T
        shares = np.exp(k @ q / d**0.5 - (k @ q / d**0.5).max())
        most = max(most, np.abs(table.lookup(ids)[-1] - shares / shares.sum() @ v).max())
    what = "a random attention layer, d = 16, 50 ids, and its table of 2,500 rows: 200 contexts, the largest difference"
    goal.row("attention/exact", what, "<= 1e-5", most)


def duplication() -> None:
    """Rows of contexts given twice."""
    relative: dict[str, list[float]] = {"softmax": [], "sum": []}
    for pool, found in relative.items():
        used = "softmax" if goal.planted else pool
        spec = PairSpec(vocab=50, rows=5000, heads=2, window=None, offsets=False, pool=used, seed=goal.seed)  # type: ignore[arg-type]
        table = PairTable(spec)
        logits = rng.normal(size=10_000) if used == "softmax" else None
        table.set_rows(0, rng.normal(size=(10_000, 32)), logits)
        for _ in range(200):
            ids = rng.integers(0, 50, rng.integers(1, 33)).tolist()
            once, twice = table.lookup([*ids, 7])[-1], table.lookup([*ids, *ids, 7])[-1]
            found.append(float(np.linalg.norm(twice - once) / np.linalg.norm(once)))
    what = "softmax: 200 contexts given twice change what the next id looks up, relative, the most"
    goal.row("duplication/softmax", what, "<= 1e-5", max(relative["softmax"]))
    what = "sum: 200 contexts given twice change what the next id looks up, relative, the least"
    goal.row("duplication/sum", what, "0.999..1.001", min(relative["sum"]))


IDS, W = 12, 2.0


def contradiction_set() -> tuple[Any, Any, Any, Any]:
    """Sequences of one id and their targets, sequences of two and theirs."""
    signs = torch.triu(torch.randint(0, 2, (IDS, IDS)) * 2.0 - 1, 1)
    targets = 1 + (0 if goal.planted else W) * (signs - signs.T)
    i, j = (~torch.eye(IDS, dtype=torch.bool)).nonzero().T
    return torch.arange(IDS)[:, None], torch.ones(IDS), torch.stack([j, i], 1), targets[i, j]


class Attends(torch.nn.Module):  # type: ignore[misc]
    """Attention of the last id over all, then one number of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(IDS, width)
        self.q, self.k, self.v = (torch.nn.Linear(width, width) for _ in range(3))
        self.readout = torch.nn.Linear(width, 1)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        q, k, v = self.q(x[:, -1:]), self.k(x), self.v(x)
        return self.readout(torch.nn.functional.scaled_dot_product_attention(q, k, v))[:, 0, 0]


class LooksUp(torch.nn.Module):  # type: ignore[misc]
    """A pair table that gives one number."""

    def __init__(self) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"vocab": IDS, "rows": IDS**2, "heads": 1, "head_dim": 1}
        sizes |= {"window": None, "offsets": False, "include_self": True, "pool": "sum", "hash": "direct"}
        self.lookup = PairLookup(PairSpec(**sizes))

    def forward(self, ids: Any) -> Any:
        return self.lookup(ids)[:, -1, 0]


def fitted(model: Any, ones: Any, one: Any, twos: Any, two: Any, lr: float, steps: int = 1500) -> float:
    """The largest error after a fit by Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    falls = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1e-4 ** max(0.0, 2 * step / steps - 1))
    for _ in range(steps):
        loss = (model(ones) - one).square().sum() + (model(twos) - two).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falls.step()
    with torch.no_grad():
        return float(torch.cat([model(ones) - one, model(twos) - two]).abs().max())


def contradiction() -> None:
    """Rows of a map that is no attention."""
    ones, one, twos, two = contradiction_set()
    errors = []
    for width, lr in product((4, 16, 64), (3e-3, 3e-2)):
        errors.append(fitted(Attends(width), ones, one, twos, two, lr))
    what = f"attention and readout fitted to 1 + W_ij, |W_ij| = 2: largest error, the least of {len(errors)} fits"
    goal.row("contradiction/attention", what, ">= 1.999", min(errors))
    model = LooksUp()
    fitted(model, ones, one, twos, two, 0.3, 3000)
    table = model.lookup.table()
    wrong = [np.abs(table.lookup(i.numpy())[:, -1, 0] - t.numpy()).max() for i, t in ((ones, one), (twos, two))]
    goal.row("contradiction/table", "a pair table fitted to the same by Adam: largest error", "<= 1e-6", max(wrong))


def learned(mixers: tuple[str, ...], pair: dict[str, Any], batch: Any, steps: int, heads: int = 4) -> float:
    """Accuracy on new sequences of a decoder that was trained on ``batch() -> (ids, places)``: what follows places."""
    vocab = 32
    model = Decoder(
        DecoderConfig(
            vocab=vocab, dim=64, hidden=128, heads=heads, mixers=mixers,
            pair=PairSpec(vocab=vocab, rows=8192, heads=2, head_dim=32, seed=goal.seed, **pair),
        )
    )  # fmt: skip
    dense, tables = model.parameters_of()
    optimizer = torch.optim.Adam([{"params": dense, "lr": 3e-3}, {"params": tables, "lr": 1e-2}])
    falls = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    for _ in range(steps):
        ids, places = batch(32)
        scores = model(ids[:, :-1])[:, places]
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, places + 1].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falls.step()
    right = total = 0
    with torch.no_grad():
        for _ in range(20):
            ids, places = batch(64)
            hit = model(ids[:, :-1])[:, places].argmax(-1) == ids[:, places + 1]
            right, total = right + int(hit.sum()), total + hit.numel()
    return right / total


def orders(count: int, ids: int) -> Any:
    """Ids in random orders."""
    return torch.rand(count, ids).argsort(-1)


def copy() -> None:
    """Rows of the id before the last."""

    def batch(count: int) -> tuple[Any, Any]:
        ids = orders(count, 20)
        return torch.cat([ids, ids[:, -2:-1]], 1), torch.tensor([19])

    keyed: dict[str, Any] = {"offsets": True, "window": 4, "pool": "mean"}
    free: dict[str, Any] = {"offsets": False, "window": None, "pool": "sum"}
    if goal.planted:
        keyed, free = free, keyed
    reached = learned(("pair",), keyed, batch, 400)
    what = "copying the id before the last, 20 ids in random order: right, distances in the keys, a window of 4"
    goal.row("copy/offsets", what, ">= 0.99", reached)
    reached = learned(("pair",), free, batch, 400)
    what = "the same without distances, all ids before a position: right; chance is 1 of 19"
    goal.row("copy/free", what, f"<= {1 / 19 + 0.05:.4f}", reached)


def induction() -> None:
    """Rows of what followed when an id came first."""

    def batch(count: int) -> tuple[Any, Any]:
        half = int(torch.randint(8, 17, ()))
        ids = orders(count, 32)[:, :half]
        # The first of the second half may follow from where the first one ends; it is not asked for.
        return torch.cat([ids, ids], 1), torch.arange(half, 2 * half - 1)

    keyed: dict[str, Any] = {"offsets": True, "window": 4, "pool": "mean"}
    free: dict[str, Any] = {"offsets": False, "window": None, "pool": "sum"}
    hybrid, pairs = ("pair", "attention"), ("pair", "pair")
    if goal.planted:
        hybrid, pairs = pairs, hybrid
    steps = 1000
    what = "8 to 16 of 32 ids given twice, what follows in the second half: right, a pair layer and one of attention"
    goal.row("induction/hybrid", what, ">= 0.95", learned(hybrid, keyed, batch, steps))
    # A set of at least eight ids, of which the last five are not the next.
    for name, pair, chance, with_ in (
        ("offsets", keyed, 1 / 27, "distances, windows of 4; chance is 1 of 27"),
        ("free", free, 1 / 8, "all ids before, no distances; chance is at most 1 of 8"),
    ):
        what = f"the same with two pair layers, {with_}: right"
        goal.row(f"induction/{name}", what, f"<= {chance + 0.05:.4f}", learned(pairs, pair, batch, steps))


for part in (attention, duplication, contradiction, copy, induction):
    if goal.wants(part.__name__):
        part()
goal.end()
