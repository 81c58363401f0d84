"""The file format by its description, byte for byte; damage of every kind is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.rambo import twin
from thrifty.errors import FormatError
from thrifty.rambo import Items, RamboBuilder, RamboIndex, RamboPlan, build, hash_items


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[int]]]:
    """A file with several segments: one document each, buckets shared, an empty document."""
    rng = np.random.default_rng(1)
    sizes = [900, 800, 850] + [30 + i for i in range(60)] + [0]
    documents = {f"name-{i}": {twin.mix64(int(x)) for x in rng.integers(0, 3000, n)} for i, n in enumerate(sizes)}
    plan = RamboPlan.for_documents([len(d) for d in documents.values()], fpr=2e-2, multiplicity=1.2, seed=77)
    builder = RamboBuilder(plan)
    for name, items in documents.items():
        builder.add_hashes(name, list(items))
    path = tmp_path_factory.mktemp("format") / "small.rambo"
    builder.freeze(path)
    return path, documents


def test_the_twin_reads_every_bit(small: tuple[Path, dict[str, set[int]]]) -> None:
    path, documents = small
    index = twin.read(path)
    assert index.names == list(documents)
    assert index.items.tolist() == [len(d) for d in documents.values()]
    assert len(index.rows) >= 2, "segments of both kinds are wanted here"
    assert {len(segment) for segment in index.rows} >= {1}
    expected = twin.bits(index, documents)
    for s, segment in enumerate(index.rows):
        for r, rows in enumerate(segment):
            assert (rows == expected[s][r]).all()
            assert (rows.sum(axis=0) == index.fill[s][r]).all()


def test_the_twin_deals_alike(small: tuple[Path, dict[str, set[int]]]) -> None:
    path, documents = small
    index = twin.read(path)
    plan = index.meta["plan"]
    for s, segment in enumerate(plan["segments"]):
        names = [n for n, own in zip(index.names, index.segment_of, strict=True) if own == s]
        items = [len(documents[n]) for n in names]
        for r, shape in enumerate(segment["repetitions"]):
            assert index.buckets[s][r].tolist() == twin.deal(names, items, shape, segment, r, plan["seed"])


def test_a_build_from_files_holds_the_same(fasta: Path, genomes: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "i.rambo"
    few = tmp_path / "few.fa"
    few.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in list(genomes.items())[:25]))
    build(path, few, by="record", items=Items(k=21), fpr=0.05)
    index = twin.read(path)
    documents = {n: {twin.kmer_hash(k) for k in twin.kmers(genomes[n].decode(), 21)} for n in index.names}
    expected = twin.bits(index, documents)
    assert all((a == b).all() for x, y in zip(index.rows, expected, strict=True) for a, b in zip(x, y, strict=True))
    assert index.items.tolist() == [len(documents[n]) for n in index.names]


def found(path: Path) -> bool:
    """Whether opening or verifying says that the file is damaged."""
    try:
        return bool(RamboIndex.open(path).verify())
    except FormatError:
        return True


def test_each_of_200_flips_is_found(small: tuple[Path, dict[str, set[int]]], tmp_path: Path) -> None:
    good = small[0].read_bytes()
    rng = np.random.default_rng(4)
    path = tmp_path / "flipped"
    for at in rng.choice(len(good), 200, replace=False):
        bad = bytearray(good)
        bad[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bad)
        assert found(path), f"byte {at} of {len(good)}"
    assert not found(small[0])


def test_verify_names_section_and_offset(small: tuple[Path, dict[str, set[int]]], tmp_path: Path) -> None:
    bad = bytearray(small[0].read_bytes())
    at = next(i for i in range(len(bad) // 2, len(bad)) if bad[i])
    bad[at] ^= 255
    path = tmp_path / "bad"
    path.write_bytes(bad)
    ((section, offset, length),) = RamboIndex.open(path).verify()
    assert ".rows." in section
    assert offset <= at < offset + length


@pytest.mark.parametrize("part", range(0, 50, 3))
def test_cut_files_are_refused(small: tuple[Path, dict[str, set[int]]], tmp_path: Path, part: int) -> None:
    good = small[0].read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(good[: len(good) * part // 50])
    with pytest.raises(FormatError, match=str(path)):
        RamboIndex.open(path)


def test_foreign_newer_and_extended_files(small: tuple[Path, dict[str, set[int]]], tmp_path: Path) -> None:
    good = small[0].read_bytes()
    path = tmp_path / "other"
    for content, message in [
        (b"", "too few"),
        (b"garbage" * 1000, "not a thrifty"),
        (good[:8] + b"elsewise" + good[16:], "of kind 'elsewise'"),
        (good[:20] + bytes([2]) + good[21:], "version 2 .* up to 1"),
        (good[:16] + bytes([9]) + good[17:], "version 9 of the container format"),
        (good + b"more", "cut or extended"),
    ]:
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            RamboIndex.open(path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        RamboIndex.open(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        RamboIndex.open(tmp_path)


def test_hostile_files_are_refused_before_memory_is_taken(
    small: tuple[Path, dict[str, set[int]]], tmp_path: Path
) -> None:
    """Headers that claim impossible sizes, with checksums that fit them."""
    import struct

    import xxhash

    good = bytearray(small[0].read_bytes())
    path = tmp_path / "hostile"

    def signed(raw: bytearray) -> bytes:
        count = struct.unpack_from("<I", raw, 24)[0]
        if 64 + 64 * count <= len(raw):
            struct.pack_into("<Q", raw, 48, xxhash.xxh3_64_intdigest(bytes(raw[64 : 64 + 64 * count])))
        struct.pack_into("<Q", raw, 56, xxhash.xxh3_64_intdigest(bytes(raw[:56])))
        return bytes(raw)

    for offset, form, value in [
        (24, "<I", 0),
        (24, "<I", 2**31),
        (24, "<I", 2**19),
        (32, "<Q", 2**63),
        (64 + 32, "<Q", 2**63),  # offset of the first section
        (64 + 40, "<Q", 2**64 - 1),  # its length
        (64 + 64 + 40, "<Q", 10**15),
    ]:
        bad = bytearray(good)
        struct.pack_into(form, bad, offset, value)
        path.write_bytes(signed(bad))
        with pytest.raises(FormatError):
            RamboIndex.open(path)


def test_an_index_in_memory_is_the_file(genomes: dict[str, bytes], tmp_path: Path) -> None:
    def make() -> RamboBuilder:
        builder = RamboBuilder(RamboPlan.for_documents(4000, documents=20, fpr=1e-2))
        for name in list(genomes)[:20]:
            builder.add_sequence(name, genomes[name])
        return builder

    memory, path = make().freeze(), tmp_path / "i"
    file = make().freeze(path)
    assert memory.path is None
    assert file.path == path
    assert memory.describe() == file.describe() == RamboIndex.open(path, load=True).describe()
    hashes = hash_items(genomes["g3"])[0]
    for a, b in zip(memory.query_hashes(hashes), file.query_hashes(hashes), strict=True):
        assert (a == b).all()
    assert memory.verify() == []
