"""Verification on one core: rule by rule, float32 and bfloat16, 64 requests, 8 drafts, 128,256 ids.

Rows of q are those of p and noise, drafts are drawn from q; sums of q's rows and the chances of drafts are told to
us, as a drafter knows them. Peers (benches/peers/verify.py) decide by the same uniform numbers, so that answers are
compared before times: how many drafts are accepted, and which. Calls alternate; medians of CPU time, one thread each.

answers: requests in which a peer accepts otherwise, differences of less than 1e-5 aside.
token, block: a peer's time over ours. numpy, torch: softmax of all rows. early: they stop at the first rejection, as
we do. told: and know what we are told.
pace: bytes of the rows that a rule must read, over its time, as a share of the pace of a plain sum. Each such row says
what the rule takes for a number that lies in the cache: where that is more than a sum takes for one from memory,
arithmetic binds (exponentials; and the random numbers of ids, ten rounds of Philox for four), and
roof is the longer of the two over the time taken.
threads: the time of one thread over that of two (wall).

--planted: peers decide by other numbers; only answers are compared, of fewer ids.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
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

from thrifty.specdec.verify import RULES, Rule, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = dict[str, Callable[[], Any]]

goal = Goal(__file__, __doc__, ("torch",))
torch.set_num_threads(1)
N, G, VOCAB = 64, 8, (2_000 if goal.planted else 128_256)
POSITION = 100


class Inputs:
    """Scores, drafts, what a drafter knows of them, and the numbers that decide."""

    def __init__(self, rng: np.random.Generator) -> None:
        p = rng.standard_normal((N, G + 1, VOCAB), dtype=np.float32)
        p *= 2.5
        q = p[:, :G] + rng.standard_normal((N, G, VOCAB), dtype=np.float32) * 0.5
        # Numbers that are bfloat16 as well: both kinds are the same rows, and have the same answers.
        for x in (p, q):
            x.view(np.uint32)[...] &= np.uint32(0xFFFF0000)
        half = [(x.view(np.uint32) >> 16).astype(np.uint16) for x in (p, q)]
        self.kinds: dict[str, Any] = {"f32": (p, q), "bf16": tuple(half)}
        self.draft, self.uniform, self.last = (
            np.empty((N, G), np.int64),
            uniforms(goal.seed + goal.planted),
            rng.random(N),
        )
        self.lse, self.told = (np.empty((N, G), np.float32) for _ in range(2))
        self.chance = np.empty((N, G))
        for i in range(N):
            for k in range(G):
                law = np.exp(q[i, k].astype(np.float64))
                edges = np.cumsum(law)
                x = np.searchsorted(edges, rng.random() * edges[-1])
                self.draft[i, k], self.lse[i, k], self.told[i, k] = x, np.log(edges[-1]), law[x] / edges[-1]
                self.chance[i, k] = np.exp(float(p[i, k, x])) / np.exp(p[i, k]).sum(dtype=np.float64)
        # Rules that emit what the target has anyway need drafts that it often has.
        often = rng.random((N, G)) < 0.8
        self.drafts: dict[str, Any] = {"token": self.draft, "block": self.draft}
        alone = {rule: np.stack([self.alone(rule, k) for k in range(G)], 1) for rule in ("greedy", "seed_exact")}
        self.drafts |= {rule: np.where(often, own, (own + 1) % VOCAB) for rule, own in alone.items()}

    def alone(self, rule: Rule, k: int) -> Any:
        """What the target has at position k, whatever is drafted."""
        place: Any = {"uid": np.arange(N), "position": np.full(N, POSITION + k), "seed": goal.seed}
        row = np.ascontiguousarray(self.kinds["f32"][0][:, k : k + 1])
        return verify(row, None, np.empty((N, 0), np.int64), rule=rule, from_logits=True, **place).tokens[:, 0]

    def ours(self, rule: Rule, kind: str = "f32", some: slice = slice(N), threads: int = 1) -> Any:
        p, q = self.kinds[kind]
        given: Any = {"rule": rule, "seed": goal.seed, "from_logits": True, "threads": threads}
        if rule in ("token", "block"):
            given |= {"q_lse": self.lse[some], "q_token": self.told[some]}
        uid = np.arange(N)[some]
        position = np.full(len(uid), POSITION)
        return verify(p[some], q[some], self.drafts[rule][some], uid=uid, position=position, **given)

    def few(self, rule: Rule, kind: str) -> Any:
        """Two requests of 64 ids each."""
        p, q = (np.ascontiguousarray(x[:2, :, :64]) for x in self.kinds[kind])
        place: Any = {"uid": np.arange(2), "position": np.full(2, POSITION), "seed": goal.seed, "threads": 1}
        return verify(p, q, self.drafts[rule][:2] % 64, rule=rule, from_logits=True, **place)

    def weights(self, i: int) -> Any:
        """The block rule's r of a request, 1 before the first draft."""
        r = [1.0]
        for k in range(G):
            r.append(min(1.0, r[-1] * self.chance[i, k] / float(self.told[i, k])))
        return r

    def passes(self, i: int, rule: str) -> list[float]:
        """The numbers that a draft's uniform one is held against."""
        if rule == "token":
            return [self.chance[i, k] / float(self.told[i, k]) for k in range(G)]
        p, q = self.kinds["f32"]
        r, out = self.weights(i), []
        for k in range(1, G):
            law = np.exp(p[i, k].astype(np.float64))
            s = np.maximum(r[k] * law / law.sum() - np.exp(q[i, k] - float(self.lse[i, k])), 0).sum()
            out.append(s / (s + 1 - r[k]))
        return [*out, r[G]]

    def touched(self, rule: str, accepted: Any) -> Any:
        """Rows of each request that a rule must read."""
        if rule == "token":
            return accepted + 1 + (accepted < G)
        if rule != "block":
            return accepted + 1
        out = np.empty(N, np.int64)
        for i, most in enumerate(accepted):
            r = self.weights(i)
            tried = [k for k in range(most, G + 1) if k == 0 or self.uniform[i, k - 1] <= r[k]]
            # Of p all rows but the last, and that if it is tried; of q those that are.
            out[i] = G + (G in tried) + sum(k < G for k in tried)
        return out


def uniforms(seed: int) -> Any:
    """The numbers that accept drafts, as docs of the random numbers say."""
    uid, low, up = np.arange(N, dtype=np.uint64)[:, None], np.uint64(0xFFFFFFFF), np.uint64(32)
    key = mix64(np.uint64(mix64(seed)) ^ mix64(uid + np.uint64(1)))  # type: ignore[call-overload]
    stream = np.uint64(POSITION << 8 | ACCEPT)
    at = (np.uint64(POSITION) + np.arange(G, dtype=np.uint64)) << np.uint64(24)
    words: Any = philox((at & low, at >> up, stream & low, stream >> up), (key & low, key >> up))  # type: ignore[arg-type]
    return (((words[0] >> np.uint64(8)) + np.uint64(1)) / 2**24).astype(np.float32)


def wrong(given: Inputs, rule: str, own: Any, found: tuple[Any, Any]) -> int:
    """Requests in which a peer accepts otherwise, though no decision was near."""
    accepted, tokens = found
    same = accepted == own.accepted
    drafts = np.arange(G + 1) < accepted[:, None]
    count = int((np.where(drafts, tokens, 0) != np.where(drafts, own.tokens, 0))[same].any(1).sum())
    for i in np.flatnonzero(~same):
        count += min(abs(given.uniform[i, k] - h) for k, h in enumerate(given.passes(int(i), rule))) >= 1e-5
    return count


def answers(given: Inputs, rule: Rule, calls: Calls) -> None:
    """A row of requests in which a peer accepts otherwise."""
    own = given.ours(rule)
    count = sum(wrong(given, rule, own, call()) for call in calls.values())
    mean = own.accepted.mean()
    what = f"of {N} requests and {len(calls)} peers, those accepted otherwise; {mean:.2f} drafts in the mean"
    goal.row(f"answers/{rule}", what, "== 0", count, "requests")


def medians(calls: Calls, rounds: int, clock: Any = time.process_time) -> dict[str, float]:
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


def least(call: Callable[[], Any]) -> float:
    """Milliseconds of the fastest of some calls."""
    times = []
    for _ in range(9):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return 1e3 * min(times)


def token(given: Inputs) -> None:
    """The token rule against peers."""
    for kind, rows in given.kinds.items():
        arguments = (given.draft, given.uniform, given.last)
        tensors = [torch.from_numpy(x) for x in arguments]
        told = (given.lse, given.told)
        scores = [
            torch.from_numpy(x) if kind == "f32" else torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
            for x in rows
        ]
        early: Any = peers.EarlyNumpy(VOCAB)
        torched: Any = peers.EarlyTorch(VOCAB)
        with_numpy: Any = peers.with_numpy
        calls: Calls = {
            "numpy": partial(with_numpy, *rows, *arguments),
            "torch": partial(peers.with_torch, *scores, *tensors),
            "early numpy": partial(early, *rows, *arguments),
            "early torch": partial(torched, *scores, *tensors),
            "told numpy": partial(early, *rows, *arguments, *told),
            "told torch": partial(torched, *scores, *tensors, *map(torch.from_numpy, told)),
        }
        if kind == "f32":
            answers(given, "token", calls)
        if goal.planted:
            return
        found = medians({"ours": partial(given.ours, "token", kind)} | calls, 5)
        asked = {"numpy": 13, "torch": 18, "early numpy": 3.3, "early torch": 7, "told numpy": 3.3, "told torch": 3.5}
        for name, least in asked.items():
            what = f"{kind}: ours {found['ours']:.1f} ms, {name} {found[name]:.1f} ms"
            goal.row(f"token/{kind} {name}", what, f">= {least}", found[name] / found["ours"], "times")


def block(given: Inputs) -> None:
    """The block rule against the same in numpy."""
    for kind, rows in given.kinds.items():
        call = partial(peers.block, q=rows[1], draft=given.draft, uniform=given.uniform, last=given.last)
        calls: Calls = {"numpy": partial(call, rows[0])}
        if kind == "f32":
            answers(given, "block", calls)
        if goal.planted:
            return
        found = medians({"ours": partial(given.ours, "block", kind)} | calls, 5)
        what = f"{kind}: ours {found['ours']:.1f} ms, numpy {found['numpy']:.1f} ms"
        goal.row(f"block/{kind} numpy", what, ">= 5", found["numpy"] / found["ours"], "times")


def pace(given: Inputs) -> None:
    """How near to the pace of memory each rule comes."""
    for kind, (p, _) in given.kinds.items():
        everything = torch.from_numpy(p if kind == "f32" else p.view(np.float32))
        calls: Calls = {rule: partial(given.ours, rule, kind) for rule in RULES}
        found = medians(calls | {"sum": everything.sum}, 7)
        speed = p.nbytes / found["sum"]
        for rule in RULES:
            touched = given.touched(rule, given.ours(rule, kind).accepted)
            # Two requests at a time lie in the cache when they are verified again; less what a call of no ids takes.
            near, ids = 0.0, 0
            for i in range(0, 8, 2):
                near += least(partial(given.ours, rule, kind, slice(i, i + 2))) - least(partial(given.few, rule, kind))
                ids += int(touched[i : i + 2].sum()) * VOCAB
            size = int(touched.sum()) * VOCAB * p.itemsize
            memory, arithmetic = size / speed, near / ids * int(touched.sum()) * VOCAB
            binds = "arithmetic" if arithmetic > memory else "memory"
            what = (
                f"{rule}, {kind}: {found[rule]:.1f} ms for {touched.sum()} rows; from memory {memory:.1f} ms at "
                f"{speed / 1e6:.1f} GB/s, in the cache {arithmetic:.1f} ms: {binds} binds"
            )
            asked = ">= 0.85" if rule == "greedy" else ">= 0.7"
            goal.row(f"pace/{rule} {kind}", what, asked, memory / found[rule], "share")
            goal.row(f"roof/{rule} {kind}", what, asked, max(memory, arithmetic) / found[rule], "share")


def threads(given: Inputs) -> None:
    """One thread against two."""
    for rule in RULES:
        calls: Calls = {str(count): partial(given.ours, rule, threads=count) for count in (1, 2)}
        wall = medians(calls, 9, time.perf_counter)
        what = f"{rule}: one thread {wall['1']:.1f} ms, two {wall['2']:.1f} ms"
        goal.row(f"threads/{rule}", what, ">= 1.8", wall["1"] / wall["2"], "times")


given = Inputs(np.random.default_rng(goal.seed))
for part in (token, block) if goal.planted else (token, block, pace, threads):
    if goal.wants(part.__name__):
        part(given)
goal.end()
