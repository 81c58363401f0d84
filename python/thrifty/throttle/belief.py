"""What is believed of settings, from those that were measured and from another device's.

The objective and each quantity that has a limit are Gaussian processes in logarithms. Once a setting has failed,
whether one works is a process as well, of -1 and 1. A table of another device is the mean that values are measured
from, until they are further from it than devices of one kind are from each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thrifty.throttle.surrogate import GaussianProcess
from thrifty.throttle.threads import one_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Belief", "Prior"]

#: How far logarithms on one card are from those of another, but for a factor: 0.08 to 0.31 between the V100 and the A40
#: or the RTX 6000 (tables of Zeus).
SPREAD = 0.3
#: The chance at which a prior that is right is thought to be wrong.
REFUTED = 0.05
#: Settings of a table that a prior is made of at most, and of a space that are looked at in one piece.
TABLE, PIECE = 300, 8192


class Prior:
    """What another device measured: a mean for each quantity.

    Parameters
    ----------
    x : float64 array of shape (settings, columns)
        Where its settings lie in the space that is tuned.
    measured : dict of str to float64 array of shape (settings,)
        Logarithms of what was measured there.
    """

    @one_thread()
    def __init__(self, x: Floats, measured: dict[str, Floats]) -> None:
        kept = np.random.default_rng(0).permutation(len(x))[:TABLE] if len(x) > TABLE else np.arange(len(x))
        self._of = {name: GaussianProcess(x.shape[1]) for name in measured}
        for name, values in measured.items():
            self._of[name].fit(x[kept], values[kept])

    def mean(self, name: str, x: Floats) -> Floats:
        """Return the logarithms that are expected, but for a constant, shape (points,)."""
        return self._of[name].predict(x)[0]

    def refuted(self, name: str, x: Floats, values: Floats) -> bool:
        """Whether what was measured is further from it than chance allows (chi-square, the constant unknown)."""
        from scipy.linalg import cho_factor, cho_solve
        from scipy.stats import chi2

        if len(x) < 2:
            return False
        process = GaussianProcess(x.shape[1])
        away = values - self.mean(name, x)
        process.set_points(x, away)
        factor = cho_factor(process.covariance())
        solved, ones = cho_solve(factor, np.stack([away, np.ones(len(x))], axis=1)).T
        squares = away @ solved - (ones @ away) ** 2 / ones.sum()
        return bool(chi2.sf(squares / SPREAD**2, len(x) - 1) < REFUTED)


class Belief:
    """The surrogates of a search.

    Parameters
    ----------
    objective : str
        What is to be least.
    limits : sequence of (name, logarithm of the limit)
        What must stay below.
    columns : int
        Coordinates of a setting.
    prior : Prior, optional
        Of another device.
    """

    def __init__(self, objective: str, limits: list[tuple[str, float]], columns: int, prior: Prior | None) -> None:
        self.objective, self.limits, self.columns, self.prior = objective, limits, columns, prior
        self._of = {name: GaussianProcess(columns) for name in (objective, *(name for name, _ in limits))}
        self._broken: GaussianProcess | None = None
        self._warm = set() if prior is None else set(self._of)

    @one_thread()
    def learn(self, x: Floats, measured: dict[str, Floats], failed: Floats) -> None:
        """Learn from what was measured at points ``x``, in logarithms, and from points that failed."""
        prior = self.prior
        self._warm = set() if prior is None else {n for n in self._of if not prior.refuted(n, x, measured[n])}
        for name, process in self._of.items():
            if prior is not None and name in self._warm:
                process.fit(x, measured[name] - prior.mean(name, x), SPREAD)
            else:
                process.fit(x, measured[name])
        self._broken = None
        if len(failed):
            self._broken = GaussianProcess(self.columns)
            points = np.concatenate([x, failed])
            self._broken.fit(points, np.where(np.arange(len(points)) < len(x), -1.0, 1.0), 1.0)

    @property
    def warm(self) -> bool:
        """Whether the prior is believed of the objective."""
        return self.objective in self._warm

    @one_thread()
    def of(self, name: str, x: Floats, *, noise: bool = True) -> tuple[Floats, Floats]:
        """Return means and standard deviations of the logarithm of a quantity, shape (points,) each."""
        parts = [x[i : i + PIECE] for i in range(0, len(x), PIECE)]
        found = [self._of[name].predict(part, noise=noise) for part in parts]
        mean, sd = (np.concatenate(both) for both in zip(*found, strict=True))
        if self.prior is not None and name in self._warm:
            mean = mean + np.concatenate([self.prior.mean(name, part) for part in parts])
        return mean, sd

    def log_kept(self, name: str, limit: float, x: Floats, *, noise: bool = True) -> Floats:
        """Return the logarithm of the chance that a quantity's logarithm is below ``limit``, shape (points,)."""
        from scipy.special import log_ndtr

        mean, sd = self.of(name, x, noise=noise)
        return np.asarray(log_ndtr((limit - mean) / sd), np.float64)

    @one_thread()
    def log_chance(self, x: Floats, *, noise: bool = True) -> Floats:
        """Return the logarithm of the chance that a setting works and keeps all limits, shape (points,)."""
        from scipy.special import log_ndtr

        chance = np.zeros(len(x))
        for name, limit in self.limits:
            chance += self.log_kept(name, limit, x, noise=noise)
        if self._broken is not None:
            mean, sd = self._broken.predict(x)
            chance += log_ndtr(-mean / sd)
        return np.asarray(chance, np.float64)
