"""1,140 MMLU questions against an endpoint with faults, by the command, undisturbed and killed ten times.

The endpoint takes 50 ms; 5 % of requests are refused (429 with Retry-After), 3 % fail (500), 2 % get half of the JSON,
1 % nothing at all, 1 % a body of 9 MB. Both runs have an endpoint of their own with the same seed.

whole: questions without an answer, and with two, in results and journal of the undisturbed run.

killed: the run is killed (kill -9) when its journal has grown to each of ten random lengths, and gone on with: whether
its results are the same bytes, questions lost and answered twice, and what was asked again.

again: a question is under way when its process is killed where the endpoint was asked it since the kill before, and the
journal has no answer. One such kill is worth one more good answer: questions that the endpoint answered more often.

--planted leaves an answer out of the results, writes one twice into the journal, and has one asked again.
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
from typing import Any
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
    records = [json.loads(line) for line in file]
#: Two questions may have one text, by which the endpoint counts.
ids = {text: {one["id"] for one in records if one["question"] == text} for text in (one["question"] for one in records)}


def run(folder: Path, kills: list[int]) -> int:
    """Run the command to its end in spite of kills; returns how many questions were asked again in vain."""
    address = folder / "address"
    server = [sys.executable, ROOT / "tests/exam/endpoint.py", address, "--faults", "--seed", str(goal.seed)]
    with subprocess.Popen(server) as serving:
        try:
            wait_for(address)
            url = address.read_text()
            command = [sys.executable, "-m", "thrifty", "exam", "run", str(data), "--endpoint", url, "--model", "small"]
            command += ["--out", str(folder / "run"), "--concurrency", str(AT_ONCE), "--timeout", "2", "--json"]
            may = Counter({text: len(names) for text, names in ids.items()})
            asked: dict[str, int] = {}
            for lines in kills:
                with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                    while process.poll() is None and journal(folder).count(b"\n") < lines:
                        time.sleep(0.005)
                    process.kill()
                before, asked = asked, {text: count for text, (count, _) in questions(url).items()}
                there = {values["id"] for values in kept(folder)}
                under_way = [text for text in asked if asked[text] > before.get(text, 0) and ids[text] - there]
                may.update(under_way)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = {text: answered for text, (_, answered) in questions(url).items()}
            if goal.planted:
                found[next(text for text in ids if may[text] == 1)] += 1
            return sum(found[text] > may[text] for text in ids)
        finally:
            serving.kill()


def questions(url: str) -> dict[str, list[int]]:
    """How often each question was asked, and how often answered."""
    with urlopen(f"{url.removesuffix('/v1')}/questions") as said:
        return dict(json.load(said))


def kept(folder: Path) -> list[dict[str, Any]]:
    """Answers that the journal has, whole lines alone."""
    whole = journal(folder).rpartition(b"\n")[0].splitlines()
    return [values for line in whole if (values := json.loads(line[18:]))["kind"] == "answer"]


def journal(folder: Path) -> bytes:
    path = folder / "run" / "journal.jsonl"
    return path.read_bytes() if path.exists() else b""


def counted(folder: Path) -> tuple[int, int]:
    """How many questions were lost, and how many answered twice."""
    results = (folder / "run" / "results.jsonl").read_text().splitlines()
    answers = kept(folder)
    if goal.planted:
        results.pop()
        answers.append(answers[-1])
    found = [json.loads(line) for line in results]
    whole = {values["id"] for values in found if values["status"] == "answered" and values["response"]}
    twice = sum(count > 1 for count in Counter(values["id"] for values in found).values())
    twice += sum(count > 1 for count in Counter(values["id"] for values in answers).values())
    return len({one["id"] for one in records} - whole), twice


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
        again = run(killed, sorted(int(lines) for lines in rng.integers(1, len(records), KILLS)))
        same = [(folder / "run" / "results.jsonl").read_bytes() for folder in (whole, killed)]
        lost, twice = counted(killed)
        goal.row("killed/same", f"killed {KILLS} times: results are other bytes", "== 0", same[0] != same[1])
        goal.row("killed/lost", f"killed {KILLS} times: lost", "== 0", lost)
        goal.row("killed/twice", f"killed {KILLS} times: answered twice", "== 0", twice)
        what = f"killed {KILLS} times: questions answered again more often than they were under way at a kill"
        goal.row("killed/again", what, "== 0", again)
goal.end()
