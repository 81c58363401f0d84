"""The engine: what it emits, and what it does when something goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.pairconnect.test_model import VOCAB as PAIR_VOCAB
from tests.pairconnect.test_model import decoder
from thrifty.errors import OutOfBlocks, StalePlan
from thrifty.models.export import save_pairlm
from thrifty.pairconnect import PairLM
from thrifty.specdec import Drafts, Engine, LatencyCurve, PairTarget, SparseProbs, Step, Verified, draw, verify

VOCAB = 6
SMALL: dict[str, Any] = {"max_running": 32, "max_length": 64, "block_size": 4}


class Chain:
    """A target whose law depends on the last id, and a drafter that is like it here and there."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.law = rng.dirichlet(np.full(VOCAB, 0.5), VOCAB).astype(np.float32)
        self.q = (0.5 * self.law + 0.5 * rng.dirichlet(np.full(VOCAB, 0.5), VOCAB)).astype(np.float32)
        self.calls = 0

    def target(self, step: Step) -> Any:
        self.calls += 1
        return np.log(self.law[step.tokens[step.outputs]])

    def drafter(self, *, shared: bool = False, seed: int = 0, sparse: bool = False) -> Any:
        def propose(step: Step, rows: Any) -> Drafts:
            width = int(step.gamma[: step.giving].max())
            last = step.tokens[step.first[rows + 1] - step.gamma[rows] - 1].astype(np.int64)
            begin = (step.begin[rows] + step.fresh[rows]).astype(np.int64)
            ids = np.empty((len(rows), width), np.int64)
            q = np.empty((len(rows), width, VOCAB), np.float32)
            for k in range(width):
                q[:, k] = self.q[last]
                ids[:, k] = last = draw(
                    q[:, k], uid=step.uids[rows], position=begin + k, begin=begin, shared=shared, seed=seed
                )
            if not sparse:
                return Drafts(ids, q)
            n = len(rows) * width
            every = np.tile(np.arange(VOCAB, dtype=np.uint32), n)
            return Drafts(ids, SparseProbs(np.arange(n + 1) * VOCAB, every, q.reshape(-1)))

        return propose


def ran(engine: Engine, prompts: list[list[int]], max_new: int = 20, **law: Any) -> list[list[int]]:
    handles = [engine.submit(prompt, max_new=max_new, uid=i, **law) for i, prompt in enumerate(prompts)]
    engine.run()
    found = [engine.take(handle) for handle in handles]
    assert all(result.end == "length" and result.error is None for result in found)
    said = engine.stats()
    assert (said["running"], said["waiting"]) == (0, 0)
    return [result.tokens.tolist() for result in found]


PROMPTS = [[i % VOCAB] * (1 + i % 11) for i in range(40)]


@pytest.mark.parametrize("rule", ["token", "block"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "certain"])
def test_what_is_emitted_has_the_law_of_the_target(rule: Any, kind: str) -> None:
    chain = Chain()
    propose = chain.drafter(sparse=kind == "sparse")
    drafter = propose if kind != "certain" else lambda step, rows: Drafts(propose(step, rows).ids)
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
    before = np.concatenate([np.ones((n, 1), int), tokens[:, :-1]], 1)
    chances = []
    for place in range(3):
        chi, freedom = 0.0, 0
        for last in range(VOCAB):
            counts = np.bincount(tokens[before[:, place] == last, place], minlength=VOCAB)
            wanted = chain.law[last].astype(float) / chain.law[last].sum(dtype=float) * counts.sum()
            keep = wanted >= 1
            chi += float(((counts[keep] - wanted[keep]) ** 2 / wanted[keep]).sum())
            freedom += max(int(keep.sum()) - 1, 0)
        chances.append(stats.chi2.sf(chi, freedom))
    assert min(chances) * len(chances) > 1e-4


def test_seed_exact_is_plain_decoding() -> None:
    chain = Chain()
    plain = ran(Engine(chain.target, vocab=VOCAB, rule="seed_exact", seed=3, **SMALL), PROMPTS)
    calls, chain.calls = chain.calls, 0
    others = [
        {"gamma": 4, "drafters": [chain.drafter(shared=True, seed=3)]},
        {"gamma": 7, "drafters": [chain.drafter(shared=True, seed=99)]},
        {"gamma": 2, "drafters": [lambda step, rows: Drafts(np.zeros((len(rows), 2), np.int64))]},
        {"gamma": 5, "drafters": [chain.drafter(shared=True, seed=3)], "blocks": 20},
        {"gamma": 5, "drafters": [chain.drafter(shared=True, seed=3)], "max_running": 3, "share_prefixes": False},
    ]
    for other in others:
        engine = Engine(chain.target, vocab=VOCAB, rule="seed_exact", seed=3, **(SMALL | other))
        assert ran(engine, PROMPTS) == plain
        assert engine.stats()["preempted"] > 0 or "blocks" not in other
    # Alone, and with drafts that share the target's random numbers in fewer calls.
    alone = Engine(chain.target, vocab=VOCAB, rule="seed_exact", seed=3, **SMALL)
    handle = alone.submit(PROMPTS[7], max_new=20, uid=7)
    alone.run()
    assert alone.take(handle).tokens.tolist() == plain[7]
    chain.calls = 0
    ran(
        Engine(chain.target, [chain.drafter(shared=True, seed=3)], vocab=VOCAB, rule="seed_exact", seed=3, **SMALL),
        PROMPTS,
    )
    assert chain.calls < calls
    # Another seed says something else.
    assert ran(Engine(chain.target, vocab=VOCAB, rule="seed_exact", seed=4, **SMALL), PROMPTS) != plain


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[PairLM, PairLM]:
    """Two models; the smaller drafts for the larger."""
    folder: Path = tmp_path_factory.mktemp("engine")
    found = []
    for pool in ("mean", "softmax"):
        save_pairlm(decoder(pool), folder / pool)
        found.append(PairLM.load(folder / pool))
    return found[0], found[1]


@pytest.mark.parametrize("gamma", [1, 4])
def test_greedy_is_what_the_model_generates(models: tuple[PairLM, PairLM], gamma: int) -> None:
    target, small = models
    prompts = [[1, 2, 3], [5], list(range(30))]
    # One drafts what the target would say itself, the other does not.
    for drafter in (small.drafter(), target.drafter()):
        engine = Engine(PairTarget(target), [drafter], vocab=PAIR_VOCAB, gamma=gamma, rule="greedy", max_length=64)
        found = ran(engine, prompts, temperature=0.0)
        for prompt, tokens in zip(prompts, found, strict=True):
            assert tokens == target.generate(prompt, 20, temperature=0.0).tolist()
        assert engine.stats()["accepted"] > 0


def test_pair_drafts_are_seed_exact(models: tuple[PairLM, PairLM]) -> None:
    target, small = models
    prompts = [[i % PAIR_VOCAB, 3] for i in range(12)]
    law = {"temperature": 0.8, "top_p": 0.9}
    plain = ran(Engine(PairTarget(target), vocab=PAIR_VOCAB, rule="seed_exact", max_length=64), prompts, **law)
    for drafter in (small, target):
        engine = Engine(
            PairTarget(target), [drafter.drafter()], vocab=PAIR_VOCAB, gamma=3, rule="seed_exact", max_length=64
        )
        assert ran(engine, prompts, **law) == plain
        said = engine.stats()
        # A model that drafts for itself draws the same ids.
        assert said["accepted"] == said["drafted"] or drafter is small


def test_penalties_look_at_the_prefix_of_each_draft() -> None:
    """A target without preferences never repeats an id when repeating is made impossible."""

    def target(step: Step) -> Any:
        return np.zeros((len(step.outputs), VOCAB), np.float32)

    def same(step: Step, rows: Any) -> Drafts:
        return Drafts(np.tile(np.arange(4), (len(rows), 1)))

    engine = Engine(target, [same], vocab=VOCAB, gamma=4, **SMALL)
    for uid in range(200):
        engine.submit([5], max_new=VOCAB - 1, presence_penalty=1e4, uid=uid)
    engine.run()
    results = [sorted(result.tokens.tolist()) for result in engine.take_all().values()]
    assert results == [list(range(VOCAB - 1))] * 200


def test_a_model_that_fails_once_is_asked_again_without_drafts() -> None:
    chain = Chain()
    widths: list[int] = []

    def target(step: Step) -> Any:
        widths.append(int(step.gamma.max()))
        if len(widths) == 3:
            raise RuntimeError("no memory")
        return chain.target(step)

    engine = Engine(target, [chain.drafter(shared=True)], vocab=VOCAB, gamma=3, rule="seed_exact", **SMALL)
    plain = Engine(chain.target, vocab=VOCAB, rule="seed_exact", **SMALL)
    assert ran(engine, PROMPTS) == ran(plain, PROMPTS)
    assert widths[2] == 3
    assert widths[3] == 0
    assert engine.stats()["aborted"] >= 1


def test_a_model_that_fails_ends_only_the_requests_of_its_plan() -> None:
    chain = Chain()
    broken = True

    def target(step: Step) -> Any:
        if broken:
            raise RuntimeError("no memory")
        return chain.target(step)

    engine = Engine(target, vocab=VOCAB, max_running=2, max_length=64)
    handles = [engine.submit([1], max_new=3) for _ in range(4)]
    assert engine.step()
    broken = False
    engine.run()
    found = [engine.take(handle) for handle in handles]
    assert [result.end for result in found] == ["failed", "failed", "length", "length"]
    assert found[0].error == "RuntimeError: no memory"
    assert engine.stats()["free_blocks"] == 4096


def test_a_law_that_is_none_ends_only_its_request() -> None:
    chain = Chain()

    def target(step: Step) -> Any:
        scores = chain.target(step)
        row = np.repeat(np.arange(step.giving), step.gamma[: step.giving].astype(int) + 1)
        scores[step.uids[row] == 2] = np.nan
        return scores

    engine = Engine(target, [chain.drafter()], vocab=VOCAB, gamma=2, **SMALL)
    handles = [engine.submit([1], max_new=5, uid=uid) for uid in range(5)]
    engine.run()
    found = [engine.take(handle) for handle in handles]
    assert [result.end for result in found] == ["length", "length", "failed", "length", "length"]
    assert found[2].error is not None
    assert len(found[0].tokens) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda step, rows: Drafts(np.full((len(rows), 2), VOCAB)),
        lambda step, rows: Drafts(np.zeros((len(rows) + 1, 2), np.int64)),
        lambda step, rows: Drafts(np.zeros((len(rows), 30), np.int64)),
        lambda step, rows: Drafts(np.zeros((len(rows), 2), np.int64), np.full((len(rows), 2, VOCAB), np.nan)),
        lambda step, rows: 1 / 0,
    ],
)
def test_a_drafter_that_is_wrong_costs_no_request(wrong: Any) -> None:
    chain = Chain()
    engine = Engine(chain.target, [wrong], vocab=VOCAB, gamma=2, **SMALL)
    handles = [engine.submit([1, 2], max_new=5) for _ in range(3)]
    engine.run()
    assert [engine.take(handle).end for handle in handles] == ["length"] * 3
    assert engine.stats()["accepted"] == 0


def test_transactions() -> None:
    chain = Chain()
    engine = Engine(chain.target, vocab=VOCAB, **SMALL)
    handle = engine.submit([1, 2, 3, 4, 5], max_new=4, stop=[])
    step = engine.plan()
    assert (step.rows, step.giving, step.fresh.tolist(), step.positions.tolist()) == (1, 1, [5], [0, 1, 2, 3, 4])
    assert step.table[step.table_row[0], :2].tolist() == [step.places[0] // 4, step.places[4] // 4]
    assert not step.tokens.flags.writeable
    assert np.shares_memory(step.tokens, engine._arrays["tokens"])
    with pytest.raises(StalePlan, match="neither committed nor aborted"):
        engine.plan()
    engine.abort(step)
    with pytest.raises(StalePlan, match="committed or aborted before"):
        engine.abort(step)
    step = engine.plan()
    verified, proposed = engine.verify(step, chain.target(step), engine.draft(step))
    with pytest.raises(ValueError, match="accepted"):
        engine.commit(step, Verified(np.array([1]), verified.tokens))
    with pytest.raises(ValueError, match="tokens: 77"):
        engine.commit(step, Verified(verified.accepted, np.array([[77]])))
    engine.cancel(handle)
    assert engine.state(handle) == "running"
    engine.commit(step, verified, proposed)
    assert engine.state(handle) == "cancelled"
    assert engine.take(handle).tokens.tolist() == verified.tokens[0].tolist()
    with pytest.raises(ValueError, match="handle"):
        engine.take(handle)


def test_stop_ids_end_a_request() -> None:
    chain = Chain()
    engine = Engine(chain.target, [chain.drafter()], vocab=VOCAB, gamma=4, **SMALL)
    handles = [engine.submit([1], max_new=60, stop=[2]) for _ in range(20)]
    engine.run()
    for handle in handles:
        result = engine.take(handle)
        assert (result.end == "stop") == (2 in result.tokens)
        assert 2 not in result.tokens[:-1]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [VOCAB]}, "prompt: id 6 at 0"),
        ({"max_new": 0}, "max_new"),
        ({"max_new": 100}, "max_length is 64"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"stop": [9]}, "stop: id 9"),
        ({"repetition_penalty": 0.0}, "penalties"),
    ],
)
def test_wrong_requests(change: dict[str, Any], match: str) -> None:
    engine = Engine(Chain().target, vocab=VOCAB, **SMALL)
    wanted: dict[str, Any] = {"prompt": [1], "max_new": 3} | change
    with pytest.raises(ValueError, match=match):
        engine.submit(wanted.pop("prompt"), **wanted)
    assert engine.stats()["submitted"] == 0


def test_out_of_blocks() -> None:
    engine = Engine(Chain().target, vocab=VOCAB, blocks=2, block_size=4, max_length=64)
    with pytest.raises(OutOfBlocks, match="needs 3 blocks of 4 tokens, there are 2"):
        engine.submit([1] * 5, max_new=5)
    with pytest.raises(OutOfBlocks):
        engine.submit_many(np.ones((3, 5), np.int64), max_new=5)
    assert engine.stats()["waiting"] == 0
    # One that just fits does not wait for ever.
    handle = engine.submit([1] * 5, max_new=4)
    engine.run()
    assert len(engine.take(handle).tokens) == 4


def test_wrong_engines() -> None:
    chain = Chain()
    for change, match in [
        ({"rule": "best"}, "rule"),
        ({"gamma": 20}, "gamma"),
        ({"max_gamma": 300}, "max_gamma"),
        ({"token_budget": 3}, "token_budget: 3 is less than 64"),
        ({"blocks": 0}, "blocks"),
        ({"blocks": 2**31, "block_size": 64}, "places"),
        ({"max_length": 2**31}, "max_length"),
        ({"max_running": 2**20, "max_length": 2**30, "blocks": 2**26, "token_budget": 2**21}, "bytes"),
    ]:
        with pytest.raises(ValueError, match=match):
            Engine(chain.target, [chain.drafter()], vocab=VOCAB, **change)  # type: ignore[arg-type]


def test_drawing_is_what_verification_leaves() -> None:
    law = np.random.default_rng(0).dirichlet(np.ones(50), 300).astype(np.float32)
    uid, position = np.arange(300), np.arange(300) % 7
    found = draw(law, uid=uid, position=position, shared=True, seed=5)
    none = np.full((300, 0), -1)
    again = verify(law[:, None], None, none, rule="seed_exact", uid=uid, position=position, seed=5)
    assert (found == again.tokens[:, 0]).all()
    # Rounds draw anew, and not what the verifier draws.
    first = draw(law, uid=uid, position=position, begin=position, seed=5)
    later = draw(law, uid=uid, position=position, begin=np.maximum(position - 1, 0), seed=5)
    assert (first != later).any()
    assert (first != found).any()


@pytest.mark.parametrize("rule", ["token", "block"])
def test_rows_of_several_drafters_are_judged_as_those_of_one(rule: Any) -> None:
    """One drafter's step, told as if two had drafted it: one gave laws of its own rows, one lists of all."""
    chain = Chain()
    engine = Engine(chain.target, [chain.drafter()], vocab=VOCAB, gamma=3, rule=rule, **SMALL)
    for uid in range(20):
        engine.submit([1 + uid % 5], max_new=20, uid=uid, max_gamma=uid % 4)
    step = engine.plan()
    drafted = engine.draft(step)
    scores = chain.target(step)
    whole, proposed = engine.verify(step, scores, drafted)
    ((rows, drafts),) = drafted
    assert rows is not None
    width = drafts.ids.shape[1]
    mine, other = rows[::2], rows[1::2]
    # Lists for all rows of the step, empty where the other one drafted.
    ids = np.full((step.giving, width), -1, np.int64)
    ids[other] = drafts.ids[1::2]
    lengths = np.zeros((step.giving, width), np.int64)
    lengths[other] = VOCAB
    ends = np.concatenate([[0], np.cumsum(lengths.reshape(-1))])
    every = np.tile(np.arange(VOCAB, dtype=np.uint32), len(other) * width)
    lists = SparseProbs(ends, every, np.ascontiguousarray(drafts.q[1::2]).reshape(-1))
    two = [(mine, Drafts(drafts.ids[::2], drafts.q[::2])), (other, Drafts(ids, lists))]
    apart, counted = engine.verify(step, scores, two)
    assert (apart.accepted == whole.accepted).all()
    assert (apart.tokens == whole.tokens).all()
    assert (counted == proposed).all()
    assert 0 < whole.accepted.sum() < proposed.sum()
    engine.commit(step, apart, counted)


def test_planned_engines_choose_among_drafters_and_say_why() -> None:
    """A drafter that is always wrong is not kept; texts are the target's own whoever drafts."""
    chain = Chain()
    curve = LatencyCurve(1, 0.5, 0.0, weights_ms=20.0, compute_ms_per_token=0.01, overhead_ms=0.0)
    drafters = [lambda step, rows: Drafts(np.full((len(rows), 1), 0)), chain.drafter(shared=True)]
    engine = Engine(chain.target, drafters, vocab=VOCAB, rule="seed_exact", latency=[curve, curve], **SMALL)
    plain = Engine(chain.target, vocab=VOCAB, rule="seed_exact", **SMALL)
    assert ran(engine, PROMPTS) == ran(plain, PROMPTS)
    assert engine.stats()["drafted"] > 0
    handle = engine.submit([1], max_new=20)
    engine.step()
    assert "bound by" in engine.explain(handle)
    assert "fixed" in plain.explain(plain.submit([1], max_new=2))
    with pytest.raises(ValueError, match="latency: 1 curves for 2 drafters"):
        Engine(chain.target, drafters, vocab=VOCAB, latency=curve)
    with pytest.raises(ValueError, match="max_gamma"):
        Engine(chain.target, drafters, vocab=VOCAB, latency=[curve, curve], max_gamma=20)


def test_targets_for_the_time_between_ids() -> None:
    chain = Chain()
    curve = LatencyCurve(1, 0.05, 0.0, 1.0, 0.01, 0.0)
    kwargs: dict[str, Any] = {"vocab": VOCAB, "rule": "seed_exact", **SMALL}
    plain = ran(Engine(chain.target, **kwargs), [[1], [2, 3], [4]])
    for tbt_ms, least, most in ((1e-6, 0, 48), (1e6, 57, 57)):
        engine = Engine(chain.target, [chain.drafter(shared=True)], latency=curve, **kwargs)
        assert ran(engine, [[1], [2, 3], [4]], tbt_ms=tbt_ms) == plain
        said = engine.stats()
        # The first id of each sets its pace, and drafts that come with it are in time: 16 at most.
        assert said["paced"] == 57
        assert least <= said["on_time"] <= most
    # One law for many, and one without a target among them.
    engine = Engine(chain.target, [chain.drafter(shared=True)], latency=curve, **kwargs)
    engine.submit_many([[1], [2]], max_new=20, tbt_ms=1e6)
    engine.submit([3], max_new=20)
    engine.run()
    said = engine.stats()
    assert said["paced"] == said["on_time"] == 38


@pytest.mark.parametrize("tbt_ms", [0, -1.0, float("nan"), float("inf")])
def test_targets_that_are_none(tbt_ms: float) -> None:
    engine = Engine(Chain().target, vocab=VOCAB, **SMALL)
    with pytest.raises(ValueError, match="tbt_ms"):
        engine.submit([1], max_new=2, tbt_ms=tbt_ms)
    assert engine.stats()["submitted"] == 0
    engine.submit([1], max_new=2)
    engine.run()
    assert engine.stats()["length"] == 1
