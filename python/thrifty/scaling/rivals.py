"""Laws that predicted runs left out about as well as the one that was chosen, and with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Rival", "combined"]


@dataclass(frozen=True, eq=False)
class Rival:
    """A law and how likely it is.

    Attributes
    ----------
    law : ScalingLaw
        Fitted to the same runs.
    weight : float
        The chosen law's is 1; that of a rival whose errors are r times as large is r to the power of minus the number
        of cuts: the ratio of likelihoods of errors of which each cut tells one.
    """

    law: ScalingLaw
    weight: float


def combined(rivals: Sequence[Rival], own: Values, runs: Runs) -> tuple[Values, Values]:
    """Return the mean of logs of losses (n,) over the chosen law, whose are ``own``, and its rivals; and its variance.

    Means of forecasts are seldom worse than the best of them and often better (Bates and Granger 1969).
    """
    weights = np.array([1.0, *(rival.weight for rival in rivals)])
    logs = np.stack([own, *(np.log(rival.law.loss_at(runs)) for rival in rivals)])
    mean = np.average(logs, axis=0, weights=weights)
    # Laws that are wrong each in its own way are wrong on average by less: as many of them as weigh anything.
    count = weights.sum() ** 2 / (weights**2).sum()
    return mean, np.average((logs - mean) ** 2, axis=0, weights=weights) / count
