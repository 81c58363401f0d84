"""Runs goal scripts: ``python benches/goals/run.py PART [ITEM] [--planted]``, or ``make goals PART=rambo ITEM=3``.

Each script prints JSON rows, which are kept in benches/results/goals.csv. Status 0: every figure is what was asked. 1:
one is not, or a script failed. With ``--planted`` every script must catch the fault that it plants.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rows import ABSENT

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the scripts one after the other, so that none disturbs another's clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part")
    parser.add_argument("item", nargs="?")
    parser.add_argument("--planted", action="store_true")
    parser.add_argument(
        "--table", action="store_true", help="print the rows that are kept, as Markdown, and run nothing"
    )
    arguments, rest = parser.parse_known_args()
    if arguments.table:
        from rows import latest

        print("| item | what | asked | reached | met | command |\n| --- | --- | --- | --- | --- | --- |")
        for row in latest():
            if row.part == arguments.part and arguments.item in (None, row.item):
                reached = f"{row.reached:g} {row.unit}".strip()
                command = f"`make goals PART={row.part} ITEM={row.item}`"
                met = "yes" if row.passed else "**no**"
                print(f"| {row.item} | {row.what} | {row.asked} | {reached} | {met} | {command} |")
        return 0
    pattern = f"{arguments.item or '[0-9]*'}_*.py"
    scripts = sorted((HERE / arguments.part).glob(pattern), key=lambda p: (int(p.stem.partition("_")[0]), p.stem))
    if not scripts:
        print(f"goals: no script {arguments.part}/{pattern}", file=sys.stderr)
        return 1
    failed, absent = [], []
    for script in scripts:
        print(f"== {arguments.part} {script.stem}", file=sys.stderr, flush=True)
        command = [sys.executable, str(script), *rest, *(["--planted"] if arguments.planted else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                show(line)
        if process.returncode:
            (absent if process.returncode == ABSENT else failed).append(script.stem)
    for title, names in (("failed", failed), ("not run", absent)):
        if names:
            print(f"goals: {title}: {', '.join(names)}", file=sys.stderr)
    print(f"goals: {len(scripts) - len(failed) - len(absent)} of {len(scripts)} scripts passed")
    return 1 if failed else 0


def show(line: str) -> None:
    """Print a row for people; anything else as it came."""
    try:
        row = json.loads(line)
        mark = "ok  " if row["passed"] else "FAIL"
        print(
            f"{mark} {row['item']:>3} {row['name']:<44} {row['reached']:>12g} {row['unit']:<10} asked {row['asked']}",
            flush=True,
        )
    except (ValueError, KeyError, TypeError):
        print(line, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
