"""Trees of drafts beside chains, at 16 tokens that the target verifies a step: the ids that a verification yields.

Target and drafter are the two pair models of the package; prompts lie evenly in the text that neither learned from, 96
ids follow each, at temperature 0.7.

ratio/: the better tree of 15 nodes over the best chain of both rules, and over that of its own rule; what each length
of chain and each tree yields is told on the way. bound/: a tree that grows where the target's own law says that a node
most likely pays, which no drafter knows: how much a choice of shapes could gain with these laws, beside the chain in
the same places.

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


def bound(prompts: list[Any], texts: list[Any], count: int) -> tuple[float, float]:
    """Ids of a tree that knows the target's law, by the token rule, and of a chain, at random places of texts."""
    rng = np.random.default_rng(goal.seed)
    roots = []
    for i in rng.choice(len(prompts), count):
        whole = np.concatenate([prompts[i], texts[i]])
        at = rng.integers(len(prompts[i]), len(whole))
        roots.append(whole[at - REACH : at])
    found = []
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
    tree, chain = bound(prompts, texts, 300)
    what = f"a tree that knows the target ({tree:.2f} ids, token rule) over a chain in the same places ({chain:.2f})"
    goal.row("bound/token", what, ">= 1.15", tree / chain, "x")


main()
goal.end()
