"""4,000 bootstraps of the 240 runs: ends of the 95 % intervals beside those published, and equal for threads.

published: case bootstraps of five seeds; the worst end of each coefficient. threads: bytes of draws of 1, 2 and 5
threads, of all three kinds. missed: draws of which fits from a grid of their own end lower.

--planted draws runs from 200 of the 240, and seeds by threads.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.scaling import Runs, ScalingLaw  # noqa: E402
from thrifty.stats import bootstrap  # noqa: E402

goal = Goal(__file__, __doc__, packages=("scipy",))
with goal.data("scaling/chinchilla_245.csv").open(newline="") as lines:
    table = [row for row in csv.DictReader(lines) if row["epoch_excluded"] == "0"]
runs = Runs.of({name: [float(row[name]) for row in table] for name in ("n_params", "n_tokens", "loss")})
if goal.planted:
    runs = runs.take(np.arange(200))
law = ScalingLaw("chinchilla").fit(runs, groups=np.arange(len(runs)) // 4)

if goal.wants("published"):
    published = json.loads(goal.data("scaling/published_fits.json").read_text())["epoch_2024_notebook"]["ci95"]
    draws = [law.bootstrap(4000, seed=goal.seed + i) for i in range(5)]
    for name, ends in published.items():
        away = max(abs(np.array(one.interval(name)) / ends - 1).max() for one in draws)
        within = "<= 0.12" if name == "B" else "<= 0.05"
        goal.row(f"published/{name}", f"{name}: ends of the interval, five seeds, away from {ends}", within, away)

if goal.wants("threads"):
    for kind in ("case", "cluster", "residual"):
        several = [
            law.bootstrap(4000, seed=goal.seed + goal.planted * threads, kind=kind, threads=threads).values.tobytes()
            for threads in (1, 2, 5)
        ]
        goal.row(f"threads/{kind}", "4,000 draws of 1, 2, 5 threads: sets of bytes", "== 1", len(set(several)))

if goal.wants("missed"):
    counts = bootstrap(lambda counts: counts.T, len(runs), resamples=200, seed=goal.seed)
    theta = law.refit(counts)
    point = law._surface.at(theta)
    value = law._measure.rows(point.log, np.log(law.runs_.loss), counts)[0]
    found = [ScalingLaw("chinchilla").fit(law.runs_, sample_weight=some).objective_ for some in counts]
    below = int((np.array(found) * (0.999 if goal.planted else 1) < value * (1 - 1e-6)).sum())
    goal.row("missed/lower", "of 200 draws, those of which a whole fit ends lower", "<= 2", below)
goal.end()
