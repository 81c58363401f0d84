"""Makes the texts of the pairconnect demo: an excerpt to learn from, and one that is held back.

    python benches/cases/pair_excerpts.py FOLDER

FOLDER holds train.txt.xz and test.txt, the beginnings of seven novels and their ends, a paragraph a line. Pieces of
whole paragraphs are taken, evenly spread: ten of train.txt.xz, seven of test.txt. held-back.json says which bytes of
the latter are of which novel.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from cases.books import books

OUT = Path(__file__).parents[2] / "python" / "thrifty" / "data" / "pairconnect"


def spread(text: bytes, pieces: int, size: int) -> list[tuple[int, int]]:
    """Where pieces of at most so many bytes begin and end, each of whole paragraphs."""
    out = []
    for start in np.linspace(0, len(text) - 2 * size, pieces).astype(int):
        begin = text.rindex(b"\n", 0, start) + 1 if start else 0
        out.append((begin, text.rindex(b"\n", begin, begin + size) + 1))
    return out


def parts(spans: list[tuple[int, int]], novels: dict[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Which bytes of all pieces, one after the other, are of which novel."""
    out: dict[str, list[tuple[int, int]]] = {}
    before = 0
    for begin, end in spans:
        first = 0
        for name, novel in novels.items():
            last = first + len(novel.encode()) + 1
            low, high = max(begin, first), min(end, last)
            if low < high:
                out.setdefault(name, []).append((before + low - begin, before + high - begin))
            first = last
        before += end - begin
    return out


def main() -> None:
    """Write both and print their sizes and checksums."""
    source = Path(sys.argv[1])
    OUT.mkdir(exist_ok=True)
    train, test = lzma.decompress((source / "train.txt.xz").read_bytes()), (source / "test.txt").read_bytes()
    learned = b"".join(train[begin:end] for begin, end in spread(train, 10, 50_000))
    packed = lzma.compress(learned, preset=9 | lzma.PRESET_EXTREME)
    spans = spread(test, 7, 14_000)
    held = b"".join(test[begin:end] for begin, end in spans)
    of = json.dumps(parts(spans, books(source / "test.txt")), indent=1).encode() + b"\n"
    files = (("novels.txt.xz", packed, learned), ("held-back.txt", held, held), ("held-back.json", of, of))
    for name, content, plain in files:
        (OUT / name).write_bytes(content)
        print(hashlib.sha256(content).hexdigest(), name, f"{len(content):,} bytes, plain {len(plain):,}")


if __name__ == "__main__":
    main()
