"""A step of training (lookup, gradients, update of rows) against torch's sparse one, and its cost in larger tables.

same: rows after each of three steps from the same ones, ours and torch's (EmbeddingBag with sparse gradients and
SparseAdam), the farthest of all shapes. step: torch's time over ours. Batches are 16 windows of 64 ids of a novel,
tables have 4 heads of 32,768 rows. Torch has one bag a head and position, its rows and offsets computed beforehand and
for free, table and moments on huge pages as ours are; one thread, ours and torch's alternating, the median of the
ratios. In rows named module, ours is a module and an optimizer of torch, autograd and its sparse tensors included.
rows: a step with 2^20 rows a head over one with 2^15, ours; and how many times more dense Adam's grows.

--planted gives torch one wrong row.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import torch
from rows import Goal

from thrifty.pairconnect import PairSpec, PairTable, Tokenizer, read_text
from thrifty.pairconnect.nn import PairLookup, pair_rows
from thrifty.pairconnect.optim import LazyAdam
from thrifty.pairconnect.torch_optim import LazyAdam as TorchLazyAdam

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("torch",))
torch.set_num_threads(1)
LR, HEADS, SEQUENCES, TOKENS = 1e-3, 4, 16, 64
SHAPES = tuple((window, dim) for window in (4, 8) for dim in (32, 64))
STEPS, BATCHES, ROUNDS = 3, 8, 5


def batches(count: int) -> list[Any]:
    """Windows of a novel, each batch from everywhere in it."""
    folder = goal.data("text/pgnovels")
    ids, _ = Tokenizer.from_file(folder / "bpe2048.json").encode(read_text(folder / "valid.txt"))
    starts = np.random.default_rng(goal.seed).integers(0, len(ids) - TOKENS, (count, SEQUENCES))
    return [np.stack([ids[s : s + TOKENS] for s in row]).astype(np.int64) for row in starts]


def huge(*shape: int) -> Any:
    """Zeros on huge pages."""
    length = 4 * int(np.prod(shape))
    memory = mmap.mmap(-1, length)
    memory.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(memory, np.float32).reshape(shape)
    array[:] = 0
    return torch.from_numpy(array)


class Torch:
    """EmbeddingBag and SparseAdam, or dense gradients and AdamW."""

    def __init__(self, spec: PairSpec, values: Any, ids: list[Any], sparse: bool = True) -> None:
        rows, dim = spec.heads * spec.rows, spec.head_dim
        weight = huge(rows, dim)
        weight.copy_(torch.from_numpy(values))
        self.bag = torch.nn.EmbeddingBag(rows, dim, mode="mean", sparse=sparse, _weight=weight)
        kind: Any = torch.optim.SparseAdam if sparse else torch.optim.Adam
        self.optimizer = kind(self.bag.parameters(), lr=LR, **({} if sparse else {"fused": True}))
        step = 0 if sparse else torch.zeros(())
        self.optimizer.state[self.bag.weight] = {
            "step": step,
            "exp_avg": huge(rows, dim),
            "exp_avg_sq": huge(rows, dim),
        }
        self.inputs = [self.rows(torch.from_numpy(batch), spec) for batch in ids]

    @staticmethod
    def rows(ids: Any, spec: PairSpec) -> tuple[Any, Any]:
        """Rows of all bags, one after the other, and where each bag begins."""
        rows, there = pair_rows(ids, spec)
        there = there[None, :, None, :].expand(rows.shape)
        flat = rows[there]
        if goal.planted:
            flat[-1] = (flat[-1] + 1) % spec.rows
        counts = there.sum(-1).reshape(-1)
        return flat, torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)[:-1]])

    def step(self, batch: int, grad: Any) -> None:
        out = self.bag(*self.inputs[batch])
        out.backward(grad.view(out.shape))
        self.optimizer.step()
        self.optimizer.zero_grad()


class Ours:
    """A table and its optimiser."""

    def __init__(self, spec: PairSpec, values: Any, ids: list[Any]) -> None:
        self.table = PairTable(spec)
        self.table.set_rows(0, values)
        self.optimizer = LazyAdam(self.table, LR)
        # As for torch, pages of the moments are taken before the first step.
        self.optimizer.load(self.optimizer.state())
        self.ids = ids
        self.out = np.empty((SEQUENCES, TOKENS, spec.width), np.float32)

    def step(self, batch: int, grad: Any) -> None:
        self.table.lookup(self.ids[batch], threads=1, out=self.out)
        self.optimizer.step(self.ids[batch], grad.numpy(), threads=1)


class Module:
    """The same within torch."""

    def __init__(self, spec: PairSpec, values: Any, ids: list[Any]) -> None:
        self.layer = PairLookup(spec, sparse=True)
        with torch.no_grad():
            self.layer.weight.set_(huge(*self.layer.weight.shape))
            self.layer.weight.copy_(torch.from_numpy(values))
        self.optimizer = TorchLazyAdam(self.layer.parameters(), lr=LR)
        moments = huge(len(values), 2, spec.head_dim)
        self.optimizer.state[self.layer.weight] = {"step": torch.zeros((), dtype=torch.int64), "moments": moments}
        self.ids = [torch.from_numpy(batch) for batch in ids]

    def step(self, batch: int, grad: Any) -> None:
        self.layer(self.ids[batch]).backward(grad)
        self.optimizer.step()
        self.optimizer.zero_grad()


def spec_of(window: int, dim: int, rows: int = 1 << 15) -> PairSpec:
    return PairSpec(vocab=2048, rows=rows, heads=HEADS, head_dim=dim, window=window, seed=goal.seed)


def begin(spec: PairSpec) -> tuple[Any, Any]:
    """Rows to begin with, and a gradient."""
    rng = np.random.default_rng(goal.seed)
    values = rng.standard_normal((spec.heads * spec.rows, spec.head_dim), np.float32)
    return values, torch.from_numpy(rng.standard_normal((SEQUENCES, TOKENS, spec.width), np.float32))


def seconds(work: Callable[[int, Any], None], batch: int, grad: Any) -> float:
    before = time.perf_counter()
    work(batch, grad)
    return time.perf_counter() - before


def same(ids: list[Any]) -> None:
    """A row that comes before all times: the answers."""
    most = 0.0
    for window, dim in SHAPES:
        spec = spec_of(window, dim)
        values, grad = begin(spec)
        ours, module, peer = Ours(spec, values, ids), Module(spec, values, ids), Torch(spec, values, ids)
        for step in range(STEPS):
            for each in (ours, module, peer):
                each.step(step, grad)
            wanted = peer.bag.weight.detach().numpy()
            found = ours.table.get_rows(0, len(values))[0], module.layer.weight.detach().numpy()
            most = max(most, *(float(np.abs(f - wanted).max()) for f in found))
    what = (
        f"rows after each of {STEPS} steps, of table and module, from EmbeddingBag + SparseAdam, 4 shapes, the farthest"
    )
    goal.row("same/rows", what, "<= 1e-5", most)


def step(ids: list[Any]) -> None:
    """Rows of times."""
    for window, dim in SHAPES:
        spec = spec_of(window, dim)
        values, grad = begin(spec)
        all_: list[Any] = [kind(spec, values, ids) for kind in (Ours, Module, Torch)]
        times: list[list[float]] = []
        for turn in range(ROUNDS + 1):
            for batch in range(len(ids)):
                row = [seconds(each.step, batch, grad) for each in all_]
                if turn:  # the first pass fetches what the others find
                    times.append(row)
        ours, module, peer = (median(column) for column in zip(*times, strict=True))
        shape = f"16 x 64 ids, 4 heads of 32,768 x {dim}, window {window}, {len(times)} steps, one thread"
        ratio = median(row[2] / row[0] for row in times)
        what = f"a step of EmbeddingBag + SparseAdam ({1e3 * peer:.2f} ms) over ours ({1e3 * ours:.2f} ms): {shape}"
        goal.row(f"step/{window}x{dim}", what, ">= 3", ratio, "times")
        ratio = median(row[2] / row[1] for row in times)
        what = f"the same over PairLookup + LazyAdam of torch ({1e3 * module:.2f} ms): {shape}"
        goal.row(f"step/module {window}x{dim}", what, ">= 3", ratio, "times")


def rows(ids: list[Any]) -> None:
    """Rows of tables that grow."""
    medians: dict[str, list[float]] = {"ours": [], "dense": []}
    for bits in (15, 20):
        spec = spec_of(4, 32, 1 << bits)
        values, grad = begin(spec)
        ours = Ours(spec, values, ids)
        times = [seconds(ours.step, batch % len(ids), grad) for batch in range((ROUNDS + 1) * len(ids))]
        medians["ours"].append(median(times[len(ids) :]))
        del ours
        dense = Torch(spec, values, ids, sparse=False)
        times = [seconds(dense.step, batch % len(ids), grad) for batch in range(5)]
        medians["dense"].append(median(times[1:]))
        del dense
    growth = {name: large / small for name, (small, large) in medians.items()}
    told = {name: f"{1e3 * a:.2f} to {1e3 * b:.2f} ms" for name, (a, b) in medians.items()}
    what = f"a step with 2^20 rows a head over one with 2^15, ours: {told['ours']}, window 4, 4 heads x 32, one thread"
    goal.row("rows/ours", what, "<= 4", growth["ours"], "times")
    what = f"growth of dense Adam's step ({told['dense']}) over ours, the same tables"
    goal.row("rows/dense over ours", what, ">= 5", growth["dense"] / growth["ours"], "times")


texts = batches(BATCHES)
for name, part in (("same", same), ("step", step), ("rows", rows)):
    if goal.wants(name):
        part(texts)
goal.end()
