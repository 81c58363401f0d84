"""ByteBPE against tokenizers: the same ids, ends and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import FormatError, MissingExtra
from thrifty.pairconnect import ByteBPE, PairLM, Tokenizer
from thrifty.pairconnect import model as model_module
from thrifty.pipeline.data import novels

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = PairLM.load(novels() / "model.safetensors").encoding.json
# What tells words apart: blanks, contractions, numbers, and characters of several bytes.
WORDS = st.lists(st.sampled_from([*"aZ9 _\n\t'", "'s", "'re", " '", "\x1c", "\x85", "\xa0", "\u2003", "²", "Ⅷ", "é"]))
TEXTS = st.one_of(st.text(), WORDS.map("".join), st.text("abehint .", max_size=60))


def trained(vocab: int) -> str:
    """A tokenizer that learned from a page of these docs."""
    from tokenizers import Tokenizer as Package
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = Package(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train([str(ROOT / "docs" / "formats.md")], trainer)
    return str(tokenizer.to_str())


PAIRS = [(ByteBPE(text), Tokenizer(text)) for text in (SHIPPED, trained(700))]


def same(text: bytes) -> None:
    for ours, theirs in PAIRS:
        ids, ends = ours.encode(text)
        wanted, wanted_ends = theirs.encode(text)
        assert ids.tolist() == wanted.tolist()
        assert ends.tolist() == wanted_ends.tolist()
        assert ours.decode(ids) == text.decode(errors="replace")


@given(TEXTS)
def test_ids_and_ends_are_those_of_tokenizers(text: str) -> None:
    same(text.encode(errors="replace"))


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text(content: bytes) -> None:
    same(content)


def test_a_whole_text() -> None:
    same((novels() / "held-back.txt").read_bytes())
    same((ROOT / "docs" / "results.md").read_bytes())
    # One word of many letters.
    same(b"acgt" * 5_000)


@given(st.lists(st.integers(0, 699), max_size=30))
def test_any_ids_are_the_same_text(ids: list[int]) -> None:
    for ours, theirs in PAIRS:
        assert ours.decode(ids) == theirs.decode(ids)


def changed(*path: str, value: Any) -> str:
    content = json.loads(SHIPPED)
    place = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        changed("normalizer", value={"type": "NFC"}),
        changed("model", "type", value="Unigram"),
        changed("model", "byte_fallback", value=True),
        changed("pre_tokenizer", "add_prefix_space", value=True),
        changed("pre_tokenizer", value={"type": "Whitespace"}),
        changed("decoder", value=None),
        changed("added_tokens", value=[{"id": 2048, "content": "<end>"}]),
        changed("model", "vocab", value={"a": 0, "b": 1}),
    ],
)
def test_what_needs_the_package(text: str) -> None:
    with pytest.raises(MissingExtra, match="pip install"):
        ByteBPE(text)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"model": 3}', '{"model": {"vocab": {}}}'])
def test_what_is_no_tokenizer(text: str) -> None:
    with pytest.raises(FormatError, match="no tokenizer"):
        ByteBPE(text)


def test_models_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    held = (novels() / "held-back.txt").read_bytes()[:4000]
    model = PairLM.load(novels() / "model.safetensors")
    wanted = model.evaluate(held)
    monkeypatch.setattr(model_module, "find_spec", lambda name: None)
    assert isinstance(model.encoding, ByteBPE)
    assert model.evaluate(held) == wanted
