"""Files of learned weights, read with the packages that others read them with.

``tests/data/tensors/small.safetensors`` is what the Rust writer makes, byte for byte; a test there holds them together.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import load_file

#: Dtype, shape and bytes of each tensor; bytes are 3, 10, 17, ...
TENSORS = {
    "w": (torch.float32, (3, 5), 60),
    "empty": (torch.float32, (0, 4), 0),
    'hé "x"': (torch.bfloat16, (7,), 14),
    "one": (torch.uint64, (), 8),
    "b": (torch.uint8, (64,), 64),
    "last": (torch.uint32, (2, 1), 8),
}


def content(size: int) -> bytes:
    return bytes((7 * i + 3) % 256 for i in range(size))


def test_torch_loads_it(data: Path) -> None:
    loaded = load_file(data / "tensors" / "small.safetensors")
    assert {name for name in loaded if not name.startswith("__pad.")} == set(TENSORS)
    for name, (dtype, shape, size) in TENSORS.items():
        tensor = loaded[name]
        assert (tensor.dtype, tuple(tensor.shape)) == (dtype, shape)
        raw = tensor.reshape(-1).view(torch.uint8).numpy() if size else np.empty(0, np.uint8)
        assert raw.tobytes() == content(size)
    assert all((tensor == 0).all() for name, tensor in loaded.items() if name.startswith("__pad."))


def test_places_and_checksums_are_as_the_page_says(data: Path) -> None:
    """Only docs/formats.md, json and xxhash."""
    path = data / "tensors" / "small.safetensors"
    file = path.read_bytes()
    start = 8 + int.from_bytes(file[:8], "little")
    assert start % 4096 == 0
    header = json.loads(file[8:start])
    metadata = header.pop("__metadata__")
    digits = slice(25, 57)
    text = file[8:start]
    assert text[digits].decode() == metadata["xxh3"]
    assert xxhash.xxh3_128_hexdigest(text[: digits.start] + text[digits.stop :]) == metadata["xxh3"]
    for name in TENSORS:
        begin, end = header[name]["data_offsets"]
        assert begin % 64 == 0
        assert xxhash.xxh3_128_hexdigest(file[start + begin : start + end]) == metadata[f"xxh3.{name}"]
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata()["note"] == '"q"\\ é\n'
