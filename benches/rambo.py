"""The race of rambo against its peers: ``python benches/rambo.py [--documents 1000] [--peers ibf,bank,cobs]``.

Documents are windows of real bacterial genomes (``cases/scale.py``); everything is asked with one thread, and answers
are held to the exact truth before a time is printed. Tables go to standard output, figures to benches/results. SeqAn3
(libseqan3-dev) and COBS (pip install cobs-reloaded) take part where they are installed; who is left out is said.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "peers"))
sys.path.insert(0, str(HERE / "goals"))

from rows import commit  # noqa: E402

from cases import race, scale, search  # noqa: E402
from thrifty.rambo import RamboPlan  # noqa: E402

if TYPE_CHECKING:
    from cases.race import Contestant

RESULTS = HERE / "results" / "rambo.json"
MULTIPLICITY = {100: 1.1, 1_000: 2.2, 10_000: 13.5, 100_000: 13.5}
"""Mean number of documents that hold an item, as measured on the sets."""
FPR = {"12 bits": 3.42e-3, "15 bits": 9.5e-4}
"""The operating points: planned rates, a little below those promised."""


@dataclass
class Result:
    """One contestant, judged."""

    contestant: Contestant
    missed: dict[str, int]
    rate: dict[str, float]


def questions_for(documents: list[bytes], seed: int) -> search.Questions:
    """Fewer questions where documents are many, so that the slowest peer takes seconds."""
    few = len(documents) >= 10_000
    return search.ask(
        documents,
        singles=50_000 if few else 200_000,
        sequences={"reads": 2_000, "genes": 200, "wholes": 20}
        if few
        else {"reads": 10_000, "genes": 1_000, "wholes": 100},
        seed=seed,
    )


def judged(truth: search.Truth, contestant: Contestant) -> Result:
    """Hold answers to the truth: missed documents, and the rate of false ones."""
    both = {w: truth.judge(w, keys, windows=contestant.windows) for w, keys in contestant.answers.items()}
    return Result(contestant, {w: b[0] for w, b in both.items()}, {w: b[1] for w, b in both.items()})


def binary(folder: Path) -> tuple[Path | None, str]:
    """The C++ peers, built."""
    import build

    built = build.build(folder / "peers")
    return (folder / "peers" if "ibf" in built.peers else None), built.missing


def contest(
    bacteria: Path, count: int, length: int, peers: list[str], folder: Path, seed: int
) -> tuple[list[Result], list[str]]:
    """Run one set: ours at both operating points and with a bucket a document, then the peers."""
    documents = list(scale.documents(bacteria, count, length))
    questions = questions_for(documents, seed)
    truth = search.Truth(documents, questions)
    items = len(documents[0]) - search.K + 1
    plans = {
        f"rambo, {name}": RamboPlan.for_documents(
            items, documents=count, fpr=fpr, multiplicity=MULTIPLICITY.get(count, 2.0)
        )
        for name, fpr in FPR.items()
    }
    first, *others = (race.Ours(name, plan, documents, questions) for name, plan in plans.items())
    turns = []
    for other in others:
        turns.append(lambda other=other: (other.again(5), other.result())[1])
    if "identity" in peers:
        plan = race.identity_plan(documents, 3, first.result().bytes * 8 // count)
        direct = race.Ours("R=1, B=K in our kernel", plan, documents, questions)
        turns.append(lambda: (direct.again(5), direct.result())[1])
    left_out = []
    if {"ibf", "bank"} & set(peers):
        program, missing = binary(folder)
        if program is None:
            left_out.append(missing)
        else:
            search.write(folder, documents, questions)
            # At COBS's rate, and at the rate that we promise: more hashes, more memory.
            for peer, hashes, fpr in (("ibf", "3", "0.01"), ("ibf", "4", "0.0035"), ("bank", "4", "0.0035")):
                if peer in peers:
                    run = (race.program, peer, program, folder, questions, "--hashes", hashes, "--fpr", fpr)
                    turns.append(functools.partial(*run))
    if "cobs" in peers:
        if importlib.util.find_spec("cobs_index") is None:
            left_out.append("cobs: not installed (pip install cobs-reloaded==0.1.1)")
        else:
            turns += [
                functools.partial(race.cobs, kind, folder, documents, questions) for kind in ("compact", "classic")
            ]
    results = []
    before = first.again(5)
    for turn in turns:
        contestant = turn()
        after = first.again(5)
        contestant.beside = {w: (before[w] + after[w]) / 2 for w in after}
        results.append(judged(truth, contestant))
        before = after
    ours = first.result()
    ours.beside = ours.seconds
    return [judged(truth, ours), *results], left_out


def table(results: list[Result], items: int) -> str:
    """A Markdown table; in parentheses how many times ours was faster just before and after."""
    workloads = list(results[0].contestant.seconds)
    lines = ["| | bits an item | build M/s | " + " | ".join(workloads) + " | rate, absent |"]
    lines.append("| --- " * (len(workloads) + 4) + "|")
    for r in results:
        c = r.contestant
        cells = [c.name, f"{8 * c.bytes / items:.1f}", f"{items / c.build_seconds / 1e6:.1f}"]
        cells += [f"{1 / s:,.0f}/s ({s / c.beside[w]:.1f}x)" for w, s in c.seconds.items()]
        lines.append("| " + " | ".join([*cells, f"{r.rate['absent']:.2e}"]) + " |")
    return "\n".join(lines)


def keep(results: list[Result], count: int, length: int) -> None:
    """Write the figures of a set to benches/results/rambo.json, beside those of the other sets."""
    every = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    every[str(count)] = {"length": length, "commit": commit(), "table": table(results, count * (length - search.K + 1))}
    every[str(count)]["contestants"] = {
        r.contestant.name: {
            "bytes": r.contestant.bytes,
            "build_seconds": r.contestant.build_seconds,
            "seconds": r.contestant.seconds,
            "ours_beside": r.contestant.beside,
            "missed": r.missed,
            "rate": r.rate,
        }
        for r in results
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(dict(sorted(every.items(), key=lambda e: int(e[0]))), indent=1) + "\n")


def bacteria(given: Path | None) -> Path | None:
    """Folder of the genomes that the sets are cut from."""
    folders = (
        [given] if given else [Path(os.environ.get("THRIFTY_DATA", "shared/data")), HERE.parents[1] / "shared/data"]
    )
    return next((f / "rambo/bacteria" for f in folders if (f / "rambo/bacteria").is_dir()), None)


def main() -> int:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", default="100,1000,10000", help="sizes, with commas")
    parser.add_argument("--length", type=int, default=20_000, help="letters of a document")
    parser.add_argument("--peers", default="identity,ibf,bank,cobs")
    parser.add_argument("--data", type=Path, help="folder of the data sets (or THRIFTY_DATA)")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    source = bacteria(arguments.data)
    if source is None:
        print("rambo: not run: no rambo/bacteria; give the folder of the data sets by --data or THRIFTY_DATA")
        return 3
    for count in map(int, arguments.documents.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            results, left_out = contest(
                source, count, arguments.length, arguments.peers.split(","), Path(folder), arguments.seed
            )
        print(f"\n## {count:,} documents of {arguments.length:,} letters\n")
        print(table(results, count * (arguments.length - search.K + 1)))
        for why in left_out:
            print(f"\nleft out: {why}")
        for r in results:
            if sum(r.missed.values()) and not r.contestant.windows:
                print(f"\n{r.contestant.name} MISSED documents: {r.missed}")
        keep(results, count, arguments.length)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
