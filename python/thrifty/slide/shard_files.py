"""Checkpoints of ranks: a folder with a file of each, and a manifest that is written when all of them are complete."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError

if TYPE_CHECKING:
    from thrifty import _core
    from thrifty.slide.config import LSHConfig
    from thrifty.slide.ranks import Ranks

__all__ = ["MANIFEST", "assemble", "read", "write"]

MANIFEST = "manifest.json"
FORMAT, VERSION = "thrifty.slide.ranks", 1


def _names(folder: str, size: int) -> list[str]:
    return [f"{folder}/rank-{rank:05d}-of-{size:05d}.safetensors" for rank in range(size)]


def _digest(content: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(
    ranks: Ranks,
    core: _core.SlideShard,
    folder: Path,
    settings: dict[str, Any],
    position: dict[str, Any],
    note: str,
) -> None:
    """Write the state of all ranks; what was there before goes when the new one is complete."""
    name = f"step-{position['steps']:012d}"
    files = _names(name, ranks.size)
    (folder / name).mkdir(parents=True, exist_ok=True)
    core.write(folder / files[ranks.rank])
    ranks.barrier()
    if ranks.rank == 0:
        missing = [file for file in files if not (folder / file).exists()]
        if missing:
            raise FormatError(f"{folder / missing[0]}: not there; all ranks must see one folder for checkpoints")
        content = {
            "format": FORMAT,
            "version": VERSION,
            "files": files,
            "settings": settings,
            "position": position,
            "note": note,
        }
        text = json.dumps(content | {"blake2b": _digest(content)}, indent=1)
        new = folder / f"{MANIFEST}.new"
        with new.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _sync(folder / name)
        new.replace(folder / MANIFEST)
        _sync(folder)
        for old in folder.glob("step-*"):
            if old.name != name:
                shutil.rmtree(old, ignore_errors=True)
    ranks.barrier()


def read(ranks: Ranks, folder: Path) -> dict[str, Any] | None:
    """Return the manifest, None where there is none."""
    path = folder / MANIFEST
    there = path.exists()
    if any(other != there for other in ranks.objects(there)):
        raise FormatError(f"{path}: not all ranks see it; all must see one folder for checkpoints")
    if not there:
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        digest = content.pop("blake2b")
        kind, version = content["format"], content["version"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: no manifest of a checkpoint: {error}") from None
    if kind != FORMAT or version > VERSION:
        raise FormatError(f"{path}: format '{kind}', version {version}; this program reads '{FORMAT}' up to {VERSION}")
    if digest != _digest(content):
        raise FormatError(f"{path}: its checksum is not that of its content; the file is damaged")
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in content["files"]):
        raise FormatError(f"{path}: files of a checkpoint lie in its folder, got {content['files']}")
    return content


def assemble(ranks: Ranks, core: _core.SlideShard, head: LSHConfig, path: Path, note: str, batch: int) -> None:
    """Write one model from the parts of all ranks, which lie beside it for a while."""
    folder = path.with_name(f"{path.name}.ranks")
    files = [folder.parent / name for name in _names(folder.name, ranks.size)]
    folder.mkdir(parents=True, exist_ok=True)
    core.write(files[ranks.rank])
    ranks.barrier()
    try:
        if ranks.rank == 0:
            core.assemble(files, head, path, note, batch)
    finally:
        ranks.barrier()
        if ranks.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
