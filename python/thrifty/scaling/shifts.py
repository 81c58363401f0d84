"""Losses that a column of the runs, as the set of training data, makes higher or lower by a factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.holdouts import size_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Shifts", "shift_columns", "shifted"]

#: Values that a column may have, and rows of each at least.
MOST, ROWS = 12, 4
#: Fits and shifts in turn.
ROUNDS = 4


@dataclass(frozen=True)
class Shifts:
    """What is added to the log of the loss, by a column's values; their mean is 0.

    Attributes
    ----------
    column : str
    by : dict of str to float
    """

    column: str
    by: dict[str, float]

    @property
    def variance(self) -> float:
        """Of the shift of a value that was not seen."""
        known = list(self.by.values())
        return float(np.var(known, ddof=1)) * (1 + 1 / len(known))

    def known(self, runs: Runs) -> NDArray[np.bool_]:
        """Return whether the value of each run was seen."""
        return np.array([str(value) in self.by for value in self._values(runs)], bool)

    def of(self, runs: Runs) -> Values:
        """Return the shift of each run; 0 where its value was not seen."""
        return np.array([self.by.get(str(value), 0.0) for value in self._values(runs)])

    def _values(self, runs: Runs) -> tuple[object, ...]:
        return runs.columns.get(self.column, (None,) * len(runs))


def shift_columns(runs: Runs) -> list[str]:
    """Return columns of texts that may shift losses: few values, each with several rows in two size classes or more."""
    classes = size_classes(runs.n_params)
    out = []
    for name, values in runs.columns.items():
        if name == "run" or len(values) != len(runs) or not all(isinstance(value, str) for value in values):
            continue
        if any(_numeric(value) for value in dict.fromkeys(values)):
            continue
        each: dict[object, list[int]] = {}
        for value, size in zip(values, classes.tolist(), strict=True):
            each.setdefault(value, []).append(size)
        if 2 <= len(each) <= MOST and all(len(s) >= ROWS and len(set(s)) >= 2 for s in each.values()):
            out.append(name)
    return out


def _numeric(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def shifted(fit: Callable[[Runs], ScalingLaw], runs: Runs, column: str) -> tuple[ScalingLaw, Shifts]:
    """Fit a law and the shifts of a column in turn; the law's runs have their losses without the shifts."""
    losses = np.asarray(runs.loss)
    values = np.array([str(value) for value in runs.columns[column]])
    levels = list(dict.fromkeys(values.tolist()))
    rest = {name: column_ for name, column_ in runs.columns.items() if name != column}
    shift = np.zeros(len(levels))
    at = np.array([levels.index(value) for value in values])
    for _ in range(ROUNDS):
        law = fit(replace(runs, loss=losses * np.exp(-shift[at]), columns=rest))
        wrong = np.log(losses / law.loss_at(law.runs_))
        # The middle half of each value's residuals: robust, and more efficient than the median.
        new = np.array([_midmean(wrong[at == i]) for i in range(len(levels))])
        new -= new.mean()
        done = np.abs(new - shift).max() < 1e-5
        shift = new
        if done:
            break
    return law, Shifts(column, dict(zip(levels, shift.tolist(), strict=True)))


def _midmean(values: Values) -> float:
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())
