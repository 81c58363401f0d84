"""Whether intervals hold what they say: 1,000 tables of a known law, and tables whose runs hang together.

apart: 60 runs of models and tokens drawn from a published table, losses of its published law with noise of 1 %: each
coefficient's interval, that of the law at 70e9 parameters and 1.4e12 tokens, and that of a new run there.

residual: such tables, and 200 draws of residuals each: what the fit leaves of the others where it goes through some.

groups: 10 models of 10 checkpoints each, as below, and the profile of each coefficient.

together: 20 models of 10 checkpoints each, which share an error of 1 % beside 0.2 % of their own; the law at the same
place by 200 draws of runs, and of models with all their checkpoints, and by the law's own interval.

--planted takes intervals of a level of 0.8 for those of 0.95.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.scaling import Runs, ScalingLaw, read_runs  # noqa: E402
from thrifty.stats import philox  # noqa: E402

goal = Goal(__file__, __doc__, ("scipy",), {"tables": "1000", "clusters": "150", "draws": "200", "residuals": "400"})
LEVEL = 0.8 if goal.planted else 0.95
TRUE = {"E": 1.817218, "A": 477.8258, "B": 2143.4176, "alpha": 0.3473105, "beta": 0.3671724}
FAR = {"n_params": [70e9], "n_tokens": [1.4e12]}


def told(n: np.ndarray, d: np.ndarray) -> np.ndarray:
    return TRUE["E"] + TRUE["A"] * n ** -TRUE["alpha"] + TRUE["B"] * d ** -TRUE["beta"]


there = float(told(np.array(70e9), np.array(1.4e12)))
runs = read_runs(goal.data("scaling/chinchilla_245.csv"), where=(("epoch_excluded", "0"),))

if goal.wants("apart"):
    held: dict[str, list[bool]] = {name: [] for name in (*TRUE, "law", "run")}
    for table in range(int(goal.options["tables"])):
        rng = philox(goal.seed, 1, table)
        rows = rng.permutation(len(runs))[:60]
        n, d = runs.n_params[rows], runs.n_tokens[rows]
        loss = told(n, d) * np.exp(rng.normal(0, 0.01, 60))
        law = ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss})
        for name, value in TRUE.items():
            low, high = law.interval(name, LEVEL)
            held[name].append(low <= value <= high)
        of_law, of_run = law.predict(FAR, LEVEL, of="law"), law.predict(FAR, LEVEL)
        held["law"].append(of_law.lo[0] <= there <= of_law.hi[0])
        new = there * np.exp(rng.normal(0, 0.01))
        held["run"].append(of_run.lo[0] <= new <= of_run.hi[0])
    for name, each in held.items():
        what = {"law": "the law at 70e9, 1.4e12", "run": "a new run there"}.get(name, f"{name}")
        asked = "0.92..0.98"
        goal.row(f"apart/{name}", f"95 % intervals of {len(each)} tables of 60 runs hold {what}", asked, np.mean(each))

if goal.wants("residual"):
    held = {name: [] for name in ("E", "alpha", "beta")}
    for table in range(int(goal.options["residuals"])):
        rng = philox(goal.seed, 3, table)
        n, d = np.exp(rng.uniform(np.log(1e7), np.log(1e10), 60)), np.exp(rng.uniform(np.log(1e9), np.log(1e12), 60))
        law = ScalingLaw("chinchilla").fit(
            {"n_params": n, "n_tokens": d, "loss": told(n, d) * np.exp(rng.normal(0, 0.01, 60))}
        )
        found = law.bootstrap(int(goal.options["draws"]), seed=table, kind="residual")
        for name, each in held.items():
            low, high = found.interval(name, LEVEL)
            each.append(low <= TRUE[name] <= high)
    for name, each in held.items():
        what = f"95 % intervals of residuals drawn anew, {len(each)} tables of 60 runs, hold {name}"
        goal.row(f"residual/{name}", what, "0.92..0.98", np.mean(each))

if goal.wants("groups"):
    held = {name: [] for name in ("E", "alpha", "beta")}
    for table in range(int(goal.options["clusters"])):
        rng = philox(goal.seed, 4, table)
        n = np.repeat(np.exp(rng.uniform(np.log(1e7), np.log(1e10), 10)), 10)
        d = n * np.tile(np.geomspace(2, 200, 10), 10)
        model = np.repeat(np.arange(10), 10)
        loss = told(n, d) * np.exp(rng.normal(0, 0.01, 10)[model] + rng.normal(0, 0.002, 100))
        law = ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss}, groups=model)
        for name, each in held.items():
            low, high = law.profile(name, LEVEL)
            each.append(low <= TRUE[name] <= high)
    for name, each in held.items():
        what = f"95 % profiles of {len(each)} tables of 10 models, 10 checkpoints each, hold {name}"
        goal.row(f"groups/{name}", what, ">= 0.92", np.mean(each))

if goal.wants("together"):
    held = {name: [] for name in ("case", "cluster", "law")}
    draws = int(goal.options["draws"])
    aim = Runs.of(FAR)
    for table in range(int(goal.options["clusters"])):
        rng = philox(goal.seed, 2, table)
        n = np.repeat(runs.n_params[rng.permutation(len(runs))[:20]], 10)
        d = n * np.tile(np.geomspace(2, 200, 10), 20)
        model = np.repeat(np.arange(20), 10)
        loss = told(n, d) * np.exp(rng.normal(0, 0.01, 20)[model] + rng.normal(0, 0.002, 200))
        law = ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss}, groups=model)
        for kind in ("case", "cluster"):
            low, high = law.bootstrap(draws, seed=table, kind=kind).losses(law, aim, LEVEL)
            held[kind].append(bool(low[0] <= there <= high[0]))
        of_law = law.predict(FAR, LEVEL, of="law")
        held["law"].append(bool(of_law.lo[0] <= there <= of_law.hi[0]))
    count = len(held["case"])
    what = f"95 % intervals of {count} tables of 20 models, 10 checkpoints each, hold the law at 70e9, 1.4e12"
    goal.row("together/case", f"{what}: drawing runs", "<= 0.6", np.mean(held["case"]))
    goal.row("together/cluster", f"{what}: drawing models, Student's t", ">= 0.92", np.mean(held["cluster"]))
    goal.row("together/law", f"{what}: by the law's own interval", ">= 0.92", np.mean(held["law"]))
goal.end()
