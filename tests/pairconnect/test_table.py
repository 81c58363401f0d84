"""Pair tables against their slow twin, and what must not change a lookup."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pairconnect import twin
from thrifty.errors import CapacityError, FormatError, MismatchError
from thrifty.pairconnect import PairSpec, PairTable

#: What rounding a row to a dtype changes, relative to its largest number.
ROUNDING = {"f32": 0.0, "bf16": 2**-8, "i8": 0.51 / 127}

hashed = st.builds(
    PairSpec,
    vocab=st.just(9),
    rows=st.integers(1, 40),
    heads=st.integers(1, 3),
    head_dim=st.sampled_from([1, 3, 8, 16, 17, 31, 32, 48, 64, 130, 200]),
    window=st.sampled_from([None, 1, 2, 3, 5, 9]),
    offsets=st.booleans(),
    include_self=st.booleans(),
    pool=st.sampled_from(["sum", "mean", "softmax"]),
    query_gram=st.integers(1, 3),
    key_gram=st.integers(1, 3),
    hash=st.sampled_from(["mix64", "h32"]),
    seed=st.integers(0, 2**64 - 1),
    dtype=st.sampled_from(["f32", "bf16", "i8"]),
)


def direct(spec: PairSpec) -> PairSpec:
    """The same with a row for each pair."""
    window = (spec.window or 3) if spec.offsets else spec.window
    rows = 81 * (window or 1) if spec.offsets else 81
    return dataclasses.replace(spec, hash="direct", query_gram=1, key_gram=1, window=window, rows=rows)


specs = st.one_of(hashed, hashed.map(direct))


def filled(spec: PairSpec, seed: int) -> tuple[PairTable, Any, Any]:
    """A table of random rows, and the rows as they are after rounding."""
    rng = np.random.default_rng(seed)
    table = PairTable(spec)
    values = rng.normal(size=(spec.heads * spec.rows, spec.head_dim)).astype(np.float32)
    logits = rng.normal(size=len(values)).astype(np.float32) if spec.pool == "softmax" else None
    most, relative = table.set_rows(0, values, logits)
    back, logits = table.get_rows(0, len(values))
    limit = ROUNDING[spec.dtype] * np.abs(values).max(1, keepdims=True)
    assert (np.abs(back - values) <= limit).all()
    assert most == np.abs(back - values).max()
    assert relative <= 1e-2
    return table, back, logits


@given(specs, st.lists(st.integers(0, 8), max_size=14), st.integers(0, 99), st.booleans())
def test_lookup_is_that_of_the_twin(spec: PairSpec, ids: list[int], seed: int, weighed: bool) -> None:
    table, values, logits = filled(spec, seed)
    weights = None
    if weighed and spec.window is not None:
        weights = np.random.default_rng(seed).normal(size=(spec.heads, spec.window)).astype(np.float32)
    found = table.lookup(ids, weights=weights)
    assert found.shape == (len(ids), spec.width)
    assert found.dtype == np.float32
    for t in range(len(ids)):
        wanted = twin.lookup(spec, values, logits, ids[: t + 1], weights)
        np.testing.assert_allclose(found[t], wanted, rtol=1e-5, atol=2e-5)
        assert table.rows(ids[: t + 1]).tolist() == twin.rows(spec, ids[: t + 1])


@given(specs, st.lists(st.integers(0, 8), min_size=1, max_size=12), st.data())
def test_nothing_behind_a_position_matters(spec: PairSpec, ids: list[int], data: st.DataObject) -> None:
    table, _, _ = filled(spec, 1)
    other = [*ids, *data.draw(st.lists(st.integers(0, 8), max_size=5))]
    at = data.draw(st.integers(0, len(ids) - 1))
    other[at + 1 :] = [(i + 1) % 9 for i in other[at + 1 :]]
    before, after = table.lookup(ids), table.lookup(other)
    assert (before[: at + 1] == after[: at + 1]).all()
    # One by one, or many sequences at once.
    assert all((table.lookup(ids[: t + 1])[-1] == before[t]).all() for t in range(len(ids)))
    assert (table.lookup([ids, ids[::-1]])[0] == before).all()


def test_threads_and_instruction_sets_give_the_same_bits() -> None:
    code = (
        "import numpy as np, hashlib, sys; sys.path.insert(0, '.')\n"
        "from tests.pairconnect.test_table import filled\n"
        "from thrifty.pairconnect import PairSpec\n"
        "ids = np.random.default_rng(0).integers(0, 9, (7, 1000))\n"
        "for dtype in ('f32', 'bf16', 'i8'):\n"
        "  for pool in ('sum', 'mean', 'softmax'):\n"
        "    for dim in (17, 128):\n"
        "      t = filled(PairSpec(vocab=9, rows=500, head_dim=dim, window=6, pool=pool, dtype=dtype), 3)[0]\n"
        "      w = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)\n"
        "      for weights in (None, w):\n"
        "        a = [t.lookup(ids, weights=weights, threads=n) for n in (1, 2, 3)]\n"
        "        assert all((a[0] == b).all() for b in a)\n"
        "        print(hashlib.sha256(a[0].tobytes()).hexdigest())\n"
    )
    told = set()
    for path in ("scalar", "avx2", "avx512"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"THRIFTY_SIMD": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if "no such instructions" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


def test_ten_million_lookups_of_one_row() -> None:
    table = PairTable(PairSpec(vocab=1, rows=1, heads=1, head_dim=16, window=10, offsets=False, pool="sum"))
    table.set_rows(0, np.arange(16, dtype=np.float32)[None])
    found = table.lookup(np.zeros((100, 10_010), np.uint32))
    wanted = np.minimum(np.arange(10_010), 10)[:, None] * np.arange(16)
    assert (found == wanted).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows: 0 is not between 1"),
        ({"heads": 0}, "heads"),
        ({"head_dim": 0}, "head_dim"),
        ({"window": 0}, "window: 0 is not at least 1"),
        ({"pool": "max"}, "unknown variant `max`"),
        ({"dtype": "f64"}, "unknown variant `f64`"),
        ({"query_gram": 0}, "query_gram"),
        ({"hash": "direct"}, "rows: 10; hash 'direct' needs one for each of 9 x 9 pairs at 4 distances: 324"),
        ({"hash": "direct", "offsets": False}, "9 x 9 pairs at 1 distances: 81"),
        ({"hash": "direct", "window": None}, "hash: 'direct' with offsets .* give a window"),
        ({"hash": "direct", "key_gram": 2, "rows": 324}, "hash: 'direct' has rows for pairs of single ids"),
        ({"rows": 2**31, "heads": 1024, "head_dim": 2**14}, "more than there can be|takes .* bytes"),
    ],
)
def test_specs_that_can_not_be(change: dict[str, Any], message: str) -> None:
    spec = dataclasses.replace(PairSpec(vocab=9, rows=10), **change)
    with pytest.raises((ValueError, CapacityError), match=message):
        PairTable(spec)


def test_arguments_that_can_not_be() -> None:
    table = PairTable(PairSpec(vocab=9, rows=10, heads=2, head_dim=16, window=3))
    with pytest.raises(ValueError, match="9 at 1 is not below vocab = 9"):
        table.lookup([1, 9])
    with pytest.raises(ValueError, match="-1 at 0 is no id"):
        table.lookup([-1])
    with pytest.raises(ValueError, match="is no id"):
        table.lookup(np.array([2**40]))
    with pytest.raises(TypeError, match="got float64"):
        table.lookup([0.5])
    with pytest.raises(ValueError, match="one or two dimensions"):
        table.lookup([[[1]]])
    with pytest.raises(ValueError, match=r"shape \(heads, window\)"):
        table.lookup([1], weights=np.ones((2, 2)))
    with pytest.raises(ValueError, match="out: shape"):
        table.lookup([1], out=np.empty(32, np.float32))
    with pytest.raises(ValueError, match="values: shape"):
        table.set_rows(0, np.ones((1, 8)))
    with pytest.raises(ValueError, match="do not fit"):
        table.set_rows(20, np.ones((1, 16)))
    with pytest.raises(ValueError, match="logits"):
        table.set_rows(0, np.ones((1, 16)), np.ones(1))
    with pytest.raises(ValueError, match="of 20"):
        table.get_rows(19, 2)
    with pytest.raises(CapacityError, match="max_bytes allows 100"):
        PairTable(table.spec, max_bytes=100)
    assert table.lookup([]).shape == (0, 32)
    assert table.lookup(np.empty((3, 0), int)).shape == (3, 0, 32)


@pytest.mark.parametrize("dtype", ["f32", "bf16", "i8"])
def test_files(tmp_path: Any, dtype: Any) -> None:
    spec = PairSpec(vocab=9, rows=100, heads=2, head_dim=20, pool="softmax", dtype=dtype, window=None, seed=2**63)
    table, values, logits = filled(spec, 5)
    path = tmp_path / "table"
    table.save(path)
    again = PairTable.load(path, verify=True)
    assert again.spec == spec
    back = again.get_rows(0, 200)
    assert (back[0] == values).all()
    assert (back[1] == logits).all()
    ids = np.random.default_rng(0).integers(0, 9, 100)
    assert (again.lookup(ids) == table.lookup(ids)).all()
    with pytest.raises(ValueError, match="only read"):
        again.set_rows(0, values, logits)
    content = path.read_bytes()
    for length in range(0, len(content), 4096):
        path.with_name("cut").write_bytes(content[:length])
        with pytest.raises(FormatError):
            PairTable.load(path.with_name("cut"))
    flipped = bytearray(content)
    flipped[-30] ^= 4
    path.with_name("flipped").write_bytes(flipped)
    with pytest.raises(FormatError, match="checksum"):
        PairTable.load(path.with_name("flipped"), verify=True)


def test_a_file_of_another_hash(tmp_path: Any) -> None:
    from xxhash import xxh3_128

    table = PairTable(PairSpec(vocab=9, rows=10))
    path = tmp_path / "table"
    table.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"hash_version":"1"', b'"hash_version":"9"')
    begin = header.index(b'"xxh3":"') + 8
    sum_ = xxh3_128(header[:begin] + header[begin + 32 :]).hexdigest().encode()
    path.write_bytes(content[:8] + header[:begin] + sum_ + header[begin + 32 :] + content[8 + length :])
    with pytest.raises(MismatchError, match="hash_version there is 9, here 1"):
        PairTable.load(path)


def test_what_is_no_number_passes_through() -> None:
    for pool in ("sum", "mean", "softmax"):
        spec = PairSpec(vocab=2, rows=1, heads=1, head_dim=16, window=1, pool=pool)  # type: ignore[arg-type]
        table = PairTable(spec)
        values = np.ones((1, 16), np.float32)
        values[0, 3] = np.nan
        table.set_rows(0, values, np.zeros(1) if pool == "softmax" else None)
        found = table.lookup([0, 1])
        assert np.isnan(found[1, 3])
        assert (found[1, :3] == 1).all()
        if pool == "softmax":
            table.set_rows(0, np.ones((1, 16)), np.array([np.nan]))
            assert np.isnan(table.lookup([0, 1])[1]).all()
