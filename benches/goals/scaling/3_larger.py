"""Predictions of the largest runs from the smaller ones, by the law that the smaller ones choose.

For each table and each step the runs below a size class choose a law, with their own advice of which runs to use; it
predicts that class, all of it. Beside its error stand those of each named law (printed to stderr), fitted to all those
runs as papers do ("best"), and to those that were chosen, with the same shifts, kind of size and delta ("alike"). What
is asked counts all steps of a table; runs of a kind that the choice left out also have rows of their own ("outside").

--planted chooses by how laws fit, of those without a shape.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.errors import NotIdentifiable  # noqa: E402
from thrifty.scaling import NAMED, Runs, ScalingLaw, choose, read_runs  # noqa: E402
from thrifty.scaling.holdouts import size_classes  # noqa: E402
from thrifty.scaling.rivals import combined  # noqa: E402
from thrifty.scaling.trials import Setting  # noqa: E402

goal = Goal(__file__, __doc__, ("scipy",))
TABLES = {
    "morph": ("morph_runs.csv", (), None, None, 2),
    "cool_end": ("gemstones_runs.csv", (("subset", "cool_end"),), "run_name", None, 3),
    "hot_100b": ("gemstones_runs.csv", (("subset", "hot_100b+"),), "run_name", None, 3),
    "openlm": ("openlm_small_runs.csv", (), None, "loss_c4_val", 3),
}


def step(name: str, known: Runs, larger: Runs, groups: str | None) -> dict[str, np.ndarray | float]:
    """Predict larger runs; errors, half widths, and the least mean error of a named law."""
    begun = time.perf_counter()
    if goal.planted:
        fits = [ScalingLaw(law).fit(known, groups=groups) for law in ("chinchilla", "chinchilla_tied")]
        law = min(fits, key=lambda fit: fit.objective_)
    else:
        law = choose(known, groups).law
    seconds = time.perf_counter() - begun
    told = law.predict(larger)
    losses = larger.loss
    assert losses is not None
    outside = np.zeros(len(losses), bool) if law.domain_ is None else law.domain_.outside(larger)
    # What shifts and the runs left out add to all laws.
    moved = np.log(told.loss) - combined(law.rivals_, np.log(law.loss_at(larger)), law.counted(larger))[0]
    others: dict[str, float] = {}
    alike: dict[str, float] = {}
    for other in NAMED:
        try:
            fit = ScalingLaw(other).fit_unchecked(known, groups=groups)
            others[other] = float(np.abs(fit.loss_at(larger) / losses - 1).mean())
            fit, _ = Setting(law.runs_, law.groups_).suited(other).fitted(other)
            alike[other] = float(np.abs(fit.loss_at(larger) * np.exp(moved) / losses - 1).mean())
        except (NotIdentifiable, ValueError):
            continue
    wrong = told.loss / losses - 1
    print(
        f"{name}: {len(known)} runs choose {law.name_} in {seconds:.1f} s, {len(losses)} larger: mean error"
        f" {np.abs(wrong).mean():.2%};",
        ", ".join(f"{other} {error:.2%}" for other, error in sorted(others.items(), key=lambda item: item[1])),
        "; alike:",
        ", ".join(f"{other} {error:.2%}" for other, error in sorted(alike.items(), key=lambda item: item[1])),
        file=sys.stderr,
    )
    inside = (told.lo <= losses) & (losses <= told.hi)
    return {
        "wrong": wrong,
        "square": (told.loss - losses) ** 2,
        "inside": inside,
        "half": np.log(told.hi / told.loss),
        "outside": outside,
        "best": min(others.values()),
        "alike": min(alike.values()),
    }


for name, (file, where, groups, target, first) in TABLES.items():
    if not goal.wants(name):
        continue
    runs = read_runs(goal.data(f"scaling/{file}"), where=where, target=target)
    classes = size_classes(runs.n_params)
    steps = [
        step(f"{name} {k}", runs.take(classes < k), runs.take(classes == k), groups)
        for k in range(int(classes.max()), first - 1, -1)
    ]
    error = {
        key: np.concatenate([part[key] for part in steps]) for key in ("wrong", "square", "inside", "half", "outside")
    }
    size = np.abs(error["wrong"])
    count = f"{len(steps)} step{'s' * (len(steps) > 1)}, {len(size)} runs"
    if name == "openlm":
        goal.row(f"{name}/error", f"{count}: mean absolute relative error", "<= 0.015", size.mean())
    elif name == "morph":
        worst = float(np.abs(steps[0]["wrong"]).max())
        goal.row(f"{name}/worst", "largest class: worst relative error", "<= 0.012", worst)
    else:
        goal.row(f"{name}/mse", f"{count}: mean square error", "<= 0.0017", error["square"].mean())
    goal.row(f"{name}/inside", f"{count}: share inside 95 % intervals", "0.85..0.99", error["inside"].mean())
    wide = np.median(error["half"]) / np.median(size)
    goal.row(f"{name}/wide", f"{count}: median half width over median error", "<= 4", wide)
    ours = np.mean([np.abs(part["wrong"]).mean() for part in steps])
    for key, text in (("best", "best law"), ("alike", "best law fitted alike")):
        best = np.mean([part[key] for part in steps])
        goal.row(f"{name}/{key}", f"{count}: mean error over that of each step's {text}", "<= 1.2", ours / best)
    out = error["outside"].astype(bool)
    if out.any():
        count = f"{out.sum()} runs of a kind left out of the fit"
        goal.row(f"{name}/outside_error", f"{count}: mean absolute relative error", "<= 0.015", size[out].mean())
        goal.row(
            f"{name}/outside_inside", f"{count}: share inside 95 % intervals", ">= 0.85", error["inside"][out].mean()
        )
goal.end()
