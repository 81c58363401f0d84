"""Seconds of a certified fit of the 240 runs and of 4,000 bootstraps, beside how others do both.

fit: ours; scipy's L-BFGS-B from 4,500 starts (Hoffmann et al.'s grid), by its analytic gradient and by differences, 50
starts drawn and multiplied; and the package ``chinchilla`` from 243 starts: ``chinchilla`` names the Python of an
environment that has it, without which the script ends with the status of what was not run. All on one thread,
alternating; medians. Answers are compared first. bootstraps: ours on one thread and on two; scipy's BFGS from the
optimum, 40 draws, multiplied.

--planted adds 200 of scipy's descents to every fit of ours, and five fits to every bootstrap.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import csv  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

from thrifty.scaling import Runs, ScalingLaw  # noqa: E402
from thrifty.stats import bootstrap  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

goal = Goal(__file__, __doc__, packages=("scipy",), options={"chinchilla": "", "rounds": "7"})
DELTA, DRAWS, SAMPLE, DRAWN = 1e-3, 4000, 50, 40
rng = np.random.default_rng(goal.seed)
rounds = int(goal.options["rounds"])

with goal.data("scaling/chinchilla_245.csv").open(newline="") as lines:
    table = [row for row in csv.DictReader(lines) if row["epoch_excluded"] == "0"]
runs = Runs.of({name: [float(row[name]) for row in table] for name in ("n_params", "n_tokens", "loss")})
assert runs.loss is not None
N, D, Y = np.log(runs.n_params), np.log(runs.n_tokens), np.log(runs.loss)

# ln A, ln B, ln E, alpha, beta, as Hoffmann et al. have it.
GRID = np.array(
    list(
        itertools.product(
            np.arange(0, 26, 5), np.arange(0, 26, 5), np.arange(-1, 1.1, 0.5), *[np.arange(0, 2.1, 0.5)] * 2
        )
    )
)


def value(x: np.ndarray, weights: np.ndarray) -> float:
    a, b = x[0] - x[3] * N, x[1] - x[4] * D
    most = np.maximum(np.maximum(a, b), x[2])
    r = np.log(np.exp(a - most) + np.exp(b - most) + np.exp(x[2] - most)) + most - Y
    cut = np.clip(r, -DELTA, DELTA)
    return float((weights * cut * (r - cut / 2)).sum())


def both(x: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    a, b = x[0] - x[3] * N, x[1] - x[4] * D
    most = np.maximum(np.maximum(a, b), x[2])
    a, b, e = np.exp(a - most), np.exp(b - most), np.exp(x[2] - most)
    whole = a + b + e
    r = np.log(whole) + most - Y
    cut = np.clip(r, -DELTA, DELTA)
    share = weights * cut / whole
    a, b = a * share, b * share
    slope = np.array([a.sum(), b.sum(), (e * share).sum(), -(a @ N), -(b @ D)])
    return float((weights * cut * (r - cut / 2)).sum()), slope


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def ours() -> ScalingLaw:
    law = ScalingLaw("chinchilla").fit(runs)
    if goal.planted:
        for start in GRID[:200]:
            minimize(both, start, (np.ones(240),), jac=True, method="L-BFGS-B")
    return law


def package() -> tuple[float, float]:
    """Seconds of the package's fit, and the sum at its end."""
    program = (
        "import functools, json, sys, time, tempfile, numpy as np\n"
        "from chinchilla import Chinchilla\nfrom chinchilla._metrics import log_huber\n"
        "n, d, y = json.load(sys.stdin)\n"
        "grid = {'e': (-1, 0, 1), 'a': (0, 10, 20), 'b': (0, 10, 20), 'alpha': (0, .5, 1), 'beta': (0, .5, 1)}\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    loss = functools.partial(log_huber, delta=1e-3)\n"
        "    one = Chinchilla(folder, param_grid=grid, seed_ranges={'C': (1e15, 1e16), 'N_to_D': (10, 100)},\n"
        "                     loss_fn=loss, log_level=40)\n"
        "    for a, b, c in zip(n, d, y):\n"
        "        one.database.append(C=6 * a * b, N=a, D=b, loss=c)\n"
        "    one.visualizer.optim = lambda *a, **k: None\n"
        "    begun = time.perf_counter()\n    one.fit(parallel=False)\n    took = time.perf_counter() - begun\n"
        "print(json.dumps([took, *map(float, (one.A, one.B, one.E, one.alpha, one.beta))]))\n"
    )
    data = json.dumps([values.tolist() for values in (runs.n_params, runs.n_tokens, runs.loss)])
    done = subprocess.run(
        [goal.options["chinchilla"], "-c", program], input=data, capture_output=True, text=True, check=True
    )
    took, a, b, e, alpha, beta = json.loads(done.stdout.splitlines()[-1])
    return took, value(np.array([*np.log([a, b, e]), alpha, beta]), np.ones(240))


def peer_starts(gradient: bool) -> float:
    some = GRID[rng.choice(len(GRID), SAMPLE, replace=False)]
    fun: Callable[..., object] = both if gradient else value
    begun = time.perf_counter()
    for start in some:
        minimize(fun, start, (np.ones(240),), jac=gradient, method="L-BFGS-B")
    return (time.perf_counter() - begun) / SAMPLE * len(GRID)


law = ours()
if goal.wants("fit"):
    best = np.array([*np.log([law.coef_[n] for n in "ABE"]), law.coef_["alpha"], law.coef_["beta"]])
    goal.row(
        "fit/same",
        "our sum by the peers' formula, relative difference",
        "<= 1e-9",
        abs(value(best, np.ones(240)) / law.objective_ - 1),
    )
    times: dict[str, list[float]] = {name: [] for name in ("ours", "analytic", "differences")}
    for _ in range(rounds):
        times["ours"] += [seconds(ours) for _ in range(1 if goal.planted else 5)]
        times["analytic"].append(peer_starts(True))
        times["differences"].append(peer_starts(False))
    median = {name: statistics.median(values) for name, values in times.items()}
    print({name: [round(v, 5) for v in values] for name, values in times.items()}, file=sys.stderr)
    goal.row("fit/ms", "certified fit of 240 runs, one thread, median", "<= 20", 1e3 * median["ours"], "ms")
    ratio = median["analytic"] / median["ours"]
    goal.row(
        "fit/analytic",
        f"scipy, 4,500 starts, analytic gradient ({median['analytic']:.1f} s from 50 starts): times ours",
        ">= 250",
        ratio,
    )
    ratio = median["differences"] / median["ours"]
    goal.row(
        "fit/differences",
        f"the same by differences ({median['differences']:.1f} s from 50 starts): times ours",
        ">= 250",
        ratio,
    )

lacks = ""
if goal.wants("package"):
    try:
        if not goal.options["chinchilla"]:
            raise OSError("--chinchilla names no Python")
        found = [package() for _ in range(max(rounds // 2, 1))]
    except (OSError, subprocess.CalledProcessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        lacks = f"package: {told[-1] if told else error}"
    else:
        mine = statistics.median(seconds(ours) for _ in range(2 * rounds))
        took, end = statistics.median(t for t, _ in found), min(v for _, v in found)
        goal.row("package/ratio", f"chinchilla 0.2.0, 243 starts ({took:.1f} s): times ours", ">= 250", took / mine)
        goal.row("package/end", "its sum over ours", ">= 0.999999", end / law.objective_)

if goal.wants("bootstraps"):
    counts = bootstrap(lambda counts: counts.T, 240, resamples=DRAWN, seed=goal.seed)
    begin = np.array([*np.log([law.coef_[n] for n in "ABE"]), law.coef_["alpha"], law.coef_["beta"]])
    one, two, peer = [], [], []
    draws = law.bootstrap(DRAWS, seed=goal.seed, threads=2)
    for _ in range(rounds):
        for times_of, threads in ((one, 1), (two, 2)):
            times_of.append(seconds(lambda threads=threads: law.bootstrap(DRAWS, seed=goal.seed, threads=threads)))
            if goal.planted:
                times_of[-1] += sum(seconds(ours) for _ in range(5))
        begun = time.perf_counter()
        ends = [minimize(both, begin, (w,), jac=True, method="BFGS").fun for w in counts]
        peer.append((time.perf_counter() - begun) / DRAWN * DRAWS)
    reached = [
        value(np.array([*np.log(row[[1, 2, 0]]), *row[3:]]), w) for row, w in zip(draws.values, counts, strict=False)
    ]
    goal.row(
        "bootstraps/lower",
        f"of {DRAWN} draws, those that scipy ends lower",
        "== 0",
        sum(a > b * (1 + 1e-7) for a, b in zip(reached, ends, strict=True)),
    )
    print({"one": one, "two": two, "scipy": peer}, file=sys.stderr)
    goal.row("bootstraps/two", "4,000 bootstraps of 240 runs, two threads, median", "<= 1", statistics.median(two), "s")
    goal.row("bootstraps/one", "the same, one thread", "<= 2", statistics.median(one), "s")
    ratio = statistics.median(peer) / statistics.median(one)
    goal.row(
        "bootstraps/ratio",
        f"scipy's BFGS from the optimum ({statistics.median(peer):.1f} s from {DRAWN} draws): times ours on one thread",
        ">= 12",
        ratio,
    )
if lacks and not goal.planted:
    raise goal.absent(lacks)
goal.end()
