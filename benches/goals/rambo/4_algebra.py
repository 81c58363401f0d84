"""Different ways to one index give the same bytes: fold, stack, add, threads, instruction sets; on the 367 viruses.

A figure is the number of bytes that differ. Folded rows are compared with those that a build of the folded shape and
partition sets, computed here without the library. Documents beyond the plan are judged by the rate that they leave.

--planted flips a bit of one side of every comparison, and folds the index whose rate is measured to half its rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _genomes import distinct, kmer_hashes, mutated, records, viruses
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.rambo import twin

from thrifty.rambo import RamboIndex, build, hash_items, plan_files
from thrifty.rambo.cluster import build_on_dask, connect
from thrifty.stats import clopper_pearson


def same(name: str, what: str, one: bytes, other: bytes) -> None:
    """Row of the bytes that differ."""
    a, b = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8).copy()
    if goal.planted:
        b[len(b) // 2] ^= 1
    common = min(len(a), len(b))
    differ = np.count_nonzero(a[:common] != b[:common]) + max(len(a), len(b)) - common
    goal.row(name, f"{what}: bytes that differ, of {len(a):,}", "== 0", differ, "bytes")


def write(path: Path, names: list[str]) -> Path:
    """Some of the viruses as one file."""
    path.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), GENOMES[n]) for n in names))
    return path


def answers(index: RamboIndex, threads: int) -> bytes:
    """Documents of k-mers, and hits of reads with their figures."""
    found = index.query_hashes(QUERIES, threads=threads)
    hits = index.search_many(READS, theta=0.3, threads=threads)
    return b"".join(part.tobytes() for part in found) + repr(hits).encode()


def bucket_rows(index: twin.Index, parts: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Packed rows of an index file; and those that its documents set, given their buckets and the shape."""
    seed, segments = index.meta["plan"]["seed"], index.meta["plan"]["segments"]
    there, computed = [], []
    for s, segment in enumerate(segments):
        names = [n for n, of in zip(index.names, index.segment_of, strict=True) if of == s]
        kmers = [KMERS[n] for n in names]
        for r, shape in enumerate(segment["repetitions"]):
            bits = np.zeros((shape["rows"], shape["buckets"]), bool)
            for bucket, items in zip(index.buckets[s][r], kmers, strict=True):
                for j in range(shape["hashes"]):
                    product = (items * np.uint64(twin.multiplier(seed, r, j))) >> np.uint64(12)
                    # product * rows >> 52 in two halves, as it has more than 64 bits
                    low = (product & np.uint64(2**26 - 1)) * np.uint64(shape["rows"]) >> np.uint64(26)
                    row = ((product >> np.uint64(26)) * np.uint64(shape["rows"]) + low) >> np.uint64(26)
                    bits[row, bucket] = True
            there.append(parts[f"{s}.rows.{r}"])
            computed.append(np.packbits(bits.ravel(), bitorder="little").tobytes().ljust(len(there[-1]), b"\0"))
    return b"".join(there), b"".join(computed)


def fold(folder: Path, fasta: Path) -> None:
    """Half the buckets, half the rows."""
    index = build(folder / "i", fasta, by="record", threads=1)
    segments = index.describe()["segments"]
    shared = max((s for s in segments if len(s["repetitions"]) > 1), key=lambda s: s["items"])
    largest = max(segments, key=lambda s: s["items"])
    for what, half in (("buckets", shared["buckets"] // 2), ("rows", largest["repetitions"][0]["rows"] // 2)):
        out = folder / what
        index.fold(out, **{what: half}, threads=1)
        before, after = twin.read(folder / "i"), twin.read(out)
        partition = []
        for s, segment in enumerate(after.meta["plan"]["segments"]):
            for r, shape in enumerate(segment["repetitions"]):
                partition.append((before.buckets[s][r] % shape["buckets"]).tobytes())
        of = b"".join(b.tobytes() for buckets in after.buckets for b in buckets)
        same(f"fold/{what}-partition", f"buckets of documents after a fold to half the {what}", b"".join(partition), of)
        same(f"fold/{what}", f"rows after a fold to half the {what}", *bucket_rows(after, twin.sections(out)))


def stack(folder: Path, fasta: Path) -> None:
    """Shards from two processes."""
    plan = plan_files(fasta, by="record", nodes=4, threads=1)
    build(folder / "whole", fasta, by="record", plan=plan, threads=1)
    with connect("local:2") as client, client.cluster:
        build_on_dask(client, folder / "dask", fasta, shards=4, by="record")
    what = "4 shards built on 2 Dask workers and stacked, against one two-level build"
    same("stack/dask", what, (folder / "whole").read_bytes(), (folder / "dask").read_bytes())


def add(folder: Path, fasta: Path) -> None:
    """Documents that the plan has room for, and documents that it has not.

    They come in random order: one group of near relatives after the other would be more alike than planned for a while.
    """
    names = RNG.permutation(list(GENOMES)).tolist()
    plan = plan_files(fasta, by="record", threads=1)
    build(folder / "whole", write(fasta, names), by="record", plan=plan, threads=1)
    grown = build(folder / "i", write(folder / "1.fa", names[:200]), by="record", plan=plan, threads=1)
    for at in (200, 300):
        grown = grown.add(write(folder / f"{at}.fa", names[at : at + 100]), threads=1)
    what = "200 documents and twice others added within the plan, against one build"
    same("add/within", what, (folder / "whole").read_bytes(), (folder / "i").read_bytes())
    grown = build(folder / "i", folder / "1.fa", by="record", threads=1)
    for at in (200, 300):
        grown = grown.add(folder / f"{at}.fa", threads=1)
    asked = grown.describe()["asked_fpr"]
    if goal.planted:
        largest = max(grown.describe()["segments"], key=lambda s: s["items"])
        grown = grown.fold(folder / "f", rows=largest["repetitions"][0]["rows"] // 2, threads=1)
    found = len(grown.query_hashes(ABSENT, threads=1)[1])
    _, upper = clopper_pearson(found, len(ABSENT) * len(grown), confidence=0.99)
    what = "rate after 167 documents were added beyond the plan, upper bound of its 99 % interval / promised"
    goal.row("add/beyond", what, "<= 1.2", upper / asked, "x")


def threads(folder: Path, fasta: Path) -> None:
    """One and two."""
    indexes = [build(folder / str(n), fasta, by="record", threads=n) for n in (1, 2)]
    same("threads/file", "built by 1 and by 2 threads", *((folder / n).read_bytes() for n in "12"))
    same("threads/answers", "asked by 1 and by 2 threads", *(answers(indexes[0], n) for n in (1, 2)))


def simd(folder: Path, fasta: Path) -> None:
    """Each instruction set that this machine has, in a process of its own."""
    run = [sys.executable, "-m", "thrifty"]
    reads = folder / "reads.fa"
    reads.write_bytes(b"".join(b">%d\n%s\n" % (i, r) for i, r in enumerate(READS)))
    made: dict[str, tuple[bytes, bytes]] = {}
    for path in ("scalar", "avx2", "avx512"):
        env, index = os.environ | {"THRIFTY_SIMD": path}, str(folder / "i")
        if subprocess.run([*run, "info"], env=env, capture_output=True, check=False).returncode:
            print(f"simd/{path}: not run: this machine has no such instructions", file=sys.stderr)
            continue
        command = [*run, "rambo", "build", index, str(fasta), "--by", "record", "--threads", "1"]
        subprocess.run(command, env=env, check=True, capture_output=True)
        command = [*run, "rambo", "query", index, str(reads), "--theta", "0.3", "--threads", "1", "--json"]
        answer = subprocess.run(command, env=env, check=True, capture_output=True).stdout
        made[path] = ((folder / "i").read_bytes(), answer)
        for kind, one, other in zip(("file", "answers"), made["scalar"], made[path], strict=True):
            if path != "scalar":
                same(f"simd/{path}-{kind}", f"{kind} of scalar code and of {path}", one, other)


if __name__ == "__main__":  # Dask imports this file into its workers
    goal = Goal(__file__, __doc__)
    GENOMES = dict(records(viruses(goal)))
    RNG = np.random.default_rng(goal.seed)
    KMERS = {name: kmer_hashes(sequence) for name, sequence in GENOMES.items()}
    ABSENT = RNG.integers(0, 2**64, 1_000_000, np.uint64)
    QUERIES = np.concatenate([ABSENT[:100_000], distinct(np.concatenate(list(KMERS.values())))[::10]])
    READS = [mutated(s[: 150 + 10 * i], 0.01, RNG) for i, s in enumerate(GENOMES.values())]
    assert np.isin(hash_items(READS[0])[0], kmer_hashes(READS[0])).all(), "items are hashed here as in the library"

    for part in (fold, stack, add, threads, simd):
        if goal.wants(part.__name__):
            with tempfile.TemporaryDirectory() as temporary:
                part(Path(temporary), write(Path(temporary) / "viruses.fa", list(GENOMES)))
    goal.end()
