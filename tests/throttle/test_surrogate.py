"""The Gaussian process beside one written out, and the promise of a measurement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from thrifty.throttle.acquisition import log_expected_improvement
from thrifty.throttle.surrogate import JITTER, GaussianProcess


def kernel(a: np.ndarray, b: np.ndarray, theta: np.ndarray) -> float:
    """Of two points, from the formula."""
    *lengths, amplitude, slope, _ = np.exp(theta)
    r = math.sqrt(sum(((p - q) / length) ** 2 for p, q, length in zip(a, b, lengths, strict=True)))
    smooth = (1 + math.sqrt(5) * r + 5 / 3 * r * r) * math.exp(-math.sqrt(5) * r)
    return amplitude**2 * smooth + slope**2 * float((a - 0.5) @ (b - 0.5)) + 1.0


def points(count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.random((count, 2))
    return x, np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + 0.01 * rng.standard_normal(count)


def test_predictions_are_those_of_the_formula() -> None:
    x, y = points()
    gp = GaussianProcess(2)
    gp.fit(x, y)
    there = np.random.default_rng(4).random((5, 2))
    k = np.array([[kernel(a, b, gp.theta) for b in x] for a in x]) + (np.exp(2 * gp.theta[-1]) + JITTER) * np.eye(9)
    inverse = np.linalg.inv(k)
    mean, sd = gp.predict(there, noise=False)
    noisy = gp.predict(there)
    assert (noisy[0] == mean).all()
    for point, m, s, n in zip(there, mean, sd, noisy[1], strict=True):
        own = np.array([kernel(point, b, gp.theta) for b in x])
        variance = kernel(point, point, gp.theta) - own @ inverse @ own
        assert m == pytest.approx(y.mean() + own @ inverse @ (y - y.mean()), rel=1e-9, abs=1e-9)
        assert s == pytest.approx(y.std() * math.sqrt(variance), rel=1e-6)
        assert n == pytest.approx(y.std() * math.sqrt(variance + math.exp(2 * gp.theta[-1])), rel=1e-6)


def test_a_spread_that_is_expected_counts_as_two_points() -> None:
    x, y = points(6)
    gp = GaussianProcess(2)
    gp.set_points(x, y, 3.0)
    assert gp.scale**2 == pytest.approx((6 * y.var() + 2 * 9.0) / 8)
    gp.set_points(x[:1], y[:1], 3.0)
    assert gp.scale**2 == pytest.approx(2 * 9.0 / 3)


def test_the_gradient_is_that_of_the_loss() -> None:
    x, y = points()
    gp = GaussianProcess(2)
    gp.set_points(x, y)
    for seed in range(5):
        theta = gp.theta + np.random.default_rng(seed).normal(0, 0.5, len(gp.theta))
        numeric = optimize.approx_fprime(theta, lambda t: gp.loss(t)[0], 1e-7)
        assert gp.loss(theta)[1] == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_a_fit_finds_more_likely_parameters_and_the_points() -> None:
    x, y = points(20)
    gp = GaussianProcess(2)
    gp.set_points(x, y)
    before = gp.loss(gp.theta)[0]
    gp.fit(x, y)
    theta = gp.theta
    gp.fit(*points(5))
    gp.fit(x, y)
    assert (gp.theta == theta).all()  # A fit does not depend on the one before.
    assert gp.loss(gp.theta)[0] < before - 1
    mean, sd = gp.predict(x)
    assert np.abs(mean - y).max() < 0.1 * y.std()
    assert sd.max() < gp.predict(np.array([[9.0, 9.0]]))[1][0]


@pytest.mark.parametrize("y", [np.zeros(3), np.array([1.0])])
def test_constants_and_one_point(y: np.ndarray) -> None:
    gp = GaussianProcess(2)
    gp.fit(np.random.default_rng(0).random((len(y), 2)), y)
    mean, sd = gp.predict(np.array([[0.5, 0.5]]))
    assert mean[0] == pytest.approx(y[0], abs=1e-3)
    assert sd[0] > 0


def test_the_expected_improvement_is_the_integral() -> None:
    for best in (-6.0, -3.0, -1.5, -1.0, 0.0, 2.0):
        whole, _ = integrate.quad(lambda y, b=best: (b - y) * stats.norm.pdf(y, 0.3, 0.7), -np.inf, best, epsabs=0)
        (log,) = log_expected_improvement(np.array([0.3]), np.array([0.7]), best)
        assert math.exp(log) == pytest.approx(whole, rel=1e-6)


def test_the_expected_improvement_falls_without_a_step() -> None:
    z = -np.logspace(-3, 6, 4000)
    logs = log_expected_improvement(-z, np.ones_like(z), 0.0)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()
    # d ln(phi + z Phi) / dz = Phi / (phi + z Phi), near -z far below.
    slopes = np.diff(logs) / np.diff(z)
    assert slopes[z[1:] < -100] == pytest.approx(-((z[1:] + z[:-1]) / 2)[z[1:] < -100], rel=1e-3)
    join = np.array([-1e4 * (1 + 1e-9), -1e4 * (1 - 1e-9)])
    above, below = log_expected_improvement(-join, np.ones(2), 0.0)
    assert below - above == pytest.approx(1e4 * 2e-5, rel=1e-3)
