"""The hash keeps its laws: loads of rows, order, joint collisions, golden integers.

load: at least 1,000,000 distinct pairs of consecutive ids, of ids by Zipf's law, and of a text (pgnovels, bpe2048, each
id with the four before it), in four heads of 1,000, 32,768 and 65,536 rows: the chi-square law of the loads that the
core counts. The least chance of a larger value, of all heads and row counts. order: the share of pairs (a, b) whose row
is not that of (b, a) with 100,000 rows, and with 1,000 how many agree, from one in K. joint: of two heads, the
distinct pairs that share both rows with another pair, from K^-2; at 4,096 and 8,192 rows, and with mix64 also at
32,768, where h32 has too few words for the law (fewer pairs collide there). golden: the integers that the file
format fixes, in the core, in plain Python and in torch; and 600 random tables in all three.

--planted never uses 3 % of the rows, turns no pair round, has one head where there should be two, and changes constants
of the hash in Python.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
import torch
from scipy.special import chdtrc
from tests.pairconnect import twin

from thrifty.pairconnect import PairSpec, PairTable, Tokenizer, read_text
from thrifty.pairconnect.nn import pair_rows
from thrifty.pairconnect.stats import pair_stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

goal = Goal(__file__, __doc__, ("torch", "scipy", "tokenizers"))
COUNT = 1_000_000
HASHES = ("mix64", "h32")
SD = "standard deviations"
rng = np.random.default_rng(goal.seed)


def kinds() -> dict[str, NDArray[Any]]:
    """Ids of three kinds whose pairs are at least a million distinct ones: sequences of two ids, or a text."""
    q, k = np.divmod(np.arange(COUNT), 1000)
    found = {"consecutive": np.stack([k, q], 1)}
    drawn = np.unique((rng.zipf(1.2, (8 * COUNT, 2)) - 1) % 100_000, axis=0)
    found["zipf"] = rng.permutation(drawn)[:COUNT]
    folder = goal.data("text/pgnovels")
    text = read_text(folder / "train.txt.xz")[:3_000_000]
    found["text"] = Tokenizer.from_file(folder / "bpe2048.json").encode(text)[0]
    return found


def counted(ids: NDArray[Any], **spec: Any) -> dict[str, Any]:
    """What the core counts; a text's positions are paired with the four before them."""
    window = 1 if ids.ndim == 2 else 4
    found = pair_stats(PairSpec(vocab=100_000, window=window, seed=goal.seed, **spec), ids)
    if found["distinct_pairs"] < COUNT:
        raise SystemExit(f"{found['distinct_pairs']} distinct pairs are no {COUNT}")
    return found


def load(kinds: dict[str, NDArray[Any]]) -> None:
    """Rows of chi-square laws."""
    for hash_ in HASHES:
        for kind, ids in kinds.items():
            least, count = 1.0, 0
            for rows in (1000, 32_768, 65_536):
                used = rows * 97 // 100 if goal.planted else rows
                found = counted(ids, rows=used, heads=4, hash=hash_)
                count = found["distinct_pairs"]
                # The sum of squares of the loads, over all rows.
                laws = [chdtrc(rows - 1, (x + count) * rows / used - count) for x in found["chi_square"]]
                least = min(least, *laws)
            what = f"{hash_}, {count:,} distinct pairs, {kind}: chance of a larger chi-square of loads, the least of 12"
            goal.row(f"load/{hash_} {kind}", what, ">= 1e-3", least)


def order(kinds: dict[str, NDArray[Any]]) -> None:
    """Rows of pairs the other way round."""
    pairs = kinds["consecutive"]
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    back = pairs if goal.planted else pairs[:, ::-1]
    for hash_ in HASHES:
        same = []
        for rows in (100_000, 1000):
            spec = PairSpec(vocab=100_000, rows=rows, heads=1, window=1, hash=hash_, seed=goal.seed)
            a, b = (pair_rows(torch.from_numpy(ids.copy()), spec)[0][:, 1, 0, 0].numpy() for ids in (pairs, back))
            same.append(int(np.count_nonzero(a == b)))
        what = f"{hash_}: share of {len(pairs):,} pairs (a, b) whose row is not that of (b, a), K = 100,000"
        goal.row(f"order/{hash_} differ", what, ">= 0.999", 1 - same[0] / len(pairs))
        law = len(pairs) / 1000
        what = f"{hash_}: how many of them have the same row with K = 1,000, from one in K"
        goal.row(f"order/{hash_} chance", what, "<= 4", abs(same[1] - law) / law**0.5, SD)


def involved(n: int, cells: float) -> tuple[float, float]:
    """Mean and standard deviation of how many of n things in cells, drawn evenly, are not alone in theirs."""
    alone = (n - 1) * np.log1p(-1 / cells)
    both = np.log1p(-1 / cells) + (n - 2) * np.log1p(-2 / cells)
    p = np.exp(alone)
    variance = n * p + n * (n - 1) * np.exp(both) - (n * p) ** 2
    return n * -np.expm1(alone), float(variance) ** 0.5


def joint(kinds: dict[str, NDArray[Any]]) -> None:
    """Rows of pairs that collide in two heads."""
    for hash_ in HASHES:
        for rows in (4096, 8192, 32_768) if hash_ == "mix64" else (4096, 8192):
            most = 0.0
            for ids in kinds.values():
                found = counted(ids, rows=rows, heads=1 if goal.planted else 2, hash=hash_)
                mean, sd = involved(found["distinct_pairs"], float(rows) ** 2)
                most = max(most, abs(found["collisions_in_all"] * found["distinct_pairs"] - mean) / sd)
            what = (
                f"{hash_}, K = {rows:,}: distinct pairs that share both rows with another, from K^-2, the farthest of 3"
            )
            goal.row(f"joint/{hash_} {rows}", what, "<= 3", most, SD)


GOLDEN = {
    "mix64": [[46447, 809162, 507743], [835045, 838911, 68314], [288250, 70660, 666799], [671216, 428921, 131221]],
    "h32": [[833134, 225999, 879967], [728519, 303142, 58964], [339760, 375684, 531449], [940424, 41414, 949017]],
    "direct": [[0, 0, 0], [1002, 1002, 1002], [2001, 2001, 2001], [3_999_005, 3_999_005, 3_999_005]],
}
"""Rows of (0, 0), (1, 2), (2, 1), (999, 5) in three heads at the distances 0 (direct: 1), 1, 1, 4."""


def in_three(spec: PairSpec, q: int, k: int, o: int) -> list[list[int]]:
    """Rows of a pair within their heads, by the core, Python and torch."""
    ids = [0] * (o + 1)
    ids[-1 - o], ids[-1] = k, q
    first = 0 if spec.include_self else 1
    core = PairTable(spec).rows(ids)[:, o - first].tolist()
    plain = [twin.row(spec, q, k, o, h) for h in range(spec.heads)]
    ours = pair_rows(torch.tensor([ids]), spec)[0][0, -1, :, o - first].tolist()
    return [[row - h * spec.rows for h, row in enumerate(rows)] for rows in (core, plain, ours)]


def golden() -> None:
    """Rows of integers."""
    cases = [(0, 0, 0), (1, 2, 1), (2, 1, 1), (999, 5, 4)]
    right = 0
    for hash_, wanted in GOLDEN.items():
        direct = hash_ == "direct"
        rows = 4_000_000 if direct else 1 << 20
        for (q, k, o), expected in zip(cases, wanted, strict=True):
            window = 4 if direct else 5
            spec = PairSpec(
                vocab=1000, rows=rows, heads=3, head_dim=16, window=window, hash=hash_, seed=7, include_self=not direct
            )
            found = in_three(spec, q, k, max(o, 1) if direct else o)
            right += sum(rows == expected for rows in found)
    goal.row(
        "golden/fixed", "golden rows of 12 pairs in the core, in Python and in torch that are right", "== 36", right
    )
    equal = 0
    for hash_ in (*HASHES, "direct"):
        for case in range(200):
            seed = int(rng.integers(2**63))
            vocab = 30 if hash_ == "direct" else int(rng.integers(2, 2**31))
            direct = hash_ == "direct"
            spec = PairSpec(
                vocab=vocab,
                rows=30 * 30 * 4 if direct else int(rng.integers(1, 2**16)),
                heads=2,
                head_dim=1,
                window=4,
                hash=hash_,
                seed=seed,
                query_gram=1 if direct else 1 + case % 3,
            )
            ids = rng.integers(0, vocab, 12).tolist()
            core, ours = PairTable(spec), pair_rows(torch.tensor([ids]), spec)[0][0]
            for t in range(12):
                plain = twin.rows(spec, ids[: t + 1])
                pairs = len(plain[0])
                equal += core.rows(ids[: t + 1]).tolist() == plain == ours[t, :, :pairs].tolist()
    what = "positions of 600 random tables whose rows the core, Python and torch give alike"
    goal.row("golden/random", what, f"== {600 * 12}", equal)


if goal.planted:
    twin.C1 += 2
    twin.A1 += 2
KINDS = kinds() if any(map(goal.wants, ("load", "order", "joint"))) else {}
for part in (load, order, joint):
    if goal.wants(part.__name__):
        part(KINDS)
if goal.wants("golden"):
    golden()
goal.end()
