"""Arrays of every kind: each is taken rightly, or refused with the name of the argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan, hash_items

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def hashes(genomes: dict[str, bytes]) -> np.ndarray:
    return hash_items(genomes["g1"])[0]


def same(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> bool:
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def test_layouts_that_mean_the_same(index: RamboIndex, hashes: np.ndarray) -> None:
    expected = index.query_hashes(hashes)
    strided = np.zeros((len(hashes), 3), np.uint64)
    strided[:, 1] = hashes
    misaligned = np.frombuffer(b"x" + hashes.tobytes(), np.uint8)[1:].view(np.uint64)
    read_only = hashes.copy()
    read_only.flags.writeable = False
    for values in (
        strided[:, 1],
        hashes[::-1].copy()[::-1],
        hashes.astype(">u8"),
        hashes.view(np.int64),
        misaligned,
        read_only,
        hashes.tolist(),
        tuple(hashes.tolist()),
    ):
        assert same(index.query_hashes(values), expected)
    assert hashes.tolist() == hash_items_again(hashes), "the caller's array is untouched"


def hash_items_again(hashes: np.ndarray) -> list[int]:
    return hashes.tolist()


def test_contiguous_arrays_are_not_copied(index: RamboIndex, hashes: np.ndarray) -> None:
    from thrifty.rambo.items import as_hashes

    for values in (hashes, hashes.view(np.int64)):
        assert as_hashes(values, "x").ctypes.data == values.ctypes.data
    starts, documents = index.query_hashes(hashes)
    assert documents.dtype == np.uint32
    assert starts.dtype == np.int64
    assert documents.base is not None, "the result lies over the memory that the core wrote"


def test_empty_and_single(index: RamboIndex, hashes: np.ndarray) -> None:
    for empty in ([], np.empty(0, np.uint64)):
        starts, documents = index.query_hashes(empty)
        assert starts.tolist() == [0]
        assert documents.tolist() == []
    starts, documents = index.query_hashes(hashes[:1])
    assert starts.tolist() == [0, len(documents)]
    assert list(index.search_hashes([], [])) == []
    assert next(iter(index.search_hashes([], [0]))).items == 0


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros(3, np.float64), TypeError, "hashes: dtype uint64 .*, got float64"),
        (np.zeros(3, np.int32), TypeError, "hashes: dtype uint64 .*, got int32"),
        (np.zeros((2, 2), np.uint64), ValueError, r"hashes: one dimension is needed, got shape \(2, 2\)"),
        (np.array(["a"]), TypeError, "hashes: dtype uint64"),
        (np.array(7, np.uint64), ValueError, "hashes: one dimension"),
        ([1.5, 2.5], TypeError, "hashes: an array of uint64 or a list of such numbers"),
        ([-1], TypeError, "hashes: .* list of such numbers"),
        ([2**64], TypeError, "hashes: .* list of such numbers"),
        (7, TypeError, "hashes: .* not iterable"),
    ],
)
def test_what_is_refused(index: RamboIndex, values: object, error: type[Exception], message: str | None) -> None:
    with pytest.raises(error, match=message):
        index.query_hashes(values)


def test_ends_that_do_not_fit(index: RamboIndex, hashes: np.ndarray) -> None:
    for ends in ([len(hashes) + 1], [-1], [5, 3]):
        with pytest.raises(ValueError, match="ends: must rise and stay within hashes"):
            list(index.search_hashes(hashes, ends))


def test_tensors_come_back_as_tensors(index: RamboIndex, hashes: np.ndarray) -> None:
    import torch

    expected = index.query_hashes(hashes)
    starts, documents = index.query_hashes(torch.from_numpy(hashes.view(np.int64).copy()))
    assert isinstance(starts, torch.Tensor)
    assert isinstance(documents, torch.Tensor)
    assert same((starts.numpy(), documents.numpy()), expected)
    with pytest.raises(TypeError, match="hashes: dtype uint64"):
        index.query_hashes(torch.zeros(3))
    with pytest.raises(ValueError, match=r"hashes: a tensor on meta; move it with hashes\.cpu\(\)"):
        index.query_hashes(torch.zeros(3, dtype=torch.int64, device="meta"))


def test_results_outlive_the_index(genomes: dict[str, bytes]) -> None:
    builder = RamboBuilder(RamboPlan.for_documents(5000, documents=3))
    for name in ("g0", "g1", "g2"):
        builder.add_sequence(name, genomes[name])
    index = builder.freeze()
    hashes, _ = hash_items(genomes["g1"])
    _, documents = index.query_hashes(hashes)
    copy = documents.copy()
    del index, builder
    others = [np.ones(len(copy), np.uint32) for _ in range(50)]
    assert (documents == copy).all()
    assert len(others) == 50


def test_a_builder_is_used_up(genomes: dict[str, bytes]) -> None:
    builder = RamboBuilder(RamboPlan.for_documents(5000, documents=3))
    builder.add_sequence("a", genomes["g0"])
    assert len(builder) == 1
    builder.freeze()
    for use in (builder.freeze, lambda: builder.add_hashes("b", [1]), lambda: len(builder)):
        with pytest.raises(ValueError, match="frozen already"):
            use()


def test_builders_refuse_what_does_not_belong(genomes: dict[str, bytes]) -> None:
    plan = RamboPlan.for_documents(5000, documents=3)
    dna, text = RamboBuilder(plan), RamboBuilder(plan, items="text")
    dna.add_sequence("a", genomes["g0"])
    with pytest.raises(ValueError, match="two documents are named 'a'"):
        dna.add_sequence("a", genomes["g1"])
    with pytest.raises(ValueError, match="use add_sequence"):
        dna.add_text("b", "words")
    with pytest.raises(ValueError, match="use add_text"):
        text.add_sequence("b", "ACGT")
    with pytest.raises(TypeError, match="sequence: str or bytes"):
        dna.add_sequence("c", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [1, 2])
def test_many_at_once_are_one_by_one(genomes: dict[str, bytes], threads: int, tmp_path: Path) -> None:
    plan = RamboPlan.for_documents([len(g) for g in genomes.values()], fpr=1e-2)
    one, many = RamboBuilder(plan), RamboBuilder(plan)
    for name, genome in genomes.items():
        one.add_sequence(name, genome)
    seen: list[tuple[str, int, int]] = []
    assert many.add_many(genomes.items(), threads=threads, progress=lambda *a: seen.append(a)) == 0
    assert seen[-1] == ("add", len(genomes), len(genomes))
    one.freeze(tmp_path / "one")
    many.freeze(tmp_path / "many")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


def test_many_at_once_stop_at_the_first_that_fails(genomes: dict[str, bytes]) -> None:
    builder = RamboBuilder(RamboPlan.for_documents(5000, documents=4))
    with pytest.raises(ValueError, match="two documents are named 'a'"):
        builder.add_many([("a", genomes["g0"]), ("b", genomes["g1"]), ("a", genomes["g2"]), ("c", genomes["g3"])])
    assert builder.freeze().documents == ["a", "b"]
    with pytest.raises(TypeError, match="document 'x': str or bytes"):
        RamboBuilder(builder.plan).add_many([("x", 3)])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": 10}, "documents: give their number"),
        ({"items": 0, "documents": 3}, "at least 1"),
        ({"items": []}, "documents: none to plan for"),
        ({"items": [-1, 2]}, "can't be negative"),
        ({"items": [10], "fpr": 0.0}, "fpr: 0 is not possible"),
        ({"items": [10], "fpr": 0.9}, "fpr: 0.9 is not possible"),
        ({"items": [10], "fpr": float("nan")}, "fpr"),
        ({"items": [10], "multiplicity": 0.5}, "multiplicity"),
        ({"items": [10], "nodes": 0}, "nodes"),
    ],
)
def test_plans_that_are_impossible(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RamboPlan.for_documents(**arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="whole numbers"):
        RamboPlan.for_documents([1.5, 2.0])  # type: ignore[list-item]


def test_a_number_of_items_may_come_from_numpy() -> None:
    assert RamboPlan.for_documents(np.int64(20), documents=30).documents == 30
    with pytest.raises(ValueError, match="documents: give it with one number"):
        RamboPlan.for_documents([4, 4], documents=5)


def test_plans_come_back_from_json() -> None:
    plan = RamboPlan.for_documents([100, 200, 50_000], fpr=1e-2, seed=9)
    assert RamboPlan.from_json(plan.to_json()) == plan
    for text in ("{}", "[]", "nonsense", '{"documents": 3}'):
        with pytest.raises(ValueError, match="plan: not a plan"):
            RamboPlan.from_json(text)
    broken = plan.to_dict()
    broken["plan"]["segments"][0]["repetitions"][0]["rows"] = 0
    import json

    with pytest.raises(ValueError, match="plan: a segment"):
        RamboBuilder(RamboPlan.from_json(json.dumps(broken)))
