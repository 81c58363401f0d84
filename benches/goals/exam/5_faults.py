"""1,140 MMLU questions against an endpoint with faults, by the command, undisturbed and killed ten times.

The endpoint takes 50 ms; 5 % of requests are refused (429 with Retry-After), 3 % fail (500), 2 % get half of the JSON,
1 % nothing at all, 1 % a body of 9 MB. Both runs have an endpoint of their own with the same seed.

whole: questions without an answer, and with two, in results and journal of the undisturbed run.

killed: the run is killed (kill -9) when its journal has grown to each of ten random lengths, and gone on with: whether
its results are the same bytes, questions lost and answered twice, and answers that were served again, a kill: those
under way, and those that waited for up to 50 ms to be synced.

--planted leaves an answer out of the results, and writes one twice into the journal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "benches" / "goals"), str(ROOT)]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402
from tests.command import wait_for  # noqa: E402

goal = Goal(__file__, __doc__, ("httpx",))
KILLS, AT_ONCE = 10, 16
data = goal.data("exam/mmlu_sample.jsonl")
with data.open(encoding="utf-8") as file:
    ids = [json.loads(line)["id"] for line in file]


def run(folder: Path, kills: list[int]) -> int:
    """Run the command to its end in spite of kills; returns how many whole answers were served."""
    address = folder / "address"
    server = [sys.executable, ROOT / "tests/exam/endpoint.py", address, "--faults", "--seed", str(goal.seed)]
    with subprocess.Popen(server) as serving:
        try:
            wait_for(address)
            url = address.read_text()
            command = [sys.executable, "-m", "thrifty", "exam", "run", str(data), "--endpoint", url, "--model", "small"]
            command += ["--out", str(folder / "run"), "--concurrency", str(AT_ONCE), "--timeout", "2", "--json"]
            for lines in kills:
                with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                    while process.poll() is None and journal(folder).count(b"\n") < lines:
                        time.sleep(0.005)
                    process.kill()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            with urlopen(f"{url.removesuffix('/v1')}/counts") as counts:
                return int(json.load(counts)["answered"])
        finally:
            serving.kill()


def journal(folder: Path) -> bytes:
    path = folder / "run" / "journal.jsonl"
    return path.read_bytes() if path.exists() else b""


def counted(folder: Path) -> tuple[int, int]:
    """How many questions were lost, and how many answered twice."""
    results = (folder / "run" / "results.jsonl").read_text().splitlines()
    lines = journal(folder).splitlines()
    if goal.planted:
        results.pop()
        lines.append(lines[-2])
    found = [json.loads(line) for line in results]
    kept = [values for line in lines if (values := json.loads(line[18:]))["kind"] == "answer"]
    whole = {values["id"] for values in found if values["status"] == "answered" and values["response"]}
    twice = sum(count > 1 for count in Counter(values["id"] for values in found).values())
    twice += sum(count > 1 for count in Counter(values["id"] for values in kept).values())
    return len(set(ids) - whole), twice


with tempfile.TemporaryDirectory() as temporary:
    whole, killed = Path(temporary, "whole"), Path(temporary, "killed")
    for folder in (whole, killed):
        os.mkdir(folder)
    run(whole, [])
    if goal.wants("whole"):
        lost, twice = counted(whole)
        goal.row("whole/lost", "1,140 questions, 12 % of requests fail: lost", "== 0", lost)
        goal.row("whole/twice", "1,140 questions, 12 % of requests fail: answered twice", "== 0", twice)
    if goal.wants("killed"):
        rng = np.random.Generator(np.random.Philox(goal.seed))
        answered = run(killed, sorted(int(lines) for lines in rng.integers(1, len(ids), KILLS)))
        same = [(folder / "run" / "results.jsonl").read_bytes() for folder in (whole, killed)]
        lost, twice = counted(killed)
        goal.row("killed/same", f"killed {KILLS} times: results are other bytes", "== 0", same[0] != same[1])
        goal.row("killed/lost", f"killed {KILLS} times: lost", "== 0", lost)
        goal.row("killed/twice", f"killed {KILLS} times: answered twice", "== 0", twice)
        again = (answered - len(ids)) / KILLS
        what = f"answers served again, a kill; {AT_ONCE} under way, 64 that wait to be synced at most"
        goal.row("killed/again", what, f"<= {AT_ONCE + 64}", again)
goal.end()
