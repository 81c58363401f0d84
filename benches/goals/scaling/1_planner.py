"""Shapes counted exactly, budgets and losses beside published figures, and plans beside a plain loop.

shapes/: parameters of all rows of morph_runs.csv, and shapes of morph_shapes.csv in the window of their size; shapes of
1.1 to 1.7 billion parameters that the paper timed. identities/: the optimum of 5.76e23 operations by the coefficients
of Epoch and of Hoffmann et al., and those of losses with tokens served, against figures worked out beforehand: largest
relative difference. plan/: 40 plans under random limits and objectives, against a loop over shapes: those that differ
in the pick or in which shapes keep the limits; and fronts that a comparison of all pairs does not give. plan/solved:
the least operations for 12 losses, by a named law and by a chosen one that has rivals, against a loop that looks for
the tokens of each shape by what predict tells. speed/: a million shapes listed, and their losses told with intervals; a
plan of 10,000 shapes with latencies; the least operations for a loss, of 10,000 shapes, by the chosen law.

--planted counts units by 8/3 of the width without rounding, takes tokens served at six operations, not two, and looks
for tokens by the chosen law alone, without its rivals.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[3])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402
from tests.device.h100 import h100_profile  # noqa: E402

from thrifty.device import ModelShape  # noqa: E402
from thrifty.errors import Infeasible  # noqa: E402
from thrifty.scaling import Runs, ScalingLaw, optimal, plan, read_runs, shapes  # noqa: E402

goal = Goal(__file__, __doc__, packages=("scipy",))
MULTIPLE = 1 if goal.planted else 256
EPOCH = {"E": 1.81686, "A": 482.00572, "B": 2085.4342, "alpha": 0.34781, "beta": 0.36585}
HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def rows(name: str) -> list[dict[str, str]]:
    with goal.data(f"scaling/{name}").open(newline="") as file:
        return list(csv.DictReader(file))


def shaped(run: dict[str, str]) -> tuple[int, int, int]:
    dim, layers, heads = (int(run[name]) for name in ("d_model", "n_layers", "n_heads"))
    return dim, layers, dim // heads


if goal.wants("shapes"):
    wrong, runs = 0, rows("morph_runs.csv")
    for run in runs:
        dim, layers, head = shaped(run)
        found = shapes(
            (1, 1e12), widths=(dim, dim), step=dim, layers=(layers, layers), head_dim=head, hidden_multiple=MULTIPLE
        )
        wrong += found.parameters.tolist() != [int(run["n_params"])]
    goal.row("shapes/runs", f"of {len(runs)} runs of the paper, counts of parameters that differ", "== 0", wrong)
    absent, listed = 0, rows("morph_shapes.csv")
    for run in listed:
        dim, layers, head = shaped(run)
        hidden = 256 * -(-(8 * dim // 3) // 256)
        one = ModelShape(layers=layers, dim=dim, heads=dim // head, hidden=hidden, vocab=int(run["vocab_size"]))
        window = (0.999 * one.parameters, 1.001 * one.parameters)
        try:
            near = shapes(window, step=head, head_dim=head, hidden_multiple=MULTIPLE)
            absent += not ((near.dim == dim) & (near.layers == layers)).any()
        except ValueError:
            absent += 1
    goal.row(
        "shapes/listed", f"of {len(listed)} shapes of the paper, absent from the window of their size", "== 0", absent
    )
    found = shapes((1.1e9, 1.7e9), hidden_multiple=MULTIPLE)
    wanted = {
        (1024, 80): 1.131,
        (1536, 36): 1.174,
        (2048, 24): 1.440,
        (2560, 16): 1.527,
        (3072, 12): 1.669,
        (4096, 6): 1.627,
    }
    there = {(d, n): round(p / 1e9, 3) for d, n, p in zip(found.dim, found.layers, found.parameters, strict=True)}
    missing = sum(there.get(shape) != billions for shape, billions in wanted.items())
    goal.row("shapes/billion", "of six shapes of 1.1 to 1.7 billion, absent or with another count", "== 0", missing)

if goal.wants("identities"):
    away = []
    for law, n, d, loss in ((EPOCH, 7.235e10, 1.3268e12, 1.97397), (HOFFMANN, 3.219e10, 92.65 * 3.219e10, 1.93075)):
        found = optimal(law, flops=5.76e23)
        away += [found.n_params / n - 1, found.n_tokens / d - 1, found.loss / loss - 1]
    goal.row("identities/budget", "N, D and loss for 5.76e23 operations: difference", "<= 1e-3", np.abs(away).max())
    away = []
    served = [(2.2, 0, 5.58e9, 20.8, 3.88e21), (2.2, 1e12, 2.54e9, 136, 1.038e22), (2.2, 1e13, 1.58e9, 785, 4.33e22)]
    for loss, tokens, n, ratio, flops in [*served, (2.0, 0, 4.66e10, 18.7, None), (2.0, 1e12, 3.40e10, 36.5, None)]:
        found = optimal(EPOCH, loss=loss, inference_tokens=tokens * (3 if goal.planted else 1))
        away += [found.n_params / n - 1, found.tokens_per_param / ratio - 1]
        away += [found.flops / flops - 1] if flops else []
    goal.row("identities/served", "N, D / N and operations for a loss: difference", "<= 0.01", np.abs(away).max())

profile = h100_profile()
law = ScalingLaw("u_shape").fit(read_runs(goal.data("scaling/morph_runs.csv")))

if goal.wants("plan") or goal.wants("speed"):
    chosen = ScalingLaw("auto").fit(read_runs(goal.data("scaling/morph_runs.csv")))

if goal.wants("plan"):
    some, wrong = shapes((2e8, 3e9), step=256, layers=(4, 40), aspect=(20, 200), hidden_multiple=256), 0
    size, wide, deep = (np.array(v, float) for v in (some.parameters, some.dim, some.layers))
    for number, wanted in enumerate(np.linspace(2.75, 3.1, 6).repeat(2)):
        one = (law, chosen)[number % 2]
        low, high = np.full(len(some), np.log(1e6)), np.full(len(some), np.log(1e15))
        for _ in range(60):
            there = Runs(size, np.exp((low + high) / 2), d_model=wide, n_layers=deep)
            above = (one.loss_at(there) if goal.planted else one.predict(there).loss) > wanted
            low, high = np.where(above, (low + high) / 2, low), np.where(above, high, (low + high) / 2)
        reached = high < np.log(1e15)
        cost = np.where(reached, size * (6 * np.exp(high) + 2e11), np.inf)
        told = plan(one, max_loss=float(wanted), objective="flops", lifetime_tokens=1e11, shapes=some)
        wrong += bool((told.feasible != reached).any() or cost[told.best] > cost.min() * (1 + 1e-6))
        wrong += bool((np.abs(told.columns["flops"][reached] / cost[reached] - 1) > 1e-6).any())
    goal.row("plan/solved", "least operations for 12 losses: what a loop over shapes contradicts", "== 0", wrong)

if goal.wants("plan"):
    rng, other, fronts = np.random.default_rng(goal.seed), 0, 0
    some = shapes((5e7, 1e9), step=128, layers=(1, 40), aspect=(10, 200), hidden_multiple=256)
    each = list(some)
    ms = np.array([profile.latency(s, batch=1, prompt=128, new_tokens=128).ms / 128 for s in each])
    for _ in range(40):
        flops = 10 ** rng.uniform(18, 21)
        free = plan(law, profile, train_flops=flops, shapes=some, lifetime_tokens=1e11)
        size = np.array([s.parameters for s in each], float)
        tokens = flops / (6 * size)
        wide, deep = np.array([s.dim for s in each], float), np.array([s.layers for s in each], float)
        loss = law.predict(Runs(size, tokens, d_model=wide, n_layers=deep)).loss
        memory = np.array([s.weight_bytes + 256 * s.kv_bytes for s in each]) / 1e9
        limits = {"slo_ms": ms, "memory_gb": memory, "max_loss": loss}
        most = {name: float(np.quantile(v, rng.uniform(0.05, 0.9))) for name, v in limits.items() if rng.random() < 0.7}
        aim = {"loss": loss, "latency": ms, "memory": memory}
        objective = str(rng.choice(list(aim)))
        keeps = np.logical_and.reduce([np.ones(len(each), bool), *(limits[name] <= v for name, v in most.items())])
        try:
            found = plan(law, profile, train_flops=flops, shapes=some, objective=objective, **most)  # type: ignore[arg-type]
        except Infeasible:
            other += bool(keeps.any())
            continue
        best = np.where(keeps, aim[objective], np.inf).min()
        other += bool((found.feasible != keeps).any() or aim[objective][found.best] > best * (1 + 1e-12))
        a, b = found.columns["loss"], found.columns["ms"]
        at = np.flatnonzero(found.feasible)
        worse = (a[at, None] >= a[at]) & (b[at, None] >= b[at]) & ((a[at, None] > a[at]) | (b[at, None] > b[at]))
        fronts += set(at[~worse.any(1)].tolist()) != set(found.front.tolist())
    goal.row("plan/loop", "of 40 plans, those that a loop over shapes contradicts", "== 0", other)
    goal.row("plan/front", "of those, fronts that a comparison of all pairs contradicts", "== 0", fronts)

if goal.wants("speed"):
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        many = shapes((1e7, 1e12), step=32, head_dim=32, layers=(1, 4000), widths=(32, 65_536))[:1_000_000]
        listed_s = time.perf_counter() - begun
        found = plan(law, None, train_flops=1e20, shapes=many)
        seconds.append((time.perf_counter() - begun, listed_s))
    whole, listed_s = np.median(seconds, 0)
    goal.row("speed/million", f"{len(many):,} shapes listed, losses with intervals, ranked, fronts", "<= 1", whole, "s")
    some = shapes((1e8, 1e10), step=32, head_dim=32, aspect=(10, 200))
    some = some.take(np.linspace(0, len(some) - 1, min(len(some), 10_000)).astype(int))
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        plan(law, profile, train_flops=1e21, slo_ms=5.0, lifetime_tokens=1e12, shapes=some)
        seconds.append((time.perf_counter() - begun, 0.0))
    goal.row("speed/plan", f"a plan of {len(some):,} shapes with latencies", "<= 1", np.median(seconds, 0)[0], "s")
    begun = time.perf_counter()
    plan(chosen, max_loss=2.8, objective="flops", shapes=some)
    what = f"the least operations for a loss, {len(some):,} shapes, a law of {len(chosen.rivals_)} rivals"
    goal.row("speed/solved", what, "<= 5", time.perf_counter() - begun, "s")
goal.end()
