"""Models of transformers in an engine: what they say does not depend on what the cache held before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from thrifty.models import HFModel
from thrifty.specdec import CachedDraft, CachedTarget, Engine, LookupDraft

VOCAB = 29


def model(name, layers=2, seed=0, attention="sdpa"):
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCAB, "attn_implementation": attention}
    if name == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=4,
            num_key_value_heads=2, bos_token_id=None, eos_token_id=None, pad_token_id=None, **sizes,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config).eval()
    config = transformers.GPT2Config(
        n_embd=32, n_layer=layers, n_head=4, n_positions=600, bos_token_id=None, eos_token_id=None, **sizes
    )
    return transformers.GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_scores_are_those_of_a_pass_over_all(name, attention):
    whole = model(name, attention=attention)
    cached = HFModel(whole, slots=3, length=64)
    rng = np.random.default_rng(1)
    texts = [rng.integers(0, VOCAB, n) for n in (9, 14, 30)]
    begin = [0, 0, 0]
    order = np.array([2, 0, 1])
    for _ in range(12):
        # Some rows go on, one goes back, and all get as many ids as the longest.
        begin = [max(0, at - int(rng.integers(0, 3))) for at in begin]
        counts = [min(int(rng.integers(1, 7)), len(text) - at) for text, at in zip(texts, begin, strict=True)]
        if min(counts) == 0:
            begin = [0 if count == 0 else at for at, count in zip(begin, counts, strict=True)]
            continue
        ids = np.zeros((3, max(counts)), np.int64)
        for row, which in enumerate(order):
            ids[row, : counts[which]] = texts[which][begin[which] : begin[which] + counts[which]]
        scores = np.asarray(cached(order, np.array(begin)[order], ids, 0))
        for row, which in enumerate(order):
            end = begin[which] + counts[which]
            with torch.inference_mode():
                wanted = whole(input_ids=torch.from_numpy(texts[which][:end])[None]).logits[0].numpy()
            np.testing.assert_allclose(scores[row, : counts[which]], wanted[begin[which] :], atol=2e-4)
            begin[which] = end


def test_one_row_keeps_what_is_asked_for():
    whole = model("llama")
    cached = HFModel(whole, slots=1, length=40)
    ids = np.arange(12)[None] % VOCAB
    one, many = cached(np.zeros(1, int), np.zeros(1, int), ids, 1), cached(np.zeros(1, int), np.zeros(1, int), ids, 0)
    assert one.shape == (1, 1, VOCAB)
    np.testing.assert_allclose(one[:, 0], many[:, -1], atol=1e-5)
    with pytest.raises(ValueError, match="length"):
        cached(np.zeros(1, int), np.array([400]), ids, 1)


@pytest.mark.parametrize("requests", [1, 5])
@pytest.mark.parametrize("drafter", ["model", "lookup", "both"])
def test_greedy_text_is_that_of_generate(requests, drafter):
    large, small = model("llama", 3), model("llama", 1, seed=4)
    drafts = {
        "model": [CachedDraft(HFModel(small, slots=4, length=80))],
        "lookup": [LookupDraft(2)],
        "both": [LookupDraft(2), CachedDraft(HFModel(small, slots=4, length=80))],
    }[drafter]
    target = CachedTarget(HFModel(large, slots=4, length=80))
    engine = Engine(
        target, drafts, vocab=VOCAB, rule="greedy", gamma=3, max_running=4, max_length=80, share_prefixes=False
    )
    rng = np.random.default_rng(2)
    prompts = [rng.integers(0, VOCAB, int(rng.integers(3, 40))) for _ in range(requests)]
    handles = [engine.submit(prompt, max_new=25) for prompt in prompts]
    engine.run()
    for prompt, handle in zip(prompts, handles, strict=True):
        found = engine.take(handle)
        ids = torch.from_numpy(prompt)[None]
        wanted = large.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=25, do_sample=False, pad_token_id=0
        )
        assert found.error is None
        assert found.tokens.tolist() == wanted[0, len(prompt) :].tolist()


def test_what_hooks_into_a_model_is_called():
    whole, seen = model("llama"), []
    engine = Engine(CachedTarget(HFModel(whole, slots=1, length=40)), vocab=VOCAB, max_running=1, max_length=40,
                    share_prefixes=False)  # fmt: skip
    hook = whole.register_forward_hook(lambda *_: seen.append(1))
    engine.submit(np.arange(5), max_new=3)
    engine.run()
    assert len(seen) == 3
    hook.remove()
    engine.submit(np.arange(5), max_new=3)
    engine.run()
    assert len(seen) == 3
