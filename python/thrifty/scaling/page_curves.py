"""Plots of a fit: runs beside the law, and what it tells of others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.report import Section, Series, Table
from thrifty.scaling.curves import best_sizes, budgets, isoflops, shapes
from thrifty.scaling.influence import influence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.report import Bars, Figure, Grid
    from thrifty.scaling.law import ScalingLaw

    Record = Figure | Series | Bars | Grid | Table
    Values = NDArray[np.float64]

__all__ = ["curve_section", "residual_section", "residuals"]

#: Rows of a list, and runs that a plot draws.
ROWS, DOTS = 15, 1_000


def residuals(law: ScalingLaw) -> Values:
    """Return log residuals: measured over told."""
    loss: Any = law.runs_.loss
    return np.asarray(np.log(loss / law.loss_at(law.runs_)))


def residual_section(law: ScalingLaw) -> Section:
    """Return the runs beside the law: measured over told, by each column."""
    runs = law.runs_
    told, measured = law.loss_at(runs), np.asarray(runs.loss)
    away = 100 * residuals(law)
    rows = _some(len(runs))
    ends = [float(min(told.min(), measured.min())), float(max(told.max(), measured.max()))]
    order = rows[np.argsort(told[rows])]
    both = Series(
        "measured", "Measured losses over what the law tells",
        [ends[0], *told[order].tolist(), ends[1]],
        {"runs": [math.nan, *measured[order].tolist(), math.nan], "as told": _ends(ends[0], ends[1], len(order) + 2)},
        x_label="told", y_label="measured", dots=("runs",), close=True,
    )  # fmt: skip
    records: list[Record] = [both]
    axes = [("params", "parameters", runs.n_params), ("tokens", "tokens", runs.n_tokens)]
    axes.append(("compute", "training compute 6ND, FLOP", 6 * runs.n_params * runs.n_tokens))
    if runs.d_model is not None and runs.n_layers is not None:
        axes.append(("shape", "width over depth", runs.d_model / runs.n_layers))
    for key, label, x in axes:
        order = rows[np.argsort(x[rows])]
        if x[order[-1]] > x[order[0]]:
            records.append(Series(
                f"residuals_{key}", f"Measured over told, by {label.partition(',')[0]}",
                x[order].tolist(), {"runs": away[order].tolist(), "as told": _ends(0.0, 0.0, len(order))},
                x_label=label, y_label="%", dots=("runs",), log_x=True, close=True,
            ))  # fmt: skip
    worst = np.argsort(-np.abs(away))[:ROWS]
    columns = ["run", "parameters", "tokens", "measured", "told", "%"]
    table = [[_name(law, i), runs.n_params[i], runs.n_tokens[i], measured[i], told[i], away[i]] for i in worst]
    title = "Runs that are furthest from the law" + (f": {ROWS} of {len(runs):,}" if len(runs) > ROWS else "")
    records += [Table("furthest", title, columns, table), _influence_table(law)]
    return Section("residuals", "Runs beside the law", "", records)


def _influence_table(law: ScalingLaw) -> Table:
    """Return what leaving out runs, or groups of them, does."""
    found = influence(law)
    rows = [
        [label, residual, 100 * moved, "deserves a look" if flag else ""]
        for label, residual, moved, flag in zip(
            found.labels[:ROWS], found.residual.tolist(), found.moved.tolist(), found.flagged.tolist(), strict=False
        )
    ]
    what = "run" if law.groups_ is None else "group of runs"
    title = f"What each {what} moves" + (f": the first {ROWS} of {len(found.rows):,}" if len(found.rows) > ROWS else "")
    columns = [what, "standard deviations from the law without it", "loss at the largest budget without it, %", ""]
    return Table("influence", title, columns, rows)


def _ends(first: float, last: float, size: int) -> list[float]:
    """Return a line from the first point to the last one."""
    return [first, *[math.nan] * (size - 2), last]


def _name(law: ScalingLaw, row: int) -> str:
    runs = law.runs_
    if runs.names and runs.names[row]:
        return runs.names[row]
    return f"line {runs.lines[row]}" if runs.lines is not None else f"row {row + 1}"


def _some(rows: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, rows - 1, min(rows, DOTS)).round().astype(np.int64))


def curve_section(law: ScalingLaw) -> Section:
    """Return what the law tells of other runs: curves of equal compute, the best size of each budget, shapes."""
    records: list[Record] = []
    text = "Curves of equal compute spend one budget on models of different sizes, with the tokens that remain."
    flops = budgets(law)
    sizes, curves = isoflops(law, flops)
    labels: dict[str, Sequence[float]] = {
        f"{c:.1e} FLOP{' (beyond the runs)' if c > flops[-2] else ''}": y for c, y in zip(flops, curves, strict=True)
    }
    records.append(Series("isoflops", "Loss of equal compute", sizes.tolist(), labels, x_label="parameters",
                          y_label=law.runs_.source.unit, log_x=True, close=True))  # fmt: skip
    found = best_sizes(law)
    runs = law.runs_
    spent = 6 * runs.n_params * runs.n_tokens
    rows = _some(len(runs))
    x = np.unique(np.concatenate([found.flops, spent[rows]]))
    at = {c: i for i, c in enumerate(x.tolist())}

    def over(where: Values, y: Values) -> list[float]:
        out = [math.nan] * len(x)
        for c, value in zip(where.tolist(), y.tolist(), strict=True):
            out[at[c]] = value if math.isnan(out[at[c]]) else min(value, out[at[c]])
        return out

    records.append(Series(
        "frontier", "Lowest loss of a budget, with the interval of one more run there",
        x.tolist(),
        {"runs": over(spent[rows], np.asarray(runs.loss)[rows]), "best of the law": over(found.flops, found.loss)},
        lo={"best of the law": over(found.flops, found.lo)}, hi={"best of the law": over(found.flops, found.hi)},
        x_label="training compute 6ND, FLOP", y_label=runs.source.unit, log_x=True, dots=("runs",), close=True,
    ))  # fmt: skip
    columns = ["FLOP", "parameters", "tokens", "tokens a parameter", "loss", "95 % from", "to"]
    table = [[f"{c:.2e}", f"{n:.3g}", f"{c / 6 / n:.3g}", c / 6 / n**2, y, lo, hi] for c, n, y, lo, hi in found.rows()]
    records.append(Table("best", "The best size of a budget", columns, table))
    if (shaped := shapes(law)) is not None:
        ratios, losses = shaped
        by_size = {f"{n:.2g} parameters": y.tolist() for n, y in losses.items()}
        records.append(Series(
            "shapes", "Loss of models of one size, by shape", ratios.tolist(), by_size,
            x_label="width over depth", y_label=runs.source.unit, log_x=True, close=True,
        ))  # fmt: skip
    return Section("curves", "What it tells of other runs", text, records)
