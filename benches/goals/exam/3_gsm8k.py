"""4,000 answers of four models to questions of GSM8K, with published labels.

labels: verdicts that are not the label; accuracies, Wilson's interval of the best, exact McNemar p-values of two pairs,
and intervals of their paired differences.

speed: a grade after a first pass over all, median; 2,500 answers; math-verify on the same answers in turn.

--planted grades responses without their last character.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from rows import Goal  # noqa: E402

from thrifty.exam.grading import grade_answer  # noqa: E402
from thrifty.stats import mcnemar, paired_difference, wilson  # noqa: E402

goal = Goal(__file__, __doc__, ("math-verify",))
WANTED = {"6b_finetuning": 0.219, "6b_verification": 0.400, "175b_finetuning": 0.348, "175b_verification": 0.574}
PAIRS = (
    ("175b_verification", "6b_verification", 6.900082441586875e-25, (14.181, 20.619)),
    ("6b_verification", "175b_finetuning", 0.002007770658613176, (1.972, 8.428)),
)
with goal.data("exam/gsm8k_model_outputs.jsonl").open(encoding="utf-8") as file:
    answers = [json.loads(line) for line in file]
texts = [(a["response"][:-1] if goal.planted else a["response"], a["gold"]) for a in answers]
found = [grade_answer(response, gold).verdict == "equal" for response, gold in texts]
by_model: dict[str, list[bool]] = defaultdict(list)
for answer, equal in zip(answers, found, strict=True):
    by_model[answer["model"]].append(equal)
if goal.wants("labels"):
    wrong = sum(equal != a["correct"] for a, equal in zip(answers, found, strict=True))
    goal.row("labels/wrong", f"{len(answers)} answers: verdicts that are not the published label", "== 0", wrong)
    off = max(abs(sum(by_model[name]) / len(by_model[name]) - share) for name, share in WANTED.items())
    goal.row("labels/accuracy", "four models: largest distance to the published accuracy", "<= 1e-9", off)
    best = by_model["175b_verification"]
    low, high = wilson(sum(best), len(best))
    off = max(abs(100 * low - 54.313), abs(100 * high - 60.431))
    goal.row("labels/wilson", "Wilson interval of the best, in points: distance to 54.313-60.431", "<= 1e-3", off)
    for one, other, p, ends in PAIRS:
        only = [
            sum(x and not y for x, y in zip(by_model[m], by_model[n], strict=True))
            for m, n in ((one, other), (other, one))
        ]
        ratio = abs(mcnemar(only[0], only[1]) / p - 1)
        goal.row(
            f"labels/mcnemar-{one}", f"{one} against {other}: p-value, relative distance to {p:.3g}", "<= 1e-9", ratio
        )
        _, low, high = paired_difference(only[1], only[0], len(by_model[one]))
        off = max(abs(100 * low - ends[0]), abs(100 * high - ends[1]))
        goal.row(
            f"labels/difference-{one}",
            f"{one} less {other}, interval in points: distance to {ends[0]}-{ends[1]}",
            "<= 1e-3",
            off,
        )
if goal.wants("speed"):
    clock = time.perf_counter
    ours: list[float] = []
    for response, gold in texts:
        begun = clock()
        grade_answer(response, gold)
        ours.append(clock() - begun)
    goal.row("speed/median", "a plain answer graded, median", "<= 20", 1e6 * statistics.median(ours), "us")
    begun = clock()
    for response, gold in texts[:2500]:
        grade_answer(response, gold)
    goal.row("speed/wall", "2,500 answers graded one after the other", "<= 1", clock() - begun, "s")
    try:
        from math_verify import parse, verify
    except ImportError:
        raise goal.absent("math-verify is not installed: pip install math-verify") from None
    pairs = [[], []]  # type: list[list[float]]
    agree = 0
    for response, gold in texts[:400]:
        begun = clock()
        theirs = verify(parse(gold), parse(response))
        middle = clock()
        mine = grade_answer(response, gold).verdict == "equal"
        pairs[0].append(middle - begun)
        pairs[1].append(clock() - middle)
        agree += theirs == mine
    goal.row("speed/agree", "math-verify gives the same verdict, share of 400", ">= 0.99", agree / 400)
    ratio = statistics.median(pairs[0]) / statistics.median(pairs[1])
    goal.row("speed/math-verify", "math-verify's median over ours, same answers in turn", ">= 10", ratio)
goal.end()
