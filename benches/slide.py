"""SLIDE beside its peers: nouns of WordNet, 670,091 labels and more, a language model of words, ranks on slow links.

The measurements are those of ``make goals PART=slide`` items 3, 4 and 6, and of PART=ranks item 2: ours and each peer
take the same inputs on one thread, answers are judged beside times, and CPU-seconds are compared (seconds over links).
This prints their figures as one table; ``--keep`` keeps them as ``make goals`` does. ``--items slide/3,slide/4`` leaves
some out; ``--data`` names the folder of the real data sets.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

GOALS = Path(__file__).resolve().parent / "goals"
ABSENT = 3


def rows(script: Path, data: Path | None, seed: int, keep: bool) -> list[dict[str, object]]:
    """Run a script and read its figures; says so where its data or peers are not there."""
    options = ["--seed", str(seed), *([] if keep else ["--dry"]), *(["--data", str(data)] if data else [])]
    done = subprocess.run([sys.executable, str(script), *options], stdout=subprocess.PIPE, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode not in (0, 1, ABSENT) or not (found or done.returncode == ABSENT):
        raise SystemExit(f"{script.name} ended with {done.returncode}")
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", default="slide/3,slide/4,slide/6,ranks/2")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for item in arguments.items.split(","):
        found = sorted(GOALS.glob(f"{item}_*.py"))
        if not found:
            parser.error(f"--items: there is no {item}; slide/3, slide/4, slide/6 and ranks/2")
        for script in found:
            print(f"\n{script.stem}", flush=True)
            for row in rows(script, arguments.data, arguments.seed, arguments.keep):
                mark = "" if row["passed"] else "  (not reached)"
                print(f"  {row['reached']:>12} {row['unit']:<6} {row['asked']:<10} {row['what']}{mark}", flush=True)


if __name__ == "__main__":
    main()
