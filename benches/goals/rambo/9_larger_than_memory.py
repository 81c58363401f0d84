"""An index of 2 GB: asked within a smaller limit of memory, by two processes at once, and as fast as memory allows.

1,000 documents of random sequences as long as small genomes, at the default rate. Processes that map the file answer
under an RLIMIT_DATA of a quarter of it, as the loaded index does. Their private memory is what is dirty and theirs
alone (Private_Dirty of smaps_rollup): pages of the file that they only read belong to the system, which may drop them
at any time. That two processes share those pages shows in Pss, where a page counts for each process by its share.

Cache lines a second are items a second times the lines of an item (``lines_per_item``): single items ask memory for the
rows of all repetitions before they look at the first. Beside them stands the bare loop of
rust/base/examples/random_lines.rs over the same file, held in the same way; queries and loop take turns on one thread.
Run this alone: where others keep the memory busy, both are slower and the share is higher.

``--planted``: the processes load the file instead of mapping it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

from thrifty.rambo import RamboBuilder, RamboIndex, RamboPlan, hash_items

DOCUMENTS, LETTERS = 1_000, 1_150_000
BATCH = 20
ASKED = 400_000
ROUNDS = 15


def letters(seed: int, document: int) -> bytes:
    """A random document."""
    rng = np.random.default_rng([seed, document])
    return np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, LETTERS, np.uint8)].tobytes()


def write(path: Path, seed: int) -> None:
    """Build the index."""
    builder = RamboBuilder(RamboPlan.for_documents(LETTERS, documents=DOCUMENTS, fpr=1e-3))
    for first in range(0, DOCUMENTS, BATCH):
        builder.add_many([(f"d{d}", letters(seed, d)) for d in range(first, first + BATCH)])
    builder.freeze(path)


def questions(seed: int) -> dict[str, np.ndarray]:
    """Items of no document, and items of documents in random order."""
    rng = np.random.default_rng(seed)
    some = rng.choice(DOCUMENTS, 100, replace=False)
    held = np.concatenate([hash_items(letters(seed, int(d)))[0][: ASKED // 100] for d in some])
    return {"absent": rng.integers(0, 2**64, ASKED, np.uint64), "present": rng.permutation(held)}


def answers(index: RamboIndex, asked: dict[str, np.ndarray]) -> list[str]:
    """What the index answers, in short."""
    found = [index.query_hashes(hashes, threads=1) for hashes in asked.values()]
    return [hashlib.sha256(starts.tobytes() + documents.tobytes()).hexdigest() for starts, documents in found]


def memory() -> dict[str, int]:
    """Bytes of this process by kind."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {name.strip(): 1024 * int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines)}


def child(path: Path, load: bool, limit: int | None, asked: dict[str, np.ndarray], pipe: Any) -> None:
    """Open the index, say what it answers, on a word what memory that took, and stay until the pipe is closed."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    index = RamboIndex.open(path, load=load)
    pipe.send(answers(index, asked))
    pipe.recv()
    pipe.send(memory())
    pipe.poll(None)  # the others share pages with this one as long as it is here


def ask_in_processes(
    count: int, path: Path, load: bool, limit: int | None, asked: dict[str, np.ndarray]
) -> list[tuple[list[str], dict[str, int]]]:
    """Answers and memory of processes that have all asked before any ends; nothing of one that failed."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(count):
        here, there = context.Pipe()
        process = context.Process(target=child, args=(path, load, limit, asked, there))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    try:
        said = [pipe.recv() for pipe in pipes]
        used = []
        for pipe in pipes:
            pipe.send("now")
            used.append(pipe.recv())
    except EOFError:
        said, used = [], []
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.close()
        process.join()
    return list(zip(said, used, strict=True))


def share_of_bare(index: RamboIndex, mode: str, hashes: np.ndarray) -> tuple[float, float, float]:
    """Lines a second of queries as a share of the bare loop's, and both: medians of rounds in which they take turns."""
    program = ROOT / "target" / "release" / "examples" / "random_lines"
    lines = index.describe()["lines_per_item"] * len(hashes)
    ours, bare = [], []
    with subprocess.Popen(
        [program, str(index.path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as loop:
        assert loop.stdin is not None
        assert loop.stdout is not None
        loop.stdout.readline()
        for _ in range(ROUNDS):
            loop.stdin.write("\n")
            bare.append(float(loop.stdout.readline()))
            started = time.perf_counter()
            index.query_hashes(hashes, threads=1)
            ours.append(lines / (time.perf_counter() - started))
        loop.stdin.close()
    return median(a / b for a, b in zip(ours, bare, strict=True)), median(ours), median(bare)


def main() -> None:
    goal = Goal(__file__, __doc__)
    cargo = ["cargo", "build", "--quiet", "--release", "--package", "thrifty-base", "--example", "random_lines"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        write(path, goal.seed)
        size = path.stat().st_size
        goal.row("size", "size of the index file", ">= 2", size / 1e9, "GB")
        asked = questions(goal.seed)
        loaded = RamboIndex.open(path, load=True)
        right = answers(loaded, asked)
        within = ask_in_processes(1, path, goal.planted, size // 4, asked)
        goal.row(
            "limit/answers",
            f"batches of {ASKED:,} items answered alike under RLIMIT_DATA of a quarter of the file and in memory",
            f"== {len(right)}",
            sum(a == b for said, _ in within for a, b in zip(said, right, strict=True)),
        )
        both = ask_in_processes(2, path, goal.planted, None, asked)
        goal.row(
            "two/answers",
            "batches answered alike by two processes at once",
            f"== {2 * len(right)}",
            sum(a == b for said, _ in both for a, b in zip(said, right, strict=True)),
        )
        private = max((used["Private_Dirty"] for _, used in both), default=size)
        goal.row("two/private", "private memory of a process, as a share of the file", "<= 0.1", private / size)
        rss = [used["Rss"] for _, used in both]
        goal.row("two/touched", "memory that a process has touched, as a share of the file", ">= 0.9", min(rss) / size)
        goal.row(
            "two/shared",
            "memory of both processes together over that of one (2: nothing is shared)",
            "<= 1.2",
            sum(used["Pss"] for _, used in both) / max(rss),
        )
        mapped = RamboIndex.open(path)
        mapped.verify()  # reads every page once
        for index, mode in ((loaded, "load"), (mapped, "map")):
            for kind, hashes in asked.items():
                share, ours, bare = share_of_bare(index, mode, hashes)
                held = "loaded" if mode == "load" else "mapped"
                rates = f"{ours / 1e6:.3g} of {bare / 1e6:.3g} M"
                what = f"random cache lines a second, file {held}, items {kind}, over a bare loop's ({rates})"
                goal.row(f"lines/{mode}_{kind}", what, ">= 0.5", share)
    goal.end()


if __name__ == "__main__":
    main()
