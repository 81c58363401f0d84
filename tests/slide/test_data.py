"""Files of the Extreme Classification Repository."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csr_array, csr_matrix

from thrifty.errors import DatasetError
from thrifty.slide import read_xml, write_xml


def test_rows_are_what_the_file_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines, features, labels = ["3000 1000 70"], [], []
    for _ in range(3_000):
        f = np.sort(rng.choice(1_000, rng.integers(0, 90), replace=False))
        v = rng.normal(size=len(f)).astype(np.float32)
        own = rng.choice(70, rng.integers(0, 4), replace=False)
        features.append(dict(zip(f.tolist(), v.tolist(), strict=True)))
        labels.append(sorted(own.tolist()))
        lines.append(",".join(map(str, own)) + " " + " ".join(f"{a}:{b!r}" for a, b in features[-1].items()))
    path = tmp_path / "data.txt"
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size > 3 << 20  # so that several parts are read
    for threads in (1, 2):
        inputs, targets = read_xml(path, threads=threads)
        assert inputs.shape == (3_000, 1_000)
        assert targets.shape == (3_000, 70)
        for i in range(3_000):
            row = inputs[i]
            assert dict(zip(row.indices.tolist(), row.data.tolist(), strict=True)) == features[i]
            assert sorted(targets[i].indices.tolist()) == labels[i]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 5\n0 1:1\n", "line 1: the header must be three numbers"),
        ("1 5 3\n3 1:1\n", "line 2: label 3 is beyond the 3 labels"),
        ("2 5 3\n0 1:1\n0 5:1\n", "line 3: feature 5 is beyond the 5 features"),
        ("1 5 3\n0 1:nan\n", "line 2: feature 1 has the value 'nan'"),
        ("1 5 3\n0 1\n", "line 2: '1' is not feature:value"),
        ("1 5 3\nx 1:1\n", "line 2: label 'x' is not a number"),
        ("1 5 3\n1:1 2:1\n", "line 2: '1:1' is not a list of labels; a row without labels begins with a blank"),
        ("2 5 3\n0 1:1\n", "line 2: the header says 2 rows, the file has 1"),
        ("", "line 1: the header must be three numbers"),
        ("2 5 3\n0 1:1\n0 4:1 1:1 4:2\n", "line 3: feature 4 is there twice"),
        ("1 5 3\r\n2,0,2 4:1\r\n", "line 2: label 2 is there twice"),
        (f"{10**18} 5 3\n0 1:1\n", "line 2: the header says 1000000000000000000 rows, the file has 1"),
        (f"1 {10**18} 3\n0 1:1\n", "line 1: the header says 1000000000000000000 features; ids have 32 bits"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_xml(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_xml(tmp_path / "none")


def twin(path: Path) -> tuple[tuple[int, ...], list[list[int]], list[dict[int, np.float32]]]:
    """Read a file the slow way: its header, labels by row, values by feature by row."""
    header, *lines = path.read_text().splitlines()
    labels, features = [], []
    for line in lines:
        own, _, pairs = line.partition(" ")
        labels.append([int(label) for label in own.split(",") if label])
        split = [pair.split(":") for pair in pairs.split()]
        features.append({int(feature): np.float32(value) for feature, value in split})
    return tuple(map(int, header.split())), labels, features


def is_row(matrix: Any, i: int) -> dict[int, float]:
    begin, end = matrix.indptr[i : i + 2]
    return dict(zip(matrix.indices[begin:end].tolist(), matrix.data[begin:end].tolist(), strict=True))


VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 99), VALUES, max_size=8), st.sets(st.integers(0, 19), max_size=4)),
    max_size=20,
)


def matrices(rows: list[tuple[dict[int, float], set[int]]]) -> tuple[csr_matrix, csr_matrix]:
    """Columns in the order of the dictionaries, which is no order."""

    def csr(lists: list[dict[int, float]], columns: int) -> csr_matrix:
        starts = np.cumsum([0, *map(len, lists)])
        ids = np.array([c for row in lists for c in row], np.int32)
        values = np.array([v for row in lists for v in row.values()], np.float32)
        return csr_matrix((values, ids, starts), shape=(len(lists), columns))

    return csr([x for x, _ in rows], 100), csr([dict.fromkeys(y, 1.0) for _, y in rows], 20)


@given(rows=ROWS, threads=st.integers(1, 3))
def test_what_is_written_reads_back(rows: list[tuple[dict[int, float], set[int]]], threads: int) -> None:
    """By our reader and by a plain one, bit by bit; -0.0, subnormal numbers and entries that are 0 included."""
    inputs, targets = matrices(rows)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.txt"
        write_xml(path, inputs, targets, threads=threads)
        header, labels, features = twin(path)
        x, y = read_xml(path, threads=threads)
        assert [p.name for p in Path(folder).iterdir()] == ["rows.txt"]
    assert header == (len(rows), 100, 20)
    assert (x.shape, y.shape) == ((len(rows), 100), (len(rows), 20))
    for i, (own, told) in enumerate(rows):
        expected = {f: np.float32(v).tobytes() for f, v in own.items()}
        assert {f: v.tobytes() for f, v in features[i].items()} == expected
        assert {f: np.float32(v).tobytes() for f, v in is_row(x, i).items()} == expected
        assert labels[i] == sorted(told)
        assert is_row(y, i) == dict.fromkeys(told, 1.0)


def test_real_rows(tmp_path: Path) -> None:
    """Numbers with four digits come out as they went in, letter by letter."""
    rng = np.random.default_rng(3)
    lines = ["500 800 30"]
    for _ in range(500):
        ids = np.sort(rng.choice(800, rng.integers(1, 30), replace=False))
        pairs = " ".join(
            f"{i}:{float(f'{v:.4f}')}" for i, v in zip(ids, rng.uniform(0.001, 0.999, len(ids)), strict=True)
        )
        lines.append(f"{rng.integers(30)} {pairs}")
    (tmp_path / "a").write_text("\n".join(lines) + "\n")
    write_xml(tmp_path / "b", *read_xml(tmp_path / "a"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


@given(text=st.from_regex(r"[-+]?[0-9]{0,12}\.?[0-9]{0,12}(e[-+]?[0-9]{1,2})?", fullmatch=True))
def test_values_are_the_nearest_of_float32(text: str) -> None:
    """The exact value by fractions: no float32 is nearer to what the file says."""
    from fractions import Fraction

    try:
        exact = Fraction(text)
    except ValueError:
        exact = None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "one.txt"
        path.write_text(f"1 1 1\n0 0:{text}\n")
        try:
            value = read_xml(path, threads=1)[0].data[0]
        except DatasetError:
            # Fraction knows neither "1." nor ".5" with nothing before, but all that it knows and float32 holds is read.
            assert exact is None or abs(exact) > float(np.finfo(np.float32).max)
            return
    if exact is not None:
        error = abs(Fraction(float(value)) - exact)
        for towards in (np.float32(-np.inf), np.float32(np.inf)):
            other = np.nextafter(value, towards)
            assert np.isinf(other) or error <= abs(Fraction(float(other)) - exact)


def test_matrices_that_scipy_allows(tmp_path: Path) -> None:
    """Entries that are stored twice are their sum; other kinds of matrices; values of targets do not matter."""
    path = tmp_path / "rows.txt"
    twice = csr_matrix((np.array([1.0, 2.0, 4.0]), np.array([3, 1, 3]), np.array([0, 3])), shape=(1, 5))
    write_xml(path, twice, csr_array(([0.0, 7.0], [2, 0], [0, 2]), shape=(1, 3)))
    assert path.read_text() == "1 5 3\n0,2 1:2 3:5\n"
    assert twice.nnz == 3, "what was given stays as it is"
    write_xml(path, coo_matrix(np.eye(2)), coo_matrix((2, 4)))
    assert path.read_text() == "2 2 4\n 0:1\n 1:1\n"
    write_xml(path, csr_matrix((0, 7)), csr_matrix((0, 4)))
    assert path.read_text() == "0 7 4\n"
    assert read_xml(path)[0].shape == (0, 7)


def test_what_can_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("old")
    one = csr_matrix(np.eye(2, dtype=np.float32))
    with pytest.raises(ValueError, match="targets: 3 rows for 2 rows of inputs"):
        write_xml(path, one, csr_matrix(np.eye(3)))
    for value in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="inputs: row 1 has the value .* at index 1; values are finite"):
            write_xml(path, csr_matrix(np.diag([1.0, value])), one)
    with pytest.raises(TypeError, match="inputs: a scipy sparse matrix is needed, got ndarray"):
        write_xml(path, np.eye(2), one)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_full_disk(tmp_path: Path) -> None:
    """Writes fail beyond a size: an error that names the file, and no half file."""
    code = (
        "import numpy as np, sys; from scipy.sparse import eye_array; from thrifty.slide import write_xml\n"
        "m = eye_array(200_000, format='csr', dtype=np.float32)\n"
        "try:\n  write_xml(sys.argv[1], m, m)\nexcept OSError as e:\n  print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "rows.txt")],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert "File too large while writing" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_progress_may_stop_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    many = csr_matrix(np.ones((2_000, 300), np.float32))
    seen: list[tuple[str, int, int]] = []
    write_xml(path, many, many, progress=lambda *now: seen.append(now))
    assert seen[-1] == ("write", 2_000, 2_000)
    read_xml(path, progress=lambda *now: seen.append(now))
    assert seen[-1][0] == "read"
    assert seen[-1][1] == seen[-1][2] > 0

    def stop(*_: object) -> None:
        raise KeyError("enough")

    before = path.read_bytes()
    for work in (lambda: read_xml(path, progress=stop), lambda: write_xml(path, many, many, progress=stop)):
        with pytest.raises(KeyError, match="enough"):
            work()
    assert before == path.read_bytes()


def test_threads_do_not_matter(tmp_path: Path) -> None:
    """A file of many parts: whatever the number of threads, the same arrays."""
    path = tmp_path / "rows.txt"
    rng = np.random.default_rng(1)
    inputs = csr_matrix(rng.normal(size=(4_000, 100)).astype(np.float32))
    targets = csr_matrix(rng.random((4_000, 9)) < 0.3)
    write_xml(path, inputs, targets)
    assert path.stat().st_size > 4 << 20
    for threads in (1, 2, 3):
        x, y = read_xml(path, threads=threads)
        assert (x != inputs).nnz == 0
        assert (y.astype(bool) != targets).nnz == 0
