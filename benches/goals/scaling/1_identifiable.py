"""Runs that cannot tell a law's coefficients: one error that says which, and what would help; and those that can.

real: Morph's runs of 20 tokens a parameter, free and tied; runs that must fit. made: sets that lack something, whose
errors must name it, and sets that lack nothing.

--planted gives every set that lacks something what it lacks.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import numpy as np  # noqa: E402
from rows import Goal  # noqa: E402

from thrifty.errors import NotIdentifiable  # noqa: E402
from thrifty.scaling import Runs, ScalingLaw  # noqa: E402

goal = Goal(__file__, __doc__, packages=("scipy",))
KNOWN = ("n_params", "n_tokens", "loss", "d_model", "n_layers")


def runs(file: str, **where: tuple[str, ...]) -> Runs:
    with goal.data(f"scaling/{file}").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if all(row[name] in values for name, values in where.items())]
    return Runs.of({name: [float(row[name]) for row in rows] for name in KNOWN if name in rows[0]})


def says(law: str, of: Runs | dict[str, np.ndarray], **options: object) -> str:
    """What the error says, or an empty text."""
    try:
        ScalingLaw(law, **options).fit(of)  # type: ignore[arg-type]
    except NotIdentifiable as error:
        return str(error)
    return ""


if goal.wants("real"):
    one = runs("morph_runs.csv", tokens_multiple=("20", "160") if goal.planted else ("20",))
    told = [says(law, one) for law in ("chinchilla", "morph_free", "u_shape", "u_shape_drift")]
    named = sum("alpha and beta" in text and 'tie=("alpha", "beta")' in text for text in told)
    goal.row("real/free", "20 tokens a parameter, 4 laws: errors that name alpha, beta and the tie", "== 4", named)
    fine = [says(law, one) for law in ("chinchilla_tied", "morph")] + [says("u_shape", one, tie=("alpha", "beta"))]
    goal.row("real/tied", "the same runs, tied, 3 laws: errors", "== 0", sum(map(bool, fine)))
    two = runs("morph_runs.csv", tokens_multiple=("20", "160"))
    many = runs("chinchilla_245.csv", epoch_excluded=("0",))
    told = [says("chinchilla", of) for of in (two, many, runs("morph_runs.csv"))]
    goal.row(
        "real/enough", "20 and 160 tokens a parameter, 240 runs, all Morph's: errors", "== 0", sum(map(bool, told))
    )

if goal.wants("made"):
    rng = np.random.default_rng(goal.seed)

    def ladder(sizes: int, multiples: list[float], shapes: int = 1) -> dict[str, np.ndarray]:
        axes = np.geomspace(1e7, 1e9, sizes), multiples, np.geomspace(32, 128, shapes)
        n, k, r = (x.ravel() for x in np.meshgrid(*axes))
        if goal.planted:
            n, k, r = (np.tile(x, 9) * np.exp(rng.uniform(-1, 1, 9 * len(x))) for x in (n, k, r))
        depth = (n / (12 * r**2)) ** (1 / 3)
        loss = (1.8 + 400 * n**-0.34 + 2000 * (k * n) ** -0.37) * (1 + 0.02 * (np.log(r) - 4) ** 2)
        loss *= np.exp(0.003 * rng.standard_normal(len(n)))
        return {"n_params": n, "n_tokens": k * n, "loss": loss, "d_model": r * depth, "n_layers": depth}

    multiples = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0]
    sets = {
        "one size": ("chinchilla", ladder(1, multiples), "n_params"),
        "two sizes": ("chinchilla", ladder(2, multiples), "add"),
        "one ratio": ("chinchilla", ladder(12, [20.0]), "tie"),
        "four runs": ("chinchilla", ladder(2, [20.0, 80.0]), "needs 8 runs or more, got 4"),
        "one shape": ("morph", ladder(4, multiples[:3]), "shapes"),
        "two shapes": ("u_shape", ladder(4, multiples[:3], 2), "shapes"),
    }
    told = {name: says(law, of) for name, (law, of, _) in sets.items()}
    wrong = [name for name, (_, _, names) in sets.items() if names not in told[name]]
    for name, text in told.items():
        print(f"{name}: {text or 'fits'}", file=sys.stderr)
    goal.row("made/errors", f"of {len(sets)} sets, those without an error that says what lacks", "== 0", len(wrong))
    fine = [says("chinchilla", ladder(6, [10.0, 80.0])), says("u_shape", ladder(5, multiples[:4], 5))]
    goal.row("made/enough", "two sets that lack nothing: errors", "== 0", sum(map(bool, fine)))
goal.end()
