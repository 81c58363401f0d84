"""A token of PairLM, one thread, timed from Python: append, the law of what follows, a draw, in one call.

Random weights serve for time: width 128, two layers of 512 units, W=4, 65,536 rows a head, weights of 8 bits.

token/: a draw with the dense head at 2,048 ids and with shortlists of 64 ids a row at 2,048, 32,000 and 151,936 ids;
median, and the 99th of 100 over it. batch/: 64 sequences times 4 ids in one call.

trained/: the distilled model of the package (2,048 ids): the mean divergence of weights of 8 bits from f32 on held-back
text; and how much less a target accepts of draws from shortlists (128 ids a row, 131,072 rows) than of draws from the
dense law, on its own samples. The target is a Transformer (benches/cases/target); it accepts the sum of the smaller of
both probabilities.

``--planted``: the shortlist is made of another text, whose ids are turned around; the acceptance must fall.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rows import ROOT, Goal  # noqa: E402

from thrifty import _core  # noqa: E402
from thrifty.models import load_decoder  # noqa: E402
from thrifty.pairconnect import PairLM, PairSpec, PairTable, read_text  # noqa: E402

DIM, HIDDEN, LAYERS, ROWS = 128, 512, 2, 65_536
SHORT = {"rows": 65_536, "length": 64, "seed": 0}


def random_model(path: Path, vocab: int, *, short: bool, seed: int) -> PairLM:
    """A model of random weights, and rows of random ids as its shortlist."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"embed": (vocab, DIM), "norm": (DIM,)}
    tables = []
    for i in range(LAYERS):
        shapes |= {
            f"layers.{i}.out": (DIM, DIM),
            f"layers.{i}.norm": (DIM,),
            f"layers.{i}.gate_up": (2 * HIDDEN, DIM),
            f"layers.{i}.down": (DIM, HIDDEN),
        }
        spec = PairSpec(vocab=vocab, rows=ROWS, head_dim=DIM // 4, seed=i)
        table = PairTable(spec)
        for first in range(0, 4 * ROWS, ROWS):
            table.set_rows(first, rng.standard_normal((ROWS, DIM // 4), np.float32))
        tables.append(table)
    dense = []
    for name, shape in shapes.items():
        values = np.ones(shape, np.float32)
        if len(shape) == 2:
            values = rng.standard_normal(shape, np.float32) * np.float32(shape[1] ** -0.5)
        dense.append((name, values.reshape(-1), list(shape)))
    spec_ = {"vocab": vocab, "dim": DIM, "hidden": HIDDEN, "layers": [json.loads(t.spec.to_json()) for t in tables]}
    given = None
    if short:
        spec_ |= {"shortlist": SHORT}
        total = SHORT["rows"] + vocab
        steps = rng.integers(1, max(2, vocab // SHORT["length"]), (total, SHORT["length"]), dtype=np.uint32)
        ids = np.minimum(
            np.cumsum(steps, 1, dtype=np.uint32) - 1, vocab - SHORT["length"] + np.arange(64, dtype=np.uint32)
        )
        given = (ids.astype(np.uint32).reshape(-1), np.full(ids.size, -1, np.float32))
    # A vocabulary of more than bytes has a tokenizer; none is used here.
    note = json.dumps({"tokenizer": "none", "training": {}})
    _core.pairlm_write(path, json.dumps(spec_), note, dense, [t._core for t in tables], given)
    return PairLM.load(path, precision="i8")


def tokens(goal: Goal) -> None:
    """Times of a draw."""
    rng = np.random.default_rng(goal.seed)
    for vocab, short, asked in ((2048, False, 50), (2048, True, 40), (32_000, True, 40), (151_936, True, 40)):
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(Path(folder) / "model", vocab, short=short, seed=goal.seed)
            draft = model.drafter()
            sequence = draft.open(rng.integers(0, vocab, 8))
            times = []
            for _ in range(6000):
                begun = time.perf_counter()
                draft.draw(sequence, seed=1)
                times.append(time.perf_counter() - begun)
            us = np.array(times[1000:]) * 1e6
            median, high = float(np.median(us)), float(np.percentile(us, 99))
            kind = "shortlist" if short else "dense head"
            what = f"{kind}, {vocab:,} ids: us of append, law and draw, median"
            goal.row(f"token/{kind} {vocab}", what, f"<= {asked}", median, "us")
            what = f"{kind}, {vocab:,} ids: the 99th of 100 ({high:.1f} us) over the median"
            goal.row(f"token/{kind} {vocab} p99", what, "<= 2", high / median, "times")
            if vocab == 2048:
                many = [draft.open(rng.integers(0, vocab, 8)) for _ in range(64)]
                times = []
                for _ in range(120):
                    begun = time.perf_counter()
                    draft.propose(many, 4)
                    times.append((time.perf_counter() - begun) / 256 * 1e6)
                what = f"64 sequences x 4 ids in one call, {kind}, 2,048 ids: us a token, median"
                goal.row(f"batch/{kind}", what, "<= 15", float(np.median(times[20:])), "us")


def softmax(scores: Any) -> Any:
    e = np.exp((scores - scores.max(-1, keepdims=True)).astype(np.float64))
    return e / e.sum(-1, keepdims=True)


def samples(target: Any, held: Any, rng: Any) -> Any:
    """Contexts of 64 ids that the target went on from by its own draws, and its law there."""
    begins = rng.integers(0, len(held) - 64, 32)
    ids = np.stack([held[begin : begin + 64] for begin in begins]).astype(np.int64)
    for step in range(96):
        with torch.inference_mode():
            laws = softmax(target(torch.from_numpy(ids[:, -64:]))[:, -1].float().numpy())
        if step >= 32:
            # By then half of the context is its own.
            yield from zip(ids[:, -64:].astype(np.uint32), laws, strict=True)
        drawn = (laws.cumsum(1) > rng.random((len(laws), 1))).argmax(1)
        ids = np.c_[ids, drawn]


def trained(goal: Goal) -> None:
    """What rounding and shortlists change in trained models."""
    path = ROOT / "python" / "thrifty" / "data" / "pairconnect" / "model.safetensors"
    texts = goal.data("text/pgnovels")
    model, rounded = PairLM.load(path), PairLM.load(path, precision="i8")
    held = model.ids(read_text(texts / "test.txt"))[:20_000]
    exact, other = softmax(model.scores(held)), softmax(rounded.scores(held))
    divergence = float((exact * (np.log(exact) - np.log(other))).sum(-1).mean())
    what = "the model of the package, 20,000 held-back ids: mean divergence of weights of 8 bits from f32, nats"
    goal.row("trained/rounding", what, "<= 1e-3", divergence, "nats")
    train_ids = model.ids(read_text(texts / "train.txt.xz")[: 4_000_000 if not goal.planted else 30_000])
    if goal.planted:
        train_ids = train_ids[::-1].copy()
    short = rounded.with_shortlist(train_ids, rows=131_072, length=128)
    torch.set_num_threads(1)
    target = load_decoder(ROOT / "benches" / "cases" / "target")[0].eval()
    dense, draft = rounded.drafter(), short.drafter()
    rng = np.random.default_rng(goal.seed)
    accepted, sizes = [], []
    for context, wanted in samples(target, held, rng):
        a, b = dense.open(context), draft.open(context)
        laws = dense.law(a), draft.law(b)
        accepted.append([np.minimum(wanted[ids], law).sum() for ids, law in laws])
        sizes.append(len(laws[1][0]))
        dense.close(a)
        draft.close(b)
    whole, part = np.mean(accepted, 0)
    what = (
        f"2,048 ids, {np.mean(sizes):.0f} of them scored: acceptance {part:.4f}, of the dense head {whole:.4f}; less by"
    )
    goal.row("trained/shortlist", what, "<= 0.03", float(whole - part))


def main() -> None:
    goal = Goal(__file__, __doc__)
    if goal.wants("token") and not goal.planted:
        tokens(goal)
    if goal.wants("trained"):
        trained(goal)
    goal.end()


if __name__ == "__main__":
    main()
