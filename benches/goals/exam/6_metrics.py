"""What measures and their resamples cost: 3,000 answers, as in the largest published version of the exam.

metrics: milliseconds of all measures, median of 200, of answers without ties and of answers in whole percents.

bootstrap: 200 resamples measured row by row too, largest difference; then seconds of 10,000 paired resamples of two
systems on 2 threads, the least of 5: all measures of both, and the calibration error alone.

--planted resamples answers with the grades of their neighbours.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.exam import metrics  # noqa: E402
from thrifty.exam.scoring.resampled import MEASURES, Resampled  # noqa: E402
from thrifty.stats import bootstrap  # noqa: E402

goal = Goal(__file__, __doc__)
N, RESAMPLES = 3000, 10_000
rng = np.random.default_rng(goal.seed)
LISTS = {
    "unique": [rng.beta(8, 2, N) for _ in range(2)],
    "percent": [rng.choice([0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 1.0], N) for _ in range(2)],
}
WORDS = {"unique": "without ties", "percent": "in whole percents"}
GRADES = [rng.random(N) < 0.12, rng.random(N) < 0.1]


def seconds(work: object, times: int) -> list[float]:
    out = []
    for _ in range(times):
        begun = time.perf_counter()
        work()  # type: ignore[operator]
        out.append(time.perf_counter() - begun)
    return out


def both(confidence: list[np.ndarray], names: tuple[str, ...] = MEASURES) -> object:
    """A statistic of pairs: the measures of both systems."""
    grades = [np.roll(y, 1) for y in GRADES] if goal.planted else GRADES
    first, second = (Resampled(c, y, names) for c, y in zip(confidence, grades, strict=True))
    return lambda counts: np.concatenate([first(counts), second(counts)], axis=1)


for kind, confidence in LISTS.items():
    if goal.wants("metrics"):
        median = 1e3 * float(np.median(seconds(lambda c=confidence[0]: metrics(c, GRADES[0]), 200)))
        goal.row(f"metrics/{kind}", f"all measures of 3,000 answers {WORDS[kind]}", "<= 1", median, "ms")
    if goal.wants("bootstrap"):
        seen = bootstrap(lambda counts: counts.T, N, resamples=200, seed=goal.seed).astype(int)
        found = bootstrap(both(confidence), N, resamples=200, seed=goal.seed)  # type: ignore[arg-type]
        away = 0.0
        for counts, row in zip(seen, found, strict=True):
            slow = [
                metrics(np.repeat(c, counts), np.repeat(y, counts)) for c, y in zip(confidence, GRADES, strict=True)
            ]
            for i, name in enumerate(MEASURES * 2):
                # Of ties, resamples have what an even share gives, where the published estimator has an order.
                if kind == "unique" or name != "rmsce_hle":
                    away = max(away, abs(row[i] - getattr(slow[i // len(MEASURES)], name)))
        goal.row(f"bootstrap/{kind}_same", f"resamples measured row by row, {WORDS[kind]}", "<= 1e-9", away)
        for name, names, asked in (("all", MEASURES, "<= 1.5"), ("rmsce", ("rmsce",), "<= 0.25")):
            statistic = both(confidence, names)
            least = min(seconds(lambda s=statistic: bootstrap(s, N, resamples=RESAMPLES, threads=2), 5))
            what = "all measures" if name == "all" else "the calibration error alone"
            goal.row(f"bootstrap/{kind}_{name}", f"10,000 paired resamples, {what}, {WORDS[kind]}", asked, least, "s")
goal.end()
