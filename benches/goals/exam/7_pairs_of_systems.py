"""What is said of simulated pairs of systems, 2,000 of each kind: 400, 1,140 and 2,500 questions, agreement 90 %.

verdicts: identical systems must rarely be said to have lost, a loss of delta (1 point) rarely be called equivalent, a
loss of 3 points at 1,140 questions be found, and where 400 questions are too few, that be said.

clusters: the same where each question is asked 4 times and a system answers it alike or not; a loss must be found.

coverage: Wilson's interval, and that of clusters, over 2,000 simulated runs each.

--planted takes ten times the delta.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.exam import decide  # noqa: E402
from thrifty.stats import clustered_proportion, philox, wilson  # noqa: E402

goal = Goal(__file__, __doc__)
PAIRS, DIFFER, DELTA, SIZES = 2000, 0.1, 0.01, (400, 1140, 2500)
LOSS, ALIKE = 0.03, 0.75
delta = DELTA * 10 if goal.planted else DELTA


def systems(n: int, loss: float, stream: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Grades of pairs: both right, both wrong, or one of them."""
    rng = philox(goal.seed, stream)
    shares = np.cumsum([0.55, 0.45 - DIFFER, (DIFFER + loss) / 2])
    kinds = [np.searchsorted(shares, rng.random(n), side="right") for _ in range(PAIRS)]
    return [((kind == 0) | (kind == 2), (kind == 0) | (kind == 3)) for kind in kinds]


def said(n: int, loss: float, stream: int) -> Counter[str]:
    return Counter(decide(a, b, delta=delta).verdict for a, b in systems(n, loss, stream))


if goal.wants("verdicts"):
    for stream, n in enumerate(SIZES):
        alike, lost = said(n, 0.0, stream), said(n, DELTA, 10 + stream)
        what = f"{n:,} questions, identical systems: said to have lost"
        goal.row(f"verdicts/false_{n}", what, "<= 5", 100 * alike["lost accuracy"] / PAIRS, "%")
        what = f"{n:,} questions, a loss of delta: called equivalent"
        goal.row(f"verdicts/missed_{n}", what, "<= 5", 100 * lost["equivalent"] / PAIRS, "%")
        if n == 400:
            what = "400 questions, identical systems: said that nobody can tell"
            goal.row("verdicts/few", what, ">= 90", 100 * alike["cannot tell"] / PAIRS, "%")
    found = said(1140, LOSS, 20)["lost accuracy"]
    goal.row("verdicts/found", "1,140 questions, a loss of 3 points: found", ">= 80", 100 * found / PAIRS, "%")

if goal.wants("clusters"):
    words: dict[float, Counter[str]] = {0.0: Counter(), LOSS / ALIKE: Counter()}
    of = np.repeat(np.arange(1140), 4)
    for stream, (loss, counter) in enumerate(words.items()):
        rng = philox(goal.seed, 30 + stream)
        for a, b in systems(1140, loss, 40 + stream)[: PAIRS // 4]:
            # So often an answer is what it was the first time.
            again = [np.where(rng.random(4560) < ALIKE, np.repeat(y, 4), rng.random(4560) < 0.6) for y in (a, b)]
            counter[decide(*again, delta=delta, clusters=of).verdict] += 1
    share = 100 * words[0.0]["lost accuracy"] / (PAIRS // 4)
    goal.row("clusters/false", "1,140 questions 4 times, identical systems: said to have lost", "<= 5", share, "%")
    share = 100 * words[LOSS / ALIKE]["lost accuracy"] / (PAIRS // 4)
    goal.row(
        "clusters/found",
        "1,140 questions 4 times, a loss of 3 points: found",
        ">= 80",
        share,
        "%",
    )

if goal.wants("coverage"):
    rng = philox(goal.seed, 50)
    for n in SIZES:
        for p in (0.1, 0.6):
            inside = 0
            for right in rng.binomial(n, p, PAIRS).tolist():
                low, high = wilson(right, n)
                inside += low <= p <= high
            what = f"Wilson's interval, {n:,} questions, accuracy {p:g}: covers"
            goal.row(f"coverage/wilson_{n}_{round(100 * p)}", what, "0.93..0.97", inside / PAIRS)
        of, inside = np.repeat(np.arange(n // 4), 4), 0
        for _ in range(PAIRS):
            grades = rng.random(n // 4 * 4) < np.repeat(rng.beta(2, 2, n // 4), 4)
            found = clustered_proportion(grades, of)
            inside += found.low <= 0.5 <= found.high
        goal.row(f"coverage/clusters_{n}", f"{n // 4} questions 4 times: covers", "0.93..0.97", inside / PAIRS)
goal.end()
