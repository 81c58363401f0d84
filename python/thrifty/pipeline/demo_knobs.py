"""Two knobs of a program that runs here, threads and batch: measured, tuned, and compared with the default by turns."""

from __future__ import annotations

import hashlib
import lzma
import time
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.device import Meter, Saving, compare, measure
from thrifty.errors import CounterFault
from thrifty.pipeline.data import viruses
from thrifty.rambo import RamboIndex, hash_many
from thrifty.throttle import Call, Constraint, Evaluation, Knob, Space, Tuner

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], object]
    Setting = dict[str, Any]

__all__ = ["LIMIT_MS", "READS", "Found", "Service", "meter_here", "reads", "tuned"]

#: Reads of a call, and letters of each; the share of a read's items that a document must hold.
READS, LETTERS, THETA = 1024, 150, 0.8
#: Milliseconds of a batch at most, and what is set before anything is tuned: all cores, and so many reads.
LIMIT_MS, BATCH = 10.0, 64
#: Settings that are measured at most, seconds of each and of its windows, and rounds of the comparison.
EVALUATIONS, SECONDS, WINDOW, ROUNDS = 12, 0.3, 0.1, 5


class Service:
    """Looks up reads, batch by batch, which are searched with some threads.

    Parameters
    ----------
    index : RamboIndex
    sequences : list of bytes
    threads, batch : int
        The knobs, as they are at first.
    """

    def __init__(self, index: RamboIndex, sequences: list[bytes], *, threads: int, batch: int = BATCH) -> None:
        self.index, self.threads, self.batch = index, threads, batch
        self.hashes, ends, _ = hash_many(sequences)
        self.bounds = np.concatenate([[0], ends])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def device(self, cores: int) -> Call:
        """Return the knobs: threads up to the cores, batches up to all reads."""
        return Call(
            {
                Knob("threads", steps(cores), default=self.threads): lambda value: setattr(self, "threads", value),
                Knob("batch", steps(len(self)), default=self.batch): lambda value: setattr(self, "batch", value),
            },
            id="reads",
        )

    def answer(self) -> tuple[list[float], list[Any]]:
        """Look up all reads; return the seconds of each batch, and the answers."""
        seconds, answers = [], []
        for at in range(0, len(self), self.batch):
            begun = time.perf_counter()
            bounds = self.bounds[at : at + self.batch + 1]
            hashes, ends = self.hashes[bounds[0] : bounds[-1]], bounds[1:] - bounds[0]
            answers.append(self.index.match_hashes(hashes, ends, theta=THETA, threads=self.threads))
            seconds.append(time.perf_counter() - begun)
        return seconds, answers

    def digest(self) -> str:
        """Return a hash of all answers: which documents hold how much of each read."""
        _, answers = self.answer()
        counts = np.concatenate([np.diff(one.starts) for one in answers])
        parts = [counts, *(np.concatenate([getattr(one, k) for one in answers]) for k in ("documents", "found"))]
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@dataclass(frozen=True)
class Found:
    """What came of tuning: ``best`` is None where no setting kept the limit, ``saving`` where nothing was compared.

    ``latency_ms`` are median milliseconds of a batch, of the default and of the best setting, where both were compared.
    """

    tuner: Tuner
    source: str
    unit: str
    different: int
    best: Evaluation | None
    saving: Saving | None
    latency_ms: tuple[float, float]

    @property
    def default(self) -> Evaluation:
        """What was measured first."""
        return self.tuner.evaluations[0]


def steps(most: int) -> list[int]:
    """Return powers of two up to a number, and the number."""
    return sorted({most, *takewhile(lambda power: power < most, (1 << i for i in range(32)))})


def reads(count: int, seed: int) -> list[bytes]:
    """Cut reads out of the genomes of the demo, anywhere, none with a letter that is not known."""
    text = lzma.decompress(viruses().read_bytes())
    genomes = [b"".join(record.split(b"\n")[1:]).upper() for record in text.split(b">")[1:]]
    genomes = [genome for genome in genomes if len(genome) >= LETTERS]
    rng, found = np.random.default_rng(seed), list[bytes]()
    while len(found) < count:
        genome = genomes[rng.integers(len(genomes))]
        at = int(rng.integers(len(genome) - LETTERS + 1))
        read = genome[at : at + LETTERS]
        if not read.translate(None, b"ACGT"):
            found.append(read)
    return found


def meter_here() -> Meter:
    """Return the processors' counter of joules where it can be read; else CPU-seconds are counted.

    Cards are left aside: what is measured runs on processors.
    """
    try:
        return Meter("rapl")
    except CounterFault:
        return Meter("cpu")


def tuned(service: Service, cores: int, meter: Meter, seed: int, progress: Progress | None) -> Found:
    """Measure settings that a tuner asks for, then compare what it recommends with the default, by turns."""
    device = service.device(cores)
    space = Space(device.knobs())
    tuner = Tuner(space, "cost", [Constraint("latency_ms", LIMIT_MS)], seed=seed)
    unit = ""
    try:
        digests = []
        for index in range(len(space)):
            device.apply(space.setting(index))
            digests.append(service.digest())
        while len(tuner) < EVALUATIONS and not tuner.finished and (setting := tuner.ask()) is not None:
            work, seconds = at(service, device, setting)
            found = measure(work, meter=meter, error=0.02, max_seconds=SECONDS, window=WINDOW, warm=0)
            unit = found.unit
            tuner.tell(setting, {"cost": found.cost / len(service), "latency_ms": median_ms(seconds)})
            if progress is not None:
                progress("measuring settings of a search", len(tuner), EVALUATIONS)
        best, saving, latency = tuner.recommend(), None, (0.0, 0.0)
        default = tuner.evaluations[0].setting
        if best is not None and best.setting != default:
            (a, before), (b, after) = at(service, device, default), at(service, device, best.setting)
            saving = compare(a, b, meter=meter, rounds=ROUNDS, window=WINDOW, warm=0)
            latency = median_ms(before), median_ms(after)
    finally:
        device.restore()
    different = sum(digest != digests[space.default()] for digest in digests)
    return Found(tuner, meter.source, unit, different, best, saving, latency)


def at(service: Service, device: Call, setting: Setting) -> tuple[Callable[[], None], list[float]]:
    """Return what answers all reads at a setting, and where it puts the seconds of batches."""
    seconds: list[float] = []

    def work() -> None:
        device.apply(setting)
        seconds.extend(service.answer()[0])

    return work, seconds


def median_ms(seconds: list[float]) -> float:
    """Return a median in milliseconds."""
    return 1e3 * float(np.median(seconds))
