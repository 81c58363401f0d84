"""Profiles of the property tests, and what several folders share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from thrifty.rambo import Items, RamboBuilder, RamboIndex, RamboPlan

settings.register_profile("fast", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handlers: a shell that starts tests in the background, or nohup, has them ignore these signals."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGHUP)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before:
        signal.signal(number, handler)


DATA = Path(__file__).parent / "data"


@pytest.fixture
def data() -> Path:
    return DATA


def random_dna(rng: np.random.Generator, length: int) -> bytes:
    return np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, length)].tobytes()


class Genomes(dict[str, bytes]):
    """Sequences by name; hypothesis would print all their letters."""

    def __repr__(self) -> str:
        return f"<{len(self)} genomes>"


@pytest.fixture(scope="session")
def genomes() -> dict[str, bytes]:
    """300 sequences of 500 to 4,000 letters, a third of them variants of each other."""
    rng = np.random.default_rng(5)
    out = Genomes()
    for i in range(300):
        length = int(rng.integers(500, 4000))
        if i % 3 == 2:
            base = np.frombuffer(out[f"g{i - 1}"], np.uint8).copy()
            changed = rng.random(len(base)) < 0.01
            base[changed] = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, int(changed.sum()))]
            out[f"g{i}"] = base.tobytes()
        else:
            out[f"g{i}"] = random_dna(rng, length)
    return out


@pytest.fixture(scope="session")
def fasta(genomes: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fasta") / "genomes.fa"
    path.write_bytes(b"".join(b">" + n.encode() + b" some text\n" + s + b"\n" for n, s in genomes.items()))
    return path


def frozen(genomes: dict[str, bytes], *, k: int = 31, fpr: float = 1e-2, seed: int = 0) -> RamboIndex:
    items = Items(k=k)
    counts = [max(len(s) - k + 1, 0) for s in genomes.values()]
    builder = RamboBuilder(RamboPlan.for_documents(counts, fpr=fpr, multiplicity=1.5, seed=seed), k=items.k)
    for name, sequence in genomes.items():
        builder.add_sequence(name, sequence)
    return builder.freeze()


@pytest.fixture(scope="session")
def index(genomes: dict[str, bytes]) -> RamboIndex:
    return frozen(genomes)
