"""What a fit makes least: Huber's loss of log residuals, or squares of the losses' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """A sum over runs, never a mean, of a function of residuals.

    Attributes
    ----------
    kind : str
        ``"huber_log"``: of log residuals r, r^2/2 up to delta and delta (|r| - delta/2) beyond (Hoffmann et al. 2022);
        ``"lsq"``: (loss - target)^2 / 2.
    delta : float
    """

    kind: Literal["huber_log", "lsq"] = "huber_log"
    delta: float = 1e-3

    def residuals(self, log: Values, targets: Values) -> Values:
        """Return residuals of logs of losses; targets are logs for ``huber_log``, else losses."""
        return log - targets if self.kind == "huber_log" else np.exp(log) - targets

    def targets(self, losses: Values) -> Values:
        """Return targets of losses."""
        return np.log(losses) if self.kind == "huber_log" else losses

    def rows(self, log: Values, targets: Values, weights: Values) -> tuple[Values, Values, Values, Values]:
        """Return sums (B,), and for each row what its log's first and second derivatives count (B, n).

        These are: the weight of the slope and of the bend; the weight of the slope's square; and the same of a form
        that is never negative (iteratively weighted least squares).
        """
        if self.kind == "lsq":
            loss = np.exp(log)
            r = loss - targets
            first = weights * r * loss
            squares = weights * loss * loss
            return 0.5 * (weights * r * r).sum(1), first, squares + first, squares
        r = log - targets
        cut = np.clip(r, -self.delta, self.delta)
        first = weights * cut
        total = (first * (r - 0.5 * cut)).sum(1)
        inside = weights * (cut == r)
        return total, first, inside, weights * (self.delta / np.maximum(np.abs(r), self.delta))
