"""What every goal script shares: its arguments, the judging of figures, and the rows that come of it.

A script measures, and says what was asked as text that :func:`holds` reads: ``>= 15``, ``<= 3.5e-3``, ``== 0`` or
``0.67..1.5``. Rows are judged here and nowhere else, printed as JSON lines, and kept in benches/results/goals.csv. With
``--planted`` the script plants a fault and must see a row fail; such rows are printed and not kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benches" / "results" / "goals.csv"
ABSENT = 3
"""Exit status of a script whose data or peers are not there."""


@dataclass(frozen=True)
class Row:
    """One figure beside what was asked of it."""

    part: str
    item: str
    name: str
    what: str
    asked: str
    reached: float
    unit: str
    passed: bool
    seconds: float
    seed: int
    commit: str
    where: str
    versions: str
    when: str


def holds(asked: str, reached: float) -> bool:
    """Whether a figure is what was asked; text that can't be read is an error."""
    number = r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?"
    if span := re.fullmatch(rf"({number})\.\.({number})", asked):
        return float(span[1]) <= reached <= float(span[2])
    bound = re.fullmatch(rf"(>=|<=|==) ({number})", asked)
    if bound is None:
        raise ValueError(f"asked: '{asked}' is none of '>= x', '<= x', '== x', 'x..y'")
    limit = float(bound[2])
    return {">=": reached >= limit, "<=": reached <= limit, "==": reached == limit}[bound[1]]


def commit() -> str:
    """The commit measured, with a + when files differ from it (results aside)."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", ".", ":!benches/results", ":!README.md", ":!docs/results.md"],
        capture_output=True,
        text=True,
        check=False,
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def versions(*packages: str) -> str:
    """Versions of Python, numpy, thrifty and what else was measured, and the processor."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("thrifty", "numpy", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    found["cpu"] = f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores"
    return json.dumps(found, sort_keys=True)


class Goal:
    """One script's run.

    Parameters
    ----------
    file : str
        The script's ``__file__``: its folder is the part, its name ``<item>_<name>.py``.
    doc : str
        The script's docstring; ends with what ``--planted`` does.
    packages : tuple of str
        Packages whose versions the rows name, besides thrifty and numpy.
    options : dict, optional
        Options of this script alone, as text: defaults by name; ``options`` holds what was given.
    """

    def __init__(
        self, file: str, doc: str | None, packages: tuple[str, ...] = (), options: dict[str, str] | None = None
    ) -> None:
        path = Path(file)
        self.part = path.parent.name
        self.item, _, self.script = path.stem.partition("_")
        parser = argparse.ArgumentParser(prog=path.stem, description=doc)
        parser.add_argument("--planted", action="store_true", help="plant a fault, and fail unless it is caught")
        parser.add_argument("--dry", action="store_true", help="print rows and keep none")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--data", type=Path, help="folder of the real data sets (or THRIFTY_DATA, or shared/data)")
        parser.add_argument("--only", help="run a part of the script: the part of a row's name before the first /")
        for name, default in (options or {}).items():
            parser.add_argument(f"--{name}", default=default, help=f"see above; {default}")
        arguments = parser.parse_args()
        self.options: dict[str, str] = {name: getattr(arguments, name) for name in options or {}}
        self.planted: bool = arguments.planted
        self._kept: bool = not (arguments.planted or arguments.dry)
        self.seed: int = arguments.seed
        self.only: str | None = arguments.only
        self._data: Path | None = arguments.data
        self._packages = packages
        self._begun = time.perf_counter()
        self._rows: list[Row] = []

    def wants(self, name: str) -> bool:
        """Whether ``--only`` leaves this part of the script in."""
        return self.only is None or self.only == name

    def data(self, name: str) -> Path:
        """Folder or file of a real data set; without it the script ends and says so."""
        given = (
            [self._data] if self._data else [Path(os.environ["THRIFTY_DATA"])] if "THRIFTY_DATA" in os.environ else []
        )
        for folder in given or [ROOT / "shared" / "data", ROOT.parent / "shared" / "data"]:
            if (folder / name).exists():
                return folder / name
        raise self.absent(f"no data set {name}; give its folder by --data or THRIFTY_DATA")

    def absent(self, why: str) -> SystemExit:
        """Say what is missing; raise what this returns."""
        print(f"{self.part} {self.item}_{self.script}: not run: {why}", file=sys.stderr)
        return SystemExit(ABSENT)

    def row(self, name: str, what: str, asked: str, reached: float, unit: str = "", where: str = "cpu") -> bool:
        """Judge a figure, print its row and keep it; returns whether it is what was asked."""
        now = time.perf_counter()
        row = Row(
            part=self.part,
            item=self.item,
            name=name,
            what=what,
            asked=asked,
            reached=float(f"{float(reached):.6g}"),
            unit=unit,
            passed=holds(asked, float(reached)),
            seconds=round(now - self._begun, 1),
            seed=self.seed,
            commit=commit(),
            where=where,
            versions=versions(*self._packages),
            when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        )
        self._begun = now
        self._rows.append(row)
        print(json.dumps(asdict(row)), flush=True)
        if self._kept:
            append(row)
        return row.passed

    def end(self) -> NoReturn:
        """Exit: 0 when all rows passed, or when a planted fault was caught."""
        if not self._rows:
            sys.exit(f"{self.part} {self.item}_{self.script}: no rows: nothing is called {self.only}")
        failed = [row.name for row in self._rows if not row.passed]
        if self.planted:
            print(f"planted fault {'caught by ' + ', '.join(failed) if failed else 'NOT caught'}", file=sys.stderr)
            sys.exit(0 if failed else 1)
        sys.exit(1 if failed else 0)


def append(row: Row) -> None:
    """Add a row to the results, with a header when they are new."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(row)), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow(asdict(row))


def latest(results: Path = RESULTS) -> list[Row]:
    """The last row of each figure, in the order of items and then of their first appearance."""
    if not results.exists():
        return []
    rows: dict[tuple[str, str, str], Row] = {}
    with results.open(newline="") as file:
        for r in csv.DictReader(file):
            values = dict(r) | {
                "reached": float(r["reached"]),
                "passed": r["passed"] == "True",
                "seconds": float(r["seconds"]),
                "seed": int(r["seed"]),
            }
            rows[r["part"], r["item"], r["name"]] = Row(**values)
    return sorted(rows.values(), key=lambda r: (r.part, int(re.match(r"\d+", r.item)[0])))  # type: ignore[index]
