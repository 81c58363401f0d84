"""Makes the texts of the pairconnect demo: an excerpt to learn from, and one that is held back.

    python benches/cases/pair_excerpts.py FOLDER

FOLDER holds train.txt.xz and test.txt, the beginnings of seven novels and their ends, a paragraph a line. Pieces of
whole paragraphs are taken, evenly spread: ten of train.txt.xz, seven of test.txt.
"""

from __future__ import annotations

import hashlib
import lzma
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[2] / "python" / "thrifty" / "data" / "pairconnect"


def spread(text: bytes, pieces: int, size: int) -> bytes:
    """Pieces of at most so many bytes, from the beginning of a paragraph to the end of one."""
    out = []
    for start in np.linspace(0, len(text) - 2 * size, pieces).astype(int):
        begin = text.rindex(b"\n", 0, start) + 1 if start else 0
        out.append(text[begin : text.rindex(b"\n", begin, begin + size) + 1])
    return b"".join(out)


def main() -> None:
    """Write both and print their sizes and checksums."""
    source = Path(sys.argv[1])
    OUT.mkdir(exist_ok=True)
    learned = spread(lzma.decompress((source / "train.txt.xz").read_bytes()), 10, 50_000)
    packed = lzma.compress(learned, preset=9 | lzma.PRESET_EXTREME)
    held = spread((source / "test.txt").read_bytes(), 7, 14_000)
    for name, content, plain in (("novels.txt.xz", packed, learned), ("held-back.txt", held, held)):
        (OUT / name).write_bytes(content)
        print(hashlib.sha256(content).hexdigest(), name, f"{len(content):,} bytes, plain {len(plain):,}")


if __name__ == "__main__":
    main()
