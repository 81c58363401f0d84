"""The demo of scaling: a law is chosen on small runs, held against larger ones, and says what to build here.

``python -m thrifty.pipeline.demo_scaling FILE SEED`` times decoders and writes their profile: a process of its own, in
which the libraries under numpy were told to use one thread. Its own time counts, which others' work does not enter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from thrifty.device import DeviceProfile, ModelShape, calibrate
from thrifty.errors import ThriftyError
from thrifty.pipeline.data import training_runs
from thrifty.report import Figure, Section, Series, Table
from thrifty.scaling import ScalingLaw, choose, plan, read_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.scaling import Choice, Plan, Prediction, Runs

    Progress = Callable[[str, int, int], object]
    Values = NDArray[np.float64]

__all__ = ["LARGEST", "Chosen", "Raced", "chosen", "planned", "raced", "tell"]

#: The class of runs that the law does not see.
LARGEST = "313M"
#: Random starts that a quasi-Newton search gets at most; how near to the optimum counts as there.
STARTS, NEAR = 200, 1e-3
#: What training may take, 20 tokens for each of 130 million parameters, and which sizes are looked at: the runs'.
TRAIN_FLOPS = 6 * 20 * 1.3e8**2
SIZES = (7e7, 1.7e8)
#: Seconds of measuring this machine, and layers and widths of the largest decoders that are timed.
SECONDS = 6.0
TIMED = ((3, 512), (12, 768))
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Raced:
    """One fit of ours beside random starts of scipy's L-BFGS-B on the same sum, with its gradient.

    Attributes
    ----------
    runs : int
    ours, theirs : float
        CPU-seconds: of one fit with its certificate, and of the starts.
    starts : int
        Until one ended near the optimum.
    found : bool
        Whether one did.
    """

    runs: int
    ours: float
    theirs: float
    starts: int
    found: bool


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A law chosen without the largest class, and what it says of that class.

    Attributes
    ----------
    choice : Choice
    small, large : Runs
    told : Prediction
        Of the large runs.
    plain : float64[n]
        What a law of parameters and tokens alone says of them.
    """

    choice: Choice
    small: Runs
    large: Runs
    told: Prediction
    plain: Values

    def errors(self, losses: Values) -> Values:
        """Return sizes of errors as shares of the large runs' losses."""
        assert self.large.loss is not None
        return np.abs(losses / self.large.loss - 1)

    @property
    def inside(self) -> int:
        """Large runs whose loss lies in its interval."""
        assert self.large.loss is not None
        return int(((self.told.lo <= self.large.loss) & (self.large.loss <= self.told.hi)).sum())


def raced(seed: int) -> Raced:
    """Fit Chinchilla's runs our way, and from random starts."""
    from scipy.optimize import minimize

    runs = read_runs(training_runs() / "chinchilla_245.csv", where=(("epoch_excluded", "0"),))
    begun = time.thread_time()
    law = ScalingLaw("chinchilla").fit(runs)
    ours = time.thread_time() - begun
    assert runs.loss is not None
    n, d, losses = np.log(runs.n_params), np.log(runs.n_tokens), np.log(runs.loss)
    delta = law.delta_

    def summed(at: Values) -> tuple[float, Values]:
        a, b, e, alpha, beta = at
        terms = np.stack([a - alpha * n, b - beta * d, np.full_like(n, e)])
        top = terms.max(0)
        parts = np.exp(terms - top)
        whole = parts.sum(0)
        away = top + np.log(whole) - losses
        slope = np.clip(away, -delta, delta)
        cost = np.where(np.abs(away) <= delta, away**2 / 2, delta * (np.abs(away) - delta / 2))
        share = parts / whole * slope
        return cost.sum(), np.array([*share.sum(1), -(share[0] * n).sum(), -(share[1] * d).sum()])

    # The box of Hoffmann et al. 2022, appendix D.3.
    rng = np.random.default_rng(seed)
    starts = rng.uniform([0, 0, -1, 0, 0], [25, 25, 1, 2, 2], (STARTS, 5))
    enough, done = law.objective_ * (1 + NEAR), 0
    begun, found = time.thread_time(), False
    with threadpool_limits(1):  # for so small a problem more threads cost ten times as much
        while not found and done < STARTS:
            end = minimize(summed, starts[done], jac=True, method="L-BFGS-B", options={"maxiter": 2000})
            done, found = done + 1, bool(end.fun <= enough)
    return Raced(len(runs), ours, time.thread_time() - begun, done, found)


def chosen() -> Chosen:
    """Choose a law by all but the largest class of the runs of many shapes."""
    runs = read_runs(training_runs() / "morph_runs.csv")
    held = np.array([size == LARGEST for size in runs.columns["size_class"]])
    small, large = runs.take(~held), runs.take(held)
    choice = choose(small)
    plain = ScalingLaw("chinchilla").fit(small).loss_at(large)
    return Chosen(choice, small, large, choice.law.predict(large), plain)


def planned(name: str, profile: DeviceProfile) -> tuple[Plan, Plan]:
    """Plan by the law of that name, fitted to all runs: without a limit of latency, and with one.

    The limit lies between what the first plan takes and the least that any of its shapes does.
    """
    law = ScalingLaw(name).fit(read_runs(training_runs() / "morph_runs.csv"))
    sizes = {"dtype_bytes": profile.dtype_bytes, "n_params": SIZES}
    free = plan(law, profile, train_flops=TRAIN_FLOPS, prompt=32, new_tokens=32, sizes=sizes)
    ms = free.columns["ms"]
    limit = float(np.sqrt(ms[free.best] * ms[free.feasible].min()))
    return free, plan(law, profile, train_flops=TRAIN_FLOPS, slo_ms=limit, prompt=32, new_tokens=32, sizes=sizes)


def profile_here(seed: int) -> DeviceProfile:
    """Have a process measure decoding on this machine."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "profile.json"
        command = [sys.executable, "-m", "thrifty.pipeline.demo_scaling", str(file), str(seed)]
        done = subprocess.run(
            command, env=os.environ | dict.fromkeys(LIBRARIES, "1"), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ThriftyError(f"timing decoders ended with status {done.returncode}: {done.stderr[-2000:]}")
        return DeviceProfile.load(file)


def measured(file: str, seed: int) -> None:
    """Measure decoding, with two larger decoders than usual, and write the profile."""

    def shape(layers: int, dim: int) -> ModelShape:
        hidden = 256 * -(-(8 * dim // 3) // 256)  # as those of the runs
        return ModelShape(layers=layers, dim=dim, heads=dim // 64, hidden=hidden, vocab=50_432, dtype_bytes=4.0)

    timed = [shape(*sizes) for sizes in TIMED]
    calibrate("numpy", seconds=SECONDS, shapes=timed, seed=seed).save(file)


def tell(folder: Path, *, full: bool, threads: int, seed: int, progress: Progress | None) -> Section:
    """Fit, choose, predict and plan."""
    del folder, full, threads  # nothing is kept, and all of it takes seconds
    race, law = raced(seed), chosen()
    if progress is not None:
        progress("timing decoders", 0, 1)
    profile = profile_here(seed)
    free, limited = planned(law.choice.law.name_, profile)
    return Section("scaling", "scaling: what to build, before it is trained", story(law, race, free, limited), [
        *figures(law, race, limited), curve(law), laws(law), shapes(free, limited),
    ])  # fmt: skip


def story(law: Chosen, race: Raced, free: Plan, limited: Plan) -> str:
    """Say what was done and what came of it."""
    errors, plain = law.errors(law.told.loss), law.errors(law.plain)
    row, before = limited.row(limited.best), free.row(free.best)
    small, large, miss = law.small, law.large, f"{errors.mean():.2%} in the mean and {errors.max():.2%} at worst"
    text = (
        f"{len(small)} runs of up to {small.n_params.max() / 1e6:.0f} million parameters, in many shapes (arXiv "
        f"2501.18107), are known; the {len(large)} of the {LARGEST} class are held back. Laws are judged by how they "
        f"predict the largest of the known runs; the best is '{law.choice.law.name_}'. It misses the losses held back "
        f"by {miss}, and {law.inside} of {len(large)} lie in its 95 % intervals; a law that does not know shapes "
        f"misses them by {plain.mean():.2%} and {plain.max():.2%}."
        f"\n\nWith the law and {SECONDS:.0f} seconds of timing decoders here, a budget of {TRAIN_FLOPS:.3g} "
        f"operations buys: loss {before['loss']:.3f} at {before['ms']:.3g} ms a token with {free.shape}; and under a "
        f"limit of {limited.wish.slo_ms:.3g} ms, loss {row['loss']:.3f} ({row['lo']:.3f} to {row['hi']:.3f}) at "
        f"{row['ms']:.3g} ms with {limited.shape}, {row['parameters']:,} parameters on {row['n_tokens']:.3g} tokens."
    )
    notes = [*law.choice.advice, *limited.notes]
    text += "".join(f"\n\n{note[0].upper()}{note[1:]}." for note in notes)
    some = f"number {race.starts} was the first to" if race.found else f"none of {race.starts} did"
    return f"{text}\n\nEach fit ends at the optimum of Chinchilla's {race.runs} runs; of random starts {some}."


def figures(law: Chosen, race: Raced, limited: Plan) -> list[Figure]:
    """Return figures beside what they are compared with."""
    error, plain = (100 * float(law.errors(losses).max()) for losses in (law.told.loss, law.plain))
    last = "until one" if race.found else "of which none"
    starts = f"beside it {race.starts} random starts of scipy's L-BFGS-B, {last} found the optimum"
    row = limited.row(limited.best)
    n, ms = limited.columns["n_params"], limited.columns["ms"]
    peers = np.flatnonzero(np.abs(np.log(n / n[limited.best])) < 0.05)
    deepest = float(ms[peers[limited.shapes.layers[peers].argmax()]])
    return [
        Figure(
            "scaling.error", f"Largest error on the {LARGEST} class", error, "%", plain, plain / error,
            source="beside it a law of parameters and tokens alone",
        ),
        Figure(
            "scaling.fit_ms", "A fit with its certificate", 1e3 * race.ours, "CPU-ms", 1e3 * race.theirs,
            race.theirs / race.ours, source=starts,
        ),
        Figure(
            "scaling.loss", "Loss of the plan", row["loss"], "nats a token", interval=(row["lo"], row["hi"]),
            source="95 % interval",
        ),
        Figure(
            "scaling.ms", "A token of the plan", row["ms"], "ms", deepest, deepest / row["ms"],
            interval=(row["ms_low"], row["ms_high"]), source=f"{limited.device}; beside it the deepest of that size",
        ),
    ]  # fmt: skip


def curve(law: Chosen) -> Series:
    """Draw what was predicted of the class held back over what came."""
    assert law.large.loss is not None
    order = np.argsort(law.large.loss)
    measured = law.large.loss[order]
    name, other = "predicted, 95 %", "parameters and tokens alone"
    return Series(
        "scaling.held_back", f"Losses of the {LARGEST} class, which the law did not see", measured.tolist(),
        {"as measured": measured.tolist(), name: law.told.loss[order].tolist(), other: law.plain[order].tolist()},
        lo={name: law.told.lo[order].tolist()}, hi={name: law.told.hi[order].tolist()},
        x_label="measured, nats a token", y_label="nats a token", dots=(name, other), close=True,
    )  # fmt: skip


def laws(law: Chosen) -> Table:
    """Return the laws that were looked at."""
    rows: list[list[Any]] = [
        [one.law, one.coefficients, 100 * one.error, one.why or ("chosen" if not i else "")]
        for i, one in enumerate(law.choice.table)
    ]
    columns = ["law", "coefficients", "% error on runs left out", ""]
    return Table("scaling.laws", "Laws by how they predict runs larger than those they are fitted to", columns, rows)


def shapes(free: Plan, limited: Plan) -> Table:
    """Return the front of loss against latency, and both picks."""
    picks = {int(free.best): "least loss", int(limited.best): f"under {limited.wish.slo_ms:.3g} ms"}
    at = list(dict.fromkeys([*picks, *free.front[np.linspace(0, len(free.front) - 1, 8).astype(int)].tolist()]))
    told = sorted(((free.row(i), picks.get(i, "")) for i in at), key=lambda one: one[0]["loss"])
    rows = [
        [
            row["layers"],
            row["dim"],
            row["parameters"],
            row["n_tokens"],
            row["loss"],
            row["lo"],
            row["hi"],
            row["ms"],
            what,
        ]
        for row, what in told
    ]
    columns = ["layers", "width", "parameters", "tokens", "loss", "from", "to", "ms a token", ""]
    return Table("scaling.front", "Shapes that none betters both in loss and in latency here", columns, rows)


if __name__ == "__main__":
    measured(sys.argv[1], int(sys.argv[2]))
