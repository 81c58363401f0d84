"""add, remove, stack and fold: equal to building at once, byte for byte where that can be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import random_dna
from tests.rambo import twin
from thrifty.errors import CapacityError, DuplicateName, Infeasible, MismatchError, UnknownDocument
from thrifty.rambo import Items, RamboBuilder, RamboIndex, RamboPlan, build, hash_items, plan_files

ABSENT = np.random.default_rng(1).integers(0, 2**64, 20_000, np.uint64)


def write(path: Path, genomes: dict[str, bytes], names: list[str]) -> Path:
    path.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), genomes[n]) for n in names))
    return path


def rate(index: RamboIndex) -> float:
    return len(index.query_hashes(ABSENT)[1]) / len(ABSENT) / len(index)


def misses_nothing(index: RamboIndex, genomes: dict[str, bytes]) -> bool:
    ids = {name: i for i, name in enumerate(index.documents)}
    for name, i in ids.items():
        hashes = np.unique(hash_items(genomes[name], index.items)[0])
        starts, documents = index.query_hashes(hashes)
        rows = np.repeat(np.arange(len(hashes)), np.diff(starts))
        if len(np.unique(rows[documents == i])) != len(hashes):
            return False
    return True


def test_add_within_the_plan_equals_building_at_once(genomes: dict[str, bytes], tmp_path: Path) -> None:
    names = list(genomes)
    plan = RamboPlan.for_documents(4000, documents=300, fpr=1e-2, multiplicity=1.5)
    first, rest = write(tmp_path / "1.fa", genomes, names[:200]), write(tmp_path / "2.fa", genomes, names[200:])
    both = write(tmp_path / "3.fa", genomes, names)
    build(tmp_path / "once", both, by="record", plan=plan)
    part = build(tmp_path / "parts", first, by="record", plan=plan)
    grown = part.add(rest)
    assert grown.report == {"documents_added": 100, "segments_opened": 0, "documents_elsewhere": 0}
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "once").read_bytes()
    # The index that was open still answers as it did.
    assert len(part) == 200
    assert len(grown) == 300


def test_add_beyond_the_plan_keeps_the_rate(genomes: dict[str, bytes], tmp_path: Path) -> None:
    names = list(genomes)
    index = build(tmp_path / "i", write(tmp_path / "1.fa", genomes, names[:150]), by="record", fpr=1e-2)
    opened = 0
    for at in range(150, 300, 30):
        index = index.add(write(tmp_path / f"{at}.fa", genomes, names[at : at + 30]))
        opened += index.report["segments_opened"]
    assert opened >= 1
    assert len(index) == 300
    assert misses_nothing(index, genomes)
    assert rate(index) <= 1.15e-2
    # Headroom: not each of the five additions opened segments of its own for each class.
    assert len(index.describe()["segments"]) <= 10


def test_add_much_larger_and_much_smaller_documents(genomes: dict[str, bytes], tmp_path: Path) -> None:
    index = build(tmp_path / "i", write(tmp_path / "1.fa", genomes, list(genomes)[:100]), by="record", fpr=1e-2)
    rng = np.random.default_rng(3)
    more = {"huge": random_dna(rng, 200_000), "tiny": random_dna(rng, 60), "none": b""}
    index = index.add(write(tmp_path / "2.fa", more, list(more)), by="record")
    assert misses_nothing(index, {**genomes, **more})
    assert rate(index) <= 1.15e-2
    assert index.describe()["bytes"] < 8 * 500_000, "a small document must not be put into a segment of large ones"


def test_add_refuses_what_is_there(genomes: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "1.fa", genomes, ["g0", "g1"])
    index = build(tmp_path / "i", path, by="record")
    before = (tmp_path / "i").read_bytes()
    with pytest.raises(DuplicateName, match=r"'g0': .*/i and .*1\.fa, line 1"):
        index.add(path)
    assert (tmp_path / "i").read_bytes() == before


def test_remove(genomes: dict[str, bytes], tmp_path: Path) -> None:
    names = list(genomes)[:120]
    index = build(tmp_path / "i", write(tmp_path / "1.fa", genomes, names), by="record", fpr=1e-2)
    with pytest.raises(UnknownDocument, match="'nobody'"):
        index.remove(["g5", "nobody"])
    assert len(RamboIndex.open(tmp_path / "i")) == 120
    less = index.remove(["g5", "g77"])
    assert sorted(less.documents) == sorted(set(names) - {"g5", "g77"})
    assert less.describe()["removed"] == 2
    assert misses_nothing(less, genomes)
    assert "g5" not in {h.document for h in less.search(genomes["g5"], theta=0.01).hits}
    with pytest.raises(UnknownDocument):
        less.remove(["g5"])
    # A name that is free again may come back.
    again = less.add(write(tmp_path / "2.fa", genomes, ["g5"]))
    assert misses_nothing(again, genomes)
    assert "g5" in again.documents


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "planned"])
def test_stacked_shards_equal_one_build(genomes: dict[str, bytes], tmp_path: Path, counted: bool) -> None:
    path = write(tmp_path / "1.fa", genomes, list(genomes))
    plan = plan_files(path, by="record", fpr=1e-2, nodes=4)
    given = None if counted else plan
    for i in range(4):
        shard = build(tmp_path / f"s{i}", path, by="record", fpr=1e-2, plan=given, shard=(i, 4))
        assert misses_nothing(shard, genomes)
    stacked = RamboIndex.stack(tmp_path / "stacked", [tmp_path / f"s{i}" for i in (2, 0, 3, 1)])
    build(tmp_path / "whole", path, by="record", plan=plan)
    assert (tmp_path / "stacked").read_bytes() == (tmp_path / "whole").read_bytes()
    assert misses_nothing(stacked, genomes)
    assert rate(stacked) <= 1.25e-2


def test_removed_documents_stay_away_when_others_come_to_a_stack(genomes: dict[str, bytes], tmp_path: Path) -> None:
    names = list(genomes)
    path = write(tmp_path / "1.fa", genomes, names[:200])
    plan = plan_files(write(tmp_path / "all.fa", genomes, names), by="record", fpr=1e-2, nodes=4)
    index = build(tmp_path / "i", path, by="record", plan=plan)
    gone = ["g5", "g77", "g150"]
    more = index.remove(gone).add(write(tmp_path / "2.fa", genomes, names[200:]))
    assert sorted(more.documents) == sorted(set(names) - set(gone))
    assert misses_nothing(more, genomes)


def test_stack_takes_a_name_that_was_removed_and_came_back(genomes: dict[str, bytes], tmp_path: Path) -> None:
    plan = RamboPlan.for_documents([len(g) for g in genomes.values()], fpr=1e-2, multiplicity=2)
    for name, chosen in (("a", ["g0", "g5"]), ("b", ["g1", "g5"])):
        builder = RamboBuilder(plan)
        for document in chosen:
            builder.add_sequence(document, genomes[document])
        builder.freeze(tmp_path / name).remove(["g5"])
    stacked = RamboIndex.stack(tmp_path / "ab", [tmp_path / "a", tmp_path / "b"])
    assert sorted(stacked.documents) == ["g0", "g1"]


def test_stack_of_equal_plans(genomes: dict[str, bytes], tmp_path: Path) -> None:
    plan = RamboPlan.for_documents(4000, documents=100, fpr=1e-2)
    names = list(genomes)
    parts = []
    for i in range(3):
        part = write(tmp_path / f"{i}.fa", genomes, names[100 * i : 100 * (i + 1)])
        parts.append(tmp_path / f"p{i}")
        build(parts[-1], part, by="record", plan=plan)
    stacked = RamboIndex.stack(tmp_path / "stacked", parts)
    assert misses_nothing(stacked, genomes)
    assert rate(stacked) <= 1.15e-2
    more = stacked.add(write(tmp_path / "more.fa", {"new": random_dna(np.random.default_rng(0), 900)}, ["new"]))
    assert "new" in more.documents


def test_stack_refuses_what_does_not_fit(genomes: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "1.fa", genomes, list(genomes)[:50])
    a, b = tmp_path / "a", tmp_path / "b"
    for seed, file in ((0, a), (1, b)):
        build(file, path, by="record", seed=seed)
    for settings, message in [
        ({"items": Items(k=21)}, "kind of items"),
        ({"seed": 1}, "seed differs"),
        ({"fpr": 0.2}, "shape"),
        ({"shard": (0, 2)}, "shards"),
    ]:
        build(b, path, by="record", **settings)  # type: ignore[arg-type]
        with pytest.raises(MismatchError, match=message):
            RamboIndex.stack(tmp_path / "out", [a, b])
    with pytest.raises(DuplicateName):
        RamboIndex.stack(tmp_path / "out", [a, a])
    build(a, path, by="record", shard=(0, 3))
    build(b, path, by="record", shard=(2, 3))
    with pytest.raises(MismatchError, match="shard 1/3 is missing"):
        RamboIndex.stack(tmp_path / "out", [a, b])
    with pytest.raises(MismatchError, match="both shard 0/3"):
        RamboIndex.stack(tmp_path / "out", [a, a])
    assert not (tmp_path / "out").exists()


def sets_of(index: twin.Index, genomes: dict[str, bytes]) -> dict[str, set[int]]:
    return {n: {twin.kmer_hash(k) for k in twin.kmers(genomes[n].decode(), 31)} for n in index.names}


def shaped(items: int, documents: int, repetitions: list[tuple[int, int]]) -> RamboPlan:
    """A plan of so many buckets and hashes by repetition, about 12 bits an item."""
    plan = RamboPlan.for_documents(items, documents=documents, fpr=1e-2)
    total = sum(h for _, h in repetitions)
    (segment,) = plan.plan["segments"]
    segment["repetitions"] = [
        {"buckets": b, "hashes": h, "rows": 12 * items * documents * h // total // b // 64 * 64, "collision": 1 / b}
        for b, h in repetitions
    ]
    load = total / 12
    segment["fpr"] = (1 - math.exp(-load)) ** total
    return plan


@pytest.mark.parametrize("to", [{"buckets": 2}, {"rows": 2}, {"buckets": 2, "rows": 4}], ids=str)
def test_fold_equals_a_build_of_that_shape(genomes: dict[str, bytes], tmp_path: Path, to: dict[str, int]) -> None:
    """The twin sets the bits that documents leave in filters of fewer buckets or rows, with the folded partition."""
    few = {n: s[:250] for n, s in genomes.items()}
    path = write(tmp_path / "1.fa", few, list(few))
    plan = shaped(250, 300, [(24, 4), (16, 2)])
    index = build(tmp_path / "i", path, by="record", plan=plan)
    before = twin.read(tmp_path / "i")
    (shape,) = before.meta["plan"]["segments"]
    assert len(shape["repetitions"]) > 1, "buckets are to be folded"
    out = tmp_path / "i"
    for what, factor in to.items():
        now = RamboIndex.open(out).describe()["segments"][0]["repetitions"][0][what]
        index = RamboIndex.open(out).fold(tmp_path / what, **{what: now // factor})
        out = tmp_path / what
    after = twin.read(out)
    assert after.names == before.names
    for r, new in enumerate(after.meta["plan"]["segments"][0]["repetitions"]):
        assert (after.buckets[0][r] == before.buckets[0][r] % new["buckets"]).all()
        assert new["buckets"] * to.get("buckets", 1) == shape["repetitions"][r]["buckets"]
        assert new["rows"] * to.get("rows", 1) == shape["repetitions"][r]["rows"]
    expected = twin.bits(after, sets_of(after, few))
    assert all((a == b).all() for a, b in zip(after.rows[0], expected[0], strict=True))
    assert misses_nothing(index, few)
    # The rate that the set bits give is the one that is there; the plan's, for filters filled to the last, is above.
    assert 0.85 <= rate(index) / index.describe()["fpr"] <= 1.15
    assert index.describe()["fpr"] <= index.describe()["planned_fpr"] <= 4 * index.describe()["fpr"]


def test_fold_merges_segments_that_add_opened(genomes: dict[str, bytes], tmp_path: Path) -> None:
    few = {n: s[:400] for n, s in genomes.items()}
    names = list(few)
    plan = RamboPlan.for_documents(400, documents=200, fpr=1e-2)
    index = build(tmp_path / "i", write(tmp_path / "1.fa", few, names[:200]), by="record", plan=plan)
    index = index.add(write(tmp_path / "2.fa", few, names[200:]))
    segments = len(index.describe()["segments"])
    assert segments > 1
    size = (tmp_path / "i").stat().st_size
    merged = index.fold(tmp_path / "m", max_bytes=size)
    assert len(merged.describe()["segments"]) < segments
    assert merged.describe()["fpr"] == pytest.approx(index.describe()["fpr"], rel=0.05)
    assert misses_nothing(merged, few)
    assert misses_nothing(merged.remove(["g3"]), few)


def test_fold_to_a_size(genomes: dict[str, bytes], tmp_path: Path) -> None:
    index = build(tmp_path / "i", write(tmp_path / "1.fa", genomes, list(genomes)), by="record", fpr=1e-3)
    size = (tmp_path / "i").stat().st_size
    for share in (2, 5, 9):
        small = index.fold(tmp_path / "f", max_bytes=size // share)
        assert (tmp_path / "f").stat().st_size <= size // share
        assert misses_nothing(small, genomes)
    with pytest.raises(Infeasible, match="smallest possible is"):
        index.fold(tmp_path / "f", max_bytes=1000)
    with pytest.raises(ValueError, match="rows: 7 is not possible; folding this index can give [0-9]"):
        index.fold(tmp_path / "f", rows=7)
    with pytest.raises(ValueError, match="exactly one"):
        index.fold(tmp_path / "f", rows=7, buckets=2)


def test_shards_and_indexes_in_memory_say_no(genomes: dict[str, bytes], index: RamboIndex, tmp_path: Path) -> None:
    path = write(tmp_path / "1.fa", genomes, ["g0", "g1", "g2"])
    shard = build(tmp_path / "s", path, by="record", shard=(0, 2))
    with pytest.raises(MismatchError, match="stack the shards"):
        shard.fold(tmp_path / "f", max_bytes=10_000)
    for change in (lambda: index.add(path), lambda: index.remove(["g0"]), lambda: index.fold(tmp_path / "f", rows=64)):
        with pytest.raises(ValueError, match="in memory only"):
            change()


def test_documents_that_do_not_fit_the_plan(genomes: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "1.fa", genomes, list(genomes)[:10])
    with pytest.raises(CapacityError, match="'g0' with [0-9]+ items does not fit a plan for 10 documents"):
        build(tmp_path / "i", path, by="record", plan=RamboPlan.for_documents(100, documents=10))
    with pytest.raises(CapacityError, match="plan for more"):
        build(tmp_path / "i", path, by="record", plan=RamboPlan.for_documents(4000, documents=3))
    with pytest.raises(ValueError, match="shard: 2/2 is not possible|the plan is for one node"):
        build(tmp_path / "i", path, by="record", shard=(2, 2))


def test_built_on_dask(genomes: dict[str, bytes], tmp_path: Path) -> None:
    """Four shards on two worker processes give the file of one build."""
    from thrifty.rambo.cluster import build_on_dask, connect

    path = write(tmp_path / "1.fa", genomes, list(genomes))
    with connect("local:2") as client, client.cluster:
        index = build_on_dask(client, tmp_path / "dask", path, shards=4, by="record", fpr=1e-2)
    plan = plan_files(path, by="record", fpr=1e-2, nodes=4)
    build(tmp_path / "whole", path, by="record", plan=plan)
    assert (tmp_path / "dask").read_bytes() == (tmp_path / "whole").read_bytes()
    assert index.report["shards"] == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.fa", "dask", "whole"]
