"""What suggested runs are worth: five of them beside five random ones of equal operations, in 100 synthetic studies.

A study has 20 runs with 1 % noise, of 2e7 to 1e9 parameters and 5 to 100 tokens each, from the published law of Epoch.
Five further runs are suggested from 576 candidates, for half of what the 20 took; the random fives take 0.8 to 1 times
that. The target is the optimum for ten times the operations of the largest run. predicted/: by how much the predicted
standard error at the target is less than with the median of 20 random fives, in the median study. found/: the five are
trained (with noise) and the law is fitted to all 25: root of the mean squared error at the target, as a share of that
with random fives.

--planted suggests the five that take the fewest operations.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.errors import NotIdentifiable  # noqa: E402
from thrifty.scaling import Runs, ScalingLaw, design, optimal  # noqa: E402

goal = Goal(__file__, __doc__, packages=("scipy",))
TRUTH = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}
STUDIES, NOISE = 100, 0.01
rng = np.random.default_rng(goal.seed)


def true(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    return TRUTH["E"] + TRUTH["A"] * n ** -TRUTH["alpha"] + TRUTH["B"] * d ** -TRUTH["beta"]


def trained(n: np.ndarray, d: np.ndarray) -> Runs:
    return Runs(n, d, true(n, d) * np.exp(NOISE * rng.standard_normal(len(n))))


def error(information: np.ndarray, aim: np.ndarray) -> float:
    return float(np.sqrt(aim @ np.linalg.solve(information, aim)))


sizes, ratios = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 2e9, 24), np.geomspace(2, 500, 24)))
candidates = Runs(sizes, sizes * ratios)
cost = 6 * candidates.n_params * candidates.n_tokens
cuts, ours, theirs, over = [], [], [], 0
while len(cuts) < STUDIES:
    n = np.exp(rng.uniform(np.log(2e7), np.log(1e9), 20))
    d = n * np.exp(rng.uniform(np.log(5), np.log(100), 20))
    runs = trained(n, d)
    try:
        law = ScalingLaw("chinchilla").fit(runs)
    except NotIdentifiable:
        continue
    budget = 0.5 * float((6 * n * d).sum())
    best = optimal(TRUTH, flops=10 * float((6 * n * d).max()))
    target = Runs(np.array([best.n_params]), np.array([best.n_tokens]))
    five = list(design(law, candidates, budget, target=target, count=5).chosen)
    if goal.planted:
        five = np.argsort(cost)[:5].tolist()
    over += cost[five].sum() > budget * (1 + 1e-9)
    randoms: list[np.ndarray] = []
    while len(randoms) < 20:
        some = rng.choice(len(sizes), 5, replace=False)
        if 0.8 * budget <= cost[some].sum() <= budget:
            randoms.append(some)
    known, each, aim = law.gradient(runs), law.gradient(candidates), law.gradient(target)[0]
    spread = [error(known.T @ known + each[some].T @ each[some], aim) for some in (five, *randoms)]
    cuts.append(1 - spread[0] / float(np.median(spread[1:])))
    for chosen, away in ((five, ours), (randoms[0], theirs)):
        more = trained(candidates.n_params[chosen], candidates.n_tokens[chosen])
        both = Runs(
            *(np.concatenate([getattr(r, name) for r in (runs, more)]) for name in ("n_params", "n_tokens", "loss"))
        )
        told = ScalingLaw("chinchilla").fit(both).loss_at(target)
        away.append(float(np.log(told / true(target.n_params, target.n_tokens))[0]))
goal.row(
    "predicted/cut", "standard error at the target less than with random runs, median of 100", ">= 0.3", np.median(cuts)
)
ratio = np.sqrt(np.mean(np.square(ours)) / np.mean(np.square(theirs)))
goal.row("found/error", "error of predictions once trained, as a share of that with random runs", "<= 0.9", ratio)
goal.row("found/budget", "of 100 suggestions, those that pass the budget", "== 0", over)
goal.end()
