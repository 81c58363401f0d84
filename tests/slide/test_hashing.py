"""Hash families: against definitions found from outside, their invariances, and their laws."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from thrifty.slide import hash_codes

FAMILIES: tuple[Any, ...] = ("dwta", "simhash", "doph", "minhash")


def pairs(rho: float, n: int, length: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Gaussian vectors whose coordinates have this correlation."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n, length))
    return x, rho * x + (1 - rho**2) ** 0.5 * z


def at_angle(degrees: float, length: int, seed: int) -> NDArray[Any]:
    """Two vectors of unlike length with this angle between them."""
    x, z = np.random.default_rng(seed).normal(size=(2, length))
    x /= np.linalg.norm(x)
    z -= (z @ x) * x
    z /= np.linalg.norm(z)
    angle = np.radians(degrees)
    return np.stack([x, 2.5 * (np.cos(angle) * x + np.sin(angle) * z)])


def sets(shared: int, each: int, length: int, seed: int) -> NDArray[Any]:
    """Two 0/1 vectors of `shared` ones in common and `each` of their own."""
    places = np.random.default_rng(seed).permutation(length)
    x = np.zeros((2, length))
    x[:, places[:shared]] = 1
    x[0, places[shared : shared + each]] = 1
    x[1, places[shared + each : shared + 2 * each]] = 1
    return x


def test_winners_are_those_of_the_bins() -> None:
    """A coordinate that stands out tells its bin and place in it; random vectors have the winners of those bins."""
    length, tables = 40, 60
    high, low = np.full((2, length, length), -2.0)
    np.fill_diagonal(high, -1.0)
    np.fill_diagonal(low, -3.0)
    places = hash_codes(high, k=1, tables=tables, seed=5)  # 0 where the coordinate is in none of places 1 to 7
    firsts = hash_codes(low, k=1, tables=tables, seed=5)  # 1 where the coordinate is at place 0
    bins = np.zeros((tables, 8), int)
    for table in range(tables):
        (bins[table, 0],) = np.flatnonzero(firsts[:, table])
        for place in range(1, 8):
            (bins[table, place],) = np.flatnonzero(places[:, table] == place)
    x = np.random.default_rng(1).normal(size=(100, length)).astype(np.float32)
    winners = x[:, bins].argmax(axis=2)
    assert np.array_equal(hash_codes(x, k=1, tables=tables, seed=5), winners)
    # Six of them make a code, the first one in the upper bits; more bits than they need change nothing.
    six = (winners.reshape(100, -1, 6) << np.arange(15, -1, -3)).sum(axis=2)
    for bits in (None, 18, 24):
        assert np.array_equal(hash_codes(x, k=6, tables=tables // 6, bits=bits, seed=5), six)


def test_minima_are_those_of_an_order() -> None:
    """Codes of pairs tell each table's order of the coordinates; sets then have the code of their first one."""
    n, tables = 9, 40
    kwargs: dict[str, Any] = {"family": "minhash", "k": 1, "tables": tables, "bits": 24, "seed": 3}
    single = hash_codes(np.eye(n), **kwargs)
    assert all(len(set(codes)) == n for codes in single.T.tolist())
    wins = np.zeros((n, tables), int)
    for a, b in combinations(range(n), 2):
        (code,) = hash_codes(np.eye(n)[[a]] + np.eye(n)[[b]], **kwargs)
        assert np.all((code == single[a]) | (code == single[b]))
        wins[a] += code == single[a]
        wins[b] += code == single[b]
    assert all(sorted(column) == list(range(n)) for column in wins.T.tolist())
    rng = np.random.default_rng(0)
    for _ in range(50):
        members = np.flatnonzero(rng.random(n) < 0.5)
        x = np.zeros((1, n))
        x[0, members] = rng.normal(size=len(members))
        if len(members):
            first = members[wins[members].argmax(axis=0)]
            assert np.array_equal(hash_codes(x, **kwargs)[0], single[first, np.arange(tables)])


def test_bins_of_one_permutation_hold_members() -> None:
    n, tables = 12, 4
    single = hash_codes(np.eye(n), "doph", k=1, tables=tables, bits=24, seed=2)
    assert np.all(single == single[:, :1])  # all bins borrow the only value
    assert len(set(single[:, 0].tolist())) == n
    rng = np.random.default_rng(0)
    several = 0
    for _ in range(50):
        x = (rng.random((1, n)) < 0.6).astype(np.float32)
        x[0, 0] = 1
        codes = set(hash_codes(x, "doph", k=1, tables=tables, bits=24, seed=2)[0].tolist())
        assert codes <= set(single[x[0] > 0, 0].tolist())
        several += len(codes) > 1
    assert several > 40


def test_signs_are_those_of_half_spaces() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 300, 50))
    a, b, between, opposite = (hash_codes(z, "simhash", k=1, tables=64, seed=1) for z in (x, y, 0.3 * x + 0.7 * y, -x))
    assert np.array_equal(opposite, 1 - a)
    assert np.array_equal(between[a == b], a[a == b])
    assert 0.4 < np.mean(between[a != b] == b[a != b]) < 0.9
    bits = hash_codes(x, "simhash", k=8, tables=8, seed=1)
    assert np.array_equal(bits, (a.reshape(300, 8, 8) << np.arange(7, -1, -1, dtype=np.uint32)).sum(axis=2))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_codes_may_depend_on(family: Any) -> None:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(37, 67)).astype(np.float32)
    x[::2] = np.maximum(x[::2], 0)
    x[5] = 0
    codes = hash_codes(x, family, k=3, tables=20, seed=1)
    assert codes.shape == (37, 20)
    assert codes.dtype == np.uint32
    assert np.array_equal(hash_codes(4 * x, family, k=3, tables=20, seed=1), codes)
    order = rng.permutation(37)
    assert np.array_equal(hash_codes(x[order], family, k=3, tables=20, seed=1), codes[order])
    for row in (0, 5, 36):
        assert np.array_equal(hash_codes(x[[row]], family, k=3, tables=20, seed=1)[0], codes[row])
    assert np.array_equal(hash_codes(csr_matrix(x), family, k=3, tables=20, seed=1), codes)
    assert np.array_equal(hash_codes(np.where(x == 0, np.float32(-0.0), x), family, k=3, tables=20, seed=1), codes)
    assert np.array_equal(hash_codes(np.asfortranarray(x), family, k=3, tables=20, seed=1), codes)
    assert not np.array_equal(hash_codes(x, family, k=3, tables=20, seed=2), codes)
    assert hash_codes(np.zeros((0, 67)), family, tables=20).shape == (0, 20)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bits", [1, 7, 11, 24])
def test_codes_are_below_the_range_and_fill_it(family: Any, bits: int) -> None:
    x = np.random.default_rng(1).normal(size=(400, 64))
    codes = hash_codes(x, family, k=16, tables=20, bits=bits)
    assert codes.max() < 2**bits
    # Sixteen values of a random vector are nearly always unlike another's: codes are as balls in bins.
    expected = 2**bits * -np.expm1(400 * np.log1p(-(2.0**-bits)))
    seen = np.mean([len(set(column)) for column in codes.T.tolist()])
    if family != "doph":
        assert abs(seen - expected) <= 0.02 * expected + 0.5
    else:
        assert seen >= 0.9 * expected


def digest() -> str:
    x = np.random.default_rng(3).normal(size=(50, 131))
    x[::2] = np.maximum(x[::2], 0)
    every = [hash_codes(x, f, k=k, tables=30, bits=b) for f in FAMILIES for k, b in ((2, 8), (7, 20))]
    return hashlib.sha256(b"".join(codes.tobytes() for codes in every)).hexdigest()


def test_codes_do_not_depend_on_the_instruction_set() -> None:
    program = "import tests.slide.test_hashing as t; print(t.digest())"
    seen = set()
    for path in ("scalar", "avx2", ""):
        environment = {**os.environ, "THRIFTY_SIMD": path}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=path != "avx2"
        )
        seen |= {done.stdout} - {""}  # nothing where there is no AVX2
    assert len(seen) == 1


def test_tensors() -> None:
    import torch

    x = np.random.default_rng(3).normal(size=(5, 16)).astype(np.float32)
    assert np.array_equal(hash_codes(torch.from_numpy(x)), hash_codes(x))


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"family": "srp"}, "family"),
        ({"k": 0}, "k"),
        ({"k": 17}, "k"),
        ({"tables": 0}, "tables"),
        ({"tables": 1025}, "tables"),
        ({"bits": 0}, "bits"),
        ({"bits": 25}, "bits"),
        ({"vectors": np.zeros((3, 7))}, "length"),
        ({"vectors": np.zeros(16)}, "vectors"),
    ],
)
def test_wrong_arguments(kwargs: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: "):
        hash_codes(**{"vectors": np.zeros((3, 16)), **kwargs})


@pytest.mark.parametrize("degrees", [20, 45, 90, 120])
def test_simhash_law(degrees: float) -> None:
    """20,000 signs of 20 pairs; 4 standard deviations are passed by chance in 6 of 10^5 tries."""
    law = 1 - degrees / 180
    equal = 0
    for seed in range(20):
        a, b = hash_codes(at_angle(degrees, 64, seed), "simhash", k=1, tables=1000, seed=seed)
        equal += int(np.count_nonzero(a == b))
    assert abs(equal / 20_000 - law) < 4 * (law * (1 - law) / 20_000) ** 0.5


@pytest.mark.parametrize(("degrees", "k", "tables"), [(20, 6, 2), (45, 4, 5), (60, 6, 20), (90, 3, 10)])
def test_found_in_a_table_law(degrees: float, k: int, tables: int) -> None:
    """A pair is in one bucket of at least one of L tables with 1 - (1 - p^K)^L: at least 3,000 sets, of 60 pairs."""
    law = 1 - (1 - (1 - degrees / 180) ** k) ** tables
    found = trials = 0
    for seed in range(60):
        groups = 100 if tables <= 10 else 50
        a, b = hash_codes(at_angle(degrees, 64, seed), "simhash", k=k, tables=groups * tables, seed=1000 + seed)
        found += int(np.count_nonzero((a == b).reshape(groups, tables).any(axis=1)))
        trials += groups
    assert abs(found / trials - law) < 4 * (law * (1 - law) / trials) ** 0.5


@pytest.mark.parametrize(("shared", "each"), [(3, 12), (10, 10), (15, 5), (28, 2)])
def test_minhash_law(shared: int, each: int) -> None:
    """The Jaccard similarity: 20,000 hash functions over 20 pairs of sets of at most 30."""
    law = shared / (shared + 2 * each)
    equal = 0
    for seed in range(20):
        a, b = hash_codes(sets(shared, each, 200, seed), "minhash", k=1, tables=1000, bits=24, seed=seed)
        equal += int(np.count_nonzero(a == b))
    assert abs(equal / 20_000 - law) < 4 * (law * (1 - law) / 20_000) ** 0.5


@pytest.mark.parametrize("tables", [8, 400])
@pytest.mark.parametrize(("shared", "each"), [(3, 12), (10, 10), (28, 2)])
def test_one_permutation_law(shared: int, each: int, tables: int) -> None:
    """The Jaccard similarity too; bins depend on each other, so that the error is that of 400 permutations."""
    law = shared / (shared + 2 * each)
    shares = []
    for seed in range(400):
        a, b = hash_codes(sets(shared, each, 200, seed), "doph", k=1, tables=tables, bits=24, seed=seed)
        shares.append(np.mean(a == b))
    assert abs(np.mean(shares) - law) < 4 * np.std(shares) / 20


def test_winners_follow_rank_correlation() -> None:
    shares = []
    for rho in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0):
        x, y = pairs(rho, 200, 128, seed=4)
        equal = hash_codes(x, k=1, tables=200) == hash_codes(np.exp(y), k=1, tables=200)  # ranks alone count
        shares.append((equal.mean(), equal.mean(axis=1).std() / 200**0.5))
    assert abs(shares[0][0] - 1 / 8) < 4 * shares[0][1]
    assert shares[-1][0] == 1
    for (low, low_error), (high, high_error) in pairwise(shares):
        assert high - low > 4 * (low_error**2 + high_error**2) ** 0.5


def test_winners_reach_the_buckets() -> None:
    x = np.random.default_rng(0).normal(size=(16_384, 128))
    codes = hash_codes(x, k=4, tables=4)
    for column in codes.T.tolist():
        assert len(set(column)) > 0.6 * 4096
