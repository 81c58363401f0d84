"""The demo's part, what it compares with, and the files that it reads."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import ok
from thrifty.pairconnect import PairLM, read_text
from thrifty.pipeline.data import novels
from thrifty.pipeline.demo_decode import CACHE, Attention
from thrifty.pipeline.ngram import byte_bits


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, object]], Path]:
    """What the part prints, its records, and where they are."""
    out = tmp_path_factory.mktemp("demo") / "out"
    printed = ok("demo", "--part", "pairconnect", "--out", out)
    (section,) = json.loads((out / "results.json").read_text())["sections"]
    return printed, {record["id"].removeprefix("pairconnect."): record for record in section["records"]}, out


def test_figures_stand_beside_their_baselines(told: tuple[str, dict[str, dict[str, object]], Path]) -> None:
    _, records, out = told
    bits = records["bits"]["values"]
    held = read_text(novels() / "held-back.txt")
    assert len(bits) == 6
    assert 1 < bits["PairLM"] < min(bits["order-3 n-gram, after the excerpt"], bits["xz -9, after the excerpt"])
    assert bits["order-3 n-gram, after the excerpt"] < bits["order-3 n-gram"] < 8
    assert records["bits_per_byte"]["value"] == bits["PairLM"]
    assert records["coded_kb"]["value"] == pytest.approx(bits["PairLM"] * len(held) / 8e3)
    for name in ("bits_per_byte", "coded_kb", "layer_us", "token_us", "state_bytes"):
        record = records[name]
        assert record["ratio"] == pytest.approx(record["baseline"] / record["value"])
        assert record["value"] > 0
    assert records["state_bytes"]["value"] == 4 * CACHE
    assert len(records["sample"]["rows"][0][1]) > 100
    page = (out / "report.html").read_text()
    assert page.count('class="bar c0"') == 1
    assert page.count('class="bar c1"') == 5


def test_a_person_sees_a_table(told: tuple[str, dict[str, dict[str, object]], Path]) -> None:
    printed, records, out = told
    lines = printed.splitlines()
    assert lines[1].strip() == "pairconnect"
    figures = [record for record in records.values() if "value" in record]
    assert [line.strip().startswith(f["title"]) for line, f in zip(lines[2:], figures, strict=False)] == [True] * 6
    assert f"{records['coded_kb']['ratio']:.4g}x" in printed
    assert lines[-1] == f"report: {out / 'report.html'}"


def test_the_model_codes_all_of_the_text() -> None:
    """Bits a byte are those of the whole text, since its ids are the whole text; and they are what evaluate finds."""
    from thrifty.pipeline.demo_pairconnect import coded_bits

    model = PairLM.load(novels() / "model.safetensors")
    held = read_text(novels() / "held-back.txt")[:20_000]
    ids, _ = model.encoding.encode(held)
    assert model.encoding.decode(ids).encode() == held
    bits = coded_bits(model, ids, 1, None) / len(held)
    assert bits == pytest.approx(model.evaluate(held)["bits_per_byte"], rel=0.02)
    scores = model.scores(ids[:40], threads=1).astype(np.float64)
    scores -= scores.max(1, keepdims=True)
    likely = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    by_hand = -likely[np.arange(39), ids[1:40]].sum() / np.log(2)
    positions, losses = model.losses(ids[:40], window=1, stride=1)
    assert len(positions) == 39
    # The model looks four ids back, so a window of 20 changes nothing behind its beginning.
    positions, losses = model.losses(ids[:40], window=20, stride=1)
    later = -likely[positions - 1, ids[positions]].sum() / np.log(2)
    assert losses.sum() / np.log(2) == pytest.approx(later, rel=1e-5)
    assert by_hand > later


def slow(text: bytes, order: int) -> list[float]:
    """The n-gram model with dictionaries, all of its law at each place."""
    counts: list[dict[bytes, dict[int, int]]] = [defaultdict(lambda: defaultdict(int)) for _ in range(order + 1)]
    out = []
    for t, byte in enumerate(text):
        law = [1 / 256] * 256
        for length in range(min(order, t) + 1):
            seen = counts[length][text[t - length : t]]
            n, d = sum(seen.values()), len(seen)
            if n:
                law = [(seen.get(s, 0) + d * p) / (n + d) for s, p in enumerate(law)]
        assert math.isclose(sum(law), 1)
        out.append(-math.log2(law[byte]))
        for length in range(min(order, t) + 1):
            counts[length][text[t - length : t]][byte] += 1
    return out


@given(st.one_of(st.binary(max_size=40), st.text("abc", max_size=80).map(str.encode)), st.integers(0, 6))
def test_the_n_gram_model_is_a_law(text: bytes, order: int) -> None:
    assert byte_bits(text, order).tolist() == pytest.approx(slow(text, order))


def test_orders_have_bounds() -> None:
    for order in (-1, 7):
        with pytest.raises(ValueError, match=f"order: {order}"):
            byte_bits(b"text", order)


def test_the_attention_that_is_raced_attends() -> None:
    """Step by step as by the formula over all that was cached."""
    rng = np.random.default_rng(3)
    attention = Attention(32, seed=1)
    xs = rng.normal(size=(CACHE + 9, 32)).astype(np.float32)
    for x in xs:
        last = attention.step(x)
    q, k, v = np.moveaxis((xs[-CACHE:] @ attention.qkv.T).reshape(CACHE, 3, 4, 8), 0, 2)
    weights = np.exp(np.einsum("hd,htd->ht", q[:, -1], k) / np.sqrt(8))
    mixed = np.einsum("ht,htd->hd", weights / weights.sum(1, keepdims=True), v)
    assert last == pytest.approx(attention.out @ mixed.reshape(-1), rel=1e-3, abs=1e-4)


def test_it_needs_neither_torch_nor_tokenizers() -> None:
    """With both out of reach, the part is told."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['tokenizers'] = None\n"
        "from thrifty.pairconnect import model; model.find_spec = lambda name: None\n"
        "from thrifty.pipeline.demo_pairconnect import coded_bits, sample\n"
        "from thrifty.pipeline.data import novels\n"
        "lm = model.PairLM.load(novels() / 'model.safetensors')\n"
        "text = (novels() / 'held-back.txt').read_bytes()[:3000]\n"
        "print(coded_bits(lm, lm.encoding.encode(text)[0], 1, None) / len(text), len(sample(lm, 0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bits, length = done.stdout.split()
    assert 1 < float(bits) < 3
    assert int(length) > 100
