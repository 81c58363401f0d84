"""From loss to accuracy of a task: a sigmoid over the task's chance level, with intervals."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import DatasetError, NotIdentifiable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Accuracy", "Downstream", "accuracy_column"]

LEAST = 5
LETTERS = 100_000
#: Of the lowest losses so much is held out to choose a curve and to see how it errs beyond its data.
HELD = 0.3


def _sigmoid(z: Values) -> tuple[Values, Values]:
    from scipy.special import expit

    share = expit(-z)
    return share, -share * (1 - share)


def _exponential(z: Values) -> tuple[Values, Values]:
    share = np.exp(-np.maximum(z, 0.0))
    return share, np.where(z > 0, -share, 0.0)


#: Share of the way from chance to top and its derivative, by slope (loss - middle).
CURVES = {"sigmoid": _sigmoid, "exponential": _exponential}


@dataclass(frozen=True, eq=False, slots=True)
class Accuracy:
    """Accuracies with an interval, float64[n] each, 0 to 1."""

    value: Values
    lo: Values
    hi: Values


@dataclass(frozen=True, eq=False)
class Downstream:
    """How a task's accuracy follows the loss: chance + (top - chance) s(slope (loss - middle)).

    Attributes
    ----------
    task : str
    curve : str
        s: ``"sigmoid"``, 1 / (1 + exp z), or ``"exponential"``, exp -z up to 1 (arXiv 2403.08540).
    chance, top : float
        Accuracy of a model that knows nothing, and of one without loss.
    middle, slope : float
        Loss at which half of the way is gone, or all of it; and how steeply.
    covariance : float64[2, 2]
        Of ``middle`` and ``slope``.
    spread : float
        Standard deviation of accuracies around the curve.
    drift : float
        Standard error that each nat below the data adds, as seen where the lowest losses were held out.
    rows : int
    losses : (float, float)
        Least and most that it was fitted to.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import Downstream
    >>> loss = np.linspace(2.5, 4.5, 9)
    >>> task = Downstream.fit(loss, 0.25 + 0.75 / (1 + np.exp(2 * (loss - 2.4))), chance=0.25)
    >>> task.curve, round(task.middle, 3), round(task.slope, 3)
    ('sigmoid', 2.4, 2.0)
    """

    task: str
    curve: str
    chance: float
    top: float
    middle: float
    slope: float
    covariance: Values
    spread: float
    drift: float
    rows: int
    losses: tuple[float, float]

    @classmethod
    def fit(
        cls, loss: ArrayLike, accuracy: ArrayLike, *, chance: float = 0.0, top: float = 1.0, task: str = ""
    ) -> Downstream:
        """Fit by least squares the curve that tells the lowest losses best from the others.

        Parameters
        ----------
        loss, accuracy : float64[n]
            Of models; rows where either is nan are left out.
        chance, top : float
            Ends of the curve, which small models alone do not show: 0.25 for four choices.
        task : str
            Its name, for messages.

        Raises
        ------
        ValueError
            When a number is not possible.
        NotIdentifiable
            When there are fewer than 5 rows, or accuracy does not rise as loss falls.
        """
        x, y = np.asarray(loss, np.float64), np.asarray(accuracy, np.float64)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"accuracy: one for each loss is needed, got shapes {x.shape} and {y.shape}")
        if not 0 <= chance < top <= 1:
            raise ValueError(f"chance, top: {chance!r}, {top!r} are not possible; 0 <= chance < top <= 1")
        there = np.isfinite(x) & np.isfinite(y)
        x, y = x[there], y[there]
        if ((y < 0) | (y > 1)).any():
            raise ValueError(f"accuracy: {y[(y < 0) | (y > 1)][0]:g} is not possible; shares of 0 to 1 are needed")
        what = f"accuracy of {task}" if task else "accuracy"
        if len(np.unique(x)) < LEAST:
            raise NotIdentifiable(f"{what}: {len(x)} models of {len(np.unique(x))} losses; at least {LEAST} are needed")
        ends = chance, top
        name, drift = _chosen(x, y, ends)
        found = _fitted(name, x, y, ends)
        if found is None:
            raise NotIdentifiable(f"{what} does not rise as the loss falls from {x.max():.4g} to {x.min():.4g}")
        (middle, slope), covariance, spread = found
        least, most = float(x.min()), float(x.max())
        return cls(task, name, chance, top, middle, slope, covariance, spread, drift, len(x), (least, most))

    def at(self, loss: ArrayLike, interval: float = 0.95) -> Accuracy:
        """Return accuracies at losses, with the interval in which a model's lies.

        Parameters
        ----------
        loss : float64[n]
        interval : float
            Its level.
        """
        from scipy.special import stdtrit

        x = np.asarray(loss, np.float64)
        value, by = _told(self.curve, x, self.middle, self.slope, (self.chance, self.top))
        beyond = self.drift * np.maximum(self.losses[0] - x, 0.0)
        variance = ((by @ self.covariance) * by).sum(-1) + self.spread**2 + beyond**2
        half = float(stdtrit(self.rows - 2, (1 + interval) / 2)) * np.sqrt(variance)
        return Accuracy(value, np.clip(value - half, 0, 1), np.clip(value + half, 0, 1))

    def columns(self, loss: Values, lo: Values, hi: Values, interval: float = 0.95) -> dict[str, Values]:
        """Return ``accuracy``, ``accuracy_lo``, ``accuracy_hi`` of losses that have an interval themselves.

        What comes from the loss and what comes from the task are independent, so their squares add up.
        """
        told, at_lo, at_hi = (self.at(some, interval) for some in (loss, lo, hi))
        up = np.hypot(told.hi - told.value, at_lo.value - told.value)
        down = np.hypot(told.value - told.lo, told.value - at_hi.value)
        ends = np.clip(told.value - down, 0, 1), np.clip(told.value + up, 0, 1)
        return {"accuracy": told.value, "accuracy_lo": ends[0], "accuracy_hi": ends[1]}


def _told(curve: str, x: Values, middle: float, slope: float, ends: tuple[float, float]) -> tuple[Values, Values]:
    """Return accuracies, and their derivatives by middle and slope, (n, 2)."""
    share, steep = CURVES[curve](slope * (x - middle))
    way = ends[1] - ends[0]
    return ends[0] + way * share, way * np.stack([-slope * steep, (x - middle) * steep], -1)


def _fitted(
    curve: str, x: Values, y: Values, ends: tuple[float, float]
) -> tuple[tuple[float, float], Values, float] | None:
    """Return middle and slope, their covariance and the spread; None where the slope may be none."""
    from scipy.optimize import least_squares
    from scipy.special import stdtrit

    scale = float(x.std())
    starts = [(x.min() + shift * scale, 1 / scale) for shift in (-1.0, 1.0)]

    def wrong(p: Values) -> Values:
        return _told(curve, x, float(p[0]), float(p[1]), ends)[0] - y

    def slopes_at(p: Values) -> Values:
        return _told(curve, x, float(p[0]), float(p[1]), ends)[1]

    fits = [least_squares(wrong, p, jac=slopes_at, method="lm", x_scale=[scale, 1 / scale]) for p in starts]
    best = min(fits, key=lambda fit: float(fit.cost))
    freedom = len(x) - 2
    variance = 2 * float(best.cost) / freedom
    slopes = np.asarray(best.jac, np.float64) * [scale, 1 / scale]
    information = slopes.T @ slopes
    if not np.isfinite(best.x).all() or np.linalg.cond(information) > 1e12:
        return None
    covariance = np.linalg.inv(information) * variance * np.outer([scale, 1 / scale], [scale, 1 / scale])
    middle, slope = (float(v) for v in best.x)
    # It must rise by more than chance does, and tell more than a constant.
    sure, alike = float(stdtrit(freedom, 0.975)), float(((y - y.mean()) ** 2).sum())
    if not (slope > sure * math.sqrt(covariance[1, 1]) and alike > variance * (freedom + sure**2)):
        return None
    return (middle, slope), covariance, math.sqrt(variance)


def _chosen(x: Values, y: Values, ends: tuple[float, float]) -> tuple[str, float]:
    """Return the curve that tells held-out lowest losses best, and how its error grows with each nat below the data."""
    order = np.argsort(x, kind="stable")
    held = max(int(HELD * len(x)), 1)
    low, rest = order[:held], order[held:]
    first = next(iter(CURVES))
    if len(np.unique(x[rest])) < LEAST:
        return first, 0.0
    found = []
    for name in CURVES:
        fit = _fitted(name, x[rest], y[rest], ends)
        if fit is not None:
            (middle, slope), _, spread = fit
            error = float(((_told(name, x[low], middle, slope, ends)[0] - y[low]) ** 2).mean())
            distance = float(((x[rest].min() - x[low]) ** 2).mean()) ** 0.5
            found.append((error, name, math.sqrt(max(error - spread**2, 0.0)) / max(distance, 1e-12)))
    if not found:
        return first, 0.0
    _, name, drift = min(found)
    return name, drift


def accuracy_column(runs: Runs, column: str, task: str | None = None) -> Values:
    """Return accuracies that runs carry along, nan where one has none.

    Parameters
    ----------
    runs : Runs
    column : str
        Of numbers; or, with ``task``, of JSON objects that have the task's number.

    Raises
    ------
    DatasetError
        When there is no such column or task, or a cell can't be read.
    """
    if column not in runs.columns:
        raise DatasetError(f"column {column!r} is not there; there are {', '.join(runs.columns)}")
    values = []
    for i, cell in enumerate(runs.columns[column]):
        line = f"line {runs.lines[i]}" if runs.lines is not None else f"row {i}"
        values.append(_number(cell, task, f"{runs.source.path or 'runs'}: {line}, column {column}"))
    found = np.array(values)
    if not np.isfinite(found).any():
        raise DatasetError(f"column {column!r} has no accuracy{f' of {task!r}' if task else ''}")
    return found


def _number(cell: Any, task: str | None, where: str) -> float:
    if cell is None or cell == "":
        return math.nan
    if task is not None:
        if not isinstance(cell, (str, dict)) or len(cell) > LETTERS:
            raise DatasetError(f"{where}: a JSON object is needed, got {str(cell)[:60]!r}")
        try:
            cell = json.loads(cell) if isinstance(cell, str) else cell
        except (ValueError, RecursionError):
            raise DatasetError(f"{where}: no JSON object: {str(cell)[:60]!r}") from None
        if not isinstance(cell, dict):
            raise DatasetError(f"{where}: a JSON object is needed, got {str(cell)[:60]!r}")
        cell = cell.get(task)
        if cell is None:
            return math.nan
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise DatasetError(f"{where}: an accuracy of 0 to 1 is needed, got {str(cell)[:60]!r}")
    return number
