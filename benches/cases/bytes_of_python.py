"""Bytes to train on that every machine has: the Python sources of its installed packages, and novels beside them."""

from __future__ import annotations

import hashlib
import lzma
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 1 << 20
"""Larger files are tables that a program wrote."""
HELD = 20
"""One file of so many is held back."""


@dataclass(frozen=True)
class Text:
    """Bytes to train on, bytes held back, and what they are: ``files`` by name with size and checksum."""

    train: NDArray[np.uint8]
    held: NDArray[np.uint8]
    files: tuple[tuple[str, int, str], ...]
    sha256: str


def read(novels: Path | None, most: int | None = None, held: int = 2_000_000) -> Text:
    """Read them; a file is held back or not by its checksum, and one that is there twice counts once.

    Of ``novels``, a folder, train.txt (or .xz) is trained on and valid.txt held back. ``most``: bytes of sources.
    """
    folders = sorted({sysconfig.get_paths()[name] for name in ("purelib", "platlib", "stdlib")})
    found: dict[str, tuple[str, bytes]] = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            if 0 < len(content) <= MOST:
                found.setdefault(hashlib.sha256(content).hexdigest(), (str(path.relative_to(folder)), content))
    # By checksum: packages are mixed, and the order is that of no machine.
    order = sorted(found)
    if most is not None:
        sizes = np.cumsum([len(found[key][1]) for key in order])
        order = order[: int(np.searchsorted(sizes, most)) + 1]
    back = [key for key in order if int(key[:8], 16) % HELD == 0]
    learned = [key for key in order if int(key[:8], 16) % HELD]
    train, valid = b"".join(found[key][1] for key in learned), b"".join(found[key][1] for key in back)
    files = [(found[key][0], len(found[key][1]), key) for key in order]
    prose = b""
    if novels is not None:
        train_file = novels / "train.txt"
        packed = novels / "train.txt.xz"
        text = train_file.read_bytes() if train_file.exists() else lzma.decompress(packed.read_bytes())
        if most is not None:
            text = text[: most // 8]
        prose = (novels / "valid.txt").read_bytes()
        files += [
            (f"novels/{name}", len(of), hashlib.sha256(of).hexdigest())
            for name, of in (("train", text), ("valid", prose))
        ]
        share = len(text) / (len(text) + len(train))
        train += text
        prose = prose[: int(share * held)]
    valid = valid[: held - len(prose)] + prose
    digest = hashlib.sha256("".join(f"{key} {size}\n" for _, size, key in files).encode()).hexdigest()
    return Text(np.frombuffer(train, np.uint8), np.frombuffer(valid, np.uint8), tuple(files), digest)
