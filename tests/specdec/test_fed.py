"""Models that a scheduler feeds: what their caches hold, what they may give, and what else may happen meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thrifty.specdec import CachedDraft, CachedTarget, Engine, LookupDraft

from .test_drafters import VOCAB, Cached, chain, told


class Fed(Cached):
    """The same as a model that takes what it is fed from arrays that last, and gives tensors."""

    def __init__(self, law, change=lambda scores: scores, **sizes):
        super().__init__(law, **sizes)
        self.change = change

    def fed(self, arrays):
        def run(rows, slot, begin, width, keep):
            ids, positions = (arrays[name][: rows * width].reshape(rows, width) for name in ("ids", "positions"))
            assert (arrays["slots"][0], positions[0, 0]) == (slot, begin)
            scores = self(arrays["slots"][:rows].copy(), positions[:, 0].copy(), ids.copy(), keep)
            return self.change(torch.from_numpy(np.ascontiguousarray(scores)))

        return run


PROMPTS = [[i % VOCAB, (3 * i) % VOCAB] + [1] * (i * 9) for i in range(9)]


@pytest.mark.parametrize("kind", [Cached, Fed])
@pytest.mark.parametrize("rule", ["greedy", "block", "token", "seed_exact"])
@pytest.mark.parametrize("running", [1, 4])
def test_the_target_as_its_own_draft_is_always_right(kind, rule, running):
    """Ids in the wrong place of a cache would give scores that are not the target's."""
    law = chain()
    target, draft = (kind(law, slots=running) for _ in range(2))
    engine = Engine(
        CachedTarget(target), CachedDraft(draft), vocab=VOCAB, gamma=4, rule=rule, max_running=running,
        share_prefixes=False, seed=3,
    )  # fmt: skip
    heat = 0.0 if rule == "greedy" else 1.0
    handles = [
        engine.submit(prompt, max_new=17 + i, max_gamma=(4, 2, 0, 4)[i % 4], temperature=heat)
        for i, prompt in enumerate(PROMPTS)
    ]
    engine.run()
    assert all(engine.take(handle).error is None for handle in handles)
    said = engine.stats()
    assert said["accepted"] == said["drafted"] > 100
    # Rows are filled up where they differ, but no pass is made for a part of what fits into one.
    assert said["aborted"] == 1
    assert len(target.calls) <= said["steps"] + len(PROMPTS)


@pytest.mark.parametrize("drafter", ["draft", "lookup", "both"])
@pytest.mark.parametrize("running", [1, 3])
def test_fed_or_not_the_text_is_the_same(drafter, running):
    law = chain(2)
    rough = law + np.random.default_rng(5).normal(0, 1, law.shape).astype(np.float32)

    def texts(kind, by_hand):
        made = {"draft": [CachedDraft(kind(rough))], "lookup": [LookupDraft(1)]}
        made["both"] = [*made["draft"], *made["lookup"]]
        cached = CachedTarget(kind(law))
        target = cached.__call__ if by_hand else cached
        engine = Engine(
            target, made[drafter], vocab=VOCAB, gamma=3, rule="block", max_running=running, share_prefixes=False
        )
        handles = [engine.submit(prompt, max_new=20, temperature=0.8, top_p=0.9) for prompt in PROMPTS]
        engine.run()
        return [engine.take(handle).tokens.tolist() for handle in handles]

    wanted = texts(Cached, True)
    assert texts(Cached, False) == wanted
    assert texts(Fed, False) == wanted
    assert texts(Fed, True) == wanted


@pytest.mark.parametrize("size", [VOCAB - 3, VOCAB + 5])
def test_a_draft_may_know_other_ids(size):
    """Of fewer it drafts fewer, of more only those that the target knows."""
    law = chain()
    other = np.random.default_rng(1).normal(0, 2, (VOCAB, VOCAB, size)).astype(np.float32)
    engine = Engine(
        CachedTarget(Cached(law)), CachedDraft(Fed(other)), vocab=VOCAB, gamma=3, rule="token", share_prefixes=False
    )
    handle = engine.submit([1, 2], max_new=60)
    engine.run()
    assert engine.take(handle).error is None
    said = engine.stats()
    assert said["drafted"] > said["accepted"] > 0
    assert said["aborted"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores.double(),
        lambda scores: torch.stack([scores, scores], 3)[..., 0],
        lambda scores: scores[..., :-1].contiguous(),
        lambda scores: scores.tolist(),
    ],
)
def test_scores_that_do_not_lie_as_they_should_are_refused(change):
    """The steps are done again by way of the model's own call, which has other ones."""
    law = chain()
    engine = Engine(CachedTarget(Fed(law, change)), vocab=VOCAB, gamma=0, rule="greedy", share_prefixes=False)
    handle = engine.submit(PROMPTS[1], max_new=30)
    engine.run()
    assert engine.take(handle).tokens.tolist() == told(PROMPTS[1], law)
    assert engine.stats()["aborted"] == 31


def test_each_pass_is_looked_at():
    """That scores lay as they should before says nothing of those that come."""
    law, calls = chain(), []

    def turns(scores):
        calls.append(1)
        return scores.to(torch.float16) if len(calls) % 2 == 0 else scores

    engine = Engine(CachedTarget(Fed(law, turns)), vocab=VOCAB, gamma=0, rule="greedy", share_prefixes=False)
    handle = engine.submit(PROMPTS[1], max_new=30)
    engine.run()
    assert engine.take(handle).tokens.tolist() == told(PROMPTS[1], law)
    assert engine.stats()["aborted"] > 10


def test_a_draft_that_fails_costs_a_step_its_drafts():
    law, calls = chain(), []

    def fails(scores):
        calls.append(1)
        if len(calls) % 3 == 0:
            raise RuntimeError("no memory")
        return scores

    engine = Engine(
        CachedTarget(Fed(law)), CachedDraft(Fed(law, fails)), vocab=VOCAB, gamma=4, rule="greedy", share_prefixes=False
    )
    handle = engine.submit(PROMPTS[2], max_new=30)
    engine.run()
    assert engine.take(handle).tokens.tolist() == told(PROMPTS[2], law)
    assert engine.stats()["aborted"] > 3


def test_requests_may_come_while_a_model_runs():
    law, handles = chain(), []

    def comes(scores):
        if len(handles) < 4:
            handles.append(engine.submit(PROMPTS[len(handles)], max_new=30))
        return scores

    engine = Engine(
        CachedTarget(Fed(law, comes)), CachedDraft(Fed(law, comes)), vocab=VOCAB, gamma=3, rule="greedy",
        share_prefixes=False,
    )  # fmt: skip
    engine.submit([1, 2], max_new=5)
    engine.run()
    assert [engine.take(handle).tokens.tolist() for handle in handles] == [told(prompt, law) for prompt in PROMPTS[:4]]
