"""Warm starts from another card's table, and what is recommended where measurements are noisy.

warm: every problem of Zeus from the tables of every other card that ran the same job, 5 seeds: evaluations to within
1 % and those over the limit on the way, medians over seeds, beside a cold start of 20 seeds. wrong: the same from
tables whose energies are reversed, the setting of least energy having the most and so on. That another card's
watts count as shares of the largest was decided on these pairs; how far a table is believed, on the V100's.

noise: 2 % of log-normal noise on all that is measured, 20 evaluations, 20 seeds: how often the setting that is
recommended truly breaks the limit, and by how much more energy than the optimum it truly takes.

--planted believes reversed tables whatever is measured, and recommends the best that was seen.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if any(os.environ.get(name) != "1" for name in THREADS):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | THREADS)
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from cases.tables import Problem, zeus  # noqa: E402
from thrifty.throttle import Tuner  # noqa: E402
from thrifty.throttle.belief import Prior  # noqa: E402

goal = Goal(__file__, __doc__)
COLD, WARM, MOST = 20, 5, 60
NOISE, EVALUATIONS, SEEDS = 0.02, 20, 20


def search(problem: Problem, prior: Any, seed: int) -> Tuner:
    """A tuner that was told settings until one was good enough."""
    tuner = Tuner(problem.replay.space, problem.objective, [problem.limit], seed=seed, prior=prior)
    while len(tuner) < MOST and not (tuner.best and problem.found(tuner.best.measured[problem.objective])):
        setting = tuner.ask()
        assert setting is not None
        tuner.tell(setting, problem.replay.measure(setting))
    return tuner


def medians(problem: Problem, prior: Any, seeds: int) -> tuple[float, float]:
    """Evaluations, and those over the limit."""
    found = [search(problem, prior, seed) for seed in range(seeds)]
    return float(np.median([len(tuner) for tuner in found])), float(np.median([tuner.violations for tuner in found]))


def turned(problem: Problem) -> Any:
    """A table whose energies are reversed."""
    rows = problem.replay.rows()
    energies = np.array([measured[problem.objective] for _, measured in rows])
    order = np.argsort(energies)
    energies[order] = energies[order][::-1].copy()
    pairs = zip(rows, energies, strict=True)
    return [(setting, {**measured, problem.objective: float(energy)}) for (setting, measured), energy in pairs]


def warm(problems: list[Problem]) -> None:
    """Priors of other cards, right and wrong."""
    seeds = {one.name: np.array([len(search(one, None, seed)) for seed in range(COLD)]) for one in problems}
    cold = {name: float(np.median(counts)) for name, counts in seeds.items()}
    unlucky = np.mean([counts > np.median(counts) + 2 for counts in seeds.values()])
    pairs = [(other, one) for one in problems for other in problems if other.job == one.job and other is not one]
    for name, rows in (("warm", lambda other: other.replay.rows()), ("wrong", turned)):
        found = [(one.name, other.device, *medians(one, rows(other), WARM)) for other, one in pairs]
        counts = np.array([count for _, _, count, _ in found])
        more = [(f"{other} to {one}", count - cold[one]) for one, other, count, _ in found]
        over = [text for text, excess in more if excess > 2]
        plain = np.median([cold[one] for one, *_ in found])
        what = f"{len(found)} pairs of cards{', energies reversed' if name == 'wrong' else ''}"
        text = f"{what}: evaluations to within 1 %, median ({plain:g} cold)"
        goal.row(f"{name}/median", text, "<= 4" if name == "warm" else f"<= {plain + 2:g}", np.median(counts))
        text = f"{what}: of them over the limit, median"
        goal.row(f"{name}/broken", text, "<= 0" if name == "warm" else "<= 2", np.median([v for *_, v in found]))
        text = f"{what}: most evaluations above a cold start's; above 2 in {len(over)}: {', '.join(over)[:300]}"
        text += f"; of cold starts {unlucky:.0%} take more than 2 above their median"
        goal.row(f"{name}/worst", text, "<= 2", max(excess for _, excess in more))


def noise(problems: list[Problem]) -> None:
    """What is recommended, by what is true of it."""
    broken, regret = [], []
    for problem in problems:
        for seed in range(SEEDS):
            rng = np.random.default_rng((seed, 7))
            tuner = Tuner(problem.replay.space, problem.objective, [problem.limit], seed=seed)
            for _ in range(EVALUATIONS):
                setting = tuner.ask()
                assert setting is not None
                true = problem.replay.measure(setting)
                tuner.tell(setting, {k: v * math.exp(NOISE * rng.standard_normal()) for k, v in true.items()})
            found = tuner.best if goal.planted else tuner.recommend()
            if found is None:
                continue  # Nothing seemed to keep the limit, and nothing is recommended.
            true = problem.replay.measure(found.setting)
            broken.append(true[problem.limit.name] > problem.limit.upper)
            regret.append(true[problem.objective] / problem.optimum - 1)
    what = f"2 % of noise, 32 problems x {SEEDS} seeds, {len(broken)} recommended"
    goal.row("noise/broken", f"{what}: share that truly breaks the limit", "<= 0.05", float(np.mean(broken)))
    kept = [value for value, over in zip(regret, broken, strict=True) if not over]
    text = f"{what}: energy above the optimum, median of those that keep it (p90 {np.quantile(kept, 0.9):.3f})"
    goal.row("noise/regret", text, "<= 0.02", float(np.median(kept)))


if goal.planted:
    Prior.refuted = lambda self, name, x, values: False  # type: ignore[method-assign]
with tempfile.TemporaryDirectory() as temporary:
    problems = zeus(goal.data("polythrottle/zeus"), Path(temporary))
    if goal.wants("warm") or goal.wants("wrong"):
        warm(problems)
    if goal.wants("noise"):
        noise(problems)
goal.end()
