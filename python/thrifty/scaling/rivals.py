"""Laws that predicted runs left out about as well as the one that was chosen, and what they say of its predictions."""

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

__all__ = ["Rival", "between"]


@dataclass(frozen=True, eq=False)
class Rival:
    """A law and how likely it is.

    Attributes
    ----------
    law : ScalingLaw
        Fitted to the same runs.
    weight : float
        The chosen law's weight is 1; of a rival whose errors are r times as large it is r to the power of minus the number
        of cuts: the ratio of likelihoods of errors of which each cut tells one.
    """

    law: ScalingLaw
    weight: float


def between(rivals: Sequence[Rival], own: Values, runs: Runs) -> Values:
    """Return variances (n,) of the log of losses among laws about the chosen one, whose logs are ``own``."""
    total = 1.0 + sum(rival.weight for rival in rivals)
    squares = [rival.weight * (np.log(rival.law.loss_at(runs)) - own) ** 2 for rival in rivals]
    return np.asarray(sum(squares, np.zeros(len(runs))) / total)
