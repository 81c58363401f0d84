"""The demo's part exam, run as people run it, without what extras bring.

demo: exit status, seconds, and what its results.json says: the lower end of the interval of the PairLM's accuracy,
chance is 25; questions of the exam that stand in what the model learned from, and of those made of that text; the
verdict on the quantised twin. again: choices of the PairLM on a tenth of the questions, computed here from its scores
in float64, that are not the demo's; its calibration error, added up here. worse: the verdict when the twin is exchanged
for the smaller model, in a copy of the package.

``--planted``: the letters of each word of the held-back text are put in order, in a copy of the package's folder.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import demos
from rows import Goal

EVERY = 10


def records_of(house: Path) -> dict[str, Any]:
    """What the demo in a folder told."""
    (section,) = json.loads((house / "out" / "results.json").read_text())["sections"]
    return {record["id"].removeprefix("exam."): record for record in section["records"]}


def verdict_on(records: dict[str, Any], name: str) -> str:
    """Last column of a model's line."""
    return {row[0]: row[-1] for row in records["verdicts"]["rows"]}[name]


def differing(goal: Goal) -> int:
    """Choices that scores in float64 do not give."""
    from thrifty.pairconnect import PairLM
    from thrifty.pipeline import demo_exam

    exam = demo_exam.asked(0)
    graded = demo_exam.takes(exam, "PairLM", 1, None).graded
    file, _ = demo_exam.TAKERS["PairLM"]
    model = PairLM.load(demo_exam.novels() / f"{file}.safetensors")
    n, others = len(exam), 4

    def likelihood(context: str, option: str) -> float:
        ids, ends = model.encoding.encode((context + option).encode())
        first = int(np.searchsorted(ends, len(context.encode()), side="right"))
        scores = model.scores(ids, threads=1).astype(np.float64)
        logs = scores - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True))
        logs -= scores.max(1, keepdims=True)
        return float(sum(logs[i - 1, ids[i]] for i in range(first, len(ids))))

    different = 0
    for i in range(0, n, EVERY):
        item = exam.items[i]
        passages = [exam.items[(i + k * n // (others + 1)) % n].context for k in range(1, others + 1)]
        gains = [
            likelihood(item.context, option) - np.mean([likelihood(p, option) for p in passages])
            for option in item.options
        ]
        different += "ABCD"[int(np.argmax(gains))] != graded.answers[i].response
    return different


def recomputed() -> float:
    """The calibration error over all bins of 100, in points, as its definition reads."""
    from thrifty.pipeline import demo_exam

    graded = demo_exam.takes(demo_exam.asked(0), "PairLM", 1, None).graded
    pairs = sorted((answer.confidence, answer.correct) for answer in graded.answers)
    bins = [pairs[100 * i : 100 * (i + 1)] for i in range(len(pairs) // 100)]
    bins[-1] += pairs[100 * len(bins) :]
    errors = [len(one) * (sum(c - y for c, y in one) / len(one)) ** 2 for one in bins]
    return 100 * float(np.sqrt(sum(errors) / len(pairs)))


def main() -> None:
    goal = Goal(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        house = Path(folder) / "as it is"
        held = demos.copied(house) / "held-back.txt"
        if goal.planted:
            held.write_bytes(re.sub(rb"\w+", lambda word: bytes(sorted(word[0])), held.read_bytes()))
        begun = time.perf_counter()
        done = demos.demo("exam", house)
        seconds = time.perf_counter() - begun
        sys.stderr.write(done.stderr)
        goal.row("demo/status", "exit status of the demo without what extras bring", "== 0", done.returncode)
        if done.returncode:
            goal.end()
        goal.row("demo/seconds", "from start to end", "<= 20", seconds, "s")
        records = records_of(house)
        low, accuracy = records["accuracy"]["interval"][0], records["accuracy"]["value"]
        what = f"lower end of the interval of {accuracy:.1f} % right; chance is 25"
        goal.row("demo/low", what, ">= 25.0001", low, "%")
        found = records["contaminated"]
        goal.row("demo/clean", "questions that stand in what the model learned from", "== 0", found["value"])
        goal.row("demo/control", "of 50 questions made of that text, found in it", "== 50", found["baseline"])
        twin, small = (row[0] for row in records["verdicts"]["rows"])
        same = verdict_on(records, twin) in ("identical", "equivalent")
        goal.row(
            "demo/twin",
            f"whether the verdict on the quantised twin ({verdict_on(records, twin)}) is that it is as good",
            "== 1",
            same,
        )
        lost = verdict_on(records, small) == "lost accuracy"
        goal.row("demo/small", "whether the smaller model is found to be worse", "== 1", lost)
        away = abs(records["calibration"]["value"] - recomputed())
        goal.row("again/calibration", "calibration error, points, from that added up here: how far", "<= 1e-9", away)
        if not goal.planted:
            what = "of a tenth of the questions, choices that scores added up in float64 do not give"
            goal.row("again/choices", what, "== 0", differing(goal))
            worse = Path(folder) / "worse"
            demos.copied(worse)
            code = worse / "thrifty" / "pipeline" / "demo_exam.py"
            code.write_text(code.read_text().replace('("model", "i8")', '("small", "i8")'))
            done = demos.demo("exam", worse)
            changed = done.returncode == 0 and verdict_on(records_of(worse), twin) == "lost accuracy"
            goal.row("worse/verdict", "whether a worse model in the twin's place changes the verdict", "== 1", changed)
    goal.end()


if __name__ == "__main__":
    main()
