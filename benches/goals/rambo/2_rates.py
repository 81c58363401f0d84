"""No k-mer is missed, and rates are what plan and index say: on 382 real documents and on a simulated set.

Every distinct k-mer of the collection is asked for, and every answer is held against the sorted (k-mer, document)
pairs, which are made without the library. Planned rates are means over the documents that do not hold the k-mer, by how
many of their segment do: product over repetitions of 1 - (1 - p)(1 - c)^V.

--planted builds one document from half of its letters, folds the index to half its rows, and names each document after
its neighbour where expected false positives are checked.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _genomes import contigs, documents, kmer_hashes, mutated, random_dna
from rows import ROOT, Goal

sys.path.insert(0, str(ROOT))
from tests.rambo.twin import sections

from thrifty.rambo import RamboIndex, build

goal = Goal(__file__, __doc__)
BATCH = 100_000
CLASSES = {"V=1": (1, 1), "V=2-5": (2, 5), "V=6-20": (6, 20), "V>20": (21, 10**6)}
READS, SINGLES = 5_000, 5_000
FEW = 100
"""Fewer false positives than this are judged by how many standard deviations the expectation is away from them."""


@dataclass
class Collection:
    """Documents by name, letters and k-mers, and an index of them."""

    name: str
    window: str
    letters: dict[str, bytes]
    kmers: dict[str, np.ndarray]
    index: RamboIndex


def real(folder: Path) -> Collection:
    """382 documents of 2 thousand to 5 million letters, a file each."""
    paths = documents(goal, folder)
    letters = {p.name.removesuffix(".gz").rpartition(".")[0]: contigs(p) for p in paths}
    if goal.planted:
        half = letters[paths[-1].stem]
        paths[-1].write_bytes(b">half\n" + half[: len(half) // 2])
    index = build(folder / "index", paths, threads=1)
    return Collection("real", "0.67..1.5", letters, {n: kmer_hashes(s) for n, s in letters.items()}, index)


def simulated(folder: Path) -> Collection:
    """1,000 documents of 5,000 random 31-mers, and pieces of 100 more that some of them share, a record each."""
    rng = np.random.default_rng(goal.seed)
    pieces = [[random_dna(5_030, rng)] for _ in range(1_000)]
    for least, most in ((2, 5), (6, 20), (21, 100)):
        for _ in range(100):
            piece = random_dna(130, rng)
            for d in rng.choice(1_000, rng.integers(least, most + 1), replace=False):
                pieces[d].append(piece)
    letters = {f"d{i}": b"N".join(of) for i, of in enumerate(pieces)}
    built = letters | ({"d0": letters["d0"][:2_500]} if goal.planted else {})
    fasta = folder / "simulated.fa"
    fasta.write_bytes(b"".join(b">%s\n%s\n" % (n.encode(), s) for n, s in built.items()))
    index = build(folder / "index", fasta, by="record", threads=1)
    return Collection("simulated", "0.77..1.3", letters, {n: kmer_hashes(s) for n, s in letters.items()}, index)


def segments(index: RamboIndex) -> np.ndarray:
    """The segment of each document, from the index file."""
    parts = sections(index.path)
    ends = np.frombuffer(parts["name_ends"], "<u4").tolist()
    names = [parts["names"][a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
    of = dict(zip(names, np.frombuffer(parts["segments"], "<u2").tolist(), strict=True))
    return np.array([of[name] for name in index.documents])


def planned_rates(index: RamboIndex) -> np.ndarray:
    """By segment and number of holders in it: the rate for a document there that is none of them."""
    holders = np.arange(len(index) + 1)
    table = []
    for segment in index.describe()["segments"]:
        hashes = sum(r["hashes"] for r in segment["repetitions"])
        factor = segment["planned_fpr"] ** (1 / hashes)
        kept = [(1 - factor ** r["hashes"]) * (1 - r["collision"]) ** holders for r in segment["repetitions"]]
        table.append(np.prod(1 - np.array(kept), axis=0))
    return np.array(table)


def rates(collection: Collection, asked: RamboIndex) -> None:
    """Rows of what is missed and of false positives by multiplicity, over all distinct k-mers."""
    name, index = collection.name, collection.index
    segment, table = segments(index), planned_rates(index)
    size, shape = np.bincount(segment), (len(index), len(table))
    hashes = np.concatenate([collection.kmers[n] for n in index.documents])
    owners = np.repeat(np.arange(len(index), dtype=np.uint16), [len(collection.kmers[n]) for n in index.documents])
    order = np.argsort(hashes)
    hashes, owners = hashes[order], owners[order]
    del order
    first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
    bounds = np.append(first, len(hashes))
    missed, false, planned = 0, np.zeros(len(first)), np.zeros(len(first))
    for a in range(0, len(first), BATCH):
        b = min(a + BATCH, len(first))
        own = owners[bounds[a] : bounds[b]]
        item = np.repeat(np.arange(b - a), np.diff(bounds[a : b + 1]))
        held = np.zeros((b - a, shape[0]), bool)
        held[item, own] = True
        starts, found = asked.query_hashes(hashes[first[a:b]], threads=1)
        answered = np.repeat(np.arange(b - a), np.diff(starts))
        right = held[answered, found]
        missed += len(own) - np.count_nonzero(right)
        false[a:b] = np.bincount(answered[~right], minlength=b - a)
        holders = np.bincount(item * shape[1] + segment[own], minlength=(b - a) * shape[1]).reshape(b - a, -1)
        planned[a:b] = ((size - holders) * table[np.arange(shape[1]), holders]).sum(axis=1)
    what = f"{name}: (k-mer, document) pairs not found, of {len(hashes):,}"
    goal.row(f"{name}/missed", what, "== 0", missed, "pairs")
    multiplicity = np.diff(bounds)
    for label, (least, most) in CLASSES.items():
        of = (multiplicity >= least) & (multiplicity <= most)
        what = f"{name}: rate for the {of.sum():,} k-mers of {label} documents in all others, measured / planned"
        goal.row(f"{name}/{label}", what, collection.window, false[of].sum() / planned[of].sum(), "x")


def absent(collection: Collection, asked: RamboIndex) -> None:
    """Rows of the rate for k-mers of no document, beside the plan's and beside that of the bits that are set."""
    queries = np.random.default_rng(goal.seed).integers(0, 2**64, 1_000_000, np.uint64)
    rate = len(asked.query_hashes(queries, threads=1)[1]) / len(queries) / len(asked)
    state = collection.index.describe()
    for label, field in (("absent", "planned_fpr"), ("absent-present", "fpr")):
        against = "planned" if field == "planned_fpr" else "told by the set bits"
        what = f"{collection.name}: rate for a million k-mers of no document, measured / {against}"
        goal.row(f"{collection.name}/{label}", what, collection.window, rate / state[field], "x")


def held(query: np.ndarray, document: np.ndarray) -> int:
    """How many of the query's items are among the document's, which are sorted."""
    at = np.searchsorted(document, query)
    return np.count_nonzero(document[np.minimum(at, len(document) - 1)] == query)


def expected(collection: Collection) -> None:
    """Rows of false positives that searches expected, over those that they had."""
    rng = np.random.default_rng(goal.seed)
    index, names = collection.index, collection.index.documents
    truth = collection.kmers
    if goal.planted:
        truth = dict(zip(names, [truth[n] for n in [*names[len(names) // 2 :], *names]], strict=False))
    reads = [random_dna(150, rng) for _ in range(READS // 5)]
    for d in rng.integers(0, len(names), READS - len(reads)):
        letters = collection.letters[names[d]]
        at = int(rng.integers(0, len(letters) - 150))
        reads.append(mutated(letters[at : at + 150], 0.01, rng))
    singles = list(rng.integers(0, 2**64, (SINGLES // 2, 1), np.uint64))
    singles += [rng.choice(collection.kmers[names[d]], 1) for d in rng.integers(0, len(names), SINGLES // 2)]
    kinds = {"reads": [kmer_hashes(r) for r in reads], "k-mers": singles, "absent": singles[: SINGLES // 2]}
    all_told, all_seen = dict.fromkeys(("documents", "items"), 0.0), dict.fromkeys(("documents", "items"), 0.0)
    for label, queries in kinds.items():
        of_items = of_documents = false_items = false_documents = 0.0
        ends = np.cumsum([len(q) for q in queries])
        for query, result in zip(queries, index.search_hashes(np.concatenate(queries), ends, threads=1), strict=True):
            of_documents += result.expected_false_documents
            for hit in result.hits:
                own = held(query, truth[hit.document])
                of_items += hit.expected_false
                false_items += hit.found - own
                false_documents += own == 0
        sums = {"documents": (of_documents, false_documents), "items": (of_items, false_items)}
        if label == "absent":
            del sums["items"]  # whether what was found is there at all is only known of a mixture
        for kind, (told, seen) in sums.items():
            of = f"{collection.name}: false {kind} expected over {len(queries):,} {label}"
            name = f"{collection.name}/expected-{label}-{kind}"
            if seen >= FEW:
                goal.row(name, f"{of} / the {seen:,.0f} seen", collection.window, told / seen, "x")
            else:
                away = abs(told - seen) / max(told, seen, 1) ** 0.5
                goal.row(name, f"{of} from the {seen:,.0f} seen", "<= 4", away, "standard deviations")
            if label != "absent":  # those are among the k-mers
                all_told[kind] += told
                all_seen[kind] += seen
    for kind, seen in all_seen.items():
        what = f"{collection.name}: false {kind} expected over all {READS + SINGLES:,} queries / the {seen:,.0f} seen"
        goal.row(f"{collection.name}/expected-{kind}", what, "0.8..1.2", all_told[kind] / max(seen, 1), "x")


for make in (real, simulated):
    if not goal.wants(make.__name__):
        continue
    with tempfile.TemporaryDirectory() as temporary:
        made = make(Path(temporary))
        whole = made.index.describe()["segments"][0]["repetitions"][0]["rows"]
        half = made.index.fold(Path(temporary) / "folded", rows=whole // 2, threads=1) if goal.planted else made.index
        rates(made, half)
        absent(made, half)
        expected(made)
        if make is real:
            what = "real: bits of the file a (document, distinct k-mer) pair, everything included"
            goal.row("real/bits", what, "<= 15.5", made.index.describe()["bits_per_item"], "bits")
goal.end()
