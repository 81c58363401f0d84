"""Lookups and models keep their laws, on random specs, ids and weights.

twin: lookups against a loop over pairs in float64, the rows as they are after rounding, no ids, one, fewer than a
window, and repeated ones among them. causal: later ids change no bit. prefix: the last position of every prefix has the
bits of the whole. batch: other texts beside it change no bit. state: nor does it change bits to append one by one, to
fork, to cut and to append again. gradcheck: PairLookup and PairLayer in float64. threads, simd: the bits of lookups by
1, 2, 3 and 7 threads, and on every path of instructions that this machine has. model: the scores of a position of a
PairLM alone, in the whole, in windows, with other positions in any number, by any number of threads; the law behind a
sequence that was forked, cut and appended to. one row: ten million lookups of one row.

--planted changes the rows behind the loop's back, a bit of one result, all gradients, and one of the sums.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.pairconnect import twin

from thrifty import _core
from thrifty.pairconnect import PairLM, PairSpec, PairTable

CASES = 300
PATHS = ("scalar", "avx2", "avx512")


def random_spec(rng: np.random.Generator, **fixed: Any) -> PairSpec:
    """Any spec."""
    offsets, direct = bool(rng.integers(2)), rng.random() < 0.2
    window = [None, 1, 2, 4, 7, 12][rng.integers(6)]
    vocab, gram = int(rng.integers(2, 25)), 1 if direct else int(rng.integers(1, 5))
    if direct and offsets:
        window = window or 3
    given: dict[str, Any] = {
        "vocab": vocab,
        "rows": vocab**2 * (window if offsets else 1) if direct else int(rng.integers(1, 300)),  # type: ignore[operator]
        "heads": int(rng.integers(1, 6)),
        "head_dim": int(rng.integers(1, 150)),
        "window": window,
        "offsets": offsets,
        "include_self": bool(rng.integers(2)),
        "pool": ["sum", "mean", "softmax"][rng.integers(3)],
        "query_gram": gram,
        "key_gram": 1 if direct else int(rng.integers(1, 5)),
        "hash": "direct" if direct else ["mix64", "h32"][rng.integers(2)],
        "seed": int(rng.integers(2**63)),
        "dtype": ["f32", "bf16", "i8"][rng.integers(3)],
    }
    return PairSpec(**given | fixed)


def filled(spec: PairSpec, rng: np.random.Generator) -> tuple[PairTable, Any, Any]:
    """A table of random rows, and the rows as they are after rounding."""
    table, count = PairTable(spec), spec.heads * spec.rows
    table.set_rows(
        0, rng.normal(size=(count, spec.head_dim)), rng.normal(size=count) if spec.pool == "softmax" else None
    )
    return table, *table.get_rows(0, count)


def random_weights(spec: PairSpec, rng: np.random.Generator) -> Any:
    """Weights of distances, or none."""
    if spec.window is None or rng.random() < 0.5:
        return None
    return rng.normal(size=(spec.heads, spec.window)).astype(np.float32)


def random_ids(spec: PairSpec, rng: np.random.Generator, most: int = 20) -> list[int]:
    """Ids; some texts repeat few of them."""
    return rng.integers(0, rng.integers(1, spec.vocab + 1), rng.integers(0, most)).tolist()


def twins(goal: Goal) -> None:
    """Rows of lookups against the loop."""
    rng = np.random.default_rng(goal.seed)
    equal, most, short = 0, 0.0, 0
    for case in range(CASES):
        spec = random_spec(rng)
        table, values, logits = filled(spec, rng)
        ids, weights = random_ids(spec, rng), random_weights(spec, rng)
        if case < 20:
            ids = ids[: case % 2]
        if goal.planted:
            values = values + np.float32(1e-3)
        found = table.lookup(ids, weights=weights)
        short += len(ids) <= (spec.window or 0)
        right = found.shape == (len(ids), spec.width)
        for t in range(len(ids)):
            wanted = twin.lookup(spec, values, logits, ids[: t + 1], weights)
            # Of numbers of about 1, times weights of about 1, as many as there are pairs.
            most = max(most, np.abs(found[t] - wanted).max() / max(1.0, np.abs(wanted).max()))
            right &= np.allclose(found[t], wanted, rtol=1e-5, atol=1e-5)
            right &= table.rows(ids[: t + 1]).tolist() == twin.rows(spec, ids[: t + 1])
        equal += bool(right)
    what = (
        f"of {CASES} random tables and texts ({short} no longer than a window), rows and lookups those of a slow loop"
    )
    goal.row("twin/equal", what, f"== {CASES}", equal)
    goal.row("twin/error", "largest difference of a number from the loop in float64, relative above 1", "<= 1e-5", most)


def states(goal: Goal) -> None:
    """Rows of what must not change a lookup."""
    rng = np.random.default_rng((goal.seed, 1))
    causal = prefix = batch = cut = 0
    for _ in range(CASES):
        spec = random_spec(rng)
        table, _, _ = filled(spec, rng)
        ids, weights = [*random_ids(spec, rng), 0], random_weights(spec, rng)
        whole = table.lookup(ids, weights=weights)
        if goal.planted:
            whole.view(np.uint32)[-1, 0] ^= 1
        at = int(rng.integers(len(ids)))
        other = ids[: at + 1] + rng.integers(0, spec.vocab, rng.integers(0, 9)).tolist()
        changed = table.lookup(other, weights=weights)
        causal += same(changed[: at + 1], whole[: at + 1])
        prefix += all(same(table.lookup(ids[: t + 1], weights=weights)[-1], whole[t]) for t in range(len(ids)))
        batch += same(table.lookup([ids, ids[::-1], ids], weights=weights)[[0, 2]], np.stack([whole, whole]))
        cut += grown(table, weights, ids, other, at, whole, changed)
    of = f"of {CASES} random tables and texts, those whose"
    goal.row("causal/bits", f"{of} lookups have the same bits whatever follows", f"== {CASES}", causal)
    goal.row("prefix/bits", f"{of} prefixes end with the bits of the whole", f"== {CASES}", prefix)
    goal.row("batch/bits", f"{of} lookups have the same bits beside other texts", f"== {CASES}", batch)
    what = f"{of} states, appended to, forked, cut and appended to again, have the bits of lookups"
    goal.row("state/bits", what, f"== {CASES}", cut)


def grown(table: Any, weights: Any, ids: list[int], other: list[int], at: int, whole: Any, changed: Any) -> bool:
    """Whether a state gives the lookups of ids one by one, then, cut behind ``at``, of other ids that begin so."""
    state, width = table.state(weights=weights), table.spec.width
    found = [state.append(np.array([i], np.uint32)).reshape(1, width) for i in ids]
    fork = state.fork()
    fork.truncate(at + 1)
    rest = fork.append(np.array(other[at + 1 :], np.uint32)).reshape(-1, width)
    right = same(np.concatenate(found), whole) and same(rest, changed[at + 1 :])
    return right and state.ids.tolist() == ids and fork.ids.tolist() == other


def same(a: Any, b: Any) -> bool:
    """Whether arrays have the same bits."""
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def gradients(goal: Goal) -> None:
    """A row of gradients."""
    import torch

    from thrifty.pairconnect.nn import PairLayer, PairLookup

    torch.manual_seed(goal.seed)
    rng = np.random.default_rng((goal.seed, 2))
    right, cases = 0, 40
    for case in range(cases):
        spec = random_spec(rng, heads=2, head_dim=3, vocab=5, rows=6, hash="mix64")
        layer = (PairLookup(spec, std=1.0) if case % 2 else PairLayer(spec, 4, std=1.0)).double()
        ids = torch.randint(0, 5, (2, 5))
        x = () if case % 2 else (torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True),)
        names = [name for name, _ in layer.named_parameters()]

        class Doubled(torch.autograd.Function):
            """Passes numbers on, and twice their gradient back."""

            @staticmethod
            def forward(_: Any, x: Any) -> Any:
                return x.clone()

            @staticmethod
            def backward(_: Any, grad: Any) -> Any:
                return 2 * grad

        def of(*values: Any, layer: Any = layer, x: Any = x, names: Any = names, ids: Any = ids) -> Any:
            own = dict(zip(names, values[len(x) :], strict=True))
            out = torch.func.functional_call(layer, own, (*values[: len(x)], ids))
            return Doubled.apply(out) if goal.planted else out

        right += torch.autograd.gradcheck(of, (*x, *layer.parameters()), raise_exception=False)
    what = f"of {cases} random PairLookup and PairLayer in float64, those whose gradients are those of differences"
    goal.row("gradcheck/equal", what, f"== {cases}", right)


def digests(seed: int) -> list[str]:
    """What lookups of random tables give, by several numbers of threads."""
    rng = np.random.default_rng((seed, 3))
    out = []
    for _ in range(60):
        spec = random_spec(rng)
        table, _, _ = filled(spec, rng)
        ids, weights = rng.integers(0, spec.vocab, (3, 500)), random_weights(spec, rng)
        found = [table.lookup(ids, weights=weights, threads=n) for n in (1, 2, 3, 7)]
        alike = all(same(found[0], other) for other in found)
        out.append(f"{alike} {hashlib.sha256(found[0].tobytes()).hexdigest()}")
    return out


def bits(goal: Goal) -> None:
    """Rows of threads and instructions."""
    told = {}
    for path in PATHS:
        environment = os.environ | {"THRIFTY_SIMD": path}
        command = [sys.executable, __file__, f"--seed={goal.seed}", "--only=digests"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode and "no such instructions" in done.stderr:
            continue
        done.check_returncode()
        told[path] = json.loads(done.stdout)
    first = told["scalar"]
    if goal.planted:
        first[0] = f"False {first[0]}"
    alike = sum(line.startswith("True") for line in first)
    goal.row("threads/bits", "of 60 random tables, those with the same bits by 1, 2, 3 and 7 threads", "== 60", alike)
    equal = sum(len(set(lines)) == 1 for lines in zip(*told.values(), strict=True))
    what = f"of 60 random tables, those with the same bits on every path: {', '.join(told)}"
    goal.row("simd/bits", what, "== 60", equal)


def random_model(path: Path, rng: np.random.Generator) -> PairLM:
    """A PairLM of random weights."""
    vocab, dim, hidden = int(rng.integers(20, 300)), 16 * int(rng.integers(1, 6)), 16 * int(rng.integers(1, 8))
    tables = []
    for _ in range(int(rng.integers(1, 4))):
        spec = random_spec(rng, vocab=vocab, rows=int(rng.integers(1, 400)), hash="mix64", heads=2)
        spec = PairSpec(**vars(spec) | {"head_dim": 8 * int(rng.integers(1, 9))})
        tables.append(filled(spec, rng)[0])
    shapes: dict[str, tuple[int, ...]] = {"embed": (vocab, dim), "norm": (dim,)}
    for i, table in enumerate(tables):
        shapes |= {
            f"layers.{i}.out": (dim, table.spec.width),
            f"layers.{i}.norm": (dim,),
            f"layers.{i}.gate_up": (2 * hidden, dim),
            f"layers.{i}.down": (dim, hidden),
        }
    layers = [json.loads(table.spec.to_json()) for table in tables]
    spec_ = {"vocab": vocab, "dim": dim, "hidden": hidden, "layers": layers}
    dense = [
        (name, rng.normal(size=shape).astype(np.float32).reshape(-1) / shape[-1] ** 0.5, list(shape))
        for name, shape in shapes.items()
    ]
    note = json.dumps({"tokenizer": TOKENIZER, "training": {}})
    _core.pairlm_write(path, json.dumps(spec_), note, dense, [table._core for table in tables])
    return PairLM.load(path)


TOKENIZER = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})
"""Of models with more ids than there are bytes; these ids are never text."""


def models(goal: Goal) -> None:
    """Rows of a model's scores."""
    rng = np.random.default_rng((goal.seed, 4))
    cases, alone, many, threads, windowed, drafts = 40, 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for case in range(cases):
            model = random_model(Path(folder) / f"{case}", rng)
            ids = rng.integers(0, model.vocab, rng.integers(2, 70))
            whole = model.scores(ids, threads=1)
            if goal.planted:
                whole.view(np.uint32)[-1, -1] ^= 1
            threads += all(same(model.scores(ids, threads=n), whole) for n in (2, 3))
            alone += all(same(model.scores(ids[: t + 1])[-1], whole[t]) for t in range(len(ids)))
            counts = rng.integers(1, 2 * len(ids), 8)
            places = [np.append(rng.integers(1, len(ids) + 1, n), len(ids)) for n in counts]
            many += all(same(of_places(model, ids, at), whole[at - 1]) for at in places)
            width = int(rng.integers(1, len(ids)))
            seen = model.scores(ids, window=width)
            begins = [max(t + 1 - width, 0) for t in range(len(ids))]
            if goal.planted:
                begins[-1] -= 1
            windowed += all(same(model.scores(ids[b : t + 1])[-1], seen[t]) for t, b in enumerate(begins))
            drafts += drafted(model, ids, rng.integers(0, model.vocab, 9), goal.planted)
    of = f"of {cases} random models, those whose scores of every position have the same bits"
    goal.row("model/alone", f"{of} appended and in the whole", f"== {cases}", alone)
    goal.row("model/batch", f"{of} beside any others, 1 to twice the text", f"== {cases}", many)
    goal.row("model/threads", f"{of} by 1, 2 and 3 threads", f"== {cases}", threads)
    what = f"of {cases} random models, those whose laws behind forks, cuts and appended ids have the bits of fresh ones"
    goal.row("model/drafts", what, f"== {cases}", drafts)
    goal.row("model/window", f"{of} in a window and with no ids before it", f"== {cases}", windowed)


def drafted(model: PairLM, ids: Any, other: Any, planted: bool) -> bool:
    """Whether a sequence that was forked, led astray, cut and led back has the law of one that was not."""
    draft, at = model.drafter(temperature=0.7), len(ids) // 2
    first = draft.open(ids[:at])
    second = draft.fork(first)
    draft.append(second, other)
    draft.truncate(second, at)
    for i in ids[at:]:
        draft.append(second, np.array([i], np.uint32))
    fresh = draft.open(other if planted else ids)
    laws = [draft.law(sequence) for sequence in (second, fresh)]
    return all(same(a, b) for a, b in zip(*laws, strict=True)) and draft.ids(first).tolist() == ids[:at].tolist()


def of_places(model: PairLM, ids: Any, at: Any) -> Any:
    """Scores of some positions, computed together."""
    found = model._core.scores(ids, at.astype(np.int64), np.zeros(len(at), np.int64), 1)
    return found.reshape(len(at), model.vocab)


def one_row(goal: Goal) -> None:
    """A row of ten million lookups."""
    wrong = 0
    for dtype in ("f32", "bf16", "i8"):
        spec = PairSpec(vocab=3, rows=1, heads=1, head_dim=32, window=20, offsets=False, pool="sum", dtype=dtype)  # type: ignore[arg-type]
        table = PairTable(spec)
        # Whole numbers that all dtypes have, so that sums are exact.
        table.set_rows(0, np.arange(-63, 65, 4, dtype=np.float32)[None] + (1 if dtype != "i8" else 0))
        value = table.get_rows(0, 1)[0][0]
        ids = np.random.default_rng(goal.seed).integers(0, 3, (500, 1010))
        wanted = np.minimum(np.arange(1010), 20)[:, None] * value.astype(np.float64)
        if goal.planted:
            wanted[5, 5] += 1
        wrong += int(np.count_nonzero(np.abs(table.lookup(ids) - wanted) > 1e-6 * np.abs(wanted)))
    what = "10,000,000 lookups of one row, sums of 20, f32, bf16 and i8: numbers farther than 1e-6 of themselves"
    goal.row("one row/wrong", what, "== 0", wrong)


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch",))
    if goal.only == "digests":
        print(json.dumps(digests(goal.seed)))
        return
    for name, part in (("twin", twins), ("state", states), ("gradcheck", gradients), ("bits", bits), ("model", models)):
        if goal.wants(name):
            part(goal)
    if goal.wants("one row"):
        one_row(goal)
    goal.end()


if __name__ == "__main__":
    main()
