"""Host lookups of n-grams: 16 rows of 256 bytes a token from a mapped table of 2 GiB, one thread on both sides.

The peer is the way of Engram's demo: numpy's integers for the keys, a remainder a head, torch.nn.functional.embedding
for the rows. Its table has the same bytes, mapped from the same file or copied to huge pages, whichever is faster. Both
take an array of ids; the peer gives a tensor, we an array. Pages are there and warm, those of results too; ids are new
each time, and calls alternate.

answers: positions whose numbers are not those of the peer. speed: the ratio of times a call for 1, 64 and 2,048 tokens,
medians. vectorised: the same against a peer whose hash we wrote with as few calls of numpy as we could; it need not be
as slow as the demo's. threads/: 2,048 tokens where both sides have all cores. limit/: copying as many rows from known
places (the fastest of four ways) beside a lookup of 2,048 tokens, one thread: ``cargo run --example engram_roofline``.
hidden: which part of a lookup of 768 tokens disappears behind a step of 1 ms that holds a core (products of matrices),
when ``prefetch`` begins it before the step and ``result`` comes behind: 1 - (both - step) / lookup.

--planted changes a multiplier of the peer's hash; the table is small then, and only answers are compared.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

SETTINGS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# For both sides: memory of results stays with the process, instead of going back to the system and coming page by page.
SETTINGS |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))
if any(os.environ.get(name) != value for name, value in SETTINGS.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SETTINGS)
import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch  # noqa: E402
from rows import ROOT, Goal  # noqa: E402

from thrifty.pairconnect import EngramSpec, EngramTable  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, ("torch",))
torch.set_num_threads(1)
rng = np.random.default_rng(goal.seed)
SPEC = EngramSpec(vocab=129_280, sizes=5_000 if goal.planted else 524_288, layers=(1, 15), layer=15, pad=2)
FILLED = 1 << 16


def write(path: Path) -> None:
    """A table of random rows."""
    table = EngramTable(SPEC)
    total = int(table.sizes.sum())
    for first in range(0, total, FILLED):
        table.set_rows(first, rng.random((min(FILLED, total - first), SPEC.head_dim), dtype=np.float32))
    table.save(path)


def on_huge_pages(rows: Any) -> Any:
    """A copy of an array as a tensor on huge pages."""
    memory = mmap.mmap(-1, rows.nbytes + (2 << 20))
    memory.madvise(mmap.MADV_HUGEPAGE)
    out = np.frombuffer(memory, np.float32)[: rows.size].reshape(rows.shape)
    out[:] = rows
    return torch.from_numpy(out)


class Peer:
    """numpy's hash and torch's rows."""

    def __init__(self, table: EngramTable, rows: Any) -> None:
        self.rows = rows
        self.multipliers = np.array(SPEC.multipliers, np.int64)
        if goal.planted:
            self.multipliers[2] += 2
        self.sizes = table.sizes.astype(np.int64)
        self.offsets = table.offsets.astype(np.int64)

    def demo(self, ids: Any) -> Any:
        """Shifts, keys and remainders one by one, then all side by side."""
        tokens = ids.shape[1]
        shifted = [ids]
        for k in range(1, 3):
            shifted.append(np.pad(ids, ((0, 0), (k, 0)), constant_values=SPEC.pad)[:, :tokens])
        heads = []
        for i, order in enumerate(SPEC.orders):
            key = shifted[0] * self.multipliers[0]
            for k in range(1, order):
                key = np.bitwise_xor(key, shifted[k] * self.multipliers[k])
            heads += [key % int(size) for size in self.sizes[i]]
        numbers = torch.from_numpy(np.stack(heads, axis=2)) + torch.from_numpy(self.offsets.reshape(-1))
        return torch.nn.functional.embedding(numbers, self.rows).flatten(start_dim=-2)

    def vectorised(self, ids: Any) -> Any:
        """All remainders of an order at once, into the array that torch reads."""
        sequences, tokens = ids.shape
        padded = np.full((sequences, tokens + 2), SPEC.pad, np.int64)
        padded[:, 2:] = ids
        numbers = np.empty((sequences, tokens, 2, SPEC.heads), np.int64)
        key = padded[:, 2:] * self.multipliers[0] ^ padded[:, 1:-1] * self.multipliers[1]
        np.remainder(key[..., None], self.sizes[0], out=numbers[:, :, 0])
        key ^= padded[:, :-2] * self.multipliers[2]
        np.remainder(key[..., None], self.sizes[1], out=numbers[:, :, 1])
        numbers += self.offsets
        found = torch.nn.functional.embedding(torch.from_numpy(numbers), self.rows)
        return found.view(sequences, tokens, -1)


def new_ids(tokens: int) -> Any:
    return rng.integers(0, SPEC.vocab, (1, tokens))


def answers(table: EngramTable, peers: dict[str, Peer]) -> None:
    """A row of positions that are not the peer's."""
    wrong = compared = 0
    for tokens in (1, 2, 64, 2048):
        ids = new_ids(tokens)
        ours = table.lookup(ids, threads=1)
        for peer in peers.values():
            for way in (peer.demo, peer.vectorised):
                wrong += int((way(ids).numpy() != ours).any(-1).sum())
                compared += tokens
    goal.row(
        "answers", f"of {compared:,} positions, those whose numbers are not the peer's", "== 0", wrong, "positions"
    )


def medians(calls: dict[str, Callable[[Any], object]], tokens: int, each: int, rounds: int) -> dict[str, float]:
    """Seconds a call of each, which alternate."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            ids = [new_ids(tokens) for _ in range(each)]
            begun = time.perf_counter()
            for some in ids:
                call(some)
            seconds[name].append((time.perf_counter() - begun) / each)
    return {name: float(np.median(of)) for name, of in seconds.items()}


def speeds(table: EngramTable, peers: dict[str, Peer]) -> None:
    """Rows of ratios."""
    for tokens, each, demo in ((1, 200, ">= 50"), (64, 20, ">= 3"), (2048, 1, ">= 1.5")):
        calls: dict[str, Callable[[Any], object]] = {"ours": lambda ids: table.lookup(ids, threads=1)}
        for name, peer in peers.items():
            calls |= {f"demo {name}": peer.demo, f"vectorised {name}": peer.vectorised}
        seconds = medians(calls, tokens, each, 31)
        for way, asked in (("demo", demo), ("vectorised", ">= 1")):
            best = min(peers, key=lambda name: seconds[f"{way} {name}"])
            ours, theirs = (1e6 * seconds[name] / tokens for name in ("ours", f"{way} {best}"))
            name = f"{'speed' if way == 'demo' else way}/{tokens}"
            what = f"T={tokens:,}: ours {ours:.2f} us a token, {way} hash and torch {theirs:.2f} from {best} pages"
            goal.row(name, what, asked, theirs / ours, "times")


def together(table: EngramTable, peers: dict[str, Peer]) -> float:
    """A row of the ratio where both have all cores; returns the peer's microseconds a token on one."""
    cores, tokens = len(os.sched_getaffinity(0)), 2048
    calls: dict[str, Callable[[Any], object]] = {"ours": lambda ids: table.lookup(ids, threads=cores)}
    calls |= {f"demo {name}": peer.demo for name, peer in peers.items()}
    alone = medians({name: call for name, call in calls.items() if name != "ours"}, tokens, 1, 31)
    torch.set_num_threads(cores)
    # Twenty calls of each: threads of the other side, which wait by turning, have gone to sleep by then.
    seconds = medians(calls, tokens, 20, 15)
    torch.set_num_threads(1)
    best = min(peers, key=lambda name: seconds[f"demo {name}"])
    ours, theirs = (1e6 * seconds[name] / tokens for name in ("ours", f"demo {best}"))
    what = (
        f"T=2,048, {cores} threads each: ours {ours:.2f} us a token, demo hash and torch {theirs:.2f} from {best} pages"
    )
    goal.row("threads/2048", what, ">= 1", theirs / ours, "times")
    return 1e6 * min(alone.values()) / tokens


def limit(peer_us: float) -> None:
    """Rows of what memory leaves to gain, on one thread."""
    name = "engram_roofline"
    command = ["cargo", "run", "--release", "--quiet", "--locked", "-p", "thrifty-pairconnect", "--example", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise goal.absent(f"no cargo: {done.stderr[-300:]}")
    found = json.loads(done.stdout)
    copied, looked = found["copy"], found["lookup"]
    most = f"the peer takes {peer_us / copied:.2f} times the copy, and nobody gains more"
    what = f"T=2,048: us a token to copy known rows ({copied:.2f}) over ours ({looked:.2f}); {most}"
    goal.row("limit/2048", what, ">= 0.7", copied / looked)


def hidden(table: EngramTable, tokens: int = 768) -> None:
    """A row of what a step hides."""
    side = rng.random((160, 160), dtype=np.float32)
    product = np.empty_like(side)
    turns = 1

    def step() -> None:
        for _ in range(turns):
            np.matmul(side, side, out=product)

    def both(ids: Any) -> object:
        future = table.prefetch(ids)
        step()
        return future.result()

    # What a step takes when nothing disturbs it.
    while min(medians({"step": lambda _: step()}, 1, 1, 1)["step"] for _ in range(30)) < 1e-3:
        turns += 1
    calls = {"step": lambda _: step(), "lookup": lambda ids: table.lookup(ids, threads=1), "both": both}
    seconds = medians(calls, tokens, 1, 301)
    shown = ", ".join(f"{name} {1e3 * of:.2f} ms" for name, of in seconds.items())
    share = 1 - (seconds["both"] - seconds["step"]) / seconds["lookup"]
    goal.row(f"hidden/{tokens}", f"of a lookup of {tokens} tokens behind a step; {shown}", ">= 0.8", share, "share")


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "table"
    write(file)
    table = EngramTable.load(file)
    total = int(table.sizes.sum())
    mapped = np.memmap(file, np.float32, "c", file.stat().st_size - table.nbytes, (total, SPEC.head_dim))
    peers = {"mapped": Peer(table, torch.from_numpy(mapped)), "huge": Peer(table, on_huge_pages(mapped))}
    table.lookup(new_ids(1 << 17))
    answers(table, peers)
    if not goal.planted:
        if goal.wants("speed"):
            speeds(table, peers)
        if goal.wants("threads") or goal.wants("limit"):
            limit(together(table, peers))
        if goal.wants("hidden"):
            hidden(table)
goal.end()
