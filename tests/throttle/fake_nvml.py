"""The fake library of NVIDIA cards: building it, and reading what it did."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
#: Of a card: power limit in mW, locked clocks in MHz (0: unlocked), whether it is busy.
FIRST = [(280_000, 0, 0, 0), (250_000, 0, 0, 0)]
CARD = "GPU-fake-0"


def build(folder: Path) -> Path:
    """Compile the library into a folder."""
    library = folder / "libnvidia-ml.so.1"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True)
    return folder


def plant(path: Path, *, busy: bool = False) -> dict[str, str]:
    """Lay out the cards; returns the environment in which processes find them."""
    path.write_bytes(b"".join(struct.pack("4I", *card[:3], busy) for card in FIRST))
    path.with_name(path.name + ".log").write_bytes(b"")
    return {"FAKE_NVML": str(path)}


def cards(path: Path) -> list[tuple[int, ...]]:
    """What is set."""
    return list(struct.iter_unpack("4I", path.read_bytes()))


def calls(path: Path) -> list[tuple[int, str, int, int]]:
    """The calls that set something: process, name without nvmlDevice, card, value."""
    lines = path.with_name(path.name + ".log").read_text().splitlines()
    return [(int(pid), name, int(card), int(value)) for pid, name, card, value in map(str.split, lines)]
