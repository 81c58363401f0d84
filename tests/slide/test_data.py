"""Files of the Extreme Classification Repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thrifty.errors import DatasetError
from thrifty.slide import read_xml


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
        ("1 5 3\n1:1 2:1\n", "line 2: label '1:1' is not a number"),
        ("2 5 3\n0 1:1\n", "line 2: the header says 2 rows, the file has 1"),
        ("", "line 1: the header must be three numbers"),
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
