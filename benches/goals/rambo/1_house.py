"""The README's two commands, in a fresh clone with an empty environment.

The commit at hand is cloned into a temporary folder for each. The commands see cargo and python3 on PATH and nothing of
this environment; crates and wheels that were downloaded before may come from the caches of cargo and pip. demo: ``make
demo`` from nothing, then the demo alone once more; what it tells is read from its results.json and from the index that
it made. test: ``make test`` from nothing.

``--planted``: the genomes that ship in the package are cut to the first 100; ``make test`` is left out.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from rows import ROOT, Goal

DROPPED = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CARGO_TARGET_DIR", "MAKEFLAGS", "MAKELEVEL", "PYTHON", "VENV")


def plain() -> dict[str, str]:
    """This process's environment without what a virtual environment or a running make put there."""
    env = {name: value for name, value in os.environ.items() if name not in DROPPED}
    own = {Path(sys.prefix) / "bin", Path(sys.executable).parent} if sys.prefix != sys.base_prefix else set()
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if p and Path(p) not in own)
    return env


def timed(command: list[str], folder: Path) -> tuple[int, float]:
    """Exit status and seconds of a command; the end of what it printed is shown when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=plain(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr)
    return done.returncode, seconds


def demo(goal: Goal, house: Path) -> None:
    status, seconds = timed(["make", "demo"], house)
    goal.row("demo/status", "exit status of make demo", "== 0", status)
    goal.row("demo/cold", "make demo from nothing", "<= 480", seconds, "s")
    out = house / "demo-out"
    goal.row(
        "demo/files",
        "of report.html and results.json, written",
        "== 2",
        sum((out / name).is_file() for name in ("report.html", "results.json")),
    )
    if status:
        return
    bin_ = house / ".venv" / "bin"
    status, seconds = timed([str(bin_ / "thrifty"), "demo", "--out", "again"], house)
    goal.row("demo/alone", "the demo's own run", "<= 180", seconds if status == 0 else float("inf"), "s")
    inspect = [bin_ / "thrifty", "rambo", "inspect", out / "viruses.rambo", "--json"]
    index = json.loads(subprocess.run(inspect, env=plain(), capture_output=True, check=True).stdout)
    goal.row("demo/documents", "genomes in its index", ">= 367", index["documents"])
    sections = json.loads((out / "results.json").read_text())["sections"]
    records = {record["id"]: record for section in sections for record in section["records"]}
    goal.row("demo/missed", "31-mers of its genomes that it missed", "== 0", records["rambo.missed"]["value"])
    rate = records["rambo.fpr"]
    goal.row("demo/rate", "measured / planned rate of false positives", "0.67..1.5", rate["value"] / rate["baseline"])


def clone(folder: Path) -> Path:
    """The commit at hand, and nothing that was built from it."""
    subprocess.run(["git", "clone", "--quiet", "--local", ROOT, folder], env=plain(), check=True)
    return folder


def main() -> None:
    goal = Goal(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        if goal.wants("demo"):
            house = clone(Path(folder) / "demo")
            if goal.planted:
                genomes = house / "python" / "thrifty" / "data" / "rambo" / "viruses.fasta.xz"
                records = lzma.decompress(genomes.read_bytes()).split(b">")
                genomes.write_bytes(lzma.compress(b">".join(records[:101])))
            demo(goal, house)
        if goal.wants("test") and not goal.planted:
            status, seconds = timed(["make", "test"], clone(Path(folder) / "test"))
            goal.row("test/status", "exit status of make test", "== 0", status)
            goal.row("test/cold", "make test from nothing", "<= 25", seconds / 60, "min")
    goal.end()


if __name__ == "__main__":
    main()
