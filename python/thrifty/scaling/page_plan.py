"""A plan as a report: the pick, the front of loss against latency, the shapes that come next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.report import Figure, Section, Series, Table, write

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from thrifty.scaling.planner import Plan

__all__ = ["plan_section", "write_plan"]

#: Rows of the table, and points of the cloud behind the front.
ROWS, POINTS = 40, 400
#: What each column is called in tables and on axes.
CALLED = {
    "ms": "ms a new token",
    "flops": "operations, training and serving",
    "memory_gb": "GB of weights and cache",
    "joules": "joules a new token",
}


def write_plan(folder: str | os.PathLike[str], found: Plan) -> Path:
    """Write report.html and results.json of a plan; return the page's path."""
    return write(folder, "What to build", [plan_section(found)], note=found.device)


def plan_section(found: Plan) -> Section:
    """Return the records of a plan."""
    row, wish = found.row(found.best), found.wish
    limits = ", ".join(f"{name} {most:.4g}" for name, most in found.limits.items())
    text = (
        f"Of {len(found.shapes):,} shapes {int(found.feasible.sum()):,} keep the limits ({limits}). "
        f"{found.picked.capitalize()} is {found.shape}: {row['parameters']:,} parameters, {row['n_tokens']:.3g} tokens."
    )
    text += "".join(f"\n\n{note[0].upper()}{note[1:]}." for note in found.notes)
    law = f"the law, {100 * wish.interval:g} % interval"
    figures = [
        Figure("plan_loss", "Loss of the pick", row["loss"], "nats a token", None, None, (row["lo"], row["hi"]), law)
    ]
    if "ms" in row:
        within = (row["ms_low"], row["ms_high"])
        served = f"{found.device}; {wish.new_tokens} tokens after {wish.prompt}, batch {wish.batch}"
        figures.append(Figure("plan_ms", "A new token", row["ms"], "ms", None, None, within, served))
    if "joules" in row:
        figures.append(Figure("plan_joules", "A new token", row["joules"], "J", source=found.joules_source))
    if "accuracy" in row:
        within = (row["accuracy_lo"], row["accuracy_hi"])
        figures.append(
            Figure("plan_accuracy", "Accuracy", row["accuracy"], "", None, None, within, "its curve over the loss")
        )
    figures.append(Figure("plan_memory", "Weights and cache", row["memory_gb"], "GB", source="exact counts"))
    figures.append(
        Figure("plan_flops", "Training and serving", row["flops"], "operations", source="6 N D + 2 N tokens served")
    )
    fronts = [
        _front(found, against) for against in found.fronts if against in ("ms", "flops", "joules", found.front_of)
    ]
    return Section("plan", "What to build", text, [*figures, *fronts, _table(found)])


def _front(found: Plan, against: str) -> Series:
    """Draw the front over a cloud of the shapes behind it."""
    front, columns = found.fronts[against], found.columns
    rest = np.setdiff1d(np.flatnonzero(found.feasible), front)
    rest = rest[np.linspace(0, len(rest) - 1, min(len(rest), POINTS)).round().astype(int)] if len(rest) else rest
    at = np.concatenate([front, rest])
    at = at[np.argsort(columns[against][at], kind="stable")]
    on = np.isin(at, front)

    def only(values: Any, mask: Any) -> list[float]:
        return [float(value) if shown else math.nan for value, shown in zip(values[at], mask, strict=True)]

    best, pick, axis = "none betters in both", "the pick", columns[found.axis]
    what = "loss, nats a token" if found.axis == "loss" else CALLED[found.axis]
    picked = at == found.best
    lo: dict[str, Sequence[float]] = {}
    hi: dict[str, Sequence[float]] = {}
    if found.axis == "loss":
        lo[pick], hi[pick] = only(columns["lo"], picked), only(columns["hi"], picked)
    return Series(
        f"plan_front_{against}",
        f"{what.partition(',')[0].capitalize()} against {CALLED[against]}",
        columns[against][at].tolist(),
        {"others": only(axis, ~on), best: only(axis, on), pick: only(axis, picked)},
        lo=lo,
        hi=hi,
        x_label=CALLED[against],
        y_label=what,
        log_y=found.axis != "loss",
        log_x=True,
        close=True,
        dots=("others", best, pick),
    )


def _table(found: Plan) -> Table:
    """List the best shapes."""
    rows = []
    for row in found.rows(ROWS):
        cells = [f"{row['layers']} x {row['dim']}", row["heads"], row["hidden"], f"{row['parameters']:,}"]
        cells += [f"{row['n_tokens']:.3g}", *(f"{row[name]:.4f}" for name in ("loss", "lo", "hi"))]
        cells += [f"{row['ms']:.3g} ({row['ms_low']:.3g} to {row['ms_high']:.3g})"] if "ms" in row else []
        cells += [row[name] for name in ("memory_gb", "flops", "joules", "accuracy") if name in row]
        rows.append([*cells, "; ".join(row["flags"])])
    heads = ["shape", "heads", "units", "parameters", "tokens", "loss", "from", "to"]
    heads += ["ms a token"] if "ms" in found.columns else []
    called = {"memory_gb": "GB", "flops": "operations", "joules": "J a token", "accuracy": "accuracy"}
    heads += [head for name, head in called.items() if name in found.columns]
    return Table("plan_shapes", f"Shapes by {found.wish.objective}, the best first", [*heads, ""], rows)
