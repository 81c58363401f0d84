"""An id at a time: a pair sublayer beside an attention sublayer, and whole models, one thread, timed from Python.

sublayer/: width 256, f32, W=8, 4 heads of 64 numbers, 32,768 rows a head: the lookup and its output projection
(numpy), beside queries, keys and values, attention over 128 and 512 cached positions, and output (torch).

model/: six layers of width 512, 1,376 units, 8,192 ids, 128 cached positions: the shapes of the models of
benches/results/pair_fair.jsonl, whose bits a byte are said. PairLM with weights of 8 bits and of f32; torch with f32.

``--planted``: the lookups have a window of 512.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rows import ROOT, Goal  # noqa: E402

from cases.decoding import Attention, Decoder  # noqa: E402
from cases.lookups import best  # noqa: E402
from thrifty import _core  # noqa: E402
from thrifty.pairconnect import PairLM, PairSpec, PairTable  # noqa: E402

COUNT, ROUNDS = 200, 15


def filled(spec: PairSpec, rng: Any) -> PairTable:
    """A table of random rows."""
    table = PairTable(spec)
    total = spec.heads * spec.rows
    for first in range(0, total, 1 << 15):
        table.set_rows(first, rng.standard_normal((min(1 << 15, total - first), spec.head_dim), np.float32))
    return table


def sublayers(goal: Goal) -> None:
    """One sublayer of each."""
    rng = np.random.default_rng(goal.seed)
    dim, vocab = 256, 30_000
    window = 512 if goal.planted else 8
    spec = PairSpec(vocab=vocab, rows=32_768, heads=4, head_dim=64, window=window, pool="sum", seed=goal.seed)
    table = filled(spec, rng)
    out = rng.standard_normal((dim, dim), np.float32)
    result = np.empty(dim, np.float32)
    ids = rng.integers(0, vocab, COUNT).tolist()
    x = torch.randn(COUNT, 1, dim)
    for cache, asked in ((128, 6), (512, 12)):
        state = table.state()
        state.append(rng.integers(0, vocab, cache))
        attention = Attention(dim, 4, cache)

        def ours(i: int) -> object:
            if i == 0:
                state.truncate(cache)  # noqa: B023
            return np.dot(out, state.append(ids[i]), out=result)  # noqa: B023

        with torch.inference_mode():
            times = best({"ours": ours, "attention": lambda i: attention(x[i])}, COUNT, ROUNDS)  # noqa: B023
        mine, theirs = times["ours"], times["attention"]
        what = f"{cache} positions: us of attention ({theirs:.1f}) over lookup and projection ({mine:.2f}), f32"
        goal.row(f"sublayer/{cache}", what, f">= {asked}", theirs / mine, "times")


def pair_model(folder: str, rng: Any, sizes: dict[str, int]) -> Path:
    """A file of random weights."""
    vocab, dim, hidden = sizes["vocab"], sizes["dim"], sizes["hidden"]
    shapes: dict[str, tuple[int, ...]] = {"embed": (vocab, dim), "norm": (dim,)}
    tables = []
    for i in range(sizes["layers"]):
        shapes |= {
            f"layers.{i}.out": (dim, dim),
            f"layers.{i}.norm": (dim,),
            f"layers.{i}.gate_up": (2 * hidden, dim),
            f"layers.{i}.down": (dim, hidden),
        }
        spec = PairSpec(vocab=vocab, rows=sizes["rows"], heads=4, head_dim=dim // 4, window=4, seed=i, dtype="i8")
        tables.append(filled(spec, rng))
    dense = []
    for name, shape in shapes.items():
        one = len(shape) == 1
        values = np.ones(shape, np.float32) if one else rng.standard_normal(shape, np.float32) * shape[1] ** -0.5
        dense.append((name, values.astype(np.float32).reshape(-1), list(shape)))
    spec_ = {"vocab": vocab, "dim": dim, "hidden": hidden, "layers": [json.loads(t.spec.to_json()) for t in tables]}
    path = Path(folder) / "model"
    note = json.dumps({"tokenizer": "none", "training": {}})
    _core.pairlm_write(path, json.dumps(spec_), note, dense, [t._core for t in tables])
    return path


def models(goal: Goal) -> None:
    """Whole models, with what their shapes reach when they are trained."""
    results = ROOT / "benches" / "results" / "pair_fair.jsonl"
    rows = {row["name"]: row for row in map(json.loads, results.read_text().splitlines())}
    pair, attention = rows["distilled pair W=4"], rows["distilled transformer"]
    sizes = {name: pair[name] for name in ("vocab", "dim", "hidden", "layers", "rows")}
    rng = np.random.default_rng(goal.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = pair_model(folder, rng, sizes)
        drafts = {}
        for precision in ("i8", "f32"):
            draft = PairLM.load(path, precision=precision).drafter(temperature=0)  # type: ignore[arg-type]
            drafts[precision] = (draft, draft.open(rng.integers(0, sizes["vocab"], 128)))
    heads = max(4, sizes["dim"] // 64)
    decoder = Decoder(sizes["vocab"], sizes["dim"], sizes["hidden"], sizes["layers"], heads, 128)
    ids = rng.integers(0, sizes["vocab"], 20).tolist()
    calls: dict[str, Any] = {
        name: lambda _, draft=draft, sequence=sequence: draft.draw(sequence)
        for name, (draft, sequence) in drafts.items()
    }
    with torch.inference_mode():
        times = best(calls | {"torch": lambda i: decoder(ids[i])}, 20, 11)
    bits = [row["test"]["bits_per_byte"] for row in (pair, attention)]
    for name, asked in (("i8", 2), ("f32", 1)):
        what = (
            f"six layers, us a token: attention f32 ({times['torch']:.0f}) over PairLM {name} ({times[name]:.0f}); "
            f"trained, they take {bits[1]:.3f} and {bits[0]:.3f} bits a byte"
        )
        goal.row(f"model/{name}", what, f">= {asked}", times["torch"] / times[name], "times")


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch",))
    if goal.wants("sublayer"):
        sublayers(goal)
    if goal.wants("model") and not goal.planted:
        models(goal)
    goal.end()


if __name__ == "__main__":
    main()
