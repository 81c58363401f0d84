"""How many questions it takes to tell two systems apart, or to tell that they are alike."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["equivalence_trials", "paired_power", "paired_trials"]


def _check(difference: float, discordant: float, power: float, alpha: float) -> None:
    if not 0 < discordant <= 1:
        raise ValueError(f"discordant: a share above 0 and at most 1 is needed, got {discordant}")
    if not abs(difference) <= discordant:
        raise ValueError(f"difference: at most the discordant share {discordant} is possible, got {difference}")
    for name, value in (("power", power), ("alpha", alpha)):
        if not 0 < value < 1:
            raise ValueError(f"{name}: a share between 0 and 1 is needed, got {value}")


def paired_power(trials: int, difference: float, discordant: float, *, alpha: float = 0.05) -> float:
    """Chance that a two-sided paired test sees a true difference.

    Connor 1987.

    Parameters
    ----------
    trials : int
        Questions.
    difference : float
        True difference of the shares that are right.
    discordant : float
        Share of questions that one system gets right and the other one does not.
    alpha : float
        Of the test.

    Examples
    --------
    >>> from thrifty.stats import paired_power
    >>> round(paired_power(2500, 0.018, 0.1), 2)
    0.81
    """
    if trials < 1:
        raise ValueError(f"trials: at least 1 is needed, got {trials}")
    _check(difference, discordant, 0.5, alpha)
    normal = NormalDist()
    spread = math.sqrt(max(discordant - difference**2, 1e-300))
    away = abs(difference) * math.sqrt(trials)
    return normal.cdf((away - normal.inv_cdf(1 - alpha / 2) * math.sqrt(discordant)) / spread)


def paired_trials(difference: float, discordant: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Questions at which a two-sided paired test sees a true difference with that chance.

    Connor 1987; arguments are those of :func:`paired_power`.

    Examples
    --------
    >>> from thrifty.stats import paired_trials
    >>> paired_trials(0.03, 0.1)
    870
    """
    _check(difference, discordant, power, alpha)
    if difference == 0:
        raise ValueError("difference: no number of questions shows a difference of 0")
    normal = NormalDist()
    alike = normal.inv_cdf(1 - alpha / 2) * math.sqrt(discordant)
    apart = normal.inv_cdf(power) * math.sqrt(discordant - difference**2)
    return math.ceil(((alike + apart) / difference) ** 2)


def equivalence_trials(delta: float, discordant: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Questions at which two one-sided tests find two equal systems within ``delta`` with that chance.

    Examples
    --------
    >>> from thrifty.stats import equivalence_trials
    >>> equivalence_trials(0.01, 0.1)
    8564
    """
    _check(0.0, discordant, power, alpha)
    if not 0 < delta < 1:
        raise ValueError(f"delta: a share between 0 and 1 is needed, got {delta}")
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha) + normal.inv_cdf((1 + power) / 2)
    return math.ceil(z * z * discordant / (delta * delta))
