"""Verification on one core against what people write: the token rule on scores of 64 requests, 8 drafts, 128,256 ids.

Rows of q are those of p and noise, drafts are drawn from q; sums of q's rows and the chances of drafts are told to
us, as a drafter knows them. Peers (benches/peers/verify.py): numpy and torch with softmax of all rows, numpy that
stops at the first rejection, and that one told the same. All decide by the same uniform numbers, so that answers are
compared before times: how many drafts are accepted, and which. Calls alternate, medians of CPU time, one thread each.

answers: requests in which a peer accepts otherwise, differences of less than 1e-5 aside. numpy, torch, early, told:
their time over ours. bf16: ours with bfloat16 rows, numpy's time over it. block: time of the block rule over the
token rule's. pace: the rate at which we read the rows that the token rule must read, over that of a plain sum.
threads: the time of one thread over that of two (wall).

--planted: peers decide by other numbers; only answers are compared, of fewer ids.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT / "benches" / "peers"))
sys.path.insert(0, str(ROOT))
import verify as peers
from tests.specdec.verify_twin import ACCEPT, mix64, philox

from thrifty.specdec import verify

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("torch",))
torch.set_num_threads(1)
N, G, VOCAB = 64, 8, (2_000 if goal.planted else 128_256)
POSITION = 100


class Inputs:
    """Scores, drafts, what a drafter knows of them, and the numbers that decide."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.p = rng.standard_normal((N, G + 1, VOCAB), dtype=np.float32)
        self.p *= 2.5
        self.q = self.p[:, :G] + rng.standard_normal((N, G, VOCAB), dtype=np.float32) * 0.5
        self.draft = np.empty((N, G), np.int64)
        self.lse, self.told = (np.empty((N, G), np.float32) for _ in range(2))
        for i in range(N):
            for k in range(G):
                row = self.q[i, k].astype(np.float64)
                law = np.exp(row)
                self.draft[i, k] = np.searchsorted(np.cumsum(law), rng.random() * law.sum())
                self.lse[i, k] = np.log(law.sum())
                self.told[i, k] = law[self.draft[i, k]] / law.sum()
        self.uniform = uniforms(goal.seed + goal.planted)
        self.last = rng.random(N)

    def ours(self, rule: Any = "token", threads: int = 1, p: Any = None) -> Any:
        args: Any = {"rule": rule, "seed": goal.seed, "uid": np.arange(N), "position": np.full(N, POSITION)}
        target = self.p if p is None else p
        told: Any = {"q_lse": self.lse, "q_token": self.told}
        return verify(target, self.q, self.draft, from_logits=True, threads=threads, **args, **told)


def uniforms(seed: int) -> Any:
    """The numbers that accept drafts, as docs of the random numbers say."""
    uid, low, up = np.arange(N, dtype=np.uint64)[:, None], np.uint64(0xFFFFFFFF), np.uint64(32)
    key = mix64(np.uint64(mix64(seed)) ^ mix64(uid + np.uint64(1)))  # type: ignore[call-overload]
    stream = np.uint64(POSITION << 8 | ACCEPT)
    at = (np.uint64(POSITION) + np.arange(G, dtype=np.uint64)) << np.uint64(24)
    words: Any = philox((at & low, at >> up, stream & low, stream >> up), (key & low, key >> up))  # type: ignore[arg-type]
    return (((words[0] >> np.uint64(8)) + np.uint64(1)) / 2**24).astype(np.float32)


def answers(given: Inputs, calls: dict[str, Callable[[], Any]]) -> None:
    """A row of requests in which a peer accepts otherwise."""
    own, wrong = given.ours(), 0
    for call in calls.values():
        accepted, tokens = call()
        for i in np.flatnonzero(accepted != own.accepted):
            k = min(accepted[i], own.accepted[i])
            x = given.draft[i, k]
            row = given.p[i, k].astype(np.float64)
            chance = np.exp(row[x] - row.max()) / np.exp(row - row.max()).sum()
            wrong += abs(given.uniform[i, k] * given.told[i, k] - chance) >= 1e-5 * max(chance, 1e-3)
        same = accepted == own.accepted
        drafts = np.arange(G + 1) < accepted[:, None]
        wrong += int((np.where(drafts, tokens, 0) != np.where(drafts, own.tokens, 0))[same].any(1).sum())
    mean = own.accepted.mean()
    what = f"of {N} requests and {len(calls)} peers, those accepted otherwise; {mean:.2f} drafts in the mean"
    goal.row("answers", what, "== 0", wrong, "requests")


def medians(calls: dict[str, Callable[[], Any]], rounds: int, clock: Any = time.process_time) -> dict[str, float]:
    """Milliseconds a call of each, which alternate."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            begun = clock()
            call()
            times[name].append(1e3 * (clock() - begun))
    return {name: float(np.median(of)) for name, of in times.items()}


def speeds(given: Inputs, calls: dict[str, Callable[[], Any]]) -> None:
    """Rows of ratios."""
    half = (given.p.view(np.uint32) >> 16).astype(np.uint16)
    flat = torch.from_numpy(given.p)
    ours: dict[str, Callable[[], Any]] = {
        "ours": given.ours,
        "block": lambda: given.ours("block"),
        "bf16": lambda: given.ours(p=half),
        "sum": flat.sum,
    }
    found = medians(ours | calls, 5)
    shape = f"{N} requests, {G} drafts, {VOCAB:,} ids"
    for name, asked in (("numpy", ">= 13"), ("torch", ">= 18"), ("early", ">= 5"), ("told", ">= 4")):
        what = f"{shape}: ours {found['ours']:.1f} ms, {name} {found[name]:.1f} ms of CPU time"
        goal.row(name, what, asked, found[name] / found["ours"], "times")
    what = f"{shape}, bfloat16: ours {found['bf16']:.1f} ms; numpy with float32"
    goal.row("bf16", what, ">= 13", found["numpy"] / found["bf16"], "times")
    goal.row("block", "time of the block rule over the token rule's", "<= 3", found["block"] / found["ours"], "times")
    accepted = given.ours().accepted
    rows = int((accepted + 1 + (accepted < G)).sum())
    pace, plain = 4e-6 * rows * VOCAB / found["ours"], 4e-6 * given.p.size / found["sum"]
    what = f"{rows} rows that must be read: {pace:.1f} GB/s, a sum reads {plain:.1f} GB/s"
    goal.row("pace", what, ">= 0.7", pace / plain, "share")
    wall = medians({"1": given.ours, "2": lambda: given.ours(threads=2)}, 9, time.perf_counter)
    goal.row(
        "threads", f"one thread {wall['1']:.1f} ms, two {wall['2']:.1f} ms", ">= 1.8", wall["1"] / wall["2"], "times"
    )


given = Inputs(np.random.default_rng(goal.seed))
arguments = (given.draft, given.uniform, given.last)
tensors = [torch.from_numpy(x) for x in (given.p, given.q, *arguments)]
calls: dict[str, Callable[[], Any]] = {
    "numpy": lambda: peers.with_numpy(given.p, given.q, *arguments),
    "torch": lambda: peers.with_torch(*tensors),
    "early": lambda: peers.early(given.p, given.q, *arguments),
    "told": lambda: peers.early_told(given.p, given.q, *arguments, given.lse, given.told),
}
answers(given, calls)
if not goal.planted:
    speeds(given, calls)
goal.end()
