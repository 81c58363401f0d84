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


@dataclass(frozen=True, eq=False, slots=True)
class Accuracy:
    """Accuracies with an interval, float64[n] each, 0 to 1."""

    value: Values
    lo: Values
    hi: Values


@dataclass(frozen=True, eq=False)
class Downstream:
    """How a task's accuracy follows the loss: chance + (top - chance) / (1 + exp(slope (loss - middle))).

    Attributes
    ----------
    task : str
    chance, top : float
        Accuracy of a model that knows nothing, and of one without loss.
    middle, slope : float
        Loss at which half of the way is gone, and how steeply.
    covariance : float64[2, 2]
        Of ``middle`` and ``slope``.
    spread : float
        Standard deviation of accuracies around the curve.
    rows : int
    losses : (float, float)
        Least and most that it was fitted to.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import Downstream
    >>> loss = np.linspace(2.5, 4.5, 9)
    >>> task = Downstream.fit(loss, 0.25 + 0.75 / (1 + np.exp(2 * (loss - 2.4))), chance=0.25)
    >>> round(task.middle, 3), round(task.slope, 3)
    (2.4, 2.0)
    """

    task: str
    chance: float
    top: float
    middle: float
    slope: float
    covariance: Values
    spread: float
    rows: int
    losses: tuple[float, float]

    @classmethod
    def fit(
        cls, loss: ArrayLike, accuracy: ArrayLike, *, chance: float = 0.0, top: float = 1.0, task: str = ""
    ) -> Downstream:
        """Fit the curve by least squares.

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
        from scipy.optimize import least_squares
        from scipy.special import expit
        from scipy.stats import t

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
        if len(x) < LEAST or np.ptp(x) == 0:
            raise NotIdentifiable(f"{what}: {len(x)} models of {len(np.unique(x))} losses; at least {LEAST} are needed")

        def wrong(p: Values) -> Values:
            return chance + (top - chance) * expit(-p[1] * (x - x.mean()) + p[0]) - y

        # In shift and slope the curve is a generalised line, so any start ends at the same place.
        found = least_squares(wrong, [0.0, 1.0 / x.std()], method="lm", x_scale=[1.0, 1.0 / x.std()])
        freedom = len(x) - 2
        variance = float((found.fun**2).sum()) / freedom
        information = found.jac.T @ found.jac
        shift, slope = found.x
        if np.linalg.cond(information) > 1e14:
            raise NotIdentifiable(f"{what} is at {'its top' if y.mean() > (chance + top) / 2 else 'chance'} throughout")
        covariance = np.linalg.inv(information) * variance
        if not slope > t.ppf(0.975, freedom) * math.sqrt(covariance[1, 1]):
            raise NotIdentifiable(f"{what} does not rise as the loss falls from {x.max():.4g} to {x.min():.4g}")
        turn = np.array([[1 / slope, -shift / slope**2], [0.0, 1.0]])
        return cls(
            task=task,
            chance=chance,
            top=top,
            middle=float(x.mean() + shift / slope),
            slope=float(slope),
            covariance=turn @ covariance @ turn.T,
            spread=math.sqrt(variance),
            rows=len(x),
            losses=(float(x.min()), float(x.max())),
        )

    def at(self, loss: ArrayLike, interval: float = 0.95) -> Accuracy:
        """Return accuracies at losses, with the interval in which a model's lies.

        Parameters
        ----------
        loss : float64[n]
        interval : float
            Its level.
        """
        from scipy.special import expit
        from scipy.stats import t

        x = np.asarray(loss, np.float64)
        share = expit(-self.slope * (x - self.middle))
        steep = (self.top - self.chance) * share * (1 - share)
        by = np.stack([steep * self.slope, -steep * (x - self.middle)], -1)
        variance = ((by @ self.covariance) * by).sum(-1) + self.spread**2
        half = float(t.ppf((1 + interval) / 2, self.rows - 2)) * np.sqrt(variance)
        value = self.chance + (self.top - self.chance) * share
        return Accuracy(value, np.clip(value - half, 0, 1), np.clip(value + half, 0, 1))

    def columns(self, loss: Values, lo: Values, hi: Values) -> dict[str, Values]:
        """Return ``accuracy``, ``accuracy_lo``, ``accuracy_hi`` of losses that have an interval themselves.

        What comes from the loss and what comes from the task are independent, so their squares add up.
        """
        told, at_lo, at_hi = self.at(loss), self.at(lo), self.at(hi)
        up = np.hypot(told.hi - told.value, at_lo.value - told.value)
        down = np.hypot(told.value - told.lo, told.value - at_hi.value)
        value = told.value
        return {
            "accuracy": value,
            "accuracy_lo": np.clip(value - down, 0, 1),
            "accuracy_hi": np.clip(value + up, 0, 1),
        }


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
