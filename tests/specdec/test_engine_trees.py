"""Trees through the engine: the law of what is emitted, the cache, and drafters of pair models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from tests.pairconnect.test_model import VOCAB as PAIR_VOCAB
from tests.specdec.test_engine import PROMPTS, SMALL, VOCAB, Chain, models, ran
from thrifty.specdec import Drafts, Engine, LatencyCurve, PairTarget, Step, TreeDraft, draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from thrifty.pairconnect import PairLM

__all__ = ["models"]


def grown(chain: Chain, *, shared: bool = False, replaced: bool = False) -> Callable[[Step, Any], Drafts]:
    """Trees whose next node goes where the ids drawn before say."""

    def propose(step: Step, rows: Any) -> Drafts:
        n, width = len(rows), int(step.gamma[: step.giving].max())
        every, begin = np.arange(n), (step.begin[rows] + step.fresh[rows]).astype(np.int64)
        left = np.zeros((n, width + 1, VOCAB), np.float32)
        left[:, 0] = chain.q[step.tokens[step.first[rows + 1] - step.gamma[rows] - 1]]
        q, depth = left.copy(), np.zeros((n, width + 1), np.int64)
        ids, parents = np.full((n, width), -1), np.full((n, width), -1)
        for k in range(width):
            # Below the last node where its id is odd, else beside it.
            above = np.zeros(n, np.int64) if k == 0 else np.where(ids[:, k - 1] % 2, k, parents[:, k - 1] + 1)
            law = np.ascontiguousarray(left[every, above])
            node = np.full(n, k) if replaced else above
            x = draw(
                law, uid=step.uids[rows], position=begin + depth[every, above], begin=begin, node=node, shared=shared
            )
            ids[:, k], parents[:, k] = x, above - 1
            if not replaced:
                left[every, above, x] = 0
            depth[:, k + 1] = depth[every, above] + 1
            left[:, k + 1] = q[:, k + 1] = chain.q[x]
        return Drafts(ids, q, parents)

    return propose


def chances(tokens: Any, first: int, chain: Chain) -> list[float]:
    """Of a larger chi-square at each of three places."""
    before = np.concatenate([np.full((len(tokens), 1), first), tokens[:, :-1]], 1)
    found = []
    for place in range(3):
        chi, freedom = 0.0, 0
        for last in range(VOCAB):
            counts = np.bincount(tokens[before[:, place] == last, place], minlength=VOCAB)
            wanted = chain.law[last].astype(float) / chain.law[last].sum(dtype=float) * counts.sum()
            keep = wanted >= 1
            chi += float(((counts[keep] - wanted[keep]) ** 2 / wanted[keep]).sum())
            freedom += max(int(keep.sum()) - 1, 0)
        found.append(float(stats.chi2.sf(chi, freedom)))
    return found


@pytest.mark.parametrize(
    ("rule", "kind"), [("token", "drawn"), ("block", "drawn"), ("block", "certain"), ("block", "wrong")]
)
def test_what_trees_emit_has_the_law_of_the_target(rule: Any, kind: str) -> None:
    chain = Chain()
    propose = grown(chain)

    def drafter(step: Step, rows: Any) -> Drafts:
        drafts = propose(step, rows)
        if kind == "certain":
            return drafts._replace(q=None)
        # Another law than it was drawn from.
        return drafts if kind == "drawn" else drafts._replace(q=np.full_like(drafts.q, 1 / VOCAB))

    engine = Engine(
        chain.target, [drafter], vocab=VOCAB, gamma=5, max_gamma=5, rule=rule, blocks=300, block_size=2,
        max_running=512, max_length=20,
    )  # fmt: skip
    n = 12_000
    uid = np.arange(n)
    handles = engine.submit_many(np.full((n, 5), 1), max_new=6, uid=uid, max_gamma=uid % 6)
    engine.run()
    results = engine.take_all()
    tokens = np.stack([results[handle].tokens for handle in handles.tolist()]).astype(int)
    said = engine.stats()
    assert said["preempted"] > 0
    assert said["shared_tokens"] > 0
    assert 0 < said["accepted"] < said["drafted"]
    least = min(chances(tokens, 1, chain)) * 3
    assert least < 1e-4 if kind == "wrong" else least > 1e-4


def test_seed_exact_is_plain_decoding_with_trees_and_chains() -> None:
    chain = Chain()
    plain = ran(Engine(chain.target, vocab=VOCAB, rule="seed_exact", **SMALL), PROMPTS)
    engine = Engine(chain.target, [grown(chain, shared=True)], vocab=VOCAB, gamma=6, rule="seed_exact", **SMALL)
    assert ran(engine, PROMPTS) == plain
    assert engine.stats()["accepted"] > 0
    # A planner has both kinds of drafters in its steps.
    curve = LatencyCurve(1, 0.05, 0.0, weights_ms=20.0, compute_ms_per_token=0.01, overhead_ms=0.0)
    both = [grown(chain, shared=True), chain.drafter(shared=True)]
    engine = Engine(chain.target, both, vocab=VOCAB, rule="seed_exact", latency=[curve, curve], **SMALL)
    assert ran(engine, PROMPTS) == plain


class Cached:
    """A target that knows nothing but what it was fed: every place of its cache says what was written there."""

    def __init__(self, chain: Chain, blocks: int, size: int) -> None:
        self.chain, self.size = chain, size
        self.cache = np.full((blocks * size, 2), -1, np.int64)
        self.moved = 0

    def __call__(self, step: Step) -> Any:
        self.cache[step.places] = np.stack([step.tokens, step.positions], 1)
        row = np.repeat(np.arange(step.rows), np.diff(step.first))
        parents = step.parents
        for token in step.outputs:
            way, at = [], int(token)
            while at >= 0:
                way.append((int(step.tokens[at]), int(step.positions[at])))
                at = int(parents[at])
            places = np.arange(step.begin[row[token]])
            table = step.table[step.table_row[row[token]]]
            before = self.cache[table[places // self.size] * self.size + places % self.size]
            whole = np.concatenate([before, np.array(way[::-1])])
            assert (whole[:, 1] == np.arange(len(whole))).all()
            known = step.ids(int(row[token]))
            assert (whole[: len(known), 0] == known).all()
        return np.log(self.chain.law[step.tokens[step.outputs]])

    def move(self, source: Any, target: Any) -> None:
        self.moved += len(source)
        self.cache[target] = self.cache[source] + [0, 0]
        assert (source > -1).all()


@pytest.mark.parametrize("rule", ["block", "token", "greedy"])
def test_the_cache_holds_what_was_accepted(rule: Any) -> None:
    chain = Chain()
    target = Cached(chain, 60, 4)
    engine = Engine(
        target, [grown(chain)], vocab=VOCAB, gamma=7, rule=rule, blocks=60, block_size=4, max_running=12, max_length=40
    )
    ran(engine, PROMPTS)
    said = engine.stats()
    assert target.moved > 0
    # No step was done again for a target that raised.
    assert said["aborted"] == 1
    assert said["preempted"] > 0


def test_pair_trees_change_no_id_where_they_must_not(models: tuple[PairLM, PairLM]) -> None:
    target, small = models
    prompts = [[i % PAIR_VOCAB, 3, i] for i in range(12)]
    for rule, law in (("greedy", {"temperature": 0.0}), ("seed_exact", {"temperature": 0.8, "top_p": 0.9})):
        plain = ran(Engine(PairTarget(target), vocab=PAIR_VOCAB, rule=rule, max_length=64), prompts, **law)  # type: ignore[arg-type]
        for hopes in ({}, {"first": 0.3, "sibling": 0.9}):
            drafter = TreeDraft(small.drafter(), **hopes)
            engine = Engine(PairTarget(target), [drafter], vocab=PAIR_VOCAB, gamma=9, rule=rule, max_length=64)  # type: ignore[arg-type]
            assert ran(engine, prompts, **law) == plain
            said = engine.stats()
            assert said["aborted"] == 1
            assert 0 < said["accepted"] < said["drafted"]


def test_pair_trees_grow_as_they_should(models: tuple[PairLM, PairLM]) -> None:
    """Nodes and laws of trees, of requests alone and among others."""
    target, small = models

    def drafted(prompts: list[list[int]], first: int, **hopes: float) -> Drafts:
        engine = Engine(PairTarget(target), [TreeDraft(small.drafter(), **hopes)], vocab=PAIR_VOCAB, gamma=9)
        for i, prompt in enumerate(prompts):
            engine.submit(prompt, max_new=20, uid=first + i, temperature=0.8, top_p=0.95, max_gamma=9 - i)
        step = engine.plan()
        ((rows, found),) = engine.draft(step)
        assert rows is None
        positions = [step.positions[step.first[i + 1] - step.gamma[i] : step.first[i + 1]] for i in range(step.giving)]
        for own, parents, ids in zip(positions, found.parents, found.ids, strict=True):
            depth: list[int] = []
            for parent in parents[ids >= 0]:
                depth.append(0 if parent < 0 else depth[parent] + 1)
            assert (own[: len(depth)] - 3 == depth).all()
        engine.abort(step)
        return found

    prompts = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    found = drafted(prompts, 0)
    assert ((found.ids >= 0).sum(1) == [9, 8, 7]).all()
    width = found.ids.shape[1]
    for row, prompt in enumerate(prompts):
        nodes = list(zip(found.parents[row].tolist(), found.ids[row].tolist(), strict=True))[: 9 - row]
        assert len(set(nodes)) == len(nodes)
        assert any(parent >= 0 for parent, _ in nodes)
        # Laws are the drafter's, of the whole way; only nodes with children have one.
        reader = small.drafter(temperature=0.8, top_p=0.95)
        for at in range(-1, width):
            begin, end = found.q.indptr[row * (width + 1) + at + 1 :][:2]
            children = [x for parent, x in nodes if parent == at]
            if not children:
                assert begin == end
                continue
            way, node = [], at
            while node >= 0:
                way.append(nodes[node][1])
                node = nodes[node][0]
            ids, law = reader.law(reader.open([*prompt, *way[::-1]]))
            assert (found.q.ids[begin:end] == ids).all()
            assert (found.q.probs[begin:end] == law).all()
            assert set(children) <= set(ids.tolist())
    alone = drafted(prompts[:1], 0)
    assert (alone.ids[0] == found.ids[0]).all()
    assert (alone.parents[0] == found.parents[0]).all()
    # Without siblings trees are chains.
    chain = drafted(prompts[:1], 0, sibling=0.0)
    assert (chain.parents[0] == np.arange(9) - 1).all()


def test_wrong_trees_cost_no_request(models: tuple[PairLM, PairLM]) -> None:
    chain = Chain()
    for parents in (np.full((3, 2), 5), np.full((3, 3), -1), np.zeros((3, 2), int), np.full((3, 2), -1)):
        engine = Engine(
            chain.target, [lambda step, rows, p=parents: Drafts(np.ones((len(rows), 2), int), None, p[: len(rows)])],
            vocab=VOCAB, gamma=2, **SMALL,
        )  # fmt: skip
        handles = [engine.submit([1, 2], max_new=5) for _ in range(3)]
        engine.run()
        assert [engine.take(handle).end for handle in handles] == ["length"] * 3
        assert engine.stats()["accepted"] == 0
    # Siblings that were drawn with replacement are found out when two are the same; the step is done without drafts.
    engine = Engine(chain.target, [grown(chain, replaced=True)], vocab=VOCAB, gamma=5, **SMALL)
    ran(engine, PROMPTS)
    assert engine.stats()["aborted"] > 1
    for change in ({"first": 1.5}, {"sibling": -0.1}, {"first": float("nan")}):
        with pytest.raises(ValueError, match="is not between 0 and 1"):
            TreeDraft(models[1].drafter(), **change)
    with pytest.raises(TypeError, match="a PairDraft is needed, got Chain"):
        TreeDraft(chain)
    with pytest.raises(ValueError, match="node: 256"):
        draw(chain.law[:1], uid=[0], position=[0], node=[256])
