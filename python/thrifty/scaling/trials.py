"""How a law predicts runs that were left out of its fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import NotIdentifiable
from thrifty.scaling.fitting.identify import WORST
from thrifty.scaling.holdouts import folds
from thrifty.scaling.law import ScalingLaw
from thrifty.scaling.shifts import Shifts, shifted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.holdouts import Holdout
    from thrifty.scaling.laws.form import Form
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Setting", "Trial", "tried"]

#: Huber's delta in standard deviations that costs 5 % of efficiency where residuals are normal (Huber 1981).
EFFICIENT = 1.345
#: An error left out counts at most so many of the variances that were expected.
MOST = 4.0


@dataclass(frozen=True, eq=False)
class Setting:
    """Which rows a law is fitted to, and how.

    Attributes
    ----------
    runs : Runs
    groups : tuple, optional
        Labels of runs whose residuals hang together.
    loss : str
    delta : float, optional
        Huber's; None: what suits the residuals.
    shift : str
        Column whose values shift losses, or empty.
    outside : Runs, optional
        Rows that it is not fitted to.
    """

    runs: Runs
    groups: tuple[Any, ...] | None = None
    loss: str = "huber_log"
    delta: float | None = None
    shift: str = ""
    outside: Runs | None = None

    def suited(self, law: str | Form) -> Setting:
        """Return it with the delta that is robust and loses 5 % of efficiency where the law's residuals are normal."""
        if self.delta is not None or self.loss != "huber_log":
            return self
        first, _ = replace(self, delta=1.0).fitted(law)
        residuals = np.log(first.runs_.loss / first.loss_at(first.runs_))  # type: ignore[operator]
        return replace(self, delta=float(max(EFFICIENT * np.median(np.abs(residuals)) / 0.6745, 1e-6)))

    def fitted(self, law: str | Form, rows: NDArray[np.bool_] | None = None) -> tuple[ScalingLaw, Shifts | None]:
        """Fit a law to some rows, or all."""
        runs = self.runs if rows is None else self.runs.take(rows)
        groups = self.groups
        if groups is not None and rows is not None:
            groups = tuple(g for g, kept in zip(groups, rows, strict=True) if kept)
        delta = self.delta or 1e-3

        def fit(some: Runs) -> ScalingLaw:
            # Coefficients that the runs can't tell apart may predict well all the same.
            return ScalingLaw(law, loss=self.loss, delta=delta).fit_unchecked(some, groups=groups)

        if self.shift:
            return shifted(fit, runs, self.shift)
        return fit(runs), None


@dataclass(frozen=True, eq=False)
class Trial:
    """What a law did.

    Attributes
    ----------
    law : ScalingLaw or None
        Fitted to all rows; None where the rows can't tell it.
    shifts : Shifts or None
    errors : dict of int to float
        Mean size of errors of the log loss for each cut where the law could be fitted; -1: leaving groups out.
    surprise : dict of str to tuple of float
        By column, for each cut: squares of errors less the runs' own scatter, in units of the variance expected.
    unsure : tuple of int
        Cuts whose fitted runs can't tell the law's coefficients apart: no proof that it is wrong.
    by_size : tuple of int
        Cuts whose runs left out are the larger models.
    why : str
        Why there is no law.
    """

    law: ScalingLaw | None
    shifts: Shifts | None = None
    errors: dict[int, float] = field(default_factory=dict)
    surprise: dict[str, tuple[float, ...]] = field(default_factory=dict)
    unsure: tuple[int, ...] = ()
    by_size: tuple[int, ...] = ()
    why: str = ""


def tried(law: str | Form, setting: Setting, cuts: Sequence[Holdout], judged: NDArray[np.bool_]) -> Trial:
    """Fit a law to all rows, and to those of each cut, and look at the judged ones among those left out."""
    try:
        setting = setting.suited(law)
        whole, shifts = setting.fitted(law)
    except NotIdentifiable as error:
        return Trial(None, why=str(error))
    errors: dict[int, float] = {}
    surprise: dict[str, list[float]] = {}
    unsure: list[int] = []
    for number, cut in enumerate(cuts):
        left = ~cut.fitted & judged
        if not left.any():
            continue
        try:
            fit, known = setting.fitted(law, cut.fitted)
        except NotIdentifiable:
            continue
        runs = setting.runs.take(left)
        wrong = np.log(runs.loss / fit.loss_at(runs))  # type: ignore[operator]
        if known is not None:
            wrong = wrong - known.of(runs)
        errors[number] = float(np.abs(wrong).mean())
        if fit.certificate_.condition > WORST:
            unsure.append(number)
            continue
        expected = float(fit.scatter_.variances(fit.gradient(runs))[0].mean())
        more = float((wrong**2).mean()) - sum(fit.scatter_.noise)
        surprise.setdefault(cut.column, []).append(float(np.clip(more / max(expected, 1e-300), 0.0, MOST)))
    errors[-1] = _folded(whole, judged)
    by_size = tuple(number for number, cut in enumerate(cuts) if cut.column == "n_params")
    surprises = {column: tuple(values) for column, values in surprise.items()}
    return Trial(whole, shifts, errors, surprises, tuple(unsure), by_size)


def _folded(law: ScalingLaw, judged: NDArray[np.bool_]) -> float:
    """Mean size of errors of runs that were left out with their group."""
    labels = law.groups_
    if labels is None or len(set(labels)) < 2:
        labels = tuple(range(len(law.runs_)))
    kept = np.array(folds(labels))
    told = law.logs_at(law.runs_, law.refit(kept.astype(np.float64)))
    wrong = np.abs(np.log(law.runs_.loss) - told)  # type: ignore[arg-type]
    return float(wrong[~kept & judged].mean())
