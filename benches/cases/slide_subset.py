"""Makes the data of the slide demo from a larger set: fewer labels, fewer rows, values with two decimals.

    python benches/cases/slide_subset.py FOLDER

FOLDER holds train.txt.xz, test.txt.xz and labels.tsv. Labels stay that at least LEAST rows of the training have; of a
label's training rows the first MOST stay. Features stay that two rows have. Both are numbered anew in their old order.
Rows of the test lose what is not left, and go when no label or no feature is.
"""

from __future__ import annotations

import lzma
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from thrifty.slide import read_xml, write_xml

OUT = Path(__file__).parents[2] / "python" / "thrifty" / "data" / "slide"
LEAST, MOST = 4, 30


def read(path: Path, folder: Path) -> tuple[csr_matrix, csr_matrix]:
    """Rows of a compressed file."""
    plain = folder / path.stem
    plain.write_bytes(lzma.decompress(path.read_bytes()))
    return read_xml(plain)


def columns(matrix: Any, kept: Any) -> csr_matrix:
    """Some columns, in their order, with indices in ascending order."""
    out = csr_matrix(matrix[:, kept])
    out.sort_indices()
    return out


def main() -> None:
    """Write the three files and print what they hold."""
    source = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x, y = read(source / "train.txt.xz", folder)
        test_x, test_y = read(source / "test.txt.xz", folder)
        names = [line.split("\t")[1] for line in (source / "labels.tsv").read_text().splitlines()]
        counts = np.bincount(y.indices, minlength=y.shape[1])
        # A row counts for its first label; what comes later of a label that has enough is left out.
        first = y.indices[y.indptr[:-1].clip(max=len(y.indices) - 1)]
        order = np.argsort(first, kind="stable")
        place = np.empty(len(first), int)
        starts = np.searchsorted(first[order], first[order])
        place[order] = np.arange(len(first)) - starts
        kept = (np.diff(y.indptr) > 0) & (counts[first] >= LEAST) & (place < MOST)
        x, y = x[kept], y[kept]
        labels = np.flatnonzero((counts >= LEAST) & (np.bincount(y.indices, minlength=y.shape[1]) > 0))
        features = np.flatnonzero(np.bincount(x.indices, minlength=x.shape[1]) > 1)
        for part, every, told in (("train", x, y), ("test", test_x, test_y)):
            inputs, targets = columns(every, features), columns(told, labels)
            inputs.data = np.maximum(np.round(inputs.data, 2), np.float32(0.01))
            left = (np.diff(inputs.indptr) > 0) & (np.diff(targets.indptr) > 0)
            inputs, targets = inputs[left], targets[left]
            write_xml(folder / "out", inputs, targets)
            packed = lzma.compress((folder / "out").read_bytes(), preset=9 | lzma.PRESET_EXTREME)
            (OUT / f"{part}.txt.xz").write_bytes(packed)
            rows = inputs.shape[0]
            each = f"{inputs.nnz / rows:.2f} features and {targets.nnz / rows:.3f} labels a row"
            print(part, inputs.shape, targets.shape, each, len(packed), "bytes")
        (OUT / "labels.txt").write_text("".join(f"{names[label]}\n" for label in labels))


if __name__ == "__main__":
    main()
