"""What an engine emits has the target's law: ragged drafts, roll-back, preemption and shared blocks included.

The target is a chain of order 2 over 32 ids, the drafter one of order 1 that is like it here and there. Requests begin
alike, so that they share blocks; they may draft 0 to 8 ids a step; there are fewer blocks than they need, so that some
lose theirs and begin again. Each of the first three ids emitted is counted behind what its request emitted before it,
and held against the target's law by chi-square; all tests together are judged after Holm.

rules/: a million requests for each of the token, block and seed-exact rules, and for drafts that are certain.
law/: the law (0.1, 0.6, 0.3), which a verifier that draws with its drafter's noise turns into (0.10, 0.63, 0.27).
penalties/: presence penalties, each draft with the ids before it.
mutants/: eight ways to get it wrong, each of which must fail the same test.

--planted: the drafter draws from another law than it tells; the test must fail.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal
from world import EMITTED, PENALISED, PENALTY, SAMPLES, VOCAB, World, caught, chances_of, emitted, judge

from thrifty import _core
from thrifty.specdec import Drafts, Engine, SamplingParams, Step, Verified, draw
from thrifty.specdec.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("scipy",))


def engine_of(world: World, rule: Any, drafter: Callable[[Step, Any], Drafts], fault: str | None = None) -> Engine:
    """More requests than the blocks hold."""
    engine = Engine(
        world.target, [drafter], vocab=VOCAB, gamma=8, max_gamma=8, rule=rule, seed=goal.seed,
        blocks=3000, block_size=8, max_running=2048, max_length=64,
    )  # fmt: skip
    if fault is not None:
        rounds = engine._rounds
        engine._rounds = Wrong(rounds.core, rounds.drafters, VOCAB, rule, goal.seed, None, fault=fault)
    return engine


def honest(world: World, rule: str) -> Callable[[Step, Any], Drafts]:
    shared = rule == "seed_exact"
    told = world.q if not goal.planted else world.q[::-1].copy()
    return lambda step, rows: world.chain(step, rows, world.q, told, shared=shared, seed=goal.seed)


def certain(world: World) -> Callable[[Step, Any], Drafts]:
    def drafter(step: Step, rows: Any) -> Drafts:
        best = np.eye(VOCAB, dtype=np.float32)[world.q.argmax(-1)]
        return Drafts(world.chain(step, rows, best, best, shared=False, seed=goal.seed).ids)

    return drafter


def rules(world: World) -> None:
    for rule in ("token", "block", "seed_exact"):
        engine = engine_of(world, rule, honest(world, rule))
        chances = chances_of(world, emitted(engine, SAMPLES))
        judge(
            goal,
            f"rules/{rule}",
            f"{SAMPLES:,} requests, {rule} rule: least chance of a larger chi-square",
            chances,
            engine,
        )
    for rule in ("token", "block"):
        engine = engine_of(world, rule, certain(world))
        chances = chances_of(world, emitted(engine, SAMPLES))
        what = f"{SAMPLES:,} requests, {rule} rule, drafts that are certain: least chance of a larger chi-square"
        judge(goal, f"rules/{rule} certain", what, chances, engine)


def three(world: World) -> None:
    """The law that a shared stream spoils."""
    p = np.array([0.1, 0.6, 0.3], np.float32)
    q = np.array([[0.3, 0.3, 0.4]], np.float32)
    n = 131_072

    def target(step: Step) -> Any:
        return np.broadcast_to(np.log(p), (len(step.outputs), 3))

    def drafter(step: Step, rows: Any) -> Drafts:
        begin = (step.begin[rows] + step.fresh[rows]).astype(np.uint64)
        law = np.repeat(q, len(rows), 0)
        ids = [draw(law, uid=step.uids[rows], position=begin + np.uint64(k), begin=begin, seed=1) for k in range(3)]
        return Drafts(np.stack(ids, 1), np.repeat(law[:, None], 3, 1))

    for rule in ("token", "block"):
        engine = Engine(target, [drafter], vocab=3, gamma=3, rule=rule, seed=1, max_running=4096, max_length=16)
        engine.submit_many(np.zeros((n, 1), np.int64), max_new=4)
        engine.run()
        first = np.array([result.tokens[:3] for result in engine.take_all().values()])
        shares = [np.bincount(first[:, place], minlength=3) / n for place in range(3)]
        worst = max(float(np.abs(share - p).max()) for share in shares)
        goal.row(f"law/{rule}", f"{n:,} trials of (0.1, 0.6, 0.3), {rule} rule: farthest share", "<= 0.004", worst)


@dataclass
class Wrong(Rounds):
    """Verification by the token rule in numpy, with a fault in it."""

    fault: str = ""

    def judged(self, step: Step, rows: Any, p: Any, drafts: Drafts) -> Verified:
        giving = step.giving
        uid = step.uids[:giving][rows]
        position = (step.begin[:giving] + step.fresh[:giving])[rows].astype(np.uint64)
        law = np.exp(p - p.max(-1, keepdims=True))
        law /= law.sum(-1, keepdims=True)
        n, width = drafts.ids.shape
        ids = drafts.ids
        gamma = (ids >= 0).sum(1)
        accepted = np.zeros(n, np.int64)
        going = gamma > 0
        tokens = np.full((n, width + 1), -1, np.int64)
        after = np.random.default_rng([int(step.number), self.seed])
        every = np.arange(n)
        for k in range(width):
            x = np.maximum(ids[:, k], 0)
            ratio = law[every, k, x] / np.maximum(drafts.q[every, k, x], 1e-30)
            going = going & (k < gamma) & (after.random(n) < ratio)
            accepted += going
        last = law[every, accepted]
        full = accepted == gamma
        if width:
            at = np.minimum(accepted, width - 1)
            residual = np.maximum(last - drafts.q[every, at], 0)
            if self.fault == "correction from p":
                residual = last
            if self.fault == "bonus from p_g":
                last = np.where((gamma > 0)[:, None], law[every, np.maximum(accepted - 1, 0)], last)
            last = np.where(full[:, None], last, residual)
        final = _core.specdec_draw(
            np.ascontiguousarray(last, np.float32).reshape(-1), self.vocab, self.seed, self.stream(full), uid,
            position + accepted.astype(np.uint64), position, np.zeros(n, np.uint64),
        )  # fmt: skip
        for k in range(width):
            tokens[:, k] = np.where(k < accepted, ids[:, k], -1)
        tokens[every, accepted] = final
        return Verified(accepted, tokens)

    def stream(self, _: Any) -> str:
        return "draft" if self.fault == "one stream" else "resample"


def bf16(x: Any) -> Any:
    return ((x.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)


def limited(law: Any, top_p: float) -> Any:
    order = np.argsort(-law, -1, kind="stable")
    sorted_ = np.take_along_axis(law, order, -1)
    keep = np.cumsum(sorted_, -1) - sorted_ < top_p
    out = np.zeros_like(law)
    np.put_along_axis(out, order, np.where(keep, sorted_, 0), -1)
    return (out / out.sum(-1, keepdims=True)).astype(np.float32)


def mutants(world: World, samples: int) -> None:
    """Each is to be caught by the test that the rules pass."""
    laws: dict[str, tuple[Any, Any]] = {}
    hot = world.q ** np.float32(1 / 0.7)
    laws["q of another temperature"] = (hot / hot.sum(-1, keepdims=True), world.q)
    rounded = np.exp(bf16(np.log(np.maximum(world.q, 1e-30)).astype(np.float32) + np.float32(24)) - np.float32(24))
    laws["drawn from bf16 scores"] = ((rounded / rounded.sum(-1, keepdims=True)).astype(np.float32), world.q)
    laws["top-p on q alone"] = (world.q, np.maximum(limited(world.q, 0.8), 1e-9))
    best = np.eye(VOCAB, dtype=np.float32)[world.q.argmax(-1)]
    laws["greedy draft as a sample"] = (best, world.q)
    for name, (drawn, told) in laws.items():
        engine = engine_of(
            world, "token", lambda step, rows, d=drawn, t=told: world.chain(step, rows, d, t, shared=False, seed=1)
        )
        # What rounding does to a law is small.
        enough = SAMPLES if "bf16" in name else samples
        caught(goal, name, chances_of(world, emitted(engine, enough)))
    for name in ("one stream", "correction from p", "bonus from p_g"):
        engine = engine_of(world, "token", honest(world, "token"), name)
        caught(goal, name, chances_of(world, emitted(engine, samples)))
    # The same verification without a fault passes, so it is the faults that are caught.
    engine = engine_of(world, "token", honest(world, "token"), "")
    judge(
        goal,
        "mutants/none",
        "the verification in numpy without a fault",
        chances_of(world, emitted(engine, samples)),
        engine,
    )


class Behind(Rounds):
    """Penalties look at all ids but the last two that are known."""

    def laws(self, step: Step, rows: Any) -> SamplingParams:
        found = super().laws(step, rows)
        if found.prefix is None:
            return found
        indptr, ids = (np.asarray(part) for part in found.prefix)
        short = [ids[a : max(a, b - 2)] for a, b in itertools.pairwise(indptr)]
        ends = np.concatenate([[0], np.cumsum([len(part) for part in short])])
        return replace(found, prefix=(ends, np.concatenate(short)))


def penalties(world: World, samples: int) -> None:
    """Presence penalties, right and on the wrong prefix."""
    for name in ("right", "penalties on the wrong prefix"):
        engine = engine_of(world, "token", honest(world, "token"))
        if name != "right":
            rounds = engine._rounds
            engine._rounds = Behind(rounds.core, rounds.drafters, VOCAB, rounds.rule, goal.seed, None)
        tokens = []
        for first in range(0, samples, 20_000):
            for uid in range(first, min(first + 20_000, samples)):
                engine.submit(PENALISED, max_new=9, uid=uid, max_gamma=uid % 9, presence_penalty=PENALTY)
            engine.run()
            tokens += [result.tokens[:EMITTED] for result in engine.take_all().values()]
        chances = chances_of(world, np.stack(tokens).astype(np.int64), penalised=True)
        if name == "right":
            what = f"{samples:,} requests with a presence penalty: least chance of a larger chi-square"
            judge(goal, "penalties/token", what, chances, engine)
        else:
            caught(goal, name, chances)


def main() -> None:
    world = World(goal.seed)
    if goal.wants("rules"):
        rules(world)
    if goal.planted:
        return
    if goal.wants("law"):
        three(world)
    if goal.wants("penalties"):
        penalties(world, SAMPLES // 10)
    if goal.wants("mutants"):
        mutants(world, SAMPLES // 5)


main()
goal.end()
