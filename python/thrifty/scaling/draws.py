"""Bootstraps of a fit: the coefficients that other draws of the runs would have given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from thrifty.scaling.groups import weighed
from thrifty.stats import bootstrap, philox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.scaling.law import ScalingLaw
    from thrifty.scaling.runs import Runs

    Values = NDArray[np.float64]

__all__ = ["Draws", "drawn"]

#: Weights of all draws that are held in memory at once; at least a block of draws is.
NUMBERS, BLOCK = 1 << 23, 64
#: Position of the generator that residuals are drawn from, which no block of runs has.
RESIDUAL = 1 << 40
#: What a run leaves to the others, at least.
LEAST = 0.1


@dataclass(frozen=True, eq=False)
class Draws:
    """Coefficients of a bootstrap.

    Attributes
    ----------
    names : tuple of str
    values : float64[B, p]
        Coefficients as in ``coef_``.
    theta : float64[B, p]
        The same as in ``theta_``: what predictions are made of.
    estimate : float64[p]
        Of the fit itself.
    kind : str
        ``"case"``, ``"cluster"`` or ``"residual"``.
    units : int
        Runs, or groups of runs, that were drawn from.
    positive : tuple of bool
        Coefficients that can't be below 0.
    """

    names: tuple[str, ...]
    values: Values
    theta: Values
    estimate: Values
    kind: str
    units: int
    positive: tuple[bool, ...]

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the interval between quantiles (Efron 1981).

        With few groups quantiles lie too near to the estimate: those of ``cluster`` are moved away from it (of
        coefficients that can't be below 0, their logs) by what Student's t with groups - 1 degrees of freedom is wider
        than the normal law, and by the root of groups / (groups - 1); those of
        ``residual`` by what Student's t with runs - coefficients degrees is wider.

        Raises
        ------
        ValueError
            When there is no such name, or the level is not between 0 and 1.

        Examples
        --------
        >>> import numpy as np
        >>> from thrifty.scaling import Draws
        >>> one = Draws(("E",), np.arange(101.0)[:, None], np.zeros((101, 1)), np.array([50.0]), "case", 9, (True,))
        >>> one.interval("E", 0.5)
        (25.0, 75.0)
        """
        if name not in self.names:
            raise ValueError(f"name: {name!r} is none of {', '.join(self.names)}")
        if not 0 < level < 1:
            raise ValueError(f"level: a share between 0 and 1 is needed, got {level}")
        at = self.names.index(name)
        low, high = np.quantile(self.values[:, at], [(1 - level) / 2, (1 + level) / 2]).tolist()
        wider, middle = self._wider(level), float(self.estimate[at])
        if wider == 1:
            return low, high
        if self.positive[at] and min(low, middle) > 0:
            low, high = (middle * (end / middle) ** wider for end in (low, high))
            return low, high
        return middle + wider * (low - middle), middle + wider * (high - middle)

    def losses(self, law: ScalingLaw, runs: Runs, level: float = 0.95) -> tuple[Values, Values]:
        """Return the interval of the law's losses at runs, float64[n] each, like :meth:`interval` of coefficients."""
        if not 0 < level < 1:
            raise ValueError(f"level: a share between 0 and 1 is needed, got {level}")
        logs, middle = law.logs_at(runs, self.theta), law.logs_at(runs)[0]
        low, high = np.quantile(logs, [(1 - level) / 2, (1 + level) / 2], axis=0)
        wider = self._wider(level)
        return np.exp(middle + wider * (low - middle)), np.exp(middle + wider * (high - middle))

    def _wider(self, level: float) -> float:
        from scipy.special import ndtri, stdtrit

        if self.kind == "case":
            return 1.0
        share, cluster = (1 + level) / 2, self.kind == "cluster"
        freedom = self.units - 1 if cluster else max(self.units - len(self.names), 1)
        return float(stdtrit(freedom, share) / ndtri(share)) * (math.sqrt(self.units / freedom) if cluster else 1.0)


def drawn(law: ScalingLaw, n: int, seed: int, kind: Literal["case", "cluster", "residual"], threads: int = 0) -> Draws:
    """Return the bootstrap of a fitted law; arguments are those of :meth:`ScalingLaw.bootstrap`."""
    if kind not in ("case", "cluster", "residual"):
        raise ValueError(f"kind: 'case', 'cluster' or 'residual' is needed, got {kind!r}")
    rows = len(law.runs_)
    part = weighed(law.groups_ if kind == "cluster" else None, law.weights_)
    units = int(part.max()) + 1
    if kind == "cluster":
        if law.groups_ is None:
            raise ValueError("kind: 'cluster' needs a fit with groups")
        if units < 2:
            raise ValueError("kind: 'cluster' needs two groups of runs or more")
    if n < 1 or threads < 0:
        raise ValueError(f"n, threads: at least 1 and 0 are needed, got {n} and {threads}")
    few = min(n, max(NUMBERS // rows, BLOCK))
    theta = np.concatenate(
        [
            _refits(law, min(few, n - first), part, seed, first // few, threads, residual=kind == "residual")
            for first in range(0, n, few)
        ]
    )
    positive = tuple(name in law.form_.linear for name in law.form_.names)
    estimate = law.coefficients(law.theta_)
    return Draws(law.form_.names, law.coefficients(theta), theta, estimate, kind, units, positive)


def _refits(
    law: ScalingLaw,
    n: int,
    part: NDArray[np.int64],
    seed: int,
    stream: int,
    threads: int,
    *,
    residual: bool,
) -> Values:
    """Refit to as many draws as are held in memory at once."""
    rows, kept = len(part), np.flatnonzero(part >= 0)
    if not residual:
        groups = None if int(part.max()) + 1 == len(kept) else part[kept]
        counts = bootstrap(
            lambda counts: counts.T, len(kept), resamples=n, clusters=groups, seed=seed, stream=stream, threads=threads
        )
        if len(kept) < rows:
            some, counts = counts, np.zeros((n, rows))
            counts[:, kept] = some
        return law.refit(counts, threads=threads)
    told, away = law.loss_at(law.runs_), _residuals(law, kept)
    draws = philox(seed, stream, RESIDUAL).integers(0, len(away), (n, rows))
    return law.refit(np.ones((n, rows)), told * np.exp(away[draws]), threads=threads)


def _residuals(law: ScalingLaw, kept: NDArray[np.int64]) -> Values:
    """Return log residuals as they would be of runs that a fit has not seen.

    Each is over the root of what its run leaves to the others (Davison and Hinkley 1997, section 6.2.3). Huber's fit
    goes through as many runs as it has coefficients, whose residuals are none.
    """
    told, free = law.loss_at(law.runs_)[kept], law.free_
    away = np.log(law.runs_.loss[kept] / told)  # type: ignore[index]
    weights = law.weights_[kept] * (told**2 if law.loss == "lsq" else 1.0)
    basis, _ = np.linalg.qr(law.gradient(law.runs_)[kept][:, free] * np.sqrt(weights)[:, None])
    through = int(free.sum()) if law.loss == "huber_log" else 0
    seen = np.sort(np.argsort(np.abs(away), kind="stable")[through:])
    return np.asarray(away / np.sqrt(np.maximum(1.0 - (basis**2).sum(1), LEAST)))[seen]
