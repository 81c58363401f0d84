"""What an engine emits has the target's law with pair models too, at temperatures and by parts of the law.

Two pair models of bytes are trained on the novels of the package, the larger the target. A hundred thousand requests
begin alike and draft 0 to 5 ids a step (trees: up to 5 nodes, grown by the drafter's own hopes); ids 1 to 3 that are
emitted are counted behind what their request emitted before, and held against the law that numpy makes of the target's
scores. For temperatures 0.6, 1, 1.3 and top-p 1, 0.9: token, block and seed-exact rules, trees by the block rule, and
drafts of which the verifier is told nothing. All tests together are judged after Holm.

--planted: drafts are drawn at another temperature than is told; the test must fail.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pairs import TEXT, trained
from rows import Goal

from thrifty.pairconnect import Bytes, read_text
from thrifty.specdec import Drafts, Engine, PairTarget, SparseProbs, TreeDraft
from thrifty.specdec.rounds import Rounds

goal = Goal(__file__, __doc__, ("scipy", "torch"))
SAMPLES, EMITTED, NEW, WIDTH, VOCAB = 100_000, 3, 5, 5, 256
#: Ids before a position that decide on its scores, and more.
REACH = 8
KINDS = ("token", "block", "seed_exact", "tree", "certain")
LAWS = [(temperature, top_p) for temperature in (0.6, 1.0, 1.3) for top_p in (1.0, 0.9)]


class Certain(Rounds):
    """Says nothing of the laws that drafts were drawn from."""

    def draft(self, step: Any) -> Any:
        return [(rows, drafts._replace(q=None)) for rows, drafts in super().draft(step)]


class Hot(Rounds):
    """Tells laws that are flatter than those that drafts were drawn from."""

    def draft(self, step: Any) -> Any:
        found = []
        for rows, drafts in super().draft(step):
            q = drafts.q
            if isinstance(q, SparseProbs):
                flat = np.sqrt(q.probs)
                place = np.repeat(np.arange(len(q.indptr) - 1), np.diff(q.indptr))
                flat /= np.bincount(place, flat, len(q.indptr) - 1)[place]
                q = SparseProbs(q.indptr, q.ids, flat.astype(np.float32))
            found.append((rows, Drafts(drafts.ids, q, drafts.parents)))
        return found


def law_of(scores: Any, temperature: float, top_p: float) -> tuple[Any, Any]:
    """The law of each row, and which ids are so near to the limit that rounding decides on them."""
    law = np.exp((scores.astype(float) - scores.max(-1, keepdims=True)) / temperature)
    law /= law.sum(-1, keepdims=True)
    near = np.zeros(law.shape, bool)
    if top_p < 1:
        order = np.argsort(-law, -1, kind="stable")
        ranked = np.take_along_axis(law, order, -1)
        before = np.cumsum(ranked, -1) - ranked
        np.put_along_axis(near, order, np.abs(before - top_p) < 1e-5, -1)
        np.put_along_axis(law, order, np.where(before < top_p, ranked, 0), -1)
        law /= law.sum(-1, keepdims=True)
    return law, near


def chances_of(target: Any, prompt: Any, tokens: Any, temperature: float, top_p: float) -> list[float]:
    """Chances of a larger chi-square at each place, behind beginnings that at least 100 requests share."""
    found = []
    for place in range(EMITTED):
        begun, of, count = np.unique(tokens[:, :place], axis=0, return_inverse=True, return_counts=True)
        frequent = np.flatnonzero(count >= 100)
        # Each beginning behind the prompt, one after the other: what stands before it is out of reach.
        rows = np.concatenate([np.tile(prompt, (len(frequent), 1)), begun[frequent]], 1)[:, -REACH:]
        scores = target.scores(rows.reshape(-1).astype(np.uint32))[REACH - 1 :: REACH]
        laws, near = law_of(scores, temperature, top_p)
        seen = np.zeros((len(begun), VOCAB))
        np.add.at(seen, (of.reshape(-1), tokens[:, place]), 1)
        chi, freedom = 0.0, 0
        for row, law, close in zip(seen[frequent], laws, near, strict=True):
            wanted = law * row.sum()
            if (row[(law == 0) & ~close] > 0).any():
                return [0.0]
            likely = wanted >= 5
            o, e = np.r_[row[likely], row[~likely].sum()], np.r_[wanted[likely], wanted[~likely].sum()]
            keep = e >= 1
            chi += float(((o[keep] - e[keep]) ** 2 / e[keep]).sum())
            freedom += max(int(keep.sum()) - 1, 0)
        found.append(float(stats.chi2.sf(chi, freedom)))
    return found


def main() -> None:
    text, _ = Bytes().encode(read_text(TEXT))
    target = trained(text, vocab=VOCAB, dim=32, window=4, tokens=200_000, seed=goal.seed)
    small = trained(text, vocab=VOCAB, dim=16, window=2, tokens=100_000, seed=goal.seed + 1)
    prompt = np.asarray(text[1000 : 1000 + 12])
    tests = len(KINDS) * len(LAWS) * EMITTED
    for kind in KINDS:
        if not goal.wants(kind):
            continue
        rule: Any = {"tree": "block", "certain": "token"}.get(kind, kind)
        for temperature, top_p in LAWS:
            begun = time.process_time()
            drafter = small.drafter() if kind != "tree" else TreeDraft(small.drafter(), first=0.5, sibling=0.7)
            engine = Engine(
                PairTarget(target), [drafter], vocab=VOCAB, gamma=WIDTH, max_gamma=WIDTH, rule=rule, seed=goal.seed,
                blocks=1800, block_size=8, max_running=1024, max_length=32,
            )  # fmt: skip
            changed = Hot if goal.planted else Certain if kind == "certain" else None
            if changed is not None:
                own = engine._rounds
                engine._rounds = changed(own.core, own.drafters, VOCAB, rule, goal.seed, None)
            uid = np.arange(SAMPLES)
            handles = engine.submit_many(
                np.tile(prompt, (SAMPLES, 1)), max_new=NEW, uid=uid, max_gamma=uid % (WIDTH + 1),
                temperature=temperature, top_p=top_p,
            )  # fmt: skip
            engine.run()
            results = engine.take_all()
            tokens = np.stack([results[handle].tokens[:EMITTED] for handle in handles.tolist()]).astype(np.int64)
            said = engine.stats()
            chances = chances_of(target, prompt, tokens, temperature, top_p)
            what = (
                f"{SAMPLES:,} requests of pair models, {kind}, temperature {temperature}, top-p {top_p}: least chance "
            )
            what += f"of a larger chi-square; {said['accepted'] / max(said['drafted'], 1):.0%} of drafts accepted, "
            what += f"{said['preempted']:,} preempted, {time.process_time() - begun:.0f} CPU-s"
            least = min(1.0, min(chances) * tests)
            goal.row(f"{kind}/{temperature}, {top_p}", what, ">= 1e-4", least, "chance")


main()
goal.end()
