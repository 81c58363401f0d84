"""Trees of drafts beside chains, at 16 tokens that the target verifies a step: the ids that a verification yields.

Target and drafter are the two pair models of the package; prompts lie evenly in the text that neither learned from, 96
ids follow each, at temperature 0.7.

ratio/: the better tree of 15 nodes over the best chain of both rules, and over that of its own rule; what each length
of chain and each tree yields is told on the way. bound/: a tree that grows where the target's own law says that a node
most likely pays, which no drafter knows: how much a choice of shapes could gain with these laws, beside the chain in
the same places. limit/: what no rule can pass that judges all children of a node before it goes on, whatever rule it
is: the best tree of a fixed shape over a chain if every level accepted with the greatest chance that any rule can give
it, and chances were the same in all places, over what the block rule gains on chains. Of k ids that were drawn one is
accepted with chance 1 - max over sets H of (chance that all k are in H - p(H)) at most, since what is emitted is in H
with chance p(H). A tree of the ids that the drafter thinks likeliest, from which the target's own draw picks its way,
is told beside.

--planted: siblings are never drawn, so trees are chains; the ratio must fall below what the row of rules asks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.pairconnect import PairLM
from thrifty.specdec import Engine, PairTarget, TreeDraft

goal = Goal(__file__, __doc__)
DATA = ROOT / "python" / "thrifty" / "data" / "pairconnect"
NODES, NEW, PROMPTS, T = 15, 96, 300, 0.7
#: Ids before a position that decide on its scores, and more.
REACH = 8
#: Drawings of children for each law.
DRAWS = 512
target = PairLM.load(DATA / "model.safetensors")
small = PairLM.load(DATA / "small.safetensors")
VOCAB = len(target.scores([0])[0])


def yields(drafter: Any, gamma: int, rule: Any, prompts: list[Any]) -> tuple[float, float, list[Any]]:
    """Ids a verification, its standard error over prompts, and the texts."""
    engine = Engine(
        PairTarget(target), [drafter], vocab=VOCAB, gamma=gamma, rule=rule, seed=goal.seed, max_length=256,
        share_prefixes=False,
    )  # fmt: skip
    handles = [engine.submit(prompt, max_new=NEW, temperature=T) for prompt in prompts]
    slots = {handle: i for i, handle in enumerate(handles)}
    steps = np.zeros(len(prompts))
    while (step := engine.plan()).rows:
        np.add.at(steps, [slots[handle] for handle in step.handles[: step.giving].tolist()], 1)
        drafted = engine.draft(step)
        engine.commit(step, *engine.verify(step, PairTarget(target)(step), drafted))
    engine.abort(step)
    tau = NEW * len(prompts) / steps.sum()
    spread = np.std(NEW - tau * steps) / steps.mean() / len(prompts) ** 0.5
    return tau, spread, [engine.take(handle).tokens for handle in handles]


def laws_of(model: PairLM, contexts: list[Any]) -> Any:
    scores = model.scores(np.concatenate(contexts).astype(np.uint32))[REACH - 1 :: REACH].astype(float)
    law = np.exp((scores - scores.max(-1, keepdims=True)) / T)
    return law / law.sum(-1, keepdims=True)


def bound(roots: list[Any]) -> tuple[float, float]:
    """Ids of a tree that knows the target's law, by the token rule, and of a chain."""
    rng = np.random.default_rng(goal.seed + 1)
    count, found = len(roots), []
    for knows in (True, False):
        # A node: its context, laws of what is left of p and of q, the chance to come here with all children rejected.
        trees: list[list[list[Any]]] = [[] for _ in roots]
        gains = np.zeros(count)
        fresh = [(root, 1.0) for root in roots]
        for _ in range(NODES):
            for tree, (context, reach), p, q in zip(
                trees, fresh, laws_of(target, [c for c, _ in fresh]), laws_of(small, [c for c, _ in fresh]), strict=True
            ):
                tree.append([context, p, q, reach])
            fresh = []
            for i, tree in enumerate(trees):
                node = max(tree, key=lambda n: n[3] * np.minimum(n[1], n[2]).sum()) if knows else tree[-1]
                context, p, q, reach = node
                x = rng.choice(VOCAB, p=q)
                passes = min(1.0, p[x] / q[x])
                gains[i] += reach * passes
                fresh.append((np.append(context[1:], x), reach * passes))
                rest, without = np.maximum(p - q, 0), q.copy()
                without[x] = 0
                node[1:] = [rest / max(rest.sum(), 1e-12), without / max(without.sum(), 1e-12), reach * (1 - passes)]
        found.append(1 + float(gains.mean()))
    return found[0], found[1]


def places(prompts: list[Any], texts: list[Any], count: int) -> list[Any]:
    """Ids before random places of texts."""
    rng = np.random.default_rng(goal.seed)
    roots = []
    for i in rng.choice(len(prompts), count):
        whole = np.concatenate([prompts[i], texts[i]])
        at = rng.integers(len(prompts[i]), len(whole))
        roots.append(whole[at - REACH : at])
    return roots


def most_accepted(p: Any, q: Any, k: int, rng: Any) -> float:
    """No rule accepts one of `k` ids, drawn from q without replacement, with a greater chance: with an H that half of
    the draws choose, and the other half judge."""
    rank = np.empty(VOCAB, int)
    order = np.argsort(p / np.maximum(q, 1e-30))
    rank[order] = np.arange(VOCAB)
    raced = np.log(np.maximum(q, 1e-300)) - np.log(-np.log(rng.random((DRAWS, VOCAB)) + 1e-300))
    last = rank[np.argpartition(-raced, k - 1, axis=1)[:, :k]].max(1)
    inside = np.stack([np.cumsum(np.bincount(half, minlength=VOCAB)) / len(half) for half in np.split(last, 2)])
    over = inside - np.cumsum(p[order])
    return float(1 - max(over[1][over[0].argmax()], 0.0))


def best_shape(accepted: Any) -> float:
    """Ids of the best tree of a fixed shape whose k children are accepted with chance `accepted[k - 1]` in all."""
    gains = np.diff(accepted, prepend=0.0)
    waiting, ids = list(gains), 1.0
    for _ in range(NODES):
        most = max(waiting)
        waiting.remove(most)
        ids += most
        waiting.extend(most * gains)
    return ids


def limit(roots: list[Any]) -> tuple[float, list[float]]:
    """Ids of the best fixed shape over those of a chain if each level were judged as well as it can be, and the
    chances of 1, 2, ... children."""
    rng = np.random.default_rng(goal.seed)
    laws = list(zip(laws_of(target, roots), laws_of(small, roots), strict=True))
    chances = [float(np.mean([most_accepted(p, q, k, rng) for p, q in laws])) for k in range(1, 6)]
    return best_shape(chances) / best_shape(chances[:1]), chances


def likeliest(roots: list[Any]) -> float:
    """Ids of trees of the likeliest ids: what the target draws goes on as long as it is among them."""
    gains = np.zeros(len(roots))
    fresh = [(root, 1.0, 1.0) for root in roots]
    waiting: list[list[tuple[float, float, Any]]] = [[] for _ in roots]
    for _ in range(NODES):
        contexts = [context for context, _, _ in fresh]
        laws = zip(laws_of(target, contexts), laws_of(small, contexts), strict=True)
        for i, ((context, hope, reach), (p, q)) in enumerate(zip(fresh, laws, strict=True)):
            for x in np.argsort(-q)[:NODES]:
                waiting[i].append((hope * q[x], reach * p[x], np.append(context[1:], x)))
            best = max(range(len(waiting[i])), key=lambda at: waiting[i][at][0])
            fresh[i] = (waiting[i][best][2], *waiting[i].pop(best)[:2])
            gains[i] += fresh[i][2]
    return 1 + float(gains.mean())


def main() -> None:
    text = np.asarray(target.ids((DATA / "held-back.txt").read_text()))
    prompts = [text[at : at + 16] for at in np.linspace(0, len(text) - 16, PROMPTS).astype(int)]
    best: dict[str, float] = {}
    texts: list[Any] = []
    for rule in ("block", "token"):
        for gamma in (2, 4, 6, 8, 11, NODES) if rule == "block" else (4, 8, NODES):
            tau, spread, texts = yields(small.drafter(), gamma, rule, prompts)
            best[rule] = max(best.get(rule, 0.0), tau)
            what = f"{gamma} drafts in a chain, {rule} rule: ids a verification (standard error {spread:.3f})"
            print(f"{what}: {tau:.3f}", file=sys.stderr, flush=True)
    trees = {}
    shapes: dict[str, dict[str, float]] = {"block": {}, "token": {"first": 0.5, "sibling": 0.6}}
    for rule, hopes in shapes.items():
        drafter = TreeDraft(small.drafter(), **(hopes | ({"sibling": 0.0} if goal.planted else {})))
        trees[rule], spread, _ = yields(drafter, NODES, rule, prompts)
        what = f"{NODES} nodes in a tree, {rule} rule: ids a verification (standard error {spread:.3f})"
        print(f"{what}: {trees[rule]:.3f}", file=sys.stderr, flush=True)
    ratio = max(trees.values()) / max(best.values())
    what = f"the best tree ({max(trees.values()):.2f} ids) over the best chain ({max(best.values()):.2f})"
    goal.row("ratio/all", f"{what} of any length and rule", ">= 1.15", ratio, "x")
    for rule in shapes:
        what = f"{rule} rule: the tree ({trees[rule]:.2f} ids) over its best chain ({best[rule]:.2f})"
        goal.row(f"ratio/{rule}", what, ">= 1.0" if rule == "block" else ">= 1.1", trees[rule] / best[rule], "x")
    roots = places(prompts, texts, 300)
    gain, chances = limit(roots)
    told = ", ".join(f"{chance:.3f}" for chance in chances)
    block = max(best.values()) / best["token"]
    what = f"the best fixed shape, each level judged as well as can be (1 to 5 children: {told})"
    what += f" over a chain ({gain:.2f}), over what the block rule gives chains ({block:.2f}); 1.15 can't be"
    goal.row("limit/levels", what, "<= 1.15", gain / block, "x")
    print(f"{NODES} likeliest ids in a tree: ids a verification: {likeliest(roots):.3f}", file=sys.stderr, flush=True)
    tree, chain = bound(roots)
    what = f"a tree that knows the target ({tree:.2f} ids, token rule) over a chain in the same places ({chain:.2f})"
    goal.row("bound/token", what, ">= 1.15", tree / chain, "x")


main()
goal.end()
