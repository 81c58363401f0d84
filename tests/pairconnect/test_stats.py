"""How texts load tables, against a count of pair after pair."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as laws

from tests.pairconnect import twin
from tests.pairconnect.test_table import specs
from thrifty.pairconnect import PairSpec, PairTable
from thrifty.pairconnect.stats import pair_stats


@given(specs, st.lists(st.lists(st.integers(0, 8), min_size=6, max_size=6), min_size=1, max_size=3))
def test_counts_are_those_of_the_twin(spec: PairSpec, sequences: list[list[int]]) -> None:
    found = PairTable(spec).stats(sequences)
    first, keys, pairs = 0 if spec.include_self else 1, set(), 0
    for ids in sequences:
        for t in range(6):
            for o in range(first, min(t, first + (spec.window or 6) - 1) + 1):
                query, key = twin.gram(ids[: t + 1], spec.query_gram), twin.gram(ids[: t + 1 - o], spec.key_gram)
                keys.add((query, key, o if spec.offsets else 0))
                pairs += 1
    rows = [[twin.row(spec, q, k, o, h) for h in range(spec.heads)] for q, k, o in sorted(keys)]
    n = max(len(keys), 1)
    assert (found["tokens"], found["pairs"], found["distinct_pairs"]) == (6 * len(sequences), pairs, len(keys))
    together = Counter(tuple(r) for r in rows)
    assert found["collisions_in_all"] == sum(c for c in together.values() if c > 1) / n
    for h in range(spec.heads):
        loads = Counter(r[h] for r in rows)
        assert found["rows_touched"][h] == len(loads) / spec.rows
        assert found["load_max"][h] == max(loads.values(), default=0)
        assert found["collisions"][h] == sum(c for c in loads.values() if c > 1) / n
        if keys and spec.rows > 1:
            law = laws.chisquare([loads[h * spec.rows + r] for r in range(spec.rows)])
            assert found["chi_square"][h] == pytest.approx(law.statistic, abs=1e-6)
            assert found["chi_square_p"][h] == pytest.approx(law.pvalue, abs=1e-6)


def test_bytes_a_token_are_those_of_rows() -> None:
    for dtype, stride in (("f32", 192), ("bf16", 128), ("i8", 52)):
        spec = PairSpec(vocab=9, rows=10, heads=3, head_dim=40, window=None, dtype=dtype)  # type: ignore[arg-type]
        found = pair_stats(spec, np.zeros((5, 11), int))
        assert found["bytes_per_token"] == 3 * stride * (11 * 10 / 2) / 11
        assert PairTable(spec).nbytes == 30 * stride


def test_a_long_text_and_threads() -> None:
    rng = np.random.default_rng(0)
    ids = (rng.zipf(1.3, 400_000) % 5000).astype(np.uint32)
    spec = PairSpec(vocab=5000, rows=1 << 14, window=6)
    phases = []
    found = [pair_stats(spec, ids, threads=n, progress=lambda *told: phases.append(told[0])) for n in (1, 2)]
    assert found[0] == found[1]
    assert {"pairs", "rows"} >= set(phases) - {""} != set()
    keys = [ids[o:].astype(np.uint64) << 32 | ids[:-o] for o in range(1, 7)]
    assert found[0]["distinct_pairs"] == sum(len(np.unique(of_distance)) for of_distance in keys)
    assert min(found[0]["chi_square_p"]) > 1e-4
    assert found[0]["collisions_in_all"] == 0
    assert found[0]["load_mean"] > 5


def test_what_can_not_be() -> None:
    spec = PairSpec(vocab=9, rows=10)
    with pytest.raises(ValueError, match="9 at 1 is not below vocab = 9"):
        pair_stats(spec, [1, 9])
    with pytest.raises(ValueError, match="one or two dimensions"):
        pair_stats(spec, [[[1]]])
    with pytest.raises(ValueError, match="rows: 0"):
        pair_stats(PairSpec(vocab=9, rows=0), [1])
    with pytest.raises(TypeError, match="got float64"):
        pair_stats(spec, [0.5])
    empty = pair_stats(spec, [])
    assert (empty["tokens"], empty["distinct_pairs"], empty["bytes_per_token"]) == (0, 0, 0)

    def stop(*_: object) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        pair_stats(spec, np.zeros(3_000_000, np.uint32), progress=stop)
