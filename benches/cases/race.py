"""The contestants of the search benches: build, ask, and say how long it took and what was answered."""

from __future__ import annotations

import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cases.search import DNA, THETA, K
from thrifty.rambo import RamboBuilder, RamboPlan, hash_many

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cases.search import Questions
    from thrifty.rambo import RamboIndex

PEERS = Path(__file__).resolve().parents[1] / "peers"


@dataclass
class Contestant:
    """What came of one: times are medians of rounds, of one thread."""

    name: str
    bytes: int
    build_seconds: float
    seconds: dict[str, float]
    """By workload, for one query."""
    answers: dict[str, NDArray[np.int64]]
    """By workload: query * documents + document, sorted."""
    windows: bool = False
    """Whether sequences are counted by windows, repeats included."""
    beside: dict[str, float] = field(default_factory=dict)
    """By workload, what a query took us just before and after."""


def _keys(starts: NDArray[Any], documents: NDArray[Any], count: int) -> NDArray[np.int64]:
    query = np.repeat(np.arange(len(starts) - 1), np.diff(starts.astype(np.int64)))
    return np.sort(query * count + documents.astype(np.int64))


def identity_plan(documents: list[bytes], hashes: int, rows: int) -> RamboPlan:
    """One repetition with a bucket a document: interleaved Bloom filters in our kernel."""
    plan = RamboPlan.for_documents(len(documents[0]), documents=len(documents), fpr=0.01)
    shape = json.loads(plan.core())
    segment = shape["segments"][0]
    segment["repetitions"] = [{"buckets": len(documents), "hashes": hashes, "rows": rows, "collision": 0.0}]
    segment["fpr"] = 0.01
    shape["segments"] = [segment]
    return RamboPlan.from_json(json.dumps(plan.to_dict() | {"plan": shape}))


class Ours:
    """Our index, built in memory from sequences with one thread, and how long it takes to answer.

    `again` may be called between the peers' turns, so that each is compared with rounds of its own time: machines are
    noisy over minutes.
    """

    def __init__(self, name: str, plan: RamboPlan, documents: list[bytes], questions: Questions) -> None:
        self.name, self._questions, self._documents = name, questions, len(documents)
        pairs = [(f"{i:08d}", d) for i, d in enumerate(documents)]
        begin = time.perf_counter()
        builder = RamboBuilder(plan)
        builder.add_many(pairs, threads=1)
        self._index = builder.freeze(threads=1)
        self.build_seconds = time.perf_counter() - begin
        self._number = np.array([int(n) for n in self._index.documents])
        self._spent: dict[str, list[float]] = {}
        self.answers: dict[str, NDArray[np.int64]] = {}

    def again(self, rounds: int) -> dict[str, float]:
        """Ask everything; the median seconds of a query in these rounds. Sequences are hashed on the clock."""
        out = {}
        for workload in (*self._questions.hashes, *self._questions.sequences):
            spent = []
            for _ in range(rounds):
                begin = time.perf_counter()
                if workload in self._questions.hashes:
                    hashes = self._questions.hashes[workload]
                    starts, ids = self._index.query_hashes(hashes, threads=1)
                else:
                    starts, ids = search(self._index, self._questions.sequences[workload])
                spent.append((time.perf_counter() - begin) / (len(starts) - 1))
            self.answers[workload] = _keys(starts, self._number[ids], self._documents)
            self._spent.setdefault(workload, []).extend(spent)
            out[workload] = statistics.median(spent)
        return out

    def result(self) -> Contestant:
        """Medians of all rounds."""
        seconds = {w: statistics.median(spent) for w, spent in self._spent.items()}
        return Contestant(self.name, self._index.describe()["bytes"], self.build_seconds, seconds, self.answers)


def search(index: RamboIndex, sequences: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Hash sequences and search for them."""
    hashes, ends, _ = hash_many(sequences, DNA)
    matches = index.match_hashes(hashes, ends, theta=THETA, threads=1)
    return matches.starts, matches.documents


def program(peer: str, binary: Path, folder: Path, questions: Questions, *sizing: str, rounds: int = 3) -> Contestant:
    """Run ``ibf`` or ``bank`` on the files in ``folder``."""
    out, answers = folder / f"{peer}.json", folder / f"{peer}.answers"
    answers.mkdir(exist_ok=True)
    command = [binary, peer, folder, *sizing, "--theta", THETA, "--singles", ",".join(questions.hashes)]
    if questions.sequences:
        command += ["--sequences", ",".join(questions.sequences)]
    command += ["--rounds", rounds, "--out", out, "--answers", answers]
    subprocess.run([str(c) for c in command], check=True)
    result = json.loads(out.read_text())
    seconds, found = {}, {}
    for workload, r in result["workloads"].items():
        seconds[workload] = statistics.median(r["seconds"]) / r["queries"]
        starts = np.fromfile(answers / f"{workload}.starts", np.int64)
        found[workload] = _keys(starts, np.fromfile(answers / f"{workload}.ids", np.uint32), questions.documents)
    return Contestant(f"{peer} h={sizing[1]}", result["bytes"], result["build_seconds"], seconds, found)


def cobs(kind: str, folder: Path, documents: list[bytes], questions: Questions, rounds: int = 3) -> Contestant:
    """COBS at a rate of 0.01 with 3 hashes, in a process of its own, since it leaks."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_cobs, kind, folder / kind, documents, questions, rounds).result()


def _cobs(kind: Any, folder: Path, documents: list[bytes], questions: Questions, rounds: int) -> Contestant:
    sys.path.insert(0, str(PEERS))
    import cobs as peer

    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{i:08d}": d for i, d in enumerate(documents)}
    path, _, user, size = peer.build(named, folder, fpr=0.01, hashes=3, k=K, kind=kind)
    seconds, answers = {}, {}
    for workload, sequences in {**questions.singles, **questions.sequences}.items():
        # A single k-mer is asked with a threshold of one window.
        found, spent = peer.query(path, sequences, THETA, rounds=rounds)
        seconds[workload] = statistics.median(spent) / len(sequences)
        keys = [i * len(documents) + int(n) for i, (names, _) in enumerate(found) for n in names]
        answers[workload] = np.sort(np.array(keys, np.int64))
    return Contestant(f"cobs {kind}", size, user, seconds, answers, windows=True)
