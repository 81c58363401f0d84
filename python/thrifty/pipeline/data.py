"""The real data that ships in the package."""

from __future__ import annotations

from pathlib import Path

import thrifty

__all__ = ["folder", "nouns", "viruses"]


def folder() -> Path:
    """Return the folder of the data; each part's has a SOURCE.md with origins and licences."""
    return Path(thrifty.__file__).parent / "data"


def viruses() -> Path:
    """Return 367 virus genomes, one a record (xz-compressed FASTA)."""
    return folder() / "rambo" / "viruses.fasta.xz"


def nouns() -> Path:
    """Return the folder of 44,948 nouns of WordNet and what is above them: train.txt.xz, test.txt.xz, labels.txt."""
    return folder() / "slide"
