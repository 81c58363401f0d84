"""Tables of n-grams against their slow twin, and lookups that go on meanwhile."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.pairconnect import engram_twin as twin
from tests.pairconnect.engram_twin import filled, small
from thrifty.errors import CapacityError, FormatError, MismatchError
from thrifty.pairconnect import EngramSpec, EngramTable


@st.composite
def specs(draw: st.DrawFn) -> EngramSpec:
    vocab = draw(st.sampled_from([1, 2, 9, 1000, 129_280, 2**31]))
    orders = sorted(draw(st.sets(st.integers(1, 6), min_size=1, max_size=3)))
    layers = draw(st.lists(st.integers(0, 40), min_size=1, max_size=3, unique=True))
    return EngramSpec(
        vocab=vocab,
        orders=orders,
        heads=draw(st.integers(1, 4)),
        head_dim=draw(st.sampled_from([1, 3, 16, 17, 32, 64, 128, 130])),
        sizes=[draw(st.integers(1, 60)) for _ in orders],
        layers=layers,
        layer=draw(st.sampled_from(layers)),
        seed=draw(st.integers(0, 2**40)),
        pad=draw(st.integers(0, vocab - 1)),
        dtype=draw(st.sampled_from(["f32", "bf16", "i8"])),
    )


@given(specs(), st.data())
def test_lookup_is_that_of_the_twin(spec: EngramSpec, data: st.DataObject) -> None:
    table, values = filled(spec)
    assert table.sizes.tolist() == twin.sizes(spec)
    shape = data.draw(st.sampled_from([(0,), (1,), (2,), (11,), (3, 5), (2, 0), (0, 4), (2, 2, 3)]))
    ids = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, spec.vocab, shape)
    start = data.draw(st.integers(0, shape[-1]))
    rows = table.rows(ids, start=start)
    each = len(spec.orders) * spec.heads
    assert rows.shape == (*shape[:-1], shape[-1] - start, each)
    wanted = np.array([twin.rows(spec, s) for s in ids.reshape(-1, shape[-1]).tolist()], np.int64) if ids.size else ids
    wanted = wanted.reshape(*shape, each if ids.size else 0)
    if ids.size:
        assert (rows == wanted[..., start:, :]).all()
    found = table.lookup(ids, start=start)
    assert found.dtype == np.float32
    assert found.shape == (*rows.shape[:-1], spec.width)
    assert (found == values[rows].reshape(found.shape)).all()
    assert (table.prefetch(ids, start=start).result() == found).all()


def test_rows_are_those_of_the_demo() -> None:
    """Its vocabulary, sizes, layers and padding; the same numbers stand in a test of the core."""
    spec = EngramSpec(vocab=129_280, heads=2, sizes=646_400, layers=(1, 15), layer=15, pad=2, head_dim=1)
    table = EngramTable(spec)
    assert spec.multipliers == [22166238923025, 42939128327945, 41336139856257]
    assert table.sizes.tolist() == [[646433, 646453], [646519, 646523]]
    assert table.rows([0, 1, 129_279])[2].tolist() == [456831, 696319, 1715124, 2425710]
    assert EngramTable(dataclasses.replace(spec, layer=1)).sizes.tolist() == twin.sizes(
        dataclasses.replace(spec, layer=1)
    )


def test_ids_are_remapped_and_the_padding_too(tmp_path: Any) -> None:
    remap = np.random.default_rng(0).integers(0, 50, 200)
    spec = small(pad=150)
    table, values = filled(spec, remap=remap)
    ids = np.random.default_rng(1).integers(0, 200, 30)
    rows = twin.rows(spec, ids.tolist(), remap.tolist())
    assert table.rows(ids).tolist() == rows
    plain = EngramTable(small(pad=int(remap[150])))
    assert (plain.rows(remap[ids]) == rows).all()
    table.save(tmp_path / "table")
    again = EngramTable.load(tmp_path / "table", verify=True)
    assert again.remap is not None
    assert (again.remap == remap).all()
    assert (again.lookup(ids) == values[rows].reshape(30, -1)).all()
    with pytest.raises(ValueError, match="200 at 0 is not between 0 and the ids of remap = 200"):
        table.lookup([200])
    with pytest.raises(ValueError, match="remap: 50 at 1 is not below vocab = 50"):
        EngramTable(small(), remap=[0, 50])
    with pytest.raises(ValueError, match="pad: 150 is no id"):
        EngramTable(small(pad=150))


def test_threads_and_instruction_sets_give_the_same_bits() -> None:
    code = (
        "import numpy as np, hashlib, sys; sys.path.insert(0, '.')\n"
        "from tests.pairconnect.engram_twin import filled, small\n"
        "ids = np.random.default_rng(0).integers(0, 50, (7, 1000))\n"
        "for dtype in ('f32', 'bf16', 'i8'):\n"
        "  for dim in (17, 32, 64, 128):\n"
        "    t = filled(small(head_dim=dim, dtype=dtype))[0]\n"
        "    a = [t.lookup(ids, threads=n) for n in (1, 2, 3)] + [t.prefetch(ids, threads=2).result()]\n"
        "    assert all((a[0] == b).all() for b in a)\n"
        "    print(hashlib.sha256(a[0].tobytes()).hexdigest())\n"
    )
    told = set()
    for path in ("scalar", "avx2", "avx512"):
        environment = os.environ | {"THRIFTY_SIMD": path}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        if "no such instructions" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


@pytest.mark.parametrize("head_dim", [20, 32, 64, 128])
def test_rows_of_bf16_as_they_are(head_dim: int) -> None:
    table, _ = filled(small(dtype="bf16", head_dim=head_dim))
    ids = np.arange(40).reshape(2, 20)
    wide, raw = table.lookup(ids), table.lookup(ids, raw=True)
    assert raw.dtype == np.uint16
    assert ((raw.astype(np.uint32) << 16).view(np.float32) == wide).all()
    tensor = table.lookup(torch.from_numpy(ids), raw=True)
    assert tensor.dtype == torch.bfloat16
    assert (tensor.float().numpy() == wide).all()
    assert torch.equal(table.prefetch(torch.from_numpy(ids), raw=True).result(), tensor)
    out = torch.empty_like(tensor)
    assert table.lookup(torch.from_numpy(ids), raw=True, out=out) is out
    assert torch.equal(out, tensor)
    with pytest.raises(ValueError, match="raw: only rows of bf16"):
        filled(small())[0].lookup(ids, raw=True)
    with pytest.raises(ValueError, match="raw: only rows of bf16"):
        filled(small())[0].prefetch(ids, raw=True).result()


def test_arrays_of_all_kinds() -> None:
    table, _ = filled(small())
    ids = np.random.default_rng(0).integers(0, 50, (4, 6))
    wanted = table.lookup(ids)
    for same in (ids.astype(np.int32), ids.astype(np.uint32), ids.tolist(), np.asfortranarray(ids), ids[::-1][::-1]):
        assert (table.lookup(same) == wanted).all()
    found = table.lookup(torch.from_numpy(ids))
    assert isinstance(found, torch.Tensor)
    assert (found.numpy() == wanted).all()
    out = np.full_like(wanted, np.nan)
    assert table.lookup(ids, out=out) is out
    assert (out == wanted).all()


def test_rows_of_a_head() -> None:
    table = EngramTable(small())
    size = int(table.sizes[1, 0])
    values = np.random.default_rng(0).normal(size=(size, 16)).astype(np.float32)
    table.set_rows(0, values, head=(1, 0))
    first = int(table.offsets[1, 0])
    assert first == table.sizes[0].sum()
    assert (table.get_rows(first, size) == values).all()
    assert (table.get_rows(3, 4, head=(1, 0)) == values[3:7]).all()
    assert not table.get_rows(0, first).any()
    assert (table.lookup([7, 3, 9])[2].reshape(4, 16)[2] == values[table.rows([7, 3, 9])[2, 2] - first]).all()
    with pytest.raises(ValueError, match=r"rows: 1\.\."):
        table.set_rows(1, values, head=(1, 0))
    with pytest.raises(ValueError, match="head: .2, 0. is none of 2 orders x 2 heads"):
        table.get_rows(0, 1, head=(2, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab": 0}, "vocab"),
        ({"vocab": 2**31 + 1}, "vocab"),
        ({"heads": 0}, "heads: 0 is not between 1"),
        ({"head_dim": 0}, "head_dim"),
        ({"orders": ()}, "orders"),
        ({"orders": (3, 2), "sizes": (30, 30)}, "orders: .* rising"),
        ({"orders": (2, 17)}, "orders"),
        ({"sizes": (30,)}, "sizes: 1 numbers where there are 2 orders"),
        ({"sizes": 0}, "sizes: 0 is not between 1"),
        ({"layers": (1, 2)}, "layer: 0 is none of the layers"),
        ({"layers": (0, 0)}, "layers: 0 is there twice"),
        ({"layers": range(5000)}, "together at most"),
        ({"seed": -1}, "seed and layer are not negative"),
        ({"pad": 50}, "pad: 50 is no id"),
        ({"dtype": "f64"}, "unknown variant `f64`"),
        ({"sizes": 2**30, "heads": 1024, "head_dim": 2**14}, "more rows than there can be|takes .* bytes"),
    ],
)
def test_specs_that_can_not_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, CapacityError), match=message):
        EngramTable(small(**change))


def test_arguments_that_can_not_be() -> None:
    table, values = filled(small())
    for wrong, message in (
        ([50], "50 at 0 is not between 0 and vocab = 50"),
        ([1, -1], "-1 at 1 is not between"),
        ([2**40], "is not between"),
    ):
        with pytest.raises(ValueError, match=message):
            table.lookup(wrong)
        with pytest.raises(ValueError, match=message):
            table.rows(wrong)
        future = table.prefetch(wrong)
        for _ in range(2):
            with pytest.raises(ValueError, match=message):
                future.result()
    with pytest.raises(TypeError, match="got float64"):
        table.lookup([0.5])
    with pytest.raises(TypeError, match="got bool"):
        table.prefetch([True])
    with pytest.raises(ValueError, match="one dimension or more"):
        table.lookup(np.int64(3))
    with pytest.raises(ValueError, match="start: 3 is behind the 2 ids"):
        table.lookup([1, 2], start=3)
    with pytest.raises(OverflowError):
        table.lookup([1], start=-1)
    with pytest.raises(ValueError, match="out: a contiguous array of shape"):
        table.lookup([1], out=np.empty((1, 63), np.float32))
    with pytest.raises(TypeError, match="out: an array of float32"):
        table.lookup([1], out=np.empty((1, 64)))
    locked = np.empty((1, 64), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="can't be written to"):
        table.lookup([1], out=locked)
    with pytest.raises(ValueError, match="values: shape"):
        table.set_rows(0, np.ones((1, 8)))
    with pytest.raises(ValueError, match="do not fit"):
        table.set_rows(len(values), np.ones((1, 16)))
    with pytest.raises(ValueError, match="rows"):
        table.get_rows(len(values), 1)
    with pytest.raises(CapacityError, match="max_bytes allows 100"):
        EngramTable(small(), max_bytes=100)
    with pytest.raises(ValueError, match="timeout"):
        table.prefetch([1]).result(timeout=float("nan"))


@pytest.mark.parametrize("dtype", ["f32", "bf16", "i8"])
def test_files(tmp_path: Any, dtype: Any) -> None:
    spec = small(dtype=dtype, head_dim=20, layers=(4, 2), layer=2, seed=77, pad=3)
    table, values = filled(spec)
    path = tmp_path / "table"
    table.save(path)
    ids = np.random.default_rng(0).integers(0, 50, 100)
    for mmap in (True, False):
        again = EngramTable.load(path, verify=True, mmap=mmap)
        assert again.spec == spec
        assert (again.get_rows(0, len(values)) == values).all()
        assert (again.lookup(ids) == table.lookup(ids)).all()
        assert again.remap is None
    again.set_rows(0, values[:1] + 1)
    with pytest.raises(ValueError, match="only read; load a copy"):
        EngramTable.load(path).set_rows(0, values)
    with pytest.raises(CapacityError, match="max_bytes allows 100"):
        EngramTable.load(path, mmap=False, max_bytes=100)
    content = path.read_bytes()
    for length in range(0, len(content), 4096):
        path.with_name("cut").write_bytes(content[:length])
        with pytest.raises(FormatError):
            EngramTable.load(path.with_name("cut"))
    flipped = bytearray(content)
    flipped[-30] ^= 4
    path.with_name("flipped").write_bytes(flipped)
    with pytest.raises(FormatError, match="checksum"):
        EngramTable.load(path.with_name("flipped"), verify=True)
    with pytest.raises(FileNotFoundError):
        EngramTable.load(path.with_name("none"))


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (b'"hash_version":"1"', b'"hash_version":"9"', MismatchError, "hash_version there is 9, here 1"),
        (b'"version":"1"', b'"version":"7"', FormatError, "version 7 of the thrifty.engram format"),
        (b"thrifty.engram", b"thrifty.anagra", FormatError, "not 'thrifty.engram'"),
        (b'\\"heads\\":2', b'\\"heads\\":0', FormatError, "spec: heads: 0"),
        (b'\\"heads\\":2', b'\\"heads\\":3', FormatError, "of shape .* is needed"),
        (b'\\"pad\\":0', b'\\"dap\\":0', FormatError, "unknown field"),
    ],
)
def test_files_that_say_something_else(tmp_path: Any, old: bytes, new: bytes, error: Any, message: str) -> None:
    from xxhash import xxh3_128

    path = tmp_path / "table"
    EngramTable(small()).save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert content[8 : 8 + length].count(old) == 1
    header = content[8 : 8 + length].replace(old, new)
    begin = header.index(b'"xxh3":"') + 8
    sum_ = xxh3_128(header[:begin] + header[begin + 32 :]).hexdigest().encode()
    path.write_bytes(content[:8] + header[:begin] + sum_ + header[begin + 32 :] + content[8 + length :])
    with pytest.raises(error, match=message):
        EngramTable.load(path)


def test_futures() -> None:
    table, _ = filled(small())
    ids = np.random.default_rng(0).integers(0, 50, (40, 1000))
    wanted = table.lookup(ids)
    future = table.prefetch(ids)
    with pytest.raises(TimeoutError, match="takes longer"):
        table.prefetch(ids).result(timeout=1e-6)  # behind the other one, whose thread it shares
    found = future.result()
    assert future.done()
    assert (found == wanted).all()
    assert future.result() is found
    for _ in range(50):
        table.prefetch(ids)  # nobody waits for it
    assert (table.prefetch(ids).result(timeout=60) == wanted).all()
    # A table lives as long as its lookups.
    future = EngramTable(small()).prefetch(ids)
    assert not future.result().any()


def test_rows_are_not_changed_under_a_lookup() -> None:
    table, values = filled(small())
    future = table.prefetch(np.zeros((4, 100), int))
    with pytest.raises(ValueError, match="table: a lookup is still reading it"):
        table.set_rows(0, values)
    future.result()
    assert table.set_rows(0, values) == (0.0, 0.0)


def test_many_threads() -> None:
    table, _ = filled(small())
    ids = [np.random.default_rng(i).integers(0, 50, (3, 500)) for i in range(6)]
    wanted = [table.lookup(x) for x in ids]
    shared = table.prefetch(ids[0])
    wrong = []

    def work(i: int) -> None:
        for _ in range(20):
            ahead = table.prefetch(ids[i])
            same = (table.lookup(ids[i], threads=2) == wanted[i]).all() and (ahead.result() == wanted[i]).all()
            if not same or not (shared.result() == wanted[0]).all():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_a_forked_process_has_futures_too() -> None:
    """Those of its parent, done or not, and its own."""
    code = (
        "import os, sys; sys.path.insert(0, '.')\n"
        "import numpy as np\n"
        "from tests.pairconnect.engram_twin import filled, small\n"
        "table, _ = filled(small()); ids = np.random.default_rng(0).integers(0, 50, (100, 1000))\n"
        "wanted = table.lookup(ids); done = table.prefetch(ids); done.result()\n"
        "running = [table.prefetch(ids) for _ in range(3)]\n"
        "child = os.fork()\n"
        "good = all((f.result(60) == wanted).all() for f in (done, *running, table.prefetch(ids)))\n"
        "if child == 0: os._exit(0 if good and running[0].done() else 1)\n"
        "sys.exit(0 if good and os.waitpid(child, 0)[1] == 0 else 1)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_interpreter_goes_on_meanwhile() -> None:
    """A lookup of a hundred milliseconds or so returns at once, and Python works until it is done."""
    table, _ = filled(small(head_dim=64))
    ids = np.random.default_rng(0).integers(0, 50, (200, 1000))
    begun = time.perf_counter()
    future = table.prefetch(ids)
    returned = time.perf_counter() - begun
    turns = 0
    while not future.done():
        turns += 1
    whole = time.perf_counter() - begun
    assert turns > 10
    assert returned < whole / 2
    assert (future.result()[:2] == table.lookup(ids[:2])).all()
