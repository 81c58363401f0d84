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

    def values(self, r: Values) -> Values:
        """Return what each residual adds to a sum."""
        if self.kind == "lsq":
            return 0.5 * r * r
        cut = np.minimum(np.maximum(r, -self.delta), self.delta)
        return np.asarray(cut * (r - 0.5 * cut), np.float64)

    def rows(self, log: Values, targets: Values, weights: Values) -> tuple[Values, Values, Values, Values]:
        """Return sums (B,); of each row what its log's bend and its slope's square count; and residuals (B, n)."""
        if self.kind == "lsq":
            loss = np.exp(log)
            r = loss - targets
            first = weights * r
            total = 0.5 * np.einsum("bn,bn->b", first, r)
            first *= loss
            return total, first, weights * (loss * loss) + first, r
        r = log - targets
        cut = np.maximum(r, -self.delta)
        np.minimum(cut, self.delta, out=cut)
        first = weights * cut
        total = np.einsum("bn,bn->b", first, r) - 0.5 * np.einsum("bn,bn->b", first, cut)
        return total, first, weights * (cut == r), r

    def held(self, r: Values, log: Values, weights: Values) -> Values:
        """Return what its slope's square counts in a sum that is nowhere lower (iteratively weighted least squares)."""
        if self.kind == "lsq":
            return weights * np.exp(2.0 * log)
        return weights * (self.delta / np.maximum(np.abs(r), self.delta))

    def inside(self, r: Values, weights: Values) -> Values:
        """Return how much of each run lies where Huber's loss is a square, of residuals (n,) smoothed.

        Few residuals lie within a small delta; what share would is told by those within a bandwidth (Hall and Sheather
        1988 for medians, here of the normal law).
        """
        middle = float(np.median(np.abs(r[weights > 0])))
        width = max(self.delta, 1.06 * 1.4826 * middle * float((weights > 0).sum()) ** -0.2, float(np.abs(r).min()))
        return np.where(np.abs(r) <= width, self.delta / width, 0.0)
