"""Prints figures of goal scripts as one table: what ``make bench`` shows of parts whose goals are races."""

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


def main(doc: str | None, items: tuple[str, ...]) -> None:
    """Print the table of the items that the command line leaves in."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--items", default=",".join(items))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for item in arguments.items.split(","):
        found = sorted(GOALS.glob(f"{item}_*.py"))
        if not found:
            parser.error(f"--items: there is no {item}; {', '.join(items)}")
        for script in found:
            print(f"\n{script.stem}", flush=True)
            for row in rows(script, arguments.data, arguments.seed, arguments.keep):
                mark = "" if row["passed"] else "  (not reached)"
                print(f"  {row['reached']:>12} {row['unit']:<6} {row['asked']:<10} {row['what']}{mark}", flush=True)
