"""Rules against a slow twin, against exact enumeration, and by the law of what they emit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.specdec import golden
from tests.specdec.verify_twin import DRAFT, RESAMPLE, Noise, enumerated, law_of
from tests.specdec.verify_twin import verify as slow
from thrifty.specdec import SamplingParams, SparseProbs, verify

RULES = ("token", "block", "greedy", "seed_exact")


def laws(rng: np.random.Generator, *shape: int) -> Any:
    """Random laws as float32, some chances 0."""
    x = rng.gamma(0.5, size=shape) * (rng.random(shape) < 0.8)
    x[..., 0] += 0.01
    return (x / x.sum(-1, keepdims=True)).astype(np.float32)


def ragged(rng: np.random.Generator, q: Any) -> Any:
    """Drafts drawn from laws, of unlike number."""
    n, g, vocab = q.shape
    draft = golden.drawn(q.reshape(-1, vocab).astype(np.float64), rng).reshape(n, g)
    return np.where(np.arange(g) < (np.arange(n) % (g + 1))[:, None], draft, -1)


def as_sparse(q: Any) -> SparseProbs:
    kept = q.reshape(-1, q.shape[-1]) > 0
    return SparseProbs(np.r_[0, np.cumsum(kept.sum(1))], np.nonzero(kept)[1].astype(np.int32), q[q > 0])


def agree(found: Any, p: Any, q: Any, draft: Any, rule: str, seed: int, uid: Any, position: Any) -> None:
    """The twin emits the same."""
    for i, row in enumerate(draft):
        g = int((row >= 0).sum())
        noise = Noise(seed, int(uid[i]), int(position[i]))
        wanted = slow(rule, p[i][: g + 1], None if q is None else q[i][:g], row[:g].tolist(), noise)
        assert found.accepted[i] == len(wanted) - 1
        assert found.tokens[i].tolist() == wanted + [-1] * (len(row) + 1 - len(wanted))


@pytest.mark.parametrize("rule", RULES)
def test_a_slow_twin_emits_the_same(rule: Any) -> None:
    rng = np.random.default_rng(5)
    for n, g, vocab in ((40, 4, 3), (40, 3, 50), (12, 2, 200), (5, 0, 4), (30, 8, 5)):
        p, q = laws(rng, n, g + 1, vocab), laws(rng, n, g, vocab)
        draft, uid = ragged(rng, q), rng.integers(0, 2**64, n, np.uint64)
        position = rng.integers(0, 2**39, n)
        args: Any = {"rule": rule, "seed": 11, "uid": uid, "position": position}
        found = verify(p, q, draft, **args)
        wide = (p.astype(np.float64), q.astype(np.float64))
        agree(found, *wide, draft, rule, 11, uid, position)
        told = np.take_along_axis(q, np.maximum(draft, 0)[..., None], 2)[..., 0]
        for source, more in (
            (as_sparse(q), {}),
            (q, {"q_token": told}),
            (as_sparse(q), {"q_token": told, "threads": 3}),
        ):
            again = verify(p, source, draft, **args, **more)
            assert (again.tokens == found.tokens).all()
            assert (again.accepted == found.accepted).all()
        agree(verify(p, None, draft, **args), wide[0], None, draft, rule, 11, uid, position)


def test_enumeration_says_what_the_golden_cases_say() -> None:
    for case in golden.cases():
        for rule in ("token", "block"):
            law, mean = enumerated(rule, case.p, case.q, case.start, case.gamma)
            assert float(mean) == pytest.approx(case.accepted[rule], abs=1e-12)
            for ids, chance in law.items():
                state, wanted = case.start, 1
                for x in ids:
                    wanted *= case.p[state][x]
                    state = x
                assert chance == wanted
        assert case.accepted["block"] >= case.accepted["token"]


@pytest.mark.parametrize("rule", ["token", "block"])
def test_what_is_emitted_has_the_law_of_the_target(rule: Any) -> None:
    found, wrong = [], []
    for case in golden.cases()[::4]:
        accepted, tokens = golden.emitted(case, rule, 20_000, 1)
        error = accepted.std() / np.sqrt(len(accepted))
        # Ten cases a rule and four errors: by chance once in 800 changes of the streams.
        assert abs(accepted.mean() - case.accepted[rule]) <= 4 * error
        found.append(golden.chi_square(tokens, case.law(), len(case.p)))
        _, tokens = golden.emitted(case, rule, 20_000, 1, planted=True)
        wrong.append(golden.chi_square(tokens, case.law(), len(case.p)))
    assert golden.holm(found) > 1e-4
    assert golden.holm(wrong) < 1e-4


@pytest.mark.parametrize("rule", ["token", "block"])
def test_drafts_must_not_share_numbers_with_what_replaces_them(rule: Any) -> None:
    """Drafts that race with the numbers of the resampling bias the law; those that have their own do not."""
    runs, depth = 131_072, 3
    p, q = np.array([0.1, 0.6, 0.3]), np.array([0.3, 0.5, 0.2])
    target, source = (np.broadcast_to(x.astype(np.float32), (runs, k, 3)) for x, k in ((p, depth + 1), (q, depth)))
    uid, position = np.arange(runs), np.full(runs, 17)
    worst = {}
    for purpose in (DRAFT, RESAMPLE):
        law = np.broadcast_to(q, (runs, 3))
        draft = np.stack([golden.races(law, 4, uid, position, purpose, i) for i in range(depth)], 1)
        tokens = verify(target, source, draft, rule=rule, seed=4, uid=uid, position=position).tokens
        worst[purpose] = max(
            abs(np.bincount(own[own >= 0], minlength=3) / (own >= 0).sum() - p).max() for own in (tokens[:, 0],)
        )
    assert worst[DRAFT] < 0.004
    assert worst[RESAMPLE] > 0.02


def test_seed_exact_is_the_same_with_any_drafts() -> None:
    rng = np.random.default_rng(2)
    length, vocab, p = 24, 6, laws(np.random.default_rng(1), 6, 6)
    outputs = []
    for g in (0, 1, 3, 8):
        ids = [0]
        while len(ids) <= length:
            draft = rng.integers(0, vocab, g)
            # A drafter that is right now and then.
            rows = p[np.r_[ids[-1], draft]][None]
            found = verify(rows, None, draft[None], rule="seed_exact", seed=3, uid=[8], position=[len(ids)])
            ids += found.tokens[0][: found.accepted[0] + 1].tolist()
        outputs.append(ids[1 : length + 1])
    assert all(ids == outputs[0] for ids in outputs)


def settings(rng: np.random.Generator, n: int) -> dict[str, Any]:
    return {
        "temperature": rng.choice([0.0, 0.5, 1.0, 1.7], n).astype(np.float32),
        "top_k": rng.choice([0, 0, 3, 7], n),
        "top_p": rng.choice([1.0, 1.0, 0.8], n).astype(np.float32),
        "min_p": rng.choice([0.0, 0.0, 0.1], n).astype(np.float32),
        "repetition_penalty": rng.choice([1.0, 1.3, 0.8], n).astype(np.float32),
        "presence_penalty": rng.choice([0.0, 0.4], n).astype(np.float32),
        "frequency_penalty": rng.choice([0.0, 0.3, -0.2], n).astype(np.float32),
    }


@pytest.mark.parametrize("rule", RULES)
def test_scores_become_the_laws_of_their_own_prefix(rule: Any) -> None:
    rng = np.random.default_rng(8)
    n, g, vocab = 120, 4, 30
    p, q = (2 * rng.normal(size=(n, k, vocab)).astype(np.float32) for k in (g + 1, g))
    given = settings(rng, n)
    lengths = rng.integers(0, 6, n)
    indptr, prefix = np.r_[0, np.cumsum(lengths)], rng.integers(0, vocab, lengths.sum())
    draft, laws_p, laws_q = np.full((n, g), -1), np.zeros(p.shape), np.zeros(q.shape)
    for i in range(n):
        own = {name: float(values[i]) for name, values in given.items()}
        seen = prefix[indptr[i] : indptr[i + 1]].tolist()
        for k in range(g + 1):
            laws_p[i, k] = law_of(p[i, k], seen, own)
            if k < g:
                laws_q[i, k] = law_of(q[i, k], seen, own)
                draft[i, k] = rng.choice(vocab, p=laws_q[i, k])
                seen.append(int(draft[i, k]))
    uid, position = np.arange(n), np.full(n, 9)
    args: Any = {"rule": rule, "seed": 1, "uid": uid, "position": position}
    params = SamplingParams(**given, prefix=(indptr, prefix))
    found = verify(p, q, draft, from_logits=True, params=params, **args)
    agree(found, laws_p, laws_q, draft, rule, 1, uid, position)
    # Laws that are computed elsewhere give the same.
    again = verify(laws_p.astype(np.float32), as_sparse(laws_q.astype(np.float32)), draft, **args)
    assert (again.tokens == found.tokens).all()
    if rule in ("token", "block"):
        sparse = verify(p, as_sparse(laws_q.astype(np.float32)), draft, from_logits=True, params=params, **args)
        assert (sparse.tokens == found.tokens).all()


def test_told_sums_and_chances_change_nothing() -> None:
    rng = np.random.default_rng(3)
    n, g, vocab = 60, 5, 300
    p, q = (2 * rng.normal(size=(n, k, vocab)).astype(np.float32) for k in (g + 1, g))
    temperature = rng.choice([0.6, 1.0, 1.4], n).astype(np.float32)
    scaled = q.astype(np.float64) / temperature[:, None, None]
    lse = np.log(np.exp(scaled).sum(-1))
    chances = np.exp(scaled - lse[..., None])
    draft = golden.drawn(chances.reshape(-1, vocab), rng).reshape(n, g)
    told = np.take_along_axis(chances, draft[..., None], 2)[..., 0]
    args: Any = {
        "uid": np.arange(n), "position": np.zeros(n, int), "from_logits": True,
        "params": SamplingParams(temperature=temperature),
    }  # fmt: skip
    for rule in ("token", "block"):
        plain = verify(p, q, draft, rule=rule, **args)
        for more in ({"q_lse": lse}, {"q_token": told}, {"q_lse": lse, "q_token": told}):
            assert (verify(p, q, draft, rule=rule, **args, **more).tokens == plain.tokens).all()
        # With both, no row of q is read before a rejection; with bad rows behind it, nothing is noticed.
        behind = q.copy()
        behind[np.arange(g) > plain.accepted[:, None]] = np.nan
        if rule == "token":
            assert (verify(p, behind, draft, rule=rule, **args, q_lse=lse).tokens == plain.tokens).all()


def test_tensors_and_bfloat16() -> None:
    torch.manual_seed(1)
    p, q = torch.randn(20, 4, 40), torch.randn(20, 3, 40)
    draft = torch.randint(0, 40, (20, 3))
    args: Any = {"uid": torch.arange(20), "position": torch.arange(20), "from_logits": True}
    for rule in RULES:
        half = verify(p.bfloat16(), q.bfloat16(), draft, rule=rule, **args)
        wide = verify(p.bfloat16().float(), q.bfloat16().float(), draft, rule=rule, **args)
        bits = verify(
            p.bfloat16().view(torch.int16).numpy().view(np.uint16),
            q.bfloat16().view(torch.int16).numpy().view(np.uint16), draft, rule=rule, **args,
        )  # fmt: skip
        assert torch.is_tensor(half.tokens)
        assert torch.equal(half.tokens, wide.tokens)
        assert (half.tokens.numpy() == bits.tokens).all()
        assert (half.accepted.numpy() == bits.accepted).all()
