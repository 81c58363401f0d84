"""Hash families keep their laws: collision probabilities, invariances, and how many buckets are used.

simhash: 100,000 signs of 100 pairs of Gaussian vectors at each of four angles against 1 - angle/pi; and pairs that meet
in at least one of L tables of K signs against 1 - (1 - p^K)^L. minhash, doph: pairs of sets against their Jaccard
similarity. Distances are in standard deviations, the largest of all cases; doph's are those of means over permutations.
dwta: pairs of Gaussian vectors of rising correlation, the least rise of the share of equal winners, in standard
deviations; buckets of K = 4 that 16,384 random vectors reach, of all 4,096. invariances: codes of all families that
change when vectors are scaled, have signed zeros for absent coordinates, are stored sparse, or come in another order.

--planted turns vectors by two degrees, counts a table less, takes a member out of a set, shuffles coordinates of the
more alike, drops one of a winner's three bits, and adds to vectors instead of scaling them.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.slide.test_hashing import FAMILIES, at_angle, pairs, sets

from thrifty.slide import hash_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

goal = Goal(__file__, __doc__, ("scipy",))
SD = "standard deviations"


def away(equal: int, trials: int, law: float) -> float:
    """Distance of a share from what it should be, in standard deviations."""
    return abs(equal / trials - law) / (law * (1 - law) / trials) ** 0.5


def simhash() -> None:
    """Rows of signs and tables."""
    turned = 2 if goal.planted else 0
    most = 0.0
    for degrees in (20, 45, 90, 120):
        equal = 0
        for i in range(100):
            a, b = hash_codes(
                at_angle(degrees + turned, 128, i), "simhash", k=1, tables=1000, seed=goal.seed * 1000 + i
            )
            equal += int(np.count_nonzero(a == b))
        most = max(most, away(equal, 100_000, 1 - degrees / 180))
    what = "SimHash: equal signs from 1 - angle/pi, 100,000 draws at 20, 45, 90 and 120 degrees, the farthest"
    goal.row("simhash/signs", what, "<= 4", most, SD)
    most = 0.0
    for degrees, k, tables in ((20, 6, 2), (45, 4, 5), (60, 6, 20), (90, 3, 10)):
        found = trials = 0
        for i in range(200):
            groups = 1000 // tables
            a, b = hash_codes(
                at_angle(degrees, 128, i), "simhash", k=k, tables=groups * tables, seed=goal.seed * 1000 + i
            )
            counted = (a == b).reshape(groups, tables)[:, (1 if goal.planted else 0) :]
            found += int(np.count_nonzero(counted.any(axis=1)))
            trials += groups
        most = max(most, away(found, trials, 1 - (1 - (1 - degrees / 180) ** k) ** tables))
    what = "SimHash: pairs found in at least one table from 1 - (1 - p^K)^L, four pairs of K and L, the farthest"
    goal.row("simhash/tables", what, "<= 4", most, SD)


def minhash() -> None:
    """Rows of sets."""
    cases = ((3, 12), (10, 10), (15, 5), (28, 2))

    def pair(shared: int, each: int, seed: int) -> NDArray[np.float64]:
        x = sets(shared, each, 200, seed)
        if goal.planted:
            x[0, np.flatnonzero(x.all(axis=0))[0]] = 0
        return x

    most = {"minhash": 0.0, "doph": 0.0}
    for shared, each in cases:
        law = shared / (shared + 2 * each)
        equal, shares = 0, []
        for i in range(100):
            a, b = hash_codes(pair(shared, each, i), "minhash", k=1, tables=1000, bits=24, seed=goal.seed * 1000 + i)
            equal += int(np.count_nonzero(a == b))
        for i in range(2000):
            a, b = hash_codes(pair(shared, each, i), "doph", k=1, tables=50, bits=24, seed=goal.seed * 10_000 + i)
            shares.append(np.mean(a == b))
        most["minhash"] = max(most["minhash"], away(equal, 100_000, law))
        most["doph"] = max(most["doph"], float(abs(np.mean(shares) - law) / (np.std(shares) / len(shares) ** 0.5)))
    for family, name, of in (("minhash", "MinHash", "100,000 hash functions"), ("doph", "DOPH", "2,000 permutations")):
        what = f"{name}: equal values from the Jaccard similarity, {of} each at four similarities, the farthest"
        goal.row(f"{family}/jaccard", what, "<= 4", most[family], SD)


def dwta() -> None:
    """Rows of winners."""
    shares = []
    for rho in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0):
        x, y = pairs(rho, 500, 128, seed=goal.seed)
        if goal.planted and rho > 0.5:
            y = np.random.default_rng(goal.seed).permuted(y, axis=1)
        equal = np.mean(hash_codes(x, k=1, tables=200) == hash_codes(y, k=1, tables=200), axis=1)
        shares.append((equal.mean(), equal.var() / len(equal)))
    rises = [(b - a) / (u + v) ** 0.5 for (a, u), (b, v) in pairwise(shares)]
    what = "DWTA: rise of the share of equal winners with the correlation of vectors, 0 to 1 in eight steps, the least"
    goal.row("dwta/correlation", what, ">= 4", min(rises), SD)
    x = np.random.default_rng(goal.seed).normal(size=(16_384, 128))
    codes = hash_codes(x, k=4, tables=20, seed=goal.seed)
    if goal.planted:
        codes &= 0o3333
    reached = min(len(set(column)) for column in codes.T.tolist()) / 4096
    what = "DWTA, K = 4: share of 4,096 buckets that 16,384 random vectors reach, the least of 20 tables"
    goal.row("dwta/buckets", what, ">= 0.6", reached)


def invariances() -> None:
    """One row: codes that change when they should not."""
    rng = np.random.default_rng(goal.seed)
    changed = total = 0
    for length in (8, 50, 128, 1000):
        x = rng.normal(size=(200, length)).astype(np.float32)
        x[::2] = np.maximum(x[::2], 0)
        x[1::4] *= rng.random((50, length)) < 0.1
        for family in FAMILIES:
            codes = hash_codes(x, family, seed=goal.seed)
            others = (
                x + 1 if goal.planted else 8 * x,
                np.where(x == 0, np.float32(-0.0), x),
                csr_matrix(x),
                np.concatenate([x[100:], x[:100]]),
            )
            for i, other in enumerate(others):
                got = hash_codes(other, family, seed=goal.seed)
                got = np.concatenate([got[100:], got[:100]]) if i == 3 else got
                changed += int(np.count_nonzero(got != codes))
                total += codes.size
    what = f"codes of all families that scale, signed zeros, sparse storage or the order of rows change, of {total:,}"
    goal.row("invariances/changed", what, "== 0", changed)


for part in (simhash, minhash, dwta, invariances):
    if goal.wants(part.__name__):
        part()
goal.end()
