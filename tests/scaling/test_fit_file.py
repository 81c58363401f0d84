"""fit.json: what comes back, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scaling.fits import fitted
from thrifty.errors import FormatError, MismatchError
from thrifty.scaling import Form, Runs, ScalingLaw, Term, load_fit, read_runs, save_fit
from thrifty.scaling.packed import pack, unpack
from thrifty.scaling.sealed import read_sealed, write_sealed

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    save_fit(fitted("u_shape"), path)
    return path.read_bytes()


def sealed(content: dict[str, Any], path: Path) -> Path:
    """A file with a right checksum, whatever it says."""
    body = json.dumps(content, indent=1).removesuffix("\n}").encode()
    digest = hashlib.sha256(body).hexdigest()
    path.write_bytes(body + f',\n "checksum": "sha256:{digest}"\n}}\n'.encode())
    return path


@pytest.mark.parametrize("name", ["chinchilla", "chinchilla_tied", "morph", "u_shape", "width_depth"])
def test_a_fit_comes_back(name: str, data: Path, tmp_path: Path) -> None:
    runs = read_runs(data / "scaling" / "morph_runs.csv")
    law = ScalingLaw(name, loss="lsq").fit(runs, groups="size_class")
    law.draws_ = law.bootstrap(50, kind="cluster")
    save_fit(law, tmp_path / "fit.json")
    back = load_fit(tmp_path / "fit.json")
    assert back.coef_ == law.coef_
    assert (back.name_, back.loss, back.delta_, back.objective_) == (law.name_, law.loss, law.delta_, law.objective_)
    assert back.form_ == law.form_
    assert back.certificate_ == law.certificate_
    assert back.runs_.source == runs.source
    assert (back.runs_.names, back.runs_.counted) == (runs.names, runs.counted)
    assert back.groups_ == law.groups_
    assert np.array_equal(back.loss_at(runs), law.loss_at(runs))
    assert np.array_equal(back.gradient(runs), law.gradient(runs))
    larger = {"n_params": [1e9], "n_tokens": [2e10], "d_model": [2048], "n_layers": [24]}
    for here, there in zip(
        (law.predict(larger).lo, law.predict(larger).hi),
        (back.predict(larger).lo, back.predict(larger).hi),
        strict=True,
    ):
        assert there == pytest.approx(here, rel=1e-9)
    assert back.draws_ is not None
    assert back.draws_.values == pytest.approx(law.draws_.values, rel=1e-4)
    assert back.draws_.interval("E") == pytest.approx(law.draws_.interval("E"), rel=1e-5)
    weights = np.ones((2, len(runs)))
    assert back.refit(weights) == pytest.approx(law.refit(weights), rel=1e-6)
    assert back.score(runs) == law.score(runs)
    save_fit(back, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "fit.json").read_bytes()


def test_a_law_of_own_terms_and_a_tie_come_back(tmp_path: Path) -> None:
    form = Form("mine", (Term("E"), Term("A", (("n_params", "a"),)), Term("B", (("n_tokens", "b"),))))
    for law in (ScalingLaw(form, tie=("a", "b")), ScalingLaw("chinchilla", bounds={"E": (1.0, 2.0)})):
        law.fit(fitted().runs_)
        save_fit(law, tmp_path / "fit.json")
        back = load_fit(tmp_path / "fit.json")
        assert (back.form_, back.coef_) == (law.form_, law.coef_)
        assert np.array_equal(ScalingLaw(**back.get_params()).fit(back.runs_).theta_, law.theta_)


@given(st.data())
def test_a_changed_byte_is_refused(tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.integers(len(whole) - 100, len(whole) - 1)))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    refused(tmp_path_factory.getbasetemp() / "changed.json", bytes(changed))


@given(st.data())
def test_cut_off_longer_or_joined_is_refused(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(whole) - 1))
    more = data.draw(st.sampled_from([b"", b"\n", b" ", b"\x00", whole]))
    refused(tmp_path_factory.getbasetemp() / "cut.json", whole[:cut])
    if more:
        refused(tmp_path_factory.getbasetemp() / "cut.json", whole + more)
        refused(tmp_path_factory.getbasetemp() / "cut.json", more + whole)


def refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises((FormatError, MismatchError)) as caught:
        load_fit(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 600


def test_other_versions_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"
    write_sealed(path, "thrifty.scaling.fit", 2, {})
    with pytest.raises(MismatchError, match="version 2, and this thrifty reads version 1"):
        load_fit(path)
    write_sealed(path, "thrifty.device-profile", 1, {})
    with pytest.raises(FormatError, match="no format 'thrifty.scaling.fit' at its beginning; thrifty scaling fit"):
        load_fit(path)


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values of a file are."""
    found = [at] if at else []
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += paths_of(inner, (*at, key))
    return found


WRONG: list[Any] = [None, True, -1, 0, 1e308, 10**30, "", "x" * 20_000, [], {}, [[]], {"number": "nan"}, ["nan"],
                    {"dtype": "float64", "shape": [1], "base64": "AAAAAAAA+H8="}]  # fmt: skip


def test_hostile_values_are_refused_or_harmless(whole: bytes, tmp_path: Path) -> None:
    """Whoever writes a right checksum may write anything: it is refused, or a law that tells numbers comes of it."""
    content = json.loads(whole)
    del content["checksum"]
    places = [place for place in paths_of(content) if place[0] not in ("format", "version", "written_by")]
    rng = np.random.default_rng(3)
    seen = 0
    for place in places if len(places) < 250 else [places[i] for i in rng.choice(len(places), 250, replace=False)]:
        for wrong in (WRONG[i] for i in rng.choice(len(WRONG), 3, replace=False)):
            changed = json.loads(json.dumps(content))
            *outer, last = place
            inner = changed
            for key in outer:
                inner = inner[key]
            inner[last] = wrong
            path = sealed(changed, tmp_path / "fit.json")
            try:
                law = load_fit(path)
            except FormatError:
                seen += 1
                continue
            assert np.isfinite(law.loss_at(law.runs_)).all(), (place, wrong)
    assert seen > 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"dtype": "float64", "shape": [1000000000, 1000000000], "base64": ""}', "too large"),
        ('{"dtype": "float64", "shape": [3], "base64": "AAAA"}', "has 3 bytes, and its shape [3] takes 24"),
        ('{"dtype": "object", "shape": [], "base64": ""}', "no type, shape or bytes"),
        ('{"dtype": "float64", "shape": [-1], "base64": ""}', "too large"),
        ('{"dtype": "float64", "shape": [1], "base64": "no!"}', "no base64"),
        ('{"number": "1e999"}', "none of nan, inf, -inf"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit"),
        ('{"a": 1', "Expecting ',' delimiter"),
    ],
)
def test_hostile_json_is_refused(text: str, words: str, tmp_path: Path) -> None:
    body = b'{\n "format": "a",\n "version": 1,\n "x": ' + text.encode()
    digest = hashlib.sha256(body).hexdigest()
    path = tmp_path / "a.json"
    path.write_bytes(body + f',\n "checksum": "sha256:{digest}"\n}}\n'.encode())
    with pytest.raises(FormatError, match=re.escape(words)):
        read_sealed(path, "a", 1, "who writes")


NUMBERS = st.floats() | st.integers(-(2**53), 2**53) | st.booleans() | st.none() | st.text(max_size=5)
VALUES = st.recursive(
    NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_packing_is_lossless(values: dict[str, Any]) -> None:
    def same(a: Any, b: Any) -> bool:
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return type(a) is type(b) and (a == b or (math.isnan(a) and math.isnan(b)))

    assert same(values, unpack(json.loads(json.dumps(pack(values), allow_nan=False))))


@pytest.mark.parametrize("kind", ["float64", "float32", "int64"])
def test_arrays_are_packed_without_loss(kind: str) -> None:
    values = np.random.default_rng(0).standard_normal((3, 2, 5)) * 1e6
    given_ = values.astype(kind)
    back = unpack(json.loads(json.dumps(pack({"x": given_, "empty": given_[:0]}))))
    assert back["x"].dtype == given_.dtype
    assert np.array_equal(back["x"], given_)
    assert back["empty"].shape == (0, 2, 5)
    with pytest.raises(TypeError, match="complex128"):
        pack(np.zeros(2, complex))


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(fails: str, tmp_path: Path) -> None:
    path, law = tmp_path / "fit.json", fitted()
    path.write_text("before")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    target = {"write": "json.dumps", "fsync": "os.fsync", "replace": "pathlib.Path.replace"}[fails]
    with mock.patch(target, side_effect=full), pytest.raises(OSError, match="No space left") as caught:
        save_fit(law, path)
    if fails == "fsync":
        assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["fit.json"]


WRITER = """
import sys
from thrifty.scaling import load_fit, save_fit
law = load_fit(sys.argv[1])
while True:
    save_fit(law, sys.argv[2])
"""


def test_a_killed_writer_leaves_a_whole_file(whole: bytes, tmp_path: Path) -> None:
    given_, path = tmp_path / "given.json", tmp_path / "fit.json"
    given_.write_bytes(whole)
    for after in (0.0, 0.003, 0.01, 0.03):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", WRITER, given_, path], cwd=REPOSITORY) as process:
            begun = time.monotonic()
            while not path.exists() and time.monotonic() - begun < 20:
                time.sleep(0.002)
            time.sleep(after)
            process.kill()
        assert path.read_bytes() == whole
        save_fit(load_fit(path), path)  # over what the killed one left beside it
        assert os.listdir(tmp_path) == ["fit.json", "given.json"] or sorted(os.listdir(tmp_path)) == [
            "fit.json",
            "given.json",
        ]


def test_runs_without_a_file(tmp_path: Path) -> None:
    runs = Runs.of(
        {
            name: np.asarray(values)
            for name, values in vars(fitted().runs_).items()
            if name in ("n_params", "n_tokens", "loss")
        }
    )
    save_fit(ScalingLaw().fit(runs), tmp_path / "fit.json")
    assert load_fit(tmp_path / "fit.json").runs_.source.path == ""
