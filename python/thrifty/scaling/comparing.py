"""Two fits side by side: coefficients, and what they tell of the same runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from thrifty.scaling.law import ScalingLaw

__all__ = ["Beside", "FitComparison", "compare_fits"]

#: Sizes and tokens of the grid on which predictions are compared, each.
POINTS = 9

Interval = tuple[float, float]


@dataclass(frozen=True)
class Beside:
    """A coefficient in both fits; None where one has it not.

    Attributes
    ----------
    name : str
    first, second : float, optional
    first_interval, second_interval : (float, float), optional
        95 %.
    """

    name: str
    first: float | None
    second: float | None
    first_interval: Interval | None
    second_interval: Interval | None

    @property
    def agree(self) -> bool | None:
        """Whether each lies within the other's interval, or the intervals meet; None where one is missing."""
        if self.first_interval is None or self.second_interval is None:
            return None
        return max(self.first_interval[0], self.second_interval[0]) <= min(
            self.first_interval[1], self.second_interval[1]
        )


@dataclass(frozen=True)
class FitComparison:
    """What two fits have in common.

    Attributes
    ----------
    coefficients : tuple of Beside
    differences : tuple of str
        What differs beside the numbers: law, data, unit, parameters counted, whether there are shapes.
    runs : int
        Runs of the grid over the range that both fits cover; 0 where there is none. Where a law asks for shapes that
        only one of the fits has, its runs in that range.
    mean, worst : float
        Differences of predictions there, as shares of the first; nan without a grid.
    worst_at : (float, float)
        Parameters and tokens of the worst.
    within : float
        Share of the grid on which each prediction lies within the other law's interval.
    agree : bool, optional
        Whether that is 95 % or more; None without a grid.
    """

    coefficients: tuple[Beside, ...]
    differences: tuple[str, ...]
    runs: int
    mean: float
    worst: float
    worst_at: tuple[float, float]
    within: float
    agree: bool | None


def compare_fits(first: ScalingLaw, second: ScalingLaw) -> FitComparison:
    """Compare two fits: coefficients, and predictions over the range of parameters and tokens that both cover.

    Predictions agree where each lies within the 95 % interval of the other law's mean.
    """
    names = list(dict.fromkeys([*first.coef_, *second.coef_]))
    coefficients = tuple(
        Beside(
            name,
            first.coef_.get(name),
            second.coef_.get(name),
            first.interval(name) if name in first.coef_ else None,
            second.interval(name) if name in second.coef_ else None,
        )
        for name in names
    )
    differences = tuple(_differences(first, second))
    grid = _grid(first, second)
    if grid is None:
        return FitComparison(coefficients, differences, 0, np.nan, np.nan, (np.nan, np.nan), np.nan, None)
    one, other = first.predict(grid, of="law"), second.predict(grid, of="law")
    away = np.abs(other.loss / one.loss - 1)
    inside = (one.lo <= other.loss) & (other.loss <= one.hi) & (other.lo <= one.loss) & (one.loss <= other.hi)
    at = int(away.argmax())
    return FitComparison(
        coefficients,
        differences,
        len(grid),
        float(away.mean()),
        float(away[at]),
        (float(grid.n_params[at]), float(grid.n_tokens[at])),
        float(inside.mean()),
        bool(inside.mean() >= 0.95),
    )


def _differences(first: ScalingLaw, second: ScalingLaw) -> list[str]:
    """Say what differs beside the numbers."""
    a, b = first.runs_, second.runs_
    pairs = [
        ("law", first.name_, second.name_),
        ("loss", f"{first.loss}, delta {first.delta_:g}", f"{second.loss}, delta {second.delta_:g}"),
        ("parameters counted", a.counted, b.counted),
        ("unit", a.source.unit, b.source.unit),
        ("column of the loss", *(dict(r.source.columns).get("loss", "loss") for r in (a, b))),
        ("file", a.source.path or "none", b.source.path or "none"),
        ("rows picked by", *(", ".join(f"{n} = {v}" for n, v in r.source.where) or "all" for r in (a, b))),
        ("runs", f"{len(a):,}", f"{len(b):,}"),
        ("shapes", *("given" if _shaped(r) else "none" for r in (a, b))),
    ]
    found = [f"{what}: {one} and {other}" for what, one, other in pairs if one != other]
    if a.source.path == b.source.path and a.source.sha256 != b.source.sha256:
        found.append("the file's bytes: it was changed in between")
    return found


def _shaped(runs: Runs) -> bool:
    return runs.d_model is not None and runs.n_layers is not None


def _grid(first: ScalingLaw, second: ScalingLaw) -> Runs | None:
    """Return runs over the range that both fits cover; None where there is none, or they count otherwise."""
    a, b = first.runs_, second.runs_
    if a.counted != b.counted or a.source.unit != b.source.unit:
        return None
    shaped = _shaped(a) and _shaped(b)
    columns = ["n_params", "n_tokens", *(["d_model", "n_layers"] if shaped else [])]
    ends = []
    for name in columns:
        x, y = getattr(a, name), getattr(b, name)
        low, high = max(x.min(), y.min()), min(x.max(), y.max())
        if low > high * (1 + 1e-9):
            return None
        ends.append((float(low), float(high)))
    # Runs that both were fitted to, or nearly, where laws know shapes: not every shape goes with every size.
    if shaped or first.by_shape_ or second.by_shape_:
        rows = a if _shaped(a) else b
        both = np.ones(len(rows), bool)
        for name, (low, high) in zip(columns, ends, strict=True):
            values = getattr(rows, name)
            both &= (values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))
        return rows.take(both) if both.any() else None
    n, d = (np.geomspace(low, max(high, low), POINTS) for low, high in ends)
    sizes, tokens = (x.ravel() for x in np.meshgrid(n, d))
    return Runs(sizes, tokens, counted=a.counted)
