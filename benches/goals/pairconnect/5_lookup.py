"""Lookups of pairs beside torch, on one thread, timed from Python, both on huge pages.

token/: what one token looks up, 4 heads of 64 numbers, 8 to 512 rows a head, fresh ids every call, tables of 32 MB and
1 GB. Ours hashes, gathers and sums (``PairState.append``). torch hashes in its operations and sums by
``embedding_bag``; or, its hash for nothing, sums alone.

bulk/: 2,048 positions of 64 rows of 128 numbers, tables of f32 (256 MB), bf16 (256 MB) and whole numbers (524,288
rows), beside ``embedding_bag`` and its whole-number form, their hash for nothing and not for nothing.

bulk/... for f32: our narrower rows, rounded from the same, in the place of torch's of f32, both with the hash; sums
differ by what rounding rows does to them.

bulk/... over f32: rows a second of bf16 and of whole numbers over those of f32, each in a table of 256 MB.

bound/: the same ratios, if ours took no longer than rows take to be read: no design gives more there.

roof/: the gather's share of what reading rows costs at least, the fastest of six ways (``cargo run --example
row_roofline``), for f32 and for narrower rows.

Answers are compared first. ``--planted``: torch's hash has another key, which the comparison must see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

#: One thread; and memory that torch gives back stays with the process, or its hash would pay for new pages each time.
SETTINGS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SETTINGS |= dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), "4000000000")
if any(os.environ.get(name) != value for name, value in SETTINGS.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SETTINGS)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from rows import ROOT, Goal  # noqa: E402

from cases.lookups import TorchHash, best, huge  # noqa: E402
from thrifty.pairconnect import PairSpec, PairTable  # noqa: E402

HEADS, DIM, VOCAB = 4, 64, 30_000
bag = torch.nn.functional.embedding_bag
#: Asked of hash + bag, and of the bag alone.
ASKED = {
    32_768: {8: (40, 5.5), 64: (None, 2.2), 128: (None, 1.7), 512: (3, 1.2)},
    1 << 20: {8: (15, 3), 64: (None, 1.3), 128: (None, 1.1), 512: (1.5, 1)},
}
COUNT, ROUNDS = 300, 15


def filled(spec: PairSpec, rng: Any) -> PairTable:
    """A table of random rows."""
    table = PairTable(spec)
    total = spec.heads * spec.rows
    for first in range(0, total, 1 << 16):
        table.set_rows(first, rng.standard_normal((min(1 << 16, total - first), spec.head_dim), np.float32))
    return table


def weights(table: PairTable, dtype: Any) -> Any:
    """The rows of a table, rounded as they are there, as a tensor."""
    spec = table.spec
    total = spec.heads * spec.rows
    found = huge(total * spec.head_dim, dtype).view(total, spec.head_dim)
    for first in range(0, total, 1 << 16):
        values = table.get_rows(first, min(1 << 16, total - first))[0]
        found[first : first + len(values)] = torch.from_numpy(values)
    return found


def tokens(goal: Goal, rows: int) -> None:
    """One token after the other."""
    rng = np.random.default_rng(goal.seed)
    name = "32 MB" if rows == 32_768 else "1 GB"
    spec = PairSpec(vocab=VOCAB, rows=rows, heads=HEADS, head_dim=DIM, window=8, pool="sum", seed=goal.seed)
    first = filled(spec, rng)
    weight = weights(first, torch.float32)
    for n, (asked_hash, asked_bag) in ASKED[rows].items():
        spec = replace(spec, window=n)
        table = PairTable(spec) if n != 8 else first
        if table is not first:
            for begin in range(0, HEADS * rows, 1 << 16):
                table.set_rows(begin, weight[begin : begin + (1 << 16)].numpy())
        hash_ = TorchHash(replace(spec, seed=spec.seed + goal.planted))
        before = rng.integers(0, VOCAB, n)
        ids = rng.integers(0, VOCAB, COUNT)
        state = table.state()
        state.append(before)
        numbers = [int(id_) for id_ in ids]
        whole = np.r_[before, ids]
        others = [torch.from_numpy(whole[i : i + n][::-1].copy()) for i in range(COUNT)]
        places = [hash_(q, o) for q, o in zip(numbers, others, strict=True)]
        flat = [p.reshape(-1) for p in places]
        starts = torch.arange(0, HEADS * n, n)
        mine = np.stack([state.append(id_) for id_ in numbers])
        theirs = torch.stack([bag(p, weight, mode="sum").reshape(-1) for p in places]).numpy()
        worst = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
        goal.row(
            f"token/{name} {n} same", f"{name}, {n} rows a head: the largest difference from torch's", "<= 1e-5", worst
        )

        def ours(i: int) -> object:
            if i == 0:
                state.truncate(n)  # noqa: B023
            return state.append(numbers[i])  # noqa: B023

        with torch.inference_mode():
            times = best(
                {
                    "ours": ours,
                    "bag": lambda i: bag(flat[i], weight, starts, mode="sum"),  # noqa: B023
                    "bag of rows": lambda i: bag(places[i], weight, mode="sum"),  # noqa: B023
                    "hash": lambda i: bag(hash_(numbers[i], others[i]), weight, mode="sum"),  # noqa: B023
                },
                COUNT,
                ROUNDS,
            )
        alone = min(times["bag"], times["bag of rows"])
        text = f"{name}, {n} rows a head: us of torch's"
        if asked_hash is not None:
            what = f"{text} hash and bag ({times['hash']:.2f}) over ours ({times['ours']:.2f})"
            goal.row(f"token/{name} {n} hash", what, f">= {asked_hash}", times["hash"] / times["ours"], "times")
        what = f"{text} bag alone ({alone:.2f}) over ours with the hash ({times['ours']:.2f})"
        goal.row(f"token/{name} {n} bag", what, f">= {asked_bag}", alone / times["ours"], "times")


BAGS, N, WIDE = 2048, 64, 128
#: Narrower rows, and their table of 256 MB.
NARROW = (("bf16", "bf16"), ("i8", "i8 of 256 MB"))
#: Names, dtypes of torch's rows (none: whole numbers), rows.
TABLES: tuple[tuple[str, Any, int], ...] = (
    ("f32", torch.float32, 524_288),
    ("bf16", torch.bfloat16, 1 << 20),
    ("i8", None, 524_288),
    ("i8 of 256 MB", None, 2_033_600),
)
#: Calls of a turn, each with ids of its own.
TURNS = 6


class Bulk:
    """A table, and calls that look up in it and in torch's like it."""

    def __init__(self, goal: Goal, name: str, dtype: Any, rows: int) -> None:
        rng = np.random.default_rng(goal.seed)
        spec = PairSpec(
            vocab=VOCAB,
            rows=rows,
            heads=1,
            head_dim=WIDE,
            window=N,
            pool="sum",
            seed=goal.seed,
            dtype="i8" if dtype is None else name,  # type: ignore[arg-type]
        )
        self.table = filled(spec, rng)
        self.ids = [rng.integers(0, VOCAB, N + BAGS).astype(np.uint32) for _ in range(TURNS)]
        self.out = np.empty((N + BAGS, WIDE), np.float32)
        self.hash = TorchHash(spec)
        self.before = [
            torch.from_numpy(np.lib.stride_tricks.sliding_window_view(x, N)[:BAGS, ::-1].astype(np.int64))
            for x in self.ids
        ]
        self.query = [torch.from_numpy(x[N:].astype(np.int64))[:, None] for x in self.ids]
        self.places = [self.hashed(i) for i in range(TURNS)]
        self.whole = dtype is None
        if self.whole:
            packed = torch.ops.quantized.embedding_bag_byte_prepack(torch.from_numpy(self.table.get_rows(0, rows)[0]))
            self.weight = huge(packed.numel(), torch.uint8).view(packed.shape)
            self.weight.copy_(packed)
            self.starts = torch.arange(0, BAGS * N, N)
        else:
            self.weight = weights(self.table, dtype)

    def hashed(self, i: int) -> Any:
        """Rows of shape (bags, window), by torch."""
        return self.hash(self.query[i], self.before[i]).reshape(BAGS, N)

    def ours(self, i: int) -> Any:
        """Hash, gather and sum."""
        return self.table.lookup(self.ids[i], out=self.out, threads=1)

    def bag(self, i: int) -> Any:
        """torch's sum of rows that are known."""
        return self.summed(self.places[i])

    def hash_and_bag(self, i: int) -> Any:
        """torch's hash as well."""
        return self.summed(self.hashed(i))

    def summed(self, at: Any) -> Any:
        if self.whole:
            sums = torch.ops.quantized.embedding_bag_byte_rowwise_offsets
            return sums(self.weight, at.reshape(-1), self.starts, mode=0)
        return bag(at, self.weight, mode="sum")

    def worst(self) -> float:
        """The largest difference of ours from torch's, of the largest number."""
        self.ours(0)
        theirs = self.bag(0).float().numpy()
        return float(np.abs(self.out[N:] - theirs).max() / np.abs(theirs).max())


def bulk(goal: Goal) -> tuple[dict[str, float], dict[str, float]]:
    """Many positions; returns million rows a second by table, ours and those of torch's hash and bag."""
    cases = {name: Bulk(goal, name, dtype, rows) for name, dtype, rows in TABLES}
    for name, limit in (("f32", 1e-5), ("bf16", 4e-3), ("i8", 2e-2)):
        # torch's sums of bf16 are rounded to bf16; its whole numbers are rounded once more, by its own factors.
        text = f"{name}: the largest difference from torch's"
        goal.row(f"bulk/{name} same", text, f"<= {limit}", cases[name].worst())
    # All take turns: what moves the speed of the machine meanwhile moves that of all.
    calls = {
        (name, who): call
        for name, case in cases.items()
        for who, call in (("ours", case.ours), ("bag", case.bag), ("hash", case.hash_and_bag))
    }
    with torch.inference_mode():
        times = best(calls, TURNS, ROUNDS)
    # Ours looks up the positions of the window's beginning as well: fewer rows each.
    rates = {name: (BAGS * N + N * (N - 1) / 2) / times[name, "ours"] for name in cases}
    hashed = {name: BAGS * N / times[name, "hash"] for name in cases}
    for name in ("f32", "bf16", "i8"):
        theirs = BAGS * N / times[name, "bag"]
        what = f"{name}: million rows/s, ours with the hash ({rates[name]:.1f}) over torch's bag alone ({theirs:.1f})"
        goal.row(f"bulk/{name}", what, ">= 1", rates[name] / theirs, "times")
        what = f"{name}: the same over torch's hash and bag ({hashed[name]:.1f})"
        goal.row(f"bulk/{name} hash", what, ">= 2", rates[name] / hashed[name], "times")
    return rates, hashed


def bounds(goal: Goal, read: dict[str, float], hashed: dict[str, float]) -> None:
    """What the ratios of bulk/ would be of a lookup that takes no longer than its rows take to be read."""
    for name, theirs in (("", "f32"), (" bf16", "bf16"), (" i8", "i8 of 256 MB")):
        text = f"{theirs}: million rows/s that are only read ({read[name]:.1f}) over torch's hash and bag"
        goal.row(f"bound/{theirs.split()[0]} hash", text, ">= 2", read[name] / hashed[theirs], "times")
    for name, asked in ((" bf16", 1.4), (" i8", 1.9)):
        text = f"256 MB{name}: million rows/s that are only read ({read[name]:.1f}) over those of f32"
        goal.row(f"bound/{name[1:]} over f32", text, f">= {asked}", read[name] / read[""], "times")


def main() -> None:
    goal = Goal(__file__, __doc__, ("torch",))
    hashed: dict[str, float] = {}
    if goal.wants("token"):
        for rows in ASKED:
            tokens(goal, rows)
    if goal.wants("bulk") and not goal.planted:
        rates, hashed = bulk(goal)
        for name, other in NARROW:
            text = f"{name}: million rows/s, ours with the hash ({rates[other]:.1f}) over torch's of f32"
            goal.row(f"bulk/{name} for f32", text, ">= 2", rates[other] / hashed["f32"], "times")
        what = "tables of 256 MB, rows of 128: million rows a second of"
        for (name, other), asked in zip(NARROW, (1.4, 1.9), strict=True):
            text = f"{what} {name} ({rates[other]:.1f}) over those of f32 ({rates['f32']:.1f})"
            goal.row(f"bulk/{name} over f32", text, f">= {asked}", rates[other] / rates["f32"], "times")
    if goal.wants("roof") and not goal.planted:
        command = [
            "cargo",
            "run",
            "--release",
            "--quiet",
            "--locked",
            "-p",
            "thrifty-pairconnect",
            "--example",
            "row_roofline",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise goal.absent(f"no cargo: {done.stderr[-300:]}")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        million = {one["name"]: 1e3 * one["roof"] / one["row"] for one in found}
        for one in found:
            name = one["name"]
            what = f"{name}: GB/s of lookups ({one['lookup']:.1f}) over reading rows ({one['roof']:.1f})"
            if one["row"] < found[0]["row"]:
                read, of_f32 = million[name], million["256 MB"]
                what += f"; {read:.1f} million rows a second are only read, {read / of_f32:.2f} times those of f32"
            goal.row(f"roof/{name}", what, ">= 0.85", one["lookup"] / one["roof"])
        if hashed:
            bounds(goal, {name: million[f"256 MB{name}"] for name in ("", " bf16", " i8")}, hashed)
    goal.end()


if __name__ == "__main__":
    main()
