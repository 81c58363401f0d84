"""Verdicts of the rule grader beside labels that were given by hand.

dev: the 278 labelled pairs of grading_pairs_dev.jsonl, one of which is disputed; an abstention counts as wrong.

own: pairs of our own, of choices, numbers, units, dates, notations, lists, words, forms of answers, hostile text.

unseen: pairs by an author who had not seen the rules, kept from those who wrote them until they were done.

forms: the own pairs with their answers in seven other forms of response.

same: verdicts that differ between the main thread, 8 threads and another process.

swaps: 200 variants of dev with numbers, units and letters exchanged: the largest change of accuracy, the share of pairs
that any variant changed, and how many are called equal that are not, beside those of dev itself.

--planted compares the last words of both as text.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from rows import ROOT, Goal  # noqa: E402

from cases.swaps import exchange  # noqa: E402
from thrifty.exam.grading import grade_answer  # noqa: E402
from thrifty.exam.grading.extract import final_answer  # noqa: E402

goal = Goal(__file__, __doc__, ("sympy", "pint"))
VARIANTS = 200
FORMS = {
    "bare": "{}",
    "fields": "Explanation: Some reasoning in 3 steps, and (B) perhaps.\nExact Answer: {}\nConfidence: 85%",
    "bold": "Let me think about it.\n\n**Answer:** {}\n\n**Confidence:** 90%",
    "twice": "Final Answer: The final answer is {}. I hope it is correct.",
    "heading": "**Final Answer**\n\n{}\n",
    "inner": "Answer: **{}**\nConfidence: 50%",
    "hidden": "<think>Answer: 12345, or rather (K)?</think>\nAnswer: {}",
}


def pairs(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [pair for line in file if (pair := json.loads(line))["expected"] is not None]


def verdict(gold: str, response: str, answer_type: str = "exactMatch") -> str:
    if goal.planted:
        return "equal" if gold.split()[-1:] == response.split()[-1:] else "different"
    return grade_answer(response, gold, answer_type).verdict


def verdicts(items: list[dict[str, Any]]) -> list[str]:
    return [verdict(p["gold"], p["response"], p.get("answer_type", "exactMatch")) for p in items]


def right(items: list[dict[str, Any]], found: list[str]) -> float:
    return sum(v == ("equal" if p["expected"] else "different") for p, v in zip(items, found, strict=True)) / len(items)


def false_equal(items: list[dict[str, Any]], found: list[str]) -> int:
    return sum(v == "equal" and not p["expected"] for p, v in zip(items, found, strict=True))


dev = pairs(goal.data("exam/grading_pairs_dev.jsonl"))
own = pairs(ROOT / "tests" / "data" / "exam" / "grading_pairs.jsonl")
first = verdicts(dev)
if goal.wants("dev"):
    goal.row("dev/accuracy", f"{len(dev)} labelled pairs: share right", ">= 0.97", right(dev, first))
    goal.row("dev/equal", f"{len(dev)} labelled pairs: called equal and are not", "<= 2", false_equal(dev, first))
    share = first.count("abstain") / len(dev)
    goal.row("dev/abstain", f"{len(dev)} labelled pairs: share nobody decided", "<= 0.03", share)
if goal.wants("own"):
    found = verdicts(own)
    goal.row("own/accuracy", f"{len(own)} pairs of our own: share right", ">= 0.97", right(own, found))
    goal.row("own/equal", f"{len(own)} pairs of our own: called equal and are not", "<= 3", false_equal(own, found))
if goal.wants("unseen"):
    unseen = pairs(ROOT / "tests" / "data" / "exam" / "unseen_pairs.jsonl")
    found = verdicts(unseen)
    goal.row("unseen/accuracy", f"{len(unseen)} pairs kept apart: share right", ">= 0.92", right(unseen, found))
    what = f"{len(unseen)} pairs kept apart: called equal and are not"
    goal.row("unseen/equal", what, "<= 3", false_equal(unseen, found))
if goal.wants("forms"):
    bare = [p for p in own if p["response"].startswith("Answer: ") and "\n" not in p["response"]]
    turned = [p | {"response": form.format(p["response"][8:])} for form in FORMS.values() for p in bare]
    found = verdicts(turned)
    goal.row(
        "forms/accuracy", f"{len(turned)}: {len(bare)} of them in 7 forms: share right", ">= 0.97", right(turned, found)
    )
if goal.wants("same"):
    everything = dev + own
    here = verdicts(everything)
    with ThreadPoolExecutor(8) as pool:
        threads = list(pool.map(lambda p: verdicts([p])[0], everything))
    program = (
        "import json,sys; from thrifty.exam.grading import grade_answer\n"
        "print(json.dumps([grade_answer(r, g, t).verdict for r, g, t in json.load(sys.stdin)]))"
    )
    asked = [(p["response"], p["gold"], p.get("answer_type", "exactMatch")) for p in everything]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(asked),
        text=True,
        capture_output=True,
        check=True,
        env=os.environ,
    )
    other = json.loads(done.stdout)
    differing = sum(not a == b == c for a, b, c in zip(here, threads, other, strict=True))
    goal.row("same/differing", f"{len(everything)} pairs: verdicts that differ by thread or process", "== 0", differing)
if goal.wants("swaps"):
    base, worst = right(dev, first), 0.0
    falses: list[int] = []
    changed = [False] * len(dev)
    last = [(final_answer(p["gold"]).text, final_answer(p["response"]).text) for p in dev]
    for variant in range(VARIANTS):
        rng = random.Random(f"{goal.seed} {variant}")
        swapped = [
            p
            | dict(
                zip(
                    ("gold", "response"),
                    exchange(p["gold"], p["response"], end, rng, equal=p["expected"]),
                    strict=True,
                )
            )
            for p, end in zip(dev, last, strict=True)
        ]
        found = verdicts(swapped)
        worst = max(worst, abs(right(dev, found) - base))
        falses.append(false_equal(dev, found))
        changed = [
            was or (p["gold"], p["response"]) != (q["gold"], q["response"])
            for was, p, q in zip(changed, dev, swapped, strict=True)
        ]
    goal.row("swaps/change", f"{VARIANTS} variants of {len(dev)} pairs: largest change of accuracy", "<= 0.01", worst)
    goal.row("swaps/changed", f"{len(dev)} pairs: share that the variants changed", ">= 0.6", sum(changed) / len(dev))
    limit = 2 + false_equal(dev, first)
    goal.row(
        "swaps/equal",
        f"{VARIANTS} variants: called equal that are not, median",
        f"<= {limit}",
        statistics.median(falses),
    )
goal.end()
