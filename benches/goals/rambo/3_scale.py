"""Scale sets of 100, 1,000, 10,000 documents of 20 kb and 100,000 of 2 kb, and the race against the peers.

Size, rate, speed, growth and build rate of our index at 12 and 15 bits an item, and how many times faster it answers
than COBS (compact or classic, whichever is faster) and SeqAn3's interleaved Bloom filter (3 or 4 hashes, likewise). All
answers are held to the exact truth. --only takes 100, 1000, 10000, 100000 or threads; growth needs all sizes in one
run. With --planted one document of the small set is indexed as another sequence: its k-mers must be found missing.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rows import Goal

import rambo
from cases import race, scale, search
from thrifty.rambo import RamboBuilder, RamboPlan

RATES = {"12 bits": (12.0, 3.5e-3), "15 bits": (15.0, 1e-3)}
"""Bits an item and rate of false positives that each operating point may take."""
ABSENT = {1_000: 7.0, 10_000: 2.0}
"""Million absent k-mers a second."""
BUILD = {1_000: 40.0, 10_000: 30.0}
"""Million k-mers a second."""
FASTER = {
    1_000: {
        "cobs": {"absent": 15, "present": 15, "reads": 4, "genes": 2, "wholes": 2},
        "ibf": {"absent": 2, "present": 2, "reads": 2.5},
    },
    10_000: {
        "cobs": {"absent": 25, "present": 25, "reads": 10, "genes": 8, "wholes": 8},
        "ibf": {"absent": 4, "present": 4, "reads": 8},
    },
}
"""How many times faster than a peer."""
SETS = {100: 20_000, 1_000: 20_000, 10_000: 20_000, 100_000: 2_000}
GROWTH = 3.5


def one_set(goal: Goal, bacteria: Path, count: int, length: int) -> dict[str, float]:
    """Run one size; returns the seconds of a query by workload at 12 bits."""
    peers = ["identity", "ibf", "bank", "cobs"] if count <= max(FASTER) else []
    with tempfile.TemporaryDirectory() as folder:
        results, left_out = rambo.contest(bacteria, count, length, peers, Path(folder), goal.seed)
    print(rambo.table(results, items := count * (length - search.K + 1)), file=sys.stderr)
    if not goal.planted:
        rambo.keep(results, count, length)
    if left_out:
        raise goal.absent("; ".join(left_out))
    ours = [r for r in results if r.contestant.name.startswith("rambo")]
    missed = sum(sum(r.missed.values()) for r in ours)
    goal.row(f"{count}/missed", f"{count:,} documents: due answers missed, all workloads", "== 0", missed)
    for r, (name, (bits, rate)) in zip(ours, RATES.items(), strict=True):
        reached = 8 * r.contestant.bytes / items
        goal.row(f"{count}/{name}/size", f"{count:,} documents, {name}: size", f"<= {bits}", reached, "bits/item")
        what = f"{count:,} documents, {name}: rate of false positives, absent k-mers"
        goal.row(f"{count}/{name}/rate", what, f"<= {rate}", r.rate["absent"])
    best = ours[0]
    if count not in FASTER:
        return best.contestant.seconds
    for workload, share in (("absent", 1.0), ("present", 0.8)):
        speed = 1e-6 / best.contestant.seconds[workload]
        what = f"{count:,} documents: {workload} single k-mers, one thread"
        goal.row(f"{count}/{workload}", what, f">= {share * ABSENT[count]:g}", speed, "M/s")
    built = 1e-6 * items / best.contestant.build_seconds
    goal.row(f"{count}/build", f"{count:,} documents: build, one thread", f">= {BUILD[count]:g}", built, "M k-mers/s")
    for peer, asked in FASTER[count].items():
        rivals = [r for r in results if r.contestant.name.startswith(peer)]
        for workload, times in asked.items():
            times_faster = min(r.contestant.seconds[workload] / r.contestant.beside[workload] for r in rivals)
            what = f"{count:,} documents, {workload}: times faster than {peer}"
            goal.row(f"{count}/{peer}/{workload}", what, f">= {times}", times_faster, "x")
        size = best.contestant.bytes / min(r.contestant.bytes for r in rivals)
        goal.row(f"{count}/{peer}/bytes", f"{count:,} documents: size, as a share of {peer}'s", "<= 1", size, "x")
        rate = best.rate["absent"] / min(r.rate["absent"] for r in rivals)
        goal.row(f"{count}/{peer}/rate", f"{count:,} documents: rate, as a share of {peer}'s", "<= 1", rate, "x")
    return best.contestant.seconds


def two_threads(goal: Goal, bacteria: Path) -> None:
    """Build with one and two threads in turn."""
    documents = [(f"{i:08d}", d) for i, d in enumerate(scale.documents(bacteria, 1_000))]
    plan = RamboPlan.for_documents(20_000, documents=1_000, fpr=rambo.FPR["12 bits"], multiplicity=2.2)
    spent: dict[int, list[float]] = {1: [], 2: []}
    for threads in (1, 2) * 11:
        begin = time.perf_counter()
        builder = RamboBuilder(plan)
        builder.add_many(documents, threads=threads)
        builder.freeze(threads=threads)
        spent[threads].append(time.perf_counter() - begin)
    speedup = statistics.median(spent[1]) / statistics.median(spent[2])
    goal.row("threads/build", "1,000 documents: build, 2 threads over 1", ">= 1.8", speedup, "x")


def main() -> None:
    """Print the rows."""
    goal = Goal(__file__, __doc__, ("cobs-reloaded",))
    bacteria = goal.data("rambo/bacteria")
    if goal.planted:
        documents = list(scale.documents(bacteria, 100))
        questions = search.ask(documents, singles=20_000, sequences={"reads": 1_000}, seed=goal.seed)
        truth = search.Truth(documents, questions)
        plan = RamboPlan.for_documents(20_000, documents=100, fpr=rambo.FPR["12 bits"])
        wrong = [documents[1][::-1], *documents[1:]]
        index = race.Ours("rambo", plan, wrong, questions)
        index.again(1)
        result = rambo.judged(truth, index.result())
        goal.row("100/missed", "one document indexed as another", "== 0", sum(result.missed.values()))
        goal.end()
    if goal.wants("threads"):
        two_threads(goal, bacteria)
    seconds = {
        count: one_set(goal, bacteria, count, length) for count, length in SETS.items() if goal.wants(str(count))
    }
    for count in list(seconds)[1:]:
        for workload in ("absent", "present"):
            times = seconds[count][workload] / seconds[count // 10][workload]
            what = f"{count // 10:,} to {count:,} documents, {workload}: time of a query grows"
            goal.row(f"growth/{count}/{workload}", what, f"<= {GROWTH}", times, "x")
    goal.end()


if __name__ == "__main__":
    main()
