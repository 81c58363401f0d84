"""A Gaussian process of few points, by numpy alone.

Points lie in the unit cube. The kernel is Matern-5/2 with a length scale a column, a small linear term and a constant
mean of unit variance; hyper-parameters are the most likely ones under log-normal priors (MAP). The priors were chosen
on the V100 tables of Zeus and stay as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["GaussianProcess"]

#: Mean and standard deviation of the logarithms: length scales, amplitude, slope, noise.
LENGTH, AMPLITUDE, SLOPE, NOISE = (np.log(0.7), 0.8), (0.0, 0.7), (np.log(0.3), 0.7), (np.log(0.02), 0.7)
STEPS = 25
WEIGHT = 2.0
ROOT5 = np.sqrt(5.0)
JITTER = 1e-8


class GaussianProcess:
    """One output over points of ``columns`` coordinates. A fit depends on its points alone."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._mean = np.r_[np.full(columns, LENGTH[0]), AMPLITUDE[0], SLOPE[0], NOISE[0]]
        self._sd = np.r_[np.full(columns, LENGTH[1]), AMPLITUDE[1], SLOPE[1], NOISE[1]]
        self.theta = self._mean.copy()

    def fit(self, x: Floats, y: Floats, spread: float | None = None) -> None:
        """Learn from points of shape (points, columns) and what was measured there, shape (points,).

        ``spread`` is how far values are expected from their mean; it counts as :data:`WEIGHT` points.
        """
        from scipy import optimize
        from scipy.linalg import cho_solve

        self.set_points(x, y, spread)
        self.theta = self._mean.copy()
        # Four standard deviations: beyond, kernels become numerically singular.
        bounds = list(zip(self._mean - 4 * self._sd, self._mean + 4 * self._sd, strict=True))
        minimize: Any = optimize.minimize
        options = {"maxiter": STEPS}
        self.theta = minimize(self.loss, self.theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        self._low = np.linalg.cholesky(self._kernel(self.theta)[0])
        self._alpha = cho_solve((self._low, True), self._z, check_finite=False)

    def set_points(self, x: Floats, y: Floats, spread: float | None = None) -> None:
        """Keep what :meth:`loss` is a loss of."""
        self.x, self.center = x, float(y.mean())
        variance = float(y.var())
        if spread is not None:
            variance = (len(y) * variance + WEIGHT * spread**2) / (len(y) + WEIGHT)
        self.scale = max(math.sqrt(variance), 1e-3)
        self._z = (y - self.center) / self.scale
        self._squares = (x[:, None, :] - x[None, :, :]) ** 2
        self._lines = (x - 0.5) @ (x - 0.5).T
        self._eye = np.eye(len(x))

    def loss(self, theta: Floats) -> tuple[float, Floats]:
        """Return minus the logarithm of likelihood times prior, but for a constant, and its gradient."""
        from scipy.linalg import cho_solve

        k, parts, fall, smooth, line = self._kernel(theta)
        low = np.linalg.cholesky(k)
        inverse = cho_solve((low, True), self._eye, check_finite=False)
        alpha = inverse @ self._z
        w = inverse - np.outer(alpha, alpha)
        away = (theta - self._mean) / self._sd
        slopes = np.r_[
            0.5 * np.einsum("ij,ijk->k", w * fall, parts),
            (w * smooth).sum(),
            (w * line).sum(),
            np.trace(w) * np.exp(2 * theta[-1]),
        ]
        value = 0.5 * self._z @ alpha + np.log(np.diag(low)).sum() + 0.5 * away @ away
        return float(value), slopes + away / self._sd

    def covariance(self) -> Floats:
        """Return that of the points' values over the square of the scale, noise included, shape (points, points)."""
        return self._kernel(self.theta)[0]

    def _kernel(self, theta: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the kernel of the points, and the parts that its derivatives are made of."""
        amplitude, slope, noise = np.exp(2 * theta[self.columns :])
        parts = self._squares / np.exp(2 * theta[: self.columns])
        smooth, fall = _matern(np.sqrt(parts.sum(-1)))
        smooth, line = amplitude * smooth, slope * self._lines
        return smooth + line + 1.0 + (noise + JITTER) * self._eye, parts, amplitude * fall, smooth, line

    def predict(self, x: Floats, *, noise: bool = True) -> tuple[Floats, Floats]:
        """Return means and standard deviations of what will be measured, or without noise of what is there."""
        from scipy.linalg import solve_triangular

        amplitude, slope, level = np.exp(2 * self.theta[self.columns :])
        a, b = (points / np.exp(self.theta[: self.columns]) for points in (x, self.x))
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
        k = amplitude * _matern(np.sqrt(np.maximum(squares, 0.0)))[0]
        k += slope * (x - 0.5) @ (self.x - 0.5).T + 1.0
        seen = solve_triangular(self._low, k.T, lower=True, check_finite=False)
        variance = amplitude + slope * ((x - 0.5) ** 2).sum(1) + 1.0 - (seen * seen).sum(0)
        variance = np.maximum(variance, 1e-12) + (level if noise else 0.0)
        return self.center + self.scale * (k @ self._alpha), self.scale * np.sqrt(variance)


def _matern(r: Floats) -> tuple[Floats, Floats]:
    """Matern-5/2 at distances, and what its derivative is over -r."""
    tail = np.exp(-ROOT5 * r)
    return (1 + ROOT5 * r + 5 / 3 * r * r) * tail, 5 / 3 * (1 + ROOT5 * r) * tail
