"""Ladders: sizes that are met, shapes from wide to deep, seeds; tables that outlast what stops their writers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import DatasetError, ResumeMismatch
from thrifty.models.rungs import decoder_for
from thrifty.scaling import RunTable, ladder, read_runs, rungs_of, shape_of


@given(st.floats(2e4, 1e9), st.integers(1, 6), st.sampled_from([32, 128, 256]))
def test_sizes_are_met(size: float, shapes: int, context: int) -> None:
    rungs = rungs_of(size, shapes=shapes, context=context)
    assert 1 <= len(rungs) <= shapes
    assert len({rung.name for rung in rungs}) == len(rungs)
    ratios = [rung.shape.dim / rung.shape.layers for rung in rungs]
    assert ratios == sorted(ratios, reverse=True)
    for rung in rungs:
        assert rung.n_params == pytest.approx(size, rel=0.06)
        assert rung.shape.layers >= 2
        step = rung.batch * rung.context
        assert all(n % step == 0 for n in rung.lengths)
        # A fall that begins before the rate has risen would be no fall.
        assert rung.warmup < 0.8 * rung.lengths[0]
        for multiple, length in zip((20, 40, 80), rung.lengths, strict=True):
            assert 0 <= length - multiple * rung.n_params < step


def test_parameters_are_those_of_the_decoder() -> None:
    for rung in rungs_of(50_000):
        weights = decoder_for(rung.shape).state_dict()
        assert sum(w.numel() for name, w in weights.items() if name != "embed.weight") == rung.n_params
        assert sum(w.numel() for w in weights.values()) == rung.shape.parameters


def test_shapes_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="layers: 100 are too many for 3e"):
        shape_of(30_000, 100)
    with pytest.raises(ValueError, match="ratios"):
        rungs_of(1e6, ratios=(8, 4))


def test_some_are_trained_again_with_other_seeds() -> None:
    rungs = ladder((100_000, 20_000, 50_000), repeats=2, again=3, seed=7)
    assert [round(rung.n_params / 1e4) for rung in rungs] == sorted(round(rung.n_params / 1e4) for rung in rungs)
    by_shape: dict[str, set[int]] = {}
    for rung in rungs:
        by_shape.setdefault(f"{rung.shape}", set()).add(rung.seed)
    assert sorted(map(len, by_shape.values()))[-3:] == [1, 3, 3]
    assert {7, 8, 9} in by_shape.values()


def test_the_batch_grows_and_the_rate_falls() -> None:
    small, large = rungs_of(50_000)[0], rungs_of(3e6)[0]
    assert small.batch < large.batch
    assert small.lr > large.lr


COLUMNS = ("run", "n_params", "n_tokens", "loss")


def table(path: Path, **same: str) -> RunTable:
    return RunTable(path, COLUMNS, same or {"data": "abc"})


ROW = {"run": "a, b", "n_params": 1e6, "n_tokens": 2e7, "loss": 1.23456789012345678}


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    table(path).add(ROW)
    table(path).add(ROW | {"loss": 2.5})
    again = table(path)
    assert [float(row["loss"]) for row in again.rows] == [ROW["loss"], 2.5]
    assert again.rows[0]["run"] == "a, b"
    with path.open(newline="") as file:
        assert next(iter(csv.reader(file))) == [*COLUMNS, "data"]
    assert read_runs(path).loss is not None
    with pytest.raises(ValueError, match="values: other is no column"):
        again.add({"other": 1})


@given(cut=st.integers(1, 200))
def test_half_a_row_is_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "rows.csv"
    first = table(path)
    for loss in (1.0, 2.0, 3.0):
        first.add(ROW | {"loss": loss})
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    again = table(path)
    kept = whole[: len(whole) - cut].count(b"\n") - 1 if cut < len(whole) else -1
    assert [float(row["loss"]) for row in again.rows] == [1.0, 2.0, 3.0][: max(0, kept)]
    again.add(ROW | {"loss": 9.0})
    assert [float(row["loss"]) for row in table(path).rows] == [*[1.0, 2.0, 3.0][: max(0, kept)], 9.0]


def test_other_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    table(path).add(ROW)
    with pytest.raises(ResumeMismatch, match=r"line 2: data is 'abc' there and 'xyz' here"):
        table(path, data="xyz")
    with pytest.raises(ResumeMismatch, match=r"columns differ \(data, more\)"):
        table(path, more="abc")
    path.write_text("run,n_params,n_tokens,loss,data\na,1\n")
    with pytest.raises(DatasetError, match="line 2: 2 values, the header has 5"):
        table(path)
    path.write_bytes(b"run,\xff\n")
    with pytest.raises(DatasetError, match="byte 4 is no UTF-8"):
        table(path)


@pytest.mark.parametrize(
    "content",
    [
        b"something else, without an end",
        b"a,b\n1,2\nhalf",
        b"run,n_params,n_tokens,loss,data\na,1,2,3,other\nhalf",
        b"run,n_params,n_tokens,loss,data\na,1\nhalf",
    ],
)
def test_files_of_others_stay_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises((ResumeMismatch, DatasetError)):
        table(path)
    assert path.read_bytes() == content
