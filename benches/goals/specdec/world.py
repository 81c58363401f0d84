"""What scripts of lossless decoding share: a target that can be enumerated, and the test of what requests emit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from thrifty.specdec import Drafts, Engine, Step, draw

if TYPE_CHECKING:
    from rows import Goal

VOCAB, PROMPT, EMITTED = 32, 40, 3
PENALTY = 2.0
#: The last two ids of the prompt, a prompt of its own: most ids have not been seen then.
PENALISED = [38 * 7 % VOCAB, 39 * 7 % VOCAB]
SAMPLES, BATCH = 1_000_000, 50_000


class World:
    """A target, and a drafter that knows less."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)

        def dirichlet(shape: tuple[int, ...], sharp: float) -> Any:
            return rng.dirichlet(np.full(VOCAB, sharp), shape).astype(np.float32)

        self.law = dirichlet((VOCAB, VOCAB), 0.25)
        self.scores = np.log(np.maximum(self.law, 1e-30))
        mixed = 0.6 * self.law.mean(0) + 0.4 * dirichlet((VOCAB,), 0.25)
        self.q = (mixed / mixed.sum(-1, keepdims=True)).astype(np.float32)

    def target(self, step: Step) -> Any:
        outputs = step.outputs
        now = step.tokens[outputs].astype(np.int64)
        before = np.empty_like(now)
        # The token before is in the step, unless it is the row's first: then the cache would have it.
        above = step.parents[outputs]
        inside = above >= 0
        before[inside] = step.tokens[above[inside]]
        outside = np.flatnonzero(~inside)
        row = np.repeat(np.arange(step.rows), np.diff(step.first))[outputs[outside]]
        handles, places = step.handles[row].tolist(), (step.positions[outputs[outside]] - 1).tolist()
        before[outside] = [step._core.ids(handle)[place] for handle, place in zip(handles, places, strict=True)]
        return self.scores[before, now]

    def chain(self, step: Step, rows: Any, laws: Any, told: Any, *, shared: bool, seed: int) -> Drafts:
        """Drafts of the longest gamma for all; ``laws`` are drawn from, ``told`` is what is said of it."""
        width = int(step.gamma[: step.giving].max())
        last = step.tokens[step.first[rows + 1] - step.gamma[rows] - 1].astype(np.int64)
        begin = (step.begin[rows] + step.fresh[rows]).astype(np.uint64)
        ids, q = np.empty((len(rows), width), np.int64), np.empty((len(rows), width, VOCAB), np.float32)
        for k in range(width):
            q[:, k] = told[last]
            ids[:, k] = last = self.drawn(laws[last], step.uids[rows], begin + np.uint64(k), begin, shared, seed)
        return Drafts(ids, q)

    def drawn(self, law: Any, uid: Any, position: Any, begin: Any, shared: bool, seed: int) -> Any:
        return draw(law, uid=uid, position=position, begin=begin, shared=shared, seed=seed)


def seen_less(scores: Any, seen: set[int]) -> Any:
    """The law of scores from which a presence penalty is taken."""
    scores = scores.astype(float)
    scores[list(seen)] -= PENALTY
    law = np.exp(scores - scores.max())
    return law / law.sum()


def chances_of(world: World, tokens: Any, *, penalised: bool = False) -> list[float]:
    """Chances of a larger chi-square of what stands at each place, behind each beginning that is frequent."""
    prompt = prompts(1)[0]
    found = []
    for place in range(EMITTED):
        before = np.concatenate([np.broadcast_to(prompt[-2:], (len(tokens), 2)), tokens], 1)[:, place : place + 2]
        # The law knows no more than the last two ids; what stood before them counts as well.
        group = np.zeros(len(tokens), np.int64)
        for k in range(place):
            group = group * VOCAB + tokens[:, k]
        observed, expected = [], []
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
        for begin, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
            some = order[begin:end]
            a, b = before[some[0]]
            counts = np.bincount(tokens[some, place], minlength=VOCAB).astype(float)
            law = world.law[a, b].astype(float) / world.law[a, b].sum(dtype=float)
            if penalised:
                law = seen_less(world.scores[a, b], {*PENALISED, *tokens[some[0], :place].tolist()})
            wanted = law * len(some)
            likely = wanted >= 5
            observed.append(np.r_[counts[likely], counts[~likely].sum()])
            expected.append(np.r_[wanted[likely], wanted[~likely].sum()])
        chi, freedom = 0.0, 0
        for o, e in zip(observed, expected, strict=True):
            keep = e >= 1
            chi += float(((o[keep] - e[keep]) ** 2 / e[keep]).sum())
            freedom += max(int(keep.sum()) - 1, 0)
            # What can't be must not be.
            if (o[e == 0] > 0).any():
                return [0.0]
        found.append(float(stats.chi2.sf(chi, freedom)))
    return found


def prompts(n: int) -> Any:
    return np.broadcast_to(np.arange(PROMPT) * 7 % VOCAB, (n, PROMPT))


def emitted(engine: Engine, samples: int, *, max_gamma: bool = True, **law: Any) -> Any:
    """The first ids of so many requests."""
    found = []
    for first in range(0, samples, BATCH):
        n = min(BATCH, samples - first)
        uid = np.arange(first, first + n)
        handles = engine.submit_many(prompts(n), max_new=9, uid=uid, max_gamma=uid % 9 if max_gamma else 255, **law)
        engine.run()
        results = engine.take_all()
        found.append(np.stack([results[handle].tokens[:EMITTED] for handle in handles.tolist()]).astype(np.int64))
    return np.concatenate(found)


def judge(goal: Goal, name: str, what: str, chances: list[float], engine: Engine) -> None:
    """After Holm: the least of all chances, times how many there are."""
    least = min(1.0, min(chances) * len(chances))
    said = engine.stats()
    share = said["accepted"] / max(said["drafted"], 1)
    what += (
        f"; {share:.0%} of drafts accepted, {said['preempted']:,} preempted, {said['shared_tokens']:,} tokens shared"
    )
    goal.row(name, what, ">= 1e-4", least, "chance")


def caught(goal: Goal, name: str, chances: list[float]) -> None:
    """A mutant: the same test must find it."""
    least = min(1.0, min(chances) * len(chances))
    goal.row(
        f"mutants/{name}", f"{name}: least chance of a larger chi-square, to be too small", "<= 1e-4", least, "chance"
    )
