"""What a measurement promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["log_expected_improvement"]

#: Below the first, phi(z) + z Phi(z) cancels; below the second the term that is left of it does, and is 1 / z^2.
LOW, FAR = -1.0, -1e4
LOG_ROOT_2_PI = 0.5 * np.log(2 * np.pi)


def log_expected_improvement(mean: Floats, sd: Floats, best: float) -> Floats:
    """Return ln E max(best - y, 0) of normal y: ln sd + ln(phi(z) + z Phi(z)) with z = (best - mean) / sd.

    Below -1 as ln phi(z) + ln(1 + z sqrt(pi / 2) erfcx(-z / sqrt 2)), which neither vanishes nor cancels.

    >>> float(np.exp(log_expected_improvement(np.array([0.0]), np.array([1.0]), 0.0))[0])  # 1 / sqrt(2 pi)
    0.398942...
    """
    from scipy.special import erfcx, ndtr

    z = (best - mean) / sd
    log_phi = -0.5 * z * z - LOG_ROOT_2_PI
    near, low = np.maximum(z, LOW), np.clip(z, FAR, LOW)
    above = np.log(np.exp(-0.5 * near * near - LOG_ROOT_2_PI) + near * ndtr(near))
    below = log_phi + np.log1p(low * np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2)))
    far = log_phi - 2 * np.log(-np.minimum(z, FAR))
    return np.asarray(np.where(z > LOW, above, np.where(z > FAR, below, far)) + np.log(sd), np.float64)
