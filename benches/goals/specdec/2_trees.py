"""What an engine emits by trees of drafts has the target's law, wherever their nodes go.

World, requests and test are those of 2_lossless: ragged trees of 0 to 8 nodes, roll-back, preemption, shared blocks.
Where a node goes depends on the ids that were drawn before it.

rules/: a million requests with trees by the block rule; a quarter of that by the token rule, by the target's own random
numbers, and with trees of which the verifier is told nothing.
mutants/: siblings drawn with replacement and judged as without; what is left of the law not updated after a rejection.
Each must fail the same test, which their verification in numpy passes without a fault.

--planted: the drafter draws from another law than it tells; the test must fail.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import Goal
from world import SAMPLES, VOCAB, World, caught, chances_of, emitted, judge

from thrifty import _core
from thrifty.specdec import Drafts, Engine, Step, Verified, draw
from thrifty.specdec.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("scipy",))


def grow(
    world: World,
    step: Step,
    rows: Any,
    *,
    shared: bool = False,
    told: Any = None,
    wide: bool = False,
    replaced: bool = False,
) -> Drafts:
    """Trees of the largest number of nodes for all; ``told`` is what is said of the law that they are drawn from."""
    n, width = len(rows), int(step.gamma[: step.giving].max())
    every = np.arange(n)
    begin = (step.begin[rows] + step.fresh[rows]).astype(np.int64)
    last = step.tokens[step.first[rows + 1] - step.gamma[rows] - 1].astype(np.int64)
    # Entry 0 of each is the root, entry k + 1 node k.
    left = np.zeros((n, width + 1, VOCAB), np.float32)
    q = np.zeros((n, width + 1, VOCAB), np.float32)
    depth = np.zeros((n, width + 1), np.int64)
    ids, parents = np.full((n, width), -1, np.int64), np.full((n, width), -1, np.int64)
    # Wide trees are drawn from sharp laws: there an id that is drawn twice matters.
    law = world.q**3 / (world.q**3).sum(-1, keepdims=True) if wide else world.q
    said = law if told is None else told
    left[:, 0], q[:, 0] = law[last], said[last]
    for k in range(width):
        # Below the last node where its id is odd, else beside it, or at the root; four of each, where trees are wide.
        above = np.full(n, k // 4) if wide else np.zeros(n, np.int64)
        if k and not wide:
            odd = ids[:, k - 1] % 2 == 1
            above = np.where(odd, k, parents[:, k - 1] + 1)
            above = np.where(~odd & (ids[:, k - 1] % 4 == 0), 0, above)
        x = draw(
            np.ascontiguousarray(left[every, above]),
            uid=step.uids[rows], position=begin + depth[every, above], begin=begin, node=above if not replaced else
            np.full(n, k), shared=shared, seed=goal.seed,
        )  # fmt: skip
        ids[:, k], parents[:, k] = x, above - 1
        if not replaced:
            left[every, above, x] = 0
        depth[:, k + 1] = depth[every, above] + 1
        left[:, k + 1], q[:, k + 1] = law[x], said[x]
    return Drafts(ids, q, parents)


@dataclass
class Numpy(Rounds):
    """Trees by the token rule in numpy, perhaps with a fault in it."""

    fault: str = ""

    def judged(self, step: Step, rows: Any, p: Any, drafts: Drafts) -> Verified:
        giving = step.giving
        uid = step.uids[:giving][rows]
        position = (step.begin[:giving] + step.fresh[:giving])[rows].astype(np.uint64)
        laws = np.exp(p - p.max(-1, keepdims=True))
        laws /= laws.sum(-1, keepdims=True)
        n, width = drafts.ids.shape
        every, random = np.arange(n), np.random.default_rng([int(step.number), self.seed])
        law, at = laws[:, 0].copy(), np.full(n, -1)
        accepted, tried = np.zeros(n, np.int64), np.zeros(n, bool)
        tokens = np.full((n, width + 1), -1, np.int64)
        q = drafts.q[:, 0].copy() if width else law
        # Parents come before children, and siblings in their order: one look at each node is enough.
        for k in range(width):
            x = np.maximum(drafts.ids[:, k], 0)
            here = (drafts.ids[:, k] >= 0) & (drafts.parents[:, k] == at)
            passes = here & (random.random(n) * q[every, x] < law[every, x])
            tokens[every[passes], accepted[passes]] = x[passes]
            accepted += passes
            at = np.where(passes, k, at)
            fails = here & ~passes
            tried = np.where(passes, False, tried | fails)
            rest = np.maximum(law - q, 0)
            if self.fault == "not updated":
                rest = law
            rest /= np.maximum(rest.sum(-1, keepdims=True), 1e-30)
            q[every[fails], x[fails]] = 0
            q /= np.maximum(q.sum(-1, keepdims=True), 1e-30)
            law = np.where(fails[:, None], rest, law)
            law = np.where(passes[:, None], laws[:, k + 1], law)
            q = np.where(passes[:, None], drafts.q[:, k + 1], q)
        purposes = np.array(["bonus", "resample"])[tried.astype(int)]
        final = np.zeros(n, np.int64)
        for purpose in ("bonus", "resample"):
            some = purposes == purpose
            final[some] = _core.specdec_draw(
                np.ascontiguousarray(law[some], np.float32).reshape(-1), self.vocab, self.seed, purpose, uid[some],
                position[some] + accepted[some].astype(np.uint64), position[some], np.zeros(some.sum(), np.uint64),
            )  # fmt: skip
        tokens[every, accepted] = final
        return Verified(accepted, tokens)


def engine_of(world: World, rule: Any, drafter: Callable[[Step, Any], Drafts], rounds: str | None = None) -> Engine:
    """More requests than the blocks hold."""
    engine = Engine(
        world.target, [drafter], vocab=VOCAB, gamma=8, max_gamma=8, rule=rule, seed=goal.seed,
        blocks=3000, block_size=8, max_running=2048, max_length=64,
    )  # fmt: skip
    if rounds is not None:
        own = engine._rounds
        engine._rounds = Numpy(own.core, own.drafters, VOCAB, rule, goal.seed, None, fault=rounds)
    return engine


def main() -> None:
    world = World(goal.seed)
    told = world.q[::-1].copy() if goal.planted else None
    cases: dict[str, tuple[Any, Callable[[Step, Any], Drafts]]] = {
        "token": ("token", lambda step, rows: grow(world, step, rows, told=told)),
        "block": ("block", lambda step, rows: grow(world, step, rows, told=told)),
        "seed_exact": ("seed_exact", lambda step, rows: grow(world, step, rows, shared=True)),
        "certain": ("block", lambda step, rows: grow(world, step, rows)._replace(q=None)),
    }
    if goal.wants("rules"):
        for name, (rule, drafter) in cases.items():
            engine = engine_of(world, rule, drafter)
            samples = SAMPLES if name == "block" else SAMPLES // 4
            chances = chances_of(world, emitted(engine, samples))
            what = f"{samples:,} requests, trees, {name}: least chance of a larger chi-square"
            judge(goal, f"rules/{name}", what, chances, engine)
    if goal.planted or not goal.wants("mutants"):
        return
    for name, fault, replaced in (
        ("none", "", False),
        ("siblings with replacement", "", True),
        ("residual not updated", "not updated", False),
    ):
        engine = engine_of(
            world, "token", lambda step, rows, r=replaced: grow(world, step, rows, wide=True, replaced=r), fault
        )
        chances = chances_of(world, emitted(engine, SAMPLES // 5))
        if name == "none":
            what = "trees by the token rule in numpy without a fault: least chance of a larger chi-square"
            judge(goal, "mutants/none", what, chances, engine)
        else:
            caught(goal, name, chances)


main()
goal.end()
