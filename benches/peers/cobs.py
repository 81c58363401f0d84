"""COBS, the compact bit-sliced signature index, behind two functions: `build` and `query`.

It is asked through its Python module (cobs-reloaded on PyPI), which takes documents as FASTA files, holds all of an
index in memory where told to, and knows no setting for the threads of a query: `limit_threads` reaches for the one
that its command line has.

COBS counts all k-mers of a sequence, repeats included. It skips no window: letters other than A, C, G, T, lower case
among them, are A to a canonical index. So documents are cut there and everything is given in upper case; a query with
such letters can still get a few counts too many. Each query also leaks a counter a document, of 1, 2 or 4 bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cobs_index

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["build", "limit_threads", "query"]

Answer = tuple[list[str], list[int]]


def limit_threads(threads: int) -> bool:
    """Set how many threads a query uses (all cores by default); False where the module hides the variable.

    With more than one, a query of a single k-mer is mostly the handing over between threads.
    """
    try:
        variable = ctypes.c_uint.in_dll(ctypes.CDLL(cobs_index.__file__), "_ZN4cobs12gopt_threadsE")
    except (OSError, ValueError):
        return False
    variable.value = threads
    return True


def build(
    documents: dict[str, bytes],
    folder: str | os.PathLike[str],
    fpr: float = 0.01,
    hashes: int = 3,
    canonical: bool = True,
    k: int = 31,
    threads: int = 1,
    kind: Literal["compact", "classic"] = "compact",
) -> tuple[Path, float, float, int]:
    """Build an index.

    Parameters
    ----------
    documents : dict of str to bytes
        Sequences by name; a window with a letter other than A, C, G, T is no item.
    folder : path
        For the index, the documents as FASTA files, and what COBS prints (``cobs.log``).
    fpr, hashes : float, int
        Rate of false positives of the largest document of a page, and hash functions.
    canonical : bool
        Whether a k-mer and its reverse complement are one.
    kind : {"compact", "classic"}
        Pages of documents of like size, each as long as its largest needs (COBS's default), or one page for all, which
        answers faster and takes longer to build.

    Returns
    -------
    path : Path
        The index.
    seconds_wall, seconds_user : float
        Of the construction from the files, which are written before.
    bytes : int
        Size of the index.
    """
    folder = Path(folder)
    inputs = folder / "documents"
    shutil.rmtree(inputs, ignore_errors=True)
    inputs.mkdir(parents=True)
    runs = re.compile(b"[ACGT]{%d,}" % k)
    for i, sequence in enumerate(documents.values()):
        # Each run of letters is a record of its own: COBS would index windows over other letters too.
        records = (b">\n%b\n" % run for run in runs.findall(sequence.upper().translate(None, b"\r\n")))
        (inputs / f"{i:08d}.fa").write_bytes(b"".join(records) or b">\n")
    (folder / "cobs.json").write_text(json.dumps({"k": k, "names": list(documents)}))

    parameters = cobs_index.ClassicIndexParameters() if kind == "classic" else cobs_index.CompactIndexParameters()
    parameters.term_size = k
    parameters.canonicalize = int(canonical)
    parameters.num_hashes = hashes
    parameters.false_positive_rate = fpr
    parameters.num_threads = threads
    parameters.clobber = True
    construct = cobs_index.classic_construct if kind == "classic" else cobs_index.compact_construct
    path = folder / f"index.cobs_{kind}"
    with _printing_to(folder / "cobs.log"):
        cobs_index.disable_cache(True)  # else it writes a file beside each document
        limit_threads(threads)
        user = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        begin = time.perf_counter()
        construct(str(inputs), str(path), parameters, "fasta")
        wall = time.perf_counter() - begin
        user = resource.getrusage(resource.RUSAGE_SELF).ru_utime - user
    return path, wall, user, path.stat().st_size


def query(
    path: str | os.PathLike[str], sequences: list[bytes], theta: float, load: bool = True, rounds: int = 1
) -> tuple[list[Answer], list[float]]:
    """Ask an index that `build` made, with one thread.

    Parameters
    ----------
    sequences : list of bytes
        A single item is a sequence of k letters.
    theta : float
        Share of a sequence's k-mers, repeats included, that a document must hold; above 0.
    load : bool
        Whether the index is read into memory beforehand, or else mapped from its file.
    rounds : int
        How often all sequences are asked.

    Returns
    -------
    answers : list of (names, counts)
        All hits of each sequence, the best first.
    seconds : list of float
        One a round, for the calls alone: reading the index, decoding queries and taking names and counts out of
        COBS's objects are not in it.
    """
    if not theta > 0:
        raise ValueError(f"theta: {theta} is not possible; give a share above 0")
    if not limit_threads(1):
        raise RuntimeError("this build of cobs_index hides its number of threads: a query would use all cores")
    path = Path(path)
    known = json.loads((path.parent / "cobs.json").read_text())
    names, k = known["names"], known["k"]
    # COBS ends the process over a query that is shorter than k.
    asked = [i for i, sequence in enumerate(sequences) if len(sequence) >= k]
    texts = [sequences[i].upper().decode("ascii") for i in asked]
    with _printing_to(path.parent / "cobs.log"):
        index = cobs_index.Search(str(path), load)
    search = index.search
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        found = [search(text, theta) for text in texts]  # all hits: num_results is 0
        seconds.append(time.perf_counter() - begin)
    answers: list[Answer] = [([], []) for _ in sequences]
    for i, hits in zip(asked, found, strict=True):
        answers[i] = [names[int(hit.doc_name)] for hit in hits], [hit.score for hit in hits]
    return answers, seconds


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """COBS prints from C++ and has no switch for it: the process's own outputs go to a file meanwhile."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    sys.stderr.flush()
    libc.fflush(None)
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        libc.fflush(None)
        for target, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, target)
            os.close(descriptor)
