"""What each run, or group of runs, moves: the fit without it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.scaling.groups import weighed
from thrifty.scaling.law import refits
from thrifty.scaling.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw

    Values = NDArray[np.float64]

__all__ = ["Influence", "influence"]

#: A residual is far at so many standard deviations (by the median's), a move at so many of all moves.
FAR = 5.0
#: Numbers that are held at once.
NUMBERS = 1 << 20
#: Fits at most; of more runs only those with the largest residuals are left out.
MOST = 2000


@dataclass(frozen=True, eq=False)
class Influence:
    """What leaving out does, the most moving first.

    Attributes
    ----------
    rows : tuple of tuple of int
        Rows of the fit's runs that were left out together.
    labels : tuple of str
        Their group or name, with the line of the file where there is one.
    moved : float64[k]
        By how much the log of the loss at the target changes without them.
    coefficients : float64[k, p]
        Changes of ``theta_``, in standard deviations.
    residual : float64[k]
        Largest residual (nats) of the rows in a fit without them, in robust standard deviations of all residuals.
    flagged : bool[k]
        Runs that deserve a look: no other is so far from the law, or moves it so much.
    refitted : bool
        Whether fits without them were made; of very many runs they are one Newton step.
    """

    rows: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    moved: Values
    coefficients: Values
    residual: Values
    flagged: NDArray[np.bool_]
    refitted: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of flagged runs, at most five of them."""
        said = [
            f"{label}: {residual:+.1f} standard deviations from the law; without it the target moves {moved:+.2%}"
            for label, residual, moved, flag in zip(self.labels, self.residual, self.moved, self.flagged, strict=True)
            if flag
        ]
        rest = len(said) - 5
        if rest > 0:
            said = [*said[:5], f"{rest} more runs are as far from the law"]
        if said and not self.refitted:
            said.append("of so many runs, what each moves is one Newton step from the fit and no fit of its own")
        return tuple(said)


def influence(law: ScalingLaw, target: Runs | Mapping[str, Any] | None = None) -> Influence:
    """Leave out each run, or each group where the fit has groups, and tell what changes.

    Parameters
    ----------
    law : ScalingLaw
        Fitted.
    target : Runs, mapping or data frame, optional
        Where predictions are compared; the run of the largest budget (n_params times n_tokens) without it.

    Examples
    --------
    >>> import numpy as np
    >>> from thrifty.scaling import ScalingLaw, influence
    >>> n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    >>> loss = (1.8 + 400 * n**-0.34 + 2000 * d**-0.37) * np.resize([0.999, 1.001, 1.0], 16)
    >>> loss[5] *= 1.2
    >>> found = influence(ScalingLaw("chinchilla").fit({"n_params": n, "n_tokens": d, "loss": loss}))
    >>> found.rows[0], bool(found.flagged[0])
    ((5,), True)
    """
    runs = law.runs_
    residuals = runs.loss - law.loss_at(runs)  # type: ignore[operator]
    counted = np.flatnonzero(law.weights_ > 0)
    unit = max(float(np.median(np.abs(residuals[counted]))) / 0.6745, 1e-12)
    part = weighed(law.groups_, law.weights_)
    order = np.argsort(part, kind="stable")[len(runs) - len(counted) :]
    parts = np.split(order, np.flatnonzero(np.diff(part[order])) + 1)
    if len(parts) > MOST:
        parts.sort(key=lambda rows: -float(np.abs(residuals[rows]).max()))
        parts = parts[:MOST]
    part = np.full(len(runs), -1, np.int64)
    for i, rows in enumerate(parts):
        part[rows] = i
    theta = law.without(part)
    aim = runs.take([int(np.argmax(runs.n_params * runs.n_tokens))]) if target is None else Runs.of(target)
    moved = (law.logs_at(aim, theta) - np.log(law.loss_at(aim))).mean(1)
    residual = _farthest(law, parts, theta) / unit
    deviation = np.sqrt(np.maximum(np.diag(law.scatter_.covariance), 1e-300))
    usual = max(float(np.median(np.abs(moved))) / 0.6745, 1e-12)
    flagged = (
        np.abs(residual) > FAR if law.groups_ is None else (np.abs(residual) > FAR) & (np.abs(moved) > usual * FAR)
    )
    order = np.lexsort([-np.abs(moved), -np.abs(residual), ~flagged])
    return Influence(
        tuple(tuple(parts[i].tolist()) for i in order),
        tuple(_label(law, parts[i]) for i in order),
        moved[order],
        ((theta - law.theta_) / deviation)[order],
        residual[order],
        flagged[order],
        refits(len(parts), len(runs)),
    )


def _farthest(law: ScalingLaw, parts: list[NDArray[np.int64]], theta: Values) -> Values:
    """Return the largest residual of the rows of each part by coefficients of its own, (k,)."""
    out = []
    some = max(int(math.sqrt(NUMBERS / max(map(len, parts)))), 1)
    for first in range(0, len(parts), some):
        block = parts[first : first + some]
        rows = np.concatenate(block)
        at = np.repeat(np.arange(len(block)), [len(one) for one in block])
        told = np.exp(law.logs_at(law.runs_.take(rows), theta[first : first + some]))[at, np.arange(len(rows))]
        away = law.runs_.loss[rows] - told  # type: ignore[index]
        out += [away[at == i][np.argmax(np.abs(away[at == i]))] for i in range(len(block))]
    return np.array(out)


def _label(law: ScalingLaw, rows: NDArray[np.int64]) -> str:
    runs, first = law.runs_, int(rows[0])
    if law.groups_ is not None:
        return str(law.groups_[first])
    name = runs.names[first] if runs.names else ""
    line = "" if runs.lines is None else f"line {int(runs.lines[first])}"
    return f"{name} ({line})" if name and line else name or line or f"row {first}"
