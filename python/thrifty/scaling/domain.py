"""Runs that a law was not fitted to, as it did not hold for them, and how it missed those that there were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thrifty.scaling.holdouts import APART, size_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["TRAINED", "Domain", "ratios"]

#: Tokens a parameter below which a run is under-trained: compute-optimal ones have 20 (Hoffmann et al. 2022).
TRAINED = 20.0
#: Classes that are added to those seen, of which there are few: they miss by nothing or by twice the mean.
ASSUMED = 2


@dataclass(frozen=True)
class Domain:
    """Where a law holds, and how far from it runs outside of it are.

    By how far x = log(least / ratio) a run lies below the least ratio, its log loss is off by ``slope`` x^2: by nothing
    at the edge, where the law still holds. Beyond the farthest run that was seen it goes on straight.

    Attributes
    ----------
    least : float
        Tokens a parameter, all parameters counted.
    rows : int
        Runs below it that were there.
    slope : float
        Mean over their size classes.
    variance : float
        Of the slope of a run to come.
    freedom : float
        Degrees of freedom of the variance.
    farthest : float
        The largest x among them.
    """

    least: float
    rows: int
    slope: float
    variance: float
    freedom: float
    farthest: float

    @classmethod
    def of(cls, runs: Runs, wrong: Values) -> Domain:
        """Return it by runs outside, and logs of their losses less the law's (n,)."""
        # Runs at the very edge tell nothing of how it goes on.
        x = np.maximum(_below(runs, TRAINED), np.log(APART))
        classes = size_classes(runs.n_params)
        slopes = np.bincount(classes, wrong * x**2) / np.bincount(classes, x**4)
        count, mean = len(slopes), float(slopes.mean())
        rest = wrong - slopes[classes] * x**2
        within = float((rest**2).sum() / max(len(x) - count, 1) / (x**4).mean())
        between = (((slopes - mean) ** 2).sum() + ASSUMED * mean**2) / (count - 1 + ASSUMED)
        variance = float(between) * (1 + 1 / count) + within
        return cls(TRAINED, len(runs), mean, variance, float(count - 1 + ASSUMED), float(x.max()))

    def outside(self, runs: Runs) -> NDArray[np.bool_]:
        """Return which runs the law does not hold for."""
        return ratios(runs) < self.least

    def off(self, runs: Runs) -> tuple[Values, Values]:
        """Return what is added to logs of the law's losses (n,), and the variance of that; 0 inside."""
        x = _below(runs, self.least)
        near = np.minimum(x, self.farthest)
        size = near**2 + 2 * self.farthest * (x - near)
        return self.slope * size, self.variance * size**2

    def notes(self, runs: Runs) -> tuple[str, ...]:
        """Say which runs lie outside."""
        outside = np.flatnonzero(self.outside(runs))
        if not len(outside):
            return ()
        return (
            f"{len(outside)} of {len(runs)} runs ({_numbered(runs, outside)}) have fewer than {self.least:g} tokens a"
            f" parameter, where the law does not hold: their losses and intervals are told by how it missed {self.rows}"
            " such runs",
        )


def ratios(runs: Runs) -> Values:
    """Return tokens a parameter, all parameters counted where that number is known."""
    return np.asarray(runs.n_tokens / runs.sizes.get("total", runs.n_params), np.float64)


def _numbered(runs: Runs, rows: NDArray[np.int64], most: int = 10) -> str:
    """Name rows by their numbers: lines of the file, or from 0."""
    numbers = rows if runs.lines is None else runs.lines[rows]
    kind = "row" if runs.lines is None else "line"
    named = ", ".join(str(number) for number in numbers[:most].tolist()) + ", ..." * (len(numbers) > most)
    return f"{kind}{'s' * (len(numbers) > 1)} {named}"


def _below(runs: Runs, least: float) -> Values:
    return np.maximum(np.log(least / ratios(runs)), 0.0)
