"""The real genomes as files and as sets of hashed k-mers; nothing here calls the library."""

from __future__ import annotations

import gzip
import lzma
import tarfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rows import Goal

LETTERS = np.frombuffer(b"ACGT", np.uint8)
CODES = np.full(256, 4, np.uint8)
CODES[LETTERS] = CODES[LETTERS + 32] = np.arange(4)


def records(fasta: bytes) -> Iterator[tuple[str, bytes]]:
    """First word of the header and letters of each record."""
    for record in (b"\n" + fasta).split(b"\n>")[1:]:
        header, _, sequence = record.partition(b"\n")
        yield header.split()[0].decode(), sequence.replace(b"\n", b"")


def viruses(goal: Goal) -> bytes:
    """The 367 viruses as FASTA; a record is a document."""
    return lzma.decompress(goal.data("rambo/viruses.fasta.xz").read_bytes())


def documents(goal: Goal, folder: Path) -> list[Path]:
    """All 382 documents, a file each, in this folder where they are not."""
    with tarfile.open(goal.data("rambo/enterobacteria.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    for name, sequence in records(viruses(goal)):
        (folder / f"{name}.fa").write_bytes(b">%s\n%s\n" % (name.encode(), sequence))
    return [*sorted(goal.data("rambo/bacteria").glob("*.fa.gz")), *sorted(folder.iterdir())]


def contigs(path: Path) -> bytes:
    """All letters of a document, with an N between two contigs, which no k-mer runs over."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return b"N".join(sequence for _, sequence in records(data))


def mix64(word: np.ndarray) -> np.ndarray:
    """Mix the bits of 64-bit words, one to one; that of tests/rambo/twin.py for arrays."""
    word = word + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def joined(codes: np.ndarray, k: int) -> np.ndarray:
    """Each run of k letters as one number of 2k bits, its length doubled step by step."""
    runs, length = codes, 1
    for bit in f"{k:b}"[1:]:
        runs = runs[:-length] << np.uint64(2 * length) | runs[length:]
        length *= 2
        if bit == "1":
            runs = runs[:-1] << np.uint64(2) | codes[length:]
            length += 1
    return runs


def kmer_hashes(sequence: bytes, k: int = 31) -> np.ndarray:
    """Distinct hashes of the canonical k-mers, sorted; k is at most 32."""
    codes = CODES[np.frombuffer(sequence, np.uint8)]
    if len(codes) < k:
        return np.empty(0, np.uint64)
    others = np.cumsum(codes == 4, dtype=np.int64)
    before = np.concatenate([[0], others[:-k]])
    codes = codes.astype(np.uint64) & np.uint64(3)
    backward = joined(np.uint64(3) - codes[::-1], k)[::-1]
    canonical = np.minimum(joined(codes, k), backward)
    return distinct(mix64(canonical[others[k - 1 :] == before]))


def distinct(values: np.ndarray) -> np.ndarray:
    """Sort and drop repeats."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def mutated(sequence: bytes, rate: float, rng: np.random.Generator) -> bytes:
    """Overwrite letters with random ones at this rate."""
    letters = np.frombuffer(sequence, np.uint8).copy()
    where = rng.random(len(letters)) < rate
    letters[where] = LETTERS[rng.integers(0, 4, int(where.sum()))]
    return letters.tobytes()


def random_dna(length: int, rng: np.random.Generator) -> bytes:
    """Letters by chance."""
    return LETTERS[rng.integers(0, 4, length)].tobytes()
