"""The real data that ships in the package."""

from __future__ import annotations

from pathlib import Path

import thrifty

__all__ = ["cards", "folder", "nouns", "novels", "training_runs", "viruses"]


def folder() -> Path:
    """Return the folder of the data; each part's has a SOURCE.md with origins and licences."""
    return Path(thrifty.__file__).parent / "data"


def viruses() -> Path:
    """Return 367 virus genomes, one a record (xz-compressed FASTA)."""
    return folder() / "rambo" / "viruses.fasta.xz"


def nouns() -> Path:
    """Return the folder of 44,948 nouns of WordNet and what is above them: train.txt.xz, test.txt.xz, labels.txt."""
    return folder() / "slide"


def novels() -> Path:
    """Return the folder of two PairLMs of seven novels, model and small.safetensors, and two excerpts of them.

    novels.txt.xz is from what the model learned, held-back.txt is not; held-back.json says which bytes of that are of
    which novel.
    """
    return folder() / "pairconnect"


def cards() -> Path:
    """Return a CSV file of what batch sizes and power limits take on two cards that train BERT on SQuAD."""
    return folder() / "throttle" / "bert_squad.csv"


def training_runs() -> Path:
    """Return the folder of training runs with their losses: morph_runs.csv (70, of many shapes), chinchilla_245.csv."""
    return folder() / "scaling"
