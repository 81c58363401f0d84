"""Reading runs: what is read, and what is refused by line and column."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrifty.errors import DatasetError, MissingExtra
from thrifty.scaling import read_runs
from thrifty.scaling.reading import table

HEAD = "run,n_params,n_tokens,d_model,n_layers,loss\n"
ROWS = ["a,1e8,2e9,512,8,3.1\n", "b,2e8,4e9,640,10,2.9\n", "c,3e8,6e9,768,12,2.8\n"]


def write(folder: Path, text: str | bytes, name: str = "runs.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path, *words: str, **options: Any) -> str:
    """The message, which is one line that a terminal can print and names the file."""
    with pytest.raises(DatasetError) as caught:
        read_runs(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < 700
    for word in words:
        assert word in message, message
    return message


def test_the_shipped_runs(data: Path) -> None:
    folder = data / "scaling"
    chinchilla = read_runs(folder / "chinchilla_245.csv", where={"epoch_excluded": "0"})
    assert (len(chinchilla), chinchilla.d_model, chinchilla.names) == (240, None, ())
    assert chinchilla.lines is not None
    assert chinchilla.lines[0] == 7
    morph = read_runs(folder / "morph_runs.csv")
    assert len(morph) == 70
    assert morph.d_model is not None
    assert morph.names[0] == "80M_v1"
    assert morph.source.sha256 == hashlib.sha256((folder / "morph_runs.csv").read_bytes()).hexdigest()
    hot = read_runs(folder / "gemstones_runs.csv", where=[("subset", "hot_100b+")])
    assert (len(hot), len(set(hot.names))) == (560, len(set(hot.columns["run_name"])))
    openlm = read_runs(folder / "openlm_small_runs.csv", target="loss_c4_val")
    assert (len(openlm), openlm.counted, set(openlm.sizes)) == (95, "total", {"total", "non_embedding"})
    assert np.all(openlm.counting("non_embedding").n_params < openlm.n_params)
    assert read_runs(folder / "openlm_small_runs.csv").loss is None
    for runs in (chinchilla, morph, hot, openlm):
        assert runs.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "".join(ROWS),
        "\ufeff" + HEAD + "".join(ROWS),
        (HEAD + "".join(ROWS)).replace("\n", "\r\n"),
        (HEAD + "".join(ROWS)).replace("\n", "\r"),
        (HEAD + "".join(ROWS)).replace(",", "\t"),
        (HEAD + "".join(ROWS)).replace(",", ";"),
        "\n" + HEAD + "\n\n" + "\n".join(ROWS) + "\n  \n",
        (HEAD + "".join(ROWS)).rstrip("\n"),
        (HEAD + "".join(ROWS)).replace("a,1e8", '"a","1e8"').replace("n_params", ' "n_params"'[1:]),
    ],
)
def test_forms_of_csv(text: str, tmp_path: Path) -> None:
    for name, data in (("runs.csv", text.encode()), ("runs.csv.gz", gzip.compress(text.encode()))):
        runs = read_runs(write(tmp_path, data, name))
        assert runs.names == ("a", "b", "c")
        assert runs.n_params.tolist() == [1e8, 2e8, 3e8]
        assert runs.loss is not None
        assert runs.loss.tolist() == [3.1, 2.9, 2.8]
        assert runs.columns["run"] == ("a", "b", "c")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    rows = ["\n", '"two\nlines",1e8,2e9,512,8,3.1\n', "\n", *ROWS[1:]]
    runs = read_runs(write(tmp_path, HEAD + "".join(rows)))
    assert runs.lines is not None
    assert runs.lines.tolist() == [3, 6, 7]
    refused(write(tmp_path, HEAD + "".join(rows) + "d,1e8,2e9,512,8,nan\n"), ", line 8: loss is NaN")
    refused(write(tmp_path, HEAD + "".join(rows) + "d,1e8,2e9\n"), ", line 8: 3 values under 6 names")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("d,nan,2e9,512,8,3.1", "n_params is NaN"),
        ("d,1e8,inf,512,8,3.1", "n_tokens is inf"),
        ("d,1e8,1e999,512,8,3.1", "n_tokens is inf"),
        ("d,1e8,2e9,0,8,3.1", "d_model is 0; a number above 0"),
        ("d,1e8,2e9,512,-8,3.1", "n_layers is -8; a number above 0"),
        ("d,1e8,2e9,512,8,-3.1", "loss is -3.1; a number above 0 is needed; give nats a token, not log-likelihoods"),
        ("d,1e8,2e9,512,8,0", "loss is 0"),
        ("d,1e8,2e9,512,8,", "loss is empty; leave such rows out, as by --where"),
        ("d,1e8,2e9,512,8,diverged", "loss is 'diverged', no number"),
        ('d,"100,000,000",2e9,512,8,3.1', "write it without separators: 100000000"),
        ('d,1e8,2e9,512,8,"3,1"', "write it with a point: 3.1"),
        ("d,100M,2e9,512,8,3.1", "write it out: 100e6"),
        ("d,1e8,2_000_000_000,512,8,3.1", "'2_000_000_000', no number"),
        ("d,0x1000000,2e9,512,8,3.1", "no number"),
        ("d,1e8,2,512,8,3.1", "n_tokens is 2, and no run has fewer than 100,000 tokens: it looks like"),
        ("d,100,2e9,512,8,3.1", "n_params is 100, and no run has fewer than 1,000 parameters"),
        ("d,1e8,2e9,512,8", "5 values under 6 names"),
        ("d,1e8,2e9,512,8,3.1,7", "7 values under 6 names"),
        ('"d,1e8,2e9,512,8,3.1', "is never closed"),
        ('"d"x,1e8,2e9,512,8,3.1', "goes on after its closing quote"),
        ("\x1b[31m,1e8,2e9,512,8,\x1b[31m", r"loss is '\x1b[31m', no number"),
    ],
)
def test_bad_rows_are_told_by_line_and_column(row: str, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path, HEAD + "".join(ROWS) + row + "\n" + ROWS[0]), ", line 5: ", words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf\r\n \r\n", "it is empty"),
        (b'""\n" "\n', "it is empty"),
        (HEAD.encode(), "no row below them"),
        (b"a,b,c\n1,2,3\n", "line 1: no column of n_params (parameters); there are a, b, c; --columns n_params=NAME"),
        (b"n_params,loss\n1e8,3\n", "line 1: no column of n_tokens"),
        (b"n_params,n_tokens,loss,loss\n1e8,2e9,3,3\n", "line 1: two columns are called loss"),
        (b"1e8,2e9,3.1\n2e8,4e9,3.0\n", "line 1: it has numbers where the names of columns should be"),
        (b"params,num_params,n_tokens\n1e8,1e8,2e9\n", "params, num_params may all be n_params; say which"),
        (b"n_params,tokens,Tokens\n1e8,1e9,1e9\n", "tokens, Tokens may all be n_tokens; say which: --columns"),
        (b"n_params,n_tokens,loss\n1e8,2e9,\xff\n", "line 2: it is not UTF-8: byte 0xff"),
        ("n_params,n_tokens\n".encode("utf-16"), "it is UTF-16"),
        (b"n_params,n_tokens\n1\x002,3\n", "line 2: a zero byte"),
        (b"PK\x03\x04" + bytes(30), "spreadsheet"),
        (bytes(range(256)) * 40, ""),
        (gzip.compress(b"n_params,n_tokens\n1e8,2e9\n" * 30)[:-9], "the gzip file is cut off"),
        (gzip.compress(b"n_params,n_tokens\n1e8,2e9\n" * 30)[:30] + b"xxxxxxx", "gzip"),
        (b"PAR1 and no more", "the parquet file is damaged"),
        (b'{"n_params": 1e8, "n_tokens": 2e9, "loss": 3}\n{"n_params": 1e8', "line 2: it is not JSON"),
        (b'{"n_params": 1e8, "n_params": 2e8}', "line 1: n_params is there twice"),
        (b'{"a": {"b": 1}, "a.b": 2}', "line 1: a.b is there twice"),
        (b'[{"n_params": 1e8}]', "line 1: it is JSON, but no object"),
        (b'{"n_params": 1e8, "n_tokens": 2e9, "loss": NaN}', "line 1: loss is NaN"),
        (b'{"n_params": true, "n_tokens": 2e9, "loss": 3}', "line 1: n_params is 'True', no number"),
        (b'{"n_params": [1e8], "n_tokens": 2e9, "loss": 3}', "line 1: n_params is '[100000000.0]', no number"),
        (b'{"n_params": ' + b"9" * 5000 + b', "n_tokens": 2e9, "loss": 3}', "line 1: "),
        (b'{"a": ' + b"[" * 19_000, "line 1: "),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "line 1: the line is too long"),
    ],
)
def test_files_that_are_no_runs(data: bytes, words: str, tmp_path: Path) -> None:
    refused(write(tmp_path, data), words)
    refused(write(tmp_path, data, "runs.jsonl.gz"), words)


def test_caps(tmp_path: Path) -> None:
    with mock.patch("thrifty.scaling.reading.files.MOST_BYTES", 1000):
        refused(write(tmp_path, HEAD + ROWS[0] * 60), "it has more than")
        refused(write(tmp_path, gzip.compress((HEAD + ROWS[0] * 60).encode())), "unpacked it has more than")
    with mock.patch("thrifty.scaling.reading.lines.MOST_ROWS", 5):
        refused(write(tmp_path, HEAD + ROWS[0] * 6), "more than 5 rows")
        refused(write(tmp_path, '{"n_params": 1e8, "n_tokens": 2e9}\n' * 6), "more than 5 rows")
    with mock.patch("thrifty.scaling.reading.files.MOST_LINES", 5):
        refused(write(tmp_path, HEAD + "\n" * 6), "more than 5 lines")
    many = ",".join(f"c{i}" for i in range(table.MOST_COLUMNS + 1))
    refused(write(tmp_path, many + "\n"), "line 1: 2,001 columns")


def test_where(tmp_path: Path) -> None:
    path = write(tmp_path, "kind,n_params,n_tokens,loss,good\n x,1e8,2e9,3.1,1\ny,1e8,3e9,nan,0\nx,2e8,2e9,2.9,1.0\n")
    assert len(read_runs(path, where=[("kind", "x")])) == 2
    assert len(read_runs(path, where=[("good", "1")])) == 2
    assert read_runs(path, where={"kind": "x", "n_params": "200000000"}).source.where[1] == ("n_params", "200000000")
    refused(path, "line 3: loss is NaN")
    refused(path, "no row with kind = z; there are x, y", where={"kind": "z"})
    refused(path, "no row with good = 0; there are 1, 1.0", where={"kind": "x", "good": "0"})
    refused(path, "no column is called knd (asked for by --where); the nearest is kind", where={"knd": "x"})


def test_columns_and_targets(tmp_path: Path) -> None:
    path = write(tmp_path, "size,non,toks,acc,val/loss,c4\n1e8,9e7,2e9,0.3,3.1,3.3\n")
    columns = {"n_params": "size", "n_tokens": "toks"}
    runs = read_runs(path, columns=columns, target="c4")
    assert runs.loss is not None
    assert (runs.loss[0], runs.n_params[0], runs.counted) == (3.3, 1e8, "total")
    assert ("loss", "c4") in runs.source.columns
    assert read_runs(path, columns=columns).source.columns[1] == ("loss", "val/loss")
    only = read_runs(path, columns={"n_params_non_embedding": "non", "n_tokens": "toks"})
    assert (only.n_params[0], only.counted) == (9e7, "non_embedding")
    refused(
        path,
        "no column is called val-loss (asked for as loss); the nearest is val/loss",
        columns=columns,
        target="val-loss",
    )
    refused(path, "no column of n_params_non_embedding (non-embedding", columns=columns, counted="non_embedding")
    with pytest.raises(ValueError, match="columns: n_param is none of n_params,"):
        read_runs(path, columns={"n_param": "size"})
    with pytest.raises(ValueError, match="counted: 'all' is neither"):
        read_runs(path, counted="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no non_embedding parameters"):
        read_runs(path, columns=columns).counting("non_embedding")


def test_exports_of_trackers(tmp_path: Path) -> None:
    row = {
        "_step": 5,
        "name": "sweep-1",
        "config": {"hidden_size": {"value": 512, "desc": None}, "n_layer": 8, "num_params": 1e8, "betas": [0.9, 0.95]},
        "summary": {"val/loss": 3.1, "tokens_seen": 2e9, "_wandb": {"runtime": 7}},
    }
    lines = "".join(json.dumps(row | {"name": f"sweep-{i}"}) + "\n" for i in range(3))
    nested = read_runs(write(tmp_path, lines, "export.jsonl"))
    flat = "Name,State,config.hidden_size,config.n_layer,config.num_params,summary.val/loss,summary.tokens_seen\n"
    rows = "".join(f"sweep-{i},finished,512,8,1e8,3.1,2e9\n" for i in range(3)) + "sweep-3,crashed,512,8,1e8,,1e9\n"
    path = write(tmp_path, flat + rows)
    for runs in (nested, read_runs(path, where={"State": "finished"})):
        assert runs.names == ("sweep-0", "sweep-1", "sweep-2")
        assert runs.d_model is not None
        assert runs.n_layers is not None
        assert runs.loss is not None
        assert (runs.d_model[0], runs.n_layers[0], runs.n_params[0]) == (512, 8, 1e8)
        assert (runs.n_tokens[0], runs.loss[0]) == (2e9, 3.1)
    refused(path, "line 5: loss (column summary.val/loss) is empty")


def test_rows_that_are_asked_about(tmp_path: Path) -> None:
    path = write(tmp_path, "n_params,n_tokens,loss\n1e8,2e9,3.1\n1e9,2e10,\n")
    refused(path, "line 3: loss is empty")
    assert read_runs(path, asked=True).loss is None
    assert read_runs(write(tmp_path, "n_params,n_tokens\n1e8,2e9\n")).loss is None
    refused(write(tmp_path, "n_params,n_tokens\n1e8,\n"), "line 2: n_tokens is empty", asked=True)


def test_notes(tmp_path: Path) -> None:
    def notes(text: str, **options: Any) -> str:
        return "\n".join(read_runs(write(tmp_path, text), **options).notes)

    head = "run,n_params,n_tokens,loss\n"
    assert notes(head + "a,1e8,2e9,3.1\nb,1e8,2e9,3.2\na,1e8,4e9,3.0\n") == ""
    assert "lines 2 and 4: one run (a) and as many tokens, with losses 3.1 and 3.2 (1 such)" in notes(
        head + "a,1e8,2e9,3.1\nb,1e8,2e9,3.2\na,1e8,2e9,3.2\n"
    )
    assert "lines 2 and 4: the same run (a), tokens and loss (1 such)" in notes(
        head + "a,1e8,2e9,3.1\nb,1e8,2e9,3.2\na,1e8,2e9,3.1\n"
    )
    assert "guessing among 163,000 words has 12 nats" in notes(head + "a,1e8,2e9,22.1\nb,1e8,3e9,21\n")
    assert "0.0001 tokens a parameter (1 row below 0.001)" in notes(head + "a,1e10,1e6,3\nb,1e8,3e9,2.9\n")
    bits = notes("n_params,n_tokens,val_bpb\n1e8,2e9,1.1\n1e8,3e9,1\n", target="val_bpb")
    assert "taken as bits a byte" in bits
    assert "perplexities" in notes("n_params,n_tokens,ppl\n1e8,2e9,22\n1e8,3e9,20\n", target="ppl")
    blank = "n_params,n_tokens,loss,d_model,n_layers\n1e8,2e9,3,512,8\n1e8,3e9,2.9,,8\n"
    assert "line 3: d_model is empty (1 of 2 rows); laws of shape" in notes(blank)


def test_parquet(tmp_path: Path) -> None:
    columns = {
        "run": ["a", "b"],
        "params": [100_000_000, 200_000_000],
        "tokens": [2e9, 4e9],
        "loss": [3.1, 2.9],
        "kept": [True, False],
        "text": ["x", None],
        "deep": [[1], [2]],
    }
    path = tmp_path / "runs.parquet"
    pq.write_table(pa.table(columns), path)
    runs = read_runs(path)
    assert (runs.names, runs.n_params.tolist(), runs.lines is not None) == (("a", "b"), [1e8, 2e8], True)
    assert "deep" not in runs.columns
    assert read_runs(path, where={"kept": "true"}).names == ("a",)
    pq.write_table(pa.table(columns | {"loss": [3.1, None]}), path)
    refused(path, ", row 2: loss is empty")
    pq.write_table(pa.table(columns | {"loss": [3.1, math.nan]}), path)
    refused(path, ", row 2: loss is NaN")
    whole = path.read_bytes()
    for cut in range(4, len(whole), 97):
        path.write_bytes(whole[:cut])
        refused(path, "damaged")
    with mock.patch.dict("sys.modules", {"pyarrow": None}), pytest.raises(MissingExtra, match=r"thrifty\[scaling\]"):
        read_runs(path)


def test_texts_of_parquet_are_in_memory_once(tmp_path: Path) -> None:
    rows = 20_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    numbers = pa.array([1e8] * rows), pa.array([2e9] * rows)
    pq.write_table(pa.table({"n_params": numbers[0], "n_tokens": numbers[1], "text": text}), tmp_path / "runs.parquet")
    runs = read_runs(tmp_path / "runs.parquet")  # 2 GB, were each text there
    assert len({id(value) for value in runs.columns["text"]}) == 1
    assert len(runs.columns["text"]) == rows


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_runs(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError):
        read_runs(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), data, "any")
    refused(path)


CELLS = st.one_of(st.floats(), st.integers(), st.text(max_size=8), st.none(), st.booleans())


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4), st.sampled_from([",", "\t", ";"]))
def test_any_cells_are_numbers_above_0_or_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], sign: str
) -> None:
    text = sign.join(("n_params", "n_tokens", "d_model", "loss")) + "\n"
    text += "".join(sign.join("" if cell is None else str(cell) for cell in row) + "\n" for row in rows)
    path = write(tmp_path_factory.getbasetemp(), text.encode("utf-8", "replace"), "cells.csv")
    try:
        runs = read_runs(path)
    except DatasetError:
        return
    for values in (runs.n_params, runs.n_tokens, runs.d_model, runs.loss):
        if values is not None:
            assert np.all(np.isfinite(values) & (values > 0))
